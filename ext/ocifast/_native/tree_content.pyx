"""What is in the files of a table: their digests, or which of two folders differ.

It neither lists nor keeps anything. Invariant: an answer is about files that were regular and of
their row's size when they were read, or an error names the one that was not.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint8_t
from libc.string cimport memset

from ocifast._native.sha256 cimport Sha256, sha256_update_many
from ocifast._native.tar cimport OCF_NO_MEMORY, OCF_OK, ocf_tar_row
from ocifast._native.tree_tar cimport tree_failure

from ocifast._native.tar import check_table

cdef tuple SIDES = ("in the first folder", "in the second folder")


@cython.final
cdef class Content:
    """One call: the tables it borrows, and what a signal's handler raises meanwhile."""

    cdef ocf_tree_content content
    cdef ocf_tree_table trees[2]
    cdef list tables  # keeps the memory behind the pointers
    cdef object raised

    def __cinit__(self):
        memset(&self.content, 0, sizeof(self.content))
        self.content.poll = poll
        self.content.context = <void *>self
        self.tables = []

    cdef int add(self, int root, object rows, object heap) except -1:
        cdef const unsigned char[::1] row_bytes = rows, heap_bytes = heap
        cdef int side = <int>len(self.tables)
        check_table(row_bytes, heap_bytes)
        self.tables.append((row_bytes, heap_bytes))
        self.trees[side].count = <size_t>row_bytes.shape[0] // sizeof(ocf_tar_row)
        self.trees[side].rows = &row_bytes[0] if row_bytes.shape[0] else NULL
        self.trees[side].heap = &heap_bytes[0] if heap_bytes.shape[0] else NULL
        self.trees[side].root = root
        return 0

    cdef int check(self, int status) except -1:
        if status == OCF_OK:
            return 0
        if status == OCF_NO_MEMORY:
            raise MemoryError
        cdef ocf_tree_content *c = &self.content
        if c.error == 0:
            raise self.raised
        cdef ocf_tree_table *tree = &self.trees[c.side]
        error = tree_failure(tree.rows, tree.heap, c.row, c.error, c.actual)
        if len(self.tables) > 1:
            error.add_note(SIDES[c.side])
        raise error


cdef int poll(void *context) noexcept with gil:
    cdef Content content = <Content>context
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        content.raised = error
        return -1
    return 0


cdef object indices_of(object source, Py_ssize_t sides):
    """A buffer of u32 in any shape, as bytes."""
    view = memoryview(source)
    if view.itemsize not in (1, 4) or view.nbytes % (4 * sides) or not view.c_contiguous:
        raise ValueError(f"indices are a buffer of u32 without gaps, {sides} for each answer")
    return view.cast("B") if view.nbytes else b""


def digests(root: int, rows: object, heap: object, which: object) -> bytes:
    """The SHA-256 of files below the open folder `root`: 32 bytes each, one behind the other.

    `rows` and `heap` are the table of that folder, `which` indices (u32) of regular files in it.
    Raises ValueError for other indices, FormatError for a table that is not sound, TreeError when a
    file is no longer what it was, OSError when it cannot be read.
    """
    cdef Content state = Content()
    cdef Sha256 fresh = Sha256()
    state.add(root, rows, heap)
    cdef const unsigned char[::1] indices = indices_of(which, 1)
    cdef size_t count = <size_t>indices.shape[0] // 4, sound
    if count == 0:
        return b""
    cdef bytes found = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(32 * count))
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(found)
    cdef int status = OCF_OK
    with nogil:
        sound = ocf_tree_content_check(state.trees, 1, &indices[0], count)
        if sound == count:
            status = ocf_tree_digests(
                &state.content, state.trees, &indices[0], count,
                sha256_update_many, &fresh.ctx, out)
    if sound < count:
        raise ValueError(f"index {sound} is not that of a regular file")
    state.check(status)
    return found


def differing(
    root_a: int, rows_a: object, heap_a: object,
    root_b: int, rows_b: object, heap_b: object,
    pairs: object,
    *, xattrs: bool = False,
) -> bytes:
    """Whether files of two folders differ: a byte for each pair, 1 if they do and 0 if not.

    With `xattrs` 2 is added where one of them has any. `pairs` are indices (u32) of regular files
    of the same size, one in the first table and one in the second. Raises as `digests` does; a note
    says which folder a TreeError or OSError is about.
    """
    cdef Content state = Content()
    state.add(root_a, rows_a, heap_a)
    state.add(root_b, rows_b, heap_b)
    state.content.with_xattrs = xattrs
    cdef const unsigned char[::1] indices = indices_of(pairs, 2)
    cdef size_t count = <size_t>indices.shape[0] // 8, sound
    if count == 0:
        return b""
    cdef bytes found = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>count)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(found)
    cdef int status = OCF_OK
    with nogil:
        sound = ocf_tree_content_check(state.trees, 2, &indices[0], count)
        if sound == count:
            status = ocf_tree_compare(&state.content, state.trees, &indices[0], count, out)
    if sound < count:
        raise ValueError(f"pair {sound} is not of two regular files of the same size")
    state.check(status)
    return found
