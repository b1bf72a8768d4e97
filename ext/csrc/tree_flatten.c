/* The nodes of a merge as a table: live ones, children sorted, depth first without recursion. */
#include <stdlib.h>
#include <string.h>

#include "tar_internal.h"
#include "tree_merge.h"

typedef struct {
    uint64_t prefix; /* of its name, big-endian: most comparisons end here */
    uint32_t node;
} child_of;

typedef struct { uint32_t next, end; size_t path_size; } folder_frame;
typedef struct { uint32_t name_size, value_size; const uint8_t *name; } xattr_of;

typedef struct {
    ocf_merge *m;
    child_of *children; /* of folder i: first[i] .. first[i + 1] */
    uint32_t *first;
    uint32_t *names;    /* of an inode's node: row of its first name, from 1 */
    ocf_bytes stack, path, xattrs;
} flattening;

static uint64_t prefix_of(const ocf_node *node)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < node->name_size ? node->name[i] : 0);
    return prefix;
}

static int by_name(const void *a, const void *b, void *context)
{
    const child_of *left = a, *right = b;
    const ocf_merge *m = context;
    if (left->prefix != right->prefix)
        return left->prefix < right->prefix ? -1 : 1;
    const ocf_node *l = ocf_node_at(m, left->node), *r = ocf_node_at(m, right->node);
    size_t common = l->name_size < r->name_size ? l->name_size : r->name_size;
    int order = memcmp(l->name, r->name, common);
    return order ? order : (l->name_size > r->name_size) - (l->name_size < r->name_size);
}

/* A folder is made before what is in it, but an emptied root comes behind its old content. */
static void mark_unreachable(ocf_merge *m, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ocf_node *node = ocf_node_at(m, i);
        if (i != m->root && (node->parent == OCF_MERGE_NONE || ocf_node_at(m, node->parent)->gone))
            node->gone = OCF_NODE_GONE;
    }
}

/* Archives are mostly sorted, so look before sorting. */
static void sort_children(flattening *f, uint32_t from, uint32_t to)
{
    for (uint32_t i = from + 1; i < to; i++) {
        if (by_name(&f->children[i - 1], &f->children[i], f->m) > 0) {
            qsort_r(f->children + from, to - from, sizeof *f->children, by_name, f->m);
            return;
        }
    }
}

static int gather(flattening *f, uint32_t count)
{
    ocf_merge *m = f->m;
    f->first = calloc((size_t)count + 2, sizeof *f->first);
    f->names = calloc((size_t)count + 1, sizeof *f->names);
    f->children = malloc(((size_t)count + 1) * sizeof *f->children);
    if (f->first == NULL || f->names == NULL || f->children == NULL)
        return OCF_NO_MEMORY;
    mark_unreachable(m, count);
    for (uint32_t i = 0; i < count; i++)
        if (i != m->root && !ocf_node_at(m, i)->gone)
            f->first[ocf_node_at(m, i)->parent + 2]++;
    for (uint32_t i = 2; i < count + 2; i++)
        f->first[i] += f->first[i - 1];
    for (uint32_t i = 0; i < count; i++) { /* first[p + 1] moves from the start to the end of p's */
        const ocf_node *node = ocf_node_at(m, i);
        if (i != m->root && !node->gone)
            f->children[f->first[node->parent + 1]++] = (child_of){prefix_of(node), i};
    }
    for (uint32_t i = 0; i < count; i++)
        sort_children(f, f->first[i], f->first[i + 1]);
    return OCF_OK;
}

/* ---- rows ---- */

static int by_xattr(const void *a, const void *b)
{
    const xattr_of *l = a, *r = b;
    size_t common = l->name_size < r->name_size ? l->name_size : r->name_size;
    int order = memcmp(l->name, r->name, common);
    if (order)
        return order;
    if (l->name_size != r->name_size)
        return l->name_size < r->name_size ? -1 : 1;
    return (l->name > r->name) - (l->name < r->name); /* later in the same run */
}

/* Sorted by name; of a name that is repeated the last one counts. */
static int put_xattrs(flattening *f, const uint8_t *run, size_t size)
{
    uint32_t head[2];
    f->xattrs.size = 0;
    for (size_t at = 0; at < size; at += sizeof head + head[0] + head[1]) {
        memcpy(head, run + at, sizeof head);
        xattr_of found = {head[0], head[1], run + at + sizeof head};
        OCF_TRY(ocf_bytes_append(&f->xattrs, &found, sizeof found));
    }
    xattr_of *all = (xattr_of *)f->xattrs.data;
    size_t count = f->xattrs.size / sizeof *all;
    if (count > 1)
        qsort(all, count, sizeof *all, by_xattr);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && all[i].name_size == all[i + 1].name_size
            && memcmp(all[i].name, all[i + 1].name, all[i].name_size) == 0)
            continue;
        head[0] = all[i].name_size;
        head[1] = all[i].value_size;
        OCF_TRY(ocf_bytes_append(&f->m->heap, head, sizeof head));
        OCF_TRY(ocf_bytes_append(&f->m->heap, all[i].name, (size_t)head[0] + head[1]));
    }
    return OCF_OK;
}

static int put_span(ocf_merge *m, const uint8_t *from, uint64_t size, uint64_t *offset)
{
    *offset = m->heap.size;
    return ocf_bytes_append(&m->heap, from, (size_t)size);
}

/* The row of an inode, its spans copied; a link has the metadata of its inode and the first path. */
static int fill_row(flattening *f, const ocf_node *inode, uint32_t first, ocf_tar_row *row)
{
    ocf_merge *m = f->m;
    if (inode->layer == OCF_MERGE_NONE) {
        *row = (ocf_tar_row){.type = '5', .mode = 0755, .flags = OCF_FLAG_IMPLIED};
        return put_span(m, f->path.data, f->path.size, &row->path_offset);
    }
    *row = ocf_merge_row(m, inode->layer, inode->row);
    const uint8_t *heap = ((const ocf_merge_layer *)m->layers.data + inode->layer)->heap;
    const uint8_t *link = heap + row->link_offset, *xattrs = heap + row->xattr_offset;
    OCF_TRY(put_span(m, f->path.data, f->path.size, &row->path_offset));
    if (first) {
        ocf_tar_row target;
        memcpy(&target, m->rows.data + (size_t)(first - 1) * sizeof target, sizeof target);
        row->type = '1';
        row->size = row->stored_size = row->sparse_regions = row->flags = 0;
        row->start_offset = row->header_offset = row->payload_offset = 0;
        row->link_size = target.path_size;
        OCF_TRY(ocf_bytes_reserve(&m->heap, target.path_size));
        link = m->heap.data + target.path_offset;
    }
    OCF_TRY(put_span(m, link, row->link_size, &row->link_offset));
    OCF_TRY(put_span(m, heap + row->sparse_offset, (uint64_t)row->sparse_regions * 16, &row->sparse_offset));
    row->xattr_offset = m->heap.size;
    OCF_TRY(put_xattrs(f, xattrs, row->xattr_size));
    row->xattr_size = (uint32_t)(m->heap.size - row->xattr_offset);
    return OCF_OK;
}

static int put_row(flattening *f, uint32_t index)
{
    ocf_merge *m = f->m;
    const ocf_node *node = ocf_node_at(m, index), *inode = ocf_node_at(m, node->inode);
    uint32_t *first = &f->names[node->inode], source[2];
    ocf_tar_row row;
    if (node->type == '5')
        inode = node;
    OCF_TRY(fill_row(f, inode, node->type == '5' ? 0 : *first, &row));
    row.path_size = (uint32_t)f->path.size;
    if (*first == 0)
        *first = (uint32_t)(m->rows.size / sizeof row) + 1;
    source[0] = inode->layer;
    source[1] = inode->row;
    OCF_TRY(ocf_bytes_append(&m->source, source, sizeof source));
    OCF_TRY(ocf_bytes_append(&m->rows, &row, sizeof row));
    if (m->rows.size + m->heap.size > m->limit_bytes || f->path.size > UINT32_MAX / 2) {
        m->error = OCF_MERGE_BYTES;
        return OCF_REFUSED;
    }
    return OCF_OK;
}

/* ---- depth first ---- */

static int enter(flattening *f, uint32_t folder)
{
    folder_frame frame = {f->first[folder], f->first[folder + 1], f->path.size};
    return ocf_bytes_append(&f->stack, &frame, sizeof frame);
}

static int run(flattening *f)
{
    OCF_TRY(enter(f, f->m->root));
    while (f->stack.size) {
        folder_frame *frame = (folder_frame *)(f->stack.data + f->stack.size) - 1;
        if (frame->next == frame->end) {
            f->stack.size -= sizeof *frame;
            continue;
        }
        uint32_t child = f->children[frame->next++].node;
        const ocf_node *node = ocf_node_at(f->m, child);
        f->path.size = frame->path_size;
        OCF_TRY(ocf_bytes_append(&f->path, node->name, node->name_size));
        if (node->type == '5')
            OCF_TRY(ocf_bytes_append(&f->path, "/", 1));
        OCF_TRY(put_row(f, child));
        if (node->type == '5')
            OCF_TRY(enter(f, child));
    }
    return OCF_OK;
}

int ocf_merge_finish(ocf_merge *m)
{
    flattening f = {.m = m};
    int status = gather(&f, (uint32_t)(m->nodes.size / sizeof(ocf_node)));
    if (status == OCF_OK)
        status = run(&f);
    free(f.children);
    free(f.first);
    free(f.names);
    free(f.stack.data);
    free(f.path.data);
    free(f.xattrs.data);
    return status;
}
