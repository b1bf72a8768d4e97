/* The rolling sum and the CRC; both take one byte at a time off a register chain. */
#include "chunk.h"

#include <string.h>

enum { CHAR_OFFSET = 31, SPLIT_MASK = 0xffff };
#define CRC_POLYNOMIAL UINT64_C(0xd800000000000000)

void ocf_chunker_begin(ocf_chunker *c)
{
    memset(c, 0, sizeof *c);
    c->s1 = OCF_CHUNK_WINDOW * CHAR_OFFSET;
    c->s2 = OCF_CHUNK_WINDOW * (OCF_CHUNK_WINDOW - 1) * CHAR_OFFSET;
}

size_t ocf_chunker_next(ocf_chunker *c, const uint8_t *data, size_t size)
{
    uint32_t s1 = c->s1, s2 = c->s2, at = c->at;
    size_t most = OCF_CHUNK_MAX - c->size, end = 0;
    size_t limit = size < most ? size : most;
    for (size_t i = 0; i < limit && end == 0; i++) {
        uint32_t old = c->window[at];
        c->window[at] = data[i];
        at = (at + 1) % OCF_CHUNK_WINDOW;
        s1 += data[i] - old;
        s2 += s1 - OCF_CHUNK_WINDOW * (old + CHAR_OFFSET);
        if ((s2 & SPLIT_MASK) == SPLIT_MASK)
            end = i + 1;
    }
    if (end == 0 && limit == most)
        end = most;
    c->s1 = s1;
    c->s2 = s2;
    c->at = at;
    c->size = end ? 0 : c->size + (uint32_t)limit;
    return end;
}

/* Eight tables: eight bytes a step. Made once by whoever comes first; making them twice is harmless. */
static uint64_t tables[8][256];
static int made;

static void make_tables(void)
{
    for (uint64_t n = 0; n < 256; n++) {
        uint64_t crc = n;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ CRC_POLYNOMIAL : crc >> 1;
        tables[0][n] = crc;
    }
    for (int t = 1; t < 8; t++)
        for (int n = 0; n < 256; n++)
            tables[t][n] = tables[t - 1][n] >> 8 ^ tables[0][tables[t - 1][n] & 0xff];
    __atomic_store_n(&made, 1, __ATOMIC_RELEASE);
}

uint64_t ocf_crc64(uint64_t crc, const uint8_t *data, size_t size)
{
    if (!__atomic_load_n(&made, __ATOMIC_ACQUIRE))
        make_tables();
    crc = ~crc;
    for (; size >= 8; data += 8, size -= 8) {
        for (int i = 0; i < 8; i++)
            crc ^= (uint64_t)data[i] << 8 * i;
        uint64_t next = 0;
        for (int i = 0; i < 8; i++)
            next ^= tables[7 - i][crc >> 8 * i & 0xff];
        crc = next;
    }
    for (; size; data++, size--)
        crc = tables[0][(crc ^ *data) & 0xff] ^ crc >> 8;
    return ~crc;
}
