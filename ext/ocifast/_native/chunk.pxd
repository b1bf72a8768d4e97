from libc.stdint cimport uint8_t, uint64_t

cdef extern from "chunk.h" nogil:
    enum:
        OCF_CHUNK_MAX
    ctypedef struct ocf_chunker:
        pass
    void ocf_chunker_begin(ocf_chunker *c)
    size_t ocf_chunker_next(ocf_chunker *c, const uint8_t *data, size_t size)
    uint64_t ocf_crc64(uint64_t crc, const uint8_t *data, size_t size)
