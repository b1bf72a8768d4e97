/* PAX extended headers: records "<length> <key>=<value>\n", parsed by their declared length (H03). */
#include <string.h>

#include "tar_internal.h"

enum { XATTR_CHARGE = 256 };

typedef struct { const uint8_t *key, *value; size_t key_size, value_size; } record;

static int is_key(const record *r, const char *key)
{
    return r->key_size == strlen(key) && !memcmp(r->key, key, r->key_size);
}

static int invalid(ocf_tar *t, int field)
{
    return ocf_refuse(t, OCF_TAR_PAX_VALUE, field, 0, 0);
}

static int repeated(ocf_tar *t, uint32_t bit, int field)
{
    int again = (t->core.pax.present & bit) != 0;
    t->core.pax.present |= bit;
    return again ? ocf_oddity(t, OCF_TAR_PAX_REPEAT, field, 0, 0) : OCF_OK;
}

static int take_name(ocf_tar *t, const record *r, uint32_t bit, int field, ocf_span *span)
{
    if (r->value_size == 0) /* "delete" means nothing here and readers differ (H05) */
        return invalid(t, field);
    span->offset = (uint32_t)(r->value - t->buf[OCF_BUF_PAX].data);
    span->size = (uint32_t)r->value_size;
    return repeated(t, bit, field);
}

/* An empty value: POSIX and Go fall back to the header's, Python takes a zero. */
static int deleted(ocf_tar *t, uint32_t bit, int field)
{
    t->core.pax.present &= ~bit;
    return ocf_oddity(t, OCF_TAR_PAX_VALUE, field, 0, 0);
}

static int take_id(ocf_tar *t, const record *r, uint32_t bit, int field, uint32_t *id)
{
    uint64_t value;
    if (r->value_size == 0)
        return deleted(t, bit, field);
    if (ocf_decimal(r->value, r->value_size, UINT32_MAX - 1, &value))
        return invalid(t, field);
    *id = (uint32_t)value;
    t->core.pax.present |= bit;
    return OCF_OK;
}

static int take_mtime(ocf_tar *t, const record *r)
{
    if (r->value_size == 0)
        return deleted(t, PAX_MTIME, OCF_FIELD_MTIME);
    int status = ocf_time(r->value, r->value_size, &t->core.pax.mtime_ns);
    if (status < 0)
        return invalid(t, OCF_FIELD_MTIME);
    t->core.pax.present |= PAX_MTIME;
    return status ? ocf_oddity(t, OCF_TAR_PAX_VALUE, OCF_FIELD_MTIME, 0, 0) : OCF_OK;
}

/* atime, ctime: not kept, but Go refuses an archive where they are malformed. */
static int check_time(ocf_tar *t, const record *r)
{
    int64_t ignored;
    if (r->value_size && ocf_time(r->value, r->value_size, &ignored) < 0)
        return invalid(t, OCF_FIELD_NONE);
    return OCF_OK;
}

/* Records by which libarchive, star or GNU tar change size, type or device, and Go does not. */
static int is_foreign(const record *r)
{
    static const char *const keys[] = {
        "SCHILY.realsize", "SCHILY.filetype", "SCHILY.devmajor", "SCHILY.devminor",
        "SUN.holesdata", "SUN.devmajor", "SUN.devminor",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (is_key(r, keys[i]))
            return 1;
    return r->key_size >= 4 && !memcmp(r->key, "GNU.", 4);
}

static int in_namespace(const uint8_t *name, size_t size)
{
    static const char *const spaces[] = {"security.", "system.", "trusted.", "user."};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (size > strlen(spaces[i]) && !memcmp(name, spaces[i], strlen(spaces[i])))
            return 1;
    return 0;
}

static int xattr_repeated(const ocf_bytes *xattrs, const uint8_t *name, uint32_t size)
{
    uint32_t head[2];
    for (size_t at = 0; xattrs->size - at >= sizeof head; at += sizeof head + head[0] + head[1]) {
        memcpy(head, xattrs->data + at, sizeof head);
        if ((uint64_t)head[0] + head[1] > xattrs->size - at - sizeof head)
            return 0;
        if (head[0] == size && !memcmp(xattrs->data + at + sizeof head, name, size))
            return 1;
    }
    return 0;
}

static int take_xattr(ocf_tar *t, const record *r, size_t prefix)
{
    const uint8_t *name = r->key + prefix;
    uint32_t head[2] = {(uint32_t)(r->key_size - prefix), (uint32_t)r->value_size};
    ocf_bytes *xattrs = &t->buf[OCF_BUF_XATTRS];
    if (head[0] == 0)
        return invalid(t, OCF_FIELD_XATTR);
    /* The kernel lists at most 64 KiB of names and a name has at most 255 bytes. Each is charged as
     * the longest: the search for repeats is quadratic, and 256 names are plenty (P26). */
    t->core.pax.xattr_names += head[0] > XATTR_CHARGE ? head[0] : XATTR_CHARGE;
    uint64_t longest = head[1] > t->core.pax.xattr_names ? head[1] : t->core.pax.xattr_names;
    OCF_TRY(ocf_limit(t, OCF_TAR_L_XATTR, t->limits.xattr_bytes, longest));
    if (!in_namespace(name, head[0]))
        OCF_TRY(ocf_oddity(t, OCF_TAR_XATTR_NAME, OCF_FIELD_XATTR, 0, 0));
    if (xattr_repeated(xattrs, name, head[0]))
        OCF_TRY(ocf_oddity(t, OCF_TAR_PAX_REPEAT, OCF_FIELD_XATTR, 0, 0));
    OCF_TRY(ocf_bytes_append(xattrs, head, sizeof head));
    OCF_TRY(ocf_bytes_append(xattrs, name, head[0]));
    return ocf_bytes_append(xattrs, r->value, head[1]);
}

static int take_u32(ocf_tar *t, const record *r, uint32_t bit, uint32_t *out)
{
    uint64_t value;
    if (ocf_decimal(r->value, r->value_size, UINT32_MAX, &value))
        return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
    *out = (uint32_t)value;
    t->core.pax.present |= bit;
    return OCF_OK;
}

static int take_offset(ocf_tar *t, uint64_t value)
{
    if (t->core.pax.present & PAX_SPARSE_OPEN)
        return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
    t->core.map_value = value;
    t->core.pax.present |= PAX_SPARSE_OPEN;
    return OCF_OK;
}

static int take_numbytes(ocf_tar *t, uint64_t value)
{
    if (!(t->core.pax.present & PAX_SPARSE_OPEN))
        return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
    t->core.pax.present &= ~(uint32_t)PAX_SPARSE_OPEN;
    t->core.pax.present |= PAX_SPARSE_MAP;
    return ocf_sparse_region(t, t->core.map_value, value);
}

static int take_sparse(ocf_tar *t, const record *r)
{
    ocf_pax *pax = &t->core.pax;
    uint64_t value = 0;
    if (is_key(r, "GNU.sparse.name"))
        return take_name(t, r, PAX_SPARSE_NAME, OCF_FIELD_PATH, &pax->sparse_name);
    if (is_key(r, "GNU.sparse.major"))
        return take_u32(t, r, PAX_SPARSE_MAJOR, &pax->sparse_major);
    if (is_key(r, "GNU.sparse.minor"))
        return take_u32(t, r, PAX_SPARSE_MINOR, &pax->sparse_minor);
    if (is_key(r, "GNU.sparse.numblocks"))
        return take_u32(t, r, PAX_SPARSE_BLOCKS, &pax->sparse_blocks);
    if (is_key(r, "GNU.sparse.map")) {
        pax->present |= PAX_SPARSE_MAP;
        return ocf_sparse_text(t, r->value, r->value_size);
    }
    if (ocf_decimal(r->value, r->value_size, INT64_MAX - 511, &value))
        return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
    if (is_key(r, "GNU.sparse.size") || is_key(r, "GNU.sparse.realsize")) {
        if (pax->present & PAX_SPARSE_SIZE && pax->sparse_size != value)
            return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
        pax->sparse_size = value;
        pax->present |= PAX_SPARSE_SIZE;
        return OCF_OK;
    }
    if (is_key(r, "GNU.sparse.offset"))
        return take_offset(t, value);
    if (is_key(r, "GNU.sparse.numbytes"))
        return take_numbytes(t, value);
    return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
}

static int take(ocf_tar *t, const record *r)
{
    static const char xattr[] = "SCHILY.xattr.";
    ocf_pax *pax = &t->core.pax;
    if (is_key(r, "path"))
        return take_name(t, r, PAX_PATH, OCF_FIELD_PATH, &pax->path);
    if (is_key(r, "linkpath"))
        return take_name(t, r, PAX_LINK, OCF_FIELD_LINK, &pax->link);
    if (is_key(r, "size")) {
        if (ocf_decimal(r->value, r->value_size, INT64_MAX - 511, &pax->size))
            return invalid(t, OCF_FIELD_SIZE);
        return repeated(t, PAX_SIZE, OCF_FIELD_SIZE);
    }
    if (is_key(r, "uid"))
        return take_id(t, r, PAX_UID, OCF_FIELD_UID, &pax->uid);
    if (is_key(r, "gid"))
        return take_id(t, r, PAX_GID, OCF_FIELD_GID, &pax->gid);
    if (is_key(r, "mtime"))
        return take_mtime(t, r);
    if (is_key(r, "atime") || is_key(r, "ctime"))
        return check_time(t, r);
    if (r->key_size >= sizeof xattr - 1 && !memcmp(r->key, xattr, sizeof xattr - 1))
        return take_xattr(t, r, sizeof xattr - 1);
    if (r->key_size >= 11 && !memcmp(r->key, "GNU.sparse.", 11))
        return take_sparse(t, r);
    return is_foreign(r) ? ocf_oddity(t, OCF_TAR_PAX_KEY, 0, 0, 0) : OCF_OK;
}

/* What Go refuses in any record: NUL in a key, or in a value that is a name. */
static int has_nul(const record *r)
{
    int name = is_key(r, "path") || is_key(r, "linkpath") || is_key(r, "uname") || is_key(r, "gname");
    return memchr(r->key, 0, r->key_size + (name ? 1 + r->value_size : 0)) != NULL;
}

/* Split one record off the front of data; its length, or 0 when it is malformed. */
static size_t split(const uint8_t *data, size_t size, record *r)
{
    size_t digits = 0;
    uint64_t length = 0;
    while (digits < size && digits < 10 && data[digits] >= '0' && data[digits] <= '9')
        digits++;
    if (digits == size || data[digits] != ' ' || data[0] == '0'
        || ocf_decimal(data, digits, size, &length) || length < digits + 3)
        return 0;
    const uint8_t *key = data + digits + 1, *end = data + length - 1;
    const uint8_t *equals = memchr(key, '=', (size_t)(end - key));
    if (*end != '\n' || equals == NULL || equals == key)
        return 0;
    *r = (record){key, equals + 1, (size_t)(equals - key), (size_t)(end - equals - 1)};
    return (size_t)length;
}

int ocf_pax_parse(ocf_tar *t, ocf_bytes *payload, int global)
{
    int foreign = 0;
    for (size_t at = 0, length; at < payload->size; at += length) {
        record r;
        length = split(payload->data + at, payload->size - at, &r);
        if (length == 0)
            return ocf_refuse(t, OCF_TAR_PAX_RECORD, 0, (int64_t)at, (int64_t)payload->size);
        if (has_nul(&r))
            return ocf_refuse(t, OCF_TAR_NUL, OCF_FIELD_METADATA, 0, 0);
        if (!global)
            OCF_TRY(take(t, &r));
        else if (!is_key(&r, "comment"))
            foreign = 1;
    }
    return foreign ? ocf_oddity(t, OCF_TAR_PAX_GLOBAL, 0, 0, 0) : OCF_OK;
}
