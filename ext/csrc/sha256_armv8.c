/* Kernel for the SHA-2 part of the ARMv8 Cryptographic Extension, one or two streams at a time.
 *
 * Thirty-two vector registers hold two streams whole, so nothing is forced into memory here.
 * More streams are not offered: which width wins is for a measurement, and none was made.
 */
#include "sha256_kernel.h"

#define NEEDS "aarch64 with the SHA2 extension"

#if defined(__aarch64__) && defined(__ARM_NEON)

/* clang before 16 hides the intrinsics unless the whole file is compiled for them; functions below
 * carry the target themselves, and run only behind cpu_has_it. */
#if defined(__clang__) && !defined(__ARM_FEATURE_SHA2)
#define __ARM_FEATURE_SHA2 1
#define __ARM_FEATURE_CRYPTO 1
#endif
#include <arm_neon.h>

#if defined(__clang__)
#define TARGET __attribute__((target("crypto")))
#else
#define TARGET __attribute__((target("+crypto")))
#endif
#define INLINE TARGET static inline __attribute__((always_inline))

typedef struct {
    uint32x4_t abcd, efgh;   /* the state */
    uint32x4_t abcd0, efgh0; /* the state before this block */
    uint32x4_t w[4];         /* sixteen schedule words, ring over t */
} stream;

/* Rounds 4t..4t+3 of one stream; `t` is a constant after inlining. */
INLINE void rounds4(stream *s, int t) {
    uint32x4_t *w = &s->w[t & 3], abcd = s->abcd;
    uint32x4_t wk = vaddq_u32(*w, vld1q_u32(&ocf_sha256_k[4 * t]));
    if (t < 12) /* the slot is free now: it takes the words of group t + 4 */
        *w = vsha256su1q_u32(vsha256su0q_u32(*w, s->w[(t + 1) & 3]), s->w[(t + 2) & 3],
                             s->w[(t + 3) & 3]);
    s->abcd = vsha256hq_u32(abcd, s->efgh, wk);
    s->efgh = vsha256h2q_u32(s->efgh, abcd, wk);
}

INLINE uint32x4_t load_words(const uint8_t *p) {
    return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p)));
}

INLINE void begin(stream *s, const uint8_t *p) {
    s->abcd0 = s->abcd;
    s->efgh0 = s->efgh;
    s->w[0] = load_words(p);
    s->w[1] = load_words(p + 16);
    s->w[2] = load_words(p + 32);
    s->w[3] = load_words(p + 48);
}

INLINE void feed_forward(stream *s) {
    s->abcd = vaddq_u32(s->abcd, s->abcd0);
    s->efgh = vaddq_u32(s->efgh, s->efgh0);
}

INLINE void rounds16(stream *s, int t, int lanes) {
    rounds4(&s[0], t);
    if (lanes > 1)
        rounds4(&s[1], t);
    rounds4(&s[0], t + 1);
    if (lanes > 1)
        rounds4(&s[1], t + 1);
    rounds4(&s[0], t + 2);
    if (lanes > 1)
        rounds4(&s[1], t + 2);
    rounds4(&s[0], t + 3);
    if (lanes > 1)
        rounds4(&s[1], t + 3);
}

INLINE void compress(uint32_t *const h[], const uint8_t *const data[], size_t blocks, int lanes) {
    stream s[2];
    const uint8_t *p0 = data[0], *p1 = data[lanes - 1];
    s[0].abcd = vld1q_u32(h[0]);
    s[0].efgh = vld1q_u32(h[0] + 4);
    s[1].abcd = vld1q_u32(h[lanes - 1]);
    s[1].efgh = vld1q_u32(h[lanes - 1] + 4);
    for (; blocks; blocks--, p0 += OCF_SHA256_BLOCK, p1 += OCF_SHA256_BLOCK) {
        begin(&s[0], p0);
        if (lanes > 1)
            begin(&s[1], p1);
        rounds16(s, 0, lanes);
        rounds16(s, 4, lanes);
        rounds16(s, 8, lanes);
        rounds16(s, 12, lanes);
        feed_forward(&s[0]);
        if (lanes > 1)
            feed_forward(&s[1]);
    }
    vst1q_u32(h[0], s[0].abcd);
    vst1q_u32(h[0] + 4, s[0].efgh);
    if (lanes > 1) {
        vst1q_u32(h[1], s[1].abcd);
        vst1q_u32(h[1] + 4, s[1].efgh);
    }
}

TARGET static void compress1(uint32_t *const h[], const uint8_t *const data[], size_t blocks) {
    compress(h, data, blocks, 1);
}

TARGET static void compress2(uint32_t *const h[], const uint8_t *const data[], size_t blocks) {
    compress(h, data, blocks, 2);
}

#if defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6) /* asm/hwcap.h of aarch64 */
#endif
static int cpu_has_it(void) { return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0; }
#elif defined(__APPLE__)
static int cpu_has_it(void) { return 1; } /* every Apple aarch64 CPU since the first */
#else
static int cpu_has_it(void) { return 0; } /* no way to ask is known here */
#endif

const ocf_sha256_kernel ocf_sha256_armv8 = {
    .name = "armv8",
    .needs = NEEDS,
    .cpu_has_it = cpu_has_it,
    .compress = {[1] = compress1, [2] = compress2},
};

#else
const ocf_sha256_kernel ocf_sha256_armv8 = {.name = "armv8", .needs = NEEDS};
#endif
