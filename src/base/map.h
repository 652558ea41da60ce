#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * map -- text keys to borrowed pointers.
 *
 * Keys are copied, values are the caller's. The hash is seeded at random in
 * map_init(), so a peer that chooses names cannot choose collisions. Not for
 * iteration while changing: map_each() visits a map nobody changes meanwhile.
 */
struct map_entry;

struct map {
    struct map_entry **buckets;
    size_t bucket_count, count;
    uint64_t seed;
};

void map_init(struct map *m);
void map_done(struct map *m); /* frees the keys, not the values */

void *map_get(const struct map *m, const char *key); /* NULL: absent */
/* Adds or replaces. `value` must not be NULL. */
void map_put(struct map *m, const char *key, void *value);
/* Removes and returns the value; NULL: absent. */
void *map_take(struct map *m, const char *key);

void map_each(const struct map *m, void (*visit)(void *arg, const char *key, void *value),
              void *arg);
