/* The rolling sum and the CRC. */
#include "chunk.h"

#include <string.h>

enum { CHAR_OFFSET = 31, SPLIT_MASK = 0xffff };

void ocf_chunker_begin(ocf_chunker *c)
{
    memset(c, 0, sizeof *c);
    c->s1 = OCF_CHUNK_WINDOW * CHAR_OFFSET;
    c->s2 = OCF_CHUNK_WINDOW * (OCF_CHUNK_WINDOW - 1) * CHAR_OFFSET;
}

/* Rolls over up to n bytes, `old` being those that leave the window meanwhile; stops behind one
 * that ends a chunk. Says how many it took, and whether that is why. */
static size_t roll(ocf_chunker *c, const uint8_t *data, const uint8_t *old, size_t n, int *is_end)
{
    uint32_t s1 = c->s1, s2 = c->s2;
    size_t i = 0;

    *is_end = 0;
    while (i < n && !*is_end) {
        s1 += (uint32_t)data[i] - old[i];
        s2 += s1 - OCF_CHUNK_WINDOW * ((uint32_t)old[i] + CHAR_OFFSET);
        *is_end = (s2 & SPLIT_MASK) == SPLIT_MASK;
        i++;
    }
    c->s1 = s1;
    c->s2 = s2;
    return i;
}

/* The last bytes, oldest first, n more having come. */
static void keep_window(ocf_chunker *c, const uint8_t *data, size_t n)
{
    size_t fresh = n < OCF_CHUNK_WINDOW ? n : OCF_CHUNK_WINDOW;

    memmove(c->window, c->window + fresh, OCF_CHUNK_WINDOW - fresh);
    memcpy(c->window + OCF_CHUNK_WINDOW - fresh, data + n - fresh, fresh);
}

/* Within a piece the window is the input itself, 64 bytes back: twice as fast as a ring beside it
 * (Zen 4: 1.4 GB/s). Only what leaves it during the first 64 bytes was kept. */
size_t ocf_chunker_next(ocf_chunker *c, const uint8_t *data, size_t size)
{
    size_t most = OCF_CHUNK_MAX - c->size;
    size_t limit = size < most ? size : most;
    size_t head = limit < OCF_CHUNK_WINDOW ? limit : OCF_CHUNK_WINDOW;
    int is_end;
    size_t took = roll(c, data, c->window, head, &is_end);

    if (!is_end)
        took += roll(c, data + took, data + took - head, limit - took, &is_end);
    keep_window(c, data, took);
    if (is_end || took == most) {
        c->size = 0;
        return took;
    }
    c->size += (uint32_t)took;
    return 0;
}

/* Multiplies by x^4 + x^3 + x + 1, which is x^64 to this CRC. Bits are reversed: x is a shift to
 * the right. */
static uint64_t fold(uint64_t t)
{
    return t ^ t >> 1 ^ t >> 3 ^ t >> 4;
}

/* The polynomial has so few terms that shifts beat tables: eight bytes are multiplied by x^64, and
 * what overflows is so once more. */
uint64_t ocf_crc64(uint64_t crc, const uint8_t *data, size_t size)
{
    crc = ~crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word = 0;
        for (int i = 7; i >= 0; i--) /* one load, where the machine is little-endian */
            word = word << 8 | data[i];
        word ^= crc;
        crc = fold(word) ^ fold(word << 63 ^ word << 61 ^ word << 60);
    }
    for (; size; data++, size--)
        crc = crc >> 8 ^ fold((crc ^ *data) << 56);
    return ~crc;
}
