/* What is in a folder, as the table a tar parser makes of a layer (tar.h). No Python.
 *
 * Everything is reached by descriptor and links are never followed; names of a folder come sorted
 * by bytes, a folder before its content. Paths are relative, a folder's ends with a slash, the root
 * itself has no row; `start_offset` and the other places in a stream are 0. Of an inode with several
 * names the first one in this order is the file, later ones are hard links to it.
 *
 * Ownership: an ocf_walk is one call's. ocf_walk_init before, ocf_walk_free after; rows and heap
 * may be taken out in between. `ask` is called for each entry if it is set: 1 takes it, 0 leaves it
 * and what is below out, -1 stops; `poll` now and then: -1 stops. ocf_walk_run returns OCF_OK,
 * OCF_NO_MEMORY, or OCF_REFUSED with .error (an errno, or one of the reasons) and the path in
 * .path; after OCF_REFUSED with .error 0 it was a callback that stopped it.
 */
#ifndef OCF_TREE_WALK_H
#define OCF_TREE_WALK_H

#include <sys/types.h>

#include "tar.h"

enum { /* reasons that are no errno */
    OCF_WALK_WHITEOUT = -1, OCF_WALK_DEPTH = -2, OCF_WALK_XATTR = -3, OCF_WALK_TARGET = -4
};
enum { OCF_WALK_DEPTH_MAX = 1024 };

typedef int (*ocf_walk_ask)(void *context, const uint8_t *path, size_t size, int is_folder);
typedef int (*ocf_walk_poll)(void *context);

typedef struct { /* a folder being listed */
    int fd;
    uint64_t dev, ino;
    ocf_bytes names;  /* NUL-terminated, one behind the other */
    ocf_bytes sorted; /* their offsets, u32 */
    size_t next, path_size;
} ocf_walk_frame;

typedef struct { uint64_t dev, ino, row; } ocf_walk_inode; /* row counts from 1; 0 is free */

typedef struct {
    ocf_bytes rows, heap, path, left_out; /* left_out: NUL-terminated paths of sockets */
    ocf_bytes xattrs, scratch;
    ocf_walk_frame frames[OCF_WALK_DEPTH_MAX];
    size_t depth;
    ocf_walk_inode *inodes;
    size_t inode_count, inode_size;
    uint64_t no_xattrs_on; /* the device that said so last */
    int with_xattrs, no_xattrs, no_listxattrat, error;
    void *context;
    ocf_walk_ask ask;
    ocf_walk_poll poll;
} ocf_walk;

int ocf_walk_init(ocf_walk *w, int with_xattrs);
void ocf_walk_free(ocf_walk *w);
int ocf_walk_run(ocf_walk *w, int root); /* the descriptor stays the caller's */

/* tree_xattr.c: the xattrs of a name in a folder, as a run sorted by name; errors as above. When a
 * plain file or folder cannot have any, nothing on its device is asked again. */
int ocf_walk_xattrs(ocf_walk *w, int folder, const char *name, uint64_t dev, int plain);

/* tree_add_xattrs.c: list those of `count` rows of a table that was made without, and that is in .rows
 * and .heap: u32 indices, not aligned. The rows' spans are set; the heap grows. Codes as of a walk. */
int ocf_walk_add_xattrs(ocf_walk *w, int root, const uint8_t *which, size_t count);

#endif
