/* Updates, and what FIPS 180-4 has behind the last of them. */
#include "toc_hash.h"

#include <string.h>

enum { AT_ONCE = 32, LENGTH_BYTES = 8 };

static void store_be(uint8_t *out, uint64_t value, size_t size)
{
    for (; size; value >>= 8)
        out[--size] = (uint8_t)value;
}

/* A one bit, zeros up to the end of a block but for eight bytes, and the length in bits. */
static size_t padding(uint64_t length, uint8_t out[2 * OCF_SHA256_BLOCK])
{
    size_t used = length % OCF_SHA256_BLOCK;
    size_t size = (used < OCF_SHA256_BLOCK - LENGTH_BYTES ? 1 : 2) * OCF_SHA256_BLOCK - used;

    memset(out, 0, size);
    out[0] = 0x80;
    store_be(out + size - LENGTH_BYTES, length << 3, LENGTH_BYTES);
    return size;
}

void ocf_toc_digests(ocf_update_many update, ocf_sha256 *streams, size_t n, uint8_t *out)
{
    uint8_t ends[AT_ONCE][2 * OCF_SHA256_BLOCK];
    ocf_sha256_lane lanes[AT_ONCE];

    for (size_t first = 0, some; first < n; first += some) {
        some = n - first < AT_ONCE ? n - first : AT_ONCE;
        for (size_t i = 0; i < some; i++)
            lanes[i] = (ocf_sha256_lane){&streams[first + i], ends[i], padding(streams[first + i].length, ends[i])};
        update(lanes, some);
        for (size_t i = 0; i < 8 * some; i++, out += 4)
            store_be(out, streams[first + i / 8].h[i % 8], 4);
    }
}

void ocf_toc_hash_payloads(ocf_update_many update, const ocf_sha256 *fresh, const uint8_t *data,
                           const ocf_segment *segments, size_t n, uint8_t *out)
{
    ocf_sha256 streams[AT_ONCE];
    ocf_sha256_lane lanes[AT_ONCE];
    size_t held = 0;

    for (size_t i = 0; i < n; data += segments[i].size, i++) {
        if (segments[i].payload) {
            streams[held] = *fresh;
            lanes[held] = (ocf_sha256_lane){&streams[held], data, segments[i].payload};
            held++;
        }
        if (held == AT_ONCE || (held && i + 1 == n)) {
            update(lanes, held);
            ocf_toc_digests(update, streams, held, out);
            out += held * OCF_SHA256_DIGEST;
            held = 0;
        }
    }
}
