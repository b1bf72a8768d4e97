/* What the files of the tar parser share among themselves; nothing here is for callers. */
#ifndef OCF_TAR_INTERNAL_H
#define OCF_TAR_INTERNAL_H

#include <string.h>

#include "tar.h"

#define OCF_TRY(call) do { int status_ = (call); if (status_ != OCF_OK) return status_; } while (0)

enum { /* phases of the machine */
    PHASE_HEADER, PHASE_COLLECT, PHASE_SPARSE_BLOCK, PHASE_SPARSE_MAP, PHASE_PAYLOAD,
    PHASE_ZERO, PHASE_TAIL, PHASE_DONE, PHASE_COUNT
};
enum { PENDING_PAX = 1, PENDING_PATH = 2, PENDING_LINK = 4 };
enum { /* ocf_pax.present */
    PAX_PATH = 1, PAX_LINK = 2, PAX_SIZE = 4, PAX_UID = 8, PAX_GID = 16, PAX_MTIME = 32,
    PAX_SPARSE_NAME = 64, PAX_SPARSE_SIZE = 128, PAX_SPARSE_MAJOR = 256, PAX_SPARSE_MINOR = 512,
    PAX_SPARSE_BLOCKS = 1024, PAX_SPARSE_MAP = 2048, PAX_SPARSE_OPEN = 4096 /* offset, no numbytes yet */
};
#define PAX_SPARSE_ANY 8128u
enum { FORMAT_V7, FORMAT_USTAR, FORMAT_STAR, FORMAT_GNU };

/* refusals and oddities (tar_table.c) */
int ocf_refuse(ocf_tar *t, int rule, int field, int64_t a, int64_t b);
int ocf_oddity(ocf_tar *t, int rule, int field, int64_t a, int64_t b); /* strict refuses, compat notes */
int ocf_limit(ocf_tar *t, int rule, uint64_t limit, uint64_t actual);
void ocf_note(ocf_tar *t, int rule, int field, int64_t a, int64_t b);

/* A row of a table that may lie anywhere. */
static inline ocf_tar_row ocf_row_at(const uint8_t *rows, size_t index)
{
    ocf_tar_row row;
    memcpy(&row, rows + index * sizeof row, sizeof row);
    return row;
}

/* growable bytes and rows (tar_table.c) */
int ocf_bytes_reserve(ocf_bytes *b, size_t more);
int ocf_bytes_set(ocf_bytes *b, const void *data, size_t size);
int ocf_bytes_append(ocf_bytes *b, const void *data, size_t size);
int ocf_table_commit(ocf_tar *t);

/* header fields (tar_field.c) */
enum { OCF_OCTAL_SIZE_BITS = 33 }; /* what eleven octal digits hold */
#define OCF_SECONDS_CAP UINT64_C(9223372035) /* nanoseconds of more do not fit 63 bits */

/* A field as Go reads it: 0, -1 invalid, 1 when other readers read something else. */
int ocf_number(const uint8_t *field, size_t width, int64_t *value);
int ocf_take_number(ocf_tar *t, const uint8_t *field, size_t width, int name, int64_t *value);
int ocf_numbers_check(ocf_tar *t, const uint8_t *block, int format); /* of an extension header */
int ocf_decimal(const uint8_t *text, size_t size, uint64_t max, uint64_t *value);
int ocf_time(const uint8_t *text, size_t size, int64_t *ns); /* 0, -1 invalid, 1 clamped */
int ocf_checksum(ocf_tar *t, const uint8_t *block);
int ocf_all_zero(const uint8_t *data, size_t size);
size_t ocf_text_size(const uint8_t *field, size_t width); /* up to the first NUL */
int ocf_format(const uint8_t *block);
int ocf_format_check(ocf_tar *t, const uint8_t *block, int format);
int ocf_go_prefix(const uint8_t *block); /* Go before 1.8 put a path prefix where GNU has times (H20) */

int ocf_pax_parse(ocf_tar *t, ocf_bytes *payload, int global);           /* tar_pax.c */
int ocf_path_check(ocf_tar *t);                                          /* tar_paths.c */
int ocf_set_insert(ocf_tar *t, uint64_t fingerprint);
int ocf_sparse_region(ocf_tar *t, uint64_t offset, uint64_t size);       /* tar_sparse.c */
int ocf_sparse_text(ocf_tar *t, const uint8_t *text, size_t size);
int ocf_sparse_header(ocf_tar *t, const uint8_t *block, int *more);
int ocf_sparse_block(ocf_tar *t, const uint8_t *block, int *more);
int ocf_sparse_map(ocf_tar *t, const uint8_t *block, int *more);
int ocf_sparse_check(ocf_tar *t);
int ocf_entry_resolve(ocf_tar *t, const uint8_t *block, int format);     /* tar_entry.c */

#endif
