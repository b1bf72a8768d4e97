/* A keyed hash of the names on a path: the hash of a folder, or a secret, goes on to a name in it.
 *
 * Whoever does not know the secret cannot prepare names that collide. The values stand in saved
 * states of the tar parser. Nothing here allocates or can fail.
 */
#ifndef OCF_NAME_HASH_H
#define OCF_NAME_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t ocf_fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t ocf_hash_name(uint64_t hash, const uint8_t *name, size_t size)
{
    uint64_t word = 0, length = size;
    for (; size >= 8; size -= 8, name += 8) {
        memcpy(&word, name, 8);
        hash = ocf_fold(hash ^ word, UINT64_C(0x9fb21c651e98df25));
    }
    word = 0;
    memcpy(&word, name, size);
    return ocf_fold(hash ^ word ^ length << 56, UINT64_C(0xd6e8feb86659fd93)) + length;
}

#endif
