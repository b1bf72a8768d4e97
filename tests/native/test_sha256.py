"""Digests: every kernel and lane width against hashlib, every kind of buffer, threads."""

import array
import ctypes
import hashlib
import mmap
import random
import threading
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocifast._native.sha256 import Sha256, hash_many
from ocifast._native.sha256_kernel import kernel, kernels, set_kernel

NOISE = random.Random(256).randbytes(1 << 20)
# head -c 4294967303 /dev/zero | sha256sum
ZEROS_4_GIB_7 = bytes.fromhex("8bfc028943c6cd8d43e54f9b91c380e0ce43eea4b54c4c567b33069385c2c7b9")
WIDTHS = [(k.name, w) for k in kernels() for w in (k.mb_per_s or [1])]


@pytest.fixture(params=WIDTHS, ids=[f"{name}-x{width}" for name, width in WIDTHS])
def lanes(request):
    """Run the test on one kernel and lane width; the count of lanes is the value."""
    name, width = request.param
    found = next(k for k in kernels() if k.name == name)
    if not found.available:
        pytest.skip(f"{name}: {found.reason}")
    chosen = set_kernel(name, lanes=width)
    assert chosen.lanes == tuple(sorted({1, width}))
    yield width
    set_kernel()


def sha(data):
    return hashlib.sha256(data).digest()


def test_every_length_up_to_300_gives_the_digest_of_hashlib(lanes):
    for size in range(301):
        assert Sha256(NOISE[7 : 7 + size]).digest() == sha(NOISE[7 : 7 + size]), size


def test_every_split_of_200_bytes_gives_the_same_digest(lanes):
    for cut in range(201):
        h = Sha256(NOISE[:cut])
        h.update(NOISE[cut:200])
        assert h.digest() == sha(NOISE[:200]), cut


def test_lanes_of_every_equal_length_give_the_digests_of_hashlib(lanes):
    for size in range(301):
        pieces = [NOISE[i * 311 :][:size] for i in range(lanes + 1)]
        assert hash_many(pieces) == [sha(p) for p in pieces], size


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 63, 64, 65, 200])
def test_lanes_of_assorted_sizes_give_the_digests_of_hashlib(lanes, count):
    rng = random.Random(count)
    pieces = []
    for _ in range(count):
        start = rng.randrange(1 << 19)
        pieces.append(NOISE[start : start + rng.randrange(1 << rng.randrange(1, 16))])
    assert hash_many(pieces) == [sha(p) for p in pieces]


@pytest.mark.parametrize(
    "sizes",
    [
        (340_000, 100_000),
        (1_000_000, 64, 64, 64, 64),
        (64, 64, 64, 64, 1_000_000),
        (0, 640, 0, 0, 1280, 63, 0),
        (64 * 3, 64 * 3, 64 * 3, 64 * 3, 64 * 3),  # streams that lie on every cut between slots
        (64 * 100, 64, 64 * 99, 128, 64 * 98, 192),
    ],
    ids=str,
)
def test_streams_that_change_slots_give_the_digests_of_hashlib(lanes, sizes):
    pieces = [NOISE[i : i + size] for i, size in enumerate(sizes)]
    assert hash_many(pieces) == [sha(p) for p in pieces]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=12))
def test_any_way_of_feeding_gives_the_digest_of_the_whole(pieces):
    h = Sha256()
    for i, piece in enumerate(pieces):
        h.update(piece)
        assert h.digest() == sha(b"".join(pieces[: i + 1]))


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(WIDTHS),
    st.lists(st.integers(0, 40) | st.integers(0, 20_000), max_size=70),
    st.integers(0, 99),
)
def test_any_sizes_interleave_on_any_kernel(which, sizes, start):
    if not next(k for k in kernels() if k.name == which[0]).available:
        return
    set_kernel(which[0], lanes=which[1])
    try:
        pieces = [NOISE[start + i :][:size] for i, size in enumerate(sizes)]
        assert hash_many(pieces) == [sha(p) for p in pieces]
    finally:
        set_kernel()


def test_more_than_4_gib_in_one_call_counts_every_byte():
    size = (4 << 30) + 7
    h = Sha256()
    # Anonymous and never written, so all of it is the kernel's one zero page; a file that is one
    # hole would fill 4 GiB of page cache first.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ) as sparse:
        alone = threading.Thread(target=h.update, args=(sparse,))
        alone.start()
        interleaved = hash_many([sparse, b"abc"])
        alone.join()
    assert interleaved == [ZEROS_4_GIB_7, sha(b"abc")]
    assert h.digest() == ZEROS_4_GIB_7
    assert h.state()[-8:] == size.to_bytes(8, "big")


def test_hash_many_takes_an_iterator_and_holds_few_of_its_buffers():
    alive = []

    def produce():
        for i in range(300):
            buffer = bytearray(NOISE[i : i + (1 << 20)])
            alive.append(buffer)
            yield buffer
            if i % 50 == 49:  # a buffer that is still lent out refuses to change its size
                lent = sum(not can_resize(b) for b in alive)
                assert lent <= 17, lent
                alive.clear()

    assert hash_many(produce()) == [sha(NOISE[i : i + (1 << 20)]) for i in range(300)]


def can_resize(buffer):
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True


@pytest.mark.parametrize("bad", ["text", 5, None, memoryview(bytes(9))[::2]], ids=repr)
def test_hash_many_releases_what_it_held_when_an_item_is_refused(bad):
    held = bytearray(100)
    with pytest.raises((TypeError, BufferError)):
        hash_many([held, bad])
    assert can_resize(held)


def test_hash_many_passes_on_what_its_iterator_raises():
    held = bytearray(100)

    def broken():
        yield held
        raise LookupError

    with pytest.raises(LookupError):
        hash_many(broken())
    assert can_resize(held)


BUFFERS = {
    "bytes": lambda d: d,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "memoryview-of-words": lambda d: memoryview(d).cast("I"),
    "memoryview-of-rows": lambda d: memoryview(d).cast("B", (4, len(d) // 4)),
    "memoryview-of-chars": lambda d: memoryview(d).cast("c"),
    "unaligned": lambda d: memoryview(b"x" + d)[1:],
    "array-of-doubles": lambda d: array.array("d", d),
    "ctypes": lambda d: (ctypes.c_char * len(d)).from_buffer_copy(d),
    "ndarray-u8": lambda d: np.frombuffer(d, "u1"),
    "ndarray-f8-rows": lambda d: np.frombuffer(d, "f8").reshape(8, -1),
    "ndarray-read-only": lambda d: np.frombuffer(bytes(d), "u1"),
    "ndarray-0-d": lambda d: np.frombuffer(d, f"V{len(d)}").reshape(()),
}


@pytest.mark.parametrize("size", [0, 64, 4096, 1 << 18])
@pytest.mark.parametrize("kind", BUFFERS)
def test_every_contiguous_buffer_is_hashed_as_its_bytes(kind, size):
    if size == 0 and kind not in {"bytes", "bytearray", "memoryview", "unaligned", "ndarray-u8"}:
        size = 64
    data = NOISE[:size]
    buffer = BUFFERS[kind](data)
    h = Sha256()
    h.update(buffer)
    assert h.digest() == Sha256(buffer).digest() == hash_many([buffer])[0] == sha(data)


def test_a_mapped_file_and_shared_memory_are_buffers(tmp_path):
    (tmp_path / "file").write_bytes(NOISE[:5000])
    with (
        open(tmp_path / "file", "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        assert Sha256(mapped).digest() == sha(NOISE[:5000])
    segment = SharedMemory(create=True, size=4096)
    try:
        segment.buf[:] = NOISE[:4096]
        assert Sha256(segment.buf).digest() == sha(NOISE[:4096])
    finally:
        segment.close()
        segment.unlink()


@pytest.mark.parametrize(
    "strided",
    [
        memoryview(bytes(10))[::2],
        memoryview(bytes(10))[::-1],
        np.zeros((4, 4), "u1")[:, ::2],
        np.zeros((4, 4), "u1", order="F"),
    ],
    ids=["every-other", "reversed", "columns", "fortran"],
)
def test_a_buffer_that_is_not_c_contiguous_is_refused(strided):
    with pytest.raises(BufferError):
        Sha256().update(strided)
    with pytest.raises(BufferError):
        Sha256(strided)


@pytest.mark.parametrize("bad", ["text", 5, None, [1], object()], ids=repr)
def test_what_is_no_buffer_is_a_type_error_and_changes_nothing(bad):
    h = Sha256(b"abc")
    with pytest.raises(TypeError):
        h.update(bad)
    assert h.digest() == sha(b"abc")


@pytest.mark.parametrize("size", [10, 40_000])
def test_threads_that_share_an_object_do_not_corrupt_it(size):
    # The pieces are equal, so every order of whole updates gives the same digest.
    h, piece, each = Sha256(), NOISE[:1] * size, 200
    start = threading.Barrier(4)

    def feed():
        start.wait()
        for i in range(each):
            h.update(piece)
            if i % 20 == 0:
                assert len(h.state()) == 108
                assert int.from_bytes(h.copy().state()[-8:], "big") % size == 0

    threads = [threading.Thread(target=feed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert h.digest() == sha(piece * (4 * each))


def test_the_shape_is_the_one_of_hashlib():
    ours, theirs = Sha256(b"abc"), hashlib.sha256(b"abc")
    assert (ours.name, ours.digest_size, ours.block_size) == ("sha256", 32, 64)
    assert (theirs.name, theirs.digest_size, theirs.block_size) == ("sha256", 32, 64)
    assert ours.hexdigest() == theirs.hexdigest()
    assert Sha256(data=b"abc").hexdigest() == theirs.hexdigest()
    assert "3 bytes" in repr(ours)


def test_beginning_again_forgets_what_was_hashed():
    h = Sha256(b"abc")
    h.__init__(b"d")
    assert h.digest() == sha(b"d")


def test_the_kernel_in_use_is_one_that_is_available():
    assert kernel().available
    assert kernel().name in {k.name for k in kernels() if k.available}
