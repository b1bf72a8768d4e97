/* Sparse maps: old GNU headers, PAX 0.0 and 0.1 records, PAX 1.0 in front of the payload (H16).
 *
 * A map is pairs of u64 (offset, size) in BUF_SPARSE. Invariant: regions are ordered, do not
 * overlap, lie within the real size, and their sizes sum up to the stored payload.
 */
#include <string.h>

#include "tar_internal.h"

enum { MAP_COUNT, MAP_OFFSET, MAP_SIZE };

static int bad(ocf_tar *t)
{
    return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
}

int ocf_sparse_region(ocf_tar *t, uint64_t offset, uint64_t size)
{
    ocf_bytes *map = &t->buf[OCF_BUF_SPARSE];
    uint64_t region[2] = {offset, size}, last[2] = {0, 0};
    OCF_TRY(ocf_limit(t, OCF_TAR_L_REGIONS, t->limits.sparse_regions, map->size / 16 + 1));
    if (map->size)
        memcpy(last, map->data + map->size - 16, 16);
    if (offset < last[0] + last[1] || size > INT64_MAX - 511 || offset > INT64_MAX - 511 - size)
        return bad(t);
    return ocf_bytes_append(map, region, sizeof region);
}

int ocf_sparse_text(ocf_tar *t, const uint8_t *text, size_t size)
{
    uint64_t pair[2] = {0, 0};
    size_t at = 0, index = 0;
    while (at < size) {
        const uint8_t *comma = memchr(text + at, ',', size - at);
        size_t length = comma ? (size_t)(comma - text) - at : size - at;
        if (ocf_decimal(text + at, length, INT64_MAX, &pair[index & 1]))
            return bad(t);
        if (index++ & 1)
            OCF_TRY(ocf_sparse_region(t, pair[0], pair[1]));
        at += length + 1;
    }
    return index & 1 ? bad(t) : OCF_OK;
}

/* `count` entries of 24 bytes; the first one that is empty ends the map. */
static int entries(ocf_tar *t, const uint8_t *at, int count, int *more)
{
    for (; count > 0 && at[0]; count--, at += 24) {
        int64_t offset, size;
        if (ocf_number(at, 12, &offset) || ocf_number(at + 12, 12, &size) || offset < 0 || size < 0)
            return bad(t);
        OCF_TRY(ocf_sparse_region(t, (uint64_t)offset, (uint64_t)size));
    }
    return count > 0 && *more ? bad(t) : OCF_OK;
}

int ocf_sparse_header(ocf_tar *t, const uint8_t *block, int *more)
{
    int64_t real;
    if (ocf_number(block + 483, 12, &real) || real < 0 || real > INT64_MAX - 511)
        return ocf_refuse(t, OCF_TAR_NUMBER, OCF_FIELD_REALSIZE, 0, 0);
    t->core.row.size = (uint64_t)real;
    *more = block[482] != 0;
    return entries(t, block + 386, 4, more);
}

int ocf_sparse_block(ocf_tar *t, const uint8_t *block, int *more)
{
    *more = block[504] != 0;
    return entries(t, block, 21, more);
}

/* One number of a PAX 1.0 map is complete: first the count, then offset and size in turn. */
static int map_number(ocf_tar *t)
{
    ocf_tar_core *c = &t->core;
    if (c->map_digits == 0)
        return bad(t);
    uint64_t value = c->map_value;
    c->map_digits = 0;
    c->map_value = 0;
    if (c->map_phase == MAP_COUNT) {
        OCF_TRY(ocf_limit(t, OCF_TAR_L_REGIONS, t->limits.sparse_regions, value));
        c->map_left = (uint32_t)value;
    } else if (c->map_phase == MAP_OFFSET) {
        c->pax.sparse_size = value; /* the offset, until its size is known */
        c->map_phase = MAP_SIZE;
        return OCF_OK;
    } else {
        OCF_TRY(ocf_sparse_region(t, c->pax.sparse_size, value));
        c->map_left--;
    }
    c->map_phase = MAP_OFFSET;
    return OCF_OK;
}

int ocf_sparse_map(ocf_tar *t, const uint8_t *block, int *more)
{
    ocf_tar_core *c = &t->core;
    for (size_t i = 0; i < OCF_TAR_BLOCK_BYTES; i++) {
        if (block[i] == '\n') {
            OCF_TRY(map_number(t));
            if (c->map_phase == MAP_OFFSET && c->map_left == 0) {
                *more = 0;
                return OCF_OK;
            }
        } else if (block[i] < '0' || block[i] > '9' || c->map_digits == 19) {
            return bad(t);
        } else {
            c->map_value = c->map_value * 10 + (uint64_t)(block[i] - '0');
            c->map_digits++;
        }
    }
    *more = 1;
    return OCF_OK;
}

int ocf_sparse_check(ocf_tar *t)
{
    const ocf_bytes *map = &t->buf[OCF_BUF_SPARSE];
    ocf_tar_row *row = &t->core.row;
    uint64_t stored = 0, region[2] = {0, 0};
    for (size_t at = 0; at < map->size; at += 16) {
        memcpy(region, map->data + at, 16);
        stored += region[1]; /* ordered and below 2^63: cannot wrap */
    }
    if (region[0] + region[1] > row->size || stored != row->stored_size)
        return bad(t);
    t->core.holes += row->size - stored; /* both below 2^63; the sum is checked at every feed */
    return ocf_limit(t, OCF_TAR_L_OUTPUT, t->limits.output_bytes, t->core.offset + t->core.holes);
}
