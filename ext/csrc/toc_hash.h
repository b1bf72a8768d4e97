/* Digests for a TOC, of many streams at once, with a hash that is handed in. No Python.
 *
 * Only `sha256` is linked with the kernels: what goes on from a state it has made needs nothing
 * but its update. Nothing here allocates or can fail.
 */
#ifndef OCF_TOC_HASH_H
#define OCF_TOC_HASH_H

#include "sha256.h"

/* ocf_sha256_update_many, or what does the same. */
typedef void (*ocf_update_many)(const ocf_sha256_lane *lanes, size_t n);

typedef struct { /* a frame, or a member: `payload` of a file, then what is none */
    uint32_t size, payload;
} ocf_segment;

/* The digests of n streams, one behind the other; the streams are of no more use. */
void ocf_toc_digests(ocf_update_many update, ocf_sha256 *streams, size_t n, uint8_t *out);

/* The digests of the payloads of n segments that lie in `data` one behind the other; those without
 * payload have none. `fresh` is a stream of nothing. */
void ocf_toc_hash_payloads(ocf_update_many update, const ocf_sha256 *fresh, const uint8_t *data,
                           const ocf_segment *segments, size_t n, uint8_t *out);

#endif
