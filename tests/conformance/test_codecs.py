"""Every codec of the table, with every backend that is installed, against the kit."""

import array
import gc
import mmap
import random
import tempfile
import tracemalloc
import weakref

import pytest
from codec_kit import BLOBS, PLAIN, cut, decode, decode_pieces, drain

from ocifast.codecs import CODECS, SNIFF_BYTES, open_decoder, sniff
from ocifast.errors import (
    CompressedDataError,
    KernelUnavailable,
    LimitExceeded,
    OcifastError,
    StateError,
)
from ocifast.limits import Limits

VARIANTS = [(name, each) for name, codec in CODECS.items() for each in codec.backends or (None,)]
FRAMED = [variant for variant in VARIANTS if variant[0] != "identity"]


class Subject:
    """One codec with one backend."""

    def __init__(self, name, backend):
        self.name, self.backend = name, backend
        self.blob = BLOBS[name](PLAIN)

    def open(self, limits=None, profile="strict"):
        return open_decoder(self.name, limits or Limits(), profile, backend=self.backend)


def subject_of(variant):
    subject = Subject(*variant)
    try:
        subject.open()
    except KernelUnavailable as error:
        pytest.skip(str(error))
    return subject


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(filter(None, variant)))
def subject(request):
    """Any codec."""
    return subject_of(request.param)


@pytest.fixture(params=FRAMED, ids="-".join)
def framed(request):
    """A codec whose blobs say themselves where they end."""
    return subject_of(request.param)


def test_the_output_is_the_plain_bytes_and_both_sides_are_counted(subject):
    decoder = subject.open()
    assert decode(decoder, subject.blob) == PLAIN
    assert (decoder.stored, decoder.produced) == (len(subject.blob), len(PLAIN))
    assert decoder.findings == []
    assert decoder.needs_input


def test_the_backend_in_use_is_readable(subject):
    assert subject.open().backend == (subject.backend or "memoryview")


def test_an_unknown_backend_is_refused(framed):
    with pytest.raises(KernelUnavailable, match="no_such_module"):
        open_decoder(framed.name, backend="no_such_module")


def test_single_bytes_in_and_out_give_the_same(subject):
    assert decode(subject.open(), subject.blob, piece=1, room=1) == PLAIN
    assert decode(subject.open(), subject.blob, piece=1) == PLAIN
    assert decode(subject.open(), subject.blob, room=1) == PLAIN


@pytest.mark.parametrize("seed", range(20))
def test_any_cut_and_any_room_give_the_same(subject, seed):
    room = random.Random(seed).choice((2, 7, 100, 4096, 1 << 20))
    assert decode_pieces(subject.open(), cut(subject.blob, seed), room) == PLAIN


def test_every_kind_of_buffer_can_be_fed(subject):
    blob = subject.blob
    with tempfile.TemporaryFile() as file:
        file.write(blob)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert decode_pieces(subject.open(), [mapped]) == PLAIN
    for kind in (bytes, bytearray, memoryview, lambda data: array.array("B", data)):
        assert decode_pieces(subject.open(), [kind(blob)]) == PLAIN
    shifted = memoryview(b"x" + blob)[1:].toreadonly()
    assert decode_pieces(subject.open(), [shifted]) == PLAIN


def test_a_drained_buffer_is_let_go(subject):
    decoder, buffer = subject.open(), bytearray(subject.blob)
    decoder.feed(buffer)
    assert b"".join(drain(decoder)) == PLAIN
    buffer.clear()  # BufferError while somebody still holds it


def test_empty_pieces_change_nothing(subject):
    assert decode_pieces(subject.open(), [b"", subject.blob, b"", b""]) == PLAIN


def test_a_decoder_restarted_where_it_says_continues_the_output(subject):
    blob, expected = subject.blob * 3, PLAIN * 3
    decoder, seen = subject.open(), set()
    for at in range(0, len(blob), 61):
        decoder.feed(blob[at : at + 61])
        for _ in drain(decoder, 512):
            seen.add(decoder.restart)
    decoder.finish()
    assert len(seen) >= 3
    for stored, produced in random.Random(1).sample(sorted(seen), min(len(seen), 20)):
        assert decode(subject.open(), blob[stored:] or b"") == expected[produced:]


def test_feeding_too_early_is_a_state_error(subject):
    decoder = subject.open()
    decoder.feed(subject.blob)
    for call in (lambda: decoder.feed(b"x"), decoder.finish):
        with pytest.raises(StateError, match="before the last piece was drained"):
            call()


def test_a_finished_decoder_takes_nothing_more(subject):
    decoder = subject.open()
    decode(decoder, subject.blob)
    for call in (lambda: decoder.feed(subject.blob), decoder.finish):
        with pytest.raises(StateError, match="finished"):
            call()


def test_a_failed_decoder_stays_failed(subject):
    decoder = subject.open(Limits(output_bytes=10))
    decoder.feed(subject.blob)
    with pytest.raises(LimitExceeded):
        list(drain(decoder))
    with pytest.raises(StateError):
        decoder.readinto(memoryview(bytearray(10)))


def test_z01_output_is_capped_at_the_byte(subject):
    assert decode(subject.open(Limits(output_bytes=len(PLAIN))), subject.blob) == PLAIN
    for piece, room in ((1, 1), (1 << 17, 1 << 16), (100, 7)):
        with pytest.raises(LimitExceeded) as caught:
            decode(subject.open(Limits(output_bytes=len(PLAIN) - 1)), subject.blob, piece, room)
        assert caught.value.args[:3] == ("output_bytes", len(PLAIN) - 1, len(PLAIN))


def test_z01_ratio_is_capped_after_the_grace(subject):
    plain = bytes(1 << 20)
    blob = BLOBS[subject.name](plain)
    ratio = -(-len(plain) // len(blob))
    assert decode(subject.open(Limits(ratio=2 * ratio, ratio_grace_bytes=0)), blob) == plain
    assert decode(subject.open(Limits(ratio=0, ratio_grace_bytes=len(plain))), blob) == plain
    with pytest.raises(LimitExceeded) as caught:
        decode(subject.open(Limits(ratio=ratio // 2, ratio_grace_bytes=1000)), blob)
    name, limit, actual = caught.value.args[:3]
    assert (name, limit) == ("ratio", ratio // 2)
    assert limit < actual


def test_z01_memory_stays_small_while_a_bomb_inflates(subject):
    blob = BLOBS[subject.name](bytes(64 << 20))
    decoder = subject.open(Limits(ratio=1 << 20))
    out = memoryview(bytearray(1 << 16))
    total = 0
    tracemalloc.start()
    try:
        decoder.feed(blob)
        while not decoder.needs_input:
            total += decoder.readinto(out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 1 << 20


def test_z06_a_blob_cut_at_any_byte_is_refused_there(framed):
    for length in range(len(framed.blob)):
        for piece in (1 << 17, 1) if length % 32 == 0 else (1 << 17,):
            with pytest.raises(CompressedDataError) as caught:
                decode(framed.open(), framed.blob[:length], piece)
            assert caught.value.offset == length
            assert caught.value.reason.startswith("truncated inside" if length else "empty")


def test_z10_flipped_bits_never_give_other_bytes(framed):
    plain = PLAIN[:1500]
    blob = BLOBS[framed.name](plain)
    for bit in range(len(blob) * 8):
        hurt = bytearray(blob)
        hurt[bit // 8] ^= 1 << bit % 8
        try:
            output = decode(framed.open(), bytes(hurt))
        except OcifastError:
            continue
        assert output == plain  # gzip's time stamp, say


def test_the_first_bytes_name_the_codec(subject):
    for length in (SNIFF_BYTES, 512, len(subject.blob)):
        assert sniff(subject.blob[:length]) == subject.name


def test_a_dropped_decoder_is_freed_at_once(subject):
    gc.disable()
    try:
        decoder = subject.open()
        decoder.feed(subject.blob)
        decoder.readinto(memoryview(bytearray(100)))
        gone = weakref.ref(decoder)
        del decoder
        assert gone() is None
    finally:
        gc.enable()
