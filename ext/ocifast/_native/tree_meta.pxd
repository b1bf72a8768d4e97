from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "tree_meta.h" nogil:
    enum:
        OCF_META_UNMAPPED
        OCF_META_ROOTLESS
        OCF_META_OVERLAY
        OCF_LOST_KINDS
    ctypedef struct ocf_id_range:
        uint32_t container, host, size
    ctypedef struct ocf_meta:
        const ocf_id_range *uids
        const ocf_id_range *gids
        size_t uid_count, gid_count
        uint32_t flags, umask, own_uid, own_gid
        uint64_t lost[4]
        uint64_t first[4]
        int error
        uint64_t actual

cdef class Metadata:
    cdef ocf_meta meta
    cdef bytes uids, gids
    cdef object fail(self, int error, str name)
