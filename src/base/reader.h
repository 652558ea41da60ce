#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * reader -- safe reading of bytes that someone else owns.
 *
 * A reader is a small value: copy it freely, keep it no longer than the bytes.
 * Every take removes bytes from the front. Past the end it yields zero (or an
 * empty reader) and the reader stays failed, so a decoder runs straight down
 * the message and asks reader_ok() once, before it acts on anything it read.
 * Integers are big-endian. No other module indexes into input.
 */
struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static inline struct reader reader_of(const void *bytes, size_t len)
{
    return (struct reader){.at = bytes, .left = len};
}

/* The bytes of a C string, without its NUL. */
static inline struct reader reader_of_text(const char *text)
{
    return reader_of(text, strlen(text));
}

static inline bool reader_ok(const struct reader *r)
{
    return !r->failed;
}

/* True when nothing was read past the end and nothing is left over. */
static inline bool reader_done(const struct reader *r)
{
    return !r->failed && r->left == 0;
}

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u24(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);

/* The next `len` bytes, borrowed from the same owner. */
struct reader reader_slice(struct reader *r, size_t len);

/* An 8-bit, a 16-bit length followed by that many bytes. */
struct reader reader_vec8(struct reader *r);
struct reader reader_vec16(struct reader *r);

/* Whether the bytes are those of the C string `text`. Not for secrets. */
bool reader_is(struct reader r, const char *text);

/* Copies the next `len` bytes to `out`; fills `out` with zeros past the end. */
void reader_copy(struct reader *r, void *out, size_t len);
