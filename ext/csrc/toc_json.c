/* One entry after the other; what is zero or empty is not said. */
#include "toc_json.h"

#include <string.h>

typedef struct { /* a file: its chunks are those of a run of segments */
    size_t first, count, digest;
    uint64_t offset, end;
    const uint8_t *whole; /* its digest, or NULL if it has no content */
} contents;

static const uint8_t EMPTY[OCF_SHA256_DIGEST] = {
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
enum { SECOND = 1000000000 };

/* ---- fields ---- */

#define KEY(t, name) OCF_TEXT_SAY(&(t)->text, ",\"" name "\":")
#define FIELD(t, name, value) do { KEY(t, name); ocf_text_number(&(t)->text, value); } while (0)
#define FIELD_UNLESS_0(t, name, value) do { if (value) FIELD(t, name, value); } while (0)
#define DIGEST(t, name, value) do { KEY(t, name); put_digest(t, value); } while (0)

static void put_digest(ocf_toc *t, const uint8_t *digest)
{
    OCF_TEXT_SAY(&t->text, "\"sha256:");
    ocf_text_hex(&t->text, digest, OCF_SHA256_DIGEST);
    OCF_TEXT_SAY(&t->text, "\"");
}

static int put_name(ocf_toc *t, const uint8_t *name, size_t size)
{
    if (!ocf_is_utf8(name, size)) {
        t->bad = name;
        t->bad_size = size;
        return OCF_REFUSED;
    }
    ocf_text_string(&t->text, name, size);
    return OCF_OK;
}

static int put_link(ocf_toc *t, const ocf_tar_row *row, const uint8_t *heap)
{
    if (row->link_size == 0)
        return OCF_OK;
    KEY(t, "linkName");
    return put_name(t, heap + row->link_offset, row->link_size);
}

static void put_type(ocf_toc *t, uint8_t type)
{
    static const char *const words[] = {"reg", "hardlink", "symlink", "char", "block", "dir", "fifo"};
    const char *word = words[type - '0'];

    OCF_TEXT_SAY(&t->text, "\"type\":\"");
    ocf_text_put(&t->text, word, strlen(word));
    OCF_TEXT_SAY(&t->text, "\"");
}

static void put_owner(ocf_toc *t, const ocf_tar_row *row)
{
    FIELD_UNLESS_0(t, "uid", row->uid);
    FIELD_UNLESS_0(t, "gid", row->gid);
}

/* ---- xattrs ---- */

typedef struct { uint32_t name, value; } sizes; /* then come both */

static const uint8_t *next_xattr(const uint8_t *at, sizes *found)
{
    memcpy(found, at, sizeof *found);
    return at + sizeof *found;
}

static int same_name(const uint8_t *a, uint32_t size, const uint8_t *b, uint32_t other)
{
    return size == other && !memcmp(a, b, size);
}

/* Of a repeated name the first decides where it stands, the last what it says. */
static int put_xattr(ocf_toc *t, const uint8_t *run, size_t size, size_t at)
{
    sizes own, other;
    const uint8_t *name = next_xattr(run + at, &own), *value = name + own.name;
    uint32_t value_size = own.value;

    for (size_t i = 0; i < size; i += sizeof other + other.name + other.value) {
        const uint8_t *there = next_xattr(run + i, &other);
        if (i == at || !same_name(name, own.name, there, other.name))
            continue;
        if (i < at)
            return OCF_OK;
        value = there + other.name;
        value_size = other.value;
    }
    if (at)
        OCF_TEXT_SAY(&t->text, ",");
    OCF_TRY(put_name(t, name, own.name));
    OCF_TEXT_SAY(&t->text, ":\"");
    ocf_text_base64(&t->text, value, value_size);
    OCF_TEXT_SAY(&t->text, "\"");
    return OCF_OK;
}

static int put_xattrs(ocf_toc *t, const ocf_tar_row *row, const uint8_t *heap)
{
    const uint8_t *run = heap + row->xattr_offset;
    sizes found;

    if (row->xattr_size == 0)
        return OCF_OK;
    OCF_TEXT_SAY(&t->text, ",\"xattrs\":{");
    for (size_t at = 0; at < row->xattr_size; at += sizeof found + found.name + found.value) {
        next_xattr(run + at, &found);
        OCF_TRY(put_xattr(t, run, row->xattr_size, at));
    }
    OCF_TEXT_SAY(&t->text, "}");
    return OCF_OK;
}

/* ---- contents ---- */

/* The run of segments that the file has; moves to the one behind it. */
static int find_contents(ocf_toc *t, const ocf_tar_row *row, contents *found)
{
    uint64_t left = row->stored_size;

    *found = (contents){.whole = row->type == '0' ? EMPTY : NULL};
    if (left == 0)
        return OCF_OK;
    for (; t->segment < t->segments && t->plan[t->segment].payload == 0; t->segment++)
        t->offset += t->sizes[t->segment];
    *found = (contents){.first = t->segment, .digest = t->digest, .offset = t->offset};
    for (; left && t->segment < t->segments; t->segment++, t->digest++, found->count++) {
        if (t->plan[t->segment].payload == 0 || t->plan[t->segment].payload > left)
            return OCF_REFUSED;
        left -= t->plan[t->segment].payload;
        t->offset += t->sizes[t->segment];
    }
    if (left || t->digest > t->digest_count || (found->count > 1 && t->whole == t->whole_count))
        return OCF_REFUSED;
    found->end = t->offset;
    found->whole = found->count > 1 ? t->wholes + OCF_SHA256_DIGEST * t->whole++
                                    : t->digests + OCF_SHA256_DIGEST * found->digest;
    return OCF_OK;
}

/* ---- zstd:chunked ---- */

/* Of the chunks but the first. */
static void put_chunked_parts(ocf_toc *t, const ocf_tar_row *row, const uint8_t *heap, const contents *of)
{
    uint64_t at = t->plan[of->first].payload, offset = of->offset + t->sizes[of->first];

    for (size_t i = 1; i < of->count; i++) {
        const ocf_segment *segment = &t->plan[of->first + i];
        OCF_TEXT_SAY(&t->text, ",{\"type\":\"chunk\",\"name\":");
        ocf_text_string(&t->text, heap + row->path_offset, row->path_size);
        FIELD(t, "offset", offset);
        FIELD(t, "chunkSize", segment->payload);
        FIELD(t, "chunkOffset", at);
        DIGEST(t, "chunkDigest", t->digests + OCF_SHA256_DIGEST * (of->digest + i));
        OCF_TEXT_SAY(&t->text, "}");
        at += segment->payload;
        offset += t->sizes[of->first + i];
    }
}

static void put_mtime(ocf_toc *t, int64_t ns)
{
    int64_t rest = ns % SECOND, seconds = ns / SECOND;

    if (rest < 0) {
        rest += SECOND;
        seconds--;
    }
    KEY(t, "modtime");
    ocf_text_time(&t->text, seconds, (uint32_t)rest);
}

static int put_chunked(ocf_toc *t, const ocf_tar_row *row, const uint8_t *heap, const contents *of)
{
    OCF_TEXT_SAY(&t->text, "{");
    put_type(t, row->type);
    OCF_TEXT_SAY(&t->text, ",\"name\":");
    OCF_TRY(put_name(t, heap + row->path_offset, row->path_size));
    OCF_TRY(put_link(t, row, heap));
    FIELD_UNLESS_0(t, "mode", row->mode);
    FIELD_UNLESS_0(t, "size", row->size);
    put_owner(t, row);
    put_mtime(t, row->mtime_ns);
    FIELD_UNLESS_0(t, "devMajor", row->dev_major);
    FIELD_UNLESS_0(t, "devMinor", row->dev_minor);
    OCF_TRY(put_xattrs(t, row, heap));
    if (of->whole)
        DIGEST(t, "digest", of->whole);
    if (of->count) {
        FIELD(t, "offset", of->offset);
        FIELD(t, "endOffset", of->end);
    }
    if (of->count > 1) {
        FIELD(t, "chunkSize", t->plan[of->first].payload);
        DIGEST(t, "chunkDigest", t->digests + OCF_SHA256_DIGEST * of->digest);
    }
    OCF_TEXT_SAY(&t->text, "}");
    if (of->count > 1)
        put_chunked_parts(t, row, heap, of);
    return OCF_OK;
}

/* ---- eStargz ---- */

static void put_estargz_parts(ocf_toc *t, const ocf_tar_row *row, const uint8_t *heap, const contents *of)
{
    uint64_t at = t->plan[of->first].payload, offset = of->offset + t->sizes[of->first];

    for (size_t i = 1; i < of->count; i++) {
        uint32_t payload = t->plan[of->first + i].payload;
        OCF_TEXT_SAY(&t->text, ",\n{\"name\":");
        ocf_text_string(&t->text, heap + row->path_offset, row->path_size);
        OCF_TEXT_SAY(&t->text, ",\"type\":\"chunk\"");
        FIELD(t, "offset", offset);
        FIELD(t, "chunkOffset", at);
        if (at + payload < row->size) /* of the last chunk it goes without saying */
            FIELD(t, "chunkSize", payload);
        DIGEST(t, "chunkDigest", t->digests + OCF_SHA256_DIGEST * (of->digest + i));
        OCF_TEXT_SAY(&t->text, "}");
        at += payload;
        offset += t->sizes[of->first + i];
    }
}

/* To the nearest second, as the format has them; nothing for the beginning of 1970. */
static void put_second(ocf_toc *t, int64_t ns)
{
    int64_t seconds = ns / SECOND, rest = ns % SECOND;

    if (rest >= SECOND / 2)
        seconds++;
    else if (rest < -SECOND / 2)
        seconds--;
    if (seconds == 0)
        return;
    KEY(t, "modtime");
    ocf_text_time(&t->text, seconds, 0);
}

static int put_estargz(ocf_toc *t, const ocf_tar_row *row, const uint8_t *heap, const contents *of)
{
    OCF_TEXT_SAY(&t->text, "{\"name\":");
    OCF_TRY(put_name(t, heap + row->path_offset, row->path_size));
    OCF_TEXT_SAY(&t->text, ",");
    put_type(t, row->type);
    FIELD_UNLESS_0(t, "size", row->size);
    put_second(t, row->mtime_ns);
    OCF_TRY(put_link(t, row, heap));
    FIELD_UNLESS_0(t, "mode", row->mode);
    put_owner(t, row);
    FIELD_UNLESS_0(t, "offset", of->offset);
    FIELD_UNLESS_0(t, "devMajor", row->dev_major);
    FIELD_UNLESS_0(t, "devMinor", row->dev_minor);
    OCF_TRY(put_xattrs(t, row, heap));
    if (of->whole)
        DIGEST(t, "digest", of->whole);
    if (of->count > 1)
        FIELD(t, "chunkSize", t->plan[of->first].payload);
    if (of->count)
        DIGEST(t, "chunkDigest", t->digests + OCF_SHA256_DIGEST * of->digest);
    OCF_TEXT_SAY(&t->text, "}");
    if (of->count > 1)
        put_estargz_parts(t, row, heap, of);
    return OCF_OK;
}

/* ---- a table ---- */

static int put_row(ocf_toc *t, const ocf_tar_row *row, const uint8_t *heap)
{
    int is_first = t->entries++ == 0;
    contents of;

    if (t->dialect == OCF_CUT_ESTARGZ && !is_first && ocf_cut_is_reserved(heap + row->path_offset, row->path_size))
        return OCF_OK;
    OCF_TRY(find_contents(t, row, &of));
    if (t->dialect == OCF_CUT_CHUNKED) {
        if (!is_first)
            OCF_TEXT_SAY(&t->text, ",");
        return put_chunked(t, row, heap, &of);
    }
    if (!is_first)
        OCF_TEXT_SAY(&t->text, ",\n");
    return put_estargz(t, row, heap, &of);
}

int ocf_toc_rows(ocf_toc *t, const uint8_t *rows, size_t count, const uint8_t *heap, size_t *row, size_t most)
{
    ocf_tar_row found;

    for (; *row < count && t->text.bytes.size < most; ++*row) {
        memcpy(&found, rows + *row * sizeof found, sizeof found);
        OCF_TRY(put_row(t, &found, heap));
    }
    return t->text.status;
}
