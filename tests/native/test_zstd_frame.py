"""The frame walker: where frames end, what their headers may say, at any border."""

import array
import random

import pytest
from codec_kit import cut
from hypothesis import given
from hypothesis import strategies as st
from zstd_frames import BLOCK_MAX, MAGIC, block, frame, header, raw, run, skippable

from ocifast._native.zstd_frame import FrameWalker
from ocifast.errors import CompressedDataError, LimitExceeded

MIB = 1 << 20
FRAMES = [
    frame(),
    frame(b"hello"),
    frame(b"hello", checksum=True),
    frame(b"hello", window=None, size=5, checksum=True),
    frame(b"hello", size=5, flag=1 + 1),
    frame(b"x" * 300, window=None, size=300, flag=1),
    frame(b"hello", dictionary=b"\0\0\0\0", size=5),
    frame(b"y" * (2 * BLOCK_MAX + 7)),
    header() + run(b"z", BLOCK_MAX) + run(b"z", 0) + raw(b"") * 20 + run(b"z", 1, last=True),
    header() + block(2, 50, bytes(50), last=True),
    skippable(b""),
    skippable(b"abc", 15),
]


def walker(window=128 * MIB, skippable_bytes=MIB, frames=1000):
    return FrameWalker(window, skippable_bytes, frames)


def ends(walk, pieces):
    """Blob offsets of the ends of frames."""
    found, base = [], 0
    for piece in pieces:
        at = 0
        while at < len(piece):
            at += walk.walk(piece, at)
            if walk.inside is None:
                found.append(base + at)
        base += len(piece)
    return found


def refusal(blob, **limits):
    """The error of a blob, which has to be the same in one piece and in bytes."""
    caught = []
    for pieces in ([blob], [blob[i : i + 1] for i in range(len(blob))]):
        with pytest.raises((CompressedDataError, LimitExceeded)) as info:
            ends(walker(**limits), pieces)
        caught.append(info.value.args[:3])
    assert caught[0] == caught[1]
    return caught[0]


@pytest.mark.parametrize("seed", range(50))
def test_frame_ends_do_not_depend_on_borders(seed):
    rng = random.Random(seed)
    frames = rng.choices(FRAMES, k=rng.randrange(1, 12))
    blob, expected = b"".join(frames), []
    for each in frames:
        expected.append((expected[-1] if expected else 0) + len(each))
    walk = walker()
    assert ends(walk, cut(blob, seed)) == expected
    assert walk.frames == len(frames)
    skipped = [each for each in frames if each[1:4] == b"\x2a\x4d\x18"]
    assert walk.data_frames == len(frames) - len(skipped)
    assert walk.skippable_bytes == sum(map(len, skipped))


@pytest.mark.parametrize("blob", FRAMES)
def test_nothing_but_the_end_of_a_frame_is_a_border(blob):
    walk = walker()
    for at in range(len(blob)):
        assert (walk.inside is None) == (at == 0)
        assert walk.walk(blob[at : at + 1]) == 1
    assert walk.inside is None


def test_parts_are_named():
    blob, names = frame(b"hello", checksum=True), []
    walk = walker()
    for at in range(len(blob)):
        walk.walk(blob[at : at + 1])
        names.append(walk.inside)
    assert names == (
        ["frame header"] * 5 + ["block header"] * 3 + ["block"] * 5 + ["checksum"] * 4 + [None]
    )
    walk.walk(skippable(b"abc")[:9])
    assert walk.inside == "skippable frame"


@pytest.mark.parametrize(
    ("fields", "size", "window"),
    [
        ({}, None, 128 << 10),
        ({"size": 5}, 5, 128 << 10),
        ({"size": 2**64 - 1}, 2**64 - 1, 128 << 10),
        ({"window": None, "size": 5}, 5, 5),
        ({"window": None, "size": 300, "flag": 1}, 300, 300),
        ({"window": None, "size": 70_000, "flag": 2}, 70_000, 70_000),
        ({"window": 0}, None, 1024),
        ({"window": 0x68}, None, 8 * MIB),
        ({"window": 0x8F}, None, 240 * MIB),
    ],
)
@pytest.mark.parametrize("checksum", [False, True])
def test_header_fields_are_read(fields, size, window, checksum):
    walk = walker(window=2**62)
    walk.walk(header(**fields, checksum=checksum))
    assert (walk.content_size, walk.window, walk.has_checksum) == (size, window, checksum)
    assert walk.inside == "block header"


@pytest.mark.parametrize(
    "blob", [b"\0", b"x", b"\x28\xb5\x2e", b"\x50\x2a\x4e", b"\x60\x2a\x4d\x18"]
)
def test_z03_other_bytes_are_no_frame_as_soon_as_they_differ(blob):
    assert refusal(blob) == ("zstd", 0, "not a zstd frame")
    reason = "bytes after the last frame do not begin another"
    assert refusal(FRAMES[1] + blob) == ("zstd", len(FRAMES[1]), reason)


@pytest.mark.parametrize("first", [0x1E, *range(0x22, 0x28)])
def test_z03_legacy_formats_are_refused_by_version(first):
    version = 1 if first == 0x1E else first - 0x20
    blob = FRAMES[1] + bytes([first]) + MAGIC[1:] + bytes(20)
    reason = f"legacy format v0.{version} is not supported"
    assert refusal(blob) == ("zstd", len(FRAMES[1]), reason)


def test_z03_reserved_bit_is_refused_and_the_unused_one_is_not():
    reason = "reserved bit set in frame header descriptor 0x08"
    assert refusal(header(extra=8)) == ("zstd", 0, reason)
    walker().walk(header(extra=16) + raw(b"", last=True))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_z03_dictionaries_are_refused(width):
    blob = header(dictionary=(7).to_bytes(width, "little"))
    assert refusal(blob) == ("zstd", 0, "frame needs dictionary 7, layers have none")


def test_block_type_3_is_refused_where_it_stands():
    blob = header() + raw(b"abc") + block(3, 1, b"x", last=True)
    assert refusal(blob) == ("zstd", len(header()) + 6, "reserved block type 3")


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_blocks_are_held_against_window_and_128_kib(kind):
    for head, most in (
        (header(window=0), 1024),
        (header(), BLOCK_MAX),
        (header(window=0x68), BLOCK_MAX),
    ):
        walker().walk(head + block(kind, most, b"x"))
        reason = f"block of {most + 1} bytes, at most {most} fit this frame"
        assert refusal(head + block(kind, most + 1, b"x")) == ("zstd", len(head), reason)
    reason = "block of 6 bytes, at most 5 fit this frame"
    assert refusal(header(None, 5) + block(kind, 6, b"x"))[2] == reason


def test_z02_windows_are_capped_inclusively():
    walker(window=8 * MIB).walk(header(window=0x68))
    expected = ("zstd_window_bytes", 8 * MIB, 9 * MIB)
    assert refusal(header(window=0x69), window=8 * MIB) == expected
    expected = ("zstd_window_bytes", 8 * MIB, 2**64 - 1)
    assert refusal(header(None, 2**64 - 1), window=8 * MIB) == expected
    expected = ("zstd_window_bytes", 128 * MIB, (1 << 41) // 8 * 15)
    assert refusal(header(window=0xFF)) == expected


def test_z03_skippable_frames_are_capped_together_before_they_are_read():
    blob = skippable(bytes(92)) * 2
    walk = walker(skippable_bytes=200)
    assert ends(walk, [blob]) == [100, 200]
    expected = ("skippable_bytes", 200, 208)
    assert refusal(blob + skippable(b""), skippable_bytes=200) == expected
    huge = skippable(b"")[:4] + b"\xff" * 4
    assert refusal(huge) == ("skippable_bytes", MIB, 2**32 + 7)


def test_z03_frames_of_both_kinds_are_capped():
    blob = frame() + skippable(b"")
    assert ends(walker(frames=2), [blob]) == [len(frame()), len(blob)]
    assert refusal(blob + frame(), frames=2) == ("members", 2, 3)


@pytest.mark.parametrize("blob", [b"x", header(dictionary=b"\1" * 4, size=9), header(extra=8)])
def test_an_error_is_final(blob):
    walk = walker()
    for data in (blob, frame() * 100):
        with pytest.raises(CompressedDataError) as caught:
            walk.walk(data)
        assert caught.value.offset == 0


def test_a_walker_that_was_never_initialised_takes_nothing():
    with pytest.raises(LimitExceeded):
        FrameWalker.__new__(FrameWalker).walk(frame())


def test_empty_input_and_a_start_at_the_end_take_nothing():
    walk = walker()
    assert walk.walk(b"") == walk.walk(b"abc", 3) == 0
    for start in (-1, 4):
        with pytest.raises(IndexError):
            walk.walk(b"abc", start)


def test_any_buffer_of_bytes_is_taken():
    blob = FRAMES[2]
    for data in (blob, bytearray(blob), memoryview(blob), array.array("B", blob)):
        assert walker().walk(data) == len(blob)
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        walker().walk(array.array("I", [1]))


@given(st.binary(max_size=60), st.sampled_from(FRAMES[:7]), st.integers(0, 20))
def test_any_bytes_are_walked_to_their_end_or_refused(noise, start, keep):
    walk, blob = walker(), start[:keep] + noise
    try:
        at = 0
        while at < len(blob):
            step = walk.walk(blob, at)
            assert step > 0
            at += step
    except (CompressedDataError, LimitExceeded):
        return
    assert at == len(blob)
