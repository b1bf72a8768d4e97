from libc.stdint cimport uint8_t, uint64_t

from ocifast._native.tar cimport ocf_bytes, ocf_tar_row

cdef extern from "tree_parents.h" nogil:
    enum:
        OCF_TREE_KIND
        OCF_TREE_SIZE
        OCF_TREE_SHRANK
        OCF_TREE_GREW
        OCF_TREE_PATH

cdef extern from "tree_tar.h" nogil:
    enum:
        OCF_TREE_XATTR
        OCF_TREE_DEVICE
        OCF_TREE_NUL
    ctypedef struct ocf_tree_tar:
        const uint8_t *rows
        const uint8_t *heap
        const uint8_t *prefix
        size_t count, prefix_size, index
        int error
        uint64_t actual
    int ocf_tree_header(ocf_tree_tar *t, ocf_bytes *out, const ocf_tar_row *row)
    void ocf_tree_tar_init(ocf_tree_tar *t, int root)
    void ocf_tree_tar_free(ocf_tree_tar *t)
    int ocf_tree_tar_size(ocf_tree_tar *t, uint64_t *size)
    int ocf_tree_tar_fill(ocf_tree_tar *t, uint8_t *out, size_t size, size_t *filled)

# For other compiled modules too: what a reason of tree_parents.h or an errno says about a row.
cdef object tree_failure(
    const uint8_t *rows, const uint8_t *heap, size_t index, int error, uint64_t actual)
