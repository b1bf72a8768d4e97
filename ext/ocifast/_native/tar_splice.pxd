from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ocifast._native.tree_tar cimport ocf_tree_tar

cdef extern from "tar_splice.h" nogil:
    enum:
        OCF_SPLICE_ORDER
    const uint32_t OCF_SPLICE_NONE
    ctypedef struct ocf_splice:
        ocf_tree_tar writer
        const uint32_t *streams
        size_t index
        uint64_t zeros, run
        bint ended
    void ocf_splice_init(ocf_splice *s)
    void ocf_splice_free(ocf_splice *s)
    int ocf_splice_size(ocf_splice *s, uint64_t *size)
    int ocf_splice_fill(ocf_splice *s, uint8_t *out, size_t size, size_t *filled)
    uint32_t ocf_splice_wants(const ocf_splice *s)
    uint64_t ocf_splice_place(const ocf_splice *s)
    void ocf_splice_feed(
        ocf_splice *s, uint32_t stream, uint64_t at, const uint8_t *piece, size_t size)
