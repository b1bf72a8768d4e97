/* What a path may look like, and the set of paths seen: duplicates and files used as directories.
 *
 * A path is known by a 62-bit keyed fingerprint of its cleaned components; the key is random per
 * parser, so collisions cannot be prepared. At the cap of 4 M entries an accidental one has a
 * probability of 2e-6. The low two bits of a fingerprint say what stands at the path.
 */
#include <stdlib.h>
#include <string.h>

#include "name_hash.h"
#include "tar_internal.h"

enum { KIND_IMPLIED, KIND_DIRECTORY, KIND_OTHER, KIND_SYMLINK }; /* implied: a parent, not seen itself */
enum { DEPTH_CAP = 1024 };

static uint64_t *find(const ocf_tar *t, uint64_t hash)
{
    size_t mask = t->set_size - 1;
    for (size_t at = (size_t)(hash >> 7) & mask;; at = (at + 1) & mask)
        if (t->set[at] == 0 || (t->set[at] | 3) == (hash | 3))
            return &t->set[at];
}

static int grow(ocf_tar *t)
{
    /* Deep paths add a thousand parents an entry, so the set needs a cap of its own. */
    OCF_TRY(ocf_limit(t, OCF_TAR_L_TABLE, t->limits.table_bytes, t->set_size * 2 * sizeof *t->set));
    uint64_t *old = t->set, *set = calloc(t->set_size * 2, sizeof *set);
    size_t size = t->set_size;
    if (set == NULL)
        return OCF_NO_MEMORY;
    t->set = set;
    t->set_size = size * 2;
    for (size_t i = 0; i < size; i++)
        if (old[i])
            *find(t, old[i]) = old[i];
    free(old);
    return OCF_OK;
}

int ocf_set_insert(ocf_tar *t, uint64_t fingerprint)
{
    if (t->core.paths >= t->set_size / 4 * 3)
        OCF_TRY(grow(t));
    uint64_t *slot = find(t, fingerprint);
    t->core.paths += *slot == 0;
    *slot = fingerprint;
    return OCF_OK;
}

static uint64_t fingerprint(uint64_t hash, unsigned kind)
{
    hash &= ~UINT64_C(3);
    return (hash ? hash : 4) | kind; /* 0 is the empty slot */
}

/* A parent must not be known as anything but a directory or a link to one. */
static int check_parent(ocf_tar *t, uint64_t hash)
{
    uint64_t print = fingerprint(hash, KIND_IMPLIED), *slot = find(t, print);
    if (*slot == 0)
        return ocf_set_insert(t, print);
    return (*slot & 3) == KIND_OTHER ? ocf_oddity(t, OCF_TAR_FILE_PARENT, OCF_FIELD_PATH, 0, 0) : OCF_OK;
}

static int check_self(ocf_tar *t, uint64_t hash)
{
    uint8_t type = t->core.row.type;
    unsigned kind = type == '5' ? KIND_DIRECTORY : type == '2' ? KIND_SYMLINK : KIND_OTHER;
    uint64_t print = fingerprint(hash, kind), *slot = find(t, print);
    if (*slot != 0 && (*slot & 3) != KIND_IMPLIED)
        OCF_TRY(ocf_oddity(t, OCF_TAR_DUPLICATE, OCF_FIELD_PATH, 0, 0));
    else if (*slot != 0 && kind != KIND_DIRECTORY)
        OCF_TRY(ocf_oddity(t, OCF_TAR_FILE_PARENT, OCF_FIELD_PATH, 0, 0));
    t->core.parent_hash = 0;
    return ocf_set_insert(t, print);
}

static int check_whiteout(ocf_tar *t, const uint8_t *name, size_t size, int first, int last)
{
    ocf_tar_row *row = &t->core.row;
    if (size < 4 || memcmp(name, ".wh.", 4) || row->flags & OCF_FLAG_AUFS)
        return OCF_OK;
    int nested = size >= 8 && !memcmp(name + 4, ".wh.", 4);
    int opaque = size == 12 && !memcmp(name, ".wh..wh..opq", 12);
    if (first && nested && !(opaque && last)) { /* W07 */
        row->flags |= OCF_FLAG_AUFS;
        return ocf_oddity(t, OCF_TAR_AUFS, OCF_FIELD_PATH, 0, 0);
    }
    if (!last) /* W06 */
        return ocf_oddity(t, OCF_TAR_WHITEOUT_FORM, OCF_FIELD_PATH, 0, 0);
    if (size == 4 || (size <= 6 && !memcmp(name, ".wh...", size))) /* W01, W02 */
        return ocf_refuse(t, OCF_TAR_WHITEOUT, OCF_FIELD_PATH, 0, 0);
    row->flags |= opaque ? OCF_FLAG_WHITEOUT | OCF_FLAG_OPAQUE : OCF_FLAG_WHITEOUT;
    if (row->type != '0' || row->size != 0 || (nested && !opaque))
        return ocf_oddity(t, OCF_TAR_WHITEOUT_FORM, OCF_FIELD_PATH, 0, 0);
    return OCF_OK;
}

static int check_component(ocf_tar *t, const uint8_t *name, size_t size, size_t depth)
{
    OCF_TRY(ocf_limit(t, OCF_TAR_L_COMPONENT, t->limits.component_bytes, size));
    OCF_TRY(ocf_limit(t, OCF_TAR_L_DEPTH, t->limits.depth, depth + 1));
    if (size != 2 || memcmp(name, "..", 2))
        return OCF_OK;
    if (depth == 0) /* P02: it can only mean to leave the root */
        return ocf_refuse(t, OCF_TAR_DOTDOT, OCF_FIELD_PATH, 0, 0);
    return ocf_oddity(t, OCF_TAR_DOTDOT, OCF_FIELD_PATH, 0, 0);
}

/* Next component at or behind *at, without "" and "."; 0 at the end. */
static size_t next(const ocf_bytes *path, size_t *at, const uint8_t **name)
{
    while (*at < path->size) {
        const uint8_t *from = path->data + *at;
        const uint8_t *slash = memchr(from, '/', path->size - *at);
        size_t size = slash ? (size_t)(slash - from) : path->size - *at;
        *at += size + (slash != NULL);
        if (size > 1 || (size == 1 && *from != '.')) {
            *name = from;
            return size;
        }
    }
    return 0;
}

/* The parents of one entry are mostly those of the one before it: then they are known. */
static int check_parents(ocf_tar *t, const uint64_t *hashes, size_t depth)
{
    if (depth < 2 || hashes[depth - 2] == t->core.parent_hash)
        return OCF_OK;
    for (size_t i = 0; i + 1 < depth; i++)
        OCF_TRY(check_parent(t, hashes[i]));
    return OCF_OK;
}

int ocf_path_check(ocf_tar *t)
{
    const ocf_bytes *path = &t->buf[OCF_BUF_NAME];
    uint64_t hashes[DEPTH_CAP], hash = t->core.seed;
    const uint8_t *name = NULL, *following = NULL;
    size_t at = 0, depth = 0, size = 0;
    if (path->size == 0)
        return ocf_refuse(t, OCF_TAR_NO_NAME, OCF_FIELD_PATH, 0, 0);
    OCF_TRY(ocf_limit(t, OCF_TAR_L_PATH, t->limits.path_bytes, path->size));
    if (path->data[0] == '/')
        ocf_note(t, OCF_TAR_ABSOLUTE, OCF_FIELD_PATH, 0, 0); /* P01: it is read as relative by all */
    for (size = next(path, &at, &name); size; name = following) {
        size_t after = next(path, &at, &following);
        OCF_TRY(check_component(t, name, size, depth));
        if (depth == DEPTH_CAP)
            return ocf_limit(t, OCF_TAR_L_DEPTH, DEPTH_CAP, DEPTH_CAP + 1);
        OCF_TRY(check_whiteout(t, name, size, depth == 0, after == 0));
        hashes[depth++] = hash = ocf_hash_name(hash, name, size);
        size = after;
    }
    if (depth == 0 && t->core.row.type != '5') /* P04 */
        return ocf_refuse(t, OCF_TAR_ROOT, OCF_FIELD_PATH, 0, 0);
    OCF_TRY(check_parents(t, hashes, depth));
    OCF_TRY(check_self(t, hash));
    t->core.parent_hash = depth > 1 ? hashes[depth - 2] : 0;
    return OCF_OK;
}

size_t ocf_tar_fingerprints(const ocf_tar *t, uint64_t *out)
{
    size_t count = 0;
    for (size_t i = 0; i < t->set_size; i++)
        if (t->set[i])
            out[count++] = t->set[i];
    return count;
}
