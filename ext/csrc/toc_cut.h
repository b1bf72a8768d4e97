/* A tar cut into the segments of a seekable layer, and what a TOC will have to say of them.
 *
 * It is fed pieces of a tar with the rows that a parser has just made of each, and says what of
 * them goes into the blob: parts, of which some end a unit of segments for one thread to compress.
 * zstd:chunked takes all bytes, cuts files at rolling borders, and writes tar-split lines. eStargz
 * leaves out entries with reserved names and the end of the archive, and cuts files every MiB; what
 * is no payload waits in `held` until an entry behind it is known. No Python, no compression.
 *
 * One thread's at a time; after a failure only ocf_cut_free. Parts are good until the next call.
 */
#ifndef OCF_TOC_CUT_H
#define OCF_TOC_CUT_H

#include "chunk.h"
#include "tar_internal.h"
#include "toc_hash.h"
#include "toc_text.h"

enum { OCF_CUT_CHUNKED, OCF_CUT_ESTARGZ };
/* What a thread gets, at least, and where eStargz cuts a file: the reference takes 4 MiB, but a
 * member of this size costs nothing more, and keeps all threads at work on one large file. */
enum { OCF_CUT_UNIT = 1 << 20, OCF_CUT_ESTARGZ_CHUNK = 1 << 20 };
enum { OCF_CUT_SPARSE = -3 }; /* beside the codes of tar.h: row `refused` is a sparse file */

typedef struct {
    const uint8_t *data; /* in the piece, or in `given` */
    size_t size;
    size_t segments; /* of the unit that ends behind it, or 0; in the plan units are one behind the other */
} ocf_part;

typedef struct { /* the file that is being fed */
    ocf_bytes path;
    uint64_t size, left, crc, cuts; /* the last: chunks that have ended */
    size_t hashed;                  /* up to where in the piece `whole` has it */
    int is_hashed, is_dropped;      /* it may have several chunks, so its own digest is wanted */
    ocf_chunker chunker;
    ocf_sha256 whole;
} ocf_cut_file;

typedef struct {
    int dialect;
    ocf_update_many update;
    ocf_sha256 fresh;
    ocf_sha256 *everything;  /* of what goes into the blob, where that is wanted; the caller's */
    const uint8_t *piece;
    ocf_cut_file file;
    uint64_t entries, dropped, bytes; /* the last: that went into the blob */
    ocf_segment segment;     /* being filled */
    uint64_t unit_bytes;     /* of the unit being filled, without it */
    size_t unit_segments;
    ocf_bytes plan;          /* all segments */
    ocf_bytes wholes;        /* digests of files of several chunks */
    ocf_bytes parts;         /* of the last call */
    ocf_bytes held, given;   /* no payload, and not yet known to be kept; what was, for parts */
    ocf_bytes streams, lanes;/* of files, to be hashed at the end of the piece */
    ocf_bytes raw;           /* since the last line of tar-split */
    ocf_text split;          /* lines nobody took */
    uint64_t position;       /* of lines */
    size_t refused;
} ocf_cut;

void ocf_cut_init(ocf_cut *c, int dialect, ocf_update_many update, const ocf_sha256 *fresh);
void ocf_cut_free(ocf_cut *c);
/* `base` is where the piece begins, as the offsets of rows count. */
int ocf_cut_feed(ocf_cut *c, const uint8_t *piece, size_t size, uint64_t base, const uint8_t *rows,
                 size_t count, const uint8_t *heap);
int ocf_cut_finish(ocf_cut *c);
/* Whether a path, for it and for ./ before it, is one that eStargz has taken. */
int ocf_cut_is_reserved(const uint8_t *path, size_t size);

#endif
