/* The stream: headers, payload read straight into the caller's memory, padding, two zero blocks. */
#include "tree_tar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tar_internal.h"

enum { SPARSE_BYTES = 64 << 10, END_BYTES = 2 * OCF_TAR_BLOCK_BYTES };

static int failed(ocf_tree_tar *t, int error)
{
    t->error = error;
    return OCF_REFUSED;
}

void ocf_tree_tar_init(ocf_tree_tar *t, int root)
{
    memset(t, 0, sizeof *t);
    ocf_parents_init(&t->parents, root);
    t->file = -1;
}

void ocf_tree_tar_free(ocf_tree_tar *t)
{
    ocf_parents_free(&t->parents);
    if (t->file >= 0)
        close(t->file);
    free(t->head.data);
    t->file = -1;
    memset(&t->head, 0, sizeof t->head);
}

int ocf_tree_tar_size(ocf_tree_tar *t, uint64_t *size)
{
    *size = END_BYTES;
    for (t->index = 0; t->index < t->count; t->index++) {
        ocf_tar_row row = ocf_row_at(t->rows, t->index);
        t->head.size = 0;
        OCF_TRY(ocf_tree_header(t, &t->head, &row));
        *size += t->head.size;
        if (row.type == '0')
            *size += (row.size + OCF_TAR_BLOCK_BYTES - 1) / OCF_TAR_BLOCK_BYTES * OCF_TAR_BLOCK_BYTES;
    }
    t->index = t->head.size = 0;
    return OCF_OK;
}

/* ---- payload ---- */

static int of_parents(ocf_tree_tar *t, int status)
{
    t->error = t->parents.error;
    t->actual = t->parents.actual;
    return status;
}

static int is_whiteout(const ocf_tree_tar *t, const ocf_tar_row *row)
{
    const uint8_t *path = t->heap + row->path_offset;
    size_t base = ocf_path_base(path, row->path_size);
    return row->path_size - base > 4 && memcmp(path + base, ".wh.", 4) == 0;
}

/* There is nothing to read, but it has to be there, and to be empty still. */
static int look_at_empty(ocf_tree_tar *t, const ocf_tar_row *row)
{
    if (is_whiteout(t, row)) /* made from a difference: there is no such file */
        return OCF_OK;
    return of_parents(t, ocf_parents_look(&t->parents, t->heap, row));
}

static int open_file(ocf_tree_tar *t, const ocf_tar_row *row)
{
    struct stat s;
    OCF_TRY(of_parents(t, ocf_parents_open(&t->parents, t->heap, row, &t->file, &s)));
    t->sparse = row->size >= SPARSE_BYTES && (uint64_t)s.st_blocks * 512 < row->size;
    t->left = row->size;
    t->at = t->hole_end = t->data_end = 0;
    t->checked = 0;
    return OCF_OK;
}

static int close_file(ocf_tree_tar *t)
{
    struct stat s;
    int status = t->checked ? 0 : fstat(t->file, &s), error = errno;
    close(t->file);
    t->file = -1;
    if (status)
        return failed(t, error);
    if (t->checked)
        return OCF_OK;
    t->actual = (uint64_t)s.st_size;
    if (t->actual < t->at) /* what was taken for a hole was no longer there */
        return failed(t, OCF_TREE_SHRANK);
    return t->actual > t->at ? failed(t, OCF_TREE_GREW) : OCF_OK;
}

/* Where the hole ends that `at` is in; `at` itself when there are data. */
static int find_data(ocf_tree_tar *t)
{
    off_t data = lseek(t->file, (off_t)t->at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) /* nothing but a hole to the end */
        t->hole_end = t->at + t->left;
    else if (data < 0)
        t->sparse = 0;
    else
        t->hole_end = (uint64_t)data < t->at + t->left ? (uint64_t)data : t->at + t->left;
    if (t->sparse && t->hole_end == t->at) {
        off_t hole = lseek(t->file, (off_t)t->at, SEEK_HOLE);
        t->sparse = hole > (off_t)t->at;
        t->data_end = t->sparse ? (uint64_t)hole : 0;
    }
    return OCF_OK;
}

/* Up to `room` bytes of payload into `out`. Asks for a byte more where there is room: growth shows. */
static int payload(ocf_tree_tar *t, uint8_t *out, size_t room, size_t *got)
{
    uint64_t most = t->left;
    if (t->sparse) {
        if (t->at >= t->hole_end && t->at >= t->data_end)
            OCF_TRY(find_data(t));
        if (t->at < t->hole_end) {
            *got = t->hole_end - t->at < room ? (size_t)(t->hole_end - t->at) : room;
            memset(out, 0, *got);
            return OCF_OK;
        }
        if (t->sparse && t->data_end - t->at < most)
            most = t->data_end - t->at;
    }
    int to_end = most == t->left && room > most;
    ssize_t count = pread(t->file, out, to_end ? (size_t)most + 1 : room < most ? room : (size_t)most, (off_t)t->at);
    if (count < 0)
        return errno == EINTR ? OCF_OK : failed(t, errno);
    t->actual = t->at + (uint64_t)count;
    if (count == 0)
        return failed(t, OCF_TREE_SHRANK);
    if ((uint64_t)count > t->left)
        return failed(t, OCF_TREE_GREW);
    t->checked = to_end && (uint64_t)count == t->left;
    *got = (size_t)count;
    return OCF_OK;
}

/* ---- the stream ---- */

static int begin_row(ocf_tree_tar *t)
{
    t->head.size = t->head_at = 0;
    if (t->index == t->count) {
        if (t->ended)
            return OCF_OK;
        t->ended = 1;
        OCF_TRY(ocf_bytes_reserve(&t->head, END_BYTES));
        memset(t->head.data, 0, END_BYTES);
        t->head.size = END_BYTES;
        return OCF_OK;
    }
    ocf_tar_row row = ocf_row_at(t->rows, t->index);
    OCF_TRY(ocf_tree_header(t, &t->head, &row));
    if (row.type == '0' && row.size)
        return open_file(t, &row);
    if (row.type == '0')
        OCF_TRY(look_at_empty(t, &row));
    t->index++;
    return OCF_OK;
}

static int end_payload(ocf_tree_tar *t)
{
    uint64_t size = t->at;
    OCF_TRY(close_file(t));
    t->index++;
    t->padding = -size % OCF_TAR_BLOCK_BYTES;
    return OCF_OK;
}

static size_t take_head(ocf_tree_tar *t, uint8_t *out, size_t room)
{
    size_t count = t->head.size - t->head_at < room ? t->head.size - t->head_at : room;
    memcpy(out, t->head.data + t->head_at, count);
    t->head_at += count;
    return count;
}

static size_t take_padding(ocf_tree_tar *t, uint8_t *out, size_t room)
{
    size_t count = t->padding < room ? (size_t)t->padding : room;
    memset(out, 0, count);
    t->padding -= count;
    return count;
}

int ocf_tree_tar_fill(ocf_tree_tar *t, uint8_t *out, size_t size, size_t *filled)
{
    size_t at = 0, got;
    while (at < size) {
        if (t->head_at < t->head.size) {
            at += take_head(t, out + at, size - at);
        } else if (t->file >= 0) {
            got = 0;
            OCF_TRY(payload(t, out + at, size - at, &got));
            at += got;
            t->at += got;
            t->left -= got;
            if (t->left == 0)
                OCF_TRY(end_payload(t));
        } else if (t->padding) {
            at += take_padding(t, out + at, size - at);
        } else if (t->ended) {
            break;
        } else {
            OCF_TRY(begin_row(t));
        }
    }
    *filled = at;
    return OCF_OK;
}
