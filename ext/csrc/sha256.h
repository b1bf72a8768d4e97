/* SHA-256 with an open state: streaming, and several streams interleaved on one core.
 *
 * Not a general hash library: one algorithm, no allocation, no Python.h, no locks.
 * Threads: a context belongs to one caller at a time; every function may run without the GIL.
 * Invariant: states do not depend on the kernel, the lane width, or how the data was cut.
 */
#ifndef OCF_SHA256_H
#define OCF_SHA256_H

#include "sha256_kernel.h"

#define OCF_SHA256_DIGEST 32
#define OCF_SHA256_STATE 108

/* Before all hashing: kernel and lane widths are those of `choice`, read anew by every call. */
void ocf_sha256_follow(const ocf_sha256_choice *choice);

/* Plain data without pointers: may be copied, live in shared memory, move between processes.
 * `tail` holds the length % 64 bytes not yet compressed; what lies behind them is unspecified. */
typedef struct {
    uint32_t h[8];
    uint64_t length;
    uint8_t tail[OCF_SHA256_BLOCK];
} ocf_sha256;

void ocf_sha256_init(ocf_sha256 *ctx);
void ocf_sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size);
/* Leaves `ctx` as it was, so more data may follow. */
void ocf_sha256_final(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_DIGEST]);

/* The 108 bytes of Go's crypto/sha256: "sha\3", h as big-endian words, the tail and zeros, the
 * length as a big-endian 64-bit word. */
void ocf_sha256_store_state(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_STATE]);
/* NULL, or why the function above cannot have stored these bytes; `ctx` is then undefined. */
const char *ocf_sha256_load_state(ocf_sha256 *ctx, const uint8_t state[OCF_SHA256_STATE]);

/* One stream's share of an interleaved update. `data` may be NULL when `size` is 0. */
typedef struct {
    ocf_sha256 *ctx;
    const uint8_t *data;
    size_t size;
} ocf_sha256_lane;

/* The same result as one ocf_sha256_update per lane, for any n and any sizes; the contexts must be
 * distinct, the buffers may overlap. Neither the array nor the data is changed. */
void ocf_sha256_update_many(const ocf_sha256_lane *lanes, size_t n);

/* ocf_sha256_final of n contexts, the last blocks interleaved too. */
void ocf_sha256_final_many(const ocf_sha256 *ctxs, uint8_t (*out)[OCF_SHA256_DIGEST], size_t n);

#endif
