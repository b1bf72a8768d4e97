/* Kernel for the SHA extensions of x86-64, one to four streams at a time.
 *
 * One stream is bound by latency: 32 dependent sha256rnds2 of 4 cycles for 64 bytes. More streams
 * fill the gaps until the execution units are full, at about three. What then costs time is
 * registers: a stream wants two for its state and four for its schedule, and SSE has sixteen.
 * So from three streams on, the parts of the schedule that nothing needs soon are forced into
 * memory, and from four on the previous four words too; states always stay in registers.
 *
 * MB/s over all streams on Zen 4 at 3.66 GHz, compress[w] in a C loop, best of 1500 slices of
 * 32 KiB a stream; in brackets with the registers left to the compiler:
 *                x1    x2    x3           x4
 *     gcc 12     1832  3520  4370 (4200)  4525 (4120)
 *     clang 14   1832  3640  4290 (2520)  3350 (3370)
 * Four streams win with gcc and lose with clang, so both widths stay and calibration decides.
 * Rejected: 32 registers (AVX-512 encodings), 4720 at best: 4 % for a second check of the CPU;
 * the schedule between the two halves of the rounds: 3410 at two streams, 4475 at four.
 */
#include "sha256_kernel.h"

#define NEEDS "x86-64 with SHA, SSE4.1 and SSSE3"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE TARGET static inline __attribute__((always_inline))

/* `lanes` and `t` are constants wherever these are inlined. Not a loop: clang would keep arrays
 * indexed by a loop counter in memory, states included. */
#define EACH_LANE(DO)                                                                            \
    do {                                                                                         \
        DO(0);                                                                                   \
        if (lanes > 1)                                                                           \
            DO(1);                                                                               \
        if (lanes > 2)                                                                           \
            DO(2);                                                                               \
        if (lanes > 3)                                                                           \
            DO(3);                                                                               \
    } while (0)

/* Makes the compiler store `place` and load it at the next use, instead of spilling a state. */
#define IN_MEMORY(place) __asm__("" : "+m"(place))

typedef struct {
    __m128i abef, cdgh; /* the state in the order sha256rnds2 wants */
    __m128i cur, prev;  /* schedule words 4t..4t+3 and the four before */
} stream;

typedef struct {
    __m128i abef, cdgh; /* the state before this block */
    __m128i w[4];       /* partly scheduled words, ring over t */
} parked;

INLINE __m128i load_words(const uint8_t *p) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), big_endian);
}

/* The next four words of the schedule, and the share the current ones have in later words. */
INLINE void schedule(stream *s, parked *m, int t, int lanes) {
    __m128i cur = s->cur;
    if (t >= 3 && t < 15) {
        __m128i w7 = _mm_alignr_epi8(cur, s->prev, 4);
        s->cur = _mm_sha256msg2_epu32(_mm_add_epi32(w7, m->w[(t + 1) & 3]), cur);
    }
    if (t >= 1 && t < 13) {
        m->w[(t - 1) & 3] = _mm_sha256msg1_epu32(s->prev, cur);
        if (lanes > 2)
            IN_MEMORY(m->w[(t - 1) & 3]);
    }
    if (lanes > 3) {
        m->w[t & 3] = cur;
        IN_MEMORY(m->w[t & 3]);
        cur = m->w[t & 3];
    }
    s->prev = cur;
}

/* Rounds 4t..4t+3 of one stream. */
INLINE void rounds4(stream *s, parked *m, const uint8_t *p, int t, int lanes) {
    if (t < 4)
        s->cur = load_words(p + 16 * t);
    __m128i wk = _mm_add_epi32(_mm_loadu_si128((const __m128i *)&ocf_sha256_k[4 * t]), s->cur);
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, wk);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(wk, 0x0e));
    schedule(s, m, t, lanes);
}

INLINE void load_state(stream *s, const uint32_t *h) {
    __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)h), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(h + 4)), 0x1b);
    s->abef = _mm_alignr_epi8(dcba, hgfe, 8);
    s->cdgh = _mm_blend_epi16(hgfe, dcba, 0xf0);
}

INLINE void store_state(const stream *s, uint32_t *h) {
    __m128i feba = _mm_shuffle_epi32(s->abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(s->cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

INLINE void park(const stream *s, parked *m, int lanes) {
    m->abef = s->abef;
    m->cdgh = s->cdgh;
    if (lanes > 2) {
        IN_MEMORY(m->abef);
        IN_MEMORY(m->cdgh);
    }
}

INLINE void feed_forward(stream *s, const parked *m) {
    s->abef = _mm_add_epi32(s->abef, m->abef);
    s->cdgh = _mm_add_epi32(s->cdgh, m->cdgh);
}

#define LOAD(i) (load_state(&s[i], h[i]), p[i] = data[i])
#define PARK(i) park(&s[i], &m[i], lanes)
#define FEED(i) (feed_forward(&s[i], &m[i]), p[i] += OCF_SHA256_BLOCK)
#define STORE(i) store_state(&s[i], h[i])
#define ROUNDS(i) rounds4(&s[i], &m[i], p[i], t, lanes)

INLINE void rounds16(stream *s, parked *m, const uint8_t *const *p, const int first, int lanes) {
    {
        const int t = first;
        EACH_LANE(ROUNDS);
    }
    {
        const int t = first + 1;
        EACH_LANE(ROUNDS);
    }
    {
        const int t = first + 2;
        EACH_LANE(ROUNDS);
    }
    {
        const int t = first + 3;
        EACH_LANE(ROUNDS);
    }
}

INLINE void compress(uint32_t *const h[], const uint8_t *const data[], size_t blocks, int lanes) {
    stream s[OCF_SHA256_MAX_LANES];
    parked m[OCF_SHA256_MAX_LANES];
    const uint8_t *p[OCF_SHA256_MAX_LANES];
    EACH_LANE(LOAD);
    for (; blocks; blocks--) {
        EACH_LANE(PARK);
        rounds16(s, m, p, 0, lanes);
        rounds16(s, m, p, 4, lanes);
        rounds16(s, m, p, 8, lanes);
        rounds16(s, m, p, 12, lanes);
        EACH_LANE(FEED);
    }
    EACH_LANE(STORE);
}

/* Wide-vector code that ran before (ISA-L's inflate and CRC do not clean up) leaves the upper halves
 * of the registers dirty; each legacy SSE instruction then merges into them. On Zen 4 that costs
 * 1.8 -> 1.1 GB/s for one lane and 4.2 -> 1.7 for three. */
INLINE void clean_upper_halves(void) {
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroupper");
}

#define WIDTH(n)                                                                                 \
    TARGET static void compress##n(uint32_t *const h[], const uint8_t *const data[],             \
                                   size_t blocks) {                                              \
        clean_upper_halves();                                                                    \
        compress(h, data, blocks, n);                                                            \
    }
WIDTH(1)
WIDTH(2)
WIDTH(3)
WIDTH(4)

static int cpu_has_it(void) {
    unsigned a, b, c, d;
    const unsigned both = bit_SSSE3 | bit_SSE4_1;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & both) != both)
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

const ocf_sha256_kernel ocf_sha256_shani = {
    .name = "shani",
    .needs = NEEDS,
    .cpu_has_it = cpu_has_it,
    .compress = {[1] = compress1, [2] = compress2, [3] = compress3, [4] = compress4},
};

#else
const ocf_sha256_kernel ocf_sha256_shani = {.name = "shani", .needs = NEEDS};
#endif
