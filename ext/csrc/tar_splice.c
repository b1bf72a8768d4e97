/* Headers, holes, payload and padding, in turn; payload as pieces have it. */
#include "tar_splice.h"

#include <stdlib.h>
#include <string.h>

#include "tar_internal.h"

enum { END_BYTES = 2 * OCF_TAR_BLOCK_BYTES };

void ocf_splice_init(ocf_splice *s)
{
    memset(s, 0, sizeof *s);
    s->writer.file = -1;
    s->writer.fractions = 1;
    s->stream = OCF_SPLICE_NONE;
}

void ocf_splice_free(ocf_splice *s)
{
    free(s->head.data);
    memset(&s->head, 0, sizeof s->head);
}

static uint64_t padded(uint64_t size)
{
    return size + -size % OCF_TAR_BLOCK_BYTES;
}

int ocf_splice_size(ocf_splice *s, uint64_t *size)
{
    *size = END_BYTES;
    for (s->index = 0; s->index < s->writer.count; s->index++) {
        ocf_tar_row row = ocf_row_at(s->writer.rows, s->index);
        s->head.size = 0;
        OCF_TRY(ocf_tree_header(&s->writer, &s->head, &row));
        *size += s->head.size + (row.type == '0' ? padded(row.size) : 0);
    }
    s->index = s->head.size = 0;
    return OCF_OK;
}

static int begin_row(ocf_splice *s)
{
    s->head.size = s->head_at = 0;
    if (s->index == s->writer.count) {
        s->ended = 1;
        s->zeros = END_BYTES;
        return OCF_OK;
    }
    s->row = ocf_row_at(s->writer.rows, s->index);
    OCF_TRY(ocf_tree_header(&s->writer, &s->head, &s->row));
    s->is_open = s->row.type == '0' && s->row.size;
    s->place = s->taken = s->region = 0;
    if (!s->is_open)
        s->index++;
    return OCF_OK;
}

/* What comes next of a file: a hole and a region, or the end of it with its padding. */
static void next_run(ocf_splice *s)
{
    uint64_t region[2] = {s->place, s->row.size - s->place};
    if (s->row.flags & OCF_FLAG_SPARSE) {
        region[0] = s->row.size;
        region[1] = 0;
        if (s->region < s->row.sparse_regions)
            memcpy(region, s->writer.heap + s->row.sparse_offset + (size_t)s->region++ * sizeof region, sizeof region);
    }
    if (s->place == s->row.size && region[1] == 0) {
        s->zeros = -s->row.size % OCF_TAR_BLOCK_BYTES;
        s->is_open = 0;
        s->index++;
        return;
    }
    s->zeros = region[0] - s->place;
    s->run = region[1];
    s->place = region[0] + region[1];
}

/* Go forward in the piece to where payload is wanted; nothing is left of it when that is farther. */
static int skip(ocf_splice *s)
{
    uint64_t wanted = ocf_splice_place(s);
    if (s->stream != s->streams[s->index]) {
        s->piece_size = 0;
        return OCF_OK;
    }
    if (s->at > wanted) {
        s->writer.error = OCF_SPLICE_ORDER;
        return OCF_REFUSED;
    }
    size_t count = wanted - s->at < s->piece_size ? (size_t)(wanted - s->at) : s->piece_size;
    s->at += count;
    s->piece += count;
    s->piece_size -= count;
    return OCF_OK;
}

static size_t take(ocf_splice *s, uint8_t *out, size_t room)
{
    size_t count = s->piece_size < room ? s->piece_size : room;
    count = s->run < count ? (size_t)s->run : count;
    memcpy(out, s->piece, count);
    s->piece += count;
    s->piece_size -= count;
    s->at += count;
    s->taken += count;
    s->run -= count;
    return count;
}

static size_t take_head(ocf_splice *s, uint8_t *out, size_t room)
{
    size_t count = s->head.size - s->head_at < room ? s->head.size - s->head_at : room;
    memcpy(out, s->head.data + s->head_at, count);
    s->head_at += count;
    return count;
}

static size_t take_zeros(ocf_splice *s, uint8_t *out, size_t room)
{
    size_t count = s->zeros < room ? (size_t)s->zeros : room;
    memset(out, 0, count);
    s->zeros -= count;
    return count;
}

int ocf_splice_fill(ocf_splice *s, uint8_t *out, size_t size, size_t *filled)
{
    size_t at = 0;
    while (at < size) {
        if (s->head_at < s->head.size) {
            at += take_head(s, out + at, size - at);
        } else if (s->zeros) {
            at += take_zeros(s, out + at, size - at);
        } else if (s->run) {
            OCF_TRY(skip(s));
            if (s->piece_size == 0)
                break;
            at += take(s, out + at, size - at);
        } else if (s->is_open) {
            next_run(s);
        } else if (s->ended) {
            break;
        } else {
            OCF_TRY(begin_row(s));
        }
    }
    *filled = at;
    return OCF_OK;
}

uint32_t ocf_splice_wants(const ocf_splice *s)
{
    int waits = s->run && s->piece_size == 0 && s->zeros == 0 && s->head_at == s->head.size;
    return waits ? s->streams[s->index] : OCF_SPLICE_NONE;
}

uint64_t ocf_splice_place(const ocf_splice *s)
{
    return s->row.payload_offset + s->taken;
}

void ocf_splice_feed(ocf_splice *s, uint32_t stream, uint64_t at, const uint8_t *piece, size_t size)
{
    s->stream = stream;
    s->at = at;
    s->piece = piece;
    s->piece_size = size;
}
