/* What hashing one stream and hashing many share; nothing here is for callers. */
#ifndef OCF_SHA256_INTERNAL_H
#define OCF_SHA256_INTERNAL_H

#include "sha256.h"

enum { BLOCK = OCF_SHA256_BLOCK, MAX_LANES = OCF_SHA256_MAX_LANES };

extern const ocf_sha256_choice *ocf_sha256_followed __attribute__((visibility("hidden")));

static inline size_t tail_size(const ocf_sha256 *ctx) { return ctx->length % BLOCK; }

/* Bytes of `size` that only complete the block begun in the tail. */
static inline size_t head_size(const ocf_sha256 *ctx, size_t size) {
    size_t used = tail_size(ctx);
    return used == 0 ? 0 : size < BLOCK - used ? size : BLOCK - used;
}

/* Everything of an update before and after its whole blocks. The length moves in `finish` only, so
 * that head_size means the same all the way between. */
void ocf_sha256_begin(ocf_sha256 *ctx, const uint8_t *data, size_t size);
void ocf_sha256_finish(ocf_sha256 *ctx, const uint8_t *data, size_t size);

/* FIPS 180-4, 5.1.1: the tail, a one bit, zeros, the length in bits. Returns how many blocks. */
size_t ocf_sha256_last_blocks(const ocf_sha256 *ctx, uint8_t out[2 * BLOCK]);
void ocf_sha256_store_words(const uint32_t h[8], uint8_t out[OCF_SHA256_DIGEST]);

#endif
