/* Which homes (file_homes.h) become folders of a tree, by one rename each. No Python.
 *
 * A home may when all files made in it stay, in one folder that is new, under the names they have there.
 * Of several for a folder it is the one with the most files. All others' files are moved one by one.
 *
 * Rows, heaps and `homes` are borrowed; rows and heaps have passed ocf_tar_check_table. Return codes:
 * OCF_OK, OCF_NO_MEMORY, OCF_REFUSED: `homes` is not what a writer of this table has made.
 */
#ifndef OCF_TREE_HOMES_H
#define OCF_TREE_HOMES_H

#include "file_homes.h"

enum { /* .marks, a byte a row */
    OCF_MARK_THERE = 1,   /* it is there already, and stays */
    OCF_MARK_OPAQUE = 2,  /* a folder that hides those below, as overlayfs writes it */
    OCF_MARK_HIDES = 4,   /* a whiteout that becomes one of overlayfs, a device 0:0 */
    OCF_MARK_STAYS = 8,   /* a folder that is there already, and gets other metadata */
    OCF_MARK_HELD = 16,   /* whatever it is, it waits among the contents, metadata and all */
    OCF_MARK_NOT = 32     /* a folder that is not made */
};

typedef struct { uint32_t folder, made, kept; } ocf_home; /* the row of the tree it becomes, or NO_FOLDER */
#define OCF_NO_FOLDER UINT32_MAX

typedef struct { /* what of a layer is on disk */
    int folder; /* open: homes, and files without one */
    const uint8_t *rows, *heap;
    size_t count;
    const uint8_t *homes;
    size_t homes_count;
    ocf_home *home; /* ours, by number */
    uint32_t home_count;
} ocf_contents;

typedef struct { /* of a row that is a folder */
    uint64_t dev, ino;    /* once it is made */
    uint32_t layer, home; /* what becomes it, or OCF_NO_HOME */
} ocf_made_folder;

typedef struct { uint32_t layer, row; } ocf_source; /* of a row: what it comes from */

typedef struct { /* a table as tree_merge.h makes it */
    const uint8_t *rows, *heap, *marks; /* marks: NULL for none */
    const uint8_t *source;              /* an ocf_source each */
    size_t count;
} ocf_tree_table;

int ocf_contents_init(ocf_contents *c);
void ocf_contents_free(ocf_contents *c);
/* `folders` has one for each row of the tree. */
int ocf_homes_plan(const ocf_tree_table *t, ocf_contents *contents, size_t layers, ocf_made_folder *folders);
/* The home of a file's contents, or NULL. */
ocf_home *ocf_home_of(const ocf_tree_table *t, const ocf_contents *contents, size_t layers, size_t row);

#endif
