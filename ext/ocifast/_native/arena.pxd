from libc.stdint cimport uint32_t, uint64_t

from ocifast._native.sha256 cimport ocf_sha256, ocf_sha256_lane

cdef extern from "arena.h" nogil:
    enum:
        OCF_ARENA_OK
        OCF_ARENA_FULL
        OCF_ARENA_BAD
        OCF_ARENA_BUSY
        OCF_ARENA_SLOTS
        OCF_ARENA_BATCH
    ctypedef void (*ocf_hash_many)(const ocf_sha256_lane *lanes, size_t n) noexcept nogil
    ctypedef struct ocf_arena:
        uint32_t slots, slot_bytes
    size_t ocf_arena_header_bytes()
    int ocf_arena_init(ocf_arena *a, uint32_t slots, uint32_t slot_bytes)
    uint32_t ocf_arena_change(const ocf_arena *a)
    int ocf_arena_take(ocf_arena *a)
    int ocf_arena_hold(ocf_arena *a, uint32_t slot)
    int ocf_arena_release(ocf_arena *a, uint32_t slot)
    int ocf_arena_lane_open(ocf_arena *a, const ocf_sha256 *start)
    int ocf_arena_lane_push(ocf_arena *a, uint32_t lane, uint32_t slot, uint32_t size)
    int ocf_arena_lane_idle(ocf_arena *a, uint32_t lane)
    int ocf_arena_lane_close(ocf_arena *a, uint32_t lane, ocf_sha256 *out)
    int ocf_arena_lane_drop(ocf_arena *a, uint32_t lane)
    uint64_t ocf_arena_hash(ocf_arena *a, ocf_hash_many hash, uint32_t width,
                            const uint32_t *only, size_t count)
    uint32_t ocf_arena_pending(const ocf_arena *a)
    uint32_t ocf_arena_free(const ocf_arena *a)
    void ocf_arena_wait(ocf_arena *a, uint32_t seen, uint32_t milliseconds)
    void ocf_arena_wake(ocf_arena *a)
