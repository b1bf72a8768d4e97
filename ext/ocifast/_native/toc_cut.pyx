"""A tar cut into the segments of a seekable layer, and the entries of its TOC: no object an entry.

It compresses nothing and writes nothing; units come out as slices of what was fed. Invariant: a
cutter that has raised, or is finished, takes nothing more; every later call raises StateError.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from ocifast._native.sha256 cimport Sha256, sha256_update_many
from ocifast._native.tar cimport (
    OCF_NO_MEMORY, OCF_OK, HeapBytes, ocf_bytes, ocf_tar_check_table, ocf_tar_row,
    take_over,
)

import os

from ocifast.errors import FormatError, StateError, UnsupportedError

CHUNKED = OCF_CUT_CHUNKED
ESTARGZ = OCF_CUT_ESTARGZ
UNIT_BYTES = OCF_CUT_UNIT
ESTARGZ_CHUNK_BYTES = OCF_CUT_ESTARGZ_CHUNK

cdef enum:
    TEXT_BYTES = 262144  # of a TOC at a time; a little more comes


@cython.final
cdef class Cutter:
    """Cuts one tar: feed() it with what a parser made of each piece, then finish().

    `dialect` is CHUNKED or ESTARGZ; of eStargz the first entry is taken for the landmark.
    `everything`, if given, is fed with what goes into the blob: nobody else may touch it meanwhile.
    """

    cdef ocf_cut cut
    cdef Sha256 everything
    cdef list tables
    cdef size_t planned  # segments of units that came out
    cdef bint closed, busy, finished

    def __cinit__(self):
        memset(&self.cut, 0, sizeof(self.cut))
        self.closed = True

    def __init__(self, dialect: int, everything: Sha256 | None = None) -> None:
        if self.tables is not None:
            raise StateError("the cutter is already initialised")
        if dialect not in (OCF_CUT_CHUNKED, OCF_CUT_ESTARGZ):
            raise ValueError(f"there is no dialect {dialect}")
        cdef Sha256 fresh = Sha256()
        ocf_cut_init(&self.cut, dialect, sha256_update_many, &fresh.ctx)
        self.everything, self.tables = everything, []
        if everything is not None:
            self.cut.everything = &self.everything.ctx
        self.closed = False

    def __dealloc__(self):
        ocf_cut_free(&self.cut)

    cdef int begin(self) except -1:
        if self.busy:
            raise StateError("another thread is feeding the cutter")
        if self.closed:
            raise StateError("the cutter is finished or has failed")
        self.closed = True  # until it went well
        return 0

    cdef int check(self, int status, HeapBytes rows, HeapBytes heap) except -1:
        cdef const ocf_tar_row *row
        if status == OCF_OK:
            self.closed = self.finished
            return 0
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if status == OCF_CUT_SPARSE:
            row = <const ocf_tar_row *>rows.data + self.cut.refused
            # copies, for a person
            path = os.fsdecode(<bytes>(heap.data + row.path_offset)[:row.path_size])
            raise UnsupportedError(f"{path!r} is sparse: a seekable layer holds plain files")
        raise FormatError("the rows are not those of the tar that is cut")

    cdef list parts(self, object piece, const uint8_t *data, size_t size):
        cdef const ocf_part *part = <const ocf_part *>self.cut.parts.data
        cdef size_t count = self.cut.parts.size // sizeof(ocf_part), i, at
        cdef const ocf_segment *plan
        view, found = memoryview(piece), []
        for i in range(count):
            if size and data <= part[i].data <= data + size:
                at = part[i].data - data
                content = view[at:at + part[i].size]
            else:
                content = <bytes>part[i].data[:part[i].size]  # copies: headers, padding
            plan = <const ocf_segment *>self.cut.plan.data + self.planned
            self.planned += part[i].segments
            found.append((content, <bytes>(<char *>plan)[:part[i].segments * sizeof(ocf_segment)]))
        return found

    def feed(
        self, piece: object, base: int, rows: HeapBytes, heap: HeapBytes
    ) -> list[tuple[memoryview | bytes, bytes]]:
        """Give the parts of a piece, which is at `base` of what the rows are about.

        With a part comes the plan of the unit that ends behind it, or nothing: pairs of u32, the
        bytes of a segment and how many of them, at its beginning, are payload.

        Raises:
            UnsupportedError: An entry is sparse.
            FormatError: The rows are not sound, or not of this piece.
        """
        cdef const unsigned char[::1] data = piece
        cdef size_t size = <size_t>data.shape[0], count = <size_t>rows.size // sizeof(ocf_tar_row)
        cdef size_t heap_size = <size_t>heap.size
        cdef uint64_t offset = base
        cdef int status
        self.begin()
        if rows.size % sizeof(ocf_tar_row) or (count and not size):
            raise FormatError("the rows are not those of the tar that is cut")
        if size == 0:
            self.closed = False
            return []
        self.busy = True
        with nogil:
            status = OCF_OK
            if ocf_tar_check_table(rows.data, count, heap.data, heap_size) < count:
                status = -1
            if status == OCF_OK:
                status = ocf_cut_feed(
                    &self.cut, &data[0], size, offset, rows.data, count, heap.data
                )
        self.busy = False
        self.check(status, rows, heap)
        if count:
            self.tables.append((rows, heap))
        return self.parts(piece, &data[0], size)

    def finish(self) -> list[tuple[memoryview | bytes, bytes]]:
        """Give what is left, as feed() does."""
        self.begin()
        cdef int status = ocf_cut_finish(&self.cut)
        self.finished = True
        self.check(status, None, None)
        return self.parts(b"", NULL, 0)

    @property
    def dropped(self) -> int:
        """Entries that were left out."""
        return self.cut.dropped

    @property
    def size(self) -> int:
        """Bytes that went into the blob."""
        return self.cut.bytes

    def take_split(self) -> HeapBytes:
        """Move out the lines of tar-split that there are."""
        if self.busy:
            raise StateError("another thread is feeding the cutter")
        return take_over(&self.cut.split.bytes)

    def toc(self, sizes: object, digests: bytes) -> Toc:
        """The entries of the TOC; a blob's segments have these `sizes` (u32), their payloads these
        digests, all in order.

        Raises:
            StateError: It is not finished.
            FormatError: There are not so many.
        """
        return Toc(self, sizes, digests)


@cython.final
cdef class Toc:
    """Iterates over the entries in pieces of some 256 KiB; see `Cutter.toc`.

    Raises:
        UnsupportedError: A name is not UTF-8, and so not in JSON.
    """

    cdef ocf_toc toc
    cdef Cutter cutter  # has the plan, and the tables
    cdef const uint32_t[::1] sizes
    cdef bytes digests
    cdef size_t table, row

    def __cinit__(self):
        memset(&self.toc, 0, sizeof(self.toc))

    def __init__(self, cutter: Cutter, sizes: object, digests: bytes) -> None:
        if self.cutter is not None or not cutter.finished:
            raise StateError("a TOC is made once, of a cutter that is finished")
        cdef const ocf_cut *cut = &cutter.cut
        cdef size_t i, payloads = 0
        self.cutter, self.sizes, self.digests = cutter, sizes, digests
        self.toc.dialect = cut.dialect
        self.toc.plan = <const ocf_segment *>cut.plan.data
        self.toc.segments = cut.plan.size // sizeof(ocf_segment)
        for i in range(self.toc.segments):
            payloads += self.toc.plan[i].payload > 0
        cdef size_t given = <size_t>len(digests)
        if <size_t>self.sizes.shape[0] != self.toc.segments or given != 32 * payloads:
            raise FormatError("sizes and digests are not those of the segments")
        self.toc.sizes = &self.sizes[0] if self.toc.segments else NULL
        self.toc.digests = <const uint8_t *>PyBytes_AS_STRING(digests)
        self.toc.digest_count = payloads
        self.toc.wholes = cut.wholes.data
        self.toc.whole_count = cut.wholes.size // 32

    def __dealloc__(self):
        free(self.toc.text.bytes.data)

    def __iter__(self) -> Toc:
        return self

    def __next__(self) -> bytes:
        cdef HeapBytes rows, heap
        cdef size_t count
        cdef int status
        if self.cutter is None:
            raise StateError("a TOC is made of a cutter")
        while self.table < <size_t>len(self.cutter.tables):
            if self.toc.text.bytes.size >= TEXT_BYTES:
                break
            rows, heap = self.cutter.tables[self.table]
            count = <size_t>rows.size // sizeof(ocf_tar_row)
            status = ocf_toc_rows(&self.toc, rows.data, count, heap.data, &self.row, TEXT_BYTES)
            self.check(status)
            if self.row == count:
                self.table += 1
                self.row = 0
        cdef ocf_bytes *text = &self.toc.text.bytes
        if text.size == 0:
            raise StopIteration
        cdef bytes piece = <bytes>text.data[:text.size]  # copies
        text.size = 0
        return piece

    cdef int check(self, int status) except -1:
        if status == OCF_OK:
            return 0
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if self.toc.bad == NULL:
            raise FormatError("the rows are not those of the tar that was cut")
        name = <bytes>self.toc.bad[:self.toc.bad_size]  # copies, for a person
        shown = name.decode(errors="backslashreplace")
        raise UnsupportedError(f"{shown!r} is not UTF-8, and cannot be in a TOC")


def hash_payloads(const unsigned char[::1] unit not None, plan: bytes) -> bytes:
    """The digests of the payloads of a unit, one behind the other; `plan` as feed() gives it.

    Raises:
        FormatError: The plan is not that of the unit.
    """
    cdef Sha256 fresh = Sha256()
    cdef const ocf_segment *segments = <const ocf_segment *>PyBytes_AS_STRING(plan)
    cdef size_t count = <size_t>len(plan) // sizeof(ocf_segment), payloads = 0, i
    cdef uint64_t total = 0
    for i in range(count):
        if segments[i].payload > segments[i].size:
            raise FormatError("the plan is not that of the unit")
        payloads += segments[i].payload > 0
        total += segments[i].size
    if total != <uint64_t>unit.shape[0] or len(plan) % sizeof(ocf_segment):
        raise FormatError("the plan is not that of the unit")
    cdef bytes digests = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(32 * payloads))
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(digests)
    if payloads:
        with nogil:
            ocf_toc_hash_payloads(sha256_update_many, &fresh.ctx, &unit[0], segments, count, out)
    return digests
