#include "pair.h"

#include "base/mem.h"

static uint8_t pattern(const struct tap *t, uint64_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8) * 13 + (size_t)(t - t->end->taps) * 29);
}

/* --- taps ---------------------------------------------------------------------------- */

static void run_hook(struct tap *t, enum tap_event event)
{
    if (t->hook)
        t->hook(t, event);
}

struct tap *tap_peer(struct tap *t)
{
    struct pair *p = t->end->pair;

    return (t->end == &p->b ? p->a.taps : p->b.taps) + (t - t->end->taps);
}

void tap_consume(struct tap *t, size_t len)
{
    t->unconsumed -= len;
    stream_consumed(t->st, len);
}

static void on_data(void *owner, struct reader bytes)
{
    struct tap *t = owner;

    assert_true(bytes.left > 0);
    assert_int_equal(t->fins, 0);
    for (size_t i = 0; i < bytes.left && !t->end->takes_any_bytes; i++)
        if (bytes.at[i] != pattern(t, t->received + i))
            fail_msg("wrong byte at %llu", (unsigned long long)(t->received + i));
    t->received += bytes.left;
    t->unconsumed += bytes.left;
    if (!t->lazy)
        tap_consume(t, bytes.left);
    run_hook(t, TAP_DATA);
}

static void on_datagram(void *owner, struct reader bytes)
{
    struct tap *t = owner;

    t->datagrams++;
    t->last_datagram = bytes.left;
    run_hook(t, TAP_DATAGRAM);
}

static void on_fin(void *owner)
{
    struct tap *t = owner;

    assert_int_equal(++t->fins, 1);
    run_hook(t, TAP_FIN);
}

static void on_closed(void *owner, enum reset_reason why)
{
    struct tap *t = owner;

    assert_int_equal(++t->closed, 1);
    t->why = why;
    t->st = NULL;
    run_hook(t, TAP_CLOSED);
}

static void send_piece(struct tap *t, size_t len)
{
    struct session_budget *budget = &t->end->budget;
    struct chunk *c = chunk_new(&budget->chunks, len > 1000 ? CHUNK_DATA : len);

    for (size_t i = 0; i < len; i++)
        chunk_data(c)[i] = pattern(t, t->sent + i);
    c->to = CHUNK_HEAD + len;
    t->sent += len;
    if (len > 1000) {
        stream_send_chunk(t->st, c);
    } else {
        stream_send(t->st, reader_of(chunk_data(c), len));
        chunk_free(c);
    }
}

void tap_send(struct tap *t)
{
    size_t room;

    while (t->sent < t->to_send && (room = stream_room(t->st)) > 0) {
        size_t len = t->to_send - t->sent < room ? (size_t)(t->to_send - t->sent) : room;
        send_piece(t, t->piece && t->piece < len ? t->piece : len);
    }
    if (t->fin_after && !t->fin_sent && t->sent == t->to_send) {
        t->fin_sent = true;
        stream_fin(t->st);
    }
}

static void on_room(void *owner)
{
    struct tap *t = owner;

    t->rooms++;
    assert_true(stream_room(t->st) > 0);
    tap_send(t);
    run_hook(t, TAP_ROOM);
}

static const struct stream_events stream_events = {
    .on_data = on_data,
    .on_datagram = on_datagram,
    .on_fin = on_fin,
    .on_room = on_room,
    .on_closed = on_closed,
};

/* --- ends ---------------------------------------------------------------------------- */

static struct tap *add_tap(struct end *e)
{
    struct tap *t = &e->taps[e->count++];

    assert_true(e->count <= PAIR_TAPS);
    t->end = e;
    return t;
}

static void on_open(void *owner, struct stream *st, enum stream_kind kind)
{
    struct end *e = owner;
    struct tap *t = add_tap(e);

    (void)kind;
    t->st = st;
    stream_own(st, &stream_events, t);
    if (e->on_open)
        e->on_open(t);
}

static void on_output(void *owner)
{
    struct end *e = owner;

    e->outputs++;
}

static const struct session_events session_events = {.on_open = on_open, .on_output = on_output};

static void begin(struct pair *p, struct end *e, bool opener)
{
    e->pair = p;
    session_budget_init(&e->budget);
    struct session_setup setup = {.opener = opener,
                                  .id = "0123456789abcde",
                                  .hold_ms = SESSION_HOLD_MS,
                                  .budget = &e->budget,
                                  .events = &session_events,
                                  .owner = e};
    e->s = session_new(&setup, p->now);
}

struct pair *pair_new(void)
{
    struct pair *p = mem_zalloc(sizeof *p);

    p->now = 1000;
    begin(p, &p->b, true);
    begin(p, &p->a, false);
    return p;
}

struct pair *pair_attached(void)
{
    struct pair *p = pair_new();

    pair_attach(p);
    return p;
}

static void end_done(struct end *e)
{
    session_free(e->s);
    for (size_t i = 0; i < e->count; i++)
        e->taps[i].st = NULL;
    session_budget_done(&e->budget); /* asserts that nothing is used */
}

void pair_free(struct pair *p)
{
    end_done(&p->b);
    end_done(&p->a);
    free(p);
}

void pair_attach(struct pair *p)
{
    uint64_t b_has = session_received(p->b.s);
    uint64_t a_has = session_received(p->a.s);

    p->generation++;
    assert_int_equal(session_attach(p->a.s, p->generation, b_has, p->now), RC_OK);
    assert_int_equal(session_attach(p->b.s, p->generation, a_has, p->now), RC_OK);
}

void pair_detach(struct pair *p)
{
    session_detach(p->b.s, p->now);
    session_detach(p->a.s, p->now);
}

struct tap *pair_open_kind(struct pair *p, enum stream_kind kind)
{
    struct tap *t = add_tap(&p->b);

    assert_int_equal(stream_open(p->b.s, kind, &stream_events, t, &t->st), RC_OK);
    return t;
}

struct tap *pair_open(struct pair *p)
{
    return pair_open_kind(p, STREAM_TCP);
}

/* --- bytes --------------------------------------------------------------------------- */

bool pair_move(struct end *from, struct end *to, size_t most)
{
    struct reader out = session_output(from->s, from->pair->now);
    size_t len = most && most < out.left ? most : out.left;

    if (len == 0)
        return false;
    uint8_t *wire = exact_copy(out.at, len); /* the peer must not read one byte further */
    session_sent(from->s, len);
    assert_int_equal(session_input(to->s, reader_of(wire, len), to->pair->now), RC_OK);
    free(wire);
    return true;
}

void pair_pump(struct pair *p)
{
    bool moved = true;

    while (moved) {
        moved = pair_move(&p->b, &p->a, p->step);
        moved |= pair_move(&p->a, &p->b, p->step);
    }
}
