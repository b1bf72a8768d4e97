/* SHA-256 of every file of a tar while it streams by: many small files interleaved. No Python.
 *
 * It is fed the pieces a parser was fed just before, with all rows the parser has by then. A file in
 * one piece is hashed beside its neighbours, one over several goes on from piece to piece; of a
 * sparse file the holes are hashed as zeros, so the digest is that of the file. Beside them the
 * stream itself can be hashed, which costs less here than alone: it keeps a lane full.
 *
 * One stream's; ocf_content_init before, ocf_content_free after. `digests` holds 32 bytes a row, zeros
 * where there is no file (a directory, a link). Returns OCF_OK, OCF_NO_MEMORY, or OCF_REFUSED when a
 * file began before the piece and was not fed, or rows are missing that were there before.
 */
#ifndef OCF_TAR_CONTENT_H
#define OCF_TAR_CONTENT_H

#include "tar.h"
#include "toc_hash.h"

enum { OCF_CONTENT_AT_ONCE = 128, OCF_CONTENT_LANES = OCF_CONTENT_AT_ONCE + 2 };

typedef struct {
    ocf_update_many update;
    ocf_sha256 fresh;
    ocf_sha256 *everything; /* of the stream itself, where that is wanted; the caller's */
    size_t next;            /* the first row that is not done */
    int is_open;            /* its hash has begun */
    uint64_t taken, filled; /* of it: bytes of payload; of a sparse file, bytes that are hashed */
    uint32_t region;
    ocf_sha256 whole;
    ocf_bytes digests;
    ocf_sha256 streams[OCF_CONTENT_AT_ONCE]; /* files that end in this piece */
    ocf_sha256_lane lanes[OCF_CONTENT_LANES], also[2]; /* the others: of streams that go on */
    size_t rows[OCF_CONTENT_AT_ONCE], held, going_on;
} ocf_content;

void ocf_content_init(ocf_content *c, ocf_update_many update, const ocf_sha256 *fresh);
void ocf_content_free(ocf_content *c);
/* `base` is where the piece stands in the stream, as offsets of rows count. */
int ocf_content_feed(ocf_content *c, const uint8_t *piece, size_t size, uint64_t base,
                     const uint8_t *rows, size_t count, const uint8_t *heap);

#endif
