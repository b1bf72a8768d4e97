"""The arena against hashlib: slots, references, lanes, misuse, and several processes at once."""

import gc
import hashlib
import os
import random
import threading
import time
import traceback

import pytest

from ocifast._native.arena import Arena
from ocifast._native.sha256 import Sha256
from ocifast.errors import StateError

SLOT = 4096
NOISE = random.Random(5).randbytes(1 << 20)


@pytest.fixture
def arena():
    return Arena(6, SLOT)


def shared(slots=8):
    """An arena behind a memfd, and the memfd."""
    memory = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(memory, Arena.mapped_bytes(slots, SLOT))
    return Arena(slots, SLOT, descriptor=memory), memory


def in_child(work, *arguments):
    """Fork, do the work, exit; the process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work(*arguments)
        status = 0
    except BaseException:  # noqa: BLE001 - the child must not come back
        traceback.print_exc()
    finally:
        os._exit(status)


def reap(*pids):
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0


def fill(arena, slot, data):
    arena.slot(slot)[: len(data)] = data


def pour(arena, lane, data, seed=0):
    """Push data in pieces of odd sizes, hashing when no slot is free."""
    rng = random.Random(seed)
    while data:
        slot = arena.take()
        if slot < 0:
            seen = arena.change
            if not arena.hash(4):
                arena.wait(seen, 100)
            continue
        count = min(len(data), rng.choice([1, 63, 64, 65, 1000, SLOT]))
        fill(arena, slot, data[:count])
        arena.push(lane, slot, count)
        data = data[count:]


def settle(arena, lane):
    while not arena.idle(lane):
        seen = arena.change
        if not arena.hash(4):
            arena.wait(seen, 100)
    return arena.close_lane(lane)


def test_every_slot_is_given_once_and_then_minus_one(arena):
    assert sorted(arena.take() for _ in range(6)) == [0, 1, 2, 3, 4, 5]
    assert arena.take() == -1
    assert arena.free == 0


def test_a_released_slot_is_the_next_one_taken(arena):
    first, second = arena.take(), arena.take()
    arena.release(first)
    assert arena.take() == first
    assert second != first


def test_a_held_slot_is_free_after_as_many_releases(arena):
    slot = arena.take()
    arena.hold(slot)
    arena.release(slot)
    assert arena.free == 5
    arena.release(slot)
    assert arena.free == 6
    with pytest.raises(StateError):
        arena.release(slot)


def test_a_slot_counts_at_most_255_references(arena):
    slot = arena.take()
    for _ in range(254):
        arena.hold(slot)
    with pytest.raises(StateError):
        arena.hold(slot)


def test_slots_do_not_overlap_and_are_zero_at_first(arena):
    for index in range(6):
        assert bytes(arena.slot(index)) == bytes(SLOT)
    for index in range(6):
        fill(arena, index, bytes([index + 1]) * SLOT)
    for index in range(6):
        assert bytes(arena.slot(index)) == bytes([index + 1]) * SLOT


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 4095, 4096, 50_000])
def test_a_lane_hashes_what_hashlib_hashes(arena, size):
    lane = arena.open_lane(Sha256())
    pour(arena, lane, NOISE[:size], seed=size)
    assert settle(arena, lane).digest() == hashlib.sha256(NOISE[:size]).digest()
    assert arena.free == 6


def test_a_lane_goes_on_from_any_state(arena):
    lane = arena.open_lane(Sha256(b"before"))
    pour(arena, lane, b"behind")
    done = settle(arena, lane)
    assert done.digest() == hashlib.sha256(b"beforebehind").digest()
    done.update(b"!")
    assert done.digest() == hashlib.sha256(b"beforebehind!").digest()


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 1000])
@pytest.mark.parametrize("lanes", [1, 3, 5, 9])
def test_lanes_side_by_side_keep_to_themselves(width, lanes):
    arena = Arena(40, SLOT)
    streams = {arena.open_lane(Sha256()): NOISE[i * 777 : i * 9000] for i in range(lanes)}
    for lane, data in streams.items():
        for at in range(0, len(data), SLOT):
            slot = arena.take()
            while slot < 0:
                assert arena.hash(width)
                slot = arena.take()
            fill(arena, slot, data[at : at + SLOT])
            arena.push(lane, slot, len(data[at : at + SLOT]))
    while arena.pending:
        assert arena.hash(width)
    for lane, data in streams.items():
        assert arena.close_lane(lane).digest() == hashlib.sha256(data).digest()


def test_one_slot_may_be_queued_in_two_lanes(arena):
    lanes = [arena.open_lane(Sha256()) for _ in range(2)]
    slot = arena.take()
    arena.hold(slot)
    fill(arena, slot, b"twice")
    for lane in lanes:
        arena.push(lane, slot, 5)
    assert arena.hash(2) == 10
    for lane in lanes:
        assert arena.close_lane(lane).digest() == hashlib.sha256(b"twice").digest()
    assert arena.free == 6


def test_the_longest_queues_are_hashed_first(arena):
    short, long = arena.open_lane(Sha256()), arena.open_lane(Sha256())
    for lane in (short, long, long):
        arena.push(lane, arena.take(), 10)
    assert arena.pending == 2
    assert arena.hash(1) == 10
    assert not arena.idle(short)
    assert arena.pending == 2
    arena.hash(2)
    assert arena.idle(short)
    assert arena.idle(long)


def test_only_names_the_lanes_that_may_be_hashed(arena):
    lanes = [arena.open_lane(Sha256()) for _ in range(3)]
    for lane in lanes:
        arena.push(lane, arena.take(), 7)
    assert arena.hash(4, (lanes[1],)) == 7
    assert [arena.idle(lane) for lane in lanes] == [False, True, False]
    assert arena.hash(4, (lanes[1],)) == 0
    assert arena.hash(0) == 0
    assert arena.hash(4) == 14


def test_an_empty_slot_may_be_pushed(arena):
    lane = arena.open_lane(Sha256())
    arena.push(lane, arena.take(), 0)
    assert arena.hash(1) == 0
    assert arena.close_lane(lane).digest() == hashlib.sha256().digest()
    assert arena.free == 6


def test_a_dropped_lane_gives_its_slots_back(arena):
    lane = arena.open_lane(Sha256())
    for _ in range(4):
        arena.push(lane, arena.take(), 100)
    assert arena.pending == 1
    assert arena.drop_lane(lane)
    assert (arena.pending, arena.free) == (0, 6)
    with pytest.raises(StateError):
        arena.drop_lane(lane)


def test_lanes_run_out_at_2048_and_come_back(arena):
    lanes = [arena.open_lane(Sha256()) for _ in range(2048)]
    assert sorted(lanes) == list(range(2048))
    assert arena.open_lane(Sha256()) == -1
    arena.close_lane(lanes[77])
    assert arena.open_lane(Sha256()) == lanes[77]


@pytest.mark.parametrize("index", [-1, 6, 1 << 31, 1 << 32, (1 << 32) - 1, 1 << 80])
def test_an_index_out_of_range_is_a_state_error(arena, index):
    taken, lane = arena.take(), arena.open_lane(Sha256())
    calls = [
        lambda: arena.slot(index),
        lambda: arena.hold(index),
        lambda: arena.release(index),
        lambda: arena.push(index, taken, 1),
        lambda: arena.push(lane, index, 1),
        lambda: arena.idle(index),
        lambda: arena.close_lane(index),
        lambda: arena.drop_lane(index),
    ]
    for call in calls:
        with pytest.raises(StateError):
            call()
    assert arena.hash(4, (index,)) == 0


def test_misuse_is_a_state_error(arena):
    lane, slot = arena.open_lane(Sha256()), arena.take()
    for call in [
        lambda: arena.push(lane, slot, SLOT + 1),
        lambda: arena.push(lane, slot, -1),
        lambda: arena.push(lane, slot + 1, 1),
        lambda: arena.hold(slot + 1),
        lambda: arena.release(slot + 1),
        lambda: arena.idle(lane + 1),
    ]:
        with pytest.raises(StateError):
            call()
    arena.push(lane, slot, 5)
    with pytest.raises(StateError):
        arena.close_lane(lane)
    arena.hash(1)
    arena.close_lane(lane)
    with pytest.raises(StateError):
        arena.close_lane(lane)
    with pytest.raises(StateError):
        arena.push(lane, arena.take(), 1)


def test_an_arena_that_was_never_mapped_refuses_every_call():
    arena = Arena.__new__(Arena)
    for name in ("take", "wake"):
        with pytest.raises(StateError):
            getattr(arena, name)()
    for name in ("change", "pending", "free"):
        with pytest.raises(StateError):
            getattr(arena, name)
    for name in ("hold", "release", "slot", "idle", "close_lane", "drop_lane", "hash"):
        with pytest.raises(StateError):
            getattr(arena, name)(0)
    with pytest.raises(StateError):
        arena.wait(0, 0)
    with pytest.raises(StateError):
        arena.open_lane(Sha256())
    with pytest.raises((StateError, BufferError)):
        memoryview(arena)


@pytest.mark.parametrize(
    ("slots", "size"), [(0, 4096), (1025, 4096), (4, 0), (4, 4095), (-1, 4096), (4, 2 << 30)]
)
def test_no_arena_of_impossible_size_is_made(slots, size):
    with pytest.raises(ValueError, match="no arena"):
        Arena(slots, size)


def test_an_arena_is_mapped_once(arena):
    with pytest.raises(StateError):
        arena.__init__(6, SLOT)


def test_a_descriptor_too_short_or_cut_otherwise_is_refused():
    arena, memory = shared()
    with pytest.raises(ValueError, match="has no"):
        Arena(9, SLOT, descriptor=memory)
    with pytest.raises(StateError):
        Arena(7, SLOT, descriptor=memory, create=False)
    with pytest.raises(OSError, match="Bad file"):
        Arena(8, SLOT, descriptor=1 << 20)
    os.close(memory)
    assert arena.take() == 0


def test_a_view_of_a_slot_outlives_the_arena():
    arena = Arena(2, SLOT)
    view = arena.slot(1)
    view[:3] = b"abc"
    del arena
    gc.collect()
    assert bytes(view[:3]) == b"abc"


def virtual_and_resident():
    """Bytes of address space and of memory this process has."""
    with open("/proc/self/statm") as file:
        return [int(pages) * 4096 for pages in file.read().split()[:2]]


def test_an_arena_is_freed_without_the_collector():
    gc.disable()
    try:
        before, _ = virtual_and_resident()
        arenas = [Arena(2, SLOT) for _ in range(50)]
        assert virtual_and_resident()[0] > before + 100 * 2**20
        for arena in arenas:
            arena.slot(0)[:1] = b"x"
        del arena, arenas
        assert virtual_and_resident()[0] < before + 20 * 2**20
    finally:
        gc.enable()


def test_a_fresh_arena_costs_little_memory():
    _, before = virtual_and_resident()
    arenas = [Arena(64, 1 << 18) for _ in range(10)]
    assert virtual_and_resident()[1] - before < 10 << 20
    assert len(arenas) == 10


# ---- several processes ----


def test_lanes_filled_by_several_processes_are_hashed_by_all():
    arena, memory = shared(slots=12)
    lanes = [arena.open_lane(Sha256()) for _ in range(5)]
    streams = [NOISE[i : i + 60_000 * (i + 1)] for i in range(5)]

    def work(number):
        mine = Arena(12, SLOT, descriptor=memory, create=False)
        pour(mine, lanes[number], streams[number], seed=number)

    pids = [in_child(work, number) for number in range(5)]
    deadline = time.monotonic() + 30
    left = set(pids)
    while left and time.monotonic() < deadline:
        seen = arena.change
        if not arena.hash(4):
            arena.wait(seen, 50)
        for pid in list(left):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                assert status == 0
                left.remove(pid)
    assert not left
    for lane, stream in zip(lanes, streams, strict=True):
        assert settle(arena, lane).digest() == hashlib.sha256(stream).digest()
    assert arena.free == 12
    os.close(memory)


def test_a_hash_moves_between_processes_in_its_middle():
    arena, memory = shared()
    lane = arena.open_lane(Sha256())
    data = NOISE[:20_001]
    for at in range(0, len(data), 1001):
        pid = in_child(pour, arena, lane, data[at : at + 1001])
        reap(pid)
        reap(in_child(lambda: arena.hash(1)))
    assert settle(arena, lane).digest() == hashlib.sha256(data).digest()
    os.close(memory)


def test_wake_ends_the_wait_of_another_process():
    arena, memory = shared()
    seen = arena.change
    pid = in_child(arena.wait, seen, 30_000)
    deadline = time.monotonic() + 10
    while not os.waitpid(pid, os.WNOHANG)[0]:
        assert time.monotonic() < deadline
        arena.wake()
    os.close(memory)


def test_wait_returns_at_once_when_something_has_changed(arena):
    seen = arena.change
    arena.release(arena.take())
    started = time.monotonic()
    arena.wait(seen, 30_000)
    assert time.monotonic() - started < 5
    assert arena.change != seen


def test_wait_ends_by_itself(arena):
    started = time.monotonic()
    arena.wait(arena.change, 20)
    assert 0.015 < time.monotonic() - started < 5


def test_no_wake_up_is_lost_between_two_processes():
    """Ping-pong through the bell alone: a lost wake-up would cost 30 s a time."""
    arena, memory = shared(slots=1)
    rounds = 2000

    def turn(parity):
        for _ in range(rounds):
            while True:
                seen = arena.change
                if arena.slot(0)[0] % 2 == parity:
                    break
                arena.wait(seen, 30_000)
            arena.slot(0)[0] = (arena.slot(0)[0] + 1) % 256
            arena.wake()

    pid = in_child(turn, 1)
    started = time.monotonic()
    turn(0)
    reap(pid)
    assert time.monotonic() - started < 20
    os.close(memory)


def test_a_process_killed_with_the_lock_stops_no_bell():
    """arena_wake takes no lock; nobody else of us calls into an arena after a death."""
    arena, memory = shared()
    # the lock is the first thing in the mapping: make it look taken by a dead process
    memoryview(arena)[:4] = (1).to_bytes(4, "little")
    seen = arena.change
    arena.wake()
    assert arena.change != seen
    os.close(memory)


def test_threads_may_share_an_arena():
    arena = Arena(8, SLOT)
    streams = [NOISE[i : i + 200_000] for i in range(4)]
    lanes = [arena.open_lane(Sha256()) for _ in streams]
    digests = {}

    def work(number):
        pour(arena, lanes[number], streams[number], seed=number)
        digests[number] = settle(arena, lanes[number]).digest()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert digests == {i: hashlib.sha256(s).digest() for i, s in enumerate(streams)}
    assert arena.free == 8
