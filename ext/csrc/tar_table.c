/* Growable bytes, findings, and the table of rows and heap. The only place that allocates. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tar_internal.h"

#define NAME(symbol, name, sentence) name,
#define TEXT(symbol, name, sentence) sentence,
#define FIELD(symbol, name) name,
const char *const ocf_tar_rule_names[OCF_TAR_RULE_COUNT] = {OCF_TAR_RULES(NAME)};
const char *const ocf_tar_rule_texts[OCF_TAR_RULE_COUNT] = {OCF_TAR_RULES(TEXT)};
const char *const ocf_tar_field_names[OCF_TAR_FIELD_COUNT] = {OCF_TAR_FIELDS(FIELD)};

static ocf_tar_finding finding(const ocf_tar *t, int rule, int field, int64_t a, int64_t b)
{
    return (ocf_tar_finding){t->core.header_offset, a, b, (uint32_t)rule, (uint32_t)field};
}

int ocf_refuse(ocf_tar *t, int rule, int field, int64_t a, int64_t b)
{
    t->error = finding(t, rule, field, a, b);
    t->core.phase = PHASE_DONE;
    return OCF_REFUSED;
}

void ocf_note(ocf_tar *t, int rule, int field, int64_t a, int64_t b)
{
    if (t->core.findings < t->limits.findings)
        t->findings[t->core.findings] = finding(t, rule, field, a, b);
    t->core.findings++;
}

int ocf_oddity(ocf_tar *t, int rule, int field, int64_t a, int64_t b)
{
    if (t->core.strict)
        return ocf_refuse(t, rule, field, a, b);
    ocf_note(t, rule, field, a, b);
    return OCF_OK;
}

int ocf_limit(ocf_tar *t, int rule, uint64_t limit, uint64_t actual)
{
    return actual <= limit ? OCF_OK : ocf_refuse(t, rule, 0, (int64_t)limit, (int64_t)actual);
}

/* First touch of small pages took half the time of a table of 200 k entries (0.15 us an entry). */
static void want_huge_pages(uint8_t *data, size_t size)
{
    const uintptr_t huge = UINT64_C(1) << 21;
    uintptr_t first = ((uintptr_t)data + huge - 1) & ~(huge - 1), last = ((uintptr_t)data + size) & ~(huge - 1);
    if (last > first)
        (void)madvise((void *)first, last - first, MADV_HUGEPAGE);
}

int ocf_bytes_reserve(ocf_bytes *b, size_t more)
{
    if (more <= b->capacity - b->size)
        return OCF_OK;
    size_t capacity = b->capacity ? b->capacity : 256;
    while (capacity - b->size < more)
        capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL)
        return OCF_NO_MEMORY;
    b->data = data;
    b->capacity = capacity;
    want_huge_pages(data, capacity);
    return OCF_OK;
}

int ocf_bytes_append(ocf_bytes *b, const void *data, size_t size)
{
    if (size == 0)
        return OCF_OK;
    OCF_TRY(ocf_bytes_reserve(b, size));
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return OCF_OK;
}

int ocf_bytes_set(ocf_bytes *b, const void *data, size_t size)
{
    b->size = 0;
    return ocf_bytes_append(b, data, size);
}

static int into_heap(ocf_tar *t, const ocf_bytes *from, uint64_t *offset)
{
    ocf_bytes *heap = &t->buf[OCF_BUF_HEAP];
    *offset = heap->size;
    return ocf_bytes_append(heap, from->data, from->size);
}

int ocf_table_commit(ocf_tar *t)
{
    ocf_tar_row *row = &t->core.row;
    t->core.entries++;
    if (!t->core.keep)
        return OCF_OK;
    ocf_bytes *rows = &t->buf[OCF_BUF_ROWS];
    uint64_t spans = t->buf[OCF_BUF_NAME].size + t->buf[OCF_BUF_TARGET].size
        + t->buf[OCF_BUF_XATTRS].size + t->buf[OCF_BUF_SPARSE].size;
    uint64_t total = rows->size + sizeof *row + t->buf[OCF_BUF_HEAP].size + spans;
    OCF_TRY(ocf_limit(t, OCF_TAR_L_TABLE, t->limits.table_bytes, total));
    row->path_size = (uint32_t)t->buf[OCF_BUF_NAME].size;
    row->link_size = (uint32_t)t->buf[OCF_BUF_TARGET].size;
    row->xattr_size = (uint32_t)t->buf[OCF_BUF_XATTRS].size;
    row->sparse_regions = (uint32_t)(t->buf[OCF_BUF_SPARSE].size / 16);
    OCF_TRY(into_heap(t, &t->buf[OCF_BUF_NAME], &row->path_offset));
    OCF_TRY(into_heap(t, &t->buf[OCF_BUF_TARGET], &row->link_offset));
    OCF_TRY(into_heap(t, &t->buf[OCF_BUF_XATTRS], &row->xattr_offset));
    OCF_TRY(into_heap(t, &t->buf[OCF_BUF_SPARSE], &row->sparse_offset));
    return ocf_bytes_append(rows, row, sizeof *row);
}

static int xattrs_sound(const uint8_t *run, size_t size)
{
    uint32_t head[2];
    for (size_t at = 0; at < size; at += sizeof head + head[0] + head[1]) {
        if (size - at < sizeof head)
            return 0;
        memcpy(head, run + at, sizeof head);
        if ((uint64_t)head[0] + head[1] > size - at - sizeof head)
            return 0;
    }
    return 1;
}

static int map_sound(const uint8_t *map, size_t regions, uint64_t size)
{
    uint64_t region[2], end = 0;
    for (size_t i = 0; i < regions; i++) {
        memcpy(region, map + 16 * i, sizeof region);
        if (region[0] < end || region[0] > size || region[1] > size - region[0])
            return 0;
        end = region[0] + region[1];
    }
    return 1;
}

static int inside(uint64_t offset, uint64_t size, uint64_t heap)
{
    return offset <= heap && size <= heap - offset;
}

static int row_sound(const ocf_tar_row *row, const uint8_t *heap, uint64_t heap_size)
{
    uint64_t map_size = (uint64_t)row->sparse_regions * 16;
    if (row->type < '0' || row->type > '6' || row->flags > OCF_FLAG_ALL || row->reserved)
        return 0;
    if (!inside(row->path_offset, row->path_size, heap_size) || !inside(row->link_offset, row->link_size, heap_size)
        || !inside(row->xattr_offset, row->xattr_size, heap_size) || !inside(row->sparse_offset, map_size, heap_size))
        return 0;
    if (row->xattr_size && !xattrs_sound(heap + row->xattr_offset, row->xattr_size))
        return 0;
    return row->sparse_regions == 0 || map_sound(heap + row->sparse_offset, row->sparse_regions, row->size);
}

size_t ocf_tar_check_table(const uint8_t *rows, size_t count, const uint8_t *heap, size_t heap_size)
{
    ocf_tar_row row;
    size_t i = 0;
    for (; i < count; i++) {
        memcpy(&row, rows + i * sizeof row, sizeof row);
        if (!row_sound(&row, heap, heap_size))
            break;
    }
    return i;
}

int ocf_tar_init(ocf_tar *t, const ocf_tar_limits *limits, int strict, int keep, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->limits = *limits;
    t->core.strict = strict != 0;
    t->core.keep = keep != 0;
    t->core.seed = seed;
    t->set_size = 1024;
    t->set = calloc(t->set_size, sizeof *t->set);
    t->findings = calloc(limits->findings + 1, sizeof *t->findings);
    return t->set && t->findings ? OCF_OK : OCF_NO_MEMORY;
}

void ocf_tar_free(ocf_tar *t)
{
    for (int i = 0; i < OCF_BUF_COUNT; i++)
        free(t->buf[i].data);
    free(t->set);
    free(t->findings);
    memset(t, 0, sizeof *t);
}
