#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"
#include "mux/chunk.h"

/*
 * replay -- the bytes of our sequence that the peer has not acknowledged
 * (docs/protocol.md §6.3, §6.4), in the chunks they came in.
 *
 *      acked          cursor        end
 *        |   in flight   |   unsent   |          sent: the furthest the cursor ever was
 *
 * Whole frames are added at the end: small ones are gathered in the free room of the
 * last chunk, large ones are handed over in their chunk and never copied. A frame never spans
 * two chunks, so the end of a chunk is the end of a frame. The cursor says what
 * goes out next; a new pipe sets it back to what the peer has.
 *
 * The limit is soft: replay_is_full() asks writers to wait, and what they add
 * nevertheless is at most one frame each.
 */
struct replay {
    struct list chunks;
    uint64_t base; /* the offset of the first chunk's first byte */
    uint64_t acked, cursor, end, sent;
    struct chunk *at; /* the chunk that the cursor is in; NULL: at the end of all */
    size_t at_index;  /* where in its memory */
    size_t tail_cap;  /* how large the next chunk for small frames is */
    size_t limit, limit_max;
    size_t *budget_used; /* shared: memory held by all replays of the process */
    uint64_t round_ms;   /* when the round began over which delivery is measured */
    uint64_t round_acked;
};

enum { REPLAY_TAIL_FIRST = 4 * 1024, REPLAY_TAIL_MAX = 64 * 1024 };

/* `budget_used` is kept. */
void replay_init(struct replay *r, size_t limit, size_t limit_max, size_t *budget_used);
void replay_done(struct replay *r);

static inline size_t replay_kept(const struct replay *r)
{
    return (size_t)(r->end - r->acked);
}

static inline size_t replay_unsent(const struct replay *r)
{
    return (size_t)(r->end - r->cursor);
}

static inline bool replay_is_full(const struct replay *r)
{
    return replay_kept(r) >= r->limit;
}

/* --- in ----------------------------------------------------------------------- */

/*
 * The longest frame, up to `want`, that is best added now: what the last chunk has room
 * for, or a fresh one when that is too little to be worth a frame.
 */
size_t replay_offer(const struct replay *r, size_t want);
/* Adds a frame of `len` bytes (as replay_offer() says); the caller fills them in at once. */
uint8_t *replay_add(struct replay *r, size_t len);
/* Adds the frame that is in `c` from c->from to c->to; takes it. */
void replay_add_chunk(struct replay *r, struct chunk *c);

/* --- out ---------------------------------------------------------------------- */

/* The bytes at the cursor, up to the end of a chunk; empty: none unsent. */
struct reader replay_piece(const struct replay *r);
void replay_advance(struct replay *r, size_t len);
/* Whether the cursor may be within a frame; after replay_advance() to the end of a piece it is not.
 */
bool replay_is_within_frame(const struct replay *r);

/*
 * The peer has all bytes before `offset`; they are freed. RC_PROTO: below what it had, or never
 * sent. `rtt_ms`: 0 is not known. Lets the limit grow while the path takes more than half of it per
 * round trip.
 */
MUST_CHECK enum rc replay_ack(struct replay *r, uint64_t offset, uint64_t now_ms, uint64_t rtt_ms);
/* A new pipe goes on at `offset`. RC_ABSENT, nothing changed: not kept, or never sent. */
MUST_CHECK enum rc replay_rewind(struct replay *r, uint64_t offset, uint64_t now_ms);
