/* A layer on top of the tree: what it replaces, what it removes, what it brings. */
#include "tree_merge.h"

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
    return row->flags & (OCF_FLAG_WHITEOUT | OCF_FLAG_OPAQUE);
}

/* A symlink of the layers below that becomes a folder leads nowhere any more: neither whiteouts nor
 * entries of this layer go through it, wherever in the layer the folder stands. */
static int drop_replaced_link(ocf_merge *m, const ocf_tar_row *row, const uint8_t *heap)
{
    cut_path name = cut(heap + row->path_offset, row->path_size);
    uint32_t folder, child;
    if (row->type != '5' || name.base_size == 0)
        return OCF_OK;
    OCF_TRY(ocf_node_resolve(m, name.path, name.folder_size, 0, &folder));
    if (folder == OCF_MERGE_NONE)
        return OCF_OK;
    child = ocf_node_find(m, folder, name.base, name.base_size);
    if (child != OCF_MERGE_NONE && ocf_node_at(m, child)->type == '2')
        ocf_node_at(m, child)->gone = 1;
    return OCF_OK;
}

/* An opaque folder is a new one of the same name; what was in the old one cannot be reached. */
static int empty_folder(ocf_merge *m, uint32_t folder)
{
    ocf_node fresh = *ocf_node_at(m, folder);
    fresh.inode = OCF_MERGE_NONE;
    ocf_node_at(m, folder)->gone = 1;
    uint32_t index;
    OCF_TRY(ocf_node_add(m, &fresh, &index));
    if (folder == m->root)
        m->root = index;
    return OCF_OK;
}

static int remove_hidden(ocf_merge *m, const ocf_tar_row *row, const uint8_t *heap)
{
    cut_path name = cut(heap + row->path_offset, row->path_size);
    uint32_t folder, child;
    OCF_TRY(ocf_node_resolve(m, name.path, name.folder_size, 0, &folder));
    if (folder == OCF_MERGE_NONE) {
        m->unmatched++;
        return OCF_OK;
    }
    if (row->flags & OCF_FLAG_OPAQUE)
        return empty_folder(m, folder);
    if (name.base_size <= PREFIX) /* the parser refuses it (W01), but not every table is a parser's */
        return refused(m, OCF_MERGE_PATH);
    child = ocf_node_find(m, folder, name.base + PREFIX, name.base_size - PREFIX);
    if (child == OCF_MERGE_NONE)
        m->unmatched++;
    else
        ocf_node_at(m, child)->gone = 1;
    return OCF_OK;
}

/* The inode a hard link means: never through the last component (P09), never a folder. */
static int find_target(ocf_merge *m, const ocf_tar_row *row, const uint8_t *heap, ocf_node *node)
{
    cut_path name = cut(heap + row->link_offset, row->link_size);
    uint32_t folder, target = OCF_MERGE_NONE;
    OCF_TRY(ocf_node_resolve(m, name.path, name.folder_size, 0, &folder));
    if (folder != OCF_MERGE_NONE && name.base_size)
        target = ocf_node_find(m, folder, name.base, name.base_size);
    if (target == OCF_MERGE_NONE || ocf_node_at(m, target)->type == '5') {
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
        known->gone = 1;
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
    for (int phase = layer && !as_entries ? 0 : as_entries ? 2 : 1; phase < 3; phase++) {
        for (m->index = 0; m->index < count; m->index++) {
            ocf_tar_row row = ocf_merge_row(m, layer, (uint32_t)m->index);
            int hides = is_whiteout(&row) && !as_entries;
            if (row.flags & OCF_FLAG_AUFS) /* W07 */
                continue;
            if (phase == 0 && !hides)
                OCF_TRY(drop_replaced_link(m, &row, heap));
            if (phase == 1 && hides)
                OCF_TRY(remove_hidden(m, &row, heap));
            if (phase == 2 && !hides)
                OCF_TRY(bring(m, &row, heap, layer, (uint32_t)m->index));
        }
    }
    return OCF_OK;
}
