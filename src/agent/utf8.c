#include "agent/utf8.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { UTF8_INVALID = 0xffff }; /* no character */

struct range {
    uint32_t first, last;
};

static const struct range unfit[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff0, 0xffff}, {0xe0000, 0xe0fff},
};
static const struct range combining[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a},
    {0x064b, 0x065f}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff},
    {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};
static const struct range wide[] = {
    {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x4dbf},   {0x4e00, 0xa4cf},
    {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
    {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
    {0x20000, 0x3fffd},
};

#define IS_IN(c, ranges) is_in(c, ranges, sizeof(ranges) / sizeof(ranges)[0])

static bool is_in(uint32_t c, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* RFC 3629 §4. Length of the character at `at`, which is not the end; 1 and UTF8_INVALID for a byte
 * that begins none. */
static size_t decode(const char *at, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *b = (const unsigned char *)at;
    size_t len = b[0] < 0x80 ? 1 : b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;

    *out = UTF8_INVALID;
    if (len == 1) {
        *out = b[0];
        return 1;
    }
    if (b[0] < 0xc2 || b[0] > 0xf4)
        return 1;
    uint32_t c = b[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80) /* the final NUL stops here, too */
            return 1;
        c = c << 6 | (b[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 1;
    *out = c;
    return len;
}

char *utf8_clean(const char *text, bool ascii_only)
{
    char *copy = mem_zalloc(strlen(text) + 1), *to = copy;

    while (*text) {
        uint32_t c;
        size_t len = decode(text, &c);

        if (IS_IN(c, unfit) || (ascii_only && c > 0x7f)) {
            *to++ = '?';
        } else {
            memcpy(to, text, len);
            to += len;
        }
        text += len;
    }
    return copy;
}

bool utf8_is_valid(const char *text)
{
    while (*text) {
        uint32_t c;
        text += decode(text, &c);
        if (c == UTF8_INVALID)
            return false;
    }
    return true;
}

static size_t columns(uint32_t c)
{
    if (IS_IN(c, combining))
        return 0;
    return IS_IN(c, wide) ? 2 : 1;
}

size_t utf8_width(const char *text)
{
    size_t width = 0;

    while (*text) {
        uint32_t c;
        text += decode(text, &c);
        width += columns(c);
    }
    return width;
}

char *utf8_cut(const char *text, size_t width, bool ascii_only)
{
    const char *dots = ascii_only ? "~" : "…";
    char *copy = mem_zalloc(strlen(text) + strlen(dots) + 1);
    size_t used = 0, at = 0;

    if (utf8_width(text) <= width) {
        memcpy(copy, text, strlen(text));
        return copy;
    }
    for (;;) {
        uint32_t c;
        size_t len = decode(text + at, &c);

        if (used + columns(c) + 1 > width)
            break;
        used += columns(c);
        at += len;
    }
    memcpy(copy, text, at);
    if (width > 0)
        memcpy(copy + at, dots, strlen(dots));
    return copy;
}
