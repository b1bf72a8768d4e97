/* Which bytes of a piece are whose. */
#include "tar_files.h"

#include <stdlib.h>
#include <string.h>

#include "tar_internal.h"

enum { NO_FILE = OCF_FLAG_WHITEOUT | OCF_FLAG_OPAQUE | OCF_FLAG_AUFS };

void ocf_files_cutter_free(ocf_files_cutter *c)
{
    ocf_home_finder_free(&c->finder);
    free(c->parts.data);
    memset(&c->parts, 0, sizeof c->parts);
}

/* The first part of a file says where it is to lie. */
static int put_begin(ocf_files_cutter *c, ocf_file_part *part, const uint8_t *path)
{
    size_t base = ocf_path_base(path, part->row.path_size);
    uint32_t homes = c->finder.count;
    part->flags |= OCF_PART_BEGIN;
    OCF_TRY(ocf_home_find(&c->finder, path, base, &part->home));
    if (c->finder.count != homes)
        part->flags |= OCF_PART_HOME;
    c->is_open = 1;
    OCF_TRY(ocf_bytes_append(&c->parts, part, sizeof *part));
    return ocf_bytes_append(&c->parts, path, part->row.path_size);
}

static int put(ocf_files_cutter *c, const ocf_tar_row *row, const uint8_t *heap, ocf_file_part part)
{
    part.number = c->next;
    part.home = OCF_NO_HOME;
    part.row = *row;
    return c->is_open ? ocf_bytes_append(&c->parts, &part, sizeof part)
                      : put_begin(c, &part, heap + row->path_offset);
}

/* Payload of a sparse file: the regions of its map run together. */
static int cut_sparse(ocf_files_cutter *c, const ocf_tar_row *row, const uint8_t *heap, uint64_t at, uint64_t size)
{
    const uint8_t *map = heap + row->sparse_offset;
    uint64_t region[2];
    while (size && c->region < row->sparse_regions) {
        memcpy(region, map + 16 * (size_t)c->region, sizeof region);
        uint64_t left = region[1] - c->filled, some = left < size ? left : size;
        if (some)
            OCF_TRY(put(c, row, heap, (ocf_file_part){.place = region[0] + c->filled, .at = at, .size = some}));
        at += some;
        size -= some;
        c->filled = some == left ? 0 : c->filled + some;
        c->region += some == left;
    }
    return OCF_OK;
}

static int cut_end(ocf_files_cutter *c, const ocf_tar_row *row, const uint8_t *heap)
{
    c->is_open = 0;
    c->taken = c->filled = c->region = 0;
    return ocf_bytes_append(&c->parts, heap + row->xattr_offset, row->xattr_size);
}

/* What of a file is in `room` bytes of the piece; *ends when that is all that was missing. */
static int cut_file(ocf_files_cutter *c, const ocf_tar_row *row, const uint8_t *heap, uint64_t at, uint64_t room,
                    int *ends)
{
    uint64_t left = row->stored_size - c->taken, some = left < room ? left : room, place = c->taken;
    *ends = some == left;
    c->taken += some;
    ocf_file_part part = {.place = place, .at = at, .size = some};
    if (row->flags & OCF_FLAG_SPARSE) {
        OCF_TRY(cut_sparse(c, row, heap, at, some));
        part = (ocf_file_part){0};
    }
    part.flags = *ends ? OCF_PART_END : 0;
    if (*ends || part.size)
        OCF_TRY(put(c, row, heap, part));
    return *ends ? cut_end(c, row, heap) : OCF_OK;
}

int ocf_files_cut(ocf_files_cutter *c, size_t size, uint64_t base, const uint8_t *rows, size_t count,
                  const uint8_t *heap)
{
    ocf_tar_row row;
    int ends = 1;
    c->parts.size = 0;
    for (; c->next < count; c->next++) {
        memcpy(&row, rows + c->next * sizeof row, sizeof row);
        if (row.type != '0' || row.flags & NO_FILE)
            continue;
        uint64_t at = row.payload_offset + c->taken;
        if (row.stored_size && at >= base + size)
            break;
        if (row.stored_size && at < base)
            return OCF_REFUSED;
        uint64_t skip = row.stored_size ? at - base : 0;
        OCF_TRY(cut_file(c, &row, heap, skip, size - skip, &ends));
        if (!ends)
            break;
    }
    return OCF_OK;
}
