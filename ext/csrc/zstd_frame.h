/* Walks zstd frames (RFC 8878) by their headers alone: where each frame ends and whether what the
 * headers say may be decoded. It decodes nothing and never looks inside a block, so checksums and
 * block contents stay libzstd's business.
 *
 * Contract: ocf_zstd_walk() borrows n bytes, continues exactly where the last call stopped and
 * either takes all of them (OCF_ZSTD_MORE), or stops right behind a frame (OCF_ZSTD_FRAME), or
 * returns a negative OCF_ZSTD_E_*, from then on always the same. Input may be cut anywhere. No
 * allocation, no global state, no byte read twice; the struct is plain memory and may be copied.
 * Each step consumes at least one byte of input.
 */
#ifndef OCF_ZSTD_FRAME_H
#define OCF_ZSTD_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
    OCF_ZSTD_MORE = 0,
    OCF_ZSTD_FRAME = 1,
    OCF_ZSTD_E_MAGIC = -1,      /* neither a frame nor a skippable frame begins here */
    OCF_ZSTD_E_LEGACY = -2,     /* a format from before v0.8 */
    OCF_ZSTD_E_RESERVED = -3,   /* reserved bit of the frame header descriptor is set */
    OCF_ZSTD_E_DICTIONARY = -4, /* needs the dictionary `detail` */
    OCF_ZSTD_E_BLOCK_TYPE = -5, /* block type 3 */
    OCF_ZSTD_E_BLOCK_SIZE = -6, /* block of `detail` bytes is larger than `block_max` */
    OCF_ZSTD_E_WINDOW = -7,     /* window of `detail` bytes is over `window_limit` */
    OCF_ZSTD_E_SKIPPABLE = -8,  /* skippable frames sum up to `detail`, over `skippable_limit` */
    OCF_ZSTD_E_FRAMES = -9,     /* frame number `detail` is over `frames_limit` */
};

enum ocf_zstd_part {
    OCF_ZSTD_BORDER, /* between frames: the only place where a blob may end */
    OCF_ZSTD_HEADER,
    OCF_ZSTD_BLOCK_HEADER,
    OCF_ZSTD_BLOCK,
    OCF_ZSTD_CHECKSUM,
    OCF_ZSTD_SKIPPABLE,
};

struct ocf_zstd_walk {
    /* set by ocf_zstd_init */
    uint64_t window_limit, skippable_limit, frames_limit;
    /* counters over the whole blob; `frames` counts finished ones of both kinds */
    uint64_t offset, frames, data_frames, skippable_bytes;
    /* the current frame, or the last one when `part` is OCF_ZSTD_BORDER */
    uint64_t frame_offset, window, content_size;
    uint32_t block_max;
    uint8_t has_content_size, has_checksum, is_skippable;
    /* the error: blob offset of the header at fault, and the number that was wrong */
    uint64_t error_offset, detail;
    int failed;
    /* private: bytes to pass over, header bytes gathered so far */
    uint64_t left;
    uint8_t part, last_block, need, have, head[18];
};

void ocf_zstd_init(struct ocf_zstd_walk *w, uint64_t window_limit, uint64_t skippable_limit,
                   uint64_t frames_limit);

/* *used receives the bytes taken, also for OCF_ZSTD_FRAME; it is 0 after an error. */
int ocf_zstd_walk(struct ocf_zstd_walk *w, const uint8_t *data, size_t n, size_t *used);

#endif
