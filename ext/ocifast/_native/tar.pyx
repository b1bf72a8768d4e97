"""Push parser of tar streams: bytes in with any borders, one table of entries out.

It reads headers only: payload is skipped, no Python object is made per entry, nothing is opened.
Invariant: a parser that has raised is closed; every later call raises StateError.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

import os

from ocifast.errors import FormatError, LimitExceeded, StateError, TarError

cdef bytes STATE_MAGIC = b"ocifast.tar/1\0\0\0"


@cython.final
cdef class HeapBytes:
    """Read-only bytes that were allocated by the parser; freed with the last view of them."""

    def __cinit__(self):
        self.data = NULL
        self.size = 0

    def __dealloc__(self):
        free(self.data)

    def __len__(self) -> int:
        return self.size

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.size, 1, flags)

    def __buffer__(self, flags: int, /) -> memoryview:
        """By this name type checkers know a buffer, and Python 3.12 does (PEP 688)."""
        return memoryview(self)


cdef HeapBytes take_over(ocf_bytes *source):
    """Move a buffer out of the parser: no copy, the parser's is empty afterwards."""
    cdef HeapBytes result = HeapBytes()
    result.data = source.data
    result.size = <Py_ssize_t>source.size
    memset(source, 0, sizeof(source[0]))
    return result


cdef int read_limits(object limits, ocf_tar_limits *out) except -1:
    out.output_bytes = limits.output_bytes
    out.entries = limits.entries
    out.table_bytes = limits.table_bytes
    out.path_bytes = limits.path_bytes
    out.component_bytes = limits.component_bytes
    out.depth = limits.depth
    # Spans into the metadata are 32 bits wide.
    out.metadata_bytes = min(limits.metadata_bytes, 1 << 30)
    out.extensions = min(limits.extensions, 1 << 30)
    out.xattr_bytes = min(limits.xattr_bytes, 1 << 20)
    out.sparse_regions = min(limits.sparse_regions, 1 << 26)
    out.tail_bytes = limits.tail_bytes
    out.findings = min(limits.findings, 1 << 20)
    return 0


cdef str sentence(const ocf_tar_finding *found):
    cdef bytes text = ocf_tar_rule_texts[found.rule]
    kind = repr(chr(found.a)) if 0 <= found.a < 256 else "?"
    field = (<bytes>ocf_tar_field_names[found.field]).decode()
    return text.decode().format(a=found.a, b=found.b, field=field, type=kind)


cdef list split_state(bytes state):
    cdef Py_ssize_t at = len(STATE_MAGIC)
    parts = []
    if not state.startswith(STATE_MAGIC):
        raise FormatError("not a tar parser state")
    while at < len(state):
        size = int.from_bytes(state[at:at + 8], "little") if len(state) - at >= 8 else -1
        if not 0 <= size <= len(state) - at - 8:
            raise FormatError("the tar parser state is cut short")
        parts.append(state[at + 8:at + 8 + size])
        at += 8 + size
    return parts


cdef int check_findings(const ocf_tar *tar, uint64_t count) except -1:
    cdef uint64_t i
    for i in range(count):
        if (
            tar.findings[i].field >= OCF_TAR_FIELD_COUNT
            or tar.findings[i].rule >= OCF_TAR_RULE_COUNT
            or ocf_tar_rule_texts[tar.findings[i].rule] == NULL
        ):
            raise FormatError("the tar parser state is inconsistent")
    return 0


def check_table(
    const unsigned char[::1] rows not None, const unsigned char[::1] heap not None
) -> None:
    """Raise FormatError unless rows are whole and every span of them is sound and in the heap.

    200 k rows take 2 ms, so a table from another process is never taken on trust.
    """
    cdef size_t size = <size_t>rows.shape[0], heap_size = <size_t>heap.shape[0]
    cdef size_t count = size // sizeof(ocf_tar_row), sound
    if size % sizeof(ocf_tar_row):
        raise FormatError(f"{size} bytes are no whole rows of {sizeof(ocf_tar_row)} bytes")
    if count == 0:
        return
    with nogil:
        sound = ocf_tar_check_table(&rows[0], count, &heap[0] if heap_size else NULL, heap_size)
    if sound < count:
        raise FormatError(f"row {sound} of an entry table is not sound")


cdef int tar_feed(ocf_tar *t, const uint8_t *data, size_t size) noexcept nogil:
    return ocf_tar_feed(t, data, size)


@cython.final
cdef class TarParser:
    """Parse one tar stream; feed() it, then finish(). A call while another thread feeds is refused.

    `limits` is an `ocifast.Limits`; `strict` picks the profile; with `keep` false only counts and
    findings are kept, not the table.
    """

    def __cinit__(self):
        memset(&self.tar, 0, sizeof(self.tar))
        self.closed = True

    def __init__(self, limits: object, *, strict: bool = False, keep: bool = True) -> None:
        cdef ocf_tar_limits caps
        self.ensure_idle()
        if self.tar.findings != NULL:
            raise StateError("the parser is already initialised")
        read_limits(limits, &caps)
        seed = int.from_bytes(os.urandom(8), "little")
        self.closed = False
        self.check(ocf_tar_init(&self.tar, &caps, strict, keep, seed))

    def __dealloc__(self):
        ocf_tar_free(&self.tar)

    cdef int ensure_open(self) except -1:
        if self.closed:
            raise StateError("the tar parser is finished or has failed")
        self.ensure_idle()
        return 0

    cdef int ensure_idle(self) except -1:
        if self.busy:
            raise StateError("another thread is feeding the tar parser")
        return 0

    cdef int check(self, int status) except -1:
        if status == OCF_OK:
            return 0
        self.closed = True
        if status == OCF_NO_MEMORY:
            raise MemoryError
        cdef ocf_tar_finding *error = &self.tar.error
        name = (<bytes>ocf_tar_rule_names[error.rule]).decode()
        if ocf_tar_rule_texts[error.rule] == NULL:
            raise LimitExceeded(name, error.a, <uint64_t>error.b, "tar", error.offset)
        reason = sentence(error)
        cdef ocf_bytes *path = &self.tar.buf[OCF_BUF_NAME]
        cdef Py_ssize_t shown
        if path.size:
            # copies at most 200 bytes, for a person
            shown = path.size if path.size < 200 else 200
            reason += f" (entry {os.fsdecode(<bytes>path.data[:shown])!r})"
        raise TarError(name, error.offset, reason)

    def feed(self, const unsigned char[::1] data not None) -> None:
        """Parse the next bytes of the stream.

        Raises TarError where the stream breaks a rule of the profile, LimitExceeded at a cap.
        """
        cdef int status
        self.ensure_open()
        if data.shape[0] == 0:
            return
        self.busy = True
        with nogil:
            status = ocf_tar_feed(&self.tar, &data[0], <size_t>data.shape[0])
        self.busy = False
        self.check(status)

    @property
    def payload_left(self) -> int:
        """Payload and padding between here and the next header, which skip() may pass over."""
        return ocf_tar_payload_left(&self.tar)

    def skip(self, size: int) -> None:
        """Take the next `size` bytes of payload as fed: for a source that can seek.

        Raises StateError when there are not so many before the next header.
        """
        self.ensure_open()
        if not 0 <= size <= self.payload_left:
            raise StateError(f"no {size} bytes of payload can be skipped here")
        self.check(ocf_tar_skip(&self.tar, size))

    def finish(self) -> None:
        """Judge the end of the stream; raises TarError when it is not where a tar may end."""
        self.ensure_open()
        self.check(ocf_tar_finish(&self.tar))
        self.closed = True

    @property
    def offset(self) -> int:
        """Bytes taken so far."""
        return self.tar.core.offset

    @property
    def entries(self) -> int:
        """Entries so far; extension headers are not entries."""
        return self.tar.core.entries

    @property
    def finding_count(self) -> int:
        """Oddities tolerated so far; findings() holds the first `limits.findings` of them."""
        return self.tar.core.findings

    def findings(self) -> list[tuple[str, int, str]]:
        """Oddities tolerated so far, as (rule name, stream offset, sentence)."""
        cdef uint64_t kept = min(self.tar.core.findings, self.tar.limits.findings)
        cdef uint64_t i
        result = []
        self.ensure_idle()
        for i in range(kept):
            name = (<bytes>ocf_tar_rule_names[self.tar.findings[i].rule]).decode()
            result.append((name, self.tar.findings[i].offset, sentence(&self.tar.findings[i])))
        return result

    def take_table(self) -> tuple[HeapBytes, HeapBytes]:
        """Move the table out: rows (`ocifast.formats.tar.ROW`) and the heap of their names."""
        self.ensure_idle()
        rows = take_over(&self.tar.buf[OCF_BUF_ROWS])
        return rows, take_over(&self.tar.buf[OCF_BUF_HEAP])

    def state(self) -> bytes:
        """Everything needed to go on elsewhere: about 1 KiB, pending metadata (at most
        `limits.metadata_bytes` three times over), 8 bytes per path, and the table if one is kept.
        """
        cdef uint64_t kept, count
        cdef Py_ssize_t size
        cdef int i
        cdef bytes prints
        self.ensure_open()
        kept = min(self.tar.core.findings, self.tar.limits.findings)
        count = self.tar.core.paths
        prints = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(count * 8))
        ocf_tar_fingerprints(&self.tar, <uint64_t *>PyBytes_AS_STRING(prints))
        parts = [(<char *>&self.tar.core)[:sizeof(self.tar.core)]]
        for i in range(OCF_BUF_COUNT):
            size = <Py_ssize_t>self.tar.buf[i].size
            parts.append((<char *>self.tar.buf[i].data)[:size] if size else b"")
        parts.append(prints)
        parts.append((<char *>self.tar.findings)[:kept * sizeof(ocf_tar_finding)])
        return STATE_MAGIC + b"".join(len(part).to_bytes(8, "little") + part for part in parts)

    @classmethod
    def from_state(cls, state: bytes, limits: object) -> TarParser:
        """Make a parser that goes on where state() was taken. Raises FormatError on a bad state."""
        cdef TarParser self = cls(limits)
        self.closed = True
        self.load(split_state(state))
        self.closed = False
        return self

    cdef int load(self, list parts) except -1:
        cdef bytes part
        cdef int i, status
        cdef uint64_t kept, size
        if len(parts) != OCF_BUF_COUNT + 3 or len(parts[0]) != sizeof(self.tar.core):
            raise FormatError("the tar parser state is of another version")
        part = parts[0]
        memcpy(&self.tar.core, PyBytes_AS_STRING(part), sizeof(self.tar.core))
        for i in range(OCF_BUF_COUNT):
            part = parts[1 + i]
            status = ocf_bytes_set(&self.tar.buf[i], PyBytes_AS_STRING(part), <size_t>len(part))
            if status != OCF_OK:
                raise MemoryError
        part = parts[OCF_BUF_COUNT + 2]
        kept = min(self.tar.core.findings, self.tar.limits.findings)
        size = kept * sizeof(ocf_tar_finding)
        if <uint64_t>len(part) != size or len(parts[OCF_BUF_COUNT + 1]) % 8:
            raise FormatError("the tar parser state is inconsistent")
        memcpy(self.tar.findings, PyBytes_AS_STRING(part), <size_t>len(part))
        check_findings(&self.tar, kept)
        part = parts[OCF_BUF_COUNT + 1]
        status = ocf_tar_restore(
            &self.tar, <uint64_t *>PyBytes_AS_STRING(part), <size_t>len(part) // 8
        )
        if status == OCF_NO_MEMORY:
            raise MemoryError
        if status != OCF_OK:
            raise FormatError("the tar parser state is inconsistent")
        return 0
