#include "agent/carrier.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/tls.h"

enum { HELLO_MAX = FRAME_HEAD + 128 + 2 * FRAME_NAME_MAX };

struct carrier {
    struct carrier_setup setup;
    void *owner;
    struct pipe_offer offer;
    struct pipe *pipe; /* NULL once closed */
    struct tls *tls;
    struct timer deadline, keys;
    struct buf head; /* the peer's first frame, until it is whole */
    bool got_hello, closing;
    enum tunnel_failure why;
    char text[128];
};

/* --- closing ------------------------------------------------------------------------------ */

static void fail(struct carrier *c, enum tunnel_failure why, const char *text)
{
    if (c->closing)
        return;
    c->closing = true;
    c->why = why;
    text_message(c->text, sizeof c->text, "%s", text);
    timer_stop(&c->deadline);
    timer_stop(&c->keys);
    if (c->tls)
        tls_stop(c->tls);
    pipe_close(c->pipe, RC_CLOSED); /* what is queued (an alert, CLOSE) still goes */
}

static void on_pipe_closed(void *owner, enum rc why)
{
    struct carrier *c = owner;

    if (!c->closing) {
        bool done = c->got_hello;
        c->why = why == RC_ABSENT || why == RC_AUTH || c->tls == NULL ? TUNNEL_HUB : TUNNEL_HANDSHAKE;
        text_message(c->text, sizeof c->text, "%s",
                     done                      ? "the connection was lost"
                     : pipe_failure(c->pipe)[0] ? pipe_failure(c->pipe)
                                                : "the connection ended during the handshake");
    }
    timer_stop(&c->deadline);
    timer_stop(&c->keys);
    c->setup.events->on_closed(c->owner, c, c->why, c->text);
    tls_free(c->tls);
    buf_done(&c->head);
    mem_wipe(c->offer.ticket, sizeof c->offer.ticket);
    free(c);
}

void carrier_close(struct carrier *c, enum close_reason tell)
{
    if (!c->closing && tell != CLOSE_NONE && c->tls && tls_is_established(c->tls)) {
        struct buf frame;
        buf_init(&frame, 64);
        frame_close_encode(&frame, tell);
        carrier_send(c, buf_view(&frame));
        carrier_flush(c);
        buf_done(&frame);
    }
    fail(c, TUNNEL_NO_FAILURE, "closed");
}

/* --- up: pipe -> tls -> HELLO -> session ------------------------------------------------------ */

static enum rc check_binding(struct carrier *c, const struct frame_hello *hello)
{
    uint8_t own[TLS_EXPORT_LEN];

    enum rc rc = tls_export(c->tls, "EXPORTER-pconnect-hello", own);
    if (rc != RC_OK)
        return rc;
    /* Both ends know the value: no secret to compare in constant time. */
    return memcmp(own, hello->binding, sizeof own) == 0 ? RC_OK : RC_AUTH;
}

static void handle_first(struct carrier *c, const struct frame_head *head, struct reader body)
{
    struct frame_hello hello;

    if (head->type == FRAME_CLOSE) {
        uint8_t why = reader_u8(&body);
        c->setup.events->on_hello(c->owner, c, NULL,
                                  why > CLOSE_NONE && why < CLOSE_REASONS_ ? (enum close_reason)why
                                                                           : CLOSE_VIOLATION);
        return;
    }
    if (head->type != FRAME_HELLO || frame_hello_decode(body, &hello) != RC_OK) {
        fail(c, TUNNEL_PROTOCOL, "the other agent did not begin with HELLO");
        return;
    }
    if (check_binding(c, &hello) != RC_OK) {
        fail(c, TUNNEL_PROTOCOL, "HELLO belongs to another connection");
        return;
    }
    timer_stop(&c->deadline);
    c->got_hello = true;
    c->setup.events->on_hello(c->owner, c, &hello, CLOSE_NONE);
}

/* Gathers the first frame; what lies behind it goes on to the session. */
static void take_first(struct carrier *c, struct reader bytes)
{
    struct frame_head head;
    size_t before = c->head.len;

    buf_put(&c->head, reader_of(bytes.at, bytes.left < HELLO_MAX - before ? bytes.left
                                                                           : HELLO_MAX - before));
    struct reader at = buf_view(&c->head);
    enum rc rc = frame_head_decode(&at, &head);
    if (rc == RC_AGAIN)
        return;
    if (rc != RC_OK || head.length > HELLO_MAX - FRAME_HEAD) {
        fail(c, TUNNEL_PROTOCOL, "the other agent did not begin with HELLO");
        return;
    }
    if (at.left < head.length)
        return;
    size_t used = FRAME_HEAD + head.length - before; /* of `bytes` */
    handle_first(c, &head, reader_slice(&at, head.length));
    buf_done(&c->head);
    (void)reader_slice(&bytes, used);
    if (!c->closing && bytes.left > 0)
        c->setup.events->on_bytes(c->owner, c, bytes);
}

static void on_plain(void *owner, struct reader bytes)
{
    struct carrier *c = owner;

    if (c->closing)
        return;
    if (c->got_hello)
        c->setup.events->on_bytes(c->owner, c, bytes);
    else
        take_first(c, bytes);
}

static void on_established(void *owner)
{
    struct carrier *c = owner;

    tls_gather(c->tls);
    timer_start(&c->keys, CARRIER_KEY_MS);
    c->setup.events->on_established(c->owner, c);
}

static const struct tls_events tls_events = {on_established, on_plain};

static void feed(struct carrier *c, struct reader in)
{
    /* Records that answer (handshake, alerts) are small: they go out with the next flush. */
    enum rc rc = tls_feed(c->tls, &in, pipe_begin(c->pipe));

    pipe_commit(c->pipe);
    if (c->closing || rc == RC_OK)
        return;
    if (rc == RC_AUTH)
        fail(c, TUNNEL_PEER_REFUSED, tls_failure(c->tls));
    else if (rc == RC_EOF)
        fail(c, TUNNEL_HANDSHAKE, "the other agent ended the connection");
    else
        fail(c, c->got_hello ? TUNNEL_PROTOCOL : TUNNEL_HANDSHAKE, tls_failure(c->tls));
}

static void on_pipe_bytes(void *owner, struct reader bytes)
{
    struct carrier *c = owner;

    if (!c->closing && c->tls)
        feed(c, bytes);
}

static void on_pipe_open(void *owner)
{
    struct carrier *c = owner;
    struct ssl_st *ssl;
    enum inner_tls_role role =
        c->setup.role == CARRIER_REACHING ? INNER_TLS_REACHING : INNER_TLS_EXPOSING;

    enum rc rc = inner_tls_connection(c->setup.tls, role, c->offer.peer_key, &ssl);
    if (rc != RC_OK) {
        fail(c, TUNNEL_PEER_REFUSED, rc == RC_AUTH ? "the hub named our own key" : "no memory for TLS");
        return;
    }
    c->tls = tls_new(ssl, c->setup.gather, &tls_events, c);
    if (c->setup.role == CARRIER_REACHING)
        feed(c, reader_of(NULL, 0));
}

static void on_pipe_room(void *owner)
{
    struct carrier *c = owner;

    if (!c->closing)
        c->setup.events->on_room(c->owner, c);
}

static const struct pipe_events pipe_events = {on_pipe_open, on_pipe_bytes, on_pipe_room,
                                               on_pipe_closed};

/* --- down ---------------------------------------------------------------------------------------- */

void carrier_send_hello(struct carrier *c, struct frame_hello *hello)
{
    struct buf frame;

    if (tls_export(c->tls, "EXPORTER-pconnect-hello", hello->binding) != RC_OK) {
        fail(c, TUNNEL_HANDSHAKE, "TLS gave no binding");
        return;
    }
    buf_init(&frame, HELLO_MAX);
    frame_hello_encode(&frame, hello);
    carrier_send(c, buf_view(&frame));
    carrier_flush(c);
    buf_done(&frame);
}

void carrier_send(struct carrier *c, struct reader bytes)
{
    if (c->closing)
        return;
    if (tls_write(c->tls, bytes, pipe_begin(c->pipe)) != RC_OK)
        fail(c, TUNNEL_PROTOCOL, "TLS could not seal");
}

void carrier_flush(struct carrier *c)
{
    pipe_commit(c->pipe);
}

bool carrier_is_full(const struct carrier *c)
{
    return c->closing || pipe_is_full(c->pipe);
}

/* --- life ------------------------------------------------------------------------------------------ */

static void on_deadline(void *owner)
{
    fail(owner, TUNNEL_HANDSHAKE, "the other agent did not answer in time");
}

static void on_keys(void *owner)
{
    struct carrier *c = owner;

    tls_update_keys(c->tls);
    timer_start(&c->keys, CARRIER_KEY_MS);
}

struct carrier *carrier_dial(const struct carrier_setup *setup, const struct pipe_offer *offer)
{
    struct carrier *c = mem_zalloc(sizeof *c);

    c->setup = *setup;
    c->owner = setup->owner;
    c->offer = *offer;
    buf_init(&c->head, HELLO_MAX);
    timer_init(&c->deadline, setup->loop, on_deadline, c);
    timer_init(&c->keys, setup->loop, on_keys, c);
    timer_start(&c->deadline, 2 * CARRIER_HANDSHAKE_MS); /* dialling the hub, then shaking hands */
    c->pipe = pipe_dial(setup->loop, setup->hub, offer->ticket, offer->mode, &pipe_events, c);
    return c;
}

void carrier_own(struct carrier *c, const struct carrier_events *events, void *owner)
{
    c->setup.events = events;
    c->owner = owner;
}

const struct pipe_offer *carrier_offer(const struct carrier *c)
{
    return &c->offer;
}

enum pipe_mode carrier_mode(const struct carrier *c)
{
    return pipe_mode(c->pipe);
}

bool carrier_said_hello(const struct carrier *c)
{
    return c->got_hello;
}
