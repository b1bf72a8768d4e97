/* Two tables of trees side by side: which entries are the same, and what of the others differs.
 *
 * Both are in the order of tree_walk.h, which is checked; paths of folders may end with a slash or
 * not. A hard link is compared as the inode it names, which is looked up in its own table. Times are
 * compared as exactly as the coarser of both has them, as tars hold whole seconds, mostly; that of a
 * folder that is implied is not.
 *
 * Tables and digests are borrowed; the tables have passed ocf_tar_check_table. Digests are 32 bytes a
 * row, zeros where there is none; NULL where there are none at all. Two files of one size, of which
 * not both have a digest, are left to the caller: UNREAD. No Python, no I/O, no recursion.
 */
#ifndef OCF_TREE_JOIN_H
#define OCF_TREE_JOIN_H

#include "tar.h"

enum { /* what differs */
    OCF_DIFF_TYPE = 1, OCF_DIFF_MODE = 2, OCF_DIFF_OWNER = 4, OCF_DIFF_SIZE = 8, OCF_DIFF_MTIME = 16,
    OCF_DIFF_LINK = 32, OCF_DIFF_DEVICE = 64, OCF_DIFF_XATTRS = 128,
    OCF_DIFF_LINKS = 256, /* it is a name of another inode */
    OCF_DIFF_CONTENT = 512, OCF_DIFF_UNREAD = 1024
};
enum { OCF_JOIN_DIGEST = 32 };

typedef struct {
    const uint8_t *rows, *heap, *digests;
    size_t count;
} ocf_join_side;

typedef struct { int32_t a, b; } ocf_pair; /* rows; -1: there is none */
typedef struct { uint32_t pair, a, b; } ocf_unread; /* a pair, and the rows of its inodes */

typedef struct {
    ocf_join_side a, b;
    ocf_bytes pairs, masks, unread; /* masks: u16, of a pair each */
    int side;                       /* whose rows are out of order: 0 or 1 */
    size_t index;                   /* the row that is */
} ocf_join;

/* OCF_OK, OCF_NO_MEMORY, or OCF_REFUSED with .side and .index. The three buffers are the caller's. */
int ocf_join_run(ocf_join *j);

/* Of a table in order: the row of the folder each row is in, -1 at the top; and the row of the inode
 * each row names, its own but for a hard link whose target is there. */
void ocf_join_parents(const ocf_join_side *side, int32_t *out);
void ocf_join_inodes(const ocf_join_side *side, uint32_t *out);
/* 0, and where, when a table is not in order. */
int ocf_join_in_order(const ocf_join_side *side, size_t *index);

/* The row of a path, or `count`. */
size_t ocf_join_find(const ocf_join_side *side, const uint8_t *path, size_t size);

#endif
