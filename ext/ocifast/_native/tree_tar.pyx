"""The tar of a folder whose table is known: headers as Go writes them, files read into place.

It neither lists nor compresses. Invariant: what comes out is as long as was said beforehand, or an
error names the file that has changed.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from ocifast._native.tar cimport OCF_NO_MEMORY, OCF_OK, ocf_bytes, ocf_tar_row

import os

from ocifast._native.tar import check_table
from ocifast.errors import StateError, TreeError

cdef dict REASONS = {
    OCF_TREE_KIND: "it was a regular file when it was listed, and is something else now",
    OCF_TREE_GREW: "it grew while it was being read",
    OCF_TREE_XATTR: "an xattr whose name is empty or has an equals sign cannot be in a tar",
    OCF_TREE_DEVICE: "its device number is too large for a tar",
    OCF_TREE_PATH: "its path leads elsewhere, or has a component of more than 255 bytes",
    OCF_TREE_NUL: "its path or link target has a NUL byte",
}


@cython.final
cdef class TreeTar:
    """The tar of a table's entries, whose files are below the open folder `root`.

    `rows` and `heap` are a table (`ocifast.formats.tar.EntryTable.to_buffers`), which is borrowed,
    as `root` is. `prefix` stands before all names. Raises FormatError for a table that is not
    sound, and TreeError for an entry that a tar cannot hold.
    """

    cdef ocf_tree_tar tar
    cdef Py_buffer rows, heap
    cdef bytes prefix
    cdef bint open, busy
    cdef readonly uint64_t size

    def __cinit__(self):
        ocf_tree_tar_init(&self.tar, -1)
        memset(&self.rows, 0, sizeof(self.rows))
        memset(&self.heap, 0, sizeof(self.heap))

    def __init__(
        self, rows: object, heap: object, root: int, *, prefix: bytes = b""
    ) -> None:
        if self.tar.rows != NULL:
            raise StateError("the tar is already initialised")
        check_table(rows, heap)
        PyObject_GetBuffer(rows, &self.rows, PyBUF_SIMPLE)
        PyObject_GetBuffer(heap, &self.heap, PyBUF_SIMPLE)
        ocf_tree_tar_init(&self.tar, root)
        self.prefix = prefix
        self.tar.rows = <const uint8_t *>self.rows.buf
        self.tar.count = <size_t>self.rows.len // sizeof(ocf_tar_row)
        self.tar.heap = <const uint8_t *>self.heap.buf
        self.tar.prefix = <const uint8_t *>self.prefix
        self.tar.prefix_size = <size_t>len(prefix)
        self.open = True
        cdef uint64_t size = 0
        self.check(ocf_tree_tar_size(&self.tar, &size))
        self.size = size

    def __dealloc__(self):
        ocf_tree_tar_free(&self.tar)
        PyBuffer_Release(&self.rows)
        PyBuffer_Release(&self.heap)

    def readinto(self, out: object) -> int:
        """Fill `out` with the next bytes of the tar; less than all of it only at its end.

        Raises TreeError when a file is no longer what it was, OSError when it cannot be read.
        """
        cdef unsigned char[::1] memory = out
        cdef size_t filled = 0, room = <size_t>memory.shape[0]
        cdef int status
        if not self.open or self.busy:
            raise StateError("the tar is closed, has failed, or is being read by another thread")
        if room == 0:
            return 0
        self.busy = True
        with nogil:
            status = ocf_tree_tar_fill(&self.tar, &memory[0], room, &filled)
        self.busy = False
        self.check(status)
        return filled

    def close(self) -> None:
        """Let go of open files; may be called again."""
        if self.busy:
            raise StateError("the tar is being read by another thread")
        self.open = False
        ocf_tree_tar_free(&self.tar)

    cdef int check(self, int status) except -1:
        if status == OCF_OK:
            return 0
        self.open = False
        if status == OCF_NO_MEMORY:
            raise MemoryError
        raise failure(&self.tar)


cdef object failure(ocf_tree_tar *tar):
    """What is wrong with the row the tar has come to."""
    return tree_failure(tar.rows, tar.heap, tar.index, tar.error, tar.actual)


cdef object tree_failure(
    const uint8_t *rows, const uint8_t *heap, size_t index, int error, uint64_t actual
):
    cdef ocf_tar_row row
    memcpy(&row, rows + index * sizeof(row), sizeof(row))
    # copies, for a person
    name = os.fsdecode(<bytes>heap[row.path_offset:row.path_offset + row.path_size])
    if error > 0:
        return OSError(error, os.strerror(error), name)
    if error == OCF_TREE_SIZE:
        reason = f"it had {row.size} bytes when it was listed, and has {actual} now"
    elif error == OCF_TREE_SHRANK:
        reason = f"it shrank while it was being read: {actual} of {row.size} bytes are left"
    else:
        reason = REASONS[error]
    return TreeError(name, reason)


def entry_headers(
    const unsigned char[::1] rows not None, const unsigned char[::1] heap not None, index: int
) -> bytes:
    """All bytes that stand before the payload of one row of a table.

    Raises FormatError for a table that is not sound, TreeError for what a tar cannot hold.
    """
    cdef ocf_tree_tar tar
    cdef ocf_bytes out
    cdef ocf_tar_row row
    cdef int status
    check_table(rows, heap)
    if not 0 <= index < rows.shape[0] // <Py_ssize_t>sizeof(row):
        raise IndexError(f"row {index} of a table that has fewer")
    ocf_tree_tar_init(&tar, -1)
    memset(&out, 0, sizeof(out))
    tar.rows = &rows[0]
    tar.heap = &heap[0] if heap.shape[0] else NULL
    tar.index = index
    memcpy(&row, tar.rows + tar.index * sizeof(row), sizeof(row))
    status = ocf_tree_header(&tar, &out, &row)
    try:
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if status != OCF_OK:
            raise failure(&tar)
        return <bytes>out.data[:out.size]  # copies: a few blocks
    finally:
        free(out.data)
