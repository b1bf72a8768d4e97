"""What other compiled modules may cimport: open states by value, and an update that needs no GIL.

They hash with `sha256_update_many`: the functions of sha256.h are for this module only, which alone
is linked with them. A stream begins as a Sha256, so that a demand for a kernel is never passed by.
"""

cimport cython
from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ocifast._native.sha256_kernel cimport ocf_sha256_choice

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

    void ocf_sha256_follow(const ocf_sha256_choice *choice)
    void ocf_sha256_init(ocf_sha256 *ctx)
    void ocf_sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size)
    void ocf_sha256_final(const ocf_sha256 *ctx, uint8_t *out)
    void ocf_sha256_store_state(const ocf_sha256 *ctx, uint8_t *out)
    const char *ocf_sha256_load_state(ocf_sha256 *ctx, const uint8_t *state)
    void ocf_sha256_update_many(const ocf_sha256_lane *lanes, size_t n)
    void ocf_sha256_final_many(const ocf_sha256 *ctxs, uint8_t (*out)[32], size_t n)

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define OCF_NO_GIL 1
    #else
    #define OCF_NO_GIL 0
    #endif
    """
    enum:
        NO_GIL "OCF_NO_GIL"

cdef void sha256_update_many(const ocf_sha256_lane *lanes, size_t n) noexcept nogil


@cython.final
cdef class Sha256:
    cdef ocf_sha256 ctx  # whoever touches it from outside keeps other threads away himself
    cdef PyThread_type_lock lock
    cdef bint busy  # somebody holds the lock

    cdef bint enter(self, bint releases_gil) noexcept
    cdef void leave(self, bint locked) noexcept
