#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reader.h"

/*
 * buf -- bytes we own: a queue that grows up to a limit.
 *
 * Put appends at the back, buf_consume() drops from the front. A put that would
 * pass `limit` appends nothing and the buffer stays failed, so an encoder runs
 * straight down the message and asks buf_ok() once. buf_view() is borrowed and
 * ends at the next put. Memory running out ends the process (see mem.h).
 */
struct buf {
    uint8_t *data;
    size_t head, len, cap;
    size_t limit; /* most bytes ever held */
    bool failed;
};

void buf_init(struct buf *b, size_t limit);
void buf_done(struct buf *b); /* wipes and frees; the struct stays the owner's */

static inline bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

static inline struct reader buf_view(const struct buf *b)
{
    return reader_of(b->data ? b->data + b->head : NULL, b->len);
}

void buf_put(struct buf *b, struct reader bytes);
void buf_put_u8(struct buf *b, uint8_t value);
void buf_put_u16(struct buf *b, uint16_t value);
void buf_put_u24(struct buf *b, uint32_t value); /* the low 24 bits */
void buf_put_u32(struct buf *b, uint32_t value);
void buf_put_u64(struct buf *b, uint64_t value);
/* A C string without its NUL. */
void buf_put_text(struct buf *b, const char *text);
/* printf without the NUL; what the limit cuts off fails the buffer. */
void buf_print(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Room for `len` bytes at the back, to be filled by the caller and then counted
 * by buf_grow(). NULL: over the limit, and the buffer is failed.
 */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_grow(struct buf *b, size_t len);

/* Drops `len` bytes from the front; `len` must not exceed what is held. */
void buf_consume(struct buf *b, size_t len);
/* Empties it and clears a failure; the memory stays. */
void buf_clear(struct buf *b);
