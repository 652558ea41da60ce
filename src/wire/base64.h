#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * base64 -- RFC 4648: the standard alphabet with padding (§4), and the one for URLs
 * without padding (§5).
 *
 * Every byte string has exactly one text and only that text decodes: no white space, no missing or
 * extra padding, no spare bits set. Not in constant time in the text: not for comparing secrets.
 */

/* Characters for `len` bytes, with padding. */
static inline size_t base64_len(size_t len)
{
    return (len / 3 + (len % 3 != 0)) * 4;
}

/* Append to `out`. */
void base64_encode(struct buf *out, struct reader bytes);
void base64url_encode(struct buf *out, struct reader bytes);

/* Append to `out`. RC_INPUT: not base64; RC_LIMIT: over the buffer's limit, which is then failed.
 * Nothing is appended then. */
MUST_CHECK enum rc base64_decode(struct buf *out, struct reader text);
MUST_CHECK enum rc base64url_decode(struct buf *out, struct reader text);
