"""eStargz: written, read back by everybody, read in part; and TOCs that lie."""

import gzip
import hashlib
import itertools
import json
import os
import subprocess
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encoding import noise, pieces
from support.packing import make_tree, pack
from support.tables import HARDLINK, SYMLINK, entry, tar_of

from ocifast._native.tar import TarParser
from ocifast._native.toc_cut import ESTARGZ_CHUNK_BYTES as CHUNK_BYTES
from ocifast.codecs.recipe import recipe
from ocifast.errors import (
    CompressedDataError,
    DigestMismatch,
    DocumentError,
    LimitExceeded,
    StateError,
    TarError,
    UnknownRecipe,
    UnsupportedError,
)
from ocifast.formats import estargz
from ocifast.formats.estargz import estargz_footer, read_estargz_footer, toc_entry
from ocifast.formats.tar import EntryTable
from ocifast.formats.toc import TOC_BYTES, parse_toc
from ocifast.limits import Limits
from ocifast.ops.cat import read_file
from ocifast.ops.estargz_encoder import EstargzEncoder
from ocifast.ops.seekable import open_seekable_encoder
from ocifast.ops.seekable_layer import open_seekable
from ocifast.ops.virtual_tree import VirtualTree

MIB = 1 << 20
DIGEST = "sha256:" + "0" * 64


def squeezed(parts, threads=0, library="deflate", level=3):
    """The blob of a tar that comes in these pieces, and the encoder that made it."""
    rung, out, waiting, finished = threading.Event(), bytearray(), list(parts), False
    encoder = EstargzEncoder(library, level, threads, rung.set)
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
        return bytes(out), encoder
    finally:
        encoder.close()


def blob_of(parts, **options):
    return squeezed(parts, **options)[0]


def tar_with(contents):
    tree = VirtualTree([(entry(name, size=len(data)), data) for name, data in contents.items()])
    out, piece = bytearray(), memoryview(bytearray(1 << 16))
    while count := tree.readinto(piece):
        out += piece[:count]
    return bytes(out)


CONTENTS = {
    "empty": b"",
    "one": b"x",
    "block": noise("block", 512),
    "small": noise("small", 15_000),
    "exact": b"all the same " * (CHUNK_BYTES // 13) + bytes(CHUNK_BYTES % 13),
    "one more": noise("more", CHUNK_BYTES + 1),
    "large": bytes(2 * CHUNK_BYTES + 77),
}
TAR = tar_with(CONTENTS)


def entries_of(tar):
    parser = TarParser(Limits())
    parser.feed(tar)
    parser.finish()
    return EntryTable(*parser.take_table())


def paths_of(blob):
    return [each.path for each in entries_of(gzip.decompress(blob))]


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


def test_the_footer_is_that_of_the_specification() -> None:
    expected = (
        "1f8b08040000000000ff1a005347160030303030303030303030303031323334"
        "53544152475a010000ffff0000000000000000"
    )
    assert estargz_footer(0x1234).hex() == expected
    assert gzip.decompress(estargz_footer(2**40)) == b""
    assert read_estargz_footer(estargz_footer(2**64 - 1)) == 2**64 - 1


@pytest.mark.parametrize(
    "bad", [b"", bytes(51), estargz_footer(7)[1:], estargz_footer(7)[:-1] + b"\1"]
)
def test_what_is_no_footer_is_none(bad) -> None:
    assert read_estargz_footer(bad) is None
    assert read_estargz_footer(estargz_footer(10).replace(b"000a", b"000A")) is None
    assert read_estargz_footer(estargz_footer(10).replace(b"000a", b"0x0a")) is None


@pytest.mark.parametrize("threads", [0, 1, 2, 4])
def test_bytes_do_not_depend_on_threads(threads) -> None:
    assert blob_of(pieces(TAR), threads=threads) == blob_of(pieces(TAR))


@given(st.lists(st.integers(0, len(TAR)), max_size=12))
@settings(max_examples=20)
def test_bytes_do_not_depend_on_the_cut(cuts) -> None:
    borders = sorted({0, len(TAR), *cuts, *range(0, len(TAR), MIB)})
    cut = [TAR[a:b] for a, b in itertools.pairwise(borders)]
    assert blob_of(cut) == blob_of(pieces(TAR))


@pytest.mark.parametrize(("library", "level"), [("deflate", 1), ("deflate", 2), ("zlib", 6)])
def test_the_tar_has_landmark_and_toc_and_is_told_of(library, level) -> None:
    blob, encoder = squeezed(pieces(TAR), library=library, level=level)
    tar = gzip.decompress(blob)
    assert encoder.diff_id == "sha256:" + hashlib.sha256(tar).hexdigest()
    assert encoder.uncompressed_size == len(tar)
    assert paths_of(blob) == [
        estargz.LANDMARK, *(name.encode() for name in CONTENTS), estargz.TOC_NAME,
    ]  # fmt: skip
    assert tar.endswith(bytes(1024))
    assert tar[512:513] == b"\x0f"
    assert TAR.rstrip(b"\0") in tar, "but for its end the source is in it as it was"


def test_annotations_hold_the_digest_of_the_toc_and_the_size_of_the_tar() -> None:
    blob, encoder = squeezed(pieces(TAR))
    member = gzip.decompress(blob[read_estargz_footer(blob[-51:]) :])
    size = int(member[124:135], 8)
    toc = member[512 : 512 + size]
    assert encoder.annotations == {
        "containerd.io/snapshot/stargz/toc.digest": "sha256:" + hashlib.sha256(toc).hexdigest(),
        "io.containers.estargz.uncompressed-size": str(encoder.uncompressed_size),
    }
    assert json.loads(toc)["version"] == 1
    assert member == toc_entry(toc)


def test_each_chunk_begins_a_member_of_its_own() -> None:
    blob = blob_of(pieces(TAR))
    toc_offset = read_estargz_footer(blob[-51:])
    toc = json.loads(gzip.decompress(blob[toc_offset:])[512:].rstrip(b"\0"))
    found = dict.fromkeys(CONTENTS, b"")
    for value in toc["entries"][1:]:
        if "offset" in value:
            size = value.get("chunkSize") or (
                len(CONTENTS[value["name"]]) - value.get("chunkOffset", 0)
            )
            part = zlib.decompressobj(31).decompress(blob[value["offset"] :], size)
            assert value["chunkDigest"] == "sha256:" + hashlib.sha256(part).hexdigest()
            found[value["name"]] += part
    assert found == CONTENTS
    counts = [value["name"] for value in toc["entries"] if "chunkDigest" in value]
    assert [counts.count(name) for name in CONTENTS] == [0, 1, 1, 1, 1, 2, 3]


def test_many_headers_without_content_are_more_than_one_member() -> None:
    tar = tar_of([entry(f"d{number}/{'x' * 90}") for number in range(5000)])
    blob, encoder = squeezed(pieces(tar), threads=2)
    assert len(entries_of(gzip.decompress(blob))) == 5002
    assert encoder.added == 2


def test_a_layer_made_of_an_estargz_is_the_same_estargz() -> None:
    blob, _ = squeezed(pieces(TAR))
    again, encoder = squeezed(pieces(gzip.decompress(blob), 1000))
    assert again == blob
    assert encoder.added == 0


def test_reserved_names_are_dropped_wherever_they_stand() -> None:
    files = {"./stargz.index.json": b"{" * 700, "a": b"a", ".prefetch.landmark": b"\x0f", "b": b""}
    tar = tar_with({**files, "stargz.index.json": b"", "d/stargz.index.json": b"kept"})
    blob, encoder = squeezed(pieces(tar))
    expected = [estargz.LANDMARK, b"a", b"b", b"d/stargz.index.json", estargz.TOC_NAME]
    assert paths_of(blob) == expected
    assert encoder.added == 2 - 3


@pytest.mark.parametrize("missing", [0, 512, 1024, 1024 + 435])
def test_the_end_of_the_source_makes_no_difference(missing) -> None:
    tar = tar_with({"f": b"x" * 77})
    short = tar[: len(tar.rstrip(b"\0")) + 435 + 1024 - missing]
    assert blob_of([short]) == blob_of([tar]) == blob_of([tar + bytes(6 << 20)])


def test_what_a_toc_has_no_words_for_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="UTF-8"):
        blob_of(pieces(tar_of([entry(b"\xff")])))
    with pytest.raises(TarError):
        blob_of([b"no tar at all" * 100])
    with pytest.raises(TarError):
        blob_of([TAR[: MIB + 5]])


def test_an_encoder_that_is_closed_takes_nothing() -> None:
    encoder = EstargzEncoder("zlib", 1, 2, None)
    encoder.feed(TAR[:1000])
    encoder.close()
    encoder.close()
    assert not encoder.done
    with pytest.raises(StateError):
        encoder.feed(b"x")


@given(st.dictionaries(st.text("abc/.", min_size=1, max_size=6), st.binary(max_size=2000)))
@settings(max_examples=40)
def test_any_small_tree_comes_out_as_it_went_in(tmp_path_factory, contents) -> None:
    named = {f"r/{number}{name}": data for number, (name, data) in enumerate(contents.items())}
    named = {name: data for name, data in named.items() if ".." not in name and name[-1] != "/"}
    path = tmp_path_factory.mktemp("blob") / "blob"
    path.write_bytes(blob_of(pieces(tar_with(named), 999)))
    for name, data in named.items():
        assert b"".join(read_file(path, name.encode())) == data


def test_recipes_are_checked() -> None:
    chosen = recipe("estargz")
    assert (chosen.name, chosen.level) == ("estargz-libdeflate", 3)
    open_seekable_encoder(chosen).close()
    with pytest.raises(UnknownRecipe):
        open_seekable_encoder(type(chosen).from_dict({**chosen.to_dict(), "version": 99}))


GOLDEN = {
    "estargz-libdeflate/2:level=3 (deflate 0.9.0)": "b8bf5d98c71689e786301ce97b42049a",
    "zstd-chunked/1:level=3 (libzstd 1.5.7)": "7b36fb84825542f61eeb725ac1d08836",
}
"""What the recipes give for `TAR`; other bytes need another version of the recipe."""


@pytest.mark.parametrize("codec", ["estargz", "zstd:chunked"])
def test_recipes_keep_their_bytes(codec) -> None:
    chosen, out = recipe(codec), bytearray()
    if chosen.identity not in GOLDEN:
        pytest.skip(f"no digest was kept for {chosen.identity}")
    encoder = open_seekable_encoder(chosen)
    for piece in pieces(TAR):
        encoder.feed(piece)
        while (part := encoder.take()) is not None:
            out += part
    encoder.finish()
    while (part := encoder.take()) is not None:
        out += part
    encoder.close()
    assert hashlib.sha256(out).hexdigest()[:32] == GOLDEN[chosen.identity]


def test_the_gzip_tool_and_tar_read_it(tmp_path, oracle) -> None:
    (tmp_path / "blob.tar.gz").write_bytes(blob_of(pieces(TAR)))
    command = [oracle("gzip"), "-dc", tmp_path / "blob.tar.gz"]
    tar = subprocess.run(command, check=True, capture_output=True).stdout
    (tmp_path / "out").mkdir()
    subprocess.run(
        [oracle("tar"), "-x", "--no-same-owner", "-C", tmp_path / "out"], input=tar, check=True
    )
    (tmp_path / "out" / "stargz.index.json").chmod(0o600)
    for name, data in CONTENTS.items():
        assert (tmp_path / "out" / name).read_bytes() == data


# ---- packing ----


def test_a_packed_tree_tells_of_the_tar_in_the_blob(tmp_path) -> None:
    tree = make_tree(tmp_path / "tree", files=20, size=60_000)
    (tree / os.fsdecode(b"\xff\xfe")).unlink()
    layer = pack(tree, tmp_path / "out", compress="estargz")
    plain = pack(tree, tmp_path / "plain", compress="none")
    tar = gzip.decompress((tmp_path / "out").read_bytes())
    assert layer.media_type.endswith("+gzip")
    assert layer.diff_id == "sha256:" + hashlib.sha256(tar).hexdigest()
    assert layer.uncompressed_size == len(tar)
    assert layer.entries == plain.entries + 2
    assert len(layer.annotations) == 2
    for name in ("etc/file0.txt", "./var/twin", "/var/sparse"):
        content = b"".join(read_file(tmp_path / "out", name.encode()))
        assert content == (tree / name.lstrip("/")).read_bytes()


# ---- reading ----


def test_the_toc_says_what_the_tar_does(stored) -> None:
    tar = tar_of(
        [
            entry("d/", uid=5, gid=6, mtime_ns=1_700_000_000_500_000_000),
            entry("d/f", size=3, mode=0o4755, xattrs=((b"user.a", b"\0\xff"),)),
            entry("d/l", SYMLINK, link_target=b"f"),
            entry("d/h", HARDLINK, link_target=b"d/f"),
        ]
    )
    blob, encoder = squeezed(pieces(tar))
    layer = open_seekable(stored(blob))
    table = entries_of(gzip.decompress(blob))
    layer.check(table)
    assert layer.find(b"/d/h") == layer.find(b"d/f")
    assert layer.toc_digest in encoder.annotations.values()
    with pytest.raises(DocumentError, match="mode is"):
        layer.check(each._replace(mode=0o1) for each in table)
    with pytest.raises(DocumentError, match="mtime_ns is"):
        layer.check(each._replace(mtime_ns=10**18) for each in table)


@pytest.mark.parametrize("name", CONTENTS)
def test_one_file_is_read_without_the_rest(stored, name) -> None:
    layer = open_seekable(stored(blob_of(pieces(TAR))))
    assert b"".join(layer.read(layer.find(name.encode()))) == CONTENTS[name]


def test_a_flipped_bit_of_a_chunk_is_found_and_nothing_of_it_given(stored) -> None:
    blob = bytearray(blob_of(pieces(TAR)))
    layer = open_seekable(stored(blob))
    chunk = layer.find(b"one more").chunks[0]
    blob[(chunk.offset + chunk.end_offset) // 2] ^= 1
    layer = open_seekable(stored(blob))
    with pytest.raises((DigestMismatch, CompressedDataError)):
        next(layer.read(layer.find(b"one more")))
    assert b"".join(layer.read(layer.find(b"small"))) == CONTENTS["small"]


def blob_with(toc, level=6):
    """A blob of nothing but a TOC."""
    return zlib.compress(toc_entry(toc), level, 31) + estargz_footer(0)


def toc_of(*entries):
    return json.dumps({"version": 1, "entries": list(entries)}).encode()


REG = {"type": "reg", "name": "f", "size": 10, "digest": DIGEST, "offset": 5}
CHUNK = {"type": "chunk", "name": "f", "offset": 9, "chunkOffset": 4, "chunkDigest": DIGEST}


def test_a_file_ends_where_the_next_one_begins() -> None:
    first = {**REG, "chunkSize": 4, "chunkDigest": DIGEST}
    dir_, last = {"type": "dir", "name": "d"}, {**REG, "name": "g", "offset": 30}
    found = parse_toc(toc_of(first, CHUNK, dir_, last), 40, has_ends=False)
    spans = [[(c.offset, c.end_offset, c.size) for c in each.chunks] for each in found]
    assert spans == [[(5, 9, 4), (9, 30, 6)], [], [(30, 40, 10)]]


@pytest.mark.parametrize(
    ("entries", "where"),
    [
        (({**REG, "offset": "5"},), "offset"),
        (({**REG, "offset": 40},), "out of order"),
        ((REG, {**REG, "name": "g"}), "out of order"),
        ((REG, {**REG, "name": "g", "offset": 4}), "out of order"),
        (({**REG, "size": 10, "offset": 0},), "out of order"),
        ((REG, CHUNK), "chunkDigest"),
        ((CHUNK,), "type"),
        (({**REG, "modtime": "yesterday"},), "modtime"),
        (({**REG, "modtime": "2023-02-30T00:00:00Z"},), "modtime"),
        (({**REG, "modtime": 7},), "modtime"),
        ((7,), "object"),
    ],
)
def test_h25_a_toc_that_says_what_cannot_be_is_refused(entries, where) -> None:
    with pytest.raises(DocumentError, match=where):
        parse_toc(toc_of(*entries), 40, has_ends=False)


def test_files_that_share_a_member_are_read_from_within_it(stored) -> None:
    """As with the reference's min-chunk-size: of one member, and of one that ends elsewhere."""
    head = b"h" * 600
    first, second, third = b"one" * 50, b"two" * 70, b"three" * 90
    members = [gzip.compress(part) for part in (b"before", head + first + b"x" + second, third)]
    start = len(members[0])
    next_ = start + len(members[1])
    toc = toc_of(
        shared("first", first, start, 600),
        shared("second", second, start, 601 + len(first)),
        shared("third", third, next_, 0),
    )
    end = next_ + len(members[2])
    blob = b"".join(members) + gzip.compress(toc_entry(toc)) + estargz_footer(end)
    layer = open_seekable(stored(blob))
    for name, content in (("first", first), ("second", second), ("third", third)):
        assert b"".join(layer.read(layer.find(name.encode()))) == content
    assert [entry.chunks[0].end_offset for entry in layer.entries] == [next_, next_, end]


def shared(name, content, offset, inner):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    entry = {"type": "reg", "name": name, "size": len(content), "digest": digest}
    return entry | {"offset": offset, "innerOffset": inner, "chunkDigest": digest}


@pytest.mark.parametrize("inner", [0, 3, 9])
def test_files_that_overlap_in_a_member_are_refused(inner) -> None:
    other = {**REG, "name": "g", "innerOffset": inner}
    with pytest.raises(DocumentError, match="out of order"):
        parse_toc(toc_of(REG, other), 40, has_ends=False)
    assert parse_toc(toc_of(REG, {**other, "innerOffset": 10}), 40, has_ends=False)[1].size == 10


def test_a_footer_that_points_anywhere_is_refused_before_memory_is_spent(stored, monkeypatch):
    blob = blob_of(pieces(TAR))[:-51]
    for offset in (0, 1, len(blob) - 1, len(blob), 2**64 - 1):
        with pytest.raises((DocumentError, CompressedDataError, TarError)):
            open_seekable(stored(blob + estargz_footer(offset)))
    whole = blob_of(pieces(TAR))
    offset = read_estargz_footer(whole[-51:])
    cut = zlib.compress(gzip.decompress(whole[offset:])[:600], 9, 31)
    with pytest.raises(CompressedDataError, match="ends within"):
        open_seekable(stored(whole[:offset] + cut + whole[-51:]))
    monkeypatch.setattr("ocifast.ops.stored_toc.TOC_BYTES", 100)
    with pytest.raises(LimitExceeded):
        open_seekable(stored(whole))


def test_a_toc_that_inflates_without_end_is_not_inflated(stored) -> None:
    bomb = estargz._header(estargz.TOC_NAME, TOC_BYTES + 1) + bytes(5 << 20)
    with pytest.raises(LimitExceeded):
        open_seekable(stored(zlib.compress(bomb, 9, 31) + estargz_footer(0)))


def test_a_blob_of_nothing_but_a_toc_has_no_entries(stored) -> None:
    assert open_seekable(stored(blob_with(toc_of()))).entries == ()
