#include "mux/core.h"

#include "fuzz.h"

/*
 * A session against a peer that sends what it likes, with owners that do what they like from within
 * events. The input is a script: what happens next, with its arguments, is read from it.
 */
enum { OWNERS_MAX = 64, TIME_STEP_MS = 2048 };

struct owner {
    struct stream *st; /* NULL: none */
    struct world *world;
    size_t unconsumed;
    bool fin_sent;
};

struct world {
    struct reader script;
    struct session_budget budget;
    struct session *s;
    uint64_t now, fed;
    struct owner owners[OWNERS_MAX];
    uint32_t next_id; /* for OPEN frames that are in order */
    unsigned depth;   /* of events that act */
    bool over;
};

static void act_on_streams(struct world *w);

static void on_event(struct owner *o)
{
    struct world *w = o->world;

    if (w->depth > 3)
        return;
    w->depth++;
    if (reader_u8(&w->script) & 1)
        act_on_streams(w);
    w->depth--;
}

static void on_data(void *owner, struct reader bytes)
{
    struct owner *o = owner;
    uint8_t sum = 0;

    assert(bytes.left > 0);
    for (size_t i = 0; i < bytes.left; i++) /* all of it is there */
        sum = (uint8_t)(sum + bytes.at[i]);
    o->unconsumed += bytes.left;
    if (sum & 1) {
        size_t all = o->unconsumed;
        o->unconsumed = 0;
        stream_consumed(o->st, all);
    }
    on_event(o);
}

static void on_datagram(void *owner, struct reader bytes)
{
    assert(bytes.left > 0 && bytes.left <= FRAME_DATAGRAM_MAX);
    on_event(owner);
}

static void on_change(void *owner)
{
    on_event(owner);
}

static void on_closed(void *owner, enum reset_reason why)
{
    struct owner *o = owner;

    assert(why < RESET_REASONS_);
    o->st = NULL;
    if (!o->world->over)
        on_event(o);
}

static const struct stream_events stream_events = {
    .on_data = on_data,
    .on_datagram = on_datagram,
    .on_fin = on_change,
    .on_room = on_change,
    .on_closed = on_closed,
};

static struct owner *free_owner(struct world *w)
{
    for (size_t i = 0; i < OWNERS_MAX; i++)
        if (w->owners[i].st == NULL)
            return &w->owners[i];
    return NULL;
}

static void own(struct world *w, struct owner *o, struct stream *st)
{
    *o = (struct owner){.st = st, .world = w};
}

static void on_open(void *owner, struct stream *st, enum stream_kind kind)
{
    struct world *w = owner;
    struct owner *o = free_owner(w);

    assert(kind < STREAM_KINDS_);
    if (o == NULL) {
        stream_reset(st, RESET_LIMIT);
        return;
    }
    own(w, o, st);
    stream_own(st, &stream_events, o);
    on_event(o);
}

static void on_output(void *owner)
{
    struct world *w = owner;

    assert(session_is_attached(w->s));
}

static const struct session_events session_events = {.on_open = on_open, .on_output = on_output};

/* --- what owners do ------------------------------------------------------------------ */

static void send_some(struct world *w, struct owner *o)
{
    static const uint8_t zeros[FRAME_DATA_MAX];
    size_t most = (size_t)reader_u16(&w->script) * 4 + 1;

    if (o->st->kind == STREAM_UDP) {
        stream_send_datagram(o->st, reader_of(zeros, most < FRAME_DATAGRAM_MAX ? most : 1));
        return;
    }
    size_t room = stream_room(o->st);
    size_t len = most < room ? most : room;
    if (len == 0)
        return;
    if (most & 4) {
        stream_send(o->st, reader_of(zeros, len));
        return;
    }
    struct chunk *c = chunk_new(&w->budget.chunks, CHUNK_DATA);
    memset(chunk_data(c), 0, len);
    c->to = CHUNK_HEAD + len;
    stream_send_chunk(o->st, c);
}

static void act_on_stream(struct world *w, struct owner *o, uint8_t what)
{
    switch (what % 4) {
    case 0:
        if (!o->fin_sent)
            send_some(w, o);
        break;
    case 1: {
        size_t len = reader_u16(&w->script);
        len = len < o->unconsumed ? len : o->unconsumed;
        o->unconsumed -= len;
        stream_consumed(o->st, len);
        break;
    }
    case 2:
        if (!o->fin_sent) {
            o->fin_sent = true;
            stream_fin(o->st);
        }
        break;
    default: {
        struct stream *st = o->st;
        o->st = NULL;
        stream_reset(st, (enum reset_reason)(what % RESET_REASONS_));
    }
    }
}

static void open_one(struct world *w)
{
    struct owner *o = free_owner(w);
    struct stream *st;

    if (o == NULL || !w->s->opener)
        return;
    enum stream_kind kind = (enum stream_kind)(reader_u8(&w->script) % STREAM_KINDS_);
    if (stream_open(w->s, kind, &stream_events, o, &st) == RC_OK)
        own(w, o, st);
}

static void act_on_streams(struct world *w)
{
    struct owner *o = &w->owners[reader_u8(&w->script) % OWNERS_MAX];
    uint8_t what = reader_u8(&w->script);

    if (o->st && o->st->closing) /* its owner is in on_closed */
        return;
    if (o->st)
        act_on_stream(w, o, what);
    else
        open_one(w);
}

/* --- what the peer and the network do --------------------------------------------------- */

static void feed(struct world *w, struct reader bytes)
{
    uint8_t *copy = fuzz_copy(bytes);

    w->fed += bytes.left;
    enum rc rc = session_input(w->s, reader_of(copy, bytes.left), w->now);
    assert(rc == RC_OK || rc == RC_PROTO || rc == RC_LIMIT || rc == RC_EOF);
    assert((rc == RC_EOF) == (session_close_reason(w->s) != CLOSE_NONE));
    if (rc != RC_OK)
        w->over = true;
    free(copy);
}

static void feed_raw(struct world *w)
{
    size_t len = reader_u8(&w->script);

    feed(w, reader_slice(&w->script, len < w->script.left ? len : w->script.left));
}

/* A frame that is in order as far as it can be, so that the script need not guess what is next. */
static void feed_frame(struct world *w)
{
    uint8_t frame[FRAME_SMALL_MAX + 512] = {0};
    uint32_t id = 1 + reader_u8(&w->script) % (w->next_id + 1);
    uint8_t type = reader_u8(&w->script), more = reader_u8(&w->script);
    size_t len;

    switch (type % 7) {
    case 0:
        len = frame_open_write(frame, w->next_id + 1, (enum stream_kind)(more % STREAM_KINDS_));
        w->next_id++;
        break;
    case 1:
        len = FRAME_HEAD + more + 1u;
        frame_head_write(frame, &(struct frame_head){FRAME_DATA, more + 1u, id});
        frame[FRAME_HEAD] = more;
        break;
    case 2:
        len = frame_credit_write(frame, id, (uint64_t)STREAM_WINDOW_FIRST + (uint64_t)more * 4096);
        break;
    case 3:
        len = frame_fin_write(frame, id);
        break;
    case 4:
        len = frame_reset_write(frame, id, (enum reset_reason)(more % RESET_REASONS_));
        break;
    case 5:
        len = frame_ack_write(frame, w->s->replay.cursor - more % 16);
        break;
    default:
        len = FRAME_HEAD + 1;
        frame_head_write(frame, &(struct frame_head){FRAME_DATAGRAM, 1, id});
    }
    feed(w, reader_of(frame, len));
}

static void take_output(struct world *w)
{
    size_t most = (size_t)reader_u16(&w->script) * 8;
    struct reader out = session_output(w->s, w->now);

    assert(out.left == 0 || session_is_attached(w->s));
    session_sent(w->s, out.left < most ? out.left : most);
}

static void tick(struct world *w)
{
    w->now += (uint64_t)reader_u8(&w->script) * TIME_STEP_MS / 256;
    enum session_health health = session_tick(w->s, w->now);
    if (health == SESSION_PEER_SILENT)
        session_detach(w->s, w->now);
    else if (health == SESSION_EXPIRED)
        w->over = true;
}

static void change_pipe(struct world *w)
{
    uint8_t how = reader_u8(&w->script);
    uint64_t offset = how & 2 ? w->s->replay.acked : w->s->replay.acked + reader_u16(&w->script);

    if (how & 1)
        session_detach(w->s, w->now);
    uint32_t generation = session_generation(w->s) + (how >> 2) % 3;
    enum rc rc = session_attach(w->s, generation, offset, w->now);
    assert(rc == RC_OK || rc == RC_PROTO || rc == RC_ABSENT || w->over || w->s->failed == rc);
    assert(rc != RC_OK || session_is_attached(w->s));
}

static void check(const struct world *w)
{
    size_t unconsumed = 0;

    assert(session_received(w->s) <= w->fed);
    for (size_t i = 0; i < OWNERS_MAX; i++)
        unconsumed += w->owners[i].st ? w->owners[i].unconsumed : 0;
    assert(w->budget.buffered_used == unconsumed);
    assert(replay_kept(&w->s->replay) <=
           w->s->replay.limit + SESSION_REPLAY_CONTROL + FRAME_DATA_MAX + FRAME_HEAD);
    assert(w->s->intake.partial.len <= FRAME_DATAGRAM_MAX);
    assert(w->s->beside.datagram_bytes <= BESIDE_DATAGRAMS_MAX);
}

static void step(struct world *w)
{
    switch (reader_u8(&w->script) % 8) {
    case 0:
        feed_raw(w);
        break;
    case 1:
    case 2:
        feed_frame(w);
        break;
    case 3:
        take_output(w);
        break;
    case 4:
        tick(w);
        break;
    case 5:
        change_pipe(w);
        break;
    default:
        act_on_streams(w);
    }
    check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct world w;

    w = (struct world){.script = reader_of(data, len), .now = 1};
    session_budget_init(&w.budget);
    w.budget.buffered_max = 1024 * 1024;
    struct session_setup setup = {.opener = reader_u8(&w.script) & 1,
                                  .hold_ms = 4096,
                                  .budget = &w.budget,
                                  .events = &session_events,
                                  .owner = &w};
    w.s = session_new(&setup, w.now);
    if (session_attach(w.s, 1, 0, w.now) != RC_OK)
        abort();
    while (w.script.left > 0 && !w.over)
        step(&w);
    w.over = true;
    session_free(w.s);
    session_budget_done(&w.budget); /* asserts that all memory has come back */
    return 0;
}
