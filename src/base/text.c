#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum rc text_format(char *out, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(out, size, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= size) {
        out[0] = '\0';
        return RC_LIMIT;
    }
    return RC_OK;
}

void text_message(char *out, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(out, size, format, args);
    va_end(args);
}

enum rc text_copy(char *out, size_t size, const char *from)
{
    size_t len = strlen(from);

    if (len >= size) {
        out[0] = '\0';
        return RC_LIMIT;
    }
    memcpy(out, from, len + 1);
    return RC_OK;
}

char *text_dup(const char *from)
{
    if (from == NULL)
        return NULL;
    size_t size = strlen(from) + 1;
    char *copy = mem_zalloc(size);
    memcpy(copy, from, size);
    return copy;
}

void text_hex(struct reader bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.left; i++) {
        *out++ = digits[bytes.at[i] >> 4];
        *out++ = digits[bytes.at[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum rc text_unhex(const char *hex, uint8_t *out, size_t len)
{
    if (strlen(hex) != 2 * len)
        return RC_INPUT;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return RC_INPUT;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return RC_OK;
}

bool text_is_name(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return len >= 1 && len <= TEXT_NAME_MAX && s[len] == '\0';
}

enum rc text_number(const char *s, uint64_t low, uint64_t high, uint64_t *out)
{
    uint64_t value = 0;

    if (*s == '\0')
        return RC_INPUT;
    for (; *s; s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (*s < '0' || *s > '9' || value > (UINT64_MAX - digit) / 10)
            return RC_INPUT;
        value = value * 10 + digit;
    }
    if (value < low || value > high)
        return RC_INPUT;
    *out = value;
    return RC_OK;
}
