/* JSON as it is appended to: numbers, base64, hex, strings. No Python, no reading.
 *
 * Bytes are those of Python's json with ensure_ascii=False and separators without blanks.
 * Ownership: an ocf_text is one thread's at a time; free its bytes. A failure to get memory sticks
 * in `status`, and what is appended after it is dropped, so it is asked once, at the end.
 */
#ifndef OCF_TOC_TEXT_H
#define OCF_TOC_TEXT_H

#include "tar_internal.h"

typedef struct {
    ocf_bytes bytes;
    int status;
} ocf_text;

/* Room for `size` more bytes behind the end, which the caller moves; NULL where there is none. */
uint8_t *ocf_text_room(ocf_text *t, size_t size);
void ocf_text_put(ocf_text *t, const void *data, size_t size);
#define OCF_TEXT_SAY(t, literal) ocf_text_put(t, literal, sizeof(literal) - 1)
void ocf_text_number(ocf_text *t, uint64_t value);
void ocf_text_base64(ocf_text *t, const uint8_t *data, size_t size);
void ocf_text_hex(ocf_text *t, const uint8_t *data, size_t size);
/* In quotes. The bytes are UTF-8, or at least copied as they are. */
void ocf_text_string(ocf_text *t, const uint8_t *data, size_t size);
/* RFC 3339 in UTC, in quotes; `fraction` of nanoseconds without zeros at its end, and none of 0. */
void ocf_text_time(ocf_text *t, int64_t seconds, uint32_t fraction);

/* Whether these bytes are UTF-8 as Python reads it: nothing overlong, no surrogates. */
int ocf_is_utf8(const uint8_t *data, size_t size);

#endif
