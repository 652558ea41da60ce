#include "agent/tunnel.h"

#include <stdlib.h>
#include <string.h>

#include "agent/carrier.h"
#include "agent/flow.h"
#include "agent/target.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "net/tls.h"

enum {
    TUNNEL_RETRY_FIRST_MS = 50,
    TUNNEL_RETRY_MAX_MS = 10 * 1000,
    TUNNELS_INCOMING_MAX = 256, /* pipes that were announced and have not said HELLO yet */
    TUNNELS_EXPOSING_MAX = 1024,
    TUNNELS_PEER_MAX = 64, /* of them, of one peer: sessions are held long after their pipes */
    TUNNELS_QUIET_MS = 2000, /* without a byte: memory kept for speed is given back */
};

struct tunnels {
    struct tunnels_setup setup;
    struct session_budget budget;
    struct carrier_setup carrier; /* the parts that all carriers share */
    struct list exposing, reaching, incoming;
    size_t incoming_count, exposing_count;
    struct timer quiet;
    bool busy; /* bytes have passed since `quiet` was set */
};

/* A pipe that the hub has announced, until its HELLO says which session it carries. */
struct incoming {
    struct list link;
    struct tunnels *all;
    struct carrier *carrier;
};

struct tunnel {
    struct list link;
    struct tunnels *all;
    bool exposing;
    char service[64];
    char peer_id[64];
    uint8_t peer_key[IDENTITY_KEY_LEN];
    struct session *session;
    struct carrier *carrier; /* NULL: no pipe now */
    struct list flows;       /* exposing: towards the target */
    enum tunnel_state state;
    struct timer tick;  /* the session's clock */
    struct task pump;   /* output has come up in this round */
    /* reaching side */
    const struct tunnel_events *events;
    void *owner;
    enum pipe_mode mode, next_mode;
    uint32_t said_generation; /* of the latest HELLO, answered or not: never said twice */
    struct timer retry;
    struct task later; /* what must not happen within the caller's call */
    uint64_t retry_ms;
    enum tunnel_failure end_why;
    char end_text[128];
};

struct check_reply {
    struct stream *stream; /* NULL: has gone */
};

static void free_tunnel(struct tunnel *t);

static uint64_t now_us(void)
{
    return clock_ns() / 1000;
}

/* --- ends ------------------------------------------------------------------------------------ */

static void set_state(struct tunnel *t, enum tunnel_state state, enum tunnel_failure why,
                      const char *text)
{
    if (t->state == state && state != TUNNEL_CONNECTING)
        return;
    t->state = state;
    if (t->events)
        t->events->on_state(t->owner, state, why, text);
}

static void say_the_end(void *owner)
{
    struct tunnel *t = owner;

    t->state = TUNNEL_CLOSED;
    if (t->events)
        t->events->on_state(t->owner, TUNNEL_CLOSED, t->end_why, t->end_text);
    free_tunnel(t);
}

static void on_forgotten_closed(void *owner, struct carrier *c, enum tunnel_failure why,
                                const char *text)
{
    (void)owner, (void)c, (void)why, (void)text;
}

/* For a carrier that is closing and that nobody waits for. */
static const struct carrier_events forgotten_events = {.on_closed = on_forgotten_closed};

static void forget_carrier(struct carrier *c, enum close_reason tell)
{
    carrier_own(c, &forgotten_events, NULL);
    carrier_close(c, tell);
}

/* CLOSE may stand only between frames, and a resumed pipe may be within one (docs/protocol.md §6.3). */
static void say_close(struct tunnel *t, enum close_reason why)
{
    struct reader out;

    session_close(t->session, why);
    while ((out = session_output(t->session, loop_now(t->all->setup.loop))).left > 0) {
        size_t len = out.left;
        carrier_send(t->carrier, out);
        session_sent(t->session, len);
    }
    carrier_flush(t->carrier);
}

/* `tell`: what the peer is told, if the session has come as far as to speak through this pipe. */
static void drop_carrier(struct tunnel *t, enum close_reason tell)
{
    struct carrier *c = t->carrier;

    if (c == NULL)
        return;
    if (tell != CLOSE_NONE && session_is_attached(t->session)) {
        say_close(t, tell);
        tell = CLOSE_NONE;
    }
    t->carrier = NULL;
    forget_carrier(c, tell);
}

/* Ends the tunnel from within an event of its own: the memory goes a moment later. */
static void end(struct tunnel *t, enum close_reason tell, enum tunnel_failure why, const char *text)
{
    if (t->end_why != TUNNEL_NO_FAILURE)
        return;
    log_info("tunnel.end", log_str("service", t->service), log_str("why", text));
    t->end_why = why;
    text_message(t->end_text, sizeof t->end_text, "%s", text);
    timer_stop(&t->retry);
    timer_stop(&t->tick);
    task_cancel(&t->pump);
    drop_carrier(t, tell);
    task_init(&t->later, t->all->setup.loop, say_the_end, t);
    task_soon(&t->later);
}

static bool has_ended(const struct tunnel *t)
{
    return t->end_why != TUNNEL_NO_FAILURE;
}

static void free_tunnel(struct tunnel *t)
{
    drop_carrier(t, CLOSE_DONE);
    session_free(t->session); /* its streams end first, and with them the flows */
    timer_stop(&t->tick);
    timer_stop(&t->retry);
    task_cancel(&t->pump); /* which the CLOSE has asked for */
    task_cancel(&t->later);
    list_remove(&t->link);
    if (t->exposing)
        t->all->exposing_count--;
    while (!list_is_empty(&t->flows)) /* sockets that still drain live on without us */
        list_remove(t->flows.next);
    free(t);
}

/* --- the session's clock and output --------------------------------------------------------------- */

static void lose_pipe(struct tunnel *t, enum tunnel_failure why, const char *text);

static void set_tick(struct tunnel *t)
{
    uint64_t due = session_deadline(t->session), now = loop_now(t->all->setup.loop);

    if (due == UINT64_MAX) {
        timer_stop(&t->tick);
        return;
    }
    /* A tick too early costs nothing; moving the timer for every packet would. */
    if (!timer_is_running(&t->tick) || t->tick.due_ms > due)
        timer_start(&t->tick, due > now ? due - now : 0);
}

static void expect_quiet(struct tunnels *ts)
{
    ts->busy = true;
    if (!timer_is_running(&ts->quiet))
        timer_start(&ts->quiet, TUNNELS_QUIET_MS);
}

static void note_bytes(struct tunnels *ts)
{
    if (ts->budget.chunks.idle_count > 0) /* a ping alone leaves nothing to give back */
        expect_quiet(ts);
}

static void on_quiet(void *owner)
{
    struct tunnels *ts = owner;

    if (ts->busy) {
        timer_start(&ts->quiet, TUNNELS_QUIET_MS);
    } else {
        chunk_pool_trim(&ts->budget.chunks);
        platform_trim_memory();
    }
    ts->busy = false;
}

static void pump(void *owner)
{
    struct tunnel *t = owner;

    if (t->carrier == NULL || has_ended(t) || !session_is_attached(t->session))
        return;
    while (!carrier_is_full(t->carrier)) {
        struct reader out = session_output(t->session, loop_now(t->all->setup.loop));
        if (out.left == 0)
            break;
        size_t len = out.left;
        carrier_send(t->carrier, out);
        carrier_flush(t->carrier);
        session_sent(t->session, len);
        note_bytes(t->all);
    }
    set_tick(t);
}

static void on_output(void *owner)
{
    struct tunnel *t = owner;

    task_soon(&t->pump);
}

static void on_tick(void *owner)
{
    struct tunnel *t = owner;

    switch (session_tick(t->session, loop_now(t->all->setup.loop))) {
    case SESSION_FINE:
        break;
    case SESSION_PEER_SILENT:
        lose_pipe(t, TUNNEL_HANDSHAKE, "nothing was heard for 10 s");
        return;
    case SESSION_EXPIRED:
        end(t, CLOSE_NONE, TUNNEL_EXPIRED, "no connection within the hold time");
        return;
    }
    pump(t);
}

/* --- streams that the peer opens (exposing side) --------------------------------------------------- */

static void on_reply_closed(void *owner, enum reset_reason why)
{
    struct check_reply *reply = owner;

    (void)why;
    reply->stream = NULL; /* freed by check_reply_send() */
}

static void on_reply_data(void *owner, struct reader bytes)
{
    struct check_reply *reply = owner;

    if (reply->stream)
        stream_consumed(reply->stream, bytes.left); /* a question has no text */
}

static const struct stream_events reply_events = {.on_data = on_reply_data,
                                                  .on_closed = on_reply_closed};

static void on_answered_closed(void *owner, enum reset_reason why)
{
    (void)owner, (void)why;
}

static void on_answered_data(void *owner, struct reader bytes)
{
    (void)owner, (void)bytes;
}

static const struct stream_events answered_events = {.on_data = on_answered_data,
                                                     .on_closed = on_answered_closed};

void check_reply_send(struct check_reply *reply, struct reader json)
{
    struct stream *st = reply->stream;

    free(reply);
    if (st == NULL)
        return;
    stream_own(st, &answered_events, NULL);
    if (json.left > stream_room(st)) {
        stream_reset(st, RESET_LIMIT);
        return;
    }
    stream_send(st, json);
    stream_fin(st);
}

static void open_check(struct tunnel *t, struct stream *st)
{
    struct check_reply *reply = mem_zalloc(sizeof *reply);

    reply->stream = st;
    stream_own(st, &reply_events, reply);
    t->all->setup.on_check(t->all->setup.owner, t->service, reply);
}

static void on_open(void *owner, struct stream *st, enum stream_kind kind)
{
    struct tunnel *t = owner;
    const struct tunnels_setup *setup = &t->all->setup;
    const struct address *to = setup->find_target(setup->owner, t->service);

    if (to == NULL)
        stream_reset(st, RESET_NO_SERVICE);
    else if (kind == STREAM_CHECK)
        open_check(t, st);
    else if (kind == STREAM_TCP)
        target_open(setup->loop, &t->all->budget.chunks, st, to, &t->flows);
    else
        stream_reset(st, RESET_NOT_PERMITTED);
}

static const struct session_events session_events = {on_open, on_output};

/* --- carriers --------------------------------------------------------------------------------------- */

static void retry_later(struct tunnel *t);

/* The pipe has gone or must go; the session stays. */
static void lose_pipe(struct tunnel *t, enum tunnel_failure why, const char *text)
{
    if (has_ended(t))
        return;
    drop_carrier(t, CLOSE_NONE);
    if (session_is_attached(t->session))
        session_detach(t->session, loop_now(t->all->setup.loop));
    set_tick(t);
    log_info("tunnel.pipe_lost", log_str("service", t->service), log_str("why", text));
    if (t->state == TUNNEL_UP)
        set_state(t, TUNNEL_RECONNECTING, why, text);
    else if (t->state == TUNNEL_CONNECTING)
        set_state(t, TUNNEL_CONNECTING, why, text);
    if (!t->exposing)
        retry_later(t);
}

static void on_carrier_bytes(void *owner, struct carrier *c, struct reader bytes)
{
    struct tunnel *t = owner;

    (void)c;
    if (has_ended(t))
        return;
    note_bytes(t->all);
    enum rc rc = session_input(t->session, bytes, loop_now(t->all->setup.loop));
    if (rc == RC_EOF) {
        end(t, CLOSE_NONE, TUNNEL_ENDED_BY_PEER, close_reason_text(session_close_reason(t->session)));
    } else if (rc != RC_OK) {
        log_warn("tunnel.violation", log_str("service", t->service), log_rc("why", rc));
        end(t, CLOSE_VIOLATION, TUNNEL_PROTOCOL, "the other agent broke the protocol");
    } else {
        set_tick(t);
    }
}

static void on_carrier_room(void *owner, struct carrier *c)
{
    (void)c;
    pump(owner);
}

static struct frame_hello hello_of(struct tunnel *t, uint32_t generation)
{
    struct frame_hello hello = {
        .version_min = FRAME_VERSION,
        .version_max = FRAME_VERSION,
        .generation = generation,
        .received = session_received(t->session),
        .workspace = reader_of(t->all->setup.workspace, strlen(t->all->setup.workspace)),
        .service = reader_of(t->service, strlen(t->service)),
    };

    memcpy(hello.session, session_id(t->session), sizeof hello.session);
    return hello;
}

/* What both sides check alike. */
static enum close_reason check_hello(const struct tunnels *ts, const struct frame_hello *hello)
{
    if (hello->version_min > FRAME_VERSION || hello->version_max < FRAME_VERSION)
        return CLOSE_VERSION;
    if (!reader_is(hello->workspace, ts->setup.workspace))
        return CLOSE_NO_SERVICE;
    return CLOSE_NONE;
}

/* --- reaching side --------------------------------------------------------------------------------- */

static void want_pipe(void *owner)
{
    struct tunnel *t = owner;
    enum pipe_mode mode = t->next_mode;

    t->events->on_want_pipe(t->owner, session_generation(t->session) > 0, mode);
}

/* Full jitter: a hub that comes back is not met by everybody at once. */
static void retry_later(struct tunnel *t)
{
    uint32_t random;

    platform_random(&random, sizeof random);
    timer_start(&t->retry, random % (t->retry_ms + 1));
    t->retry_ms = t->retry_ms * 2 < TUNNEL_RETRY_MAX_MS ? t->retry_ms * 2 : TUNNEL_RETRY_MAX_MS;
}

static void on_reaching_established(void *owner, struct carrier *c)
{
    struct tunnel *t = owner;

    if (!t->events->on_proved(t->owner)) {
        end(t, CLOSE_NONE, TUNNEL_PEER_REFUSED, "its key is not the pinned one");
        return;
    }
    struct frame_hello hello = hello_of(t, ++t->said_generation);
    carrier_send_hello(c, &hello);
    if (hello.generation > 1)
        return; /* what to send next depends on what the peer has */
    if (session_attach(t->session, 1, 0, loop_now(t->all->setup.loop)) == RC_OK)
        pump(t);
}

static void on_reaching_hello(void *owner, struct carrier *c, const struct frame_hello *hello,
                              enum close_reason why)
{
    struct tunnel *t = owner;
    uint64_t now = loop_now(t->all->setup.loop);
    bool first = session_is_attached(t->session); /* generation 1 goes ahead of the answer */
    uint32_t generation = t->said_generation;

    if (hello == NULL) {
        end(t, CLOSE_NONE, TUNNEL_ENDED_BY_PEER, close_reason_text(why));
        return;
    }
    if (check_hello(t->all, hello) != CLOSE_NONE || !reader_is(hello->service, t->service) ||
        memcmp(hello->session, session_id(t->session), SESSION_ID_LEN) != 0 ||
        hello->generation != generation || (first && hello->received != 0)) {
        end(t, CLOSE_VIOLATION, TUNNEL_PROTOCOL, "the other agent answered with another session");
        return;
    }
    if (!first && session_attach(t->session, generation, hello->received, now) != RC_OK) {
        end(t, CLOSE_OFFSET_LOST, TUNNEL_PROTOCOL, close_reason_text(CLOSE_OFFSET_LOST));
        return;
    }
    t->retry_ms = TUNNEL_RETRY_FIRST_MS;
    log_info("tunnel.up", log_str("service", t->service), log_u64("generation", generation),
             log_str("mode", pipe_mode_text(carrier_mode(c))));
    set_state(t, TUNNEL_UP, TUNNEL_NO_FAILURE, "");
    pump(t);
}

/* docs/protocol.md §4.6 */
static void choose_next_mode(struct tunnel *t, struct carrier *c, enum tunnel_failure why)
{
    if (why == TUNNEL_HANDSHAKE && t->mode == PIPE_AUTO && !carrier_said_hello(c) &&
        carrier_mode(c) == PIPE_BARE)
        t->next_mode = PIPE_WRAPPED;
}

static void on_reaching_closed(void *owner, struct carrier *c, enum tunnel_failure why,
                               const char *text)
{
    struct tunnel *t = owner;

    choose_next_mode(t, c, why);
    t->carrier = NULL;
    if (why == TUNNEL_PEER_REFUSED && t->state == TUNNEL_CONNECTING)
        end(t, CLOSE_NONE, why, text);
    else
        lose_pipe(t, why, text);
}

static const struct carrier_events reaching_events = {on_reaching_established, on_reaching_hello,
                                                      on_carrier_bytes, on_carrier_room,
                                                      on_reaching_closed};

struct tunnel *tunnel_open(struct tunnels *ts, const char *service, enum pipe_mode mode,
                           const struct tunnel_events *events, void *owner)
{
    struct tunnel *t = mem_zalloc(sizeof *t);
    struct session_setup setup = {.opener = true,
                                  .hold_ms = ts->setup.hold_ms,
                                  .budget = &ts->budget,
                                  .events = &session_events,
                                  .owner = t,
                                  .clock_us = now_us};

    platform_random(setup.id, sizeof setup.id);
    t->all = ts;
    t->events = events;
    t->owner = owner;
    t->mode = t->next_mode = mode;
    t->retry_ms = TUNNEL_RETRY_FIRST_MS;
    text_message(t->service, sizeof t->service, "%s", service);
    list_init(&t->flows);
    timer_init(&t->tick, ts->setup.loop, on_tick, t);
    timer_init(&t->retry, ts->setup.loop, want_pipe, t);
    task_init(&t->pump, ts->setup.loop, pump, t);
    task_init(&t->later, ts->setup.loop, want_pipe, t);
    t->session = session_new(&setup, loop_now(ts->setup.loop));
    list_append(&ts->reaching, &t->link);
    expect_quiet(ts); /* set-up leaves memory behind, too */
    set_tick(t);
    task_soon(&t->later);
    return t;
}

void tunnel_dial(struct tunnel *t, const struct pipe_offer *offer)
{
    if (has_ended(t) || t->carrier)
        return;
    if (t->peer_id[0] != '\0' && (strcmp(t->peer_id, offer->peer_id) != 0 ||
                                  memcmp(t->peer_key, offer->peer_key, sizeof t->peer_key) != 0)) {
        end(t, CLOSE_NONE, TUNNEL_ENDED_BY_PEER, "the service is now with another agent");
        return;
    }
    memcpy(t->peer_key, offer->peer_key, sizeof t->peer_key);
    text_message(t->peer_id, sizeof t->peer_id, "%s", offer->peer_id);
    struct carrier_setup setup = t->all->carrier;
    setup.role = CARRIER_REACHING;
    setup.events = &reaching_events;
    setup.owner = t;
    t->carrier = carrier_dial(&setup, offer);
}

void tunnel_no_pipe(struct tunnel *t, bool final, const char *text)
{
    if (has_ended(t))
        return;
    if (final)
        end(t, CLOSE_NONE, TUNNEL_HUB, text);
    else
        retry_later(t);
}

void tunnel_retry_now(struct tunnel *t)
{
    if (has_ended(t) || t->carrier || !timer_is_running(&t->retry))
        return;
    t->retry_ms = TUNNEL_RETRY_FIRST_MS;
    timer_start(&t->retry, 0);
}

void tunnel_close(struct tunnel *t)
{
    t->events = NULL;
    free_tunnel(t);
}

/* --- exposing side ---------------------------------------------------------------------------------- */

static void on_exposing_closed(void *owner, struct carrier *c, enum tunnel_failure why, const char *text)
{
    struct tunnel *t = owner;

    (void)c;
    t->carrier = NULL;
    lose_pipe(t, why, text);
}

static const struct carrier_events exposing_events = {.on_bytes = on_carrier_bytes,
                                                      .on_room = on_carrier_room,
                                                      .on_closed = on_exposing_closed};

static struct tunnel *find_exposing(struct tunnels *ts, const uint8_t key[IDENTITY_KEY_LEN],
                                    const uint8_t id[SESSION_ID_LEN])
{
    list_each(at, after, &ts->exposing)
    {
        struct tunnel *t = list_entry(at, struct tunnel, link);
        if (!has_ended(t) && memcmp(session_id(t->session), id, SESSION_ID_LEN) == 0 &&
            memcmp(t->peer_key, key, IDENTITY_KEY_LEN) == 0)
            return t;
    }
    return NULL;
}

static struct tunnel *make_exposing(struct tunnels *ts, const struct frame_hello *hello,
                                    const struct pipe_offer *offer)
{
    struct tunnel *t = mem_zalloc(sizeof *t);
    struct session_setup setup = {.opener = false,
                                  .hold_ms = ts->setup.hold_ms,
                                  .budget = &ts->budget,
                                  .events = &session_events,
                                  .owner = t,
                                  .clock_us = now_us};

    memcpy(setup.id, hello->session, sizeof setup.id);
    t->all = ts;
    t->exposing = true;
    text_message(t->service, sizeof t->service, "%s", offer->service);
    text_message(t->peer_id, sizeof t->peer_id, "%s", offer->peer_id);
    memcpy(t->peer_key, offer->peer_key, sizeof t->peer_key);
    list_init(&t->flows);
    timer_init(&t->tick, ts->setup.loop, on_tick, t);
    timer_init(&t->retry, ts->setup.loop, NULL, t);
    task_init(&t->pump, ts->setup.loop, pump, t);
    task_init(&t->later, ts->setup.loop, NULL, t);
    t->session = session_new(&setup, loop_now(ts->setup.loop));
    list_append(&ts->exposing, &t->link);
    expect_quiet(ts);
    ts->exposing_count++;
    return t;
}

static size_t count_of_peer(struct tunnels *ts, const uint8_t key[IDENTITY_KEY_LEN])
{
    size_t count = 0;

    list_each(at, after, &ts->exposing)
    {
        if (memcmp(list_entry(at, struct tunnel, link)->peer_key, key, IDENTITY_KEY_LEN) == 0)
            count++;
    }
    return count;
}

/* docs/protocol.md §6.5: which session this pipe carries, or why none. */
static enum close_reason match(struct tunnels *ts, const struct frame_hello *hello,
                               const struct pipe_offer *offer, struct tunnel **out)
{
    enum close_reason why = check_hello(ts, hello);
    struct tunnel *t = find_exposing(ts, offer->peer_key, hello->session);

    if (why != CLOSE_NONE)
        return why;
    if (!reader_is(hello->service, offer->service) ||
        ts->setup.find_target(ts->setup.owner, offer->service) == NULL ||
        (t && strcmp(t->service, offer->service) != 0))
        return CLOSE_NO_SERVICE;
    if (t == NULL && (hello->generation != 1 || hello->received != 0))
        return CLOSE_UNKNOWN_SESSION;
    if (t && hello->generation <= session_generation(t->session))
        return CLOSE_OLD_GENERATION;
    if (t == NULL && (ts->exposing_count >= TUNNELS_EXPOSING_MAX ||
                      count_of_peer(ts, offer->peer_key) >= TUNNELS_PEER_MAX))
        return CLOSE_LIMIT;
    *out = t ? t : make_exposing(ts, hello, offer);
    return CLOSE_NONE;
}

static void free_incoming(struct incoming *in)
{
    in->all->incoming_count--;
    list_remove(&in->link);
    free(in);
}

static void refuse(struct incoming *in, enum close_reason why)
{
    const struct pipe_offer *offer = carrier_offer(in->carrier);

    log_info("tunnel.refused", log_str("service", offer->service), log_str("peer", offer->peer_id),
             log_str("why", close_reason_text(why)));
    forget_carrier(in->carrier, why);
    free_incoming(in);
}

/* The older pipe, if its loss has not been noticed yet, is fenced from here on. */
static enum rc take_over(struct tunnel *t, const struct frame_hello *hello)
{
    uint64_t now = loop_now(t->all->setup.loop);

    drop_carrier(t, CLOSE_NONE);
    if (session_is_attached(t->session))
        session_detach(t->session, now);
    return session_attach(t->session, hello->generation, hello->received, now);
}

static bool is_to_be_trusted(const struct tunnels *ts, const struct pipe_offer *offer)
{
    return ts->setup.on_peer_proved == NULL || ts->setup.on_peer_proved(ts->setup.owner, offer);
}

static void on_incoming_hello(void *owner, struct carrier *c, const struct frame_hello *hello,
                              enum close_reason why)
{
    struct incoming *in = owner;
    struct tunnel *t;

    if (hello == NULL) {
        refuse(in, why);
        return;
    }
    if (!is_to_be_trusted(in->all, carrier_offer(c))) {
        refuse(in, CLOSE_NO_SERVICE);
        return;
    }
    why = match(in->all, hello, carrier_offer(c), &t);
    if (why != CLOSE_NONE) {
        refuse(in, why);
        return;
    }
    if (take_over(t, hello) != RC_OK) {
        refuse(in, CLOSE_OFFSET_LOST);
        end(t, CLOSE_NONE, TUNNEL_PROTOCOL, close_reason_text(CLOSE_OFFSET_LOST));
        return;
    }
    free_incoming(in);
    carrier_own(c, &exposing_events, t);
    t->carrier = c;
    struct frame_hello answer = hello_of(t, hello->generation);
    carrier_send_hello(c, &answer);
    log_info("tunnel.up", log_str("service", t->service), log_str("peer", t->peer_id),
             log_u64("generation", hello->generation),
             log_str("mode", pipe_mode_text(carrier_mode(c))));
    set_state(t, TUNNEL_UP, TUNNEL_NO_FAILURE, "");
    pump(t);
}

static void on_incoming_established(void *owner, struct carrier *c)
{
    (void)owner, (void)c; /* the reaching side speaks first */
}

static void on_incoming_room(void *owner, struct carrier *c)
{
    (void)owner, (void)c;
}

static void on_incoming_closed(void *owner, struct carrier *c, enum tunnel_failure why,
                               const char *text)
{
    const struct pipe_offer *offer = carrier_offer(c);

    if (why == TUNNEL_PEER_REFUSED)
        log_warn("tunnel.peer_refused", log_str("peer", offer->peer_id),
                 log_str("service", offer->service), log_str("why", text));
    else
        log_info("tunnel.incoming_failed", log_str("peer", offer->peer_id), log_str("why", text));
    free_incoming(owner);
}

static const struct carrier_events incoming_events = {.on_established = on_incoming_established,
                                                      .on_hello = on_incoming_hello,
                                                      .on_room = on_incoming_room,
                                                      .on_closed = on_incoming_closed};

void tunnels_accept(struct tunnels *ts, const struct pipe_offer *offer)
{
    if (ts->incoming_count >= TUNNELS_INCOMING_MAX) {
        log_warn("tunnel.too_many_incoming", log_str("service", offer->service));
        return;
    }
    struct incoming *in = mem_zalloc(sizeof *in);
    struct carrier_setup setup = ts->carrier;

    in->all = ts;
    list_init(&in->link);
    list_append(&ts->incoming, &in->link);
    ts->incoming_count++;
    setup.role = CARRIER_EXPOSING;
    setup.events = &incoming_events;
    setup.owner = in;
    in->carrier = carrier_dial(&setup, offer);
}

void tunnels_withdraw(struct tunnels *ts, const char *service)
{
    list_each(at, after, &ts->exposing)
    {
        struct tunnel *t = list_entry(at, struct tunnel, link);
        if (strcmp(t->service, service) == 0)
            end(t, CLOSE_NO_SERVICE, TUNNEL_ENDED_BY_PEER, "no longer exposed");
    }
}

size_t tunnels_streams(const struct tunnels *ts, const char *service)
{
    size_t count = 0;

    for (const struct list *at = ts->exposing.next; at != &ts->exposing; at = at->next) {
        const struct tunnel *t =
            (const struct tunnel *)(const void *)((const char *)at - offsetof(struct tunnel, link));
        struct session_stats stats;
        if (strcmp(t->service, service) != 0)
            continue;
        session_stats(t->session, &stats);
        count += stats.streams;
    }
    return count;
}

/* --- all of them --------------------------------------------------------------------------------------- */

struct tunnels *tunnels_new(const struct tunnels_setup *setup)
{
    struct tunnels *ts = mem_zalloc(sizeof *ts);

    ts->setup = *setup;
    session_budget_init(&ts->budget);
    list_init(&ts->exposing);
    list_init(&ts->reaching);
    list_init(&ts->incoming);
    timer_init(&ts->quiet, setup->loop, on_quiet, ts);
    ts->carrier = (struct carrier_setup){.loop = setup->loop,
                                         .hub = setup->hub,
                                         .tls = setup->tls,
                                         .gather = mem_zalloc(TLS_GATHER)};
    return ts;
}

void tunnels_set_workspace(struct tunnels *ts, const char *workspace)
{
    text_message(ts->setup.workspace, sizeof ts->setup.workspace, "%s", workspace);
}

static void free_all(struct list *tunnels)
{
    while (!list_is_empty(tunnels)) {
        struct tunnel *t = list_entry(tunnels->next, struct tunnel, link);
        t->events = NULL;
        drop_carrier(t, CLOSE_SHUTDOWN);
        free_tunnel(t);
    }
}

void tunnels_free(struct tunnels *ts)
{
    if (ts == NULL)
        return;
    while (!list_is_empty(&ts->incoming)) {
        struct incoming *in = list_entry(ts->incoming.next, struct incoming, link);
        forget_carrier(in->carrier, CLOSE_SHUTDOWN);
        free_incoming(in);
    }
    free_all(&ts->reaching);
    free_all(&ts->exposing);
    timer_stop(&ts->quiet);
    session_budget_done(&ts->budget);
    free(ts->carrier.gather);
    free(ts);
}

/* --- questions ------------------------------------------------------------------------------------------ */

struct session *tunnel_session(struct tunnel *t)
{
    return t->session;
}

struct chunk_pool *tunnel_chunks(struct tunnel *t)
{
    return &t->all->budget.chunks;
}

enum tunnel_state tunnel_state(const struct tunnel *t)
{
    return t->state;
}

enum pipe_mode tunnel_pipe_mode(const struct tunnel *t)
{
    return t->carrier ? carrier_mode(t->carrier) : t->mode;
}

const char *tunnel_peer_id(const struct tunnel *t)
{
    return t->peer_id;
}
