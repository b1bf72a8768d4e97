/* Text that grows. */
#include "toc_text.h"

#include <string.h>

uint8_t *ocf_text_room(ocf_text *t, size_t size)
{
    if (t->status == OCF_OK)
        t->status = ocf_bytes_reserve(&t->bytes, size);
    return t->status == OCF_OK ? t->bytes.data + t->bytes.size : NULL;
}

void ocf_text_put(ocf_text *t, const void *data, size_t size)
{
    uint8_t *out = ocf_text_room(t, size);

    if (out == NULL)
        return;
    memcpy(out, data, size);
    t->bytes.size += size;
}

/* The last digits of a number, as many as there is room for. */
static void digits(uint8_t *out, size_t width, uint64_t value)
{
    for (; width; value /= 10)
        out[--width] = (uint8_t)('0' + value % 10);
}

void ocf_text_number(ocf_text *t, uint64_t value)
{
    uint8_t text[20];
    size_t width = 1;

    for (uint64_t rest = value; rest >= 10; rest /= 10)
        width++;
    digits(text, width, value);
    ocf_text_put(t, text, width);
}

void ocf_text_base64(ocf_text *t, const uint8_t *data, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *out = ocf_text_room(t, (size + 2) / 3 * 4);

    if (out == NULL)
        return;
    t->bytes.size += (size + 2) / 3 * 4;
    for (; size >= 3; data += 3, size -= 3, out += 4) {
        uint32_t word = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        out[0] = (uint8_t)letters[word >> 18];
        out[1] = (uint8_t)letters[word >> 12 & 63];
        out[2] = (uint8_t)letters[word >> 6 & 63];
        out[3] = (uint8_t)letters[word & 63];
    }
    if (size == 0)
        return;
    uint32_t word = (uint32_t)data[0] << 16 | (size == 2 ? (uint32_t)data[1] << 8 : 0);
    out[0] = (uint8_t)letters[word >> 18];
    out[1] = (uint8_t)letters[word >> 12 & 63];
    out[2] = size == 2 ? (uint8_t)letters[word >> 6 & 63] : '=';
    out[3] = '=';
}

static const char hexes[] = "0123456789abcdef";

void ocf_text_hex(ocf_text *t, const uint8_t *data, size_t size)
{
    uint8_t *out = ocf_text_room(t, 2 * size);

    if (out == NULL)
        return;
    t->bytes.size += 2 * size;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = (uint8_t)hexes[data[i] >> 4];
        out[2 * i + 1] = (uint8_t)hexes[data[i] & 15];
    }
}

static int is_special(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

static size_t escape(uint8_t *out, uint8_t byte)
{
    static const char shorts[] = "\b\f\n\r\t\"\\", signs[] = "bfnrt\"\\";
    const char *found = memchr(shorts, byte, sizeof shorts - 1);

    out[0] = '\\';
    if (found) {
        out[1] = (uint8_t)signs[found - shorts];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = (uint8_t)hexes[byte >> 4];
    out[5] = (uint8_t)hexes[byte & 15];
    return 6;
}

void ocf_text_string(ocf_text *t, const uint8_t *data, size_t size)
{
    uint8_t *start = ocf_text_room(t, 6 * size + 2), *out = start;

    if (out == NULL)
        return;
    *out++ = '"';
    for (size_t i = 0; i < size; i++) {
        if (is_special(data[i]))
            out += escape(out, data[i]);
        else
            *out++ = data[i];
    }
    *out++ = '"';
    t->bytes.size += (size_t)(out - start);
}

/* Days since 1970 as a date of the Gregorian calendar: years begin in March here, so that a leap
 * day is the last of its year, and an era has 400 of them. */
static void date(int64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
    enum { ERA = 146097, SHIFT = 719468 };
    int64_t shifted = days + SHIFT, era = (shifted >= 0 ? shifted : shifted - (ERA - 1)) / ERA;
    uint32_t rest = (uint32_t)(shifted - era * ERA);
    uint32_t years = (rest - rest / 1460 + rest / 36524 - rest / (ERA - 1)) / 365;
    uint32_t in_year = rest - (365 * years + years / 4 - years / 100), turn = (5 * in_year + 2) / 153;

    *day = in_year - (153 * turn + 2) / 5 + 1;
    *month = turn < 10 ? turn + 3 : turn - 9;
    *year = (uint32_t)(years + era * 400) + (*month <= 2);
}

void ocf_text_time(ocf_text *t, int64_t seconds, uint32_t fraction)
{
    enum { DAY = 86400, WIDTH = 19 };
    int64_t days = (seconds >= 0 ? seconds : seconds - (DAY - 1)) / DAY;
    uint32_t rest = (uint32_t)(seconds - days * DAY), year, month, day;
    uint8_t text[] = "\"0000-00-00T00:00:00.000000000Z\"";
    size_t size = 1 + WIDTH;

    date(days, &year, &month, &day);
    digits(text + 1, 4, year);
    digits(text + 6, 2, month);
    digits(text + 9, 2, day);
    digits(text + 12, 2, rest / 3600);
    digits(text + 15, 2, rest / 60 % 60);
    digits(text + 18, 2, rest % 60);
    if (fraction) {
        digits(text + 21, 9, fraction);
        for (size = 30; text[size - 1] == '0'; size--)
            ;
    }
    ocf_text_put(t, text, size);
    OCF_TEXT_SAY(t, "Z\"");
}

/* Bytes of the character at the beginning, of up to `left`; 0 where there is none. */
static size_t character(const uint8_t *data, size_t left)
{
    uint8_t lead = data[0];
    size_t size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    uint8_t lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;

    if (size == 0 || size > left || data[1] < lowest || data[1] > highest)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (data[i] >> 6 != 2)
            return 0;
    return size;
}

int ocf_is_utf8(const uint8_t *data, size_t size)
{
    for (size_t at = 0, step = 1; at < size; at += step) {
        step = data[at] < 0x80 ? 1 : character(data + at, size - at);
        if (step == 0)
            return 0;
    }
    return 1;
}
