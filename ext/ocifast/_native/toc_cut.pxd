from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ocifast._native.sha256 cimport ocf_sha256, ocf_sha256_lane
from ocifast._native.tar cimport ocf_bytes

cdef extern from "toc_text.h" nogil:
    ctypedef struct ocf_text:
        ocf_bytes bytes

cdef extern from "toc_hash.h" nogil:
    ctypedef void (*ocf_update_many)(const ocf_sha256_lane *lanes, size_t n) noexcept nogil
    ctypedef struct ocf_segment:
        uint32_t size, payload
    void ocf_toc_hash_payloads(
        ocf_update_many update, const ocf_sha256 *fresh, const uint8_t *data,
        const ocf_segment *segments, size_t n, uint8_t *out)

cdef extern from "toc_cut.h" nogil:
    enum:
        OCF_CUT_CHUNKED
        OCF_CUT_ESTARGZ
        OCF_CUT_UNIT
        OCF_CUT_ESTARGZ_CHUNK
        OCF_CUT_SPARSE
    ctypedef struct ocf_part:
        const uint8_t *data
        size_t size, segments
    ctypedef struct ocf_cut:
        int dialect
        ocf_sha256 *everything
        uint64_t dropped, bytes
        ocf_bytes plan, wholes, parts
        ocf_text split
        size_t refused
    void ocf_cut_init(
        ocf_cut *c, int dialect, ocf_update_many update, const ocf_sha256 *fresh)
    void ocf_cut_free(ocf_cut *c)
    int ocf_cut_feed(
        ocf_cut *c, const uint8_t *piece, size_t size, uint64_t base, const uint8_t *rows,
        size_t count, const uint8_t *heap)
    int ocf_cut_finish(ocf_cut *c)

cdef extern from "toc_json.h" nogil:
    ctypedef struct ocf_toc:
        int dialect
        const ocf_segment *plan
        size_t segments
        const uint32_t *sizes
        const uint8_t *digests
        const uint8_t *wholes
        size_t digest_count, whole_count
        ocf_text text
        const uint8_t *bad
        size_t bad_size
    int ocf_toc_rows(
        ocf_toc *t, const uint8_t *rows, size_t count, const uint8_t *heap, size_t *row,
        size_t most)
