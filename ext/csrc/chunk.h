/* What zstd:chunked needs of a file's bytes: where chunks end, and the checksum of tar-split. No Python.
 *
 * Chunks end behind a byte at which the low 16 bits of a rolling sum over the last 64 bytes are all
 * ones (the sum of bup, as containers/storage has it), so equal content is cut alike wherever it
 * lies: 64 KiB in the mean. A chunk has 4 MiB at most, which the reference does not promise.
 *
 * Ownership: an ocf_chunker is one file's at a time, one thread's at a time. Nothing here can fail.
 */
#ifndef OCF_CHUNK_H
#define OCF_CHUNK_H

#include <stddef.h>
#include <stdint.h>

enum { OCF_CHUNK_WINDOW = 64, OCF_CHUNK_MAX = 4 << 20 };

typedef struct {
    uint32_t s1, s2;
    uint32_t size; /* of the chunk so far */
    uint8_t window[OCF_CHUNK_WINDOW]; /* the last bytes, oldest first */
} ocf_chunker;

void ocf_chunker_begin(ocf_chunker *c);
/* Bytes up to the end of the chunk, or 0 when it does not end within them; all are taken then. */
size_t ocf_chunker_next(ocf_chunker *c, const uint8_t *data, size_t size);

/* CRC-64 of ISO 3309 as Go's hash/crc64 has it; begin with 0, feed the result in again. */
uint64_t ocf_crc64(uint64_t crc, const uint8_t *data, size_t size);

#endif
