/* What one header block means once PAX and GNU extensions are laid over it: a row and its names. */
#include <string.h>

#include "tar_internal.h"

static const uint64_t SIZE_CAP = INT64_MAX - 511; /* a size and its padding fit 63 bits (H12) */

static size_t prefix_width(const uint8_t *block, int format)
{
    if (format == FORMAT_USTAR || (format == FORMAT_GNU && ocf_go_prefix(block)))
        return 155;
    return format == FORMAT_STAR ? 131 : 0;
}

static int header_name(ocf_tar *t, const uint8_t *block, int format)
{
    ocf_bytes *name = &t->buf[OCF_BUF_NAME];
    size_t width = prefix_width(block, format), prefix = width ? ocf_text_size(block + 345, width) : 0;
    if (prefix) {
        OCF_TRY(ocf_bytes_append(name, block + 345, prefix));
        OCF_TRY(ocf_bytes_append(name, "/", 1));
    }
    return ocf_bytes_append(name, block, ocf_text_size(block, 100));
}

static int take_span(const ocf_tar *t, ocf_bytes *into, ocf_span span)
{
    const uint8_t *text = t->buf[OCF_BUF_PAX].data; /* NULL in a state that lies: then span is empty */
    return ocf_bytes_set(into, span.size ? text + span.offset : NULL, span.size);
}

static int resolve_name(ocf_tar *t, const uint8_t *block, int format)
{
    const ocf_pax *pax = &t->core.pax;
    const ocf_bytes *gnu = &t->buf[OCF_BUF_PATH];
    ocf_bytes *name = &t->buf[OCF_BUF_NAME];
    name->size = 0;
    if ((t->core.pending & PENDING_PATH) && (pax->present & (PAX_PATH | PAX_SPARSE_NAME)))
        return ocf_refuse(t, OCF_TAR_MIXED, OCF_FIELD_PATH, 0, 0); /* H02 */
    if (pax->present & PAX_SPARSE_NAME)
        return take_span(t, name, pax->sparse_name);
    if (pax->present & PAX_PATH)
        return take_span(t, name, pax->path);
    if (t->core.pending & PENDING_PATH)
        return ocf_bytes_set(name, gnu->data, gnu->size);
    return header_name(t, block, format);
}

static int resolve_link(ocf_tar *t, const uint8_t *block)
{
    const ocf_pax *pax = &t->core.pax;
    const ocf_bytes *gnu = &t->buf[OCF_BUF_LINK];
    ocf_bytes *target = &t->buf[OCF_BUF_TARGET];
    int gnu_link = (t->core.pending & PENDING_LINK) != 0, pax_link = (pax->present & PAX_LINK) != 0;
    target->size = 0;
    if (gnu_link && pax_link)
        return ocf_refuse(t, OCF_TAR_MIXED, OCF_FIELD_LINK, 0, 0);
    if (t->core.row.type != '1' && t->core.row.type != '2')
        return gnu_link || pax_link ? ocf_oddity(t, OCF_TAR_STRAY_LINK, 0, t->core.row.type, 0) : OCF_OK;
    if (pax_link)
        OCF_TRY(take_span(t, target, pax->link));
    else if (gnu_link)
        OCF_TRY(ocf_bytes_set(target, gnu->data, gnu->size));
    else
        OCF_TRY(ocf_bytes_set(target, block + 157, ocf_text_size(block + 157, 100)));
    if (target->size == 0)
        return ocf_refuse(t, OCF_TAR_NO_LINK, OCF_FIELD_LINK, 0, 0);
    return ocf_limit(t, OCF_TAR_L_PATH, t->limits.path_bytes, target->size);
}

static int ends_in_slash(const uint8_t *name, size_t size)
{
    return size && name[size - 1] == '/';
}

static int resolve_type(ocf_tar *t, const uint8_t *block)
{
    const ocf_bytes *name = &t->buf[OCF_BUF_NAME];
    uint8_t *type = &t->core.row.type, flag = block[156];
    int slash = ends_in_slash(name->data, name->size);
    *type = flag == 0 || flag == '7' || flag == 'S' ? '0' : flag;
    if (flag == 'X') /* a PAX header to all but Go */
        return ocf_refuse(t, OCF_TAR_TYPE, 0, flag, 0);
    if (*type < '0' || *type > '6')
        *type = 0; /* skipped with its payload, no row (H09) */
    if (*type == 0 || flag == '7')
        OCF_TRY(ocf_oddity(t, OCF_TAR_TYPE, 0, flag, 0));
    if (flag == 0 && slash) /* v7 had no other way to say directory (H08) */
        *type = '5';
    else if (flag == 0) /* Python looks at the name of the header, even if a longer one replaces it */
        slash = ends_in_slash(block, ocf_text_size(block, 100));
    if (!slash || *type == 0 || flag == '5')
        return OCF_OK;
    return ocf_oddity(t, OCF_TAR_SLASH, OCF_FIELD_PATH, 0, 0);
}

static int resolve_size(ocf_tar *t, const uint8_t *block)
{
    ocf_tar_row *row = &t->core.row;
    int64_t field, size;
    OCF_TRY(ocf_take_number(t, block + 124, 12, OCF_FIELD_SIZE, &field));
    if (field < 0 || (uint64_t)field > SIZE_CAP)
        return ocf_refuse(t, OCF_TAR_RANGE, OCF_FIELD_SIZE, field, 0);
    size = t->core.pax.present & PAX_SIZE ? (int64_t)t->core.pax.size : field; /* H01 */
    row->size = row->stored_size = (uint64_t)size;
    if ((size || field) && row->type != '0' && row->type != 0)
        return ocf_refuse(t, OCF_TAR_HEADER_ONLY, OCF_FIELD_SIZE, row->type, size ? size : field);
    if (size != field && size >> OCF_OCTAL_SIZE_BITS == 0) /* no writer had a reason for a record */
        return ocf_oddity(t, OCF_TAR_SIZES, OCF_FIELD_SIZE, field, size);
    return OCF_OK;
}

/* Docker 17.09 to 23.0 wrote file type bits above the permissions. Of a hardlink libarchive takes
 * them for the type. */
static int resolve_mode(ocf_tar *t, const uint8_t *block)
{
    static const int64_t types[] = {0100000, 0100000, 0120000, 0020000, 0060000, 0040000, 0010000};
    ocf_tar_row *row = &t->core.row;
    int64_t mode, above;
    OCF_TRY(ocf_take_number(t, block + 100, 8, OCF_FIELD_MODE, &mode));
    row->mode = (uint32_t)mode & 07777;
    above = mode - (int64_t)row->mode;
    if (above == 0 || row->type == 0 || above == types[row->type - '0'])
        return OCF_OK;
    return ocf_oddity(t, OCF_TAR_MODE_TYPE, OCF_FIELD_MODE, mode, 0);
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
    int64_t seconds, cap = (int64_t)OCF_SECONDS_CAP;
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
    if (format == FORMAT_V7)
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
    uint32_t versions = PAX_SPARSE_MAJOR | PAX_SPARSE_MINOR, given = pax->present & versions;
    uint32_t need = PAX_SPARSE_SIZE | (given ? versions : 0) | (pax->sparse_major ? 0 : PAX_SPARSE_MAP);
    int complete = (pax->present & need) == need && !(pax->present & PAX_SPARSE_OPEN);
    uint64_t regions = t->buf[OCF_BUF_SPARSE].size / 16;
    if (pax->sparse_major) /* the map stands before the payload */
        complete &= pax->sparse_major == 1 && pax->sparse_minor == 0 && regions == 0;
    else
        complete &= pax->sparse_minor <= 1;
    if (!pax->sparse_major && pax->present & PAX_SPARSE_BLOCKS)
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
    memset(row, 0, sizeof *row);
    row->start_offset = t->core.start_offset;
    row->header_offset = t->core.header_offset;
    OCF_TRY(resolve_name(t, block, format));
    OCF_TRY(resolve_type(t, block));
    OCF_TRY(resolve_link(t, block));
    OCF_TRY(resolve_size(t, block));
    OCF_TRY(resolve_mode(t, block));
    OCF_TRY(resolve_id(t, block + 108, OCF_FIELD_UID, PAX_UID, pax->uid, &row->uid));
    OCF_TRY(resolve_id(t, block + 116, OCF_FIELD_GID, PAX_GID, pax->gid, &row->gid));
    OCF_TRY(resolve_mtime(t, block));
    OCF_TRY(resolve_device(t, block, format));
    return resolve_sparse(t, block[156]);
}
