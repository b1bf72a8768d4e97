"""zstd frames end to end: what the walker and libzstd accept together, with every backend."""

import random
import subprocess
import time

import pytest
from codec_kit import PLAIN, decode, make_zstd, zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from zstd_frames import BLOCK_MAX, checksum_of, frame, header, raw, run, skippable

from ocifast.codecs import CODECS, open_decoder
from ocifast.errors import CompressedDataError, LimitExceeded, OcifastError
from ocifast.limits import Limits

MIB = 1 << 20


@pytest.fixture(params=CODECS["zstd"].backends)
def unpack(request):
    """``unpack(blob, profile=..., **limits)`` gives the output, or the decoder with it."""
    pytest.importorskip(request.param)

    def run_it(blob, profile="strict", piece=1 << 17, *, room=1 << 16, decoder=False, **limits):
        made = open_decoder("zstd", Limits(**limits), profile, backend=request.param)
        output = decode(made, blob, piece, room)
        return (output, made) if decoder else output

    return run_it


def refusal(call, *args, **kwargs):
    with pytest.raises(CompressedDataError) as caught:
        call(*args, **kwargs)
    assert caught.value.codec == "zstd"
    return caught.value.offset, caught.value.reason


@pytest.mark.parametrize("options", [[], ["-19"], ["--no-check"], ["-1", "-T2"], ["--long=27"]])
def test_what_the_zstd_tool_writes_is_read(unpack, oracle, options):
    tool = [oracle("zstd"), "-qc", *options]
    blob = subprocess.run(tool, input=PLAIN * 50, capture_output=True, check=True).stdout
    assert unpack(blob) == PLAIN * 50
    assert unpack(blob + blob, piece=1000) == PLAIN * 100


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("28b52ffd0468010000 99e9d851", b""),
        ("28b52ffd0400290000 68656c6c6f a36d9f88", b"hello"),
        ("28b52ffd44080003 032000 00 cdac85f0", bytes(1024)),
        ("28b52ffd2400010000 99e9d851", b""),
    ],
)
def test_frames_of_other_encoders_are_read(unpack, text, plain):
    assert unpack(bytes.fromhex(text)) == plain


@pytest.mark.parametrize("piece", [1, 100, 1 << 17])
def test_z03_frames_concatenate_and_skippable_ones_stand_anywhere(unpack, piece):
    rng = random.Random(4)
    plains = [rng.randbytes(50) * rng.randrange(100) for _ in range(30)]
    blob = b"".join(
        skippable(rng.randbytes(rng.randrange(9)), rng.randrange(16)) + make_zstd(plain)
        for plain in plains
    )
    blob += skippable(b"table of contents")
    output, decoder = unpack(blob, piece=piece, decoder=True)
    assert output == b"".join(plains)
    assert decoder.stored == len(blob)
    assert decoder.restart == (len(blob) - 25, len(output))


def test_z03_thousands_of_empty_frames_are_read_and_capped(unpack):
    blob = frame(checksum=True) * 5000
    assert unpack(blob, members=5000) == b""
    with pytest.raises(LimitExceeded) as caught:
        unpack(blob, members=4999)
    assert caught.value.args[:3] == ("members", 4999, 5000)


@pytest.mark.parametrize("declared", [0, 4, 6, 300, 2**64 - 2, 2**64 - 1])
@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_z03_a_declared_size_that_is_not_the_size_is_refused(unpack, declared, piece):
    blob = make_zstd(PLAIN)
    offset, reason = refusal(unpack, blob + frame(b"hello", size=declared), piece=piece)
    assert offset >= len(blob)
    assert f"declares {declared} bytes" in reason


def test_z03_a_single_segment_that_lies_is_refused(unpack):
    assert unpack(frame(b"hello", window=None, size=5)) == b"hello"
    refusal(unpack, frame(b"hello", window=None, size=6))
    refusal(unpack, frame(b"hello", window=None, size=4))


def test_z03_frames_without_a_size_are_read(unpack):
    assert unpack(frame(PLAIN * 30)) == PLAIN * 30


@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_z03_only_skippable_frames_are_no_layer(unpack, profile):
    expected = (16, "only skippable frames, nothing to decode")
    assert refusal(unpack, skippable(b"") * 2, profile) == expected
    assert refusal(unpack, skippable(b"") * 2 + bytes(3), profile)[0] == 16


def test_z03_skippable_frames_are_capped(unpack):
    with pytest.raises(LimitExceeded) as caught:
        unpack(frame(b"x") + skippable(bytes(MIB)), skippable_bytes=MIB)
    assert caught.value.args[:3] == ("skippable_bytes", MIB, MIB + 8)


@pytest.mark.parametrize(("window", "refused"), [(0x68, False), (0x88, False), (0x89, True)])
def test_z02_windows_up_to_the_cap_are_decoded(unpack, window, refused):
    blob = frame(b"hello", window=window)
    if refused:
        with pytest.raises(LimitExceeded, match="zstd_window_bytes"):
            unpack(blob)
        assert unpack(blob, zstd_window_bytes=256 * MIB) == b"hello"
    else:
        assert unpack(blob) == b"hello"
        with pytest.raises(LimitExceeded, match="zstd_window_bytes"):
            unpack(blob, zstd_window_bytes=8 * MIB - 1)


@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_z05_nul_tail_is_refused_in_strict_and_found_in_compat(unpack, piece):
    blob = make_zstd(PLAIN)
    expected = (len(blob), "bytes follow the end of the compressed data")
    assert refusal(unpack, blob + bytes(512), piece=piece) == expected
    output, decoder = unpack(blob + bytes(512), "compat", piece, decoder=True)
    assert output == PLAIN
    assert [(found.code, found.offset) for found in decoder.findings] == [("nul-tail", len(blob))]


@pytest.mark.parametrize("profile", ["strict", "compat"])
@pytest.mark.parametrize("tail", [b"x", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfe", b"tail" * 50])
def test_z05_other_trailing_bytes_are_refused_in_both_profiles(unpack, profile, tail):
    blob = make_zstd(PLAIN)
    expected = (len(blob), "bytes after the last frame do not begin another")
    assert refusal(unpack, blob + tail, profile) == expected


def test_z05_nuls_between_frames_are_refused_in_both_profiles(unpack):
    blob = make_zstd(PLAIN) + bytes(9)
    for profile in ("strict", "compat"):
        refusal(unpack, blob + make_zstd(b""), profile)


@pytest.mark.parametrize("piece", [1, 1 << 17])
def test_z06_a_wrong_checksum_is_refused(unpack, piece):
    blob = frame(b"hello", checksum=True)
    assert unpack(blob, piece=piece) == b"hello"
    hurt = blob[:-4] + checksum_of(b"hullo")
    offset, reason = refusal(unpack, blob + hurt, piece=piece)
    assert len(blob) <= offset < 2 * len(blob)
    assert "checksum" in reason


def test_z01_runs_come_out_in_rooms_of_any_size(unpack):
    blob = header() + run(b"a", BLOCK_MAX) * 40 + run(b"b", 5, last=True)
    plain = b"a" * (40 * BLOCK_MAX) + b"b" * 5
    for room in (1000, BLOCK_MAX, BLOCK_MAX + 1, 8 * MIB):
        assert unpack(blob, room=room) == plain
    decoder = open_decoder("zstd", Limits(output_bytes=MIB))
    decoder.feed(blob)
    assert decoder.readinto(memoryview(bytearray(MIB))) == MIB
    with pytest.raises(LimitExceeded):
        decoder.readinto(memoryview(bytearray(MIB)))


def test_blocks_of_nothing_are_not_slow(unpack):
    blob = header() + raw(b"") * 300_000 + raw(b"", last=True)
    begin = time.process_time()
    assert unpack(blob) == b""
    assert time.process_time() - begin < 3


def by_libzstd(blob):
    """Output of frame after frame, or None."""
    output = b""
    try:
        while blob:
            inflater = zstd.ZstdDecompressor()
            output += inflater.decompress(blob)
            if not inflater.eof:
                return None
            blob = inflater.unused_data
    except zstd.ZstdError:
        return None
    return output


# what is refused here although libzstd may read it
STRICTER = ("only skippable", "legacy", "limit", "empty", "declares 18446744073709551615")

SEEDS = [
    make_zstd(PLAIN[1000:3000]),
    zstd.compress(PLAIN[:2500], 19),
    frame(b"hello", checksum=True) + skippable(b"abc") + frame(b"x" * 300, window=None, size=300),
    header(size=BLOCK_MAX * 2) + run(b"a", BLOCK_MAX) + run(b"b", BLOCK_MAX, last=True),
]


@settings(max_examples=400)
@given(
    seed=st.sampled_from(SEEDS),
    hits=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 255)), min_size=1, max_size=3),
    cut=st.integers(0, 3),
)
@pytest.mark.parametrize("backend", CODECS["zstd"].backends)
def test_z09_mutated_frames_mean_what_they_mean_to_libzstd(backend, seed, hits, cut):
    pytest.importorskip(backend)
    blob = bytearray(seed[: len(seed) - cut])
    for at, mask in hits:
        blob[at % len(blob)] ^= mask
    expected = by_libzstd(bytes(blob))
    for piece in (1 << 17, 1):
        output, error = attempt(bytes(blob), backend, piece)
        assert output == expected or any(word in error for word in STRICTER)


def attempt(blob, backend, piece):
    try:
        return decode(open_decoder("zstd", backend=backend), blob, piece), ""
    except OcifastError as error:
        return None, str(error)
