/* A tree on disk from the table of one (tree_merge.h), contents of whose files lie in homes
 * (file_homes.h). No Python.
 *
 * The table's paths have real folders in them and nothing else, so no link is ever followed: folders
 * are reached component by component from the root's descriptor, names are made where nothing may be
 * before (renameat2 with NOREPLACE, linkat, symlinkat, mknodat). Steps, each over all of the table:
 * folders, which homes may become, files and all; then everything else but hard links, whose rows may be
 * shared out among threads, each with an ocf_placer of its own; then hard links, and whiteouts for
 * overlayfs; then the metadata of folders, deepest first, each held against the (dev, inode) it was made
 * with (P11).
 *
 * Rows and heap have passed ocf_tar_check_table and are borrowed, as are descriptors. Return codes:
 * OCF_OK, OCF_NO_MEMORY, OCF_REFUSED with .error (an errno or a reason of here, tree_meta.h or
 * tree_parents.h) and .index of the row.
 */
#ifndef OCF_TREE_PLACE_H
#define OCF_TREE_PLACE_H

#include "tree_homes.h"
#include "tree_meta.h"
#include "tree_parents.h"

enum { /* reasons that are no errno */
    OCF_PLACE_DEVICE = -201,  /* devices are refused */
    OCF_PLACE_CHANGED = -202, /* another folder is in its place */
    OCF_PLACE_LINK = -203     /* a hard link to what is not there */
};
enum { OCF_DEVICES_CREATE, OCF_DEVICES_RECORD, OCF_DEVICES_DENY };
typedef struct { /* what all threads share, and only read */
    ocf_tree_table tree;
    ocf_contents *contents; /* of each layer */
    size_t layers;
    ocf_made_folder *folders; /* of each row; ours to fill, once ocf_homes_plan has */
    int root, devices;
    const char *opaque; /* the xattr that says so */
} ocf_placing;

typedef struct {
    const ocf_placing *what;
    ocf_parents parents, targets;
    ocf_open_home home;
    ocf_meta *meta;
    uint64_t recorded; /* devices that are empty files */
    size_t index;
    int error;
} ocf_placer;

void ocf_placer_init(ocf_placer *p, const ocf_placing *what, ocf_meta *meta);
void ocf_placer_free(ocf_placer *p);
int ocf_place_folders(ocf_placer *p);
int ocf_place_rest(ocf_placer *p, size_t first, size_t last);
int ocf_place_links(ocf_placer *p);
int ocf_place_metadata(ocf_placer *p);
/* Names that are gone from what is there: the rows of another table, deepest first. */
int ocf_place_removals(ocf_placer *p, const uint8_t *which, size_t count);
/* Rows that are there get a second name, their number in the folder `into`. */
int ocf_place_holds(ocf_placer *p, const uint8_t *which, size_t count, int into);
/* An open folder gets the metadata of a row of any table; codes are those of tree_meta.h. */
int ocf_place_row_metadata(ocf_meta *meta, int descriptor, const uint8_t *rows, size_t index, const uint8_t *heap);

#endif
