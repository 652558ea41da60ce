#include "traffic.h"

#include <string.h>

#include "verdict.h"

enum { SMALL_PIECE = 2000 };

static uint8_t pattern(const struct record *rec, int from, uint64_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8) * 13 + rec->id * 29 + (unsigned)from * 101);
}

static void wrong(const struct leg *l, const char *what)
{
    verdict_violation("stream %u at side %d: %s", l->rec->id, l->side, what);
}

static void forget_when_both_gone(struct record *rec)
{
    if (!rec->legs[0].gone || !rec->legs[1].gone)
        return;
    rec->legs[0].t->live--;
    rec->id = 0;
}

static void leave(struct leg *l)
{
    l->st = NULL;
    l->gone = true;
    l->unconsumed = 0;
    forget_when_both_gone(l->rec);
}

/* --- what users do ------------------------------------------------------------------- */

static void send_bytes(struct leg *l, size_t len)
{
    struct record *rec = l->rec;
    bool large = len > SMALL_PIECE;
    struct chunk *c = chunk_new(&l->t->nodes[l->side].budget.chunks, large ? CHUNK_DATA : len);

    for (size_t i = 0; i < len; i++)
        chunk_data(c)[i] = pattern(rec, l->side, rec->sent[l->side] + i);
    c->to = CHUNK_HEAD + len;
    rec->sent[l->side] += len;
    if (large) {
        stream_send_chunk(l->st, c);
        return;
    }
    stream_send(l->st, reader_of(chunk_data(c), len));
    chunk_free(c);
}

static void send_some(struct leg *l)
{
    uint64_t left = l->to_send - l->rec->sent[l->side];
    size_t most = l->t->calm ? SIZE_MAX : 1 + chance_up_to(l->t->chance, l->piece - 1);
    bool asks = !l->waits || (!l->t->calm && chance_one_in(l->t->chance, 4)); /* too early */
    size_t room = asks ? stream_room(l->st) : 0;
    size_t len = left < most ? (size_t)left : most;

    l->waits = room == 0;
    len = len < room ? len : room;
    if (len > 0)
        send_bytes(l, len);
}

static void send_datagram(struct leg *l)
{
    uint8_t bytes[256];
    size_t len = sizeof l->to_send + chance_up_to(l->t->chance, 200);
    uint64_t number = ++l->rec->sent[l->side];

    memset(bytes, (int)(number & 0xFF), len);
    memcpy(bytes, &number, sizeof number);
    stream_send_datagram(l->st, reader_of(bytes, len));
}

static void fin(struct leg *l)
{
    l->rec->fin[l->side] = true;
    stream_fin(l->st);
}

static void reset(struct leg *l)
{
    struct stream *st = l->st;

    l->rec->reset[l->side] = true;
    l->rec->why[l->side] = (enum reset_reason)chance_up_to(l->t->chance, RESET_REASONS_ - 1);
    l->t->resets++;
    stream_reset(st, l->rec->why[l->side]);
    leave(l);
}

static void consume(struct leg *l, size_t len)
{
    l->unconsumed -= len;
    l->consumed += len;
    stream_consumed(l->st, len);
}

static bool has_sent_all(const struct leg *l)
{
    return l->rec->sent[l->side] >= l->to_send;
}

static void work(struct leg *l)
{
    const struct record *rec = l->rec;

    if (l->st == NULL)
        return;
    if (!l->t->calm && rec->sent[l->side] + rec->received[l->side] >= l->reset_at) {
        reset(l);
        return;
    }
    if (l->unconsumed > 0)
        consume(l, l->t->calm ? l->unconsumed : chance_up_to(l->t->chance, l->unconsumed));
    if (rec->fin[l->side])
        return;
    if (has_sent_all(l))
        fin(l);
    else if (rec->kind == STREAM_UDP)
        send_datagram(l);
    else
        send_some(l);
}

/* From within an event, some other user may act too. */
static void disturb(struct traffic *t)
{
    if (t->busy || t->calm || !chance_one_in(t->chance, 8))
        return;
    t->busy = true;
    traffic_step(t);
    t->busy = false;
}

/* --- what sessions tell -------------------------------------------------------------- */

static void on_data(void *owner, struct reader bytes)
{
    struct leg *l = owner;
    struct record *rec = l->rec;
    uint64_t at = rec->received[l->side];

    if (l->gone || rec->got_fin[l->side])
        wrong(l, "data after the end");
    if (at + bytes.left > rec->sent[1 - l->side])
        wrong(l, "more than was sent");
    for (size_t i = 0; i < bytes.left; i++)
        if (bytes.at[i] != pattern(rec, 1 - l->side, at + i))
            wrong(l, "a byte that was not sent there");
    rec->received[l->side] += bytes.left;
    l->t->bytes += bytes.left;
    l->unconsumed += bytes.left;
    if (!l->slow)
        consume(l, l->unconsumed);
    disturb(l->t);
}

static void on_datagram(void *owner, struct reader bytes)
{
    struct leg *l = owner;
    uint64_t number = 0;

    reader_copy(&bytes, &number, sizeof number);
    if (number <= l->rec->received[l->side] || number > l->rec->sent[1 - l->side])
        wrong(l, "a datagram twice, or of nobody");
    while (bytes.left > 0)
        if (reader_u8(&bytes) != (number & 0xFF))
            wrong(l, "a datagram with other bytes");
    l->rec->received[l->side] = number;
    l->t->datagrams++;
}

static void on_fin(void *owner)
{
    struct leg *l = owner;
    struct record *rec = l->rec;

    if (rec->got_fin[l->side] || !rec->fin[1 - l->side])
        wrong(l, "an end that is not one");
    if (rec->kind != STREAM_UDP && rec->received[l->side] != rec->sent[1 - l->side])
        wrong(l, "the end before all bytes");
    rec->got_fin[l->side] = true;
    disturb(l->t);
}

static void on_room(void *owner)
{
    struct leg *l = owner;

    l->waits = false;
    if (stream_room(l->st) == 0)
        wrong(l, "room that is none");
    work(l);
}

static void on_closed(void *owner, enum reset_reason why)
{
    struct leg *l = owner;
    struct record *rec = l->rec;
    int other = 1 - l->side;
    bool both_ended = rec->fin[l->side] && rec->got_fin[l->side];

    if (l->gone)
        wrong(l, "closed twice");
    if (!both_ended && !(rec->reset[other] && rec->why[other] == why))
        wrong(l, "closed without a reason");
    leave(l);
    disturb(l->t);
}

static const struct stream_events stream_events = {
    .on_data = on_data,
    .on_datagram = on_datagram,
    .on_fin = on_fin,
    .on_room = on_room,
    .on_closed = on_closed,
};

/* --- opening ------------------------------------------------------------------------- */

static void plan(struct leg *l)
{
    struct chance *chance = l->t->chance;

    l->to_send =
        l->rec->kind == STREAM_UDP ? chance_up_to(chance, 30) : chance_skewed(chance, l->t->bulk);
    l->reset_at = UINT64_MAX;
    if (chance_one_in(chance, 8))
        l->reset_at = chance_up_to(chance, (size_t)l->to_send);
    l->piece = 1 + chance_skewed(chance, l->t->bulk < FRAME_DATA_MAX ? l->t->bulk : FRAME_DATA_MAX);
    l->slow = chance_one_in(chance, 3);
}

static struct record *free_record(struct traffic *t)
{
    for (size_t i = 0; i < TRAFFIC_STREAMS; i++)
        if (t->records[i].id == 0)
            return &t->records[i];
    return NULL;
}

static void open_one(struct traffic *t)
{
    struct record *rec = free_record(t);
    struct stream *st;
    enum stream_kind kind = chance_one_in(t->chance, 6) ? STREAM_UDP : STREAM_TCP;

    if (rec == NULL)
        return;
    *rec = (struct record){.kind = kind};
    enum rc rc = stream_open(t->nodes[0].s, kind, &stream_events, &rec->legs[0], &st);
    if (rc == RC_LIMIT)
        return; /* much is kept: later */
    if (rc != RC_OK)
        verdict_violation("no stream can be opened: %s", rc_text(rc));
    rec->id = st->id;
    for (int side = 0; side < 2; side++) {
        rec->legs[side] = (struct leg){.rec = rec, .t = t, .side = side};
        plan(&rec->legs[side]);
    }
    rec->legs[0].st = st;
    t->live++;
    t->streams++;
}

static void on_open(void *owner, struct stream *st, enum stream_kind kind)
{
    struct traffic *t = owner;

    for (size_t i = 0; i < TRAFFIC_STREAMS; i++) {
        struct record *rec = &t->records[i];
        struct leg *l = &rec->legs[1];
        if (rec->id != st->id)
            continue;
        if (l->st || l->gone || rec->kind != kind)
            wrong(l, "opened otherwise than it was");
        l->st = st;
        stream_own(st, &stream_events, l);
        if (l->reset_at == 0)
            reset(l); /* refused */
        return;
    }
    verdict_violation("stream %u was opened by nobody", st->id);
}

static void on_output(void *owner)
{
    (void)owner; /* the world looks for output by itself */
}

const struct session_events traffic_session_events = {.on_open = on_open, .on_output = on_output};

/* --- the whole ----------------------------------------------------------------------- */

void traffic_begin(struct traffic *t, struct node nodes[2], struct chance *chance, size_t bulk)
{
    uint64_t streams = t->streams, bytes = t->bytes, datagrams = t->datagrams, resets = t->resets;

    *t = (struct traffic){.nodes = nodes,
                          .chance = chance,
                          .bulk = bulk,
                          .streams = streams,
                          .bytes = bytes,
                          .datagrams = datagrams,
                          .resets = resets};
}

void traffic_step(struct traffic *t)
{
    size_t at = chance_up_to(t->chance, TRAFFIC_STREAMS - 1);

    if (t->live < TRAFFIC_STREAMS / 4 && chance_one_in(t->chance, 4)) {
        open_one(t);
        return;
    }
    for (size_t i = 0; i < TRAFFIC_STREAMS; i++) {
        struct record *rec = &t->records[(at + i) % TRAFFIC_STREAMS];
        if (rec->id == 0)
            continue;
        work(&rec->legs[chance_up_to(t->chance, 1)]);
        return;
    }
}

void traffic_work_all(struct traffic *t)
{
    for (size_t i = 0; i < TRAFFIC_STREAMS; i++)
        for (int side = 0; side < 2; side++)
            if (t->records[i].id != 0)
                work(&t->records[i].legs[side]);
}

static void check_credit(const struct leg *to, const struct leg *from)
{
    const struct record *rec = to->rec;

    if (rec->kind == STREAM_UDP || to->st == NULL)
        return;
    if (to->st->in.granted > to->consumed + STREAM_WINDOW_MAX ||
        to->st->in.granted > to->consumed + to->st->in.window * 2)
        wrong(to, "more credit than a window ahead of its reader");
    if (rec->sent[1 - to->side] > to->st->in.granted)
        wrong(to, "sent beyond the credit that was granted");
    if (from->st && from->st->out.limit > to->st->in.granted)
        wrong(to, "credit that was never granted");
}

void traffic_check(const struct traffic *t)
{
    size_t held[2] = {0, 0};

    for (size_t i = 0; i < TRAFFIC_STREAMS; i++) {
        const struct record *rec = &t->records[i];
        if (rec->id == 0)
            continue;
        for (int side = 0; side < 2; side++) {
            held[side] += rec->legs[side].unconsumed;
            check_credit(&rec->legs[side], &rec->legs[1 - side]);
        }
    }
    for (int side = 0; side < 2; side++)
        if (t->nodes[side].budget.buffered_used != held[side])
            verdict_violation("side %d: %zu bytes are counted as held, not %zu", side,
                              t->nodes[side].budget.buffered_used, held[side]);
}

void traffic_check_quiet(const struct traffic *t)
{
    for (int side = 0; side < 2; side++) {
        const struct session *s = t->nodes[side].s;
        const struct session *peer = t->nodes[1 - side].s;
        if (s->table.count > 0)
            verdict_violation("side %d: %zu streams are left over", side, s->table.count);
        if (session_received(peer) != s->replay.end)
            verdict_violation("side %d: not all of the sequence came", side);
        if (replay_kept(&s->replay) > 0)
            verdict_violation("side %d: %zu bytes are never acknowledged", side,
                              replay_kept(&s->replay));
        if (s->budget->replay_used > 0)
            verdict_violation("side %d: memory of acknowledged bytes is kept", side);
    }
}
