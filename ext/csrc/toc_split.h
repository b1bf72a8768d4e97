/* tar-split: all of a tar but the payload of its files, so that it can be put together again.
 *
 * JSON lines in the form of vbatts/tar-split, as containers/storage keeps them in zstd:chunked
 * layers. Bytes that are no payload come in lines of at most a MiB, each entry in one of its own,
 * which stands for its payload; both are numbered. No Python, and it reads no tar.
 */
#ifndef OCF_TOC_SPLIT_H
#define OCF_TOC_SPLIT_H

#include "toc_text.h"

/* Some that are no payload: kept in `raw` until a line is full, or ended. */
int ocf_split_between(ocf_text *out, ocf_bytes *raw, uint64_t *position, const uint8_t *data, size_t size);
/* The line of what is in `raw`, if anything is. */
void ocf_split_end(ocf_text *out, ocf_bytes *raw, uint64_t *position);
/* The line of an entry; `crc` counts where it has a payload. */
void ocf_split_file(ocf_text *out, uint64_t *position, const ocf_bytes *path, uint64_t size, uint64_t crc);

#endif
