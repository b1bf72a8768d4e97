"""zstd:chunked: written, read back by everybody, read in part; and TOCs that lie."""

import base64
import hashlib
import itertools
import json
import os
import random
import subprocess
import threading
import time

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encoding import pieces
from support.packing import make_tree, pack, plain
from support.tables import HARDLINK, SYMLINK, entry, tar_of

from ocifast._native.tar import TarParser
from ocifast.errors import (
    CompressedDataError,
    DigestMismatch,
    DocumentError,
    LimitExceeded,
    TarError,
    UnsupportedError,
)
from ocifast.formats.tar import EntryTable
from ocifast.formats.toc import TOC_BYTES, parse_toc
from ocifast.formats.zstd_chunked import FOOTER_BYTES, footer, read_footer
from ocifast.limits import Limits
from ocifast.ops.cat import read_file
from ocifast.ops.seekable_encoder import SeekableEncoder
from ocifast.ops.seekable_layer import check_toc, open_seekable
from ocifast.ops.virtual_tree import VirtualTree

PREFIX = "io.github.containers.zstd-chunked."


def chunked(parts, threads=0):
    """The blob of a tar that comes in these pieces, and its annotations."""
    rung, out, waiting, finished = threading.Event(), bytearray(), list(parts), False
    encoder = SeekableEncoder(3, threads, rung.set)
    try:
        while not encoder.done:
            rung.clear()
            piece = encoder.take()
            if piece is not None:
                out += piece
            elif finished or encoder.full:
                rung.wait(1)
            elif waiting:
                encoder.feed(waiting.pop(0))
            else:
                encoder.finish()
                finished = True
        return bytes(out), encoder.annotations
    finally:
        encoder.close()


def tar_with(contents):
    tree = VirtualTree([(entry(name, size=len(data)), data) for name, data in contents.items()])
    out, piece = bytearray(), memoryview(bytearray(1 << 16))
    while count := tree.readinto(piece):
        out += piece[:count]
    return bytes(out)


RNG = random.Random(5)
CONTENTS = {
    "empty": b"",
    "one": b"x",
    "block": RNG.randbytes(512),
    "small": RNG.randbytes(15_000),
    "text": b"all the same " * 40_000,
    "large": RNG.randbytes(900_000),
    "zeros": bytes(300_000),
}
TAR = tar_with(CONTENTS)


def inflated(blob):
    reader = zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True)
    return reader.read()


def entries_of(tar):
    parser = TarParser(Limits())
    parser.feed(tar)
    parser.finish()
    return EntryTable(*parser.take_table())


@pytest.fixture
def stored(tmp_path):
    """Keep a blob where it can be opened."""

    opened = []

    def keep(blob):
        (tmp_path / "blob").write_bytes(blob)
        opened.append(os.open(tmp_path / "blob", os.O_RDONLY))
        return opened[-1]

    yield keep
    for descriptor in opened:
        os.close(descriptor)


# ---- writing ----


@pytest.mark.parametrize("threads", [0, 1, 2, 4])
def test_the_tar_comes_out_and_bytes_do_not_depend_on_threads(threads) -> None:
    blob, told = chunked(pieces(TAR), threads)
    assert inflated(blob) == TAR
    assert (blob, told) == chunked(pieces(TAR))


@given(st.lists(st.integers(0, len(TAR)), max_size=12))
@settings(max_examples=20)
def test_bytes_do_not_depend_on_the_cut(cuts) -> None:
    borders = sorted({0, len(TAR), *cuts, *range(0, len(TAR), 1 << 20)})
    cut = [TAR[a:b] for a, b in itertools.pairwise(borders)]
    assert chunked(cut) == chunked(pieces(TAR))


def test_annotations_and_footer_say_where_the_toc_lies() -> None:
    blob, told = chunked(pieces(TAR))
    toc, split = read_footer(blob[-FOOTER_BYTES:])
    assert (
        told[f"{PREFIX}manifest-position"] == f"{toc.offset}:{toc.size}:{toc.uncompressed_size}:1"
    )
    assert told[f"{PREFIX}tarsplit-position"].split(":")[0] == str(split.offset)
    stored = blob[toc.offset : toc.offset + toc.size]
    assert told[f"{PREFIX}manifest-checksum"] == "sha256:" + hashlib.sha256(stored).hexdigest()
    raw = inflated(stored)
    assert len(raw) == toc.uncompressed_size
    value = json.loads(raw)
    assert value["version"] == 1
    tar_split = blob[split.offset : split.offset + split.size]
    assert value["tarSplitDigest"] == "sha256:" + hashlib.sha256(tar_split).hexdigest()


def test_each_chunk_is_a_frame_of_its_own() -> None:
    blob, _ = chunked(pieces(TAR))
    toc, _ = read_footer(blob[-FOOTER_BYTES:])
    found = parse_toc(inflated(blob[toc.offset :][: toc.size]), toc.offset - 8)
    assert [each.path.decode() for each in found] == list(CONTENTS)
    for each in found:
        data = b"".join(
            zstandard.ZstdDecompressor().decompress(blob[c.offset : c.end_offset], c.size)
            for c in each.chunks
        )
        assert data == CONTENTS[each.path.decode()]
        assert each.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    counts = {each.path.decode(): len(each.chunks) for each in found}
    assert counts["empty"] == 0
    assert counts["small"] == 1
    assert counts["large"] > 5


def test_tar_split_and_contents_make_the_tar_again() -> None:
    """As vbatts/tar-split puts it together: segments as they are, a file where a line says so."""
    blob, _ = chunked(pieces(TAR))
    _, split = read_footer(blob[-FOOTER_BYTES:])
    out = b""
    for number, line in enumerate(inflated(blob[split.offset :][: split.size]).splitlines()):
        value = json.loads(line)
        assert value["position"] == number
        if value["type"] == 2:
            out += base64.b64decode(value["payload"])
        elif value.get("size"):
            out += CONTENTS[value["name"]]
        else:
            assert value["payload"] is None
    assert out == TAR


def test_all_kinds_of_entries_are_in_the_toc_as_in_the_tar(stored) -> None:
    tar = tar_of(
        [
            entry("d/", uid=5, gid=6, mtime_ns=10**18),
            entry("d/f", size=3, mode=0o4755, xattrs=((b"user.a", b"\0\xff"),)),
            entry("d/l", SYMLINK, link_target=b"f"),
            entry("d/h", HARDLINK, link_target=b"d/f"),
        ]
    )
    layer = open_seekable(stored(chunked(pieces(tar))[0]))
    check_toc(layer.entries, entries_of(tar))
    assert layer.find(b"/d/h") == layer.find(b"d/f")


def test_what_a_toc_has_no_words_for_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="UTF-8"):
        chunked(pieces(tar_of([entry(b"\xff")])))
    with pytest.raises(TarError):
        chunked([b"no tar at all" * 100])
    with pytest.raises(TarError):
        chunked([TAR[:-1600]])


def test_a_packed_tree_says_its_annotations_and_is_proven(tmp_path) -> None:
    tree = make_tree(tmp_path / "tree", files=20, size=60_000)
    (tree / os.fsdecode(b"\xff\xfe")).unlink()
    layer = pack(tree, tmp_path / "out", compress="zstd:chunked")
    same = pack(tree, tmp_path / "plain", compress="none")
    assert layer.diff_id == same.diff_id
    assert layer.media_type.endswith("+zstd")
    assert layer.recipe.startswith("zstd-chunked/1:level=3 (libzstd ")
    assert plain(tmp_path / "out", "zstd") == (tmp_path / "plain").read_bytes()
    assert {key.partition("chunked.")[2] for key in layer.annotations} == {
        "manifest-checksum",
        "manifest-position",
        "tarsplit-position",
    }
    assert len(layer.annotations) == 5, "podman of both ages finds its own"


@pytest.mark.parametrize("compress", ["zstd:chunked", "estargz"])
def test_a_file_of_zeros_is_packed_though_it_looks_like_a_bomb(tmp_path, compress) -> None:
    """Of a ratio that readers refuse unless they are told otherwise."""
    (tmp_path / "tree").mkdir()
    with open(tmp_path / "tree/zeros", "wb") as file:
        file.truncate(80 << 20)
    layer = pack(tree := tmp_path / "tree", tmp_path / "out", compress=compress)
    assert layer.uncompressed_size > 512 * layer.size
    assert b"".join(read_file(tmp_path / "out", b"zeros")) == (tree / "zeros").read_bytes()


def test_a_pipe_is_refused_as_nothing_could_be_proven(tmp_path) -> None:
    (tmp_path / "tree").mkdir()
    reading, writing = os.pipe()
    try:
        with pytest.raises(ValueError, match="pipe"):
            pack(tmp_path / "tree", writing, compress="zstd:chunked")
    finally:
        os.close(reading)
        os.close(writing)


def test_the_zstd_tool_reads_it(tmp_path, oracle) -> None:
    (tmp_path / "blob.zst").write_bytes(chunked(pieces(TAR))[0])
    command = [oracle("zstd"), "-dc", tmp_path / "blob.zst"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == TAR


# ---- reading ----


@pytest.mark.parametrize("name", CONTENTS)
def test_one_file_is_read_without_the_rest(tmp_path, name) -> None:
    blob = bytearray(chunked(pieces(TAR))[0])
    descriptor_free = tmp_path / "blob"
    descriptor_free.write_bytes(blob)
    assert b"".join(read_file(descriptor_free, name.encode())) == CONTENTS[name]


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd", "zstd:chunked"])
def test_a_file_of_any_layer_is_read(tmp_path, compress) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / os.fsdecode(b"\xff\xfe")).unlink()
    pack(tree, tmp_path / "out", compress=compress)
    for name in ("etc/file0.txt", "./var/twin", "/var/sparse"):
        content = b"".join(read_file(tmp_path / "out", name.encode()))
        assert content == (tree / name.lstrip("/")).read_bytes()
    with pytest.raises(FileNotFoundError):
        list(read_file(tmp_path / "out", b"no/such"))
    with pytest.raises(UnsupportedError, match="symlink"):
        list(read_file(tmp_path / "out", b"etc/link"))


def test_a_flipped_bit_of_a_chunk_is_found_and_nothing_of_it_given(tmp_path) -> None:
    blob = bytearray(chunked(pieces(TAR))[0])
    path = tmp_path / "blob"
    path.write_bytes(blob)
    descriptor = os.open(path, os.O_RDONLY)
    chunk = open_seekable(descriptor).find(b"large").chunks[0]
    os.close(descriptor)
    blob[(chunk.offset + chunk.end_offset) // 2] ^= 1
    path.write_bytes(blob)
    with pytest.raises((DigestMismatch, CompressedDataError)):
        next(read_file(path, b"large"))
    assert b"".join(read_file(path, b"small")) == CONTENTS["small"]


# ---- TOCs that lie ----


def toc_of(*entries, **more):
    return json.dumps({"version": 1, "entries": list(entries), **more}).encode()


REG = {
    "type": "reg", "name": "f", "size": 10, "digest": "sha256:" + "0" * 64,
    "offset": 0, "endOffset": 20,
}  # fmt: skip
CHUNK = {"type": "chunk", "name": "f", "offset": 9, "chunkOffset": 4, "chunkSize": 6}


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"version":1,"version":1,"entries":[]}', "twice"),
        (b'{"version":1.0,"entries":[]}', "integer"),
        (b'{"version":2,"entries":[]}', "version"),
        (b'{"version":1,"entries":{}}', "list"),
        (toc_of(7), "object"),
        (toc_of({**REG, "type": "door"}), "type"),
        (toc_of({**REG, "name": ""}), "name"),
        (toc_of({**REG, "name": "a\0b"}), "name"),
        (toc_of({**REG, "name": "\ud800"}), "surrogate"),
        (toc_of({**REG, "size": -1}), "size"),
        (toc_of({**REG, "size": True}), "size"),
        (toc_of({**REG, "size": 2**63}), "size"),
        (toc_of({**REG, "digest": "md5:0"}), "digest"),
        (toc_of({**REG, "offset": 20}), "out of order"),
        (toc_of({**REG, "endOffset": 101}), "out of order"),
        (toc_of(REG, {**REG, "name": "g"}), "out of order"),
        (toc_of({**REG, "type": "dir"}, {**REG}), "second entry"),
        (toc_of({**REG, "xattrs": {"a": "!"}}), "xattrs"),
        (toc_of({**REG, "xattrs": [1]}), "xattrs"),
        (toc_of(REG, CHUNK), "chunkDigest"),
        (toc_of({**REG, "chunkDigest": REG["digest"], "chunkSize": 3},
                {**CHUNK, "chunkDigest": REG["digest"]}), "gaps"),
        (toc_of({**REG, "chunkDigest": REG["digest"], "chunkSize": 4},
                {**CHUNK, "chunkDigest": REG["digest"], "chunkSize": 7}), "add up"),
        (toc_of({**CHUNK}), "type"),
    ],
)  # fmt: skip
def test_a_toc_that_says_what_cannot_be_is_refused(raw, where) -> None:
    with pytest.raises(DocumentError, match=where):
        parse_toc(raw, 100)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_toc_reader_fail_otherwise(raw) -> None:
    with pytest.raises(DocumentError):
        parse_toc(raw + b"x", 100)


@pytest.mark.parametrize(
    "field", ["path", "kind", "size", "mode", "uid", "gid", "link_target", "xattrs"]
)
def test_h25_a_toc_that_disagrees_with_the_tar_is_refused(stored, field) -> None:
    entries = list(open_seekable(stored(chunked(pieces(TAR))[0])).entries)
    other = {"path": b"x", "kind": None, "link_target": b"y", "xattrs": ((b"a", b"b"),)}
    entries[1] = entries[1]._replace(**{field: other.get(field, 77)})
    with pytest.raises(DocumentError, match=f"{field} is"):
        check_toc(entries, entries_of(TAR))
    with pytest.raises(DocumentError, match="entries"):
        check_toc(entries[1:], entries_of(TAR))


def test_a_footer_that_points_anywhere_is_refused_before_memory_is_spent(stored) -> None:
    blob = chunked(pieces(TAR))[0]
    toc, split = read_footer(blob[-FOOTER_BYTES:])
    for bad in (
        toc._replace(offset=0),
        toc._replace(offset=len(blob)),
        toc._replace(size=2**40),
        toc._replace(size=toc.size - 1),
        toc._replace(uncompressed_size=toc.uncompressed_size - 1),
        toc._replace(uncompressed_size=toc.uncompressed_size + 1),
    ):
        with pytest.raises((DocumentError, CompressedDataError)):
            open_seekable(stored(blob[:-FOOTER_BYTES] + footer(bad, split)))
    huge = toc._replace(uncompressed_size=TOC_BYTES + 1)
    with pytest.raises(LimitExceeded):
        open_seekable(stored(blob[:-FOOTER_BYTES] + footer(huge, split)))


@pytest.mark.parametrize("filler", [b"[],", b"{},", b"1,"])
def test_a_toc_that_would_fill_memory_is_refused_before_it_is_parsed(filler) -> None:
    raw = b'{"version":1,"entries":[' + filler * (30 << 20 if filler == b"1," else 2 << 20) + b"0]}"
    began = time.process_time()
    with pytest.raises(LimitExceeded):
        parse_toc(raw, 0)
    assert time.process_time() - began < 1


def test_other_blobs_have_no_toc(stored) -> None:
    assert open_seekable(stored(b"")) is None
    assert open_seekable(stored(bytes(4096))) is None
    assert open_seekable(stored(zstandard.compress(TAR))) is None
    assert read_footer(b"short") is None
