"""Contents of the files of a tar to disk, as it streams by: no object an entry.

A cutter goes beside a `TarParser` that keeps its table; what it gives is complete in itself, so a
writer can be another thread's. The files of each folder of the layer lie together in a home, a
folder within the one that was given, under their own last names. Invariant: nothing is written
outside of it, through a link, or over what is there.
"""

cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memset

from ocifast._native.tar cimport (
    OCF_BUF_HEAP, OCF_BUF_ROWS, OCF_NO_MEMORY, OCF_OK, TarParser, ocf_bytes, ocf_tar_row,
)
from ocifast._native.tree_meta cimport Metadata

from ocifast.errors import StateError


@cython.final
cdef class FileCutter:
    """Which bytes of a piece belong to which file; cut() after each feed of the parser."""

    cdef ocf_files_cutter cutter
    cdef TarParser parser
    cdef uint64_t offset
    cdef bint closed

    def __cinit__(self):
        memset(&self.cutter, 0, sizeof(self.cutter))

    def __init__(self, parser: TarParser) -> None:
        self.parser, self.offset = parser, parser.offset

    def __dealloc__(self):
        ocf_files_cutter_free(&self.cutter)

    def cut(self, size: int) -> bytes:
        """Say what is in the piece of `size` bytes that the parser was fed with just before."""
        if self.closed or self.parser is None:
            raise StateError("the cutter has failed, or was never begun")
        if self.parser.busy or self.parser.tar.core.offset != self.offset + <uint64_t>size:
            raise StateError("the parser was not fed with this piece just before")
        cdef const ocf_bytes *rows = &self.parser.tar.buf[OCF_BUF_ROWS]
        cdef const ocf_bytes *heap = &self.parser.tar.buf[OCF_BUF_HEAP]
        cdef size_t count = rows.size // sizeof(ocf_tar_row), piece = size
        cdef int status
        self.parser.busy = True
        with nogil:
            status = ocf_files_cut(
                &self.cutter, piece, self.offset, rows.data, count, heap.data
            )
        self.parser.busy = False
        self.offset += <uint64_t>size
        self.closed = status != OCF_OK
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if status != OCF_OK:
            raise StateError("the parser was fed with more, or its table was taken")
        return self.cutter.parts.data[:self.cutter.parts.size]  # copies: 160 bytes and a path each


@cython.final
cdef class FileWriter:
    """Brings parts to disk, in the order of their pieces, into an open folder."""

    cdef ocf_files_writer writer
    cdef Metadata metadata
    cdef bint busy, closed

    def __cinit__(self):
        ocf_files_writer_init(&self.writer)

    def __init__(self, folder: int, metadata: Metadata) -> None:
        self.writer.folder = folder
        self.metadata = metadata
        self.writer.meta = &self.metadata.meta

    def __dealloc__(self):
        ocf_files_writer_free(&self.writer)

    def close(self) -> None:
        """Let go of a file that was not completed; nothing can be written any more."""
        if self.busy:
            raise StateError("the writer is at work in another thread")
        self.closed = True
        ocf_files_writer_close(&self.writer)

    @property
    def written(self) -> int:
        """Bytes of contents that were written."""
        return self.writer.written

    @property
    def homes(self) -> bytes:
        """Say where files lie: a u32 for each row up to the last file, the number of its home.

        Those without one, 0xffffffff, lie in the folder itself, called by the number of the row.
        """
        return self.writer.homes.data[:self.writer.homes.size]  # copies: 4 bytes a row

    def write(self, parts: bytes, const unsigned char[::1] piece not None) -> None:
        """Write what a cutter said of a piece.

        Raises TreeError for an owner that is in no range, OSError for what the file system refuses;
        both are named by the number of the row.
        """
        cdef int status
        cdef const unsigned char *what = parts
        cdef size_t size = <size_t>len(parts), piece_size = <size_t>piece.shape[0]
        if self.metadata is None or self.busy or self.closed:
            raise StateError("the writer has failed, or is at work in another thread")
        if size == 0:
            return
        self.busy = True
        with nogil:
            status = ocf_files_write(&self.writer, what, size, &piece[0], piece_size)
        self.busy = False
        self.closed = status != OCF_OK
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if status != OCF_OK:
            raise self.metadata.fail(self.writer.error, f"#{self.writer.number}")
