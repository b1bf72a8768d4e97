/* The stream: headers, payload read straight into the caller's memory, padding, two zero blocks. */
#include "tree_tar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tar_internal.h"

enum { SPARSE_BYTES = 64 << 10, END_BYTES = 2 * OCF_TAR_BLOCK_BYTES };
enum { FILE_FLAGS = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };
enum { FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static int failed(ocf_tree_tar *t, int error)
{
    t->error = error;
    return OCF_REFUSED;
}

void ocf_tree_tar_init(ocf_tree_tar *t, int root)
{
    memset(t, 0, sizeof *t);
    t->root = root;
    t->file = -1;
}

static void pop(ocf_tree_tar *t, size_t levels)
{
    while (t->levels > levels)
        close(t->folders[--t->levels]);
    t->parent.size = t->levels ? t->ends[t->levels - 1] : 0;
}

void ocf_tree_tar_free(ocf_tree_tar *t)
{
    pop(t, 0);
    if (t->file >= 0)
        close(t->file);
    free(t->head.data);
    free(t->parent.data);
    t->file = -1;
    memset(&t->head, 0, sizeof t->head);
    memset(&t->parent, 0, sizeof t->parent);
}

static ocf_tar_row row_at(const ocf_tree_tar *t, size_t index)
{
    ocf_tar_row row;
    memcpy(&row, t->rows + index * sizeof row, sizeof row);
    return row;
}

int ocf_tree_tar_size(ocf_tree_tar *t, uint64_t *size)
{
    *size = END_BYTES;
    for (t->index = 0; t->index < t->count; t->index++) {
        ocf_tar_row row = row_at(t, t->index);
        t->head.size = 0;
        OCF_TRY(ocf_tree_header(t, &t->head, &row));
        *size += t->head.size;
        if (row.type == '0')
            *size += (row.size + OCF_TAR_BLOCK_BYTES - 1) / OCF_TAR_BLOCK_BYTES * OCF_TAR_BLOCK_BYTES;
    }
    t->index = t->head.size = 0;
    return OCF_OK;
}

/* ---- folders on the way to a file ---- */

/* A component as a string; what would lead out of the folder it is looked up in is refused. */
static int component(const uint8_t *text, size_t size, char *name)
{
    if (size == 0 || size > NAME_MAX || memchr(text, 0, size))
        return 0;
    memcpy(name, text, size);
    name[size] = 0;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int push(ocf_tree_tar *t, const uint8_t *text, size_t size)
{
    char name[NAME_MAX + 1];
    if (!component(text, size, name))
        return failed(t, OCF_TREE_PATH);
    int above = t->levels ? t->folders[t->levels - 1] : t->root;
    int fd = openat(above, name, FOLDER_FLAGS);
    if (fd < 0)
        return failed(t, errno);
    int status = ocf_bytes_append(&t->parent, text, size);
    if (status == OCF_OK)
        status = ocf_bytes_append(&t->parent, "/", 1);
    if (status != OCF_OK) {
        close(fd);
        return status;
    }
    if (t->levels == OCF_TREE_LEVELS) { /* deeper folders share the last place */
        close(t->folders[t->levels - 1]);
        t->levels--;
    }
    t->ends[t->levels] = t->parent.size;
    t->folders[t->levels++] = fd;
    return OCF_OK;
}

/* Keep descriptors of the folders a path shares with the one before, open the others. */
static int reach(ocf_tree_tar *t, const uint8_t *path, size_t size)
{
    size_t levels = t->levels;
    while (levels && (t->ends[levels - 1] > size || memcmp(t->parent.data, path, t->ends[levels - 1]) != 0))
        levels--;
    pop(t, levels);
    for (size_t at = t->parent.size; at < size;) {
        const uint8_t *slash = memchr(path + at, '/', size - at);
        size_t length = slash ? (size_t)(slash - path) - at : size - at;
        OCF_TRY(push(t, path + at, length));
        at += length + 1;
    }
    return OCF_OK;
}

/* Where the own name of a row begins in its path. */
static size_t base_of(const uint8_t *path, size_t size)
{
    while (size && path[size - 1] != '/')
        size--;
    return size;
}

/* The descriptor of the folder a row is in, and its own name. */
static int locate(ocf_tree_tar *t, const ocf_tar_row *row, char *name, int *folder)
{
    const uint8_t *path = t->heap + row->path_offset;
    size_t base = base_of(path, row->path_size);
    OCF_TRY(reach(t, path, base));
    *folder = t->levels ? t->folders[t->levels - 1] : t->root;
    return component(path + base, row->path_size - base, name) ? OCF_OK : failed(t, OCF_TREE_PATH);
}

static int check(ocf_tree_tar *t, const ocf_tar_row *row, const struct stat *s)
{
    if (!S_ISREG(s->st_mode))
        return failed(t, OCF_TREE_KIND);
    t->actual = (uint64_t)s->st_size;
    return t->actual == row->size ? OCF_OK : failed(t, OCF_TREE_SIZE);
}

static int is_whiteout(const ocf_tree_tar *t, const ocf_tar_row *row)
{
    const uint8_t *path = t->heap + row->path_offset;
    size_t base = base_of(path, row->path_size);
    return row->path_size - base > 4 && memcmp(path + base, ".wh.", 4) == 0;
}

/* There is nothing to read, but it has to be there, and to be empty still. */
static int look_at_empty(ocf_tree_tar *t, const ocf_tar_row *row)
{
    char name[NAME_MAX + 1];
    struct stat s;
    int folder;
    if (is_whiteout(t, row)) /* made from a difference: there is no such file */
        return OCF_OK;
    OCF_TRY(locate(t, row, name, &folder));
    if (fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW))
        return failed(t, errno);
    return check(t, row, &s);
}

static int open_file(ocf_tree_tar *t, const ocf_tar_row *row)
{
    char name[NAME_MAX + 1];
    struct stat s;
    int folder;
    OCF_TRY(locate(t, row, name, &folder));
    t->file = openat(folder, name, FILE_FLAGS);
    if (t->file < 0)
        return failed(t, errno == ELOOP || errno == ENXIO ? OCF_TREE_KIND : errno);
    if (fstat(t->file, &s))
        return failed(t, errno);
    OCF_TRY(check(t, row, &s));
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
    ocf_tar_row row = row_at(t, t->index);
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
