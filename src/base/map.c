#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/platform.h"

enum { MAP_FIRST_BUCKETS = 16 };

struct map_entry {
    struct map_entry *next;
    uint64_t hash;
    void *value;
    char key[];
};

void map_init(struct map *m)
{
    *m = (struct map){.bucket_count = MAP_FIRST_BUCKETS};
    m->buckets = mem_zalloc(m->bucket_count * sizeof(struct map_entry *));
    platform_random(&m->seed, sizeof m->seed);
}

static void free_all(struct map *m)
{
    for (size_t i = 0; i < m->bucket_count; i++) {
        struct map_entry *e = m->buckets[i];
        while (e) {
            struct map_entry *next = e->next;
            free(e);
            e = next;
        }
    }
}

void map_done(struct map *m)
{
    free_all(m);
    free(m->buckets);
    *m = (struct map){0};
}

static uint64_t hash_of(const struct map *m, const char *key)
{
    uint64_t h = m->seed;

    for (const unsigned char *c = (const unsigned char *)key; *c; c++) {
        h = (h ^ *c) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return h ^ h >> 32;
}

/* The link that points at the entry for `key`, or at the NULL where it would go. */
static struct map_entry **find(const struct map *m, const char *key, uint64_t hash)
{
    struct map_entry **at = &m->buckets[hash & (m->bucket_count - 1)];

    while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct map *m)
{
    size_t count = m->bucket_count * 2;
    struct map_entry **wider = mem_zalloc(count * sizeof(struct map_entry *));

    for (size_t i = 0; i < m->bucket_count; i++) {
        struct map_entry *e = m->buckets[i];
        while (e) {
            struct map_entry *next = e->next;
            e->next = wider[e->hash & (count - 1)];
            wider[e->hash & (count - 1)] = e;
            e = next;
        }
    }
    free(m->buckets);
    m->buckets = wider;
    m->bucket_count = count;
}

void *map_get(const struct map *m, const char *key)
{
    struct map_entry *e = *find(m, key, hash_of(m, key));

    return e ? e->value : NULL;
}

void map_put(struct map *m, const char *key, void *value)
{
    uint64_t hash = hash_of(m, key);
    struct map_entry **at = find(m, key, hash);

    if (*at) {
        (*at)->value = value;
        return;
    }
    size_t len = strlen(key) + 1;
    struct map_entry *e = mem_zalloc(sizeof *e + len);
    e->hash = hash;
    e->value = value;
    memcpy(e->key, key, len);
    *at = e;
    if (++m->count > m->bucket_count)
        grow(m);
}

void *map_take(struct map *m, const char *key)
{
    struct map_entry **at = find(m, key, hash_of(m, key));
    struct map_entry *e = *at;

    if (e == NULL)
        return NULL;
    void *value = e->value;
    *at = e->next;
    m->count--;
    free(e);
    return value;
}

void map_each(const struct map *m, void (*visit)(void *arg, const char *key, void *value), void *arg)
{
    for (size_t i = 0; i < m->bucket_count; i++)
        for (struct map_entry *e = m->buckets[i]; e; e = e->next)
            visit(arg, e->key, e->value);
}
