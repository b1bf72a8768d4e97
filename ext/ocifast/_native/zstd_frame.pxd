"""The kernel of zstd_frame: what zstd_frame.h declares, as far as the module uses it."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "zstd_frame.h" nogil:
    enum:
        OCF_ZSTD_FRAME
        OCF_ZSTD_E_MAGIC
        OCF_ZSTD_E_LEGACY
        OCF_ZSTD_E_RESERVED
        OCF_ZSTD_E_DICTIONARY
        OCF_ZSTD_E_BLOCK_TYPE
        OCF_ZSTD_E_BLOCK_SIZE
        OCF_ZSTD_E_WINDOW
        OCF_ZSTD_E_SKIPPABLE
        OCF_ZSTD_E_FRAMES

    struct ocf_zstd_walk:
        uint64_t window_limit, skippable_limit, frames_limit
        uint64_t offset, frames, data_frames, skippable_bytes
        uint64_t frame_offset, window, content_size
        uint32_t block_max
        uint8_t has_content_size, has_checksum, part
        uint64_t error_offset, detail

    void ocf_zstd_init(ocf_zstd_walk *w, uint64_t window_limit, uint64_t skippable_limit,
                       uint64_t frames_limit)
    int walk_frames "ocf_zstd_walk"(ocf_zstd_walk *w, const uint8_t *data, size_t n,
                                    size_t *used)
