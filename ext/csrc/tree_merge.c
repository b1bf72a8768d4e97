/* A layer on top of the tree: what it replaces, what it removes, what it brings. */
#include "tree_merge.h"

#include <stdlib.h>
#include <string.h>

#include "tar_internal.h"

enum { PREFIX = 4 }; /* bytes of ".wh." */

typedef struct { /* a path, cut before its last component; base_size 0 is the root */
    const uint8_t *path, *base;
    size_t folder_size, base_size;
} cut_path;

static cut_path cut(const uint8_t *path, size_t size)
{
    size_t start;
    for (;;) { /* slashes and dots at the end say nothing */
        while (size && path[size - 1] == '/')
            size--;
        for (start = size; start && path[start - 1] != '/'; start--)
            ;
        if (size - start != 1 || path[start] != '.')
            break;
        size = start;
    }
    return (cut_path){path, path + start, start, size - start};
}

static int refused(ocf_merge *m, int error)
{
    m->error = error;
    return OCF_REFUSED;
}

static int is_whiteout(const ocf_tar_row *row)
{
    return row->flags & (OCF_FLAG_WHITEOUT | OCF_FLAG_OPAQUE) && !(row->flags & OCF_FLAG_AUFS);
}

static int is_no_entry(const ocf_tar_row *row) /* W07 */
{
    return row->flags & (OCF_FLAG_WHITEOUT | OCF_FLAG_OPAQUE | OCF_FLAG_AUFS);
}

/* ---- links that become folders ---- */

typedef struct { uint32_t depth, row; } replaced_link;

static int is_no_folder(const ocf_tar_row *row) /* one that is implied may well be behind a link */
{
    return is_no_entry(row) || row->flags & OCF_FLAG_IMPLIED;
}

static uint32_t depth_of(const cut_path *name)
{
    ocf_path_rest rest = {name->path, name->path + name->folder_size};
    const uint8_t *component = NULL;
    uint32_t depth = 0;
    for (size_t size; (size = ocf_path_next(&rest, &component)) != 0;)
        depth = !ocf_is_dotdot(component, size) ? depth + 1 : depth ? depth - 1 : 0;
    return depth;
}

static int by_depth(const void *a, const void *b)
{
    const replaced_link *l = a, *r = b;
    if (l->depth != r->depth)
        return l->depth < r->depth ? -1 : 1;
    return l->row < r->row ? -1 : l->row > r->row;
}

/* The symlink at the path of a folder; a way that goes in circles leads to none. */
static uint32_t link_below(ocf_merge *m, const cut_path *name)
{
    uint32_t folder, child;
    if (name->base_size == 0 || ocf_node_resolve(m, name->path, name->folder_size, 0, &folder) != OCF_OK
        || folder == OCF_MERGE_NONE)
        return OCF_MERGE_NONE;
    child = ocf_node_find(m, folder, name->base, name->base_size);
    return child != OCF_MERGE_NONE && ocf_node_at(m, child)->type == '2' ? child : OCF_MERGE_NONE;
}

/* A symlink of the layers below that becomes a folder leads nowhere any more: neither whiteouts nor
 * entries of this layer go through it, wherever in the layer the folder stands. Up to there hard
 * links may name it. The upper ones go first: what is below them is then found no more. */
static int drop_replaced_links(ocf_merge *m, uint32_t layer, size_t count, const uint8_t *heap)
{
    m->scratch.size = m->dropped.size = 0;
    for (size_t i = 0; i < count; i++) {
        ocf_tar_row row = ocf_merge_row(m, layer, (uint32_t)i);
        cut_path name = cut(heap + row.path_offset, row.path_size);
        if (row.type != '5' || is_no_folder(&row) || link_below(m, &name) == OCF_MERGE_NONE)
            continue;
        replaced_link found = {depth_of(&name), (uint32_t)i};
        OCF_TRY(ocf_bytes_append(&m->scratch, &found, sizeof found));
    }
    replaced_link *found = (replaced_link *)m->scratch.data;
    size_t links = m->scratch.size / sizeof *found;
    if (links)
        qsort(found, links, sizeof *found, by_depth);
    for (size_t i = 0; i < links; i++) {
        ocf_tar_row row = ocf_merge_row(m, layer, found[i].row);
        cut_path name = cut(heap + row.path_offset, row.path_size);
        uint32_t link = link_below(m, &name);
        if (link == OCF_MERGE_NONE)
            continue;
        ocf_node_at(m, link)->gone = OCF_NODE_DROPPED;
        OCF_TRY(ocf_bytes_append(&m->dropped, &link, sizeof link));
    }
    return OCF_OK;
}

/* One that nothing has replaced after all, as the way to it was another by then, is there again. */
static void forget_dropped(ocf_merge *m)
{
    const uint32_t *dropped = (const uint32_t *)m->dropped.data;
    for (size_t i = 0; i < m->dropped.size / sizeof *dropped; i++) {
        ocf_node *link = ocf_node_at(m, dropped[i]);
        if (link->gone == OCF_NODE_DROPPED)
            link->gone = ocf_node_last(m, link->parent, link->name, link->name_size) == dropped[i] ? 0 : OCF_NODE_GONE;
    }
    m->dropped.size = 0;
}

/* ---- whiteouts ---- */

typedef struct { uint32_t node, opaque; } hidden_node;

/* An opaque folder is a new one of the same name; what was in the old one cannot be reached. */
static int empty_folder(ocf_merge *m, uint32_t folder)
{
    ocf_node fresh = *ocf_node_at(m, folder);
    fresh.inode = OCF_MERGE_NONE;
    ocf_node_at(m, folder)->gone = OCF_NODE_GONE;
    uint32_t index;
    OCF_TRY(ocf_node_add(m, &fresh, &index));
    if (folder == m->root)
        m->root = index;
    return OCF_OK;
}

static int find_hidden(ocf_merge *m, const ocf_tar_row *row, const uint8_t *heap)
{
    cut_path name = cut(heap + row->path_offset, row->path_size);
    hidden_node hidden = {OCF_MERGE_NONE, row->flags & OCF_FLAG_OPAQUE};
    uint32_t folder;
    OCF_TRY(ocf_node_resolve(m, name.path, name.folder_size, 0, &folder));
    if (hidden.opaque)
        hidden.node = folder;
    else if (name.base_size <= PREFIX) /* the parser refuses it (W01), but not every table is a parser's */
        return refused(m, OCF_MERGE_PATH);
    else if (folder != OCF_MERGE_NONE)
        hidden.node = ocf_node_last(m, folder, name.base + PREFIX, name.base_size - PREFIX);
    if (hidden.node != OCF_MERGE_NONE)
        return ocf_bytes_append(&m->scratch, &hidden, sizeof hidden);
    m->unmatched++;
    return OCF_OK;
}

/* All are found before the first is removed, so that it does not matter how they are ordered. */
static int remove_hidden(ocf_merge *m, uint32_t layer, size_t count, const uint8_t *heap)
{
    m->scratch.size = 0;
    for (m->index = 0; m->index < count; m->index++) {
        ocf_tar_row row = ocf_merge_row(m, layer, (uint32_t)m->index);
        if (is_whiteout(&row))
            OCF_TRY(find_hidden(m, &row, heap));
    }
    const hidden_node *hidden = (const hidden_node *)m->scratch.data;
    size_t found = m->scratch.size / sizeof *hidden;
    for (size_t i = 0; i < found; i++)
        if (!hidden[i].opaque)
            ocf_node_at(m, hidden[i].node)->gone = OCF_NODE_GONE;
    for (size_t i = 0; i < found; i++)
        if (hidden[i].opaque && !ocf_node_at(m, hidden[i].node)->gone)
            OCF_TRY(empty_folder(m, hidden[i].node));
    return OCF_OK;
}

/* The inode a hard link means: never through the last component (P09), never a folder, and a link to
 * nothing is none. */
static int find_target(ocf_merge *m, const ocf_tar_row *row, const uint8_t *heap, ocf_node *node)
{
    cut_path name = cut(heap + row->link_offset, row->link_size);
    uint32_t folder, target = OCF_MERGE_NONE;
    OCF_TRY(ocf_node_resolve(m, name.path, name.folder_size, 0, &folder));
    if (folder != OCF_MERGE_NONE && name.base_size)
        target = ocf_node_last(m, folder, name.base, name.base_size);
    if (target == OCF_MERGE_NONE || ocf_node_at(m, target)->type == '5' || ocf_node_at(m, target)->type == '1') {
        m->dangling++;
        return OCF_OK;
    }
    node->inode = ocf_node_at(m, target)->inode;
    node->type = ocf_node_at(m, target)->type;
    return OCF_OK;
}

static int bring(ocf_merge *m, const ocf_tar_row *row, const uint8_t *heap, uint32_t layer, uint32_t index)
{
    cut_path name = cut(heap + row->path_offset, row->path_size);
    ocf_node node = {.name = name.base, .name_size = (uint32_t)name.base_size, .layer = layer, .row = index,
                     .inode = OCF_MERGE_NONE, .type = row->type};
    uint32_t old;
    if (row->flags & OCF_FLAG_IMPLIED) /* in the table of a merge: it says nothing of a folder below */
        return ocf_node_resolve(m, name.path, (size_t)(name.base - name.path) + name.base_size, 1, &old);
    if (name.base_size == 0) /* P04; its metadata are nobody's: tree_walk has no row of it either */
        return row->type == '5' ? OCF_OK : refused(m, OCF_MERGE_ROOT);
    if (name.base_size == 2 && memcmp(name.base, "..", 2) == 0)
        return refused(m, OCF_MERGE_PATH);
    if (row->type == '1')
        OCF_TRY(find_target(m, row, heap, &node));
    OCF_TRY(ocf_node_resolve(m, name.path, name.folder_size, 1, &node.parent));
    old = ocf_node_find(m, node.parent, name.base, name.base_size);
    if (old != OCF_MERGE_NONE) {
        ocf_node *known = ocf_node_at(m, old);
        if (row->type == '5' && known->type == '5') { /* keeps its content */
            known->layer = layer;
            known->row = index;
            return OCF_OK;
        }
        if (node.inode == known->inode) /* a link to what it is already */
            return OCF_OK;
        known->gone = OCF_NODE_GONE;
    }
    return ocf_node_add(m, &node, &old);
}

int ocf_merge_apply(ocf_merge *m, const uint8_t *rows, size_t count, const uint8_t *heap, int as_entries)
{
    ocf_merge_layer given = {rows, heap, count};
    uint32_t layer = (uint32_t)(m->layers.size / sizeof given);
    if (count >= OCF_MERGE_NONE)
        return refused(m, OCF_MERGE_NODES);
    OCF_TRY(ocf_bytes_append(&m->layers, &given, sizeof given));
    if (layer && !as_entries)
        OCF_TRY(drop_replaced_links(m, layer, count, heap));
    if (!as_entries)
        OCF_TRY(remove_hidden(m, layer, count, heap));
    for (m->index = 0; m->index < count; m->index++) {
        ocf_tar_row row = ocf_merge_row(m, layer, (uint32_t)m->index);
        if (!(as_entries ? row.flags & OCF_FLAG_AUFS : is_no_entry(&row)))
            OCF_TRY(bring(m, &row, heap, layer, (uint32_t)m->index));
    }
    forget_dropped(m);
    return OCF_OK;
}
