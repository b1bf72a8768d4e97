"""What is in a folder, as the table of a layer: rows and heap, without a Python object an entry.

It lists and opens no file. Invariant: the same tree gives the same table, whatever the order in
which the file system names things.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ocifast._native.tar cimport (
    OCF_NO_MEMORY, OCF_OK, HeapBytes, ocf_bytes_set, ocf_tar_row, take_over,
)

import os

from ocifast._native.tar import check_table
from ocifast.errors import TreeError

cdef dict REASONS = {
    OCF_WALK_WHITEOUT: "a layer cannot hold this name: it would remove a file of the layers below",
    OCF_WALK_DEPTH: "it is more than 1024 folders deep",
    OCF_WALK_XATTR: "it has an xattr of more than 64 KiB, or too many of them",
    OCF_WALK_TARGET: "it points to more than 4096 bytes",
}


@cython.final
cdef class Walk:
    """One walk: owns its memory, and stashes what a callback raises."""

    cdef ocf_walk *walk
    cdef object keep, raised

    def __cinit__(self, object keep, bint xattrs):
        self.walk = <ocf_walk *>malloc(sizeof(ocf_walk))
        # begun at once: what is freed must never be all zeros, for 0 is somebody's descriptor
        if self.walk == NULL or ocf_walk_init(self.walk, xattrs) != OCF_OK:
            raise MemoryError
        self.keep = keep
        self.walk.context = <void *>self
        if keep is not None:
            self.walk.ask = ask
        self.walk.poll = poll

    def __dealloc__(self):
        if self.walk != NULL:
            ocf_walk_free(self.walk)
            free(self.walk)

    cdef int check(self, int status) except -1:
        if status == OCF_OK:
            return 0
        if status == OCF_NO_MEMORY:
            raise MemoryError
        cdef int error = self.walk.error
        if error == 0:
            raise self.raised
        # copies, for a person
        name = os.fsdecode(<bytes>self.walk.path.data[:self.walk.path.size])
        if error in REASONS:
            raise TreeError(name, REASONS[error])
        raise OSError(error, os.strerror(error), name)


cdef int ask(void *context, const uint8_t *path, size_t size, int is_folder) noexcept with gil:
    cdef Walk walk = <Walk>context
    try:
        return 1 if walk.keep(<bytes>path[:size], bool(is_folder)) else 0  # copies the path
    except BaseException as error:
        walk.raised = error
        return -1


cdef int poll(void *context) noexcept with gil:
    cdef Walk walk = <Walk>context
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        walk.raised = error
        return -1
    return 0


def walk(
    root: int, keep: object = None, *, xattrs: bool = True
) -> tuple[HeapBytes, HeapBytes, list[bytes]]:
    """List all below the open folder `root`: rows, their heap, and the paths of sockets, left out.

    `keep(path, is_directory)` may leave an entry out, and with it all below. Raises TreeError for
    what no layer can hold, OSError for what cannot be read; both name it.
    """
    cdef Walk state = Walk(keep, xattrs)
    cdef int status, descriptor = root
    with nogil:
        status = ocf_walk_run(state.walk, descriptor)
    state.check(status)
    rows, heap = take_over(&state.walk.rows), take_over(&state.walk.heap)
    left_out = [path for path in bytes(take_over(&state.walk.left_out)).split(b"\0") if path]
    return rows, heap, left_out


def add_xattrs(
    root: int, rows: object, heap: object, which: object
) -> tuple[HeapBytes, HeapBytes]:
    """The table of a walk without xattrs, with those of some rows: new rows, and their heap.

    `which` are indices (u32), cheapest in the order of the table. Raises ValueError for others,
    FormatError for a table that is not sound, TreeError and OSError as walk() does.
    """
    check_table(rows, heap)
    cdef Walk state = Walk(None, True)
    cdef const unsigned char[::1] row_view = rows, heap_view = heap
    cdef const unsigned char[::1] indices = memoryview(which).cast("B") if len(which) else b""
    cdef size_t count = <size_t>indices.shape[0] // 4, i
    cdef uint32_t index
    cdef int status, descriptor = root
    if indices.shape[0] % 4:
        raise ValueError("indices are a buffer of u32")
    for i in range(count):
        memcpy(&index, &indices[4 * i], 4)
        if index >= <size_t>row_view.shape[0] // sizeof(ocf_tar_row):
            raise ValueError(f"there is no row {index}")
    status = OCF_OK
    if row_view.shape[0]:
        status = ocf_bytes_set(&state.walk.rows, &row_view[0], row_view.shape[0])
    if status == OCF_OK and heap_view.shape[0]:
        status = ocf_bytes_set(&state.walk.heap, &heap_view[0], heap_view.shape[0])
    if status == OCF_OK and count:
        with nogil:
            status = ocf_walk_add_xattrs(state.walk, descriptor, &indices[0], count)
    state.check(status)
    return take_over(&state.walk.rows), take_over(&state.walk.heap)
