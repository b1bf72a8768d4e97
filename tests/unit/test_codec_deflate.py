"""Row Z09: deflate oddities. zlib is the measure, the slow reader the arbiter where ISA-L differs.

ISA-L takes Huffman sets that leave codes unused; zlib and Go refuse them. Such a stream has one
meaning all the same, so nobody reads other bytes: it is the one difference there is, and pinned.
"""

import zlib

import pytest
from codec_kit import decode
from deflate_writer import FIXED, InvalidError, Reader, Writer, gzip_member
from hypothesis import given, settings
from hypothesis import strategies as st

from ocifast.codecs import CODECS, open_decoder
from ocifast.errors import CompressedDataError

BACKENDS = CODECS["gzip"].backends
EVEN = [8] * 254 + [0, 0, 8, 9, 9]  # complete: literals 0..253, end of block, two lengths


def unpack(raw, output, backend, piece=1 << 17):
    """The output of a member with this body, or None when it is refused."""
    try:
        return decode(open_decoder("gzip", backend=backend), gzip_member(raw, output), piece)
    except CompressedDataError:
        return None


def by_zlib(raw):
    try:
        inflater = zlib.decompressobj(-15)
        output = inflater.decompress(raw)
    except zlib.error:
        return None
    return output if inflater.eof and not inflater.unused_data else None


def by_reader(raw):
    """Output and completeness, or None."""
    reader = Reader(raw)
    try:
        output, used = reader.read()
    except InvalidError:
        return None
    return (output, reader.complete) if used == len(raw) else None


def far_copy(distance_extra, filler):
    """Filler, then 3 bytes from 24577 + extra bytes before."""
    writer = Writer()
    for at in range(0, len(filler), 65535):
        writer.stored(filler[at : at + 65535])
    writer.bits(1, 1).bits(1, 2).fixed(257).code(29, 5).bits(distance_extra, 13)
    return writer.fixed(256).bytes()


def one_symbol(length, extra, count):
    return Writer().bits(1, 1).bits(1, 2).fixed(65).fixed(length).bits(extra, count)


FILLER = bytes(range(256)) * 128
FULL = [8] * 256 + [0] * 1  # 256 literals of 8 bits: complete, but no end of block
ONE_LITERAL = [0] * 65 + [1] + [0] * 190 + [1]  # "A" and end of block, complete
ODD = {
    "distance 32768": far_copy(8191, FILLER),
    "distance 32768 across 65535 bytes": far_copy(8191, FILLER * 3),
    "distance one beyond the start": far_copy(8191, FILLER[:-1]),
    "distance 32767 at the start": far_copy(8190, FILLER[:-1]),
    "ten thousand empty stored blocks": Writer().stored(b"").bytes() * 10_000 + b"\x03\x00",
    "stored run of the largest blocks": Writer().stored(bytes(65535)).bytes() * 20 + b"\x03\x00",
    "last stored block empty": Writer().stored(b"abc").stored(b"", last=True).bytes(),
    "stored complement wrong": Writer().stored(b"abc", last=True, complement=0xFFFE).bytes(),
    "block type 3": b"\x07\x00",
    "length 258 by its own code": one_symbol(285, 0, 0).code(0, 5).fixed(256).bytes(),
    "length 258 as 227 and 31": one_symbol(284, 31, 5).code(0, 5).fixed(256).bytes(),
    "literal code 286": one_symbol(286, 0, 0).code(0, 5).fixed(256).bytes(),
    "literal code 287": one_symbol(287, 0, 0).code(0, 5).fixed(256).bytes(),
    "distance code 30": one_symbol(257, 0, 0).code(30, 5).fixed(256).bytes(),
    "distance code 31": one_symbol(257, 0, 0).code(31, 5).fixed(256).bytes(),
    "no distance code, none used": Writer().dynamic(ONE_LITERAL, [0]).bits(0b110, 3).bytes(),
    "one distance code of one bit, unused": Writer().dynamic(ONE_LITERAL, [1]).bits(2, 2).bytes(),
    "one distance code of one bit, used": (
        Writer().dynamic([*EVEN], [1]).code(65, 8).code(0x1FE, 9).bits(0, 1).code(254, 8).bytes()
    ),
    "the missing half of a one-bit distance": (
        Writer().dynamic([*EVEN], [1]).code(65, 8).code(0x1FE, 9).bits(1, 1).code(254, 8).bytes()
    ),
    "only the end of block has a code": Writer().dynamic([0] * 256 + [1], [0]).bits(0, 1).bytes(),
    "no end of block": Writer().dynamic(FULL, [1]).code(65, 8).bytes(),
    "too many literals in a set": Writer()
    .dynamic([1, 1, 1, *[0] * 253, 1], [1])
    .bits(0, 9)
    .bytes(),
    "too many distances in a set": Writer().dynamic(ONE_LITERAL, [1, 1, 1]).bits(2, 2).bytes(),
    "287 literal codes": Writer().dynamic([*ONE_LITERAL, *[0] * 30], [1]).bits(2, 2).bytes(),
    "31 distance codes": Writer().dynamic(ONE_LITERAL, [1] + [0] * 30).bits(2, 2).bytes(),
    "286 literal and 30 distance codes": (
        Writer().dynamic([*ONE_LITERAL, *[0] * 29], [1] + [0] * 29).bits(2, 2).bytes()
    ),
    "15-bit codes": (Writer().dynamic([*range(1, 16), 15, *[0] * 240, 0], [1]).bits(0, 1).bytes()),
    "repeat of nothing": Writer().bits(5, 3).bits(0, 14).bits(0b001, 3).bits(1, 9).bytes(),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
def test_z09_oddities_are_taken_or_refused_as_zlib_does(raw, backend):
    pytest.importorskip(backend)
    expected = by_zlib(raw)
    output = (by_reader(raw) or (b"",))[0] if expected is None else expected
    for piece in (1 << 17, 1 if len(raw) < 10_000 else 4093):
        assert unpack(raw, output, backend, piece) == expected


def test_z09_the_odd_streams_are_both_good_and_bad():
    verdicts = {name: by_zlib(raw) is not None for name, raw in ODD.items()}
    assert verdicts["distance 32768"]
    assert verdicts["one distance code of one bit, used"]
    assert not verdicts["distance one beyond the start"]
    assert not verdicts["the missing half of a one-bit distance"]
    assert sum(verdicts.values()) >= 12
    for name, raw in ODD.items():
        found = by_reader(raw)
        assert (found is not None and found[1]) == verdicts[name], name


INCOMPLETE = {
    "literals": Writer()
    .dynamic([0] * 65 + [2] + [0] * 190 + [2], [1])
    .code(0, 2)
    .code(1, 2)
    .bytes(),
    "distances": Writer().dynamic(ONE_LITERAL, [2]).bits(0b10, 2).bytes(),
}


@pytest.mark.parametrize("raw", INCOMPLETE.values(), ids=INCOMPLETE)
def test_z09_incomplete_sets_are_read_by_isal_alone_and_with_one_meaning(raw):
    pytest.importorskip("isal")
    assert by_reader(raw) == (b"A", False)
    assert unpack(raw, b"A", "isal.igzip_lib") == b"A"
    assert unpack(raw, b"A", "zlib") is None


SEEDS = [
    zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    for level in (1, 9)
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED)
]
TEXT = b"a layer, a tree, a tar; " * 12 + bytes(range(200))
SEEDS = [each.compress(TEXT) + each.flush() for each in SEEDS]


@settings(max_examples=400)
@given(
    seed=st.sampled_from(SEEDS),
    hits=st.lists(st.tuples(st.integers(0, 79), st.integers(1, 255)), min_size=1, max_size=3),
    cut=st.integers(0, 3),
)
def test_z09_mutated_streams_mean_to_both_backends_what_they_mean_to_zlib(seed, hits, cut):
    raw = bytearray(seed[: len(seed) - cut])
    for at, mask in hits:
        raw[at] ^= mask
    raw = bytes(raw)
    found = by_reader(raw)
    output, complete = found or (b"", True)
    strict = output if found and complete else None
    assert by_zlib(raw) == strict
    for backend in BACKENDS:
        lenient = backend.startswith("isal") and found
        assert unpack(raw, output, backend) == (output if lenient else strict)


def test_fixed_codes_of_the_writer_are_those_of_the_format():
    raw = Writer().bits(1, 1).bits(1, 2).fixed(0).fixed(200).fixed(256).bytes()
    assert by_zlib(raw) == b"\x00\xc8"
    assert len(FIXED) == 288
