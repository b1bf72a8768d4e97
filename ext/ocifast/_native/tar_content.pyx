"""SHA-256 of every file of a tar as it streams by: small ones interleaved, no object an entry.

It goes beside a `TarParser` that keeps its table. Invariant: a digest is that of the whole file,
the holes of a sparse one included.
"""

cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memset

from ocifast._native.sha256 cimport Sha256, sha256_update_many
from ocifast._native.tar cimport (
    OCF_BUF_HEAP, OCF_BUF_ROWS, OCF_NO_MEMORY, OCF_OK, HeapBytes, TarParser, ocf_bytes,
    ocf_tar_row, take_over,
)

from ocifast.errors import StateError


@cython.final
cdef class ContentDigests:
    """The digests of the files that a parser meets; feed() after each of its feeds, then take().

    `everything`, if given, is fed with the stream itself, which costs less here than elsewhere: its
    lane runs beside those of files. Nobody else may use parser and hash during a feed.
    """

    cdef ocf_content content
    cdef TarParser parser
    cdef Sha256 everything
    cdef uint64_t offset
    cdef bint busy, closed

    def __cinit__(self):
        memset(&self.content, 0, sizeof(self.content))
        self.closed = True

    def __init__(self, parser: TarParser, everything: Sha256 | None = None) -> None:
        if self.parser is not None:
            raise StateError("the digests are already initialised")
        cdef Sha256 fresh = Sha256()
        ocf_content_init(&self.content, sha256_update_many, &fresh.ctx)
        self.everything = everything
        if everything is not None:
            self.content.everything = &self.everything.ctx
        self.parser, self.offset, self.closed = parser, parser.offset, False

    def __dealloc__(self):
        ocf_content_free(&self.content)

    def feed(self, const unsigned char[::1] piece not None) -> None:
        """Hash what of a piece is of files; the parser was fed with it just before."""
        cdef size_t size = <size_t>piece.shape[0], count
        cdef int status
        if self.closed:
            raise StateError("the digests were taken, or feeding them has failed")
        if size == 0:
            return
        if self.busy or self.parser.busy or self.parser.tar.core.offset != self.offset + size:
            raise StateError("the parser was not fed with this piece just before")
        cdef const ocf_bytes *rows = &self.parser.tar.buf[OCF_BUF_ROWS]
        cdef const ocf_bytes *heap = &self.parser.tar.buf[OCF_BUF_HEAP]
        count = rows.size // sizeof(ocf_tar_row)
        self.busy = self.parser.busy = True
        with nogil:
            status = ocf_content_feed(
                &self.content, &piece[0], size, self.offset, rows.data, count, heap.data
            )
        self.busy = self.parser.busy = False
        self.offset += size
        self.closed = status != OCF_OK
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if status != OCF_OK:
            raise StateError("the parser was fed with more, or its table was taken")

    def take(self) -> HeapBytes:
        """Move out 32 bytes a row, zeros for what is no file; before the table is taken."""
        if self.busy:
            raise StateError("another thread is feeding the digests")
        if self.closed:
            raise StateError("the digests were taken, or feeding them has failed")
        self.closed = True
        return take_over(&self.content.digests)
