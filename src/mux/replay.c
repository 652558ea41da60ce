#include "mux/replay.h"

#include <assert.h>

enum { FRAME_WORTH = 512 }; /* a tail with less room than this is left as it is */

static size_t memory_of(const struct chunk *c)
{
    return sizeof *c + CHUNK_HEAD + c->cap;
}

void replay_init(struct replay *r, size_t limit, size_t limit_max, size_t *budget_used)
{
    *r = (struct replay){.limit = limit,
                         .limit_max = limit_max,
                         .budget_used = budget_used,
                         .tail_cap = REPLAY_TAIL_FIRST};
    list_init(&r->chunks);
}

static struct chunk *first(const struct replay *r)
{
    return list_is_empty(&r->chunks) ? NULL : list_entry(r->chunks.next, struct chunk, link);
}

static struct chunk *last(const struct replay *r)
{
    return list_is_empty(&r->chunks) ? NULL : list_entry(r->chunks.prev, struct chunk, link);
}

static struct chunk *after(const struct replay *r, const struct chunk *c)
{
    return c->link.next == &r->chunks ? NULL : list_entry(c->link.next, struct chunk, link);
}

static void drop_first(struct replay *r)
{
    struct chunk *c = first(r);

    r->base += c->to - c->from;
    *r->budget_used -= memory_of(c);
    list_remove(&c->link);
    chunk_free(c);
    if (list_is_empty(&r->chunks))
        r->tail_cap = REPLAY_TAIL_FIRST;
}

void replay_done(struct replay *r)
{
    r->at = NULL;
    while (!list_is_empty(&r->chunks))
        drop_first(r);
}

/* --- in ------------------------------------------------------------------------------ */

static size_t tail_room(const struct replay *r)
{
    const struct chunk *c = last(r);

    return c ? CHUNK_HEAD + c->cap - c->to : 0;
}

size_t replay_offer(const struct replay *r, size_t want)
{
    size_t room = tail_room(r);

    if (room >= want) /* also the rest of a large chunk that was not filled */
        return want;
    if (room >= FRAME_WORTH)
        return room;
    return want < REPLAY_TAIL_MAX ? want : REPLAY_TAIL_MAX;
}

static void append(struct replay *r, struct chunk *c)
{
    list_append(&r->chunks, &c->link);
    *r->budget_used += memory_of(c);
}

/* `len` more bytes are in the last chunk; the cursor may have been waiting for them. */
static void count(struct replay *r, size_t len)
{
    if (r->at == NULL) {
        r->at = last(r);
        r->at_index = r->at->to - len;
    }
    r->end += len;
}

static void add_tail(struct replay *r, size_t len)
{
    size_t cap = len > r->tail_cap ? len : r->tail_cap;
    struct chunk *c = chunk_new(NULL, cap);

    c->from = c->to = 0; /* the room in front is for headers of handed-over data only */
    append(r, c);
    /* Many small frames in a row: fewer, longer pieces. */
    r->tail_cap = r->tail_cap < REPLAY_TAIL_MAX ? r->tail_cap * 4 : REPLAY_TAIL_MAX;
}

uint8_t *replay_add(struct replay *r, size_t len)
{
    assert(len > 0);
    if (tail_room(r) < len)
        add_tail(r, len);
    struct chunk *c = last(r);
    uint8_t *out = c->memory + c->to;
    c->to += len;
    count(r, len);
    return out;
}

void replay_add_chunk(struct replay *r, struct chunk *c)
{
    assert(c->to > c->from && c->to <= CHUNK_HEAD + c->cap);
    append(r, c);
    count(r, c->to - c->from);
    r->tail_cap = REPLAY_TAIL_FIRST;
}

/* --- out ----------------------------------------------------------------------------- */

struct reader replay_piece(const struct replay *r)
{
    if (r->at == NULL)
        return reader_of(NULL, 0);
    return reader_of(r->at->memory + r->at_index, r->at->to - r->at_index);
}

/* A cursor at the end of a chunk belongs to the next one, or to none. */
static void settle_cursor(struct replay *r)
{
    if (r->at == NULL || r->at_index < r->at->to)
        return;
    r->at = after(r, r->at);
    r->at_index = r->at ? r->at->from : 0;
}

void replay_advance(struct replay *r, size_t len)
{
    assert(r->at ? len <= r->at->to - r->at_index : len == 0);
    r->at_index += len;
    r->cursor += len;
    if (r->sent < r->cursor)
        r->sent = r->cursor;
    settle_cursor(r);
}

bool replay_is_within_frame(const struct replay *r)
{
    return r->at != NULL && r->at_index != r->at->from;
}

static void take_acked(struct replay *r, uint64_t offset)
{
    r->acked = offset;
    for (struct chunk *c = first(r); c; c = first(r)) {
        if (c == r->at || r->base + (c->to - c->from) > offset)
            break;
        drop_first(r);
    }
}

/*
 * To keep a path busy, a sender must keep what the path delivers in one round trip. Half
 * of the limit leaves the other half for acknowledgements on their way and growth.
 */
static void grow(struct replay *r, uint64_t now_ms, uint64_t rtt_ms)
{
    uint64_t took = now_ms - r->round_ms;

    if (rtt_ms == 0 || took < rtt_ms)
        return;
    uint64_t per_round_trip = (r->acked - r->round_acked) * rtt_ms / took;
    while (per_round_trip * 2 > r->limit && r->limit < r->limit_max)
        r->limit = r->limit * 2 < r->limit_max ? r->limit * 2 : r->limit_max;
    r->round_ms = now_ms;
    r->round_acked = r->acked;
}

enum rc replay_ack(struct replay *r, uint64_t offset, uint64_t now_ms, uint64_t rtt_ms)
{
    if (offset < r->acked || offset > r->cursor)
        return RC_PROTO;
    take_acked(r, offset);
    grow(r, now_ms, rtt_ms);
    return RC_OK;
}

enum rc replay_rewind(struct replay *r, uint64_t offset, uint64_t now_ms)
{
    if (offset < r->acked || offset > r->sent)
        return RC_ABSENT;

    uint64_t begins = r->base;
    r->at = first(r);
    while (r->at && begins + (r->at->to - r->at->from) <= offset) {
        begins += r->at->to - r->at->from;
        r->at = after(r, r->at);
    }
    r->at_index = r->at ? r->at->from + (size_t)(offset - begins) : 0;
    r->cursor = offset;
    take_acked(r, offset);
    r->round_ms = now_ms;
    r->round_acked = offset;
    return RC_OK;
}
