#include "mux/chunk.h"

#include <stdlib.h>

#include "base/mem.h"

void chunk_pool_init(struct chunk_pool *p)
{
    list_init(&p->idle);
    p->idle_count = 0;
}

void chunk_pool_trim(struct chunk_pool *p)
{
    while (!list_is_empty(&p->idle)) {
        struct chunk *c = list_entry(p->idle.next, struct chunk, link);
        list_remove(&c->link);
        free(c);
    }
    p->idle_count = 0;
}

void chunk_pool_done(struct chunk_pool *p)
{
    chunk_pool_trim(p);
}

static struct chunk *take_idle(struct chunk_pool *p)
{
    /* The last one back is the first one out: its memory is the most likely to be cached. */
    struct chunk *c = list_entry(p->idle.prev, struct chunk, link);

    list_remove(&c->link);
    p->idle_count--;
    return c;
}

struct chunk *chunk_new(struct chunk_pool *p, size_t cap)
{
    bool pooled = p != NULL && cap == CHUNK_DATA;
    struct chunk *c = pooled && p->idle_count > 0 ? take_idle(p) : NULL;

    if (c == NULL) /* not zeroed: only what lies between from and to is ever read */
        c = mem_resize(NULL, sizeof *c + CHUNK_HEAD + cap);
    list_init(&c->link);
    c->pool = pooled ? p : NULL;
    c->cap = cap;
    c->from = c->to = CHUNK_HEAD;
    return c;
}

void chunk_free(struct chunk *c)
{
    if (c == NULL)
        return;
    struct chunk_pool *p = c->pool;
    if (p == NULL || p->idle_count == CHUNK_POOL_MAX) {
        free(c);
        return;
    }
    list_append(&p->idle, &c->link);
    p->idle_count++;
}
