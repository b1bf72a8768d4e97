from libc.stdint cimport uint8_t

from ocifast._native.tar cimport ocf_bytes

cdef extern from "tree_walk.h" nogil:
    enum:
        OCF_WALK_WHITEOUT
        OCF_WALK_DEPTH
        OCF_WALK_XATTR
        OCF_WALK_TARGET
    ctypedef int (*ocf_walk_ask)(void *context, const uint8_t *path, size_t size, int is_folder)
    ctypedef int (*ocf_walk_poll)(void *context)
    ctypedef struct ocf_walk:
        ocf_bytes rows, heap, path, left_out
        int error
        void *context
        ocf_walk_ask ask
        ocf_walk_poll poll
    int ocf_walk_init(ocf_walk *w, int with_xattrs)
    void ocf_walk_free(ocf_walk *w)
    int ocf_walk_run(ocf_walk *w, int root)
    int ocf_walk_add_xattrs(ocf_walk *w, int root, const uint8_t *which, size_t count)
