/* Files read in pieces: many of them into the lanes of a hash, or two side by side. */
#include "tree_content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tar_internal.h"

/* Half and twice of each made no difference. With 108 k files of 6 KiB on a Zen 3, 5.6 us of 7.8 a
 * file are its four calls: 0.4 of that is fstat, and openat2 with a whole path takes 0.5 more than
 * kept folders do. */
enum { PIECE_BYTES = 128 << 10, OPEN_FILES = 4, BATCH_FILES = 64, BATCH_BYTES = 512 << 10 };
/* The kernel copies a page to an address one to thirty bytes into a page at 1.5 GB/s, to others at 6
 * (Zen 4): what malloc gives is sixteen bytes into one, so everything is read to a cache line. */
enum { LINE = 64, STRIDE = PIECE_BYTES + LINE };
enum { POLL_BYTES = 16 << 20, FILE_BYTES = 16 << 10 }; /* opening a file takes as long as reading so much */

static int failed(ocf_tree_content *c, int error)
{
    c->error = error;
    return OCF_REFUSED;
}

static int of_parents(ocf_tree_content *c, const ocf_parents *p, int status)
{
    c->error = p->error;
    c->actual = p->actual;
    return status;
}

static uint32_t number_at(const uint8_t *numbers, size_t at)
{
    uint32_t number;
    memcpy(&number, numbers + at * sizeof number, sizeof number);
    return number;
}

size_t ocf_tree_content_check(const ocf_tree_table *trees, int sides, const uint8_t *indices, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        for (int side = 0; side < sides; side++) {
            uint32_t index = number_at(indices, i * (size_t)sides + (size_t)side);
            if (index >= trees[side].count)
                return i;
            ocf_tar_row row = ocf_row_at(trees[side].rows, index);
            if (row.type != '0' || (side && row.size != size))
                return i;
            size = row.size;
        }
    return count;
}

static int breathe(ocf_tree_content *c, uint64_t bytes)
{
    c->done += bytes;
    if (c->done < POLL_BYTES || c->poll == NULL)
        return OCF_OK;
    c->done = 0;
    return c->poll(c->context) ? failed(c, 0) : OCF_OK;
}

/* The next `size` bytes. When they are the last, one more is asked for: so growth shows, and costs
 * no call. */
static int take(ocf_tree_content *c, int file, uint64_t at, size_t size, int last, uint8_t *out)
{
    for (size_t got = 0; got < size;) {
        ssize_t some = pread(file, out + got, size + (last != 0) - got, (off_t)(at + got));
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return failed(c, errno);
        got += (size_t)some;
        c->actual = at + got;
        if (some == 0)
            return failed(c, OCF_TREE_SHRANK);
        if (got > size)
            return failed(c, OCF_TREE_GREW);
    }
    return breathe(c, size);
}

/* ---- digests ---- */

typedef struct { /* a file that is hashed piece by piece */
    int file;
    uint32_t row;
    size_t place; /* in the output */
    uint64_t at, size;
    ocf_sha256 stream;
} large_file;

typedef struct {
    ocf_tree_content *c;
    const ocf_tree_table *tree;
    ocf_parents parents;
    ocf_update_many update;
    const ocf_sha256 *fresh;
    uint8_t *out;
    ocf_bytes memory; /* small files one behind the other, then a piece of each large one */
    size_t used, small, large; /* bytes of small files, how many there are, large ones that are open */
    large_file files[OPEN_FILES];
    ocf_sha256 streams[BATCH_FILES];
    size_t places[BATCH_FILES];
    ocf_sha256_lane lanes[BATCH_FILES + OPEN_FILES]; /* those of large files are made anew each turn */
} hasher;

static size_t lines(uint64_t size)
{
    return (size_t)((size + LINE - 1) / LINE * LINE);
}

static uint8_t *line_of(const ocf_bytes *memory)
{
    return memory->data + (-(uintptr_t)memory->data & (LINE - 1));
}

static void hasher_free(hasher *h)
{
    while (h->large)
        close(h->files[--h->large].file);
    ocf_parents_free(&h->parents);
    free(h->memory.data);
}

static int open_row(hasher *h, uint32_t index, const ocf_tar_row *row, int *file)
{
    struct stat s;
    h->c->row = index;
    return of_parents(h->c, &h->parents, ocf_parents_open(&h->parents, h->tree->heap, row, file, &s));
}

static int read_piece(hasher *h, size_t i)
{
    large_file *f = &h->files[i];
    uint8_t *piece = line_of(&h->memory) + BATCH_BYTES + i * STRIDE;
    int last = f->size - f->at <= PIECE_BYTES;
    size_t size = last ? (size_t)(f->size - f->at) : PIECE_BYTES;
    h->c->row = f->row;
    OCF_TRY(take(h->c, f->file, f->at, size, last, piece));
    f->at += size;
    h->lanes[h->small + i] = (ocf_sha256_lane){&f->stream, piece, size};
    return OCF_OK;
}

static void end_small(hasher *h)
{
    uint8_t digests[BATCH_FILES * OCF_SHA256_DIGEST], *digest = digests;
    ocf_toc_digests(h->update, h->streams, h->small, digests);
    for (size_t i = 0; i < h->small; i++, digest += OCF_SHA256_DIGEST)
        memcpy(h->out + h->places[i] * OCF_SHA256_DIGEST, digest, OCF_SHA256_DIGEST);
    h->small = h->used = 0;
}

static void end_large(hasher *h)
{
    size_t going = 0;
    for (size_t i = 0; i < h->large; i++) {
        large_file *f = &h->files[i];
        if (f->at < f->size) {
            h->files[going++] = *f;
            continue;
        }
        close(f->file);
        ocf_toc_digests(h->update, &f->stream, 1, h->out + f->place * OCF_SHA256_DIGEST);
    }
    h->large = going;
}

/* All small files there are and a piece of each large one, in the lanes at once. */
static int turn(hasher *h)
{
    for (size_t i = 0; i < h->large; i++)
        OCF_TRY(read_piece(h, i));
    h->update(h->lanes, h->small + h->large);
    end_small(h);
    end_large(h);
    return OCF_OK;
}

static int add_large(hasher *h, uint32_t index, const ocf_tar_row *row, size_t place)
{
    while (h->large == OPEN_FILES)
        OCF_TRY(turn(h));
    large_file *f = &h->files[h->large];
    *f = (large_file){.row = index, .place = place, .size = row->size, .stream = *h->fresh};
    OCF_TRY(open_row(h, index, row, &f->file));
    h->large++;
    return breathe(h->c, FILE_BYTES);
}

static int read_small(hasher *h, uint32_t index, const ocf_tar_row *row)
{
    int file;
    if (row->size == 0) {
        h->c->row = index;
        return of_parents(h->c, &h->parents, ocf_parents_look(&h->parents, h->tree->heap, row));
    }
    OCF_TRY(open_row(h, index, row, &file));
    int status = take(h->c, file, 0, (size_t)row->size, 1, line_of(&h->memory) + h->used);
    close(file);
    return status;
}

static int add_small(hasher *h, uint32_t index, const ocf_tar_row *row, size_t place)
{
    if (h->small == BATCH_FILES || h->used + row->size >= BATCH_BYTES)
        OCF_TRY(turn(h));
    OCF_TRY(read_small(h, index, row));
    ocf_sha256 *stream = &h->streams[h->small];
    *stream = *h->fresh;
    h->lanes[h->small] = (ocf_sha256_lane){stream, line_of(&h->memory) + h->used, (size_t)row->size};
    h->places[h->small++] = place;
    h->used += lines(row->size);
    return breathe(h->c, FILE_BYTES);
}

static int hash_all(hasher *h, const uint8_t *which, size_t count)
{
    for (int large = 1; large >= 0; large--)
        for (size_t i = 0; i < count; i++) {
            uint32_t index = number_at(which, i);
            ocf_tar_row row = ocf_row_at(h->tree->rows, index);
            if ((row.size >= PIECE_BYTES) == large)
                OCF_TRY(large ? add_large(h, index, &row, i) : add_small(h, index, &row, i));
        }
    while (h->large || h->small)
        OCF_TRY(turn(h));
    return OCF_OK;
}

int ocf_tree_digests(ocf_tree_content *c, const ocf_tree_table *tree, const uint8_t *which, size_t count,
                     ocf_update_many update, const ocf_sha256 *fresh, uint8_t *out)
{
    hasher h = {.c = c, .tree = tree, .update = update, .fresh = fresh, .out = out};
    ocf_parents_init(&h.parents, tree->root);
    c->side = 0;
    int status = ocf_bytes_reserve(&h.memory, BATCH_BYTES + OPEN_FILES * STRIDE + LINE);
    if (status == OCF_OK)
        status = hash_all(&h, which, count);
    hasher_free(&h);
    return status;
}

/* ---- two folders ---- */

typedef struct {
    ocf_tree_content *c;
    const ocf_tree_table *trees;
    ocf_parents parents[2];
    int files[2];
    ocf_bytes memory; /* a piece of each */
} comparer;

static void close_pair(comparer *m)
{
    for (int side = 0; side < 2; side++) {
        if (m->files[side] >= 0)
            close(m->files[side]);
        m->files[side] = -1;
    }
}

static int compare_pieces(comparer *m, const uint32_t *rows, uint64_t size, int *differ)
{
    size_t piece = PIECE_BYTES;
    uint8_t *data[2] = {line_of(&m->memory), line_of(&m->memory) + STRIDE};
    for (uint64_t at = 0; at < size && !*differ; at += piece) {
        int last = size - at <= piece;
        if (last)
            piece = (size_t)(size - at);
        for (int side = 0; side < 2; side++) {
            m->c->side = side;
            m->c->row = rows[side];
            OCF_TRY(take(m->c, m->files[side], at, piece, last, data[side]));
        }
        *differ = memcmp(data[0], data[1], piece) != 0;
    }
    return OCF_OK;
}

static int have_xattrs(const int *files)
{
    return flistxattr(files[0], NULL, 0) > 0 || flistxattr(files[1], NULL, 0) > 0;
}

static int compare_pair(comparer *m, const uint32_t *rows, uint8_t *out)
{
    struct stat s[2];
    uint64_t size = 0;
    int differ = 0;
    for (int side = 0; side < 2; side++) {
        ocf_parents *p = &m->parents[side];
        const uint8_t *heap = m->trees[side].heap;
        ocf_tar_row row = ocf_row_at(m->trees[side].rows, rows[side]);
        size = row.size;
        m->c->side = side;
        m->c->row = rows[side];
        OCF_TRY(of_parents(m->c, p, size ? ocf_parents_open(p, heap, &row, &m->files[side], &s[side])
                                         : ocf_parents_look(p, heap, &row)));
    }
    OCF_TRY(breathe(m->c, 2 * FILE_BYTES));
    if (size && (s[0].st_ino != s[1].st_ino || s[0].st_dev != s[1].st_dev))
        OCF_TRY(compare_pieces(m, rows, size, &differ));
    *out = differ ? OCF_CONTENT_DIFFERS : 0;
    if (m->c->with_xattrs && size && have_xattrs(m->files))
        *out |= OCF_CONTENT_XATTRS;
    close_pair(m);
    return OCF_OK;
}

int ocf_tree_compare(ocf_tree_content *c, const ocf_tree_table *trees, const uint8_t *pairs, size_t count,
                     uint8_t *out)
{
    comparer m = {.c = c, .trees = trees, .files = {-1, -1}};
    for (int side = 0; side < 2; side++)
        ocf_parents_init(&m.parents[side], trees[side].root);
    int status = ocf_bytes_reserve(&m.memory, 2 * STRIDE + LINE);
    for (size_t i = 0; status == OCF_OK && i < count; i++) {
        uint32_t rows[2] = {number_at(pairs, 2 * i), number_at(pairs, 2 * i + 1)};
        status = compare_pair(&m, rows, &out[i]);
    }
    close_pair(&m);
    for (int side = 0; side < 2; side++)
        ocf_parents_free(&m.parents[side]);
    free(m.memory.data);
    return status;
}
