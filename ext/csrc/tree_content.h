/* What is in the files of folders: digests of them, or whether two are the same. No Python.
 *
 * Files are told by the indices of their rows in a table that has passed ocf_tar_check_table: u32,
 * which need not be aligned, and have passed ocf_tree_content_check. Any order is right, that of a tree
 * is the cheapest. Every file has to be what it was when it was listed: regular, and of that size.
 * Empty ones are looked up and not opened.
 *
 * Ownership: everything is borrowed and outlives the call; calls share nothing, and several may run at
 * once. `poll`, if set, is called now and then: what is not 0 stops. Return codes: OCF_OK,
 * OCF_NO_MEMORY, OCF_REFUSED with .error (an errno, or a reason of tree_parents.h), .side and .row of
 * the file, and .actual where a reason has a number; with .error 0 it was the poll.
 */
#ifndef OCF_TREE_CONTENT_H
#define OCF_TREE_CONTENT_H

#include "toc_hash.h"
#include "tree_parents.h"

typedef struct { /* a folder, and the table that was made of it */
    const uint8_t *rows, *heap;
    size_t count; /* of rows */
    int root;
} ocf_tree_table;

typedef struct {
    int (*poll)(void *context);
    void *context;
    uint64_t done; /* since the last poll */
    int with_xattrs; /* of a comparison: say whether there are any */
    int error, side;
    uint32_t row;
    uint64_t actual;
} ocf_tree_content;

/* How many of `count` indices, one for each of 1 or 2 trees, stand before the first ones that are not
 * of regular files, or not of files of the same size. */
size_t ocf_tree_content_check(const ocf_tree_table *trees, int sides, const uint8_t *indices, size_t count);

/* SHA-256 of `count` files, 32 bytes each at its place in `out`. `fresh` is a stream of nothing.
 * Several files are hashed at once: large ones first, small ones in the lanes that these leave. */
int ocf_tree_digests(ocf_tree_content *c, const ocf_tree_table *tree, const uint8_t *which, size_t count,
                     ocf_update_many update, const ocf_sha256 *fresh, uint8_t *out);

enum { OCF_CONTENT_DIFFERS = 1, OCF_CONTENT_XATTRS = 2 };
/* For `count` pairs of indices, into the tables of two trees, what `out` says of each: that the files
 * differ, and, where that is asked, that one of them has xattrs: a file that is open anyway says so in
 * a fifth of the time it takes by its path. Two names of one inode are not read; neither is what comes
 * after the first difference. */
int ocf_tree_compare(ocf_tree_content *c, const ocf_tree_table *trees, const uint8_t *pairs, size_t count,
                     uint8_t *out);

#endif
