"""A tar of a table's entries, with payload cut out of other tars as they stream by.

It opens and decodes nothing: whoever reads it is asked for pieces. Invariant: every byte of payload
stands in the tar where its row says that it stood in its stream.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ocifast._native.tar cimport OCF_NO_MEMORY, OCF_OK, ocf_tar_row
from ocifast._native.tree_tar cimport tree_failure

from ocifast._native.tar import check_table
from ocifast.errors import StateError


@cython.final
cdef class TarSplice:
    """The tar of a table; `streams` has the number of the stream of each row's payload (u32).

    All three are borrowed. Rows with payload are in the order of their streams, and in each of
    their places. Raises FormatError for a table that is not sound, and TreeError for an entry that
    a tar cannot hold.
    """

    cdef ocf_splice splice
    cdef Py_buffer rows, heap, streams, piece
    cdef bint open, busy
    cdef readonly uint64_t size

    def __cinit__(self):
        ocf_splice_init(&self.splice)
        memset(&self.rows, 0, sizeof(self.rows))
        memset(&self.heap, 0, sizeof(self.heap))
        memset(&self.streams, 0, sizeof(self.streams))
        memset(&self.piece, 0, sizeof(self.piece))

    def __init__(self, rows: object, heap: object, streams: object) -> None:
        if self.rows.buf != NULL:
            raise StateError("the tar is already initialised")
        check_table(rows, heap)
        PyObject_GetBuffer(rows, &self.rows, PyBUF_SIMPLE)
        PyObject_GetBuffer(heap, &self.heap, PyBUF_SIMPLE)
        PyObject_GetBuffer(streams, &self.streams, PyBUF_SIMPLE)
        cdef size_t count = <size_t>self.rows.len // sizeof(ocf_tar_row)
        cdef bint aligned = <size_t>self.streams.buf % sizeof(uint32_t) == 0
        if <size_t>self.streams.len != count * sizeof(uint32_t) or (count and not aligned):
            raise ValueError("streams are not one aligned u32 a row")
        self.splice.writer.rows = <const uint8_t *>self.rows.buf
        self.splice.writer.heap = <const uint8_t *>self.heap.buf
        self.splice.writer.count = count
        self.splice.streams = <const uint32_t *>self.streams.buf
        self.open = True
        cdef uint64_t size = 0
        self.check(ocf_splice_size(&self.splice, &size))
        self.size = size

    def __dealloc__(self):
        ocf_splice_free(&self.splice)
        PyBuffer_Release(&self.rows)
        PyBuffer_Release(&self.heap)
        PyBuffer_Release(&self.streams)
        PyBuffer_Release(&self.piece)

    @property
    def wants(self) -> int:
        """The stream whose next piece is wanted; -1 while none is."""
        cdef uint32_t stream = ocf_splice_wants(&self.splice)
        return -1 if stream == OCF_SPLICE_NONE else <object>stream

    @property
    def place(self) -> int:
        """Where in that stream the bytes are that are wanted."""
        return ocf_splice_place(&self.splice)

    def feed(self, stream: int, at: int, piece: object) -> None:
        """Give a piece of the stream that is wanted, borrowed until the next is fed.

        It begins at `at`; what lies before the place that is wanted is passed over.
        """
        self.ensure_open()
        if stream < 0 or stream != self.wants:
            raise StateError(f"no piece of stream {stream} is wanted")
        cdef uint64_t begins = at
        PyBuffer_Release(&self.piece)
        PyObject_GetBuffer(piece, &self.piece, PyBUF_SIMPLE)
        ocf_splice_feed(
            &self.splice, stream, begins, <const uint8_t *>self.piece.buf, <size_t>self.piece.len
        )

    def readinto(self, out: object) -> int:
        """Fill `out` with the next bytes of the tar; less of it when it wants a piece, or ends.

        Raises StateError when payload lies before what has been passed.
        """
        cdef unsigned char[::1] memory = out
        cdef size_t filled = 0, room = <size_t>memory.shape[0]
        cdef int status
        self.ensure_open()
        if room == 0:
            return 0
        self.busy = True
        with nogil:
            status = ocf_splice_fill(&self.splice, &memory[0], room, &filled)
        self.busy = False
        self.check(status)
        return filled

    def close(self) -> None:
        """Let go of the piece; may be called again."""
        if self.busy:
            raise StateError("the tar is being read by another thread")
        self.open = False
        PyBuffer_Release(&self.piece)

    cdef int ensure_open(self) except -1:
        if not self.open or self.busy:
            raise StateError("the tar is closed, has failed, or is being read by another thread")
        return 0

    cdef int check(self, int status) except -1:
        if status == OCF_OK:
            return 0
        self.open = False
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if self.splice.writer.error == OCF_SPLICE_ORDER:
            raise StateError(f"row {self.splice.index}: its payload lies before that of others")
        raise tree_failure(
            self.splice.writer.rows, self.splice.writer.heap, self.splice.index,
            self.splice.writer.error, 0,
        )
