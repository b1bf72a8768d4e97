"""What other compiled modules may cimport: open states by value, functions that need no GIL.

The functions are this module's own, not those of sha256.h: the kernels are linked into this module
only, so one choice of kernel holds for the whole process. Contract and thread rules: sha256.h.
"""

cimport cython
from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "sha256.h" nogil:
    enum:
        OCF_SHA256_STATE

    ctypedef struct ocf_sha256:
        uint32_t h[8]
        uint64_t length
        uint8_t tail[64]

    ctypedef struct ocf_sha256_lane:
        ocf_sha256 *ctx
        const uint8_t *data
        size_t size

cdef void sha256_init(ocf_sha256 *ctx) noexcept nogil
cdef void sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size) noexcept nogil
cdef void sha256_final(const ocf_sha256 *ctx, uint8_t *out) noexcept nogil
cdef void sha256_update_many(const ocf_sha256_lane *lanes, size_t n) noexcept nogil

cdef void sha256_store_state(const ocf_sha256 *ctx, uint8_t *out) noexcept nogil
cdef const char *sha256_load_state(ocf_sha256 *ctx, const uint8_t *state) noexcept nogil


@cython.final
cdef class Sha256:
    cdef ocf_sha256 ctx  # whoever touches it from outside keeps other threads away himself
    cdef PyThread_type_lock lock
    cdef bint busy  # somebody holds the lock

    cdef bint enter(self, bint releases_gil) noexcept
    cdef void leave(self, bint locked) noexcept
