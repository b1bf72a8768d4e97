/* The entries of a TOC as JSON, in the words of zstd:chunked or of eStargz. No Python.
 *
 * Made of rows, table by table, in the order they were cut in, and of what became of the segments.
 * An entry is followed by lines for all its chunks but the first.
 *
 * Ownership: an ocf_toc is one thread's at a time, and borrows all but its text, which the caller
 * takes and frees. Return codes are those of tar.h; REFUSED with `bad` set is a name that is not
 * UTF-8, and without it tables that are not those that were cut.
 */
#ifndef OCF_TOC_JSON_H
#define OCF_TOC_JSON_H

#include "toc_cut.h"

typedef struct {
    int dialect;
    const ocf_segment *plan;
    size_t segments;
    const uint32_t *sizes;   /* of segments as they are stored */
    const uint8_t *digests;  /* of those with payload */
    const uint8_t *wholes;   /* of files of several chunks */
    size_t digest_count, whole_count;
    ocf_text text;
    size_t segment, digest, whole; /* the next of each */
    uint64_t offset;         /* of that segment in the blob */
    uint64_t entries;
    const uint8_t *bad;
    size_t bad_size;
} ocf_toc;

/* Goes on from `row`, which it moves, until there are `most` bytes of text, or all rows are in it. */
int ocf_toc_rows(ocf_toc *t, const uint8_t *rows, size_t count, const uint8_t *heap, size_t *row, size_t most);

#endif
