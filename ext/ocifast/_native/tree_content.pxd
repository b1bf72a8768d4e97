from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ocifast._native.sha256 cimport ocf_sha256
from ocifast._native.toc_cut cimport ocf_update_many

cdef extern from "tree_content.h" nogil:
    ctypedef struct ocf_tree_table:
        const uint8_t *rows
        const uint8_t *heap
        size_t count
        int root
    ctypedef struct ocf_tree_content:
        int (*poll)(void *context)
        void *context
        int with_xattrs, error, side
        uint32_t row
        uint64_t actual
    size_t ocf_tree_content_check(
        const ocf_tree_table *trees, int sides, const uint8_t *indices, size_t count)
    int ocf_tree_digests(
        ocf_tree_content *c, const ocf_tree_table *tree, const uint8_t *which, size_t count,
        ocf_update_many update, const ocf_sha256 *fresh, uint8_t *out)
    int ocf_tree_compare(
        ocf_tree_content *c, const ocf_tree_table *trees, const uint8_t *pairs, size_t count,
        uint8_t *out)
