#include "mux/stream_table.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { TABLE_FIRST = 16 };

void stream_table_init(struct stream_table *t)
{
    *t = (struct stream_table){.bucket_count = TABLE_FIRST};
    t->buckets = mem_zalloc(t->bucket_count * sizeof(struct stream *));
}

void stream_table_done(struct stream_table *t)
{
    assert(t->count == 0);
    free(t->buckets);
    *t = (struct stream_table){0};
}

static struct stream **bucket_of(struct stream **buckets, size_t count, uint32_t id)
{
    return &buckets[id & (count - 1)];
}

struct stream *stream_table_find(const struct stream_table *t, uint32_t id)
{
    struct stream *st = *bucket_of(t->buckets, t->bucket_count, id);

    while (st && st->id != id)
        st = st->next;
    return st;
}

static void push(struct stream **buckets, size_t count, struct stream *st)
{
    struct stream **bucket = bucket_of(buckets, count, st->id);

    st->next = *bucket;
    *bucket = st;
}

static void widen(struct stream_table *t)
{
    size_t count = t->bucket_count * 2;
    struct stream **wider = mem_zalloc(count * sizeof(struct stream *));

    for (size_t i = 0; i < t->bucket_count; i++) {
        struct stream *st = t->buckets[i];
        while (st) {
            struct stream *next = st->next;
            push(wider, count, st);
            st = next;
        }
    }
    free(t->buckets);
    t->buckets = wider;
    t->bucket_count = count;
}

void stream_table_add(struct stream_table *t, struct stream *st)
{
    if (t->count == t->bucket_count)
        widen(t);
    push(t->buckets, t->bucket_count, st);
    t->count++;
}

void stream_table_remove(struct stream_table *t, struct stream *st)
{
    struct stream **at = bucket_of(t->buckets, t->bucket_count, st->id);

    while (*at != st)
        at = &(*at)->next;
    *at = st->next;
    t->count--;
}
