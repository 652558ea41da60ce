#pragma once

#include <stddef.h>
#include <stdint.h>

#include "mux/stream.h"

/* stream_table -- the live streams of a session by id. Ids come one after another, so their low
 * bits spread them evenly. */
struct stream_table {
    struct stream **buckets;
    size_t bucket_count, count;
};

void stream_table_init(struct stream_table *t);
void stream_table_done(struct stream_table *t);                              /* must be empty */
struct stream *stream_table_find(const struct stream_table *t, uint32_t id); /* NULL: absent */
void stream_table_add(struct stream_table *t, struct stream *st);
void stream_table_remove(struct stream_table *t, struct stream *st);
