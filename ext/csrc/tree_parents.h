/* Files of a table, reached below an open folder without ever following a link. No Python.
 *
 * Descriptors of the folders on the way are kept, all of the first 32 and every 32nd after them, and
 * what a path does not share with the one before is opened anew: cheapest in the order of a tree,
 * right in any, and never more than 32 folders again for a neighbour.
 *
 * The root's descriptor is borrowed. Rows point into a heap that ocf_tar_check_table has passed.
 * Return codes: OCF_OK, OCF_NO_MEMORY, OCF_REFUSED with .error (an errno or a reason) and .actual
 * where a reason has a number. After a failure only ocf_parents_free may be called.
 */
#ifndef OCF_TREE_PARENTS_H
#define OCF_TREE_PARENTS_H

#include <sys/stat.h>

#include "tar.h"

enum { /* reasons that are no errno */
    OCF_TREE_KIND = -1,   /* no regular file any more */
    OCF_TREE_SIZE = -2,   /* .actual bytes when it was opened */
    OCF_TREE_SHRANK = -3, /* .actual bytes could be read */
    OCF_TREE_GREW = -4,
    OCF_TREE_PATH = -5    /* a component that leads elsewhere */
};
enum { OCF_TREE_LEVELS = 64, OCF_TREE_STEP = 32 };

typedef struct {
    int root;
    ocf_bytes path; /* of the folder whose descriptors are kept */
    size_t levels, ends[OCF_TREE_LEVELS], depths[OCF_TREE_LEVELS]; /* where in `path`, how far down */
    int folders[OCF_TREE_LEVELS];
    int error;
    uint64_t actual;
} ocf_parents;

void ocf_parents_init(ocf_parents *p, int root);
void ocf_parents_free(ocf_parents *p);

/* The descriptor of the folder a row is in, which stays ours, and its own name: NAME_MAX + 1 bytes. */
int ocf_parents_locate(ocf_parents *p, const uint8_t *heap, const ocf_tar_row *row, char *name, int *folder);
/* Open a row's file, which is regular and of the row's size, to be read and closed by the caller;
 * *fd is -1 after a failure. */
int ocf_parents_open(ocf_parents *p, const uint8_t *heap, const ocf_tar_row *row, int *fd, struct stat *s);
/* The same check without opening: enough for a file of size 0. */
int ocf_parents_look(ocf_parents *p, const uint8_t *heap, const ocf_tar_row *row);

/* Where the own name begins in a path that has no slash at its end. */
size_t ocf_path_base(const uint8_t *path, size_t size);
/* A component as a string, NAME_MAX + 1 bytes; 0 for what would lead out of the folder it is looked up in. */
int ocf_path_component(const uint8_t *text, size_t size, char *name);

#endif
