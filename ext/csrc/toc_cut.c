/* The cut, piece by piece: what is payload and what stands between, segments, units. */
#include "toc_cut.h"

#include <stdlib.h>
#include <string.h>

#include "toc_split.h"

enum {
    WHOLE_BYTES = 16 << 10, /* smaller files are one chunk: a frame for less costs more than it saves */
    HELD_MAX = 4 << 20      /* no headers of one entry are as long: it is the end of the archive */
};

void ocf_cut_init(ocf_cut *c, int dialect, ocf_update_many update, const ocf_sha256 *fresh)
{
    memset(c, 0, sizeof *c);
    c->dialect = dialect;
    c->update = update;
    c->fresh = *fresh;
}

void ocf_cut_free(ocf_cut *c)
{
    ocf_bytes *owned[] = {&c->file.path, &c->plan, &c->wholes, &c->parts, &c->held, &c->given,
                          &c->streams, &c->lanes, &c->raw, &c->split.bytes};

    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]->data);
    memset(c, 0, sizeof *c);
}

/* ---- segments ---- */

static int end_segment(ocf_cut *c)
{
    if (c->segment.size == 0)
        return OCF_OK;
    OCF_TRY(ocf_bytes_append(&c->plan, &c->segment, sizeof c->segment));
    c->unit_segments++;
    c->unit_bytes += c->segment.size;
    c->segment = (ocf_segment){0, 0};
    return OCF_OK;
}

/* The last part, while its unit goes on; NULL if there is none. */
static ocf_part *open_part(const ocf_cut *c)
{
    if (c->parts.size == 0)
        return NULL;
    ocf_part *part = (ocf_part *)(void *)(c->parts.data + c->parts.size) - 1;
    return part->segments ? NULL : part;
}

/* All bytes of the unit may have come in earlier calls: then an empty part ends it. */
static int end_unit(ocf_cut *c)
{
    if (c->unit_segments == 0)
        return OCF_OK;
    if (open_part(c) == NULL)
        OCF_TRY(ocf_bytes_append(&c->parts, &(ocf_part){c->piece, 0, 0}, sizeof(ocf_part)));
    open_part(c)->segments = c->unit_segments;
    c->unit_segments = 0;
    c->unit_bytes = 0;
    return OCF_OK;
}

/* Ends the segment; and the unit, if it is long enough. */
static int cut(ocf_cut *c)
{
    OCF_TRY(end_segment(c));
    return c->unit_bytes >= OCF_CUT_UNIT ? end_unit(c) : OCF_OK;
}

/* Into the segment being filled. */
static int add(ocf_cut *c, const uint8_t *data, size_t size)
{
    ocf_part *last = open_part(c);

    c->segment.size += (uint32_t)size;
    c->bytes += size;
    if (last == NULL || last->data + last->size != data)
        return ocf_bytes_append(&c->parts, &(ocf_part){data, size, 0}, sizeof *last);
    last->size += size;
    return OCF_OK;
}

/* What is no payload may be cut anywhere: where there is a MiB of it, and of eStargz only if more
 * comes. */
static int add_between(ocf_cut *c, const uint8_t *data, size_t size)
{
    while (size) {
        size_t room = OCF_CUT_UNIT - (c->segment.size - c->segment.payload), some;
        some = size < room ? size : room;
        OCF_TRY(add(c, data, some));
        data += some;
        size -= some;
        if (some == room && (size || c->dialect == OCF_CUT_CHUNKED))
            OCF_TRY(cut(c));
    }
    return OCF_OK;
}

/* ---- files ---- */

/* To be hashed with the others of this piece, from where that was not done. */
static int hash_later(ocf_cut *c, size_t end)
{
    ocf_sha256_lane lane = {NULL, c->piece + c->file.hashed, end - c->file.hashed};

    OCF_TRY(ocf_bytes_append(&c->lanes, &lane, sizeof lane));
    return ocf_bytes_append(&c->streams, &c->file.whole, sizeof c->file.whole);
}

static int end_file(ocf_cut *c, size_t at)
{
    ocf_cut_file *file = &c->file;

    if (c->segment.size) {
        file->cuts++;
        if (c->dialect == OCF_CUT_CHUNKED)
            OCF_TRY(cut(c));
    }
    if (c->dialect == OCF_CUT_CHUNKED)
        ocf_split_file(&c->split, &c->position, &file->path, file->size, file->crc);
    return file->cuts > 1 ? hash_later(c, at) : OCF_OK;
}

static int payload_chunked(ocf_cut *c, const uint8_t *data, size_t size)
{
    ocf_cut_file *file = &c->file;

    file->crc = ocf_crc64(file->crc, data, size);
    while (size) {
        size_t step = file->is_hashed ? ocf_chunker_next(&file->chunker, data, size) : 0;
        size_t some = step ? step : size;
        c->segment.payload += (uint32_t)some;
        OCF_TRY(add(c, data, some));
        if (step) {
            file->cuts++;
            OCF_TRY(cut(c));
        }
        data += some;
        size -= some;
    }
    return OCF_OK;
}

static int payload_estargz(ocf_cut *c, const uint8_t *data, size_t size)
{
    while (size) {
        if (c->segment.payload == OCF_CUT_ESTARGZ_CHUNK) {
            c->file.cuts++;
            OCF_TRY(cut(c));
        }
        size_t room = OCF_CUT_ESTARGZ_CHUNK - c->segment.payload, some = size < room ? size : room;
        c->segment.payload += (uint32_t)some;
        OCF_TRY(add(c, data, some));
        data += some;
        size -= some;
    }
    return OCF_OK;
}

static int take_payload(ocf_cut *c, size_t at, size_t size)
{
    c->file.left -= size;
    if (c->file.is_dropped)
        return OCF_OK;
    if (c->dialect == OCF_CUT_CHUNKED)
        OCF_TRY(payload_chunked(c, c->piece + at, size));
    else
        OCF_TRY(payload_estargz(c, c->piece + at, size));
    return c->file.left ? OCF_OK : end_file(c, at + size);
}

static int begin_file(ocf_cut *c, const ocf_tar_row *row, const uint8_t *path, size_t at)
{
    ocf_cut_file *file = &c->file;
    uint64_t least = c->dialect == OCF_CUT_CHUNKED ? WHOLE_BYTES : OCF_CUT_ESTARGZ_CHUNK + 1;

    file->size = file->left = row->stored_size;
    file->crc = file->cuts = 0;
    file->hashed = at;
    file->is_hashed = !file->is_dropped && file->size >= least;
    if (c->dialect == OCF_CUT_CHUNKED) {
        ocf_split_end(&c->split, &c->raw, &c->position);
        OCF_TRY(ocf_bytes_set(&file->path, path, row->path_size));
        if (file->size == 0)
            ocf_split_file(&c->split, &c->position, &file->path, 0, 0);
    }
    if (file->size == 0 || file->is_dropped)
        return OCF_OK;
    ocf_chunker_begin(&file->chunker);
    file->whole = c->fresh;
    return cut(c);
}

/* ---- eStargz: what stays ---- */

int ocf_cut_is_reserved(const uint8_t *path, size_t size)
{
    static const char *const taken[] = {"stargz.index.json", ".no.prefetch.landmark", ".prefetch.landmark"};

    if (size >= 2 && path[0] == '.' && path[1] == '/') {
        path += 2;
        size -= 2;
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (size == strlen(taken[i]) && !memcmp(path, taken[i], size))
            return 1;
    return 0;
}

static int hold(ocf_cut *c, const uint8_t *data, size_t size)
{
    size_t room = HELD_MAX - c->held.size;

    return ocf_bytes_append(&c->held, data, size < room ? size : room);
}

static uint64_t padding_of(const ocf_cut *c)
{
    return -c->file.size % OCF_TAR_BLOCK_BYTES;
}

/* All that was held and the bytes before an entry's payload: padding of the file before, which went
 * if that did, then headers. The first entry is the landmark this encoder put there itself. */
static int keep(ocf_cut *c, const ocf_tar_row *row, const uint8_t *path, size_t at, size_t size)
{
    uint64_t first = c->file.is_dropped ? padding_of(c) : 0, end = c->held.size + size;
    uint64_t own = row->payload_offset - row->start_offset;

    c->file.is_dropped = c->entries > 1 && ocf_cut_is_reserved(path, row->path_size);
    c->dropped += (uint64_t)c->file.is_dropped;
    if (c->held.size == HELD_MAX || own > end || first > end - own)
        return OCF_REFUSED;
    end -= c->file.is_dropped ? own : 0;
    if (c->held.size) {
        ocf_bytes held = c->held;
        c->held = c->given;
        c->given = held;
        c->held.size = 0;
        uint64_t stop = end < held.size ? end : held.size;
        if (first < stop)
            OCF_TRY(add_between(c, held.data + first, stop - first));
        first = first > held.size ? first - held.size : 0;
        end = end > held.size ? end - held.size : 0;
    }
    return first < end ? add_between(c, c->piece + at + first, end - first) : OCF_OK;
}

/* ---- a piece ---- */

/* What is left of the payload of the file before, up to `stop`; moves `at`. */
static int take_rest(ocf_cut *c, size_t *at, size_t stop)
{
    size_t size = c->file.left < stop - *at ? (size_t)c->file.left : stop - *at;

    if (size)
        OCF_TRY(take_payload(c, *at, size));
    *at += size;
    return OCF_OK;
}

static int take_between(ocf_cut *c, size_t at, size_t size)
{
    OCF_TRY(ocf_split_between(&c->split, &c->raw, &c->position, c->piece + at, size));
    return add_between(c, c->piece + at, size);
}

static int take_row(ocf_cut *c, const ocf_tar_row *row, const uint8_t *heap, size_t *at, size_t stop)
{
    const uint8_t *path = heap + row->path_offset;

    OCF_TRY(take_rest(c, at, stop));
    if (c->file.left)
        return OCF_REFUSED;
    c->entries++;
    if (c->dialect == OCF_CUT_CHUNKED)
        OCF_TRY(take_between(c, *at, stop - *at));
    else
        OCF_TRY(keep(c, row, path, *at, stop - *at));
    *at = stop;
    return begin_file(c, row, path, stop);
}

static int same_run(const ocf_part *part)
{
    return part[0].data + part[0].size == part[1].data;
}

/* The files of the piece, and what of it goes into the blob, side by side. */
static void hash(ocf_cut *c, size_t files)
{
    ocf_sha256_lane *lanes = (ocf_sha256_lane *)(void *)c->lanes.data;
    const ocf_part *parts = (const ocf_part *)(const void *)c->parts.data;
    size_t count = c->everything ? c->parts.size / sizeof *parts : 0, run;

    for (size_t i = 0; i < files; i++)
        lanes[i].ctx = (ocf_sha256 *)(void *)c->streams.data + i;
    for (size_t i = 0; i < count; i += run) {
        size_t size = parts[i].size;
        for (run = 1; i + run < count && same_run(&parts[i + run - 1]); run++)
            size += parts[i + run].size;
        lanes[files] = (ocf_sha256_lane){c->everything, parts[i].data, size};
        if (i + run < count)
            c->update(lanes + files, 1);
        else
            c->update(lanes, files + 1);
    }
    if (count == 0 && files)
        c->update(lanes, files);
}

/* Hashes what came, and gives those files their digests that have ended. */
static int end_piece(ocf_cut *c, size_t size)
{
    int is_open = c->file.left && c->file.is_hashed;

    if (is_open)
        OCF_TRY(hash_later(c, size));
    size_t files = c->streams.size / sizeof(ocf_sha256);
    OCF_TRY(ocf_bytes_reserve(&c->lanes, sizeof(ocf_sha256_lane)));
    hash(c, files);
    ocf_sha256 *streams = (ocf_sha256 *)(void *)c->streams.data;
    if (is_open)
        c->file.whole = streams[--files];
    OCF_TRY(ocf_bytes_reserve(&c->wholes, files * OCF_SHA256_DIGEST));
    if (files)
        ocf_toc_digests(c->update, streams, files, c->wholes.data + c->wholes.size);
    c->wholes.size += files * OCF_SHA256_DIGEST;
    return c->split.status;
}

static void begin_piece(ocf_cut *c, const uint8_t *piece)
{
    c->piece = piece;
    c->parts.size = c->lanes.size = c->streams.size = 0;
    c->file.hashed = 0;
}

int ocf_cut_feed(ocf_cut *c, const uint8_t *piece, size_t size, uint64_t base, const uint8_t *rows,
                 size_t count, const uint8_t *heap)
{
    ocf_tar_row row;
    size_t at = 0;

    begin_piece(c, piece);
    for (size_t i = 0; i < count; i++) {
        memcpy(&row, rows + i * sizeof row, sizeof row);
        c->refused = i;
        if (row.flags & OCF_FLAG_SPARSE)
            return OCF_CUT_SPARSE;
        if (row.payload_offset < base || row.payload_offset - base < at || row.payload_offset - base > size)
            return OCF_REFUSED;
        OCF_TRY(take_row(c, &row, heap, &at, (size_t)(row.payload_offset - base)));
    }
    OCF_TRY(take_rest(c, &at, size));
    if (c->dialect == OCF_CUT_CHUNKED)
        OCF_TRY(take_between(c, at, size - at));
    else
        OCF_TRY(hold(c, piece + at, size - at));
    return end_piece(c, size);
}

/* A source without end marks may lack the last padding too, which eStargz always has. */
int ocf_cut_finish(ocf_cut *c)
{
    static const uint8_t zeros[OCF_TAR_BLOCK_BYTES];

    if (c->file.left)
        return OCF_REFUSED;
    begin_piece(c, zeros);
    if (c->dialect == OCF_CUT_CHUNKED)
        ocf_split_end(&c->split, &c->raw, &c->position);
    else if (!c->file.is_dropped)
        OCF_TRY(add_between(c, zeros, padding_of(c)));
    OCF_TRY(end_segment(c));
    OCF_TRY(end_unit(c));
    return end_piece(c, 0);
}
