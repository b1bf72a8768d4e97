/* Which bytes of a piece are whose, and their way to disk. */
#include "tar_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tar_internal.h"

enum { NO_FILE = OCF_FLAG_WHITEOUT | OCF_FLAG_OPAQUE | OCF_FLAG_AUFS };
enum { NEW_FILE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };

void ocf_number_name(uint64_t number, char *name)
{
    size_t digits = 1;
    while (digits < 16 && number >> (4 * digits))
        digits++;
    name[digits] = 0;
    while (digits--) {
        name[digits] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
}

/* ---- the cut ---- */

void ocf_files_cutter_free(ocf_files_cutter *c)
{
    free(c->parts.data);
    memset(&c->parts, 0, sizeof c->parts);
}

static int put(ocf_files_cutter *c, const ocf_tar_row *row, uint64_t place, uint64_t at, uint64_t size, int flags)
{
    ocf_file_part part = {c->next, place, at, size, (uint64_t)flags, *row};
    if (!c->is_open)
        part.flags |= OCF_PART_BEGIN;
    c->is_open = 1;
    return ocf_bytes_append(&c->parts, &part, sizeof part);
}

/* Payload of a sparse file: the regions of its map run together. */
static int cut_sparse(ocf_files_cutter *c, const ocf_tar_row *row, const uint8_t *map, uint64_t at, uint64_t size)
{
    uint64_t region[2];
    while (size && c->region < row->sparse_regions) {
        memcpy(region, map + 16 * (size_t)c->region, sizeof region);
        uint64_t left = region[1] - c->filled, some = left < size ? left : size;
        if (some)
            OCF_TRY(put(c, row, region[0] + c->filled, at, some, 0));
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
    if (row->flags & OCF_FLAG_SPARSE) {
        OCF_TRY(cut_sparse(c, row, heap + row->sparse_offset, at, some));
        if (*ends)
            OCF_TRY(put(c, row, 0, 0, 0, OCF_PART_END));
    } else {
        OCF_TRY(put(c, row, place, at, some, *ends ? OCF_PART_END : 0));
    }
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

/* ---- the write ---- */

static int failed(ocf_files_writer *w, int error)
{
    w->error = error;
    return OCF_REFUSED;
}

static int begin(ocf_files_writer *w, const ocf_file_part *part)
{
    char name[OCF_NUMBER_NAME];
    ocf_number_name(part->number, name);
    w->file = openat(w->folder, name, NEW_FILE, part->row.mode & 0777);
    return w->file < 0 ? failed(w, errno) : OCF_OK;
}

static int write_all(ocf_files_writer *w, const uint8_t *data, uint64_t size, uint64_t place)
{
    while (size) {
        ssize_t count = pwrite(w->file, data, size, (off_t)place);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return failed(w, errno);
        data += count;
        place += (uint64_t)count;
        size -= (uint64_t)count;
        w->written += (uint64_t)count;
    }
    return OCF_OK;
}

static int end(ocf_files_writer *w, const ocf_file_part *part, const uint8_t *xattrs)
{
    ocf_made made = {w->file, -1, NULL, part->row.mode & 0777, 1};
    if (part->row.flags & OCF_FLAG_SPARSE && ftruncate(w->file, (off_t)part->row.size))
        return failed(w, errno);
    w->meta->number = part->number;
    if (ocf_meta_set(w->meta, &made, &part->row, xattrs) != OCF_OK)
        return failed(w, w->meta->error);
    int file = w->file;
    w->file = -1;
    return close(file) ? failed(w, errno) : OCF_OK;
}

int ocf_files_write(ocf_files_writer *w, const uint8_t *parts, size_t parts_size, const uint8_t *piece,
                    size_t piece_size)
{
    ocf_file_part part;
    for (size_t at = 0; at < parts_size;) {
        memcpy(&part, parts + at, sizeof part);
        at += sizeof part;
        w->number = part.number;
        if (part.at > piece_size || part.size > piece_size - part.at)
            return failed(w, EINVAL);
        if (part.flags & OCF_PART_BEGIN)
            OCF_TRY(begin(w, &part));
        OCF_TRY(write_all(w, piece + part.at, part.size, part.place));
        if (part.flags & OCF_PART_END) {
            OCF_TRY(end(w, &part, parts + at));
            at += part.row.xattr_size;
        }
    }
    return OCF_OK;
}
