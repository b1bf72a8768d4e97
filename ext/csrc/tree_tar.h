/* The tar of a folder: headers of a table's rows, and the bytes of its files. No Python.
 *
 * Headers are byte for byte those of Go's archive/tar (Format PAX), which Docker, BuildKit and umoci
 * write: ustar where everything fits, else an `x` header with records sorted by key. Times are whole
 * seconds, towards the past, unless .fractions is set; user and group names are empty.
 *
 * Rows and heap are borrowed, have passed ocf_tar_check_table, and outlive the ocf_tree_tar; so does
 * the root's descriptor. A path of a folder may end with a slash or not. Rows may come in any order,
 * of which a tree's is the cheapest. Files of size 0 are looked up and not opened; those named .wh.*
 * stand for a removal and for no file.
 *
 * ocf_tree_tar_fill fills `out` to the end, or as far as there is something: *filled says how far.
 * Return codes: OCF_OK, OCF_NO_MEMORY, OCF_REFUSED with .error (an errno or a reason), .index of the
 * row, and .actual where a reason has a number. After a failure only ocf_tree_tar_free may be called.
 */
#ifndef OCF_TREE_TAR_H
#define OCF_TREE_TAR_H

#include "tree_parents.h"

enum { /* more reasons that are no errno */
    OCF_TREE_XATTR = -6,  /* a name with an equals sign */
    OCF_TREE_DEVICE = -7, /* a number that octal digits cannot hold */
    OCF_TREE_NUL = -8     /* in a path or link target */
};

typedef struct {
    const uint8_t *rows, *heap, *prefix;
    size_t count, prefix_size;
    ocf_parents parents;
    size_t index;         /* of the row that comes next, or whose payload is being written */
    ocf_bytes head;       /* headers to be written */
    size_t head_at;
    int fractions; /* times keep what they have below a second, in records */
    int file, sparse, checked, ended;
    uint64_t left, at, hole_end, data_end, padding;
    int error;
    uint64_t actual;
} ocf_tree_tar;

/* tree_header.c: append all bytes before the payload; the same return codes, without .index. */
int ocf_tree_header(ocf_tree_tar *t, ocf_bytes *out, const ocf_tar_row *row);

void ocf_tree_tar_init(ocf_tree_tar *t, int root);
void ocf_tree_tar_free(ocf_tree_tar *t); /* closes what it has opened */
int ocf_tree_tar_size(ocf_tree_tar *t, uint64_t *size); /* of the whole stream */
int ocf_tree_tar_fill(ocf_tree_tar *t, uint8_t *out, size_t size, size_t *filled);

#endif
