/* The merge of two sorted tables, and the fields of a pair. */
#include "tree_join.h"

#include <string.h>

#include "tar_internal.h"

enum { SECOND_NS = 1000000000 };

typedef struct { const uint8_t *text; size_t size; } path_of;

static path_of plain(const uint8_t *text, size_t size)
{
    if (size && text[size - 1] == '/')
        size--;
    return (path_of){text, size};
}

static path_of path_at(const ocf_join_side *side, size_t index)
{
    ocf_tar_row row = ocf_row_at(side->rows, index);
    return plain(side->heap + row.path_offset, row.path_size);
}

/* In the order of a tree a slash comes before all other bytes. */
static int compare(path_of a, path_of b)
{
    size_t common = a.size < b.size ? a.size : b.size, at = 0;
    uint64_t left, right;
    for (; common - at >= 8; at += 8) {
        memcpy(&left, a.text + at, 8);
        memcpy(&right, b.text + at, 8);
        if (left != right)
            break;
    }
    for (; at < common; at++) {
        if (a.text[at] != b.text[at]) {
            int l = a.text[at] == '/' ? -1 : a.text[at], r = b.text[at] == '/' ? -1 : b.text[at];
            return l - r;
        }
    }
    return (a.size > b.size) - (a.size < b.size);
}

int ocf_join_in_order(const ocf_join_side *side, size_t *index)
{
    for (size_t i = 1; i < side->count; i++) {
        if (compare(path_at(side, i - 1), path_at(side, i)) >= 0) {
            *index = i;
            return 0;
        }
    }
    return 1;
}

size_t ocf_join_find(const ocf_join_side *side, const uint8_t *path, size_t size)
{
    path_of wanted = plain(path, size);
    size_t low = 0, high = side->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(path_at(side, middle), wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < side->count && compare(path_at(side, low), wanted) == 0 ? low : side->count;
}

/* The row of the inode a row names: its own but for a link whose target is there. */
static size_t inode_of(const ocf_join_side *side, size_t index, const ocf_tar_row *row)
{
    if (row->type != '1')
        return index;
    size_t found = ocf_join_find(side, side->heap + row->link_offset, row->link_size);
    return found < side->count && ocf_row_at(side->rows, found).type != '1' ? found : index;
}

static int is_inside(path_of folder, path_of path)
{
    return path.size > folder.size && path.text[folder.size] == '/' && memcmp(path.text, folder.text, folder.size) == 0;
}

void ocf_join_parents(const ocf_join_side *side, int32_t *out)
{
    for (size_t i = 0; i < side->count; i++) {
        path_of path = path_at(side, i);
        int32_t above = (int32_t)i - 1;
        while (above >= 0 && !is_inside(path_at(side, (size_t)above), path))
            above = out[above];
        out[i] = above;
    }
}

void ocf_join_inodes(const ocf_join_side *side, uint32_t *out)
{
    for (size_t i = 0; i < side->count; i++) {
        ocf_tar_row row = ocf_row_at(side->rows, i);
        out[i] = (uint32_t)inode_of(side, i, &row);
    }
}

static int spans_differ(const ocf_join *j, uint64_t a, uint32_t a_size, uint64_t b, uint32_t b_size)
{
    return a_size != b_size || (a_size && memcmp(j->a.heap + a, j->b.heap + b, a_size) != 0);
}

static int64_t seconds(int64_t ns)
{
    return ns / SECOND_NS - (ns % SECOND_NS < 0);
}

static int times_differ(int64_t a, int64_t b)
{
    if (a % SECOND_NS == 0 || b % SECOND_NS == 0)
        return seconds(a) != seconds(b);
    return a != b;
}

static int is_known(const uint8_t *digest)
{
    static const uint8_t none[OCF_JOIN_DIGEST];
    return memcmp(digest, none, sizeof none) != 0;
}

static unsigned content(const ocf_join *j, size_t a, size_t b)
{
    if (j->a.digests == NULL || j->b.digests == NULL)
        return OCF_DIFF_UNREAD;
    const uint8_t *left = j->a.digests + a * OCF_JOIN_DIGEST, *right = j->b.digests + b * OCF_JOIN_DIGEST;
    if (!is_known(left) || !is_known(right))
        return OCF_DIFF_UNREAD;
    return memcmp(left, right, OCF_JOIN_DIGEST) ? OCF_DIFF_CONTENT : 0;
}

/* What an inode is, beyond what all kinds of them have. */
static unsigned kind_differs(const ocf_join *j, const ocf_tar_row *a, const ocf_tar_row *b, size_t ia, size_t ib)
{
    switch (a->type) {
    case '0':
        if (a->size != b->size)
            return OCF_DIFF_SIZE | OCF_DIFF_CONTENT;
        return a->size ? content(j, ia, ib) : 0;
    case '1':
    case '2':
        return spans_differ(j, a->link_offset, a->link_size, b->link_offset, b->link_size) ? OCF_DIFF_LINK : 0;
    case '3':
    case '4':
        return a->dev_major != b->dev_major || a->dev_minor != b->dev_minor ? OCF_DIFF_DEVICE : 0;
    default:
        return 0;
    }
}

static unsigned names_differ(const ocf_join *j, const ocf_tar_row *a, const ocf_tar_row *b)
{
    if (a->type != '1' && b->type != '1')
        return 0;
    if (a->type != b->type)
        return OCF_DIFF_LINKS;
    return spans_differ(j, a->link_offset, a->link_size, b->link_offset, b->link_size) ? OCF_DIFF_LINKS : 0;
}

static unsigned metadata_differ(const ocf_join *j, const ocf_tar_row *a, const ocf_tar_row *b)
{
    unsigned mask = 0;
    if (a->mode != b->mode && !(a->type == '2' && b->type == '2')) /* a symlink's mode means nothing */
        mask |= OCF_DIFF_MODE;
    if (a->uid != b->uid || a->gid != b->gid)
        mask |= OCF_DIFF_OWNER;
    /* of a folder that is implied it is the time when an engine makes it */
    if (!((a->flags | b->flags) & OCF_FLAG_IMPLIED) && times_differ(a->mtime_ns, b->mtime_ns))
        mask |= OCF_DIFF_MTIME;
    if (spans_differ(j, a->xattr_offset, a->xattr_size, b->xattr_offset, b->xattr_size))
        mask |= OCF_DIFF_XATTRS;
    return mask;
}

static int add(ocf_join *j, int32_t a, int32_t b, unsigned mask)
{
    ocf_pair pair = {a, b};
    uint16_t bits = (uint16_t)mask;
    OCF_TRY(ocf_bytes_append(&j->pairs, &pair, sizeof pair));
    return ocf_bytes_append(&j->masks, &bits, sizeof bits);
}

static int add_both(ocf_join *j, size_t at_a, size_t at_b)
{
    ocf_tar_row a = ocf_row_at(j->a.rows, at_a), b = ocf_row_at(j->b.rows, at_b);
    unsigned mask = names_differ(j, &a, &b);
    size_t ia = inode_of(&j->a, at_a, &a), ib = inode_of(&j->b, at_b, &b);
    if (ia != at_a)
        a = ocf_row_at(j->a.rows, ia);
    if (ib != at_b)
        b = ocf_row_at(j->b.rows, ib);
    mask |= a.type == b.type ? kind_differs(j, &a, &b, ia, ib) : OCF_DIFF_TYPE;
    if (a.type == '1' && b.type == '1') /* links to nothing: only where they point */
        mask &= ~(unsigned)OCF_DIFF_LINKS;
    mask |= metadata_differ(j, &a, &b);
    if (mask & OCF_DIFF_UNREAD) {
        ocf_unread unread = {(uint32_t)(j->pairs.size / sizeof(ocf_pair)), (uint32_t)ia, (uint32_t)ib};
        OCF_TRY(ocf_bytes_append(&j->unread, &unread, sizeof unread));
    }
    return add(j, (int32_t)at_a, (int32_t)at_b, mask);
}

int ocf_join_run(ocf_join *j)
{
    size_t a = 0, b = 0;
    for (j->side = 0; j->side < 2; j->side++) {
        const ocf_join_side *side = j->side ? &j->b : &j->a;
        if (side->count > INT32_MAX || !ocf_join_in_order(side, &j->index))
            return OCF_REFUSED;
    }
    while (a < j->a.count || b < j->b.count) {
        int order = a == j->a.count ? 1 : b == j->b.count ? -1 : compare(path_at(&j->a, a), path_at(&j->b, b));
        if (order < 0)
            OCF_TRY(add(j, (int32_t)a++, -1, 0));
        else if (order > 0)
            OCF_TRY(add(j, -1, (int32_t)b++, 0));
        else
            OCF_TRY(add_both(j, a++, b++));
    }
    return OCF_OK;
}
