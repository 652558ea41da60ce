#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

/*
 * chunk -- a piece of memory that user bytes are read into and that then stays,
 * unmoved, in the replay of a session until the peer has acknowledged it.
 *
 * CHUNK_HEAD bytes lie in front of the data for the frame's header, so that header
 * and data are sealed in one go. Large chunks are recycled through a pool: at a
 * gigabyte a second malloc would map and unmap them all the time.
 */
enum {
    CHUNK_HEAD = 8,
    CHUNK_DATA = 256 * 1024, /* bytes of data a pooled chunk has room for */
    CHUNK_POOL_MAX = 64,     /* chunks kept for reuse */
};

struct chunk {
    struct list link;
    struct chunk_pool *pool; /* NULL: plain memory of its own size */
    size_t from, to;         /* the bytes in use of memory[] */
    size_t cap;
    uint8_t memory[];
};

struct chunk_pool {
    struct list idle;
    size_t idle_count;
};

void chunk_pool_init(struct chunk_pool *p);
void chunk_pool_trim(struct chunk_pool *p); /* gives all idle memory back */
void chunk_pool_done(struct chunk_pool *p);

/* A chunk with room for `cap` data bytes behind CHUNK_HEAD, empty; pooled when cap == CHUNK_DATA.
 */
struct chunk *chunk_new(struct chunk_pool *p, size_t cap);
void chunk_free(struct chunk *c); /* NULL is fine */
static inline uint8_t *chunk_data(struct chunk *c)
{
    return c->memory + CHUNK_HEAD;
}
