/* Headers as Go's archive/tar writes them; the cases are those of its writer, and so are the vectors
 * of the tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tar_internal.h"
#include "tree_tar.h"

enum { NAME = 100, PREFIX = 155, OCTAL_7 = 07777777 };
#define SIZE_MAX_OCTAL INT64_C(8589934591) /* eleven digits */
static const int64_t second = 1000000000;

typedef struct { /* a header in the making */
    ocf_bytes path, records, xname;
    const uint8_t *link;
    size_t link_size, split; /* split: where the ustar prefix ends, 0 without one */
    int64_t mtime;
    uint32_t fraction; /* nanoseconds behind mtime */
    uint64_t size;
} header;

static int is_ascii(const uint8_t *text, size_t size)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < size; i++)
        seen |= text[i];
    return seen < 0x80;
}

static int has_nul(const uint8_t *text, size_t size)
{
    return size && memchr(text, 0, size) != NULL; /* an empty text may be NULL */
}

/* What of a text is ASCII, cut to `width`; a slash that ends up last is taken for a folder's by some. */
static void put_text(uint8_t *field, size_t width, const uint8_t *text, size_t size)
{
    size_t kept = 0, total = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == 0 || text[i] >= 0x80)
            continue;
        if (kept < width)
            field[kept++] = text[i];
        total++;
    }
    if (total > width && field[width - 1] == '/') {
        size_t end = width - 1;
        while (end && field[end - 1] == '/')
            end--;
        field[end] = 0;
    }
}

static void put_octal(uint8_t *field, size_t width, uint64_t value)
{
    for (size_t i = width - 1; i-- > 0; value >>= 3)
        field[i] = (uint8_t)('0' + (value & 7));
    field[width - 1] = 0;
}

static void finish(uint8_t *block)
{
    uint64_t sum = 0;
    memcpy(block + 257, "ustar\0" "00", 8);
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < OCF_TAR_BLOCK_BYTES; i++)
        sum += block[i];
    put_octal(block + 148, 7, sum);
    block[155] = ' ';
}

static int record(ocf_bytes *out, const char *key, const uint8_t *name, size_t name_size, const void *value,
                  size_t size)
{
    char text[32];
    size_t rest = strlen(key) + name_size + size + 3, length = rest + 1;
    while ((size_t)snprintf(text, sizeof text, "%zu", length) + rest != length)
        length = (size_t)snprintf(text, sizeof text, "%zu", length) + rest;
    OCF_TRY(ocf_bytes_append(out, text, (size_t)snprintf(text, sizeof text, "%zu ", length)));
    OCF_TRY(ocf_bytes_append(out, key, strlen(key)));
    OCF_TRY(ocf_bytes_append(out, name, name_size));
    OCF_TRY(ocf_bytes_append(out, "=", 1));
    OCF_TRY(ocf_bytes_append(out, value, size));
    return ocf_bytes_append(out, "\n", 1);
}

static int number(ocf_bytes *out, const char *key, int64_t value)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%lld", (long long)value);
    return record(out, key, NULL, 0, text, (size_t)size);
}

/* Seconds, and what is behind their point; before 1970 that counts backwards, as the number is read. */
static int time_record(ocf_bytes *out, int64_t seconds, uint32_t fraction)
{
    char text[48];
    int backwards = seconds < 0 && fraction;
    if (backwards) {
        seconds = -(seconds + 1);
        fraction = (uint32_t)second - fraction;
    }
    int size = snprintf(text, sizeof text, "%s%lld.%09u", backwards ? "-" : "", (long long)seconds, fraction);
    while (text[size - 1] == '0')
        size--;
    size -= text[size - 1] == '.';
    return record(out, "mtime", NULL, 0, text, (size_t)size);
}

static int xattr_records(ocf_tree_tar *t, header *h, const ocf_tar_row *row)
{
    const uint8_t *run = t->heap + row->xattr_offset;
    uint32_t head[2];
    for (size_t at = 0; at < row->xattr_size; at += sizeof head + head[0] + head[1]) {
        memcpy(head, run + at, sizeof head);
        const uint8_t *name = run + at + sizeof head;
        if (memchr(name, '=', head[0]) || memchr(name, 0, head[0]) || head[0] == 0) {
            t->error = OCF_TREE_XATTR;
            return OCF_REFUSED;
        }
        OCF_TRY(record(&h->records, "SCHILY.xattr.", name, head[0], name + head[0], head[1]));
    }
    return OCF_OK;
}

/* Where the last slash lies that parts a long ASCII path into a ustar prefix and a name; 0: nowhere. */
static size_t split_of(const uint8_t *path, size_t size)
{
    size_t length = size;
    if (length > PREFIX + 1)
        length = PREFIX + 1;
    else if (path[length - 1] == '/')
        length--;
    while (length && path[length - 1] != '/')
        length--;
    if (length < 2)
        return 0;
    size_t rest = size - length;
    return rest && rest <= NAME && length - 1 <= PREFIX ? length - 1 : 0;
}

/* Records in the order of their keys; when there is any, a path of more than 100 gets one too. */
static int records(ocf_tree_tar *t, header *h, const ocf_tar_row *row)
{
    int path_ascii = is_ascii(h->path.data, h->path.size);
    int long_link = h->link_size > NAME || !is_ascii(h->link, h->link_size);
    int odd_time = h->mtime < 0 || h->mtime > SIZE_MAX_OCTAL || h->fraction;
    int others = row->xattr_size || long_link || odd_time || row->gid > OCTAL_7 || row->uid > OCTAL_7
        || h->size > (uint64_t)SIZE_MAX_OCTAL;
    if (!others && path_ascii && h->path.size > NAME)
        h->split = split_of(h->path.data, h->path.size);
    OCF_TRY(xattr_records(t, h, row));
    if (row->gid > OCTAL_7)
        OCF_TRY(number(&h->records, "gid", row->gid));
    if (long_link)
        OCF_TRY(record(&h->records, "linkpath", NULL, 0, h->link, h->link_size));
    if (odd_time)
        OCF_TRY(time_record(&h->records, h->mtime, h->fraction));
    if (!path_ascii || (h->path.size > NAME && h->split == 0))
        OCF_TRY(record(&h->records, "path", NULL, 0, h->path.data, h->path.size));
    if (h->size > (uint64_t)SIZE_MAX_OCTAL)
        OCF_TRY(number(&h->records, "size", (int64_t)h->size));
    return row->uid > OCTAL_7 ? number(&h->records, "uid", row->uid) : OCF_OK;
}

/* "dir/PaxHeaders.0/base"; a folder's name ends with its slash, so it has no base. */
static int extension(header *h, ocf_bytes *out)
{
    uint8_t block[OCF_TAR_BLOCK_BYTES] = {0};
    size_t base = h->path.size;
    while (base && h->path.data[base - 1] != '/')
        base--;
    int folder = base == h->path.size;
    OCF_TRY(ocf_bytes_set(&h->xname, h->path.data, base));
    OCF_TRY(ocf_bytes_append(&h->xname, "PaxHeaders.0", 12));
    if (!folder) {
        OCF_TRY(ocf_bytes_append(&h->xname, "/", 1));
        OCF_TRY(ocf_bytes_append(&h->xname, h->path.data + base, h->path.size - base));
    }
    put_text(block, NAME, h->xname.data, h->xname.size);
    for (size_t end = NAME; end && (block[end - 1] == '/' || block[end - 1] == 0); end--)
        block[end - 1] = 0;
    block[156] = 'x';
    put_octal(block + 100, 8, 0);
    put_octal(block + 108, 8, 0);
    put_octal(block + 116, 8, 0);
    put_octal(block + 124, 12, h->records.size);
    put_octal(block + 136, 12, 0);
    finish(block);
    OCF_TRY(ocf_bytes_append(out, block, sizeof block));
    OCF_TRY(ocf_bytes_append(out, h->records.data, h->records.size));
    memset(block, 0, sizeof block);
    return ocf_bytes_append(out, block, -h->records.size % OCF_TAR_BLOCK_BYTES);
}

static void main_block(const header *h, const ocf_tar_row *row, uint8_t *block)
{
    int64_t mtime = h->mtime < 0 || h->mtime > SIZE_MAX_OCTAL ? 0 : h->mtime;
    if (h->split) {
        put_text(block, NAME, h->path.data + h->split + 1, h->path.size - h->split - 1);
        put_text(block + 345, PREFIX, h->path.data, h->split);
    } else {
        put_text(block, NAME, h->path.data, h->path.size);
    }
    put_text(block + 157, NAME, h->link, h->link_size);
    put_octal(block + 100, 8, row->mode & 07777);
    put_octal(block + 108, 8, row->uid > OCTAL_7 ? 0 : row->uid);
    put_octal(block + 116, 8, row->gid > OCTAL_7 ? 0 : row->gid);
    put_octal(block + 124, 12, h->size > (uint64_t)SIZE_MAX_OCTAL ? 0 : h->size);
    put_octal(block + 136, 12, (uint64_t)mtime);
    block[156] = row->type;
    put_octal(block + 329, 8, row->dev_major);
    put_octal(block + 337, 8, row->dev_minor);
    finish(block);
}

static int with_prefix(const ocf_tree_tar *t, ocf_bytes *out, uint64_t offset, size_t size)
{
    out->size = 0;
    if (t->prefix_size) {
        OCF_TRY(ocf_bytes_append(out, t->prefix, t->prefix_size));
        OCF_TRY(ocf_bytes_append(out, "/", 1));
    }
    return ocf_bytes_append(out, t->heap + offset, size);
}

static int compose(ocf_tree_tar *t, header *h, ocf_bytes *target, const ocf_tar_row *row, ocf_bytes *out)
{
    uint8_t block[OCF_TAR_BLOCK_BYTES] = {0};
    if (row->dev_major > OCTAL_7 || row->dev_minor > OCTAL_7) {
        t->error = OCF_TREE_DEVICE;
        return OCF_REFUSED;
    }
    OCF_TRY(with_prefix(t, &h->path, row->path_offset, row->path_size));
    if (row->type == '5' && (h->path.size == 0 || h->path.data[h->path.size - 1] != '/'))
        OCF_TRY(ocf_bytes_append(&h->path, "/", 1));
    if (row->type == '1')
        OCF_TRY(with_prefix(t, target, row->link_offset, row->link_size));
    else
        OCF_TRY(ocf_bytes_set(target, t->heap + row->link_offset, row->link_size));
    h->link = target->data;
    h->link_size = target->size;
    h->size = row->type == '0' ? row->size : 0;
    h->mtime = row->mtime_ns / second - (row->mtime_ns % second < 0);
    h->fraction = t->fractions ? (uint32_t)(row->mtime_ns - h->mtime * second) : 0;
    if (has_nul(h->path.data, h->path.size) || has_nul(h->link, h->link_size)) {
        t->error = OCF_TREE_NUL;
        return OCF_REFUSED;
    }
    OCF_TRY(records(t, h, row));
    if (h->records.size)
        OCF_TRY(extension(h, out));
    main_block(h, row, block);
    return ocf_bytes_append(out, block, sizeof block);
}

int ocf_tree_header(ocf_tree_tar *t, ocf_bytes *out, const ocf_tar_row *row)
{
    header h = {0};
    ocf_bytes target = {0};
    int status = compose(t, &h, &target, row, out);
    free(h.path.data);
    free(h.records.data);
    free(h.xname.data);
    free(target.data);
    return status;
}
