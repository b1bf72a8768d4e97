from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ocifast._native.tar cimport ocf_bytes

cdef extern from "tree_merge.h" nogil:
    enum:
        OCF_MERGE_NODES
        OCF_MERGE_BYTES
        OCF_MERGE_LOOP
        OCF_MERGE_PATH
        OCF_MERGE_ROOT
    ctypedef struct ocf_merge:
        ocf_bytes rows, heap, source
        uint64_t unmatched, dangling
        uint32_t *set
        int error
        size_t index
    int ocf_merge_init(ocf_merge *m, uint64_t seed, uint64_t limit_nodes, uint64_t limit_bytes)
    void ocf_merge_free(ocf_merge *m)
    int ocf_merge_apply(
        ocf_merge *m, const uint8_t *rows, size_t count, const uint8_t *heap, int as_entries)
    int ocf_merge_finish(ocf_merge *m)
