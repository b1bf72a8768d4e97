"""What a stack of layers comes to, as one table in the order of a tree: no object an entry.

It reads tables and writes no file. Invariant: a merge that has raised, or was taken, takes nothing
more; every later call raises StateError.
"""

cimport cython
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from ocifast._native.tar cimport OCF_NO_MEMORY, OCF_OK, HeapBytes, ocf_tar_row, take_over

import os

from ocifast._native.tar import check_table
from ocifast.errors import FormatError, LimitExceeded, StateError

cdef dict REASONS = {
    OCF_MERGE_LOOP: "leads through more than 40 symlinks",
    OCF_MERGE_PATH: "names nothing that can be there",
    OCF_MERGE_ROOT: "is the root, and can only be a directory",
}


@cython.final
cdef class TreeMerge:
    """Layers from the base up: apply() each table, then take() what they come to.

    `limits` is an `ocifast.Limits`, of which `entries` and `table_bytes` count here.
    """

    cdef ocf_merge merge
    cdef list kept
    cdef bint closed, busy
    cdef uint64_t entries, table_bytes

    def __cinit__(self):
        memset(&self.merge, 0, sizeof(self.merge))
        self.closed = True

    def __init__(self, limits: object) -> None:
        if self.kept is not None:
            raise StateError("the merge is already initialised")
        self.kept = []
        self.entries, self.table_bytes = limits.entries, limits.table_bytes
        cdef uint64_t seed = int.from_bytes(os.urandom(8), "little")
        if ocf_merge_init(&self.merge, seed, 2 * self.entries, self.table_bytes) != OCF_OK:
            raise MemoryError
        self.closed = False

    def __dealloc__(self):
        ocf_merge_free(&self.merge)

    cdef int begin(self) except -1:
        if self.busy:
            raise StateError("another thread is using the merge")
        if self.closed:
            raise StateError("the merge was taken or has failed")
        self.closed = True  # until it went well
        return 0

    cdef int check(self, int status) except -1:
        if status == OCF_OK:
            return 0
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if self.merge.error == OCF_MERGE_NODES:
            raise LimitExceeded("entries", 2 * self.entries, 2 * self.entries + 1)
        if self.merge.error == OCF_MERGE_BYTES:
            size = self.merge.rows.size + self.merge.heap.size
            raise LimitExceeded("table_bytes", self.table_bytes, size)
        raise FormatError(f"{self.name()!r} {REASONS[self.merge.error]}")

    cdef str name(self):
        """The path of the row it has come to, for a person."""
        rows, heap = self.kept[len(self.kept) - 1]
        cdef const unsigned char[::1] view = rows
        cdef ocf_tar_row row
        # it may not be aligned
        memcpy(&row, &view[0] + self.merge.index * sizeof(row), sizeof(row))
        return os.fsdecode(bytes(heap[row.path_offset:row.path_offset + row.path_size]))

    def apply(self, rows: object, heap: object, *, as_entries: bool = False) -> None:
        """Put a layer on top; its table is borrowed until the merge is gone.

        With `as_entries` whiteouts are entries like others, and remove nothing.

        Raises:
            FormatError: The table is not sound, or a path leads nowhere.
            LimitExceeded: The tree has too many entries.
        """
        self.begin()
        check_table(rows, heap)
        kept = memoryview(rows).cast("B"), memoryview(heap).cast("B")
        self.kept.append(kept)
        cdef const unsigned char[::1] row_view = kept[0], heap_view = kept[1]
        cdef size_t count = <size_t>row_view.shape[0] // sizeof(ocf_tar_row)
        cdef const uint8_t *row_data = &row_view[0] if row_view.shape[0] else NULL
        cdef const uint8_t *heap_data = &heap_view[0] if heap_view.shape[0] else NULL
        cdef bint entries = as_entries
        cdef int status
        self.busy = True
        with nogil:
            status = ocf_merge_apply(&self.merge, row_data, count, heap_data, entries)
        self.busy = False
        self.check(status)
        self.closed = False

    @property
    def unmatched(self) -> int:
        """Whiteouts that removed nothing."""
        return self.merge.unmatched

    @property
    def dangling(self) -> int:
        """Hard links whose target was not there."""
        return self.merge.dangling

    def take(self) -> tuple[HeapBytes, HeapBytes, HeapBytes]:
        """Give rows and heap of the tree, and of each row where it comes from.

        The last are pairs of u32, layer and row in it; both are 2**32 - 1 for a directory that no
        layer has an entry of.

        Raises:
            LimitExceeded: The table would be too large.
        """
        self.begin()
        cdef int status
        self.busy = True
        with nogil:
            status = ocf_merge_finish(&self.merge)
        self.busy = False
        self.check(status)
        found = (
            take_over(&self.merge.rows), take_over(&self.merge.heap), take_over(&self.merge.source)
        )
        cdef uint64_t unmatched = self.merge.unmatched, dangling = self.merge.dangling
        ocf_merge_free(&self.merge)
        self.merge.unmatched, self.merge.dangling = unmatched, dangling
        self.kept.clear()
        return found
