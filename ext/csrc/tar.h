/* Push parser for tar streams: ustar, GNU, PAX, sparse, v7. No Python, no I/O, no recursion.
 *
 * The caller feeds bytes with any borders; the parser keeps at most one header block and the
 * metadata of one pending entry (bounded by limits), and appends a row per entry when `keep` is
 * set. Payload is skipped, never copied. Names are bytes.
 *
 * Ownership: an ocf_tar is owned by one thread at a time. ocf_tar_init before, ocf_tar_free after.
 * Return codes: OCF_OK, OCF_REFUSED (see .error), OCF_NO_MEMORY. After a failure only
 * ocf_tar_free may be called. Rows of the hardening catalogue are cited as H.., P.., W...
 */
#ifndef OCF_TAR_H
#define OCF_TAR_H

#include <stddef.h>
#include <stdint.h>

enum { OCF_OK = 0, OCF_REFUSED = -1, OCF_NO_MEMORY = -2 };
enum { OCF_TAR_BLOCK_BYTES = 512 };

/* Rules: symbol, stable name, sentence. {a}, {b} are numbers, {type} is a as a character,
 * {field} a header field. A sentence
 * that is NULL marks a limit: the name is then a field of ocifast.Limits, a its value, b the actual. */
#define OCF_TAR_RULES(X) \
    X(NOT_TAR, "not-tar", "not a tar archive: the first block is no header (checksum field {a}, bytes sum to {b})") \
    X(EMPTY, "empty", "the stream is empty; a tar ends with two zero blocks") \
    X(CHECKSUM, "checksum", "header checksum field is {a}, its bytes sum to {b}") \
    X(NUMBER, "number", "header field {field} is not a number tar can hold") \
    X(RANGE, "range", "{field} of {a} is out of range") \
    X(NUMBER_JUNK, "number-junk", "header field {field} has bytes behind its terminator") \
    X(MAGIC, "magic", "header of no format that all readers know") \
    X(GNU_PREFIX, "gnu-prefix", "GNU header with text where its times are (old Go writer)") \
    X(GNU_TIMES, "gnu-times", "GNU header with times, which some readers take for a path prefix") \
    X(TYPE, "type", "entry type {type} has no place in a layer") \
    X(CARRIER, "carrier", "extension header of type {type} in a header format that has none") \
    X(SLASH, "trailing-slash", "trailing slash on something other than a directory") \
    X(HEADER_ONLY, "header-only-size", "entry of type {type} has no payload but a size of {b}") \
    X(STACKED, "stacked", "second extension header of type {type} before one entry") \
    X(MODE_TYPE, "mode-type", "mode {a} has file type bits of another type") \
    X(SIZES, "sizes", "header says size {a}, its PAX record {b}") \
    X(MIXED, "mixed", "PAX and GNU headers before one entry ({field})") \
    X(DANGLING, "dangling", "extension header of type {type} with no entry behind it") \
    X(PAX_RECORD, "pax-record", "malformed PAX record at byte {a} of {b}") \
    X(PAX_VALUE, "pax-value", "PAX record {field} has an invalid value") \
    X(PAX_REPEAT, "pax-repeat", "PAX record {field} is repeated") \
    X(PAX_KEY, "pax-key", "PAX record that gives some readers another entry") \
    X(XATTR_NAME, "xattr-name", "xattr outside of security, system, trusted and user") \
    X(PAX_GLOBAL, "pax-global", "global PAX header sets more than a comment") \
    X(LONG_NAME, "long-name", "GNU long name has bytes behind its NUL, or none before it") \
    X(SPARSE, "sparse", "sparse entry") \
    X(SPARSE_MAP, "sparse-map", "sparse map is incomplete, unordered, overlapping or outside of the file") \
    X(NO_NAME, "empty-name", "entry without a name") \
    X(NO_LINK, "empty-link", "link without a target") \
    X(STRAY_LINK, "stray-link", "link target of an entry of type {type}") \
    X(NUL, "nul", "NUL byte in {field}") \
    X(ROOT, "root", "the root itself can only be a directory") \
    X(DOTDOT, "dotdot", "path with a .. component") \
    X(ABSOLUTE, "absolute", "absolute path") \
    X(DUPLICATE, "duplicate", "second entry of the same path") \
    X(FILE_PARENT, "file-parent", "a path is used both as a directory and as something else") \
    X(WHITEOUT, "whiteout", "whiteout of no name, of . or of ..") \
    X(WHITEOUT_FORM, "whiteout-form", "whiteout that is not an empty regular file, or is used as a directory") \
    X(AUFS, "aufs", "housekeeping of AUFS, which engines skip") \
    X(LONE_ZERO, "lone-zero", "single zero block before more data") \
    X(TRUNCATED, "truncated", "the stream ends {a} bytes before the end of a {field}") \
    X(SHORT, "truncated", "no tar archive, or cut short: {a} bytes are missing from its first header") \
    X(NO_END, "missing-end", "the stream ends without two zero blocks") \
    X(TAIL, "data-after-end", "data behind the end-of-archive mark") \
    X(L_OUTPUT, "output_bytes", NULL) \
    X(L_ENTRIES, "entries", NULL) \
    X(L_TABLE, "table_bytes", NULL) \
    X(L_PATH, "path_bytes", NULL) \
    X(L_COMPONENT, "component_bytes", NULL) \
    X(L_DEPTH, "depth", NULL) \
    X(L_METADATA, "metadata_bytes", NULL) \
    X(L_EXTENSIONS, "extensions", NULL) \
    X(L_XATTR, "xattr_bytes", NULL) \
    X(L_REGIONS, "sparse_regions", NULL) \
    X(L_TAIL, "tail_bytes", NULL)

#define OCF_TAR_FIELDS(X) \
    X(NONE, "") X(MODE, "mode") X(UID, "uid") X(GID, "gid") X(SIZE, "size") X(MTIME, "mtime") \
    X(CHKSUM, "chksum") X(MAJOR, "devmajor") X(MINOR, "devminor") X(PATH, "path") \
    X(LINK, "linkpath") X(XATTR, "xattr") X(REALSIZE, "realsize") X(HEADER, "header") \
    X(PAYLOAD, "payload") X(PADDING, "payload's padding") X(METADATA, "extension header")

#define OCF_TAR_RULE_ENUM(symbol, name, sentence) OCF_TAR_##symbol,
#define OCF_TAR_FIELD_ENUM(symbol, name) OCF_FIELD_##symbol,
enum { OCF_TAR_RULES(OCF_TAR_RULE_ENUM) OCF_TAR_RULE_COUNT };
enum { OCF_TAR_FIELDS(OCF_TAR_FIELD_ENUM) OCF_TAR_FIELD_COUNT };
extern const char *const ocf_tar_rule_names[OCF_TAR_RULE_COUNT];
extern const char *const ocf_tar_rule_texts[OCF_TAR_RULE_COUNT];
extern const char *const ocf_tar_field_names[OCF_TAR_FIELD_COUNT];

typedef struct { /* the caps of ocifast.Limits that a tar can run into */
    uint64_t output_bytes, entries, table_bytes, path_bytes, component_bytes, depth;
    uint64_t metadata_bytes, extensions, xattr_bytes, sparse_regions, tail_bytes, findings;
} ocf_tar_limits;

typedef struct { /* one broken or tolerated rule */
    uint64_t offset;
    int64_t a, b;
    uint32_t rule, field;
} ocf_tar_finding;

/* One entry. Offsets are of the uncompressed stream; spans point into the heap. 120 bytes. */
typedef struct {
    uint64_t start_offset;   /* first header of this entry, extensions included */
    uint64_t header_offset;  /* its own header block */
    uint64_t payload_offset; /* first payload byte (behind a sparse map) */
    uint64_t size;           /* bytes of the file, holes included */
    uint64_t stored_size;    /* bytes of payload in the stream */
    int64_t mtime_ns;
    uint64_t path_offset, link_offset, xattr_offset, sparse_offset;
    uint32_t path_size, link_size, xattr_size;
    uint32_t sparse_regions; /* pairs of u64 (offset, size) at sparse_offset */
    uint32_t mode, uid, gid, dev_major, dev_minor;
    uint8_t type, flags; /* type: '0'..'6' */
    uint16_t reserved;
} ocf_tar_row;
_Static_assert(sizeof(ocf_tar_row) == 120, "the numpy dtype in formats/tar.py mirrors this");

enum { OCF_FLAG_WHITEOUT = 1, OCF_FLAG_OPAQUE = 2, OCF_FLAG_SPARSE = 4, OCF_FLAG_AUFS = 8,
       OCF_FLAG_IMPLIED = 16, /* a folder that no entry names, of tree_merge.h */
       OCF_FLAG_ALL = 31 };

typedef struct { uint8_t *data; size_t size, capacity; } ocf_bytes;

typedef struct { uint32_t offset, size; } ocf_span; /* into the pax buffer */

typedef struct { /* what the pending `x` header said */
    uint64_t size, sparse_size;
    int64_t mtime_ns;
    ocf_span path, link, sparse_name;
    uint32_t present, uid, gid, sparse_major, sparse_minor, sparse_blocks, xattr_names;
    uint32_t reserved;
} ocf_pax;

typedef struct { /* everything a saved state carries besides the buffers: no pointers */
    uint64_t offset, holes, headers, entries, findings;
    uint64_t start_offset, header_offset;
    uint64_t payload_left, padding_left, collect_left, map_bytes, map_value, tail;
    uint64_t seed, parent_hash, paths;
    ocf_tar_row row;
    ocf_pax pax;
    uint32_t phase, block_fill, extensions, pending, collecting, map_phase, map_digits, map_left;
    uint32_t strict, keep;
    uint8_t block[512];
} ocf_tar_core;

enum { OCF_BUF_PAX, OCF_BUF_PATH, OCF_BUF_LINK, OCF_BUF_GLOBAL, OCF_BUF_NAME, OCF_BUF_TARGET,
       OCF_BUF_XATTRS, OCF_BUF_SPARSE, OCF_BUF_ROWS, OCF_BUF_HEAP, OCF_BUF_COUNT };

typedef struct {
    ocf_tar_core core;
    ocf_tar_limits limits;
    ocf_bytes buf[OCF_BUF_COUNT];
    uint64_t *set; /* open addressing, power of two, 0 = empty */
    size_t set_size;
    ocf_tar_finding *findings; /* limits.findings of them */
    ocf_tar_finding error;
} ocf_tar;

int ocf_tar_init(ocf_tar *t, const ocf_tar_limits *limits, int strict, int keep, uint64_t seed);
void ocf_tar_free(ocf_tar *t);
int ocf_tar_feed(ocf_tar *t, const uint8_t *data, size_t size);
int ocf_tar_finish(ocf_tar *t);

/* Payload and padding between here and the next header; whoever can seek need not feed them. */
uint64_t ocf_tar_payload_left(const ocf_tar *t);
/* Take so many of them as fed; REFUSED, without an error recorded, when there are not so many. */
int ocf_tar_skip(ocf_tar *t, uint64_t size);

/* Restore after the caller has filled core and buffers: checks every invariant that memory safety
 * rests on, then rebuilds the path set from `count` saved fingerprints. */
int ocf_tar_restore(ocf_tar *t, const uint64_t *fingerprints, size_t count);
size_t ocf_tar_fingerprints(const ocf_tar *t, uint64_t *out); /* core.paths of them */

/* Index of the first of `count` rows whose spans are not sound and inside the heap, or `count`.
 * Rows of any origin; xattr runs and sparse maps are walked. Rows need not be aligned. */
size_t ocf_tar_check_table(const uint8_t *rows, size_t count, const uint8_t *heap, size_t heap_size);

#endif
