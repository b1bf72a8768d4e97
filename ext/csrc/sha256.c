/* One stream, and its state as bytes. */
#include "sha256_internal.h"

#include <string.h>

const ocf_sha256_choice *ocf_sha256_followed;

void ocf_sha256_follow(const ocf_sha256_choice *choice) { ocf_sha256_followed = choice; }

static void compress1(uint32_t *h, const uint8_t *data, size_t blocks) {
    const ocf_sha256_choice *choice = ocf_sha256_followed;
    choice->kernels[ocf_sha256_choice_word(choice) >> 8]->compress[1](&h, &data, blocks);
}

void ocf_sha256_init(ocf_sha256 *ctx) {
    static const ocf_sha256 fresh = {
        .h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
              0x5be0cd19}};
    *ctx = fresh;
}

void ocf_sha256_begin(ocf_sha256 *ctx, const uint8_t *data, size_t size) {
    size_t used = tail_size(ctx), head = head_size(ctx, size);
    if (head == 0)
        return;
    memcpy(ctx->tail + used, data, head);
    if (used + head == BLOCK)
        compress1(ctx->h, ctx->tail, 1);
}

void ocf_sha256_finish(ocf_sha256 *ctx, const uint8_t *data, size_t size) {
    size_t rest = (size - head_size(ctx, size)) % BLOCK;
    if (rest)
        memcpy(ctx->tail, data + size - rest, rest);
    ctx->length += size;
}

void ocf_sha256_update(ocf_sha256 *ctx, const uint8_t *data, size_t size) {
    ocf_sha256_begin(ctx, data, size);
    size_t head = head_size(ctx, size), blocks = (size - head) / BLOCK;
    if (blocks)
        compress1(ctx->h, data + head, blocks);
    ocf_sha256_finish(ctx, data, size);
}

static void store_be(uint8_t *out, uint64_t value, size_t size) {
    for (; size; value >>= 8)
        out[--size] = (uint8_t)value;
}

static uint64_t load_be(const uint8_t *data, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | data[i];
    return value;
}

void ocf_sha256_store_words(const uint32_t h[8], uint8_t out[OCF_SHA256_DIGEST]) {
    for (size_t i = 0; i < 8; i++)
        store_be(out + 4 * i, h[i], 4);
}

size_t ocf_sha256_last_blocks(const ocf_sha256 *ctx, uint8_t out[2 * BLOCK]) {
    size_t used = tail_size(ctx), size = used < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    memcpy(out, ctx->tail, used);
    memset(out + used, 0, size - used);
    out[used] = 0x80;
    store_be(out + size - 8, ctx->length << 3, 8);
    return size / BLOCK;
}

void ocf_sha256_final(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_DIGEST]) {
    uint32_t h[8];
    uint8_t last[2 * BLOCK];
    memcpy(h, ctx->h, sizeof h);
    compress1(h, last, ocf_sha256_last_blocks(ctx, last));
    ocf_sha256_store_words(h, out);
}

void ocf_sha256_store_state(const ocf_sha256 *ctx, uint8_t out[OCF_SHA256_STATE]) {
    memcpy(out, "sha\3", 4);
    ocf_sha256_store_words(ctx->h, out + 4);
    memset(out + 36, 0, BLOCK);
    memcpy(out + 36, ctx->tail, tail_size(ctx));
    store_be(out + 100, ctx->length, 8);
}

const char *ocf_sha256_load_state(ocf_sha256 *ctx, const uint8_t state[OCF_SHA256_STATE]) {
    ocf_sha256_init(ctx);
    if (memcmp(state, "sha\3", 4) != 0)
        return "it does not begin with 'sha' and byte 3";
    ctx->length = load_be(state + 100, 8);
    if (ctx->length >> 61)
        return "its length is beyond what SHA-256 can hash";
    for (size_t i = 0; i < 8; i++) {
        uint32_t word = (uint32_t)load_be(state + 4 + 4 * i, 4);
        if (ctx->length < BLOCK && word != ctx->h[i])
            return "it has a chaining value before the first whole block";
        ctx->h[i] = word;
    }
    memcpy(ctx->tail, state + 36, BLOCK);
    for (size_t i = tail_size(ctx); i < BLOCK; i++)
        if (ctx->tail[i])
            return "bytes behind its tail are not zero";
    return NULL;
}
