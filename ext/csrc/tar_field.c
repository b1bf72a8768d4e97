/* Header fields: numbers in octal, base-256 and decimal, times, checksums, formats. */
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "tar_internal.h"

static int base256(const uint8_t *field, size_t width, int64_t *value)
{
    /* Only the two lead bytes every writer uses (H11): 0x80 positive, 0xff negative. */
    uint8_t fill = field[0] == 0x80 ? 0x00 : 0xff;
    if (field[0] != 0x80 && field[0] != 0xff)
        return -1;
    size_t first = width > 8 ? width - 8 : 1;
    for (size_t i = 1; i < first; i++)
        if (field[i] != fill)
            return -1;
    uint64_t bits = fill ? UINT64_MAX : 0;
    for (size_t i = first; i < width; i++)
        bits = bits << 8 | field[i];
    *value = (int64_t)bits;
    return (*value < 0) == (fill != 0) ? 0 : -1;
}

int ocf_number(const uint8_t *field, size_t width, int64_t *value)
{
    if (field[0] & 0x80)
        return base256(field, width, value);
    size_t i = 0;
    uint64_t sum = 0;
    while (i < width && field[i] == ' ')
        i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        sum = sum << 3 | (uint64_t)(field[i] - '0');
    *value = (int64_t)sum;
    int ended = 0, junk = 0;
    for (; i < width; i++) {
        if (field[i] == 0)
            ended = 1;
        else if (field[i] != ' ' && !ended)
            return -1;
        else if (field[i] != ' ')
            junk = 1;
    }
    /* NULs first, digits behind them: Go reads the digits, Python zero. */
    return junk && field[0] == 0 ? -1 : junk;
}

int ocf_take_number(ocf_tar *t, const uint8_t *field, size_t width, int name, int64_t *value)
{
    int status = ocf_number(field, width, value);
    if (status < 0)
        return ocf_refuse(t, OCF_TAR_NUMBER, name, 0, 0);
    return status ? ocf_oddity(t, OCF_TAR_NUMBER_JUNK, name, 0, 0) : OCF_OK;
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
        if (sum > (max - digit) / 10)
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
    if (clamped || seconds > UINT64_C(9223372035)) {
        *ns = negative ? INT64_MIN : INT64_MAX;
        return 1;
    }
    uint64_t total = seconds * UINT64_C(1000000000) + nanos;
    *ns = negative ? -(int64_t)total : (int64_t)total;
    return 0;
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
    int valid = !(block[148] & 0x80) && ocf_number(block + 148, 8, &claimed) >= 0;
    if (valid && claimed == (int64_t)sum)
        return OCF_OK;
    /* Historic writers summed signed chars (H10). */
    for (size_t i = 0; i < 512; i++)
        high += i - 148 >= 8 ? block[i] >> 7 : 0;
    if (valid && claimed == (int64_t)sum - 256 * (int64_t)high)
        return OCF_OK;
    int rule = t->core.headers == 0 ? OCF_TAR_NOT_TAR : OCF_TAR_CHECKSUM;
    return ocf_refuse(t, rule, OCF_FIELD_CHKSUM, valid ? claimed : -1, (int64_t)sum);
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

int ocf_format(const uint8_t *block)
{
    if (!memcmp(block + 257, "ustar  ", 8))
        return FORMAT_GNU;
    if (memcmp(block + 257, "ustar", 6))
        return FORMAT_V7;
    return memcmp(block + 508, "tar", 4) ? FORMAT_USTAR : FORMAT_STAR;
}
