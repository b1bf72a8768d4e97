"""Archives met front to back: what tarfile sees at random is seen here on one way through."""

import hashlib
import io
import random
import tarfile
from dataclasses import replace

import pytest
from support.layers import make_tar, squeeze
from support.processes import nothing_left
from support.tar_build import END, entry, long_name, pax

from ocifast import Limits
from ocifast.errors import CompressedDataError, LimitExceeded, StateError, TarError, UnknownCodec
from ocifast.ops.archive_stream import PIECE_BYTES, ArchiveStream, DecodedReader, open_stream
from ocifast.ops.source import BufferReader, FileReader

CODECS = ["plain", "gzip", "zstd"]
SIZES = [0, 1, 511, 512, 513, 1023, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES]


def stream_of(data, profile="compat", **limits):
    return ArchiveStream(BufferReader(memoryview(data)), Limits(**limits), profile)


def drain(reader, step=10_000):
    """Everything a reader gives, in pieces."""
    found, room = bytearray(), memoryview(bytearray(step))
    while count := reader.readinto(room):
        found += room[:count]
    return bytes(found)


def by_stream(stream, step=10_000):
    return [
        (member.entry.name.rstrip("/"), member.entry.payload_offset, drain(member.reader, step))
        for member in stream
    ]


def by_tarfile(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return [
            (m.name, m.offset_data, tar.extractfile(m).read() if m.isreg() else b"") for m in tar
        ]


def make_archive(sizes=SIZES, kind=tarfile.PAX_FORMAT):
    """Files of all sizes with names of all lengths, and members without payload."""
    rng, target = random.Random(5), io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=kind) as tar:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(f"{number}-" + "long/" * (number * 20) + "ä")
            member.size = size
            half = rng.randbytes(size - size // 2)
            tar.addfile(member, io.BytesIO(half + half[: size // 2]))
            for type_ in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE):
                other = tarfile.TarInfo(f"{number}-{type_.decode()}")
                other.type, other.linkname = type_, "target" * (number * 5 + 1)
                tar.addfile(other)
    return target.getvalue()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("step", [999, PIECE_BYTES, 1 << 20])
def test_members_are_those_tarfile_sees(codec, kind, step):
    data = make_archive(kind=kind)
    stream = stream_of(squeeze(data, codec))
    assert stream.compressed is (codec != "plain")
    assert by_stream(stream, step) == by_tarfile(data)


@pytest.mark.parametrize("codec", CODECS)
def test_members_that_are_read_in_part_or_not_at_all_disturb_nobody(codec):
    data = make_archive()
    rng = random.Random(7)
    for (name, offset, payload), member in zip(
        by_tarfile(data), stream_of(squeeze(data, codec)), strict=True
    ):
        assert (member.entry.name.rstrip("/"), member.entry.payload_offset) == (name, offset)
        assert member.reader.size == len(payload)
        room, at = memoryview(bytearray(rng.choice([1, 700, PIECE_BYTES + 3]))), 0
        for _ in range(rng.randrange(3)):
            count = member.reader.readinto(room)
            assert payload[at : at + count] == bytes(room[:count])
            at += count
        member.reader.close()


@pytest.mark.parametrize("size", [1, 10, 999, 1000, 5000])
def test_what_was_looked_at_beforehand_is_read_all_the_same(size):
    for (_, _, payload), member in zip(
        by_tarfile(make_archive([0, 5, 1000])), stream_of(make_archive([0, 5, 1000])), strict=True
    ):
        assert member.reader.peek(size) == payload[:size]
        assert member.reader.peek(2) == payload[:2]
        assert drain(member.reader, 7) == payload


def test_a_reader_gives_no_more_than_its_member_even_when_asked_again():
    for member in stream_of(make_archive()):
        drain(member.reader)
        assert member.reader.readinto(memoryview(bytearray(5000))) == 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_an_archive_without_members_has_none(codec, profile):
    assert list(stream_of(squeeze(bytes(10240), codec), profile)) == []


@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_no_bytes_at_all_are_an_empty_stream_of_members_or_refused(profile):
    """What an empty archive means is for who asked for it; strict wants its end blocks."""
    stream = stream_of(b"", profile)
    assert not stream.compressed
    if profile == "strict":
        with pytest.raises(TarError):
            list(stream)
    else:
        assert list(stream) == []


def test_pax_headers_apply_to_their_member_alone():
    name = b"deep/" * 60 + b"file"
    data = pax((b"path", name), (b"mtime", b"1.5")) + entry(b"short", b"payload")
    data += entry(b"next", b"more") + END
    found = by_stream(stream_of(data))
    assert [(name, payload) for name, _, payload in found] == [
        (f"{'deep/' * 60}file", b"payload"),
        ("next", b"more"),
    ]


def test_names_of_many_blocks_are_read_whole():
    name = b"n" * 200 + b"/" + b"m" * 240 + b"/" + b"k" * 255
    data = long_name(name) + entry(b"short", b"x" * 700) + END
    assert by_stream(stream_of(squeeze(data, "gzip"))) == [(name.decode(), 2048, b"x" * 700)]


def test_a_sparse_member_gives_what_is_stored_of_it():
    """Transports refuse such a member; what stands behind it is found all the same."""
    regions = b"2\n0\n3\n9\n2\n"
    stored = regions + bytes(512 - len(regions)) + b"abcde"
    extension = pax(
        (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"11")
    )
    data = extension + entry(b"sparse", stored) + entry(b"next", b"payload") + END
    found = [(m.entry.is_sparse, drain(m.reader)) for m in stream_of(data)]
    assert found == [(True, b"abcde"), (False, b"payload")]
    assert [m.entry.name for m in stream_of(data)] == ["sparse", "next"]


def test_a_reader_whose_member_has_gone_by_reads_nothing_of_the_next():
    first, second = list(stream_of(make_archive([1000, 1000])))[::4]
    for member in (first, second):
        with pytest.raises(StateError, match="has gone by"):
            member.reader.readinto(memoryview(bytearray(10)))


# ---- cut short, and longer than it should be ----


@pytest.mark.parametrize("read", [True, False], ids=["read", "passed"])
@pytest.mark.parametrize(
    ("end", "fine"),
    [
        (100, False),  # in the first header
        (700, False),  # in a payload
        (1511, False),
        (1512, True),  # behind it: compat asks for no padding
        (1530, True),
        (1536, True),
        (1800, False),  # in the second header
    ],
)
def test_an_archive_that_ends_early_is_refused_where_something_is_missing(end, fine, read):
    data = entry(b"a", b"x" * 1000) + entry(b"b", b"y" * 1000) + END

    def walk(profile):
        return [drain(m.reader) if read else b"" for m in stream_of(data[:end], profile)]

    if fine:
        assert walk("compat") == [b"x" * 1000 if read else b""]
    else:
        with pytest.raises(TarError):
            walk("compat")
    with pytest.raises(TarError):
        walk("strict")


def test_a_member_that_is_cut_short_says_where_and_how_much_is_missing():
    member = next(iter(stream_of(entry(b"a", b"x" * 5000)[:2000])))
    with pytest.raises(TarError, match="3512 bytes of a member missing") as caught:
        drain(member.reader)
    assert (caught.value.code, caught.value.offset) == ("truncated", 2000)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.999])
def test_compressed_data_that_ends_early_is_refused(codec, part):
    blob = squeeze(make_archive(), codec)
    with pytest.raises((CompressedDataError, TarError)):
        by_stream(stream_of(blob[: int(len(blob) * part)]))


def test_compressed_data_that_is_damaged_is_refused():
    blob = bytearray(squeeze(make_archive(), "gzip"))
    blob[len(blob) // 2] ^= 0xFF
    with pytest.raises((CompressedDataError, TarError)):
        by_stream(stream_of(bytes(blob)))


def test_bytes_behind_the_end_of_an_archive_are_not_members():
    data = entry(b"a", b"x") + END
    behind = data + entry(b"evil", b"y") + END
    with pytest.raises(TarError):
        list(stream_of(behind, "strict"))
    assert [m.entry.name for m in stream_of(behind)] == ["a"]


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_bytes_behind_compressed_data_are_refused(codec):
    with pytest.raises(CompressedDataError):
        by_stream(stream_of(squeeze(make_archive(), codec) + b"trailing"))


def test_bytes_that_are_no_archive_are_refused():
    with pytest.raises(TarError):
        list(stream_of(random.Random(1).randbytes(5000)))


@pytest.mark.parametrize("head", [b"\xfd7zXZ\0", b"BZh91AY&SY"])
def test_compression_that_is_not_read_is_named(head):
    with pytest.raises(UnknownCodec):
        stream_of(head + bytes(50))


# ---- limits ----


def test_what_comes_out_of_a_compressed_archive_is_bounded():
    blob = squeeze(entry(b"a", bytes(3 << 20)) + END, "gzip")
    with pytest.raises(LimitExceeded) as caught:
        by_stream(stream_of(blob, output_bytes=1 << 20))
    assert caught.value.name == "output_bytes"
    with pytest.raises(LimitExceeded) as caught:
        by_stream(stream_of(blob, ratio=10, ratio_grace_bytes=1 << 20))
    assert caught.value.name == "ratio"


def test_the_number_of_members_is_bounded():
    data = b"".join(entry(b"%d" % number) for number in range(20)) + END
    assert len(list(stream_of(data, entries=20))) == 20
    with pytest.raises(LimitExceeded) as caught:
        list(stream_of(data, entries=19))
    assert caught.value.name == "entries"


def test_the_output_limit_of_a_layer_is_not_that_of_an_archive(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(squeeze(make_archive([100_000] * 5), "gzip"))
    limits = Limits(output_bytes=100_000)
    stream = open_stream(str(path), limits, "compat")
    assert [len(each) for _, _, each in by_stream(stream)].count(100_000) == 5
    stream.close()
    assert limits == replace(limits)


# ---- files ----


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_is_closed_however_it_ends(codec, tmp_path):
    path = tmp_path / "archive"
    data = make_archive()
    path.write_bytes(squeeze(data, codec))
    with nothing_left():
        stream = open_stream(str(path), Limits(), "compat")
        assert by_stream(stream) == by_tarfile(data)
        stream.close()
        stream.close()
        stream = open_stream(str(path), Limits(), "compat")
        next(iter(stream))
        stream.close()


def test_a_file_that_cannot_be_read_as_an_archive_is_closed(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(b"\xfd7zXZ\0" + bytes(50))
    with nothing_left():
        with pytest.raises(UnknownCodec):
            open_stream(str(path), Limits(), "compat")
        with pytest.raises(FileNotFoundError):
            open_stream(str(tmp_path / "missing"), Limits(), "compat")


# ---- DecodedReader by itself ----


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, 9, 10, *SIZES[-4:], 2 * PIECE_BYTES])
@pytest.mark.parametrize("room", [512, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 1 << 20])
def test_decoded_bytes_are_the_same_for_every_room(codec, size, room):
    plain = random.Random(size).randbytes(size)
    blob = squeeze(plain, codec)
    reader = DecodedReader(BufferReader(memoryview(blob)), Limits(), "compat")
    assert reader.codec == ("identity" if codec == "plain" else codec)
    assert drain(reader, room) == plain
    assert reader.readinto(memoryview(bytearray(10))) == 0


@pytest.mark.parametrize("codec", CODECS)
def test_rooms_of_mixed_sizes_and_a_source_in_drops_give_the_same_bytes(codec):
    plain = make_tar(3, 30, 80_000)
    source, rng = io.BytesIO(squeeze(plain, codec)), random.Random(codec)
    reader = DecodedReader(
        FileReader(lambda size: source.read(min(size, rng.choice([1, 9, 5000, 300_000])))),
        Limits(),
        "compat",
    )
    hasher, total = hashlib.sha256(), 0
    while True:
        room = memoryview(bytearray(rng.choice([1, 512, PIECE_BYTES - 1, PIECE_BYTES, 700_000])))
        count = reader.readinto(room)
        hasher.update(room[:count])
        total += count
        if count < len(room):
            break
    assert total == len(plain)
    assert hasher.digest() == hashlib.sha256(plain).digest()
