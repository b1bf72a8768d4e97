/* What a stack of layers comes to: tables applied one on top of the other, no file written. No Python.
 *
 * A tree of nodes is kept in memory; a layer's whiteouts act on what is below it, in whatever order
 * its entries stand (W03, W04), and what is no directory is replaced. Parents of a path are resolved
 * through symlinks inside the root, as an engine would; the last component never is. A hard link is
 * a name of its target's inode, and its own metadata count for nothing (P08); a target that is not
 * there, is a folder, or is itself such a link, is kept as text. Parents that nobody wrote are
 * directories of mode 0755, owner 0, time 0.
 *
 * Ownership: one call's at a time; rows and heaps of all layers, which have passed
 * ocf_tar_check_table, are borrowed until ocf_merge_free. Return codes are those of tar.h; after
 * OCF_REFUSED .error is a reason and .index the row of the last layer. Nothing recurses.
 */
#ifndef OCF_TREE_MERGE_H
#define OCF_TREE_MERGE_H

#include "tar.h"

enum { /* reasons */
    OCF_MERGE_NODES = -1, /* more than `limit_nodes` besides the root */
    OCF_MERGE_BYTES = -2, /* the table would have more than .limit_bytes */
    OCF_MERGE_LOOP = -3,  /* through more than 40 symlinks */
    OCF_MERGE_PATH = -4,  /* the path ends with .. */
    OCF_MERGE_ROOT = -5   /* the root itself is something else than a directory */
};
#define OCF_MERGE_NONE UINT32_MAX

enum { /* .gone */
    OCF_NODE_GONE = 1,
    OCF_NODE_DROPPED = 2 /* a symlink that becomes a folder: it leads nowhere, but names an inode */
};

typedef struct {
    const uint8_t *name;
    uint32_t name_size;
    uint32_t parent;
    uint32_t layer, row; /* what says what it is; both NONE: implied */
    uint32_t inode;      /* the node that was its first name */
    uint8_t type;        /* of the inode; '1' is a link to nothing */
    uint8_t gone;
} ocf_node;

typedef struct { const uint8_t *rows, *heap; size_t count; } ocf_merge_layer;

typedef struct {
    ocf_bytes layers, nodes;
    uint32_t *set; /* nodes by (parent, name), open addressing; a gone one keeps its place */
    size_t set_size;
    uint64_t seed, limit_nodes, limit_bytes;
    uint32_t root;
    uint64_t unmatched, dangling; /* whiteouts that removed nothing, links to nothing */
    int error;
    size_t index;
    ocf_bytes scratch, dropped; /* of a layer; dropped: nodes, u32 */
    ocf_bytes rows, heap, source; /* of the result; source: (layer, row) pairs of u32 */
} ocf_merge;

int ocf_merge_init(ocf_merge *m, uint64_t seed, uint64_t limit_nodes, uint64_t limit_bytes);
void ocf_merge_free(ocf_merge *m);
/* With `as_entries` whiteouts are entries like others, and remove nothing. */
int ocf_merge_apply(ocf_merge *m, const uint8_t *rows, size_t count, const uint8_t *heap, int as_entries);
/* The tree as a table in the form of tree_walk.h: a folder before its content, names by bytes, a
 * folder's path with a slash, the first name of an inode the file and later ones links to it; xattrs
 * sorted by name. Places in a stream stay those of the row in its layer. */
int ocf_merge_finish(ocf_merge *m);

/* tree_nodes.c: the node of a name in a folder, or NONE; one that is DROPPED if it is the last so far. */
uint32_t ocf_node_last(const ocf_merge *m, uint32_t parent, const uint8_t *name, size_t size);
/* The same, and never one that is DROPPED. */
uint32_t ocf_node_find(const ocf_merge *m, uint32_t parent, const uint8_t *name, size_t size);
int ocf_node_add(ocf_merge *m, const ocf_node *node, uint32_t *index);
ocf_node *ocf_node_at(const ocf_merge *m, uint32_t index);
ocf_tar_row ocf_merge_row(const ocf_merge *m, uint32_t layer, uint32_t row);
typedef struct { const uint8_t *text, *end; } ocf_path_rest;
/* The next component of a path; 0 at the end. Empty ones and single dots are passed over. */
size_t ocf_path_next(ocf_path_rest *rest, const uint8_t **name);
int ocf_is_dotdot(const uint8_t *name, size_t size);
/* The folder a path leads to, with `make` made where it is missing, else NONE. */
int ocf_node_resolve(ocf_merge *m, const uint8_t *path, size_t size, int make, uint32_t *node);

#endif
