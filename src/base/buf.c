#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BUF_FIRST_CAP = 256 };

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_done(struct buf *b)
{
    mem_wipe(b->data, b->cap);
    free(b->data);
    *b = (struct buf){0};
}

/* Room for `extra` bytes, which the limit counts, and `spare` ones behind them, which it does not.
 */
static uint8_t *reserve(struct buf *b, size_t extra, size_t spare)
{
    if (b->failed || extra > b->limit - b->len) {
        b->failed = true;
        return NULL;
    }
    size_t want = extra + spare;
    if (b->head > 0 && want > b->cap - b->head - b->len) {
        memmove(b->data, b->data + b->head, b->len);
        b->head = 0;
    }
    if (b->data == NULL || want > b->cap - b->head - b->len) {
        size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
        while (cap < b->len + want)
            cap *= 2;
        b->data = mem_resize(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->head + b->len;
}

uint8_t *buf_reserve(struct buf *b, size_t extra)
{
    return reserve(b, extra, 0);
}

void buf_put(struct buf *b, struct reader bytes)
{
    uint8_t *back = bytes.left > 0 ? buf_reserve(b, bytes.left) : NULL;

    if (back) {
        memcpy(back, bytes.at, bytes.left);
        b->len += bytes.left;
    }
}

static void put_uint(struct buf *b, uint64_t value, size_t len)
{
    uint8_t *back = buf_reserve(b, len);

    if (back == NULL)
        return;
    for (size_t i = len; i-- > 0; value >>= 8)
        back[i] = (uint8_t)value;
    b->len += len;
}

void buf_put_u8(struct buf *b, uint8_t value)
{
    put_uint(b, value, 1);
}

void buf_put_u16(struct buf *b, uint16_t value)
{
    put_uint(b, value, 2);
}

void buf_put_u24(struct buf *b, uint32_t value)
{
    put_uint(b, value, 3);
}

void buf_put_u32(struct buf *b, uint32_t value)
{
    put_uint(b, value, 4);
}

void buf_put_u64(struct buf *b, uint64_t value)
{
    put_uint(b, value, 8);
}

void buf_put_text(struct buf *b, const char *text)
{
    buf_put(b, reader_of(text, strlen(text)));
}

void buf_print(struct buf *b, const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    uint8_t *back = len >= 0 ? reserve(b, (size_t)len, 1) : NULL; /* the NUL is not kept */
    if (back)
        b->len += (size_t)vsnprintf((char *)back, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
}

void buf_grow(struct buf *b, size_t len)
{
    assert(!b->failed && len <= b->cap - b->head - b->len);
    b->len += len;
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len -= len;
    b->head = b->len > 0 ? b->head + len : 0;
}

void buf_clear(struct buf *b)
{
    b->head = b->len = 0;
    b->failed = false;
}
