#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * list -- an intrusive doubly linked ring. The link lives in the element, so
 * nothing is allocated; an element is on at most one list per link. A link that
 * is on no list points at itself (list_init), so list_remove() is always safe.
 */
struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* Puts `item`, which is on no list, at the back of `l`. */
static inline void list_append(struct list *l, struct list *item)
{
    item->prev = l->prev;
    item->next = l;
    l->prev->next = item;
    l->prev = item;
}

#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))
/* Safe against removal of the current element, not of the next one. */
#define list_each(cursor, after, l)                                                                \
    for (struct list *cursor = (l)->next, *after = cursor->next; cursor != (l);                    \
         cursor = after, after = cursor->next)
