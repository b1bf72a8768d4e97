/* The machine: blocks and payload in, extensions collected, entries committed, the end judged.
 *
 * Invariant: every turn of ocf_tar_feed consumes at least one byte (H13); metadata in memory never
 * exceeds limits.metadata_bytes; nothing behind the end-of-archive mark is parsed (H14).
 */
#include <string.h>

#include "tar_internal.h"

enum { TAIL_NOTED = 8 /* in core.pending: data behind the end was reported */ };

static void entry_done(ocf_tar *t)
{
    static const int pending[] = {OCF_BUF_PAX, OCF_BUF_PATH, OCF_BUF_LINK, OCF_BUF_XATTRS, OCF_BUF_SPARSE};
    if (t->core.extensions || t->core.row.flags & OCF_FLAG_SPARSE) {
        for (size_t i = 0; i < sizeof pending / sizeof *pending; i++)
            t->buf[pending[i]].size = 0;
        memset(&t->core.pax, 0, sizeof t->core.pax);
    }
    t->core.extensions = t->core.pending = t->core.collecting = 0;
}

/* Go on behind `payload` bytes and the padding of what has been read. */
static void skip_next(ocf_tar *t, uint64_t payload, uint64_t pad)
{
    t->core.payload_left = payload;
    t->core.padding_left = pad;
    t->core.phase = payload || pad ? PHASE_PAYLOAD : PHASE_HEADER;
}

static uint64_t padding(uint64_t size)
{
    return -size & (OCF_TAR_BLOCK_BYTES - 1);
}

/* The row is whole: judge it, keep it, and go on behind its payload. */
static int commit(ocf_tar *t)
{
    ocf_tar_row *row = &t->core.row;
    row->payload_offset = t->core.offset;
    if (row->flags & OCF_FLAG_SPARSE) {
        row->stored_size -= t->core.map_bytes;
        OCF_TRY(ocf_sparse_check(t));
    }
    if (row->type) {
        OCF_TRY(ocf_path_check(t));
        OCF_TRY(ocf_table_commit(t));
    }
    skip_next(t, row->stored_size, padding(row->stored_size));
    entry_done(t);
    return OCF_OK;
}

/* The headers of an entry are all PAX or all GNU (H02): behind an `L`, libarchive takes the name of
 * an entry from its ustar header. */
static int one_family(ocf_tar *t, int format)
{
    uint32_t pax = t->core.pending & PENDING_PAX, gnu = t->core.pending & (PENDING_PATH | PENDING_LINK);
    if ((pax && (gnu || format == FORMAT_GNU || format == FORMAT_V7)) || (gnu && format != FORMAT_GNU))
        return ocf_oddity(t, OCF_TAR_MIXED, OCF_FIELD_METADATA, 0, 0);
    return OCF_OK;
}

static int entry(ocf_tar *t, const uint8_t *block, int format)
{
    int more = 0;
    OCF_TRY(one_family(t, format));
    OCF_TRY(ocf_entry_resolve(t, block, format));
    t->core.map_bytes = 0;
    if (block[156] == 'S')
        OCF_TRY(ocf_sparse_header(t, block, &more));
    if (more) {
        t->core.phase = PHASE_SPARSE_BLOCK;
        return OCF_OK;
    }
    if (t->core.pax.sparse_major) {
        t->core.map_phase = t->core.map_digits = t->core.map_left = 0;
        t->core.map_value = 0;
        t->core.phase = PHASE_SPARSE_MAP;
        return OCF_OK;
    }
    return commit(t);
}

static int sparse_block(ocf_tar *t, const uint8_t *block)
{
    int more = 0;
    OCF_TRY(ocf_sparse_block(t, block, &more));
    return more ? OCF_OK : commit(t);
}

static int sparse_map(ocf_tar *t, const uint8_t *block)
{
    int more = 0;
    t->core.map_bytes += OCF_TAR_BLOCK_BYTES;
    if (t->core.map_bytes > t->core.row.stored_size)
        return ocf_refuse(t, OCF_TAR_SPARSE_MAP, 0, 0, 0);
    OCF_TRY(ocf_limit(t, OCF_TAR_L_METADATA, t->limits.metadata_bytes, t->core.map_bytes));
    OCF_TRY(ocf_sparse_map(t, block, &more));
    return more ? OCF_OK : commit(t);
}

static int collected_into(uint32_t type)
{
    return type == 'x' ? OCF_BUF_PAX : type == 'g' ? OCF_BUF_GLOBAL : type == 'L' ? OCF_BUF_PATH : OCF_BUF_LINK;
}

static uint32_t pending_bit(uint32_t type)
{
    return type == 'x' ? PENDING_PAX : type == 'L' ? PENDING_PATH : type == 'K' ? PENDING_LINK : 0;
}

static int long_name(ocf_tar *t, ocf_bytes *name)
{
    const uint8_t *nul = name->size ? memchr(name->data, 0, name->size) : NULL;
    size_t size = nul ? (size_t)(nul - name->data) : name->size;
    if (size == 0 || !ocf_all_zero(name->data + size, name->size - size)) /* H19 */
        return ocf_refuse(t, OCF_TAR_LONG_NAME, 0, 0, 0);
    name->size = size;
    return OCF_OK;
}

/* The payload of an extension header has arrived; its padding is skipped as payload is. */
static int extension_done(ocf_tar *t)
{
    uint32_t type = t->core.collecting;
    ocf_bytes *payload = &t->buf[collected_into(type)];
    skip_next(t, 0, t->core.padding_left);
    if (type == 'x')
        return ocf_pax_parse(t, payload, 0);
    if (type != 'g')
        return long_name(t, payload);
    OCF_TRY(ocf_pax_parse(t, payload, 1));
    payload->size = 0;
    return OCF_OK;
}

static int extension(ocf_tar *t, const uint8_t *block, int format)
{
    uint8_t type = block[156];
    int64_t size;
    int posix = type == 'x' || type == 'g';
    if (posix ? format != FORMAT_USTAR && format != FORMAT_STAR : format != FORMAT_GNU)
        OCF_TRY(ocf_oddity(t, OCF_TAR_CARRIER, 0, type, 0)); /* H07 */
    if (t->core.pending & pending_bit(type))
        return ocf_refuse(t, OCF_TAR_STACKED, 0, type, 0);
    if (type == 'g' && t->core.pending) /* Go forgets what came before it */
        return ocf_refuse(t, OCF_TAR_DANGLING, 0, t->core.collecting, 0);
    OCF_TRY(ocf_numbers_check(t, block, format));
    OCF_TRY(ocf_limit(t, OCF_TAR_L_EXTENSIONS, t->limits.extensions, t->core.extensions + 1));
    OCF_TRY(ocf_take_number(t, block + 124, 12, OCF_FIELD_SIZE, &size));
    if (size < 0)
        return ocf_refuse(t, OCF_TAR_RANGE, OCF_FIELD_SIZE, size, 0);
    uint64_t held = t->buf[OCF_BUF_PAX].size + t->buf[OCF_BUF_PATH].size + t->buf[OCF_BUF_LINK].size;
    uint64_t total = held + (uint64_t)size; /* held is at most metadata_bytes, size below 2^63 */
    OCF_TRY(ocf_limit(t, OCF_TAR_L_METADATA, t->limits.metadata_bytes, total));
    if (t->core.extensions++ == 0)
        t->core.start_offset = t->core.header_offset;
    t->core.pending |= pending_bit(type);
    t->core.collecting = type;
    t->core.collect_left = (uint64_t)size;
    t->core.padding_left = padding((uint64_t)size);
    t->core.phase = PHASE_COLLECT;
    return size ? OCF_OK : extension_done(t);
}

static int header(ocf_tar *t, const uint8_t *block)
{
    uint8_t type = block[156];
    t->buf[OCF_BUF_NAME].size = 0; /* errors name the entry only once it has a name */
    OCF_TRY(ocf_checksum(t, block));
    t->core.headers++;
    OCF_TRY(ocf_limit(t, OCF_TAR_L_ENTRIES, t->limits.entries, t->core.headers));
    int format = ocf_format(block);
    OCF_TRY(ocf_format_check(t, block, format));
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K')
        return extension(t, block, format);
    if (type == 'S' && format != FORMAT_GNU)
        return ocf_refuse(t, OCF_TAR_CARRIER, 0, type, 0);
    if (t->core.extensions == 0)
        t->core.start_offset = t->core.header_offset;
    return entry(t, block, format);
}

static int take_block(ocf_tar *t, const uint8_t *block)
{
    int zero = block[0] == 0 && t->core.phase <= PHASE_ZERO && ocf_all_zero(block, OCF_TAR_BLOCK_BYTES);
    switch (t->core.phase) {
    case PHASE_SPARSE_BLOCK:
        return sparse_block(t, block);
    case PHASE_SPARSE_MAP:
        return sparse_map(t, block);
    case PHASE_ZERO:
        t->core.phase = PHASE_TAIL;
        return zero ? OCF_OK : ocf_refuse(t, OCF_TAR_LONE_ZERO, 0, 0, 0);
    default:
        if (!zero)
            return header(t, block);
        t->core.phase = PHASE_ZERO;
        return t->core.pending ? ocf_refuse(t, OCF_TAR_DANGLING, 0, t->core.collecting, 0) : OCF_OK;
    }
}

/* One block from data, or as much of one as there is; the bytes taken. */
static size_t gather(ocf_tar *t, const uint8_t *data, size_t size, const uint8_t **block)
{
    ocf_tar_core *c = &t->core;
    size_t take = OCF_TAR_BLOCK_BYTES - c->block_fill;
    *block = NULL;
    if (c->block_fill == 0 && c->phase != PHASE_SPARSE_MAP && c->phase != PHASE_SPARSE_BLOCK)
        c->header_offset = c->offset;
    if (c->block_fill == 0 && size >= OCF_TAR_BLOCK_BYTES) {
        *block = data;
        return take;
    }
    if (take > size)
        take = size;
    memcpy(c->block + c->block_fill, data, take);
    c->block_fill += (uint32_t)take;
    if (c->block_fill == OCF_TAR_BLOCK_BYTES) {
        c->block_fill = 0;
        *block = c->block;
    }
    return take;
}

static size_t skip(ocf_tar *t, size_t size)
{
    ocf_tar_core *c = &t->core;
    uint64_t *left = c->payload_left ? &c->payload_left : &c->padding_left;
    size_t take = *left < size ? (size_t)*left : size;
    *left -= take;
    if (c->payload_left == 0 && c->padding_left == 0)
        c->phase = PHASE_HEADER;
    return take;
}

static size_t leading_zeros(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (size - at >= 512 && ocf_all_zero(data + at, 512))
        at += 512;
    while (at < size && data[at] == 0)
        at++;
    return at;
}

/* Offsets of what is found here do not depend on where the caller cut the stream. */
static int tail(ocf_tar *t, const uint8_t *data, size_t size)
{
    ocf_tar_core *c = &t->core;
    uint64_t room = c->tail < t->limits.tail_bytes ? t->limits.tail_bytes - c->tail : 0;
    size_t judged = c->strict && size > room ? (size_t)room : size;
    size_t zeros = c->pending & TAIL_NOTED ? judged : leading_zeros(data, judged);
    c->header_offset = c->offset + zeros;
    c->tail += size;
    if (zeros < judged) {
        c->pending |= TAIL_NOTED;
        return ocf_oddity(t, OCF_TAR_TAIL, 0, 0, 0);
    }
    return judged < size ? ocf_limit(t, OCF_TAR_L_TAIL, t->limits.tail_bytes, t->limits.tail_bytes + 1) : OCF_OK;
}

static int collect(ocf_tar *t, const uint8_t *data, size_t size)
{
    OCF_TRY(ocf_bytes_append(&t->buf[collected_into(t->core.collecting)], data, size));
    t->core.collect_left -= size;
    return t->core.collect_left ? OCF_OK : extension_done(t);
}

/* One turn: consumes between 1 and size bytes, and says how many. */
static int turn(ocf_tar *t, const uint8_t *data, size_t size, size_t *used)
{
    ocf_tar_core *c = &t->core;
    const uint8_t *block = NULL;
    switch (c->phase) {
    case PHASE_PAYLOAD:
        *used = skip(t, size);
        c->offset += *used;
        return OCF_OK;
    case PHASE_COLLECT:
        *used = c->collect_left < size ? (size_t)c->collect_left : size;
        c->offset += *used;
        return collect(t, data, *used);
    case PHASE_TAIL:
        *used = size;
        OCF_TRY(tail(t, data, size));
        c->offset += size;
        return OCF_OK;
    default:
        *used = gather(t, data, size, &block);
        c->offset += *used;
        return block ? take_block(t, block) : OCF_OK;
    }
}

int ocf_tar_feed(ocf_tar *t, const uint8_t *data, size_t size)
{
    ocf_tar_core *c = &t->core;
    while (size) {
        size_t used;
        OCF_TRY(turn(t, data, size, &used));
        data += used;
        size -= used;
    }
    return ocf_limit(t, OCF_TAR_L_OUTPUT, t->limits.output_bytes, c->offset + c->holes);
}

uint64_t ocf_tar_payload_left(const ocf_tar *t)
{
    return t->core.phase == PHASE_PAYLOAD ? t->core.payload_left + t->core.padding_left : 0;
}

int ocf_tar_skip(ocf_tar *t, uint64_t size)
{
    if (size > ocf_tar_payload_left(t))
        return OCF_REFUSED;
    while (size) {
        size_t used = skip(t, size > SIZE_MAX ? SIZE_MAX : (size_t)size);
        t->core.offset += used;
        size -= used;
    }
    return ocf_limit(t, OCF_TAR_L_OUTPUT, t->limits.output_bytes, t->core.offset + t->core.holes);
}

static int truncated(ocf_tar *t, int field, uint64_t missing)
{
    return ocf_refuse(t, OCF_TAR_TRUNCATED, field, (int64_t)missing, 0);
}

int ocf_tar_finish(ocf_tar *t)
{
    ocf_tar_core *c = &t->core;
    if (c->offset && c->offset < OCF_TAR_BLOCK_BYTES)
        return ocf_refuse(t, OCF_TAR_SHORT, OCF_FIELD_HEADER, OCF_TAR_BLOCK_BYTES - (int64_t)c->offset, 0);
    if (c->block_fill || c->phase == PHASE_SPARSE_BLOCK || c->phase == PHASE_SPARSE_MAP)
        return truncated(t, OCF_FIELD_HEADER, OCF_TAR_BLOCK_BYTES - c->block_fill);
    if (c->phase == PHASE_COLLECT)
        return truncated(t, OCF_FIELD_METADATA, c->collect_left);
    if (c->phase == PHASE_PAYLOAD && c->payload_left)
        return truncated(t, OCF_FIELD_PAYLOAD, c->payload_left);
    if (c->phase != PHASE_TAIL && c->pending) /* H06 */
        return ocf_refuse(t, OCF_TAR_DANGLING, 0, c->collecting, 0);
    if (c->phase == PHASE_PAYLOAD && c->padding_left && c->strict)
        return truncated(t, OCF_FIELD_PADDING, c->padding_left);
    if (c->phase != PHASE_TAIL) {
        c->header_offset = c->offset;
        OCF_TRY(ocf_oddity(t, c->offset ? OCF_TAR_NO_END : OCF_TAR_EMPTY, 0, 0, 0));
    }
    c->phase = PHASE_DONE;
    return OCF_OK;
}

static int span_inside(const ocf_tar *t, ocf_span span)
{
    return (uint64_t)span.offset + span.size <= t->buf[OCF_BUF_PAX].size;
}

int ocf_tar_restore(ocf_tar *t, const uint64_t *fingerprints, size_t count)
{
    ocf_tar_core *c = &t->core;
    const ocf_pax *pax = &c->pax;
    int sound = c->phase < PHASE_DONE && c->block_fill < OCF_TAR_BLOCK_BYTES
        && span_inside(t, pax->path) && span_inside(t, pax->link) && span_inside(t, pax->sparse_name)
        && t->buf[OCF_BUF_SPARSE].size % 16 == 0 && t->buf[OCF_BUF_ROWS].size % sizeof(ocf_tar_row) == 0
        && c->offset < UINT64_C(1) << 62 && c->holes < UINT64_C(1) << 62
        && (c->phase != PHASE_COLLECT || c->collect_left <= t->limits.metadata_bytes);
    if (!sound)
        return OCF_REFUSED;
    c->paths = 0;
    for (size_t i = 0; i < count; i++)
        if (fingerprints[i])
            OCF_TRY(ocf_set_insert(t, fingerprints[i]));
    return OCF_OK;
}
