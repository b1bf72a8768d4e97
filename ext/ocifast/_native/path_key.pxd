from libc.stdint cimport uint8_t, uint64_t

cdef extern from "path_key.h" nogil:
    void ocf_path_keys(
        const uint8_t *rows, size_t count, const uint8_t *heap, unsigned depth, uint64_t *keys)
