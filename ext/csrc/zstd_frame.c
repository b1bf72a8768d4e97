#include "zstd_frame.h"

#include <string.h>

enum {
    MAGIC_BYTES = 4,
    DESCRIPTOR_BYTES = 5, /* magic and frame header descriptor */
    SKIPPABLE_BYTES = 8,  /* magic and size */
    BLOCK_HEADER_BYTES = 3,
    CHECKSUM_BYTES = 4,
    BLOCK_MAX = 128 << 10,
};

static const uint8_t DATA_MAGIC[3] = {0xb5, 0x2f, 0xfd};      /* after 28, or 1e, 22..27 */
static const uint8_t SKIPPABLE_MAGIC[3] = {0x2a, 0x4d, 0x18}; /* after 50..5f */

static const uint8_t DICTIONARY_BYTES[4] = {0, 1, 2, 4};
static const uint8_t CONTENT_SIZE_BYTES[4] = {0, 2, 4, 8};

static uint64_t little_endian(const uint8_t *p, unsigned n)
{
    uint64_t value = 0;
    while (n--)
        value = value << 8 | p[n];
    return value;
}

static int fail(struct ocf_zstd_walk *w, int status, uint64_t offset, uint64_t detail)
{
    w->error_offset = offset;
    w->detail = detail;
    w->failed = status;
    return status;
}

static void expect(struct ocf_zstd_walk *w, enum ocf_zstd_part part, unsigned need)
{
    w->part = (uint8_t)part;
    w->need = (uint8_t)need;
    w->have = 0;
}

void ocf_zstd_init(struct ocf_zstd_walk *w, uint64_t window_limit, uint64_t skippable_limit,
                   uint64_t frames_limit)
{
    memset(w, 0, sizeof *w);
    w->window_limit = window_limit;
    w->skippable_limit = skippable_limit;
    w->frames_limit = frames_limit;
    expect(w, OCF_ZSTD_BORDER, MAGIC_BYTES);
}

/* Judges a magic as soon as its bytes come, so that two bytes of garbage are garbage, not a
 * truncated frame. */
static int begin_frame(struct ocf_zstd_walk *w)
{
    uint8_t first = w->head[0];
    int legacy = first == 0x1e || (first >= 0x22 && first <= 0x27);
    int skippable = (first & 0xf0) == 0x50;
    const uint8_t *rest = skippable ? SKIPPABLE_MAGIC : DATA_MAGIC;

    if (!(legacy || skippable || first == 0x28) || memcmp(w->head + 1, rest, w->have - 1u) != 0)
        return fail(w, OCF_ZSTD_E_MAGIC, w->frame_offset, 0);
    w->part = OCF_ZSTD_HEADER;
    if (w->have < MAGIC_BYTES)
        return 0;
    if (legacy)
        return fail(w, OCF_ZSTD_E_LEGACY, w->frame_offset, first == 0x1e ? 1 : first - 0x20u);
    if (w->frames >= w->frames_limit)
        return fail(w, OCF_ZSTD_E_FRAMES, w->frame_offset, w->frames + 1);
    w->is_skippable = (uint8_t)skippable;
    w->has_content_size = w->has_checksum = 0;
    w->window = w->content_size = 0;
    w->block_max = 0;
    w->need = skippable ? SKIPPABLE_BYTES : DESCRIPTOR_BYTES;
    return 0;
}

static int begin_skippable(struct ocf_zstd_walk *w)
{
    w->left = little_endian(w->head + MAGIC_BYTES, 4);
    w->skippable_bytes += SKIPPABLE_BYTES + w->left;
    if (w->skippable_bytes > w->skippable_limit)
        return fail(w, OCF_ZSTD_E_SKIPPABLE, w->frame_offset, w->skippable_bytes);
    expect(w, OCF_ZSTD_SKIPPABLE, 0);
    return 0;
}

static unsigned content_size_bytes(uint8_t descriptor)
{
    unsigned flag = descriptor >> 6, single_segment = descriptor >> 5 & 1;
    return flag == 0 ? single_segment : CONTENT_SIZE_BYTES[flag];
}

static int read_descriptor(struct ocf_zstd_walk *w)
{
    uint8_t descriptor = w->head[MAGIC_BYTES];
    unsigned has_window = !(descriptor & 0x20);

    if (descriptor & 0x08)
        return fail(w, OCF_ZSTD_E_RESERVED, w->frame_offset, descriptor);
    w->has_checksum = descriptor >> 2 & 1;
    w->need = (uint8_t)(DESCRIPTOR_BYTES + has_window + DICTIONARY_BYTES[descriptor & 3] +
                        content_size_bytes(descriptor));
    return 0;
}

static uint64_t window_size(uint8_t descriptor)
{
    uint64_t base = UINT64_C(1) << (10 + (descriptor >> 3));
    return base + base / 8 * (descriptor & 7);
}

static int read_frame_header(struct ocf_zstd_walk *w)
{
    uint8_t descriptor = w->head[MAGIC_BYTES];
    unsigned single_segment = descriptor >> 5 & 1;
    unsigned dictionary_bytes = DICTIONARY_BYTES[descriptor & 3];
    unsigned size_bytes = content_size_bytes(descriptor);
    const uint8_t *field = w->head + DESCRIPTOR_BYTES;
    uint64_t dictionary;

    if (!single_segment)
        w->window = window_size(*field++);
    dictionary = little_endian(field, dictionary_bytes);
    field += dictionary_bytes;
    w->has_content_size = size_bytes != 0;
    w->content_size = little_endian(field, size_bytes) + (size_bytes == 2 ? 256 : 0);
    if (single_segment)
        w->window = w->content_size;
    if (dictionary != 0)
        return fail(w, OCF_ZSTD_E_DICTIONARY, w->frame_offset, dictionary);
    if (w->window > w->window_limit)
        return fail(w, OCF_ZSTD_E_WINDOW, w->frame_offset, w->window);
    w->block_max = w->window < BLOCK_MAX ? (uint32_t)w->window : BLOCK_MAX;
    expect(w, OCF_ZSTD_BLOCK_HEADER, BLOCK_HEADER_BYTES);
    return 0;
}

/* `end` is the blob offset right behind the block header. */
static int read_block_header(struct ocf_zstd_walk *w, uint64_t end)
{
    uint32_t header = (uint32_t)little_endian(w->head, BLOCK_HEADER_BYTES);
    uint32_t type = header >> 1 & 3, size = header >> 3;

    if (type == 3)
        return fail(w, OCF_ZSTD_E_BLOCK_TYPE, end - BLOCK_HEADER_BYTES, type);
    if (size > w->block_max)
        return fail(w, OCF_ZSTD_E_BLOCK_SIZE, end - BLOCK_HEADER_BYTES, size);
    w->last_block = header & 1;
    w->left = type == 1 ? 1 : size; /* a run stores its one byte */
    expect(w, OCF_ZSTD_BLOCK, 0);
    return 0;
}

/* Decides once a header is gathered (`end`: the blob offset behind it). */
static int read_header(struct ocf_zstd_walk *w, uint64_t end)
{
    if (w->part == OCF_ZSTD_BLOCK_HEADER)
        return read_block_header(w, end);
    if (w->have <= MAGIC_BYTES)
        return begin_frame(w);
    if (w->is_skippable)
        return begin_skippable(w);
    if (w->have == DESCRIPTOR_BYTES)
        return read_descriptor(w);
    return read_frame_header(w);
}

/* A stretch of payload is behind us: is it also the end of the frame? */
static int end_payload(struct ocf_zstd_walk *w)
{
    if (w->part == OCF_ZSTD_BLOCK && !w->last_block) {
        expect(w, OCF_ZSTD_BLOCK_HEADER, BLOCK_HEADER_BYTES);
        return OCF_ZSTD_MORE;
    }
    if (w->part == OCF_ZSTD_BLOCK && w->has_checksum) {
        expect(w, OCF_ZSTD_CHECKSUM, 0);
        w->left = CHECKSUM_BYTES;
        return OCF_ZSTD_MORE;
    }
    w->frames++;
    w->data_frames += !w->is_skippable;
    expect(w, OCF_ZSTD_BORDER, MAGIC_BYTES);
    return OCF_ZSTD_FRAME;
}

/* Gathers header bytes. A magic and a descriptor are looked at byte by byte (their length depends
 * on what they say), block headers, the many, in one go. */
static int gather(struct ocf_zstd_walk *w, const uint8_t *data, size_t n, size_t *at)
{
    if (w->part == OCF_ZSTD_BORDER)
        w->frame_offset = w->offset + *at;
    do {
        w->head[w->have++] = data[(*at)++];
        if (w->have == w->need || (w->part <= OCF_ZSTD_HEADER && w->have <= MAGIC_BYTES))
            return read_header(w, w->offset + *at);
    } while (*at < n);
    return 0;
}

int ocf_zstd_walk(struct ocf_zstd_walk *w, const uint8_t *data, size_t n, size_t *used)
{
    size_t at = 0;
    int status = w->failed;

    *used = 0;
    if (status != 0)
        return status;
    while (at < n && status == OCF_ZSTD_MORE) {
        if (w->part <= OCF_ZSTD_BLOCK_HEADER) {
            status = gather(w, data, n, &at);
            if (status < 0)
                return status;
        } else {
            uint64_t step = w->left < n - at ? w->left : n - at;
            at += (size_t)step;
            w->left -= step;
        }
        while (w->part >= OCF_ZSTD_BLOCK && w->left == 0 && status == OCF_ZSTD_MORE)
            status = end_payload(w);
    }
    w->offset += at;
    *used = at;
    return status;
}
