#include "wire/base64.h"

#include <stdbool.h>
#include <stdint.h>

struct alphabet {
    char text[65];
    uint8_t digit[256]; /* DIGIT | value; 0: not in the alphabet */
};

enum { DIGIT = 64 };

/* clang-format off */
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define LETTER_DIGITS                                                                              \
    ['A'] =  64,  65,  66,  67,  68,  69,  70,  71,  72,  73,  74,  75,  76,                       \
             77,  78,  79,  80,  81,  82,  83,  84,  85,  86,  87,  88,  89,                       \
    ['a'] =  90,  91,  92,  93,  94,  95,  96,  97,  98,  99, 100, 101, 102,                       \
            103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115,                       \
    ['0'] = 116, 117, 118, 119, 120, 121, 122, 123, 124, 125
/* clang-format on */

static const struct alphabet standard = {LETTERS "+/", {LETTER_DIGITS, ['+'] = 126, ['/'] = 127}};
static const struct alphabet url_safe = {LETTERS "-_", {LETTER_DIGITS, ['-'] = 126, ['_'] = 127}};

static void put_four(uint8_t *to, uint32_t bits, const struct alphabet *a)
{
    to[0] = (uint8_t)a->text[bits >> 18];
    to[1] = (uint8_t)a->text[bits >> 12 & 63];
    to[2] = (uint8_t)a->text[bits >> 6 & 63];
    to[3] = (uint8_t)a->text[bits & 63];
}

static void encode(struct buf *out, struct reader bytes, const struct alphabet *a, bool padded)
{
    size_t rest = bytes.left % 3;
    size_t size = bytes.left / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1);
    uint8_t *to = size > 0 ? buf_reserve(out, size) : NULL;

    if (to == NULL)
        return;
    for (; bytes.left >= 3; to += 4) {
        uint32_t bits = reader_u24(&bytes);
        put_four(to, bits, a);
    }
    if (rest > 0) {
        uint8_t last[4];
        uint32_t bits = (uint32_t)reader_u8(&bytes) << 16;
        if (rest == 2)
            bits |= (uint32_t)reader_u8(&bytes) << 8;
        put_four(last, bits, a);
        for (size_t i = 0; i < rest + 1; i++)
            *to++ = last[i];
        for (size_t i = rest + 1; padded && i < 4; i++)
            *to++ = '=';
    }
    buf_grow(out, size);
}

void base64_encode(struct buf *out, struct reader bytes)
{
    encode(out, bytes, &standard, true);
}

void base64url_encode(struct buf *out, struct reader bytes)
{
    encode(out, bytes, &url_safe, false);
}

/* The 24 bits of four digits; takes DIGIT out of `all` when one of them is none. */
static uint32_t take_four(struct reader *digits, const struct alphabet *a, unsigned *all)
{
    uint32_t four = reader_u32(digits);
    unsigned d0 = a->digit[four >> 24], d1 = a->digit[four >> 16 & 255];
    unsigned d2 = a->digit[four >> 8 & 255], d3 = a->digit[four & 255];

    *all &= d0 & d1 & d2 & d3;
    return (d0 & 63) << 18 | (d1 & 63) << 12 | (d2 & 63) << 6 | (d3 & 63);
}

/* `digits`: the text without its padding. */
static enum rc decode(struct buf *out, struct reader digits, const struct alphabet *a)
{
    size_t rest = digits.left % 4;
    size_t size = digits.left / 4 * 3 + (rest == 0 ? 0 : rest - 1);
    unsigned all = DIGIT;

    if (rest == 1)
        return RC_INPUT;
    if (size == 0)
        return RC_OK;
    uint8_t *to = buf_reserve(out, size);
    if (to == NULL)
        return RC_LIMIT;
    for (; digits.left >= 4; to += 3) {
        uint32_t bits = take_four(&digits, a, &all);
        to[0] = (uint8_t)(bits >> 16);
        to[1] = (uint8_t)(bits >> 8);
        to[2] = (uint8_t)bits;
    }
    if (rest > 0) {
        uint8_t filled[4] = {'A', 'A', 'A', 'A'};
        reader_copy(&digits, filled, rest);
        struct reader last = reader_of(filled, sizeof filled);
        uint32_t bits = take_four(&last, a, &all);
        to[0] = (uint8_t)(bits >> 16);
        if (rest == 3)
            to[1] = (uint8_t)(bits >> 8);
        if ((bits & (rest == 3 ? 0xffu : 0xffffu)) != 0) /* another text for the same bytes */
            return RC_INPUT;
    }
    if (all == 0)
        return RC_INPUT;
    buf_grow(out, size);
    return RC_OK;
}

enum rc base64_decode(struct buf *out, struct reader text)
{
    if (text.left % 4 != 0)
        return RC_INPUT;
    for (int i = 0; i < 2 && text.left > 0 && text.at[text.left - 1] == '='; i++)
        text.left--;
    return decode(out, text, &standard);
}

enum rc base64url_decode(struct buf *out, struct reader text)
{
    return decode(out, text, &url_safe);
}
