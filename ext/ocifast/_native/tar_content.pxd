from libc.stdint cimport uint8_t, uint64_t

from ocifast._native.sha256 cimport ocf_sha256, ocf_sha256_lane
from ocifast._native.tar cimport ocf_bytes

cdef extern from "tar_content.h" nogil:
    ctypedef void (*ocf_update_many)(const ocf_sha256_lane *lanes, size_t n) noexcept nogil
    ctypedef struct ocf_content:
        ocf_sha256 *everything
        ocf_bytes digests
    void ocf_content_init(ocf_content *c, ocf_update_many update, const ocf_sha256 *fresh)
    void ocf_content_free(ocf_content *c)
    int ocf_content_feed(
        ocf_content *c, const uint8_t *piece, size_t size, uint64_t base,
        const uint8_t *rows, size_t count, const uint8_t *heap)
