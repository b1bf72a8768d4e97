/* What one header block means once PAX and GNU extensions are laid over it: a row and its names. */
#include <string.h>

#include "tar_internal.h"

static const uint64_t SIZE_CAP = INT64_MAX - 511; /* a size and its padding fit 63 bits (H12) */

static size_t text_size(const uint8_t *field, size_t width)
{
    const uint8_t *nul = memchr(field, 0, width);
    return nul ? (size_t)(nul - field) : width;
}

/* Go before 1.8 put a path prefix where GNU headers keep atime and ctime (H20). */
static int is_go_prefix(const uint8_t *block)
{
    int64_t ignored;
    if (block[345] == 0 || (ocf_number(block + 345, 12, &ignored) == 0 && ocf_number(block + 357, 12, &ignored) == 0))
        return 0;
    for (size_t i = 345, end = 345 + text_size(block + 345, 155); i < end; i++)
        if (block[i] & 0x80)
            return 0;
    return 1;
}

static int prefix_width(ocf_tar *t, const uint8_t *block, int format, size_t *width)
{
    *width = format == FORMAT_USTAR ? 155 : format == FORMAT_STAR ? 131 : 0;
    if (*width && memcmp(block + 263, "00", 2))
        return ocf_oddity(t, OCF_TAR_MAGIC, 0, 0, 0);
    if (format == FORMAT_GNU && is_go_prefix(block)) {
        *width = 155;
        return ocf_oddity(t, OCF_TAR_GNU_PREFIX, 0, 0, 0);
    }
    return OCF_OK;
}

static int header_name(ocf_tar *t, const uint8_t *block, int format)
{
    ocf_bytes *name = &t->buf[OCF_BUF_NAME];
    size_t width;
    OCF_TRY(prefix_width(t, block, format, &width));
    size_t prefix = width ? text_size(block + 345, width) : 0;
    if (prefix) {
        OCF_TRY(ocf_bytes_append(name, block + 345, prefix));
        OCF_TRY(ocf_bytes_append(name, "/", 1));
    }
    return ocf_bytes_append(name, block, text_size(block, 100));
}

static int resolve_name(ocf_tar *t, const uint8_t *block, int format)
{
    const ocf_pax *pax = &t->core.pax;
    const ocf_bytes *gnu = &t->buf[OCF_BUF_PATH], *text = &t->buf[OCF_BUF_PAX];
    ocf_bytes *name = &t->buf[OCF_BUF_NAME];
    name->size = 0;
    if ((t->core.pending & PENDING_PATH) && (pax->present & (PAX_PATH | PAX_SPARSE_NAME)))
        return ocf_refuse(t, OCF_TAR_MIXED, OCF_FIELD_PATH, 0, 0); /* H02 */
    if (pax->present & PAX_SPARSE_NAME)
        return ocf_bytes_set(name, text->data + pax->sparse_name.offset, pax->sparse_name.size);
    if (pax->present & PAX_PATH)
        return ocf_bytes_set(name, text->data + pax->path.offset, pax->path.size);
    if (t->core.pending & PENDING_PATH)
        return ocf_bytes_set(name, gnu->data, gnu->size);
    return header_name(t, block, format);
}

static int resolve_link(ocf_tar *t, const uint8_t *block)
{
    const ocf_pax *pax = &t->core.pax;
    const ocf_bytes *gnu = &t->buf[OCF_BUF_LINK], *text = &t->buf[OCF_BUF_PAX];
    ocf_bytes *target = &t->buf[OCF_BUF_TARGET];
    int gnu_link = (t->core.pending & PENDING_LINK) != 0, pax_link = (pax->present & PAX_LINK) != 0;
    target->size = 0;
    if (gnu_link && pax_link)
        return ocf_refuse(t, OCF_TAR_MIXED, OCF_FIELD_LINK, 0, 0);
    if (t->core.row.type != '1' && t->core.row.type != '2')
        return OCF_OK;
    if (pax_link)
        OCF_TRY(ocf_bytes_set(target, text->data + pax->link.offset, pax->link.size));
    else if (gnu_link)
        OCF_TRY(ocf_bytes_set(target, gnu->data, gnu->size));
    else
        OCF_TRY(ocf_bytes_set(target, block + 157, text_size(block + 157, 100)));
    if (target->size == 0)
        return ocf_refuse(t, OCF_TAR_NO_LINK, OCF_FIELD_LINK, 0, 0);
    return ocf_limit(t, OCF_TAR_L_PATH, t->limits.path_bytes, target->size);
}

static int resolve_type(ocf_tar *t, uint8_t flag)
{
    const ocf_bytes *name = &t->buf[OCF_BUF_NAME];
    uint8_t *type = &t->core.row.type;
    *type = flag == 0 || flag == '7' || flag == 'S' ? '0' : flag;
    if (*type == '0' && name->size && name->data[name->size - 1] == '/') {
        OCF_TRY(ocf_oddity(t, OCF_TAR_SLASH, OCF_FIELD_PATH, 0, 0));
        if (flag == 0) /* v7 had no other way to say directory (H08) */
            *type = '5';
    }
    if (*type >= '0' && *type <= '6')
        return OCF_OK;
    *type = 0; /* skipped with its payload, no row (H09) */
    return ocf_oddity(t, OCF_TAR_TYPE, 0, flag, 0);
}

static int resolve_size(ocf_tar *t, const uint8_t *block)
{
    ocf_tar_row *row = &t->core.row;
    int64_t size;
    OCF_TRY(ocf_take_number(t, block + 124, 12, OCF_FIELD_SIZE, &size));
    if (size < 0 || (uint64_t)size > SIZE_CAP)
        return ocf_refuse(t, OCF_TAR_RANGE, OCF_FIELD_SIZE, size, 0);
    if (t->core.pax.present & PAX_SIZE)
        size = (int64_t)t->core.pax.size;
    row->size = row->stored_size = (uint64_t)size;
    if (size && row->type != '0' && row->type != 0)
        return ocf_refuse(t, OCF_TAR_HEADER_ONLY, OCF_FIELD_SIZE, row->type, size);
    return OCF_OK;
}

static int resolve_id(ocf_tar *t, const uint8_t *field, int name, uint32_t bit, uint32_t pax, uint32_t *id)
{
    int64_t value;
    OCF_TRY(ocf_take_number(t, field, 8, name, &value));
    *id = pax;
    if (t->core.pax.present & bit)
        return OCF_OK;
    if (value < 0 || value > (int64_t)UINT32_MAX - 1) /* H22: the last one means "no id" */
        return ocf_refuse(t, OCF_TAR_RANGE, name, value, 0);
    *id = (uint32_t)value;
    return OCF_OK;
}

static int resolve_mtime(ocf_tar *t, const uint8_t *block)
{
    int64_t seconds, cap = INT64_C(9223372035);
    OCF_TRY(ocf_take_number(t, block + 136, 12, OCF_FIELD_MTIME, &seconds));
    if (t->core.pax.present & PAX_MTIME) {
        t->core.row.mtime_ns = t->core.pax.mtime_ns;
        return OCF_OK;
    }
    if (seconds > cap || seconds < -cap) { /* P27 */
        OCF_TRY(ocf_oddity(t, OCF_TAR_RANGE, OCF_FIELD_MTIME, seconds, 0));
        seconds = seconds < 0 ? -cap : cap;
    }
    t->core.row.mtime_ns = seconds * INT64_C(1000000000);
    return OCF_OK;
}

static int resolve_device(ocf_tar *t, const uint8_t *block, int format)
{
    ocf_tar_row *row = &t->core.row;
    int64_t major = 0, minor = 0;
    int device = row->type == '3' || row->type == '4';
    if (format == FORMAT_V7 && !device)
        return OCF_OK;
    OCF_TRY(ocf_take_number(t, block + 329, 8, OCF_FIELD_MAJOR, &major));
    OCF_TRY(ocf_take_number(t, block + 337, 8, OCF_FIELD_MINOR, &minor));
    if (!device)
        return OCF_OK;
    if (major < 0 || major > UINT32_MAX) /* P23 */
        return ocf_refuse(t, OCF_TAR_RANGE, OCF_FIELD_MAJOR, major, 0);
    if (minor < 0 || minor > UINT32_MAX)
        return ocf_refuse(t, OCF_TAR_RANGE, OCF_FIELD_MINOR, minor, 0);
    row->dev_major = (uint32_t)major;
    row->dev_minor = (uint32_t)minor;
    return OCF_OK;
}

static int resolve_sparse(ocf_tar *t, uint8_t flag)
{
    const ocf_pax *pax = &t->core.pax;
    ocf_tar_row *row = &t->core.row;
    int by_pax = (pax->present & PAX_SPARSE_ANY) != 0;
    if (flag != 'S' && !by_pax)
        return OCF_OK;
    OCF_TRY(ocf_oddity(t, OCF_TAR_SPARSE, 0, 0, 0)); /* layer.md: SHOULD NOT be used */
    uint32_t need = PAX_SPARSE_SIZE | (pax->present & PAX_SPARSE_MAJOR ? PAX_SPARSE_MINOR : PAX_SPARSE_MAP);
    int complete = (pax->present & need) == need && !(pax->present & PAX_SPARSE_OPEN);
    uint64_t regions = t->buf[OCF_BUF_SPARSE].size / 16;
    if (pax->present & PAX_SPARSE_MAJOR)
        complete &= pax->sparse_major == 1 && pax->sparse_minor == 0 && regions == 0;
    else if (pax->present & PAX_SPARSE_BLOCKS)
        complete &= pax->sparse_blocks == regions;
    if (by_pax && (flag == 'S' || !complete || row->type != '0'))
        return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
    row->flags |= OCF_FLAG_SPARSE;
    if (by_pax)
        row->size = pax->sparse_size;
    return OCF_OK;
}

int ocf_entry_resolve(ocf_tar *t, const uint8_t *block, int format)
{
    ocf_tar_row *row = &t->core.row;
    const ocf_pax *pax = &t->core.pax;
    int64_t mode;
    memset(row, 0, sizeof *row);
    row->start_offset = t->core.start_offset;
    row->header_offset = t->core.header_offset;
    OCF_TRY(resolve_name(t, block, format));
    OCF_TRY(resolve_type(t, block[156]));
    OCF_TRY(resolve_link(t, block));
    OCF_TRY(resolve_size(t, block));
    OCF_TRY(ocf_take_number(t, block + 100, 8, OCF_FIELD_MODE, &mode));
    row->mode = (uint32_t)mode & 07777; /* Docker 17.09 to 23.0 wrote file type bits above these */
    OCF_TRY(resolve_id(t, block + 108, OCF_FIELD_UID, PAX_UID, pax->uid, &row->uid));
    OCF_TRY(resolve_id(t, block + 116, OCF_FIELD_GID, PAX_GID, pax->gid, &row->gid));
    OCF_TRY(resolve_mtime(t, block));
    OCF_TRY(resolve_device(t, block, format));
    return resolve_sparse(t, block[156]);
}
