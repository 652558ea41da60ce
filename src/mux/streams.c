#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mux/core.h"

/* --- life ---------------------------------------------------------------------------- */

static uint64_t *reset_word(struct session *s, uint32_t id)
{
    return &s->resets[id % SESSION_RESETS_KNOWN / 64];
}

static uint64_t reset_bit(uint32_t id)
{
    return (uint64_t)1 << id % 64;
}

struct stream *streams_add(struct session *s, uint32_t id, enum stream_kind kind)
{
    struct stream *st = mem_zalloc(sizeof *st);

    st->session = s;
    st->id = id;
    st->kind = kind;
    st->state = STREAM_OPEN;
    list_init(&st->waiting);
    list_init(&st->link);
    list_append(&s->streams, &st->link);
    credit_out_init(&st->out, STREAM_WINDOW_FIRST);
    credit_in_init(&st->in, STREAM_WINDOW_FIRST, s->now_ms);
    stream_table_add(&s->table, st);
    s->last_id = id;
    *reset_word(s, id) &= ~reset_bit(id);
    s->streams_total++;
    return st;
}

/* Ids of long ago are all taken for ours: remembering each for ever would let the peer fill our
 * memory. */
bool streams_is_ours_reset(const struct session *s, uint32_t id)
{
    if (s->last_id - id >= SESSION_RESETS_KNOWN)
        return true;
    return (s->resets[id % SESSION_RESETS_KNOWN / 64] & reset_bit(id)) != 0;
}

/* From now on frames for it are frames for a stream that is gone. */
static void take_out(struct stream *st)
{
    stream_table_remove(&st->session->table, st);
    list_remove(&st->link);
    list_remove(&st->waiting);
}

static void release(struct stream *st)
{
    struct session_budget *b = st->session->budget;

    b->buffered_used -= st->held;
    b->windows_used -= st->in.window - STREAM_WINDOW_FIRST;
    list_remove(&st->link);
    free(st);
}

/* Its owner may still call, and resets it at most: that has no effect any more. */
static void tell_closed(struct stream *st, enum reset_reason why)
{
    st->closing = true;
    if (st->events && st->events->on_closed)
        st->events->on_closed(st->owner, why);
    release(st);
}

static void step(struct stream *st, enum stream_event event)
{
    enum rc rc = stream_step(st, event);

    assert(rc == RC_OK); /* what we do ourselves is always legal */
}

void streams_end(struct stream *st)
{
    take_out(st);
    list_append(&st->session->ended, &st->link);
}

void streams_flush_ended(struct session *s)
{
    while (!list_is_empty(&s->ended))
        tell_closed(list_entry(s->ended.next, struct stream, link), RESET_NONE);
}

void streams_close(struct stream *st, enum reset_reason why)
{
    step(st, STREAM_RESET);
    take_out(st);
    tell_closed(st, why);
}

void streams_tell_reset(struct stream *st, enum reset_reason why)
{
    struct session *s = st->session;
    uint8_t frame[FRAME_SMALL_MAX];

    outlet_add(s, frame, frame_reset_write(frame, st->id, why));
    *reset_word(s, st->id) |= reset_bit(st->id);
}

void streams_close_all(struct session *s, enum reset_reason why)
{
    streams_flush_ended(s);
    while (!list_is_empty(&s->streams))
        streams_close(list_entry(s->streams.next, struct stream, link), why);
    streams_flush_ended(s); /* owners may have ended others meanwhile */
}

/* --- what owners ask for ------------------------------------------------------------- */

enum rc stream_open(struct session *s, enum stream_kind kind, const struct stream_events *events,
                    void *owner, struct stream **out)
{
    assert(s->opener);
    if (s->ending || s->failed != RC_OK || s->last_id == UINT32_MAX)
        return RC_CLOSED;
    /*
     * A new stream is not turned away because others fill the replay with data. What it costs
     * itself is bounded: its frame has part of the room that is for control alone.
     */
    if (s->table.count == SESSION_STREAMS_MAX ||
        replay_kept(&s->replay) >= s->replay.limit + SESSION_REPLAY_CONTROL / 2)
        return RC_LIMIT;

    struct stream *st = streams_add(s, s->last_id + 1, kind);
    uint8_t frame[FRAME_SMALL_MAX];
    outlet_add(s, frame, frame_open_write(frame, st->id, kind));
    st->open_end = s->replay.end;
    stream_own(st, events, owner);
    *out = st;
    outlet_wake(s);
    return RC_OK;
}

void stream_own(struct stream *st, const struct stream_events *events, void *owner)
{
    st->events = events;
    st->owner = owner;
}

/* Somebody else waits, and has waited longer. */
static bool others_wait(const struct stream *st)
{
    const struct list *waiting = &st->session->waiting;

    return !list_is_empty(waiting) && waiting->next != &st->waiting;
}

static size_t wait_for_room(struct stream *st, bool interrupted)
{
    struct list *waiting = &st->session->waiting;

    st->wants_room = true;
    if (!list_is_empty(&st->waiting))
        return 0;
    st->interrupted = interrupted;
    if (credit_out_left(&st->out) == 0)
        return 0; /* CREDIT puts it on the list */
    list_append(interrupted ? waiting->next : waiting, &st->waiting);
    return 0;
}

size_t stream_room(struct stream *st)
{
    struct session *s = st->session;
    uint64_t room = credit_out_left(&st->out);

    if (!stream_can_send(st) || s->ending || s->failed != RC_OK)
        return 0;
    if (others_wait(st) && room > st->turn)
        room = st->turn;
    if (room == 0)
        return wait_for_room(st, false);
    if (!outlet_has_room(s))
        return wait_for_room(st, st->turn > 0);
    st->wants_room = false;
    list_remove(&st->waiting);
    return room < FRAME_DATA_MAX ? (size_t)room : FRAME_DATA_MAX;
}

/* False: there is nobody to send to any more. */
static bool begin_data(struct stream *st, size_t len)
{
    struct session *s = st->session;

    step(st, STREAM_SENT_DATA);
    assert(st->kind != STREAM_UDP && len <= credit_out_left(&st->out));
    if (len == 0 || s->failed != RC_OK || s->ending)
        return false;
    st->out.sent += len;
    st->turn -= len < st->turn ? len : st->turn;
    s->bytes_out += len;
    return true;
}

void stream_send(struct stream *st, struct reader bytes)
{
    if (!begin_data(st, bytes.left))
        return;
    outlet_add_data(st->session, st->id, bytes);
    outlet_wake(st->session);
}

void stream_send_chunk(struct stream *st, struct chunk *c)
{
    assert(c->from == CHUNK_HEAD && c->to >= c->from);
    size_t len = c->to - c->from;
    assert(len <= FRAME_DATA_MAX);
    if (!begin_data(st, len)) {
        chunk_free(c);
        return;
    }
    outlet_add_chunk(st->session, st->id, c);
    outlet_wake(st->session);
}

void stream_send_datagram(struct stream *st, struct reader bytes)
{
    struct session *s = st->session;

    assert(st->kind == STREAM_UDP);
    if (!s->attached || !stream_can_send(st) || bytes.left == 0 || bytes.left > FRAME_DATAGRAM_MAX)
        return;
    s->bytes_out += bytes.left;
    beside_datagram(&s->beside, st->id, bytes, st->open_end, s->replay.cursor);
    outlet_wake(s);
}

/*
 * What all streams could make us hold decides how far a window may grow: into what is left, and
 * when little is left the large ones give way.
 */
static uint64_t window_max(const struct session_budget *b, uint64_t window)
{
    uint64_t all = b->buffered_max / 2;
    uint64_t left = all > b->windows_used ? all - b->windows_used : 0;
    uint64_t max = left < all / 8 ? window / 2 : window + left;

    if (max < STREAM_WINDOW_FIRST)
        return STREAM_WINDOW_FIRST;
    return max < STREAM_WINDOW_MAX ? max : STREAM_WINDOW_MAX;
}

static bool consume(struct stream *st, size_t len)
{
    struct session_budget *b = st->session->budget;
    uint64_t max = window_max(b, st->in.window);

    b->windows_used -= st->in.window - STREAM_WINDOW_FIRST;
    bool grant =
        credit_in_consume(&st->in, len, max, st->session->now_ms, session_rtt_ms(st->session));
    b->windows_used += st->in.window - STREAM_WINDOW_FIRST;
    return grant;
}

void stream_consumed(struct stream *st, size_t len)
{
    struct session *s = st->session;
    uint8_t frame[FRAME_SMALL_MAX];

    assert(len <= st->held);
    st->held -= len;
    s->budget->buffered_used -= len;
    if (!consume(st, len) || !stream_can_receive(st) || s->ending)
        return;
    outlet_add(s, frame, frame_credit_write(frame, st->id, st->in.granted));
    outlet_wake(s);
}

void stream_fin(struct stream *st)
{
    struct session *s = st->session;
    uint8_t frame[FRAME_SMALL_MAX];

    step(st, STREAM_SENT_FIN);
    outlet_add(s, frame, frame_fin_write(frame, st->id));
    st->wants_room = false;
    list_remove(&st->waiting);
    if (st->state == STREAM_GONE)
        streams_end(st);
    outlet_wake(s);
}

void stream_reset(struct stream *st, enum reset_reason why)
{
    struct session *s = st->session;

    if (st->closing)
        return;
    if (st->state != STREAM_GONE) {
        streams_tell_reset(st, why);
        take_out(st);
    }
    release(st);
    outlet_wake(s);
}
