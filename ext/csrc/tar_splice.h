/* A tar whose headers are made from a table, and whose payload is cut out of other tars. No Python.
 *
 * Those are streams, met front to back: rows that have payload come in the order of their streams,
 * and of one stream in the order of their payload; others stand anywhere. Headers are those of
 * tree_tar.h, but times keep their fractions. Holes of sparse files are written out.
 *
 * Rows, heap and streams are borrowed, and have passed ocf_tar_check_table; so is each piece until it
 * is used up. ocf_splice_fill fills `out` to the end, or until a piece is wanted, or to the end of the
 * tar. Return codes: OCF_OK, OCF_NO_MEMORY, OCF_REFUSED with .writer.error, a reason of tree_tar.h or
 * OCF_SPLICE_ORDER, and .index of the row. After a failure only ocf_splice_free may be called.
 */
#ifndef OCF_TAR_SPLICE_H
#define OCF_TAR_SPLICE_H

#include "tree_tar.h"

enum { OCF_SPLICE_ORDER = -9 }; /* its payload lies before what has been passed */
#define OCF_SPLICE_NONE UINT32_MAX

typedef struct {
    ocf_tree_tar writer; /* .rows, .heap, .count: of the table; no file is read through it */
    const uint32_t *streams; /* a row's, or anything where there is no payload */
    size_t index;        /* of the row that comes next, or whose payload is being written */
    ocf_bytes head;      /* headers to be written */
    size_t head_at;
    ocf_tar_row row;
    uint64_t zeros, run; /* that many zeros, then that much payload, come next */
    uint64_t place, taken; /* of the row: bytes of content, and of payload, in front of that */
    uint32_t region;
    int is_open, ended;
    uint32_t stream;     /* that the piece is of */
    uint64_t at;         /* where in it the rest of the piece begins */
    const uint8_t *piece;
    size_t piece_size;
} ocf_splice;

void ocf_splice_init(ocf_splice *s);
void ocf_splice_free(ocf_splice *s);
int ocf_splice_size(ocf_splice *s, uint64_t *size); /* of the whole tar; before the first fill */
int ocf_splice_fill(ocf_splice *s, uint8_t *out, size_t size, size_t *filled);
/* The stream whose next piece is wanted before anything else can be done, or NONE. */
uint32_t ocf_splice_wants(const ocf_splice *s);
/* Where in it the bytes are that are wanted. */
uint64_t ocf_splice_place(const ocf_splice *s);
/* A piece of a stream that begins at `at`, no farther on than what is wanted. */
void ocf_splice_feed(ocf_splice *s, uint32_t stream, uint64_t at, const uint8_t *piece, size_t size);

#endif
