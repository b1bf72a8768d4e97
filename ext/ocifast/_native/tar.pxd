from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "tar.h" nogil:
    enum:
        OCF_OK
        OCF_REFUSED
        OCF_NO_MEMORY
        OCF_TAR_RULE_COUNT
        OCF_TAR_FIELD_COUNT
        OCF_BUF_NAME
        OCF_BUF_ROWS
        OCF_BUF_HEAP
        OCF_BUF_COUNT
    const char **ocf_tar_rule_names
    const char **ocf_tar_rule_texts
    const char **ocf_tar_field_names
    ctypedef struct ocf_tar_limits:
        uint64_t output_bytes, entries, table_bytes, path_bytes, component_bytes, depth
        uint64_t metadata_bytes, extensions, xattr_bytes, sparse_regions, tail_bytes, findings
    ctypedef struct ocf_tar_finding:
        uint64_t offset
        int64_t a, b
        uint32_t rule, field
    ctypedef struct ocf_bytes:
        uint8_t *data
        size_t size, capacity
    ctypedef struct ocf_tar_core:
        uint64_t offset, entries, findings, paths
        uint32_t strict, keep
    ctypedef struct ocf_tar:
        ocf_tar_core core
        ocf_tar_limits limits
        ocf_bytes buf[1]
        ocf_tar_finding *findings
        ocf_tar_finding error
    int ocf_tar_init(ocf_tar *t, const ocf_tar_limits *limits, int strict, int keep, uint64_t seed)
    void ocf_tar_free(ocf_tar *t)
    int ocf_tar_feed(ocf_tar *t, const uint8_t *data, size_t size)
    int ocf_tar_finish(ocf_tar *t)
    uint64_t ocf_tar_payload_left(const ocf_tar *t)
    int ocf_tar_skip(ocf_tar *t, uint64_t size)
    int ocf_tar_restore(ocf_tar *t, const uint64_t *fingerprints, size_t count)
    size_t ocf_tar_fingerprints(const ocf_tar *t, uint64_t *out)
    size_t ocf_tar_check_table(
        const uint8_t *rows, size_t count, const uint8_t *heap, size_t heap_size)
    ctypedef struct ocf_tar_row:
        uint64_t path_offset, size
        uint32_t path_size

cdef extern from "tar_internal.h" nogil:
    int ocf_bytes_set(ocf_bytes *b, const void *data, size_t size)


cdef class HeapBytes:
    cdef uint8_t *data
    cdef Py_ssize_t size


# For other compiled modules: the kernels are linked into this one only.
cdef int tar_feed(ocf_tar *t, const uint8_t *data, size_t size) noexcept nogil

# Moves a buffer out: no copy, the source is empty afterwards.
cdef HeapBytes take_over(ocf_bytes *source)


cdef class TarParser:
    cdef ocf_tar tar
    cdef bint closed, busy
    cdef int check(self, int status) except -1
    cdef int ensure_open(self) except -1
    cdef int ensure_idle(self) except -1
    cdef int load(self, list parts) except -1
