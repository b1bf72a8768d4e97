from libc.stdint cimport int32_t, uint8_t, uint32_t

from ocifast._native.tar cimport ocf_bytes

cdef extern from "tree_join.h" nogil:
    enum:
        OCF_DIFF_TYPE
        OCF_DIFF_MODE
        OCF_DIFF_OWNER
        OCF_DIFF_SIZE
        OCF_DIFF_MTIME
        OCF_DIFF_LINK
        OCF_DIFF_DEVICE
        OCF_DIFF_XATTRS
        OCF_DIFF_LINKS
        OCF_DIFF_CONTENT
        OCF_DIFF_UNREAD
        OCF_JOIN_DIGEST
    ctypedef struct ocf_join_side:
        const uint8_t *rows
        const uint8_t *heap
        const uint8_t *digests
        size_t count
    ctypedef struct ocf_join:
        ocf_join_side a, b
        ocf_bytes pairs, masks, unread
        int side
        size_t index
    int ocf_join_run(ocf_join *j)
    void ocf_join_parents(const ocf_join_side *side, int32_t *out)
    void ocf_join_inodes(const ocf_join_side *side, uint32_t *out)
    int ocf_join_in_order(const ocf_join_side *side, size_t *index)
