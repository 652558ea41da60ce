#include "base/reader.h"

#include <string.h>

/* The one bounds check. NULL when `len` bytes are not there. */
static const uint8_t *take(struct reader *r, size_t len)
{
    const uint8_t *at = r->at;

    if (r->failed || len > r->left) {
        r->failed = true;
        r->left = 0;
        return NULL;
    }
    if (len > 0)
        r->at += len;
    r->left -= len;
    return at;
}

static uint64_t take_uint(struct reader *r, size_t len)
{
    const uint8_t *at = take(r, len);
    uint64_t value = 0;

    if (at == NULL)
        return 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)take_uint(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
    return (uint16_t)take_uint(r, 2);
}

uint32_t reader_u24(struct reader *r)
{
    return (uint32_t)take_uint(r, 3);
}

uint32_t reader_u32(struct reader *r)
{
    return (uint32_t)take_uint(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
    return take_uint(r, 8);
}

struct reader reader_slice(struct reader *r, size_t len)
{
    const uint8_t *at = take(r, len);

    return (struct reader){.at = at, .left = at ? len : 0, .failed = r->failed};
}

struct reader reader_vec8(struct reader *r)
{
    return reader_slice(r, reader_u8(r));
}

struct reader reader_vec16(struct reader *r)
{
    return reader_slice(r, reader_u16(r));
}

void reader_copy(struct reader *r, void *out, size_t len)
{
    const uint8_t *at = take(r, len);

    if (len == 0)
        return;
    if (at)
        memcpy(out, at, len);
    else
        memset(out, 0, len);
}

bool reader_is(struct reader r, const char *text)
{
    size_t len = strlen(text);

    return !r.failed && r.left == len && (len == 0 || memcmp(r.at, text, len) == 0);
}
