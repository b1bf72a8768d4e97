/* PAX extended headers: records "<length> <key>=<value>\n", parsed by their declared length (H03). */
#include <string.h>

#include "tar_internal.h"

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
    if (memchr(r->value, 0, r->value_size))
        return ocf_refuse(t, OCF_TAR_NUL, field, 0, 0);
    if (r->value_size == 0) /* "delete" means nothing here and readers differ (H05) */
        return invalid(t, field);
    span->offset = (uint32_t)(r->value - t->buf[OCF_BUF_PAX].data);
    span->size = (uint32_t)r->value_size;
    return repeated(t, bit, field);
}

static int take_id(ocf_tar *t, const record *r, uint32_t bit, int field, uint32_t *id)
{
    uint64_t value;
    if (r->value_size == 0) {
        t->core.pax.present &= ~bit;
        return OCF_OK;
    }
    if (ocf_decimal(r->value, r->value_size, UINT32_MAX - 1, &value))
        return invalid(t, field);
    *id = (uint32_t)value;
    t->core.pax.present |= bit;
    return OCF_OK;
}

static int take_mtime(ocf_tar *t, const record *r)
{
    if (r->value_size == 0) {
        t->core.pax.present &= ~(uint32_t)PAX_MTIME;
        return OCF_OK;
    }
    int status = ocf_time(r->value, r->value_size, &t->core.pax.mtime_ns);
    if (status < 0)
        return invalid(t, OCF_FIELD_MTIME);
    t->core.pax.present |= PAX_MTIME;
    return status ? ocf_oddity(t, OCF_TAR_PAX_VALUE, OCF_FIELD_MTIME, 0, 0) : OCF_OK;
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
    if (memchr(name, 0, head[0]))
        return ocf_refuse(t, OCF_TAR_NUL, OCF_FIELD_XATTR, 0, 0);
    /* The kernel lists at most 64 KiB of names; this also bounds the search for repeats. */
    t->core.pax.xattr_names += head[0] + 1;
    uint64_t longest = head[1] > t->core.pax.xattr_names ? head[1] : t->core.pax.xattr_names;
    OCF_TRY(ocf_limit(t, OCF_TAR_L_XATTR, t->limits.xattr_bytes, longest));
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
        pax->sparse_size = value;
        return repeated(t, PAX_SPARSE_SIZE, OCF_FIELD_REALSIZE);
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
    if (r->key_size >= sizeof xattr - 1 && !memcmp(r->key, xattr, sizeof xattr - 1))
        return take_xattr(t, r, sizeof xattr - 1);
    if (r->key_size >= 11 && !memcmp(r->key, "GNU.sparse.", 11))
        return take_sparse(t, r);
    return OCF_OK;
}

/* Split one record off the front of data; its length, or 0 when it is malformed. */
static size_t split(const uint8_t *data, size_t size, record *r)
{
    size_t digits = 0;
    uint64_t length = 0;
    while (digits < size && digits < 8 && data[digits] >= '0' && data[digits] <= '9')
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
        if (!global)
            OCF_TRY(take(t, &r));
        else if (!is_key(&r, "comment"))
            foreign = 1;
    }
    return foreign ? ocf_oddity(t, OCF_TAR_PAX_GLOBAL, 0, 0, 0) : OCF_OK;
}
