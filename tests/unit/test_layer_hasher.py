"""LayerHasher: the same report as hash_layer however the bytes come, dead after a failure."""

import gc
import os
import random
import resource
import tarfile
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.layers import LAYER, check, make_layer, make_tar, sha256, squeeze
from support.processes import children

from ocifast import Descriptor, LayerHasher, Limits, hash_layer
from ocifast.errors import (
    CompressedDataError,
    DigestMismatch,
    LimitExceeded,
    SizeMismatch,
    StateError,
    TarError,
    UnknownCodec,
)

CODECS = ["plain", "gzip", "zstd"]
LAYERS = {codec: make_layer(codec, 3, 12, 4000) for codec in CODECS}


def pushed(blob, cuts=(), **options):
    hasher = LayerHasher(**options)
    for start, end in zip([0, *cuts], [*cuts, len(blob)], strict=True):
        hasher.update(blob[start:end])
    return hasher.finish()


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.data())
@settings(max_examples=40)
def test_any_split_gives_the_report_of_hash_layer(codec, data):
    layer = LAYERS[codec]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(layer.blob)), max_size=20)))
    report = pushed(layer.blob, cuts, table=True)
    check(report, layer)
    whole = hash_layer(layer.blob, profile="strict")
    assert report.table == whole.table
    assert report.path == ""


@pytest.mark.parametrize("codec", CODECS)
def test_one_byte_at_a_time_is_enough(codec):
    layer = make_layer(codec, 1, 3, 500)
    check(pushed(layer.blob, range(1, len(layer.blob))), layer)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do_and_none_is_kept(codec, kind):
    layer, hasher = LAYERS[codec], LayerHasher()
    buffer = bytearray(layer.blob) if kind is not bytes else layer.blob
    hasher.update(kind(buffer) if kind is not bytearray else buffer)
    if kind is not bytes:
        buffer[:] = bytes(len(buffer))
        buffer.extend(b"resized: nobody exports it any more")
    check(hasher.finish(), layer)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("profile", ["strict", "compat"])
def test_findings_are_those_of_hash_layer(codec, profile):
    cut = make_tar(4).rstrip(b"\0")  # ends with its last payload, which only compat takes
    blob = squeeze(cut, codec) + (b"\0" * 50 if codec == "gzip" else b"")
    if profile == "strict":
        with pytest.raises((TarError, CompressedDataError)) as mine:
            pushed(blob, [100])
        with pytest.raises((TarError, CompressedDataError)) as theirs:
            hash_layer(blob, profile="strict")
        assert str(mine.value) == str(theirs.value)
    else:
        report, whole = pushed(blob, [100], profile="compat"), hash_layer(blob)
        assert report.findings == whole.findings
        assert report.finding_count == whole.finding_count > 0


def test_an_uncompressed_layer_is_hashed_once():
    report = pushed(LAYERS["plain"].blob)
    assert report.digest is report.diff_id


def test_offset_counts_the_bytes_given():
    hasher, blob = LayerHasher(), LAYERS["gzip"].blob
    for at, byte in enumerate(blob[:300]):
        assert hasher.offset == at
        hasher.update(bytes([byte]))
    assert hasher.offset == 300


# ---- what fails, and when ----


def test_an_empty_upload_is_refused():
    for profile in ("strict", "compat"):
        with pytest.raises(TarError):
            LayerHasher(profile=profile).finish()


@pytest.mark.parametrize("length", range(1, 12))
def test_a_blob_shorter_than_what_tells_its_codec_is_refused(length):
    for codec in CODECS:
        with pytest.raises((TarError, CompressedDataError)):
            pushed(LAYERS[codec].blob[:length])


def test_too_many_bytes_are_refused_before_they_are_looked_at():
    layer = LAYERS["gzip"]
    hasher = LayerHasher(expected=Descriptor(size=len(layer.blob)))
    hasher.update(layer.blob[:-1])
    with pytest.raises(SizeMismatch) as caught:
        hasher.update(layer.blob[-1:] + bytes(100))
    assert caught.value.expected == len(layer.blob)


def test_too_few_bytes_are_refused_at_the_end():
    hasher = LayerHasher(expected=Descriptor(size=100_000))
    hasher.update(LAYERS["plain"].blob)
    with pytest.raises(SizeMismatch):
        hasher.finish()


def test_another_digest_is_refused_at_the_end():
    layer = LAYERS["zstd"]
    expected = Descriptor(digest=layer.digest, size=len(layer.blob), media_type=layer.media_type)
    check(pushed(layer.blob, expected=expected), layer)
    with pytest.raises(DigestMismatch):
        pushed(layer.blob, expected=Descriptor(digest=sha256(b"")))


def test_z07_another_media_type_is_refused_with_the_first_bytes():
    hasher = LayerHasher(expected=Descriptor(media_type=LAYER))
    with pytest.raises(CompressedDataError, match="promises identity, the bytes are gzip"):
        hasher.update(LAYERS["gzip"].blob[:10])
    report = pushed(LAYERS["gzip"].blob, profile="compat", expected=Descriptor(media_type=LAYER))
    assert [finding.code for finding in report.findings] == ["media-type"]


def test_limits_reach_through():
    with pytest.raises(LimitExceeded, match="entries"):
        pushed(LAYERS["plain"].blob, limits=Limits(entries=5))
    with pytest.raises(LimitExceeded, match="output_bytes"):
        pushed(LAYERS["gzip"].blob, limits=Limits(output_bytes=1000))


@pytest.mark.parametrize("name", ["xz", "bzip2"])
def test_other_codecs_are_refused_by_name(name):
    head = {"xz": b"\xfd7zXZ\0", "bzip2": b"BZh9\x31\x41\x59\x26\x53\x59"}[name]
    with pytest.raises(UnknownCodec, match=name):
        pushed(head + bytes(100))


BREAK = {"plain": bytes(700) + b"x" * 5000, "gzip": b"\x1f\x8b\x08" + b"\xff" * 50}


@pytest.mark.parametrize("kind", BREAK)
def test_a_hasher_that_has_failed_is_dead(kind):
    hasher = LayerHasher()
    with pytest.raises((TarError, CompressedDataError)):
        hasher.update(BREAK[kind])
    for call in (lambda: hasher.update(b""), hasher.finish, hasher.state):
        with pytest.raises(StateError):
            call()


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_hasher_that_has_failed_lets_go_of_the_buffer(codec):
    broken, hasher = bytearray(LAYERS[codec].blob), LayerHasher()
    broken[1000:1100] = bytes(100)
    gc.disable()
    try:
        with pytest.raises((TarError, CompressedDataError)):
            hasher.update(broken)
        broken.append(0)
    finally:
        gc.enable()


def test_a_finished_hasher_is_dead():
    hasher = LayerHasher()
    hasher.update(LAYERS["plain"].blob)
    hasher.finish()
    for call in (lambda: hasher.update(b""), hasher.finish, hasher.state):
        with pytest.raises(StateError):
            call()


def test_what_is_no_buffer_is_a_type_error_and_harmless():
    hasher = LayerHasher()
    for wrong in (None, "text", 5, [1, 2], memoryview(bytes(8))[::2]):
        with pytest.raises(TypeError):
            hasher.update(wrong)
    hasher.update(LAYERS["plain"].blob)
    check(hasher.finish(), LAYERS["plain"])


def test_a_second_thread_within_an_update_is_refused():
    hasher, refused, done = LayerHasher(), [], []
    hasher.update(bytes(1024))
    zeros = bytes(1 << 20)  # as many as strict takes behind the end

    def work():
        try:
            hasher.update(zeros[: 1 << 14])
            done.append(1)
        except StateError:
            refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) + len(done) == 30
    assert hasher.offset == 1024 + len(done) * (1 << 14)


# ---- what it costs ----


def test_no_thread_and_no_process_is_made():
    before = children(), os.listdir("/proc/self/task")
    for layer in LAYERS.values():
        hasher = LayerHasher()
        hasher.update(layer.blob)
        hasher.state()
        assert (children(), os.listdir("/proc/self/task")) == before
        hasher.finish()


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_one_huge_update_of_a_bomb_takes_little_memory(codec):
    bomb = squeeze(make_tar(1, 2)[:-10240] + bytes(300 << 20), codec)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LimitExceeded):
        LayerHasher(profile="compat", limits=Limits(output_bytes=250 << 20)).update(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def convoy(work):
    """Seconds of work alone and beside a thread that never lets go of the GIL by itself."""

    def timed():
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    timed()
    alone = min(timed() for _ in range(3))
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            sum(range(100))

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        beside = min(timed() for _ in range(3))
    finally:
        stop.set()
        thread.join()
    return alone, beside


@pytest.mark.figures
def test_a_busy_thread_beside_costs_an_uncompressed_upload_little():
    """Each update releases the GIL once: at most 5 ms a MiB, whatever hashing takes."""
    data = random.Random(1).randbytes(1 << 20)
    member = tarfile.TarInfo("large")
    member.size = 1 << 30

    def work():
        hasher = LayerHasher()
        hasher.update(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(32):
            hasher.update(data)

    alone, beside = convoy(work)
    assert beside < 32 * 0.008 + 3 * alone


@pytest.mark.figures
def test_a_busy_thread_beside_costs_small_updates_nothing():
    """Below 32 KiB the GIL is kept: a thousand updates do not wait a thousand times 5 ms."""
    layer = make_layer("plain", 1, 300, 20_000)

    def work():
        hasher = LayerHasher()
        for at in range(0, len(layer.blob), 8192):
            hasher.update(layer.blob[at : at + 8192])

    alone, beside = convoy(work)
    assert beside < 6 * alone + 0.05
