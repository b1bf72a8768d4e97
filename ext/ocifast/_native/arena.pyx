"""The arena as Python sees it: slots to fill, lanes that hash them, and a bell to wait for.

One mapping, shared by the processes that map the same descriptor, or private to this one. It knows
nothing of layers or tar. Invariant: memory is mapped once and never moves or grows.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from posix.mman cimport mmap, munmap

from ocifast._native.sha256 cimport Sha256, sha256_update_many

import os

from ocifast.errors import StateError


@cython.final
cdef class Arena:
    """Map `slots` slots of `slot_bytes` each.

    Without `descriptor` the memory is private to this process. With one (a fresh memfd of
    `Arena.mapped_bytes(...)` bytes) it is shared; `create` initialises it, exactly once. Indices
    that are not in use raise StateError.
    """

    cdef ocf_arena *arena
    cdef Py_ssize_t mapped
    cdef readonly int slots
    cdef readonly int slot_bytes

    def __cinit__(self):
        self.arena = NULL

    def __init__(
        self, slots: int, slot_bytes: int, *, descriptor: int = -1, create: bool = True
    ) -> None:
        if self.arena != NULL:
            raise StateError("the arena is already mapped")
        pages = 4096 <= slot_bytes <= 1 << 30 and slot_bytes % 4096 == 0
        if not (0 < slots <= OCF_ARENA_SLOTS and pages):
            raise ValueError(f"no arena of {slots} slots of {slot_bytes} bytes")
        self.slots, self.slot_bytes = slots, slot_bytes
        self.mapped = Arena.mapped_bytes(slots, slot_bytes)
        if descriptor >= 0 and os.fstat(descriptor).st_size < self.mapped:
            raise ValueError(f"descriptor {descriptor} has no {self.mapped} bytes for the arena")
        flags = MAP_SHARED if descriptor >= 0 else MAP_PRIVATE | MAP_ANONYMOUS
        cdef int access = PROT_READ | PROT_WRITE
        cdef void *memory = mmap(NULL, <size_t>self.mapped, access, flags, descriptor, 0)
        if memory == MAP_FAILED:
            raise MemoryError
        self.arena = <ocf_arena *>memory
        if create and ocf_arena_init(self.arena, slots, slot_bytes) != OCF_ARENA_OK:
            raise OSError("cannot make a lock shared between processes")
        if self.arena.slots != <uint32_t>slots or self.arena.slot_bytes != <uint32_t>slot_bytes:
            raise StateError("the arena behind the descriptor is cut in another way")

    def __dealloc__(self):
        if self.arena != NULL:
            munmap(self.arena, <size_t>self.mapped)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.get(), self.mapped, 0, flags)

    cdef ocf_arena *get(self) except NULL:
        if self.arena == NULL:
            raise StateError("the arena is not mapped")
        return self.arena

    cdef int check(self, int status, str what) except -1:
        if status != OCF_ARENA_OK:
            raise StateError(what)
        return 0

    @staticmethod
    def mapped_bytes(slots: int, slot_bytes: int) -> int:
        """Bytes of the mapping: a header, then the slots."""
        return ocf_arena_header_bytes() + slots * slot_bytes

    def slot(self, index: int) -> memoryview:
        """The memory of one slot; no copy. It keeps the mapping alive, not the slot taken.

        Made afresh each time: kept here, views would tie the mapping into a reference cycle.
        """
        self.get()
        if not 0 <= index < self.slots:
            raise StateError(f"the arena has no slot {index}")
        start = ocf_arena_header_bytes() + <size_t>index * self.slot_bytes
        return memoryview(self)[start:start + self.slot_bytes]

    @property
    def change(self) -> int:
        """Counts events; read it before looking for work, give it to wait() when there is none."""
        return ocf_arena_change(self.get())

    @property
    def pending(self) -> int:
        """Lanes with filled slots that nobody hashes right now."""
        return ocf_arena_pending(self.get())

    @property
    def free(self) -> int:
        """Slots nobody holds."""
        return ocf_arena_free(self.arena)

    def take(self) -> int:
        """A free slot with one reference, or -1 when all are in use."""
        cdef ocf_arena *arena = self.get()
        cdef int slot
        with nogil:
            slot = ocf_arena_take(arena)
        return slot

    def hold(self, slot: int) -> None:
        """One more reference to a taken slot."""
        self.check(ocf_arena_hold(self.get(), index(slot)), f"slot {slot} is not in use")

    def release(self, slot: int) -> None:
        """Give one reference back; the last one frees the slot."""
        self.check(ocf_arena_release(self.get(), index(slot)), f"slot {slot} is not in use")

    def open_lane(self, Sha256 start not None) -> int:
        """A new lane that goes on where `start` is; -1 when there are too many."""
        return ocf_arena_lane_open(self.get(), &start.ctx)

    def push(self, lane: int, slot: int, size: int) -> None:
        """Queue the first `size` bytes of a slot; the lane takes over one reference."""
        status = ocf_arena_lane_push(self.get(), index(lane), index(slot), index(size))
        self.check(status, f"lane {lane} cannot take {size} bytes of slot {slot}")

    def idle(self, lane: int) -> bool:
        """Whether everything pushed is hashed."""
        cdef int status = ocf_arena_lane_idle(self.get(), index(lane))
        self.check(OCF_ARENA_BAD if status < 0 else OCF_ARENA_OK, f"lane {lane} is not open")
        return status == 1

    def close_lane(self, lane: int) -> Sha256:
        """The state of an idle lane, which is free afterwards."""
        cdef Sha256 result = Sha256()
        status = ocf_arena_lane_close(self.get(), index(lane), &result.ctx)
        self.check(status, f"lane {lane} is not open and idle")
        return result

    def drop_lane(self, lane: int) -> bool:
        """Forget a lane and what it has queued; False while another worker is hashing it."""
        cdef int status = ocf_arena_lane_drop(self.get(), index(lane))
        if status != OCF_ARENA_BUSY:
            self.check(status, f"lane {lane} is not open")
        return status == OCF_ARENA_OK

    def hash(self, width: int, only: tuple[int, ...] = ()) -> int:
        """Hash a slot each of up to `width` pending lanes, interleaved; bytes hashed, 0 for none.

        `only` restricts the choice to some lanes; of more than 16 the first 16 count.
        """
        cdef ocf_arena *arena = self.get()
        cdef uint32_t chosen[16]
        cdef size_t count = min(len(only), 16), i
        cdef uint32_t lanes = index(width)
        cdef uint64_t hashed
        for i in range(count):
            chosen[i] = index(only[i])
        with nogil:
            hashed = ocf_arena_hash(
                arena, sha256_update_many, lanes, chosen if count else NULL, count
            )
        return hashed

    def wait(self, seen: int, milliseconds: int) -> None:
        """Sleep until `change` is no longer `seen`, at most so long."""
        cdef ocf_arena *arena = self.get()
        cdef uint32_t value = seen & 0xffffffff, timeout = index(milliseconds)
        with nogil:
            ocf_arena_wait(arena, value, timeout)

    def wake(self) -> None:
        """Ring the bell for all who wait; takes no lock, so it is safe beside a dead worker."""
        ocf_arena_wake(self.get())


cdef uint32_t index(object number) except? 0xffffffff:
    """A number as C counts; one that cannot be an index becomes one that never is in use."""
    return number if 0 <= number < 0xffffffff else <uint32_t>0xfffffffe
