#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/reader.h"

/*
 * http1_text -- kinds of characters and slices of them, for the files of http1 alone
 * (RFC 9110 §5.6).
 */
struct http1_head;

typedef bool char_kind(uint8_t c);

static inline bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Whatever may stand in a line: no control characters but the tab. */
static inline bool is_text(uint8_t c)
{
    return (c >= ' ' && c != 0x7f) || c == '\t';
}

static inline bool is_token(uint8_t c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    return is_digit(c) || is_alpha(c) || memchr(marks, c, sizeof marks - 1) != NULL;
}

static inline uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* How many bytes at the front are of one kind. */
static inline size_t span(struct reader r, char_kind *is)
{
    size_t i = 0;

    while (i < r.left && is(r.at[i]))
        i++;
    return i;
}

static inline bool all(struct reader r, char_kind *is)
{
    return span(r, is) == r.left;
}

static inline bool is_name(struct reader r)
{
    return r.left > 0 && all(r, is_token);
}

/*
 * Takes `method` and `target` of a head apart: form, scheme, authority, path, query. False: no
 * such target for that method (RFC 9112 §3.2).
 */
bool http1_split_target(struct http1_head *h);
