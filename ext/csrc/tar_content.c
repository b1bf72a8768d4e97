/* Which bytes of a piece are whose, and the queue of files that are hashed together. */
#include "tar_content.h"

#include <stdlib.h>
#include <string.h>

#include "tar_internal.h"

void ocf_content_init(ocf_content *c, ocf_update_many update, const ocf_sha256 *fresh)
{
    memset(c, 0, sizeof *c);
    c->update = update;
    c->fresh = *fresh;
}

void ocf_content_free(ocf_content *c)
{
    free(c->digests.data);
    memset(&c->digests, 0, sizeof c->digests);
}

/* Digests of the files that wait, each to its row; and what waits of streams that go on. */
static void flush(ocf_content *c)
{
    uint8_t out[OCF_CONTENT_AT_ONCE * OCF_SHA256_DIGEST];
    if (c->held + c->going_on == 0)
        return;
    memcpy(c->lanes + c->held, c->also, c->going_on * sizeof *c->also);
    c->update(c->lanes, c->held + c->going_on);
    c->going_on = 0;
    ocf_toc_digests(c->update, c->streams, c->held, out);
    for (size_t i = 0; i < c->held; i++)
        memcpy(c->digests.data + c->rows[i] * OCF_SHA256_DIGEST, out + i * OCF_SHA256_DIGEST, OCF_SHA256_DIGEST);
    c->held = 0;
}

/* The last bytes of a file: `state` is what it has come to before them. */
static void end_file(ocf_content *c, const ocf_sha256 *state, const uint8_t *data, size_t size)
{
    c->streams[c->held] = *state;
    c->lanes[c->held] = (ocf_sha256_lane){&c->streams[c->held], data, size};
    c->rows[c->held] = c->next;
    if (++c->held == OCF_CONTENT_AT_ONCE)
        flush(c);
}

static void hash_now(ocf_content *c, const uint8_t *data, size_t size)
{
    ocf_sha256_lane lane = {&c->whole, data, size};
    c->update(&lane, 1);
    c->filled += size;
}

static void hash_zeros(ocf_content *c, uint64_t count)
{
    static const uint8_t zeros[64 << 10];
    for (uint64_t some; count; count -= some) {
        some = count < sizeof zeros ? count : sizeof zeros;
        hash_now(c, zeros, (size_t)some);
    }
}

/* Payload of a sparse file: the regions of its map run together. */
static void take_sparse(ocf_content *c, const ocf_tar_row *row, const uint8_t *map, const uint8_t *data, size_t size)
{
    uint64_t region[2];
    while (size && c->region < row->sparse_regions) {
        memcpy(region, map + 16 * (size_t)c->region, sizeof region);
        if (c->filled < region[0])
            hash_zeros(c, region[0] - c->filled);
        uint64_t left = region[0] + region[1] - c->filled;
        size_t some = left < size ? (size_t)left : size;
        hash_now(c, data, some);
        data += some;
        size -= some;
        c->region += some == left;
    }
}

static void begin_file(ocf_content *c)
{
    if (c->is_open)
        return;
    c->is_open = 1;
    c->taken = c->filled = c->region = 0;
    c->whole = c->fresh;
}

/* What of a file is in the piece; 1 when that is all that was missing. */
static int take(ocf_content *c, const ocf_tar_row *row, const uint8_t *heap, const uint8_t *data, uint64_t room)
{
    uint64_t left = row->stored_size - c->taken;
    size_t some = left < room ? (size_t)left : (size_t)room;
    int ends = some == left;
    c->taken += some;
    if (row->flags & OCF_FLAG_SPARSE) {
        take_sparse(c, row, heap + row->sparse_offset, data, some);
        if (ends && c->filled < row->size)
            hash_zeros(c, row->size - c->filled);
        if (ends)
            end_file(c, &c->whole, data, 0);
    } else if (ends) {
        end_file(c, &c->whole, data, some);
    } else {
        c->also[c->going_on++] = (ocf_sha256_lane){&c->whole, data, some};
    }
    return ends;
}

int ocf_content_feed(ocf_content *c, const uint8_t *piece, size_t size, uint64_t base,
                     const uint8_t *rows, size_t count, const uint8_t *heap)
{
    ocf_tar_row row;
    size_t known = c->digests.size;
    if (count * OCF_SHA256_DIGEST < known) /* the table was taken */
        return OCF_REFUSED;
    if (count * OCF_SHA256_DIGEST > known) {
        OCF_TRY(ocf_bytes_reserve(&c->digests, count * OCF_SHA256_DIGEST - known));
        memset(c->digests.data + known, 0, count * OCF_SHA256_DIGEST - known);
        c->digests.size = count * OCF_SHA256_DIGEST;
    }
    if (c->everything)
        c->also[c->going_on++] = (ocf_sha256_lane){c->everything, piece, size};
    for (; c->next < count; c->next++) {
        memcpy(&row, rows + c->next * sizeof row, sizeof row);
        if (row.type != '0')
            continue;
        uint64_t at = row.payload_offset + (c->is_open ? c->taken : 0);
        if (row.stored_size && at >= base + size)
            break;
        if (row.stored_size && at < base) {
            c->going_on = c->held = 0;
            return OCF_REFUSED;
        }
        begin_file(c);
        uint64_t skip = row.stored_size ? at - base : 0;
        if (!take(c, &row, heap, piece + skip, size - skip))
            break;
        c->is_open = 0;
    }
    flush(c);
    return OCF_OK;
}
