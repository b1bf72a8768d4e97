/* Kernel 0: FIPS 180-4, section 6.2.2, in plain C. The reference every other kernel is tested
 * against; not unrolled by hand, because only machines without SHA instructions run it. */
#include "sha256_kernel.h"

const uint32_t ocf_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotr(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static inline uint32_t load_be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* W_t for t >= 16, kept in a ring of sixteen words. */
static inline uint32_t schedule(uint32_t w[16], unsigned t) {
    uint32_t w15 = w[(t - 15) & 15], w2 = w[(t - 2) & 15];
    uint32_t s0 = rotr(w15, 7) ^ rotr(w15, 18) ^ w15 >> 3;
    uint32_t s1 = rotr(w2, 17) ^ rotr(w2, 19) ^ w2 >> 10;
    return w[t & 15] += s0 + w[(t - 7) & 15] + s1;
}

/* One round on eight working variables whose roles rotate: at round t the role r is s[(r - t) & 7],
 * so nothing moves. */
static inline void round_of(uint32_t s[8], unsigned t, uint32_t wt) {
    uint32_t a = s[(0 - t) & 7], b = s[(1 - t) & 7], c = s[(2 - t) & 7];
    uint32_t e = s[(4 - t) & 7], f = s[(5 - t) & 7], g = s[(6 - t) & 7];
    uint32_t t1 = s[(7 - t) & 7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) +
                  ocf_sha256_k[t] + wt;
    s[(3 - t) & 7] += t1;
    s[(7 - t) & 7] =
        t1 + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
}

static void compress1(uint32_t *const h[], const uint8_t *const data[], size_t blocks) {
    const uint8_t *p = data[0];
    for (; blocks; blocks--, p += OCF_SHA256_BLOCK) {
        uint32_t s[8], w[16];
        for (unsigned i = 0; i < 8; i++)
            s[i] = h[0][i];
#pragma GCC unroll 16
        for (unsigned t = 0; t < 16; t++)
            round_of(s, t, w[t] = load_be32(p + 4 * t));
#pragma GCC unroll 48
        for (unsigned t = 16; t < 64; t++)
            round_of(s, t, schedule(w, t));
        for (unsigned i = 0; i < 8; i++)
            h[0][i] += s[i];
    }
}

static int always(void) { return 1; }

const ocf_sha256_kernel ocf_sha256_portable = {
    .name = "portable",
    .needs = "nothing",
    .cpu_has_it = always,
    .compress = {[1] = compress1},
};
