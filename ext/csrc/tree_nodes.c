/* Nodes, the set that finds them by name, and the way along a path through symlinks. */
#include <stdlib.h>
#include <string.h>

#include "name_hash.h"
#include "tar_internal.h"
#include "tree_merge.h"

enum { HOPS_MAX = 40, SET_FIRST = 1024 };

/* Keyed, so that names that share a place cannot be prepared. */
static uint64_t hash_of(uint64_t seed, uint32_t parent, const uint8_t *name, size_t size)
{
    return ocf_hash_name(ocf_fold(seed ^ parent, UINT64_C(0x9fb21c651e98df25)), name, size);
}

ocf_node *ocf_node_at(const ocf_merge *m, uint32_t index)
{
    return (ocf_node *)m->nodes.data + index;
}

ocf_tar_row ocf_merge_row(const ocf_merge *m, uint32_t layer, uint32_t row)
{
    return ocf_row_at(((const ocf_merge_layer *)m->layers.data + layer)->rows, row);
}

/* The place of a name: of the node that has it or had it, or a free one. */
static uint32_t *place_of(const ocf_merge *m, uint32_t parent, const uint8_t *name, size_t size)
{
    size_t mask = m->set_size - 1, at = (size_t)hash_of(m->seed, parent, name, size) & mask;
    for (; m->set[at] != OCF_MERGE_NONE; at = (at + 1) & mask) {
        const ocf_node *node = ocf_node_at(m, m->set[at]);
        if (node->parent == parent && node->name_size == size && memcmp(node->name, name, size) == 0)
            break;
    }
    return &m->set[at];
}

static int make_set(ocf_merge *m, size_t size)
{
    uint32_t *set = malloc(size * sizeof *set);
    if (set == NULL)
        return OCF_NO_MEMORY;
    memset(set, 0xff, size * sizeof *set);
    free(m->set);
    m->set = set;
    m->set_size = size;
    uint32_t count = (uint32_t)(m->nodes.size / sizeof(ocf_node));
    for (uint32_t i = 0; i < count; i++) {
        const ocf_node *node = ocf_node_at(m, i);
        if (node->gone != OCF_NODE_GONE)
            *place_of(m, node->parent, node->name, node->name_size) = i;
    }
    return OCF_OK;
}

uint32_t ocf_node_last(const ocf_merge *m, uint32_t parent, const uint8_t *name, size_t size)
{
    uint32_t found = *place_of(m, parent, name, size);
    return found == OCF_MERGE_NONE || ocf_node_at(m, found)->gone == OCF_NODE_GONE ? OCF_MERGE_NONE : found;
}

uint32_t ocf_node_find(const ocf_merge *m, uint32_t parent, const uint8_t *name, size_t size)
{
    uint32_t found = *place_of(m, parent, name, size);
    return found == OCF_MERGE_NONE || ocf_node_at(m, found)->gone ? OCF_MERGE_NONE : found;
}

int ocf_node_add(ocf_merge *m, const ocf_node *node, uint32_t *index)
{
    size_t count = m->nodes.size / sizeof *node;
    if (count >= m->limit_nodes || count >= OCF_MERGE_NONE - 1) {
        m->error = OCF_MERGE_NODES;
        return OCF_REFUSED;
    }
    if (count >= m->set_size / 4 * 3)
        OCF_TRY(make_set(m, m->set_size * 2));
    OCF_TRY(ocf_bytes_append(&m->nodes, node, sizeof *node));
    *index = (uint32_t)count;
    if (ocf_node_at(m, *index)->inode == OCF_MERGE_NONE)
        ocf_node_at(m, *index)->inode = *index;
    *place_of(m, node->parent, node->name, node->name_size) = *index;
    return OCF_OK;
}

static int add_folder(ocf_merge *m, uint32_t parent, const uint8_t *name, size_t size, uint32_t *index)
{
    ocf_node folder = {.name = name, .name_size = (uint32_t)size, .parent = parent, .layer = OCF_MERGE_NONE,
                       .row = OCF_MERGE_NONE, .inode = OCF_MERGE_NONE, .type = '5'};
    return ocf_node_add(m, &folder, index);
}

int ocf_merge_init(ocf_merge *m, uint64_t seed, uint64_t limit_nodes, uint64_t limit_bytes)
{
    memset(m, 0, sizeof *m);
    m->seed = seed;
    m->limit_nodes = limit_nodes + 1; /* the root */
    m->limit_bytes = limit_bytes;
    OCF_TRY(make_set(m, SET_FIRST));
    return add_folder(m, OCF_MERGE_NONE, (const uint8_t *)"", 0, &m->root);
}

void ocf_merge_free(ocf_merge *m)
{
    ocf_bytes *owned[] = {&m->layers, &m->nodes, &m->rows, &m->heap, &m->source, &m->scratch, &m->dropped};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]->data);
    free(m->set);
    memset(m, 0, sizeof *m);
}

/* ---- along a path ---- */

size_t ocf_path_next(ocf_path_rest *rest, const uint8_t **name)
{
    while (rest->text < rest->end) {
        const uint8_t *slash = memchr(rest->text, '/', (size_t)(rest->end - rest->text));
        const uint8_t *end = slash ? slash : rest->end;
        size_t size = (size_t)(end - rest->text);
        *name = rest->text;
        rest->text = slash ? end + 1 : end;
        if (size && !(size == 1 && **name == '.'))
            return size;
    }
    return 0;
}

int ocf_is_dotdot(const uint8_t *name, size_t size)
{
    return size == 2 && name[0] == '.' && name[1] == '.';
}

/* Of a symlink: what is left to go is put behind its target, which may begin at the root. */
static int follow(ocf_merge *m, const ocf_node *link, ocf_path_rest *rests, size_t *depth, uint32_t *at)
{
    if (*depth > HOPS_MAX) {
        m->error = OCF_MERGE_LOOP;
        return OCF_REFUSED;
    }
    ocf_tar_row row = ocf_merge_row(m, link->layer, link->row);
    const uint8_t *target = ((const ocf_merge_layer *)m->layers.data + link->layer)->heap + row.link_offset;
    if (row.link_size && *target == '/')
        *at = m->root;
    rests[(*depth)++] = (ocf_path_rest){target, target + row.link_size};
    return OCF_OK;
}

int ocf_node_resolve(ocf_merge *m, const uint8_t *path, size_t size, int make, uint32_t *node)
{
    ocf_path_rest rests[HOPS_MAX + 1] = {{path, path + size}};
    size_t depth = 1, level = 0; /* rests are used up from the last one; `depth` counts all there were */
    size_t left[HOPS_MAX + 1] = {0};
    uint32_t at = m->root;
    const uint8_t *name = NULL;
    for (;;) {
        size_t length = ocf_path_next(&rests[left[level]], &name);
        if (length == 0) {
            if (level == 0)
                break;
            level--;
            continue;
        }
        if (ocf_is_dotdot(name, length)) {
            at = at == m->root ? at : ocf_node_at(m, at)->parent;
            continue;
        }
        uint32_t child = ocf_node_find(m, at, name, length);
        const ocf_node *found = child == OCF_MERGE_NONE ? NULL : ocf_node_at(m, child);
        if (found && found->type == '2') {
            OCF_TRY(follow(m, ocf_node_at(m, found->inode), rests, &depth, &at));
            left[++level] = depth - 1;
            continue;
        }
        if (found == NULL || found->type != '5') {
            if (!make) {
                *node = OCF_MERGE_NONE;
                return OCF_OK;
            }
            if (found) /* P13: across layers a file in the way is replaced */
                ocf_node_at(m, child)->gone = OCF_NODE_GONE;
            OCF_TRY(add_folder(m, at, name, length, &child));
        }
        at = child;
    }
    *node = at;
    return OCF_OK;
}
