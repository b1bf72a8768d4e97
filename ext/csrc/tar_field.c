/* Header fields: numbers in octal, base-256 and decimal, times, checksums, formats. */
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "tar_internal.h"

static int base256(const uint8_t *field, size_t width, int64_t *value)
{
    uint8_t flip = field[0] & 0x40 ? 0xff : 0x00; /* of a negative number the bits of -value - 1 */
    uint64_t bits = (field[0] ^ flip) & 0x7f;
    for (size_t i = 1; i < width; i++) {
        if (bits >> 56)
            return -1;
        bits = bits << 8 | (uint64_t)(field[i] ^ flip);
    }
    if (bits >> 63)
        return -1;
    *value = flip ? -(int64_t)bits - 1 : (int64_t)bits;
    return 0;
}

static int is_pad(uint8_t byte)
{
    return byte == 0 || byte == ' ';
}

int ocf_number(const uint8_t *field, size_t width, int64_t *value)
{
    if (field[0] & 0x80)
        return base256(field, width, value);
    size_t first = 0, last = width, odd = 0;
    uint64_t sum = 0;
    for (; first < last && is_pad(field[first]); first++)
        odd |= field[first] == 0;
    while (last > first && is_pad(field[last - 1]))
        last--;
    size_t i = first;
    for (; i < last && field[i] >= '0' && field[i] <= '7'; i++)
        sum = sum << 3 | (uint64_t)(field[i] - '0');
    *value = (int64_t)sum;
    if (i == last)
        return odd && last > first; /* NULs, then digits: Go reads the digits, others zero */
    return field[i] == 0 ? 1 : -1; /* a NUL, then junk: Go and most others stop at the NUL */
}

int ocf_take_number(ocf_tar *t, const uint8_t *field, size_t width, int name, int64_t *value)
{
    int status = ocf_number(field, width, value);
    if (status < 0 || (field[0] & 0x80 && field[0] != 0x80 && field[0] != 0xff)) /* H11 */
        return ocf_refuse(t, OCF_TAR_NUMBER, name, 0, 0);
    return status ? ocf_oddity(t, OCF_TAR_NUMBER_JUNK, name, 0, 0) : OCF_OK;
}

/* Nothing but the size of an extension header counts, yet Go and Python refuse the archive. */
int ocf_numbers_check(ocf_tar *t, const uint8_t *block, int format)
{
    int64_t ignored;
    OCF_TRY(ocf_take_number(t, block + 100, 8, OCF_FIELD_MODE, &ignored));
    OCF_TRY(ocf_take_number(t, block + 108, 8, OCF_FIELD_UID, &ignored));
    OCF_TRY(ocf_take_number(t, block + 116, 8, OCF_FIELD_GID, &ignored));
    OCF_TRY(ocf_take_number(t, block + 136, 12, OCF_FIELD_MTIME, &ignored));
    if (format == FORMAT_V7)
        return OCF_OK;
    OCF_TRY(ocf_take_number(t, block + 329, 8, OCF_FIELD_MAJOR, &ignored));
    return ocf_take_number(t, block + 337, 8, OCF_FIELD_MINOR, &ignored);
}

int ocf_decimal(const uint8_t *text, size_t size, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;
    if (size == 0)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (digit > max || sum > (max - digit) / 10)
            return -1;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return 0;
}

int ocf_time(const uint8_t *text, size_t size, int64_t *ns)
{
    int negative = size > 0 && text[0] == '-';
    size_t at = (size_t)negative, whole = 0, fraction = 0;
    uint64_t seconds = 0, nanos = 0;
    int clamped = 0;
    for (; at < size && text[at] >= '0' && text[at] <= '9'; at++, whole++) {
        if (seconds > UINT64_C(9000000000)) /* beyond the year 2255: ns no longer fit */
            clamped = 1;
        else
            seconds = seconds * 10 + (uint64_t)(text[at] - '0');
    }
    if (at < size && text[at] == '.')
        for (at++; at < size && text[at] >= '0' && text[at] <= '9'; at++, fraction++)
            if (fraction < 9)
                nanos = nanos * 10 + (uint64_t)(text[at] - '0');
    if (whole == 0 || at != size)
        return -1;
    for (; fraction < 9; fraction++)
        nanos *= 10;
    clamped |= seconds > OCF_SECONDS_CAP;
    if (clamped) {
        seconds = OCF_SECONDS_CAP;
        nanos = 0;
    }
    uint64_t total = seconds * UINT64_C(1000000000) + nanos;
    *ns = negative ? -(int64_t)total : (int64_t)total;
    return clamped;
}

/* Sum of 512 bytes. The compiler's own vectors widen bytes in three steps and take 3x as long. */
static uint32_t byte_sum(const uint8_t *block)
{
#ifdef __SSE2__
    __m128i sum = _mm_setzero_si128();
    for (size_t i = 0; i < 512; i += 16)
        sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_loadu_si128((const __m128i *)(block + i)), _mm_setzero_si128()));
    return (uint32_t)(_mm_cvtsi128_si32(sum) + _mm_cvtsi128_si32(_mm_srli_si128(sum, 8)));
#else
    uint32_t sum = 0;
    for (size_t i = 0; i < 512; i++)
        sum += block[i];
    return sum;
#endif
}

int ocf_checksum(ocf_tar *t, const uint8_t *block)
{
    uint32_t sum = byte_sum(block) + 8 * ' ', high = 0;
    for (size_t i = 148; i < 156; i++)
        sum -= block[i];
    int64_t claimed = -1;
    int status = block[148] & 0x80 ? -1 : ocf_number(block + 148, 8, &claimed);
    if (status == 0 && claimed == (int64_t)sum)
        return OCF_OK;
    /* Historic writers summed signed chars (H10). */
    for (size_t i = 0; i < 512; i++)
        high += i - 148 >= 8 ? block[i] >> 7 : 0;
    int rule = t->core.headers == 0 ? OCF_TAR_NOT_TAR : OCF_TAR_CHECKSUM;
    if (status < 0 || (claimed != (int64_t)sum && claimed != (int64_t)sum - 256 * (int64_t)high))
        return ocf_refuse(t, rule, OCF_FIELD_CHKSUM, status < 0 ? -1 : claimed, (int64_t)sum);
    return status ? ocf_oddity(t, OCF_TAR_NUMBER_JUNK, OCF_FIELD_CHKSUM, 0, 0) : OCF_OK;
}

int ocf_all_zero(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[4096];
    while (size) {
        size_t n = size < sizeof zeros ? size : sizeof zeros;
        if (memcmp(data, zeros, n))
            return 0;
        data += n;
        size -= n;
    }
    return 1;
}

size_t ocf_text_size(const uint8_t *field, size_t width)
{
    const uint8_t *nul = memchr(field, 0, width);
    return nul ? (size_t)(nul - field) : width;
}

int ocf_format(const uint8_t *block)
{
    if (!memcmp(block + 257, "ustar  ", 8))
        return FORMAT_GNU;
    if (memcmp(block + 257, "ustar", 6))
        return FORMAT_V7;
    return memcmp(block + 508, "tar", 4) ? FORMAT_USTAR : FORMAT_STAR;
}

static int is_ascii(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] & 0x80)
            return 0;
    return 1;
}

int ocf_go_prefix(const uint8_t *block)
{
    int64_t ignored;
    int atime = ocf_number(block + 345, 12, &ignored) >= 0;
    int ctime = block[357] == 0 || ocf_number(block + 357, 12, &ignored) >= 0;
    return block[345] && !(atime && ctime) && is_ascii(block + 345, ocf_text_size(block + 345, 155));
}

int ocf_format_check(ocf_tar *t, const uint8_t *block, int format)
{
    switch (format) {
    case FORMAT_V7: /* half a magic; a prefix or device numbers that some readers take all the same */
        if (ocf_all_zero(block + 257, 8) && ocf_all_zero(block + 345, 167) && block[156] != '3' && block[156] != '4')
            return OCF_OK;
        return ocf_oddity(t, OCF_TAR_MAGIC, 0, 0, 0);
    case FORMAT_GNU: /* incremental dumps have times where Python sees a prefix */
        if (ocf_all_zero(block + 345, 155) || block[156] == 'S')
            return OCF_OK;
        return ocf_oddity(t, ocf_go_prefix(block) ? OCF_TAR_GNU_PREFIX : OCF_TAR_GNU_TIMES, 0, 0, 0);
    case FORMAT_STAR: /* only Go knows that its prefix is shorter */
        if (ocf_text_size(block + 345, 131) != ocf_text_size(block + 345, 155))
            OCF_TRY(ocf_oddity(t, OCF_TAR_MAGIC, 0, 0, 0));
    }
    return memcmp(block + 263, "00", 2) ? ocf_oddity(t, OCF_TAR_MAGIC, 0, 0, 0) : OCF_OK;
}
