/* FNV-1a, and a finish that spreads what short texts leave in the low bits. */
#include "path_key.h"

#include "tar_internal.h"

static uint32_t hash(const uint8_t *text, size_t size)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        h = (h ^ text[i]) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (uint32_t)(h >> 32);
}

/* Where the folder ends that an entry is in, or the one `depth` components from the top. */
static size_t folder_end(const uint8_t *path, size_t size, unsigned depth)
{
    size_t end = 0;
    for (size_t i = 0; i + 1 < size && depth; i++)
        if (path[i] == '/') {
            end = i;
            depth--;
        }
    return end;
}

void ocf_path_keys(const uint8_t *rows, size_t count, const uint8_t *heap, unsigned depth, uint64_t *keys)
{
    for (size_t i = 0; i < count; i++) {
        ocf_tar_row row = ocf_row_at(rows, i);
        const uint8_t *path = heap + row.path_offset;
        uint64_t folder = hash(path, folder_end(path, row.path_size, depth));
        keys[i] = folder << 32 | hash(path, row.path_size);
    }
}
