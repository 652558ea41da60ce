#pragma once

#include "fuzz.h"
#include "wire/http1.h"

/* What holds for the head of a request as for that of a response. */

typedef enum rc head_decoder(struct reader *in, struct http1_head *out);

/* Decodes the first `len` bytes from a copy of them alone; `left`: what was not taken. */
static inline enum rc decode_prefix(head_decoder *decode, struct reader input, size_t len,
                                    size_t *left)
{
    struct http1_head h;
    uint8_t *copy = fuzz_copy(reader_slice(&input, len));
    struct reader in = reader_of(copy, len);

    enum rc rc = decode(&in, &h);
    *left = in.left;
    free(copy);
    return rc;
}

/* A shorter input says the same or asks for more; it says the same from the byte on that decided.
 */
static inline void check_cuts(head_decoder *decode, struct reader input)
{
    size_t step = input.left / 64 + 1, whole_left, left;
    enum rc whole = decode_prefix(decode, input, input.left, &whole_left);
    bool decided = false;

    for (size_t len = 0; len <= input.left; len += step) {
        enum rc rc = decode_prefix(decode, input, len, &left);
        assert(rc == RC_AGAIN || rc == whole);
        assert(rc == RC_OK || left == len);
        assert(rc != RC_OK || len - left == input.left - whole_left);
        assert(!decided || rc == whole);
        decided = rc != RC_AGAIN;
    }
    if (whole == RC_OK) { /* to the byte */
        size_t head = input.left - whole_left;
        assert(decode_prefix(decode, input, head, &left) == RC_OK && left == 0);
        assert(decode_prefix(decode, input, head - 1, &left) == RC_AGAIN);
    }
}

static inline void check_same_fields(const struct http1_head *a, const struct http1_head *b)
{
    assert(a->field_count == b->field_count);
    for (size_t i = 0; i < a->field_count; i++) {
        assert(fuzz_same(a->fields[i].name, b->fields[i].name));
        assert(fuzz_same(a->fields[i].value, b->fields[i].value));
    }
    assert(a->chunked == b->chunked && a->has_length == b->has_length && a->length == b->length);
    assert(!(a->chunked && a->has_length));
}

static inline void put_fields(struct buf *out, const struct http1_head *h)
{
    for (size_t i = 0; i < h->field_count; i++)
        http1_put_field(out, h->fields[i].name, h->fields[i].value);
    http1_put_end(out);
    assert(buf_ok(out));
}
