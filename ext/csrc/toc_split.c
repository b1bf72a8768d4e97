/* Lines of tar-split. */
#include "toc_split.h"

enum { LINE_BYTES = 1 << 20 };

static void end_line(ocf_text *out, uint64_t *position)
{
    OCF_TEXT_SAY(out, ",\"position\":");
    ocf_text_number(out, (*position)++);
    OCF_TEXT_SAY(out, "}\n");
}

static void put_base64(ocf_text *out, const uint8_t *data, size_t size)
{
    OCF_TEXT_SAY(out, "\"");
    ocf_text_base64(out, data, size);
    OCF_TEXT_SAY(out, "\"");
}

void ocf_split_end(ocf_text *out, ocf_bytes *raw, uint64_t *position)
{
    if (raw->size == 0)
        return;
    OCF_TEXT_SAY(out, "{\"type\":2,\"payload\":");
    put_base64(out, raw->data, raw->size);
    end_line(out, position);
    raw->size = 0;
}

int ocf_split_between(ocf_text *out, ocf_bytes *raw, uint64_t *position, const uint8_t *data, size_t size)
{
    while (size) {
        size_t room = LINE_BYTES - raw->size, some = size < room ? size : room;
        OCF_TRY(ocf_bytes_append(raw, data, some));
        if (raw->size == LINE_BYTES)
            ocf_split_end(out, raw, position);
        data += some;
        size -= some;
    }
    return OCF_OK;
}

void ocf_split_file(ocf_text *out, uint64_t *position, const ocf_bytes *path, uint64_t size, uint64_t crc)
{
    uint8_t sum[8];

    for (int i = 0; i < 8; i++)
        sum[i] = (uint8_t)(crc >> (56 - 8 * i));
    if (ocf_is_utf8(path->data, path->size)) {
        OCF_TEXT_SAY(out, "{\"type\":1,\"name\":");
        ocf_text_string(out, path->data, path->size);
    } else {
        OCF_TEXT_SAY(out, "{\"type\":1,\"name_raw\":");
        put_base64(out, path->data, path->size);
    }
    if (size) {
        OCF_TEXT_SAY(out, ",\"size\":");
        ocf_text_number(out, size);
        OCF_TEXT_SAY(out, ",\"payload\":");
        put_base64(out, sum, sizeof sum);
    } else {
        OCF_TEXT_SAY(out, ",\"payload\":null");
    }
    end_line(out, position);
}
