#include "net/hub_call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "crypto/outer_tls.h"
#include "net/dial.h"
#include "net/websocket.h"
#include "wire/base64.h"
#include "wire/http1.h"

enum {
    CALL_REQUEST_MAX = 4 * 1024,                   /* our own request's head */
    CALL_INTERIM_MAX = 8,                          /* 1xx answers before the real one */
    CALL_HEAD_MAX = HTTP1_HEAD_MAX + LOOP_SCRATCH, /* a head, and what came in one piece with it */
    BINDING_LEN = 32,
    KEY_LEN = 16,
};

struct hub_call {
    struct loop *loop;
    const struct hub_address *hub;
    const struct hub_call_events *events;
    void *owner;
    struct dial *dial;  /* NULL: connected, or over */
    struct channel *ch; /* NULL: not yet, or over */
    struct timer deadline;
    struct buf request; /* the head but for its end; holds the bearer, wiped by buf_done() */
    struct buf request_body;
    char *method, *upgrade, *subprotocol; /* what the answer is judged by */
    bool binding, open, over;
    char accept[29]; /* Sec-WebSocket-Accept that must come */
    struct buf head; /* of the answer, until it is whole */
    bool has_head;
    unsigned interim, status;
    struct http1_body framing;
    struct buf body;
    bool has_fingerprint;
    uint8_t fingerprint[FINGERPRINT_LEN];
    char name[ADDRESS_TEXT_SIZE]; /* of the hub, for people */
    char text[ADDRESS_TEXT_SIZE + 192];
};

/* --- the end -------------------------------------------------------------------------- */

static void on_forgotten(void *owner, enum rc why)
{
    (void)owner, (void)why;
}

static void on_forgotten_bytes(void *owner, struct reader bytes)
{
    (void)owner, (void)bytes;
}

/* A channel nobody waits for any more, until it has freed itself. */
static const struct channel_events forgotten = {
    .on_bytes = on_forgotten_bytes,
    .on_closed = on_forgotten,
};

static void note_fingerprint(struct hub_call *call)
{
    if (call->ch && channel_fingerprint(call->ch, call->fingerprint) == RC_OK)
        call->has_fingerprint = true;
}

/* Lets go of everything that could still happen. */
static void disconnect(struct hub_call *call)
{
    call->over = true;
    timer_stop(&call->deadline);
    dial_cancel(call->dial);
    call->dial = NULL;
    if (call->ch) {
        channel_own(call->ch, &forgotten, NULL);
        channel_close(call->ch, RC_CLOSED);
    }
    call->ch = NULL;
}

static void dispose(struct hub_call *call)
{
    buf_done(&call->request);
    buf_done(&call->request_body);
    buf_done(&call->head);
    buf_done(&call->body);
    free(call->method);
    free(call->upgrade);
    free(call->subprotocol);
    free(call);
}

void hub_call_cancel(struct hub_call *call)
{
    if (call == NULL || call->over)
        return;
    disconnect(call);
    dispose(call);
}

__attribute__((format(printf, 3, 4))) static void fail(struct hub_call *call, enum rc why,
                                                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(call->text, sizeof call->text, format, args);
    va_end(args);
    note_fingerprint(call);
    disconnect(call);
    call->events->on_failed(call->owner, why, call->text);
    dispose(call);
}

static void fail_protocol(struct hub_call *call, const char *what)
{
    fail(call, RC_PROTO, "%s answers, but not as a hub does: %s", call->name, what);
}

static void answer(struct hub_call *call)
{
    note_fingerprint(call);
    disconnect(call);
    call->events->on_answer(call->owner, call->status, buf_view(&call->body));
    dispose(call);
}

/* --- the answer ----------------------------------------------------------------------- */

/* The only value of a header; a failed reader when it is absent or stands there twice. */
static struct reader only(const struct http1_head *head, const char *name)
{
    struct reader none = {.failed = true};

    return http1_header_count(head, name) == 1 ? http1_header(head, name) : none;
}

/* RFC 6455 §4.1: what a client must check before it believes the 101. */
static const char *judge_websocket(const struct hub_call *call, const struct http1_head *head)
{
    struct reader accept = only(head, "Sec-WebSocket-Accept");
    size_t chosen = http1_header_count(head, "Sec-WebSocket-Protocol");

    if (!reader_ok(&accept) || !reader_is(accept, call->accept))
        return "its Sec-WebSocket-Accept is wrong";
    if (http1_header_count(head, "Sec-WebSocket-Extensions") > 0)
        return "it chose an extension nobody offered";
    if (chosen > 0 && (call->subprotocol == NULL || chosen > 1 ||
                       !reader_is(http1_header(head, "Sec-WebSocket-Protocol"), call->subprotocol)))
        return "it chose a subprotocol nobody offered";
    return NULL;
}

static bool is_same_word(struct reader a, const char *b, size_t len)
{
    for (size_t i = 0; i < len && i < a.left; i++) {
        char x = (char)a.at[i];
        if ((x >= 'A' && x <= 'Z' ? x + 32 : x) != (b[i] >= 'A' && b[i] <= 'Z' ? b[i] + 32 : b[i]))
            return false;
    }
    return a.left == len;
}

/* Whether `chosen` is one of the comma-separated words in `offer`. */
static bool was_offered(struct reader chosen, const char *offer)
{
    while (*offer != '\0') {
        offer += strspn(offer, ", ");
        size_t len = strcspn(offer, ", ");
        if (len > 0 && is_same_word(chosen, offer, len))
            return true;
        offer += len;
    }
    return false;
}

/* NULL: the 101 is the one we asked for. Otherwise what is wrong with it. */
static const char *judge_upgrade(const struct hub_call *call, const struct http1_head *head)
{
    struct reader chosen = only(head, "Upgrade");

    if (call->upgrade == NULL)
        return "it changed the protocol unasked";
    if (!reader_ok(&chosen) || !was_offered(chosen, call->upgrade) ||
        !http1_header_has_token(head, "Connection", "upgrade"))
        return "it changed to a protocol nobody offered";
    if (is_same_word(chosen, "websocket", strlen("websocket")))
        return judge_websocket(call, head);
    return NULL;
}

static void take_upgrade(struct hub_call *call, const struct http1_head *head, struct reader rest)
{
    const char *wrong = judge_upgrade(call, head);

    if (wrong) {
        fail_protocol(call, wrong);
        return;
    }
    note_fingerprint(call);
    struct channel *ch = call->ch;
    call->ch = NULL; /* the owner's now */
    disconnect(call);
    call->events->on_upgrade(call->owner, ch, head, rest);
    dispose(call);
}

static void take_body(struct hub_call *call, struct reader in)
{
    for (;;) {
        struct reader data;
        enum rc rc = http1_body_decode(&call->framing, &in, &data);
        if (rc == RC_AGAIN)
            return;
        if (rc == RC_OK)
            buf_put(&call->body, data);
        if (rc != RC_OK || !buf_ok(&call->body)) {
            fail_protocol(call, rc == RC_OK ? "its answer is too long" : "its answer is broken");
            return;
        }
        if (call->framing.done) {
            answer(call);
            return;
        }
    }
}

static const char *describe_bad_head(const struct hub_call *call)
{
    struct reader in = buf_view(&call->head);
    uint8_t first = reader_u8(&in), second = reader_u8(&in);

    /* A TLS record: an alert or a handshake message, version 3.x. */
    if (!call->hub->tls && (first == 0x15 || first == 0x16) && second == 0x03)
        return "it speaks TLS; write https://";
    return "it does not speak HTTP";
}

/* RC_OK: the head of the real answer has come, and `rest` is what stands behind it. */
static enum rc take_head(struct hub_call *call, struct http1_head *head, struct reader *rest)
{
    *rest = buf_view(&call->head);
    for (;;) {
        enum rc rc = http1_response_decode(rest, head);
        if (rc != RC_OK)
            return rc;
        if (head->status >= 200 || head->status == 101)
            return RC_OK;
        if (++call->interim > CALL_INTERIM_MAX)
            return RC_LIMIT;
        buf_consume(&call->head, call->head.len - rest->left);
        *rest = buf_view(&call->head);
    }
}

static void on_bytes(void *owner, struct reader bytes)
{
    struct hub_call *call = owner;
    struct http1_head head;
    struct reader rest;

    if (call->has_head) {
        take_body(call, bytes);
        return;
    }
    buf_put(&call->head, bytes);
    enum rc rc = buf_ok(&call->head) ? take_head(call, &head, &rest) : RC_LIMIT;
    if (rc == RC_AGAIN)
        return;
    if (rc != RC_OK) {
        fail_protocol(call, describe_bad_head(call));
        return;
    }
    if (head.status == 101) {
        take_upgrade(call, &head, rest);
        return;
    }
    call->has_head = true;
    call->status = head.status;
    http1_body_of_response(&head, reader_of(call->method, strlen(call->method)), &call->framing);
    take_body(call, rest);
}

static void fail_cut(struct hub_call *call)
{
    bool silent = !call->has_head && call->head.len == 0;

    fail(call, RC_SYSTEM, "%s closed the connection before it had answered%s", call->name,
         silent && !call->hub->tls ? "; perhaps it wants https://" : "");
}

/* The hub ends the stream: a body without a length is whole then, anything else is cut. */
static void on_end(void *owner)
{
    struct hub_call *call = owner;

    if (call->has_head && http1_body_end(&call->framing) == RC_OK)
        answer(call);
    else
        fail_cut(call);
}

/* --- the request ---------------------------------------------------------------------- */

static void put_binding(struct hub_call *call)
{
    uint8_t binding[BINDING_LEN];
    struct buf text;

    if (channel_binding(call->ch, binding) != RC_OK) {
        http1_put_header(&call->request, "Pconnect-Binding", "none");
        return;
    }
    buf_init(&text, base64_len(sizeof binding) + 1);
    base64url_encode(&text, reader_of(binding, sizeof binding));
    buf_put_u8(&text, 0);
    http1_put_header(&call->request, "Pconnect-Binding", (const char *)buf_view(&text).at);
    buf_done(&text);
}

static void on_open(void *owner)
{
    struct hub_call *call = owner;

    call->open = true;
    if (call->binding)
        put_binding(call);
    http1_put_end(&call->request);
    buf_put(&call->request, buf_view(&call->request_body));
    if (!buf_ok(&call->request)) {
        fail(call, RC_INPUT, "the request to %s cannot be written", call->name);
        return;
    }
    channel_send(call->ch, buf_view(&call->request));
    buf_done(&call->request);
    buf_done(&call->request_body);
}

static void on_closed(void *owner, enum rc why)
{
    struct hub_call *call = owner;
    const char *detail = channel_failure(call->ch);
    bool tls = call->hub->tls && !call->open;
    char text[128];

    text_message(text, sizeof text, "%s", detail);
    note_fingerprint(call);
    call->ch = NULL; /* it frees itself */
    if (why == RC_AUTH)
        fail(call, why, "the certificate of %s is not trusted: %s", call->name, text);
    else if (why == RC_TIMEOUT)
        fail(call, why, "%s does not answer: %s", call->name, text);
    else if (why == RC_PROTO)
        fail(call, why, "%s does not speak TLS as a hub does: %s", call->name, text);
    else if (tls)
        fail(call, RC_SYSTEM, "%s closed the connection during the TLS handshake", call->name);
    else
        fail_cut(call);
}

static const struct channel_events channel_events = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_closed = on_closed,
};

static void on_connected(void *owner, int fd)
{
    struct hub_call *call = owner;
    struct ssl_st *ssl = NULL;

    call->dial = NULL;
    if (call->hub->tls) {
        ssl = outer_tls_connection(call->hub->context, call->hub->at.host);
        assert(ssl != NULL); /* the host has passed address_parse(); memory does not run out */
    }
    call->ch = channel_new(call->loop, fd, ssl, &channel_events, call);
}

static void on_dial_failed(void *owner, enum dial_failure why)
{
    struct hub_call *call = owner;

    call->dial = NULL;
    switch (why) {
    case DIAL_NO_NAME:
        fail(call, RC_ABSENT, "there is no host %s", call->hub->at.host);
        return;
    case DIAL_REFUSED:
    case DIAL_ABSENT:
        fail(call, RC_SYSTEM, "nothing listens at %s", call->name);
        return;
    case DIAL_TIMEOUT:
        fail(call, RC_TIMEOUT, "%s does not answer", call->name);
        return;
    case DIAL_UNREACHABLE:
    case DIAL_DENIED:
    case DIAL_LIMIT:
    case DIAL_FAILURES_:
        break;
    }
    fail(call, RC_SYSTEM, "cannot connect to %s: %s", call->name, dial_failure_text(why));
}

static const struct dial_events dial_events = {on_connected, on_dial_failed};

static void on_deadline(void *owner)
{
    struct hub_call *call = owner;

    if (call->open)
        fail(call, RC_TIMEOUT, "%s has taken the request and does not answer", call->name);
    else
        fail(call, RC_TIMEOUT, "%s does not answer", call->name);
}

/* The address as a browser would write it: without the port everybody assumes, without a zone. */
static void put_host(struct buf *b, const struct hub_address *hub)
{
    struct address at = hub->at;
    char text[ADDRESS_TEXT_SIZE];

    at.host[strcspn(at.host, "%")] = '\0';
    address_text(&at, text);
    if (at.kind == ADDRESS_UNIX)
        text_message(text, sizeof text, "localhost");
    else if (at.port == (hub->tls ? 443 : 80))
        *strrchr(text, ':') = '\0';
    http1_put_header(b, "Host", text);
}

static void put_upgrade(struct hub_call *call, const struct hub_call_request *request)
{
    uint8_t random[KEY_LEN];
    struct buf key;

    http1_put_header(&call->request, "Connection", "Upgrade");
    http1_put_header(&call->request, "Upgrade", request->upgrade);
    platform_random(random, sizeof random);
    buf_init(&key, base64_len(sizeof random) + 1);
    base64_encode(&key, reader_of(random, sizeof random));
    enum rc rc = websocket_accept_value(buf_view(&key), call->accept);
    assert(rc == RC_OK); /* it is our own key */
    (void)rc;
    buf_put_u8(&key, 0);
    http1_put_header(&call->request, "Sec-WebSocket-Key", (const char *)buf_view(&key).at);
    http1_put_header(&call->request, "Sec-WebSocket-Version", "13");
    if (request->subprotocol)
        http1_put_header(&call->request, "Sec-WebSocket-Protocol", request->subprotocol);
    buf_done(&key);
}

static void put_bearer(struct buf *b, const char *bearer)
{
    struct buf value;

    buf_init(&value, CALL_REQUEST_MAX);
    (void)buf_reserve(&value, value.limit);
    buf_put_text(&value, "Bearer ");
    buf_put_text(&value, bearer);
    http1_put_field(b, reader_of("Authorization", strlen("Authorization")), buf_view(&value));
    buf_done(&value);
}

/* Everything but what only the connection can tell. */
static void put_request(struct hub_call *call, const struct hub_call_request *request)
{
    struct buf *b = &call->request;

    /* Taken at once and whole: growing would leave copies of the bearer behind. */
    buf_init(b, CALL_REQUEST_MAX + request->body.left);
    (void)buf_reserve(b, b->limit);
    http1_put_request(b, reader_of(request->method, strlen(request->method)),
                      reader_of(request->path, strlen(request->path)));
    put_host(b, call->hub);
    http1_put_header(b, "User-Agent", "connect/" CONNECT_VERSION);
    http1_put_header(b, "Accept", "application/json");
    if (request->bearer)
        put_bearer(b, request->bearer);
    if (request->upgrade)
        put_upgrade(call, request);
    else
        http1_put_header(b, "Connection", "close");
    if (request->body.left > 0)
        http1_put_header(b, "Content-Type", "application/json");
    if (request->body.left > 0 || strcmp(request->method, "GET") != 0)
        http1_put_header_u64(b, "Content-Length", request->body.left);
}

struct hub_call *hub_call_start(struct loop *l, const struct hub_address *hub,
                                const struct hub_call_request *request,
                                const struct hub_call_events *events, void *owner)
{
    struct hub_call *call = mem_zalloc(sizeof *call);

    call->loop = l;
    call->hub = hub;
    call->events = events;
    call->owner = owner;
    call->binding = request->binding;
    call->method = text_dup(request->method);
    call->upgrade = text_dup(request->upgrade);
    call->subprotocol = text_dup(request->subprotocol);
    address_text(&hub->at, call->name);
    buf_init(&call->request_body, HUB_CALL_BODY_MAX);
    buf_init(&call->head, CALL_HEAD_MAX);
    buf_init(&call->body, HUB_CALL_BODY_MAX);
    put_request(call, request);
    buf_put(&call->request_body, request->body);
    timer_init(&call->deadline, l, on_deadline, call);
    uint64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : HUB_CALL_MS;
    timer_start(&call->deadline, timeout_ms);
    /* Ours is the deadline that knows what was waited for; the dial's own comes after it. */
    call->dial = dial_start(l, &hub->at, timeout_ms + 1, &dial_events, call);
    return call;
}

enum rc hub_call_fingerprint(const struct hub_call *call, uint8_t out[32])
{
    if (!call->has_fingerprint)
        return RC_ABSENT;
    memcpy(out, call->fingerprint, sizeof call->fingerprint);
    return RC_OK;
}
