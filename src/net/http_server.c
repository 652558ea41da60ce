#include "net/http_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/outer_tls.h"
#include "net/http_exchange.h"

enum {
    /* A head, what came in one piece with it, and the piece that a pause lets through. */
    INPUT_MAX = HTTP1_HEAD_MAX + 2 * LOOP_SCRATCH,
    ANSWER_HEAD_MAX = 16 * 1024,
    ERROR_MAX = 512,
    WARN_MS = 1000, /* between two lines of the log that say the same */
};

struct http_server {
    struct loop *loop;
    struct ssl_ctx_st *context; /* NULL: plain */
    const struct http_server_events *events;
    void *owner;
    struct listener *listener; /* NULL: draining */
    uint16_t port;
    struct list connections;
    size_t count;
    uint64_t request_ms, idle_ms;
    uint64_t warn_after_ms;
};

struct http_connection {
    struct http_server *server; /* NULL: it has been closed, or we are no longer its own */
    struct channel *ch;         /* NULL: given away by an upgrade */
    struct list link;
    struct timer deadline; /* of the request on its way, or of the silence between two */
    struct task next;      /* goes on with `input` after an answer; or frees us after an upgrade */
    struct buf input;      /* not handled yet; holds no memory while idle */
    size_t scanned;        /* bytes of `input` in which no head ended */
    struct http_exchange *x; /* on its way or unanswered; NULL: between two */
    size_t unsent;           /* at the start of the silence */
    bool begun;              /* the first byte of a request is there */
    bool answering;          /* `x` is the owner's until it answers */
    bool ended;              /* the client will send no more */
    bool finishing;          /* nothing more is read or handled */
    bool running;
};

/* --- the end of a connection ---------------------------------------------------------- */

static void leave_server(struct http_connection *c)
{
    if (c->server)
        c->server->count--;
    list_remove(&c->link);
    c->server = NULL;
}

static void drop_exchange(struct http_connection *c)
{
    if (c->x && c->answering)
        c->x->from = NULL; /* its owner still has it */
    else
        http_exchange_free(c->x);
    c->x = NULL;
    c->answering = false;
}

static void free_connection(void *owner)
{
    struct http_connection *c = owner;

    leave_server(c);
    drop_exchange(c);
    timer_stop(&c->deadline);
    task_cancel(&c->next);
    buf_done(&c->input);
    free(c);
}

static void on_closed(void *owner, enum rc why)
{
    (void)why; /* a client that goes is nothing to speak of */
    free_connection(owner);
}

static void stop(struct http_connection *c)
{
    c->finishing = true;
    timer_stop(&c->deadline);
    task_cancel(&c->next);
    buf_done(&c->input);
}

static void finish(struct http_connection *c)
{
    stop(c);
    channel_finish(c->ch, RC_CLOSED);
}

static void cut(struct http_connection *c, enum rc why)
{
    stop(c);
    channel_close(c->ch, why);
}

/* --- answers -------------------------------------------------------------------------- */

static void send_answer(struct http_connection *c, const struct http_answer *a)
{
    struct buf out;

    buf_init(&out, ANSWER_HEAD_MAX + a->body.left);
    http_answer_put(&out, a, clock_unix());
    if (buf_ok(&out)) {
        channel_send(c->ch, buf_view(&out));
    } else { /* a header of ours that cannot be written */
        log_error("http.answer", log_u64("status", a->status));
        cut(c, RC_SYSTEM);
    }
    buf_done(&out);
    if (!c->finishing && !a->keep_alive)
        finish(c);
}

/* Answers what never became a request for the owner, and ends the connection. */
static void refuse(struct http_connection *c, unsigned status, const char *code,
                   const char *message)
{
    struct buf body;
    bool head_only = c->x && strcmp(c->x->method, "HEAD") == 0;

    drop_exchange(c);
    buf_init(&body, ERROR_MAX);
    http_answer_put_error(&body, code, message);
    struct http_answer a = {.status = status,
                            .content_type = "application/json",
                            .body = buf_view(&body),
                            .head_only = head_only};
    send_answer(c, &a);
    buf_done(&body);
}

/* --- a request comes ------------------------------------------------------------------ */

static void deliver(struct http_connection *c)
{
    timer_stop(&c->deadline);
    c->begun = false;
    c->answering = true;
    c->server->events->on_request(c->server->owner, c->x);
}

/* RC_OK: a request was handed over. RC_AGAIN: not yet. RC_CLOSED: refused. */
static enum rc receive_body(struct http_connection *c)
{
    struct http_exchange *x = c->x;

    while (!x->framing.done) {
        struct reader in = buf_view(&c->input), data;
        enum rc rc = http1_body_decode(&x->framing, &in, &data);
        if (rc == RC_OK)
            buf_put(&x->body, data);
        if (!buf_ok(&x->body)) {
            refuse(c, 413, "limit", "the body is too large");
            return RC_CLOSED;
        }
        if (rc != RC_OK && rc != RC_AGAIN) {
            refuse(c, 400, "bad_request", "the body is not as HTTP/1.1 says");
            return RC_CLOSED;
        }
        buf_consume(&c->input, c->input.len - in.left);
        if (rc == RC_AGAIN)
            return rc;
    }
    deliver(c);
    return RC_OK;
}

/* RFC 9110 §10.1.1. False: refused. */
static bool meet_expectation(struct http_connection *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct http1_head *head = &c->x->head;

    if (head->minor == 0 || http1_header_count(head, "Expect") == 0)
        return true;
    if (!http1_header_has_token(head, "Expect", "100-continue")) {
        refuse(c, 417, "bad_request", "this expectation cannot be met");
        return false;
    }
    if (!c->x->framing.done && c->input.len == 0)
        channel_send(c->ch, reader_of(go_on, sizeof go_on - 1));
    return true;
}

/* Whether another look can tell more than the last. A client that sends single bytes must not cost
 * us a whole head each time. */
static bool is_worth_a_look(struct http_connection *c)
{
    struct reader all = buf_view(&c->input);
    struct reader fresh = reader_of(all.at + c->scanned, all.left - c->scanned);
    bool worth =
        c->scanned == 0 || all.left >= HTTP1_HEAD_MAX || memchr(fresh.at, '\n', fresh.left) != NULL;

    c->scanned = all.left;
    return worth;
}

static enum rc receive_head(struct http_connection *c)
{
    struct reader rest = buf_view(&c->input);
    struct http1_head head;

    if (!is_worth_a_look(c))
        return RC_AGAIN;
    enum rc rc = http1_request_decode(&rest, &head);
    if (rc == RC_AGAIN)
        return rc;
    if (rc == RC_LIMIT) {
        refuse(c, 431, "limit", "the head of the request is too large");
        return RC_CLOSED;
    }
    if (rc != RC_OK) {
        refuse(c, 400, "bad_request", "the request is not as HTTP/1.1 says");
        return RC_CLOSED;
    }
    c->x = http_exchange_new(c, &head, &c->input, rest, channel_peer(c->ch));
    c->scanned = 0;
    if (head.has_length && head.length > HTTP_BODY_MAX) {
        refuse(c, 413, "limit", "the body is too large");
        return RC_CLOSED;
    }
    return meet_expectation(c) ? receive_body(c) : RC_CLOSED;
}

/* One request at most. RC_OK: there may be another. */
static enum rc step(struct http_connection *c)
{
    if (c->input.len == 0 || channel_is_full(c->ch))
        return RC_AGAIN;
    if (!c->begun) {
        c->begun = true;
        timer_start(&c->deadline, c->server->request_ms);
    }
    return c->x ? receive_body(c) : receive_head(c);
}

/* --- between two requests ------------------------------------------------------------- */

static void be_silent(struct http_connection *c)
{
    c->unsent = conn_queued(channel_conn(c->ch));
    timer_start(&c->deadline, c->server->idle_ms);
}

/* Nothing more can be done now: wait for what comes next. */
static void settle(struct http_connection *c)
{
    if (c->ch == NULL || c->finishing)
        return;
    if (c->answering) {
        channel_pause(c->ch);
        return;
    }
    if (c->input.len == 0)
        buf_done(&c->input);
    c->input.limit = INPUT_MAX;
    if (c->input.len > 0 && channel_is_full(c->ch)) {
        channel_pause(c->ch); /* until on_room */
    } else if (c->ended) {
        finish(c);
        return;
    } else {
        channel_resume(c->ch);
    }
    if (!c->begun)
        be_silent(c);
}

/* Handles what is there, one request after the other. */
static void run(void *owner)
{
    struct http_connection *c = owner;
    enum rc rc = RC_OK;

    if (c->running)
        return;
    c->running = true;
    while (rc == RC_OK && c->ch && !c->finishing && !c->answering)
        rc = step(c);
    c->running = false;
    settle(c);
}

static void on_deadline(void *owner)
{
    struct http_connection *c = owner;
    size_t unsent = conn_queued(channel_conn(c->ch));

    if (c->begun)
        refuse(c, 408, "bad_request", "the request took too long");
    else if (unsent > 0 && unsent < c->unsent)
        be_silent(c); /* a slow reader, but it reads */
    else
        cut(c, RC_TIMEOUT);
}

static void on_open(void *owner)
{
    struct http_connection *c = owner;

    /* Whoever connects has something to say. */
    timer_start(&c->deadline, c->server->request_ms);
}

static void on_bytes(void *owner, struct reader bytes)
{
    struct http_connection *c = owner;

    if (c->finishing)
        return;
    buf_put(&c->input, bytes);
    if (buf_ok(&c->input))
        run(c);
    else
        cut(c, RC_LIMIT);
}

static void on_end(void *owner)
{
    struct http_connection *c = owner;

    c->ended = true;
    run(c);
}

static const struct channel_events channel_events = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_room = run,
    .on_closed = on_closed,
};

/* --- the owner's answer --------------------------------------------------------------- */

/* Ends the exchange; returns its connection unless the client has gone. */
static struct http_connection *take_back(struct http_exchange *x)
{
    struct http_connection *c = x->from;

    if (c) {
        c->x = NULL;
        c->answering = false;
    }
    return c && !c->finishing ? c : NULL;
}

void http_respond(struct http_exchange *x, unsigned status, const char *content_type,
                  struct reader body, const char *headers)
{
    struct http_connection *c = take_back(x);

    if (c) {
        struct http_answer a = {.status = status,
                                .content_type = content_type,
                                .body = body,
                                .headers = headers,
                                .head_only = strcmp(x->method, "HEAD") == 0,
                                .keep_alive = http1_keeps_alive(&x->head) && c->server->listener,
                                .old = x->head.minor == 0};
        send_answer(c, &a);
    }
    http_exchange_free(x);
    if (c && !c->finishing && !c->running)
        task_soon(&c->next);
}

enum rc http_upgrade(struct http_exchange *x, const char *headers, struct channel **ch,
                     struct reader *rest)
{
    struct http_connection *c = take_back(x);
    struct buf out;

    http_exchange_free(x);
    if (c == NULL)
        return RC_CLOSED;
    if (c->ended) {
        finish(c);
        return RC_CLOSED;
    }
    buf_init(&out, ANSWER_HEAD_MAX);
    http_answer_put_upgrade(&out, headers);
    channel_send(c->ch, buf_view(&out));
    buf_done(&out);

    leave_server(c);
    timer_stop(&c->deadline);
    *ch = c->ch;
    *rest = buf_view(&c->input);
    c->ch = NULL;
    channel_resume(*ch);
    /* `rest` is ours until the loop has gone on. */
    task_init(&c->next, channel_loop(*ch), free_connection, c);
    task_soon(&c->next);
    return RC_OK;
}

enum rc http_binding(const struct http_exchange *x, uint8_t out[32])
{
    return x->from && !x->from->finishing ? channel_binding(x->from->ch, out) : RC_ABSENT;
}

/* --- the server ----------------------------------------------------------------------- */

static void warn_full(struct http_server *s)
{
    if (loop_now(s->loop) < s->warn_after_ms)
        return;
    s->warn_after_ms = loop_now(s->loop) + WARN_MS;
    log_warn("http.turned_away", log_u64("connections", s->count));
}

static void on_accept(void *owner, int fd)
{
    struct http_server *s = owner;
    struct ssl_st *ssl = NULL;

    if (s->context && s->count < HTTP_SERVER_CONNECTIONS_MAX)
        ssl = outer_tls_connection(s->context, NULL);
    if (s->count >= HTTP_SERVER_CONNECTIONS_MAX || (s->context && ssl == NULL)) {
        warn_full(s);
        (void)close(fd);
        return;
    }
    struct http_connection *c = mem_zalloc(sizeof *c);
    c->server = s;
    buf_init(&c->input, INPUT_MAX);
    timer_init(&c->deadline, s->loop, on_deadline, c);
    task_init(&c->next, s->loop, run, c);
    list_init(&c->link);
    list_append(&s->connections, &c->link);
    s->count++;
    c->ch = channel_new(s->loop, fd, ssl, &channel_events, c);
}

enum rc http_server_open(struct loop *l, const struct address *at, struct ssl_ctx_st *context,
                         const struct http_server_events *events, void *owner,
                         struct http_server **out)
{
    struct http_server *s = mem_zalloc(sizeof *s);

    s->loop = l;
    s->context = context;
    s->events = events;
    s->owner = owner;
    s->request_ms = HTTP_REQUEST_MS;
    s->idle_ms = HTTP_IDLE_MS;
    list_init(&s->connections);
    enum rc rc = listener_open(l, at, on_accept, s, &s->listener);
    if (rc != RC_OK) {
        free(s);
        return rc;
    }
    s->port = listener_port(s->listener);
    *out = s;
    return RC_OK;
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

void http_server_set_context(struct http_server *s, struct ssl_ctx_st *context)
{
    s->context = context;
}

void http_server_set_deadlines(struct http_server *s, uint64_t request_ms, uint64_t idle_ms)
{
    s->request_ms = request_ms;
    s->idle_ms = idle_ms;
}

void http_server_drain(struct http_server *s)
{
    listener_close(s->listener);
    s->listener = NULL;
    list_each(at, after, &s->connections) {
        struct http_connection *c = list_entry(at, struct http_connection, link);
        if (!c->begun && !c->answering && !c->running && !c->finishing)
            finish(c);
    }
}

void http_server_close(struct http_server *s)
{
    if (s == NULL)
        return;
    listener_close(s->listener);
    while (!list_is_empty(&s->connections)) {
        struct http_connection *c = list_entry(s->connections.next, struct http_connection, link);
        leave_server(c);
        cut(c, RC_CLOSED);
        if (!c->answering)
            drop_exchange(c);
    }
    free(s);
}

size_t http_server_connections(const struct http_server *s)
{
    return s->count;
}
