#include "agent/diagnose.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/json.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/target_tls.h"
#include "net/channel.h"
#include "net/dial.h"
#include "net/endpoint.h"
#include "wire/http1.h"

enum { DIAGNOSE_TEXT_SIZE = 512 };

/* Whether a part is examined, and how sure we are that it applies. */
enum sureness { NO, GUESSED, SURE };

struct diagnose {
    struct loop *loop;
    struct address target;
    void (*done)(void *owner, json_t *check);
    void *owner;
    json_t *check;
    enum sureness tls, http;
    struct dial *dial;  /* NULL: not dialling */
    struct channel *ch; /* NULL: none, or closed */
    struct ssl_ctx_st *context;
    struct ssl_st *ssl; /* borrowed from the channel */
    bool is_open;
    struct buf answer;
    uint64_t started_ns; /* of the step */
    struct timer deadline;
    struct task later; /* tells the result */
};

/* --- results --------------------------------------------------------------------------------- */

static double took_ms(const struct diagnose *d)
{
    /* Microseconds are what a clock can promise. */
    return (double)((clock_ns() - d->started_ns) / 1000) / 1000.0;
}

static json_t *good(double ms)
{
    return json_pack("{s:b, s:f}", "ok", 1, "ms", ms);
}

static json_t *bad(double ms, const char *error)
{
    return json_pack("{s:b, s:f, s:o}", "ok", 0, "ms", ms, "error", json_text(error));
}

static void put(struct diagnose *d, const char *part, json_t *value)
{
    (void)json_object_set_new(d->check, part, value);
}

static void on_forgotten(void *owner, enum rc why)
{
    (void)owner, (void)why;
}

static void on_forgotten_bytes(void *owner, struct reader bytes)
{
    (void)owner, (void)bytes;
}

/* A channel that is closing and that nobody waits for. */
static const struct channel_events forgotten = {.on_bytes = on_forgotten_bytes,
                                                .on_closed = on_forgotten};

static void let_go(struct diagnose *d)
{
    timer_stop(&d->deadline);
    dial_cancel(d->dial);
    d->dial = NULL;
    if (d->ch) {
        channel_own(d->ch, &forgotten, NULL);
        channel_close(d->ch, RC_CLOSED);
    }
    d->ch = NULL;
    d->ssl = NULL;
}

static void dispose(struct diagnose *d)
{
    let_go(d);
    task_cancel(&d->later);
    json_decref(d->check);
    target_tls_free(d->context);
    buf_done(&d->answer);
    free(d);
}

void diagnose_cancel(struct diagnose *d)
{
    if (d)
        dispose(d);
}

static void tell(void *owner)
{
    struct diagnose *d = owner;
    void (*done)(void *owner, json_t *check) = d->done;
    void *to = d->owner;
    json_t *check = json_incref(d->check);

    dispose(d);
    done(to, check);
}

static void finish(struct diagnose *d)
{
    let_go(d);
    task_soon(&d->later);
}

/* --- HTTP ------------------------------------------------------------------------------------ */

static void fail_http(struct diagnose *d, const char *error)
{
    if (d->http == SURE)
        put(d, "http", bad(took_ms(d), error));
    finish(d);
}

static void on_bytes(void *owner, struct reader bytes)
{
    struct diagnose *d = owner;
    struct http1_head head;

    buf_put(&d->answer, bytes);
    struct reader in = buf_view(&d->answer);
    enum rc rc = buf_ok(&d->answer) ? http1_response_decode(&in, &head) : RC_LIMIT;
    if (rc == RC_AGAIN)
        return;
    if (rc != RC_OK) {
        fail_http(d, "the answer is not HTTP");
        return;
    }
    json_t *part = good(took_ms(d));
    (void)json_object_set_new(part, "status", json_integer(head.status));
    put(d, "http", part);
    finish(d);
}

static void ask_http(struct diagnose *d)
{
    struct buf request;
    char host[ADDRESS_TEXT_SIZE];

    address_text(&d->target, host);
    buf_init(&request, HTTP1_LINE_MAX);
    http1_put_request(&request, reader_of_text("GET"), reader_of_text("/"));
    http1_put_header(&request, "Host", d->target.kind == ADDRESS_UNIX ? "localhost" : host);
    http1_put_header(&request, "User-Agent", "private-connect/" CONNECT_VERSION);
    http1_put_header(&request, "Accept", "*/*");
    http1_put_header(&request, "Connection", "close");
    http1_put_end(&request);
    d->started_ns = clock_ns();
    timer_start(&d->deadline, DIAGNOSE_STEP_MS);
    if (buf_ok(&request))
        channel_send(d->ch, buf_view(&request));
    buf_done(&request);
}

/* --- TLS ------------------------------------------------------------------------------------- */

static void describe_certificate(struct diagnose *d)
{
    struct certificate_summary c;
    json_t *part = good(took_ms(d));

    if (target_tls_summary(d->ssl, clock_unix(), &c) == RC_OK) {
        (void)json_object_set_new(part, "issuer", json_text(c.issuer));
        (void)json_object_set_new(part, "subject", json_text(c.subject));
        (void)json_object_set_new(part, "days_left", json_integer(c.days_left));
        (void)json_object_set_new(part, "self_signed", json_boolean(c.self_signed));
    }
    put(d, "tls", part);
}

static void fail_tls(struct diagnose *d, const char *error)
{
    if (d->tls == SURE)
        put(d, "tls", bad(took_ms(d), error));
    finish(d);
}

static void on_open(void *owner)
{
    struct diagnose *d = owner;

    d->is_open = true;
    if (d->ssl)
        describe_certificate(d);
    if (d->http != NO)
        ask_http(d);
    else
        finish(d);
}

static void on_closed(void *owner, enum rc why)
{
    struct diagnose *d = owner;
    char text[DIAGNOSE_TEXT_SIZE];

    text_message(text, sizeof text, "%s", channel_failure(d->ch));
    d->ch = NULL; /* it frees itself */
    if (!d->is_open)
        fail_tls(d, why == RC_TIMEOUT ? "no answer in time"
                    : text[0]         ? text
                                      : "it closed the connection during the handshake");
    else
        fail_http(d, "it closed the connection without an answer");
}

static const struct channel_events channel_events = {
    .on_open = on_open, .on_bytes = on_bytes, .on_closed = on_closed};

/* --- the connection -------------------------------------------------------------------------- */

static bool is_name(const struct address *a)
{
    struct endpoint e;

    return a->kind == ADDRESS_TCP && endpoint_of(a, &e) == RC_ABSENT;
}

static json_t *split(const char *addresses)
{
    json_t *list = json_array();

    while (*addresses != '\0') {
        size_t len = strcspn(addresses, ",");
        (void)json_array_append_new(list, json_stringn(addresses, len));
        addresses += len;
        addresses += strspn(addresses, ", ");
    }
    return list;
}

/* True: the name is known. */
static bool describe_name(struct diagnose *d, bool resolved, const char *error)
{
    double ms = (double)dial_resolve_ms(d->dial);

    if (!is_name(&d->target))
        return true;
    json_t *part = resolved ? good(ms) : bad(ms, error);
    if (resolved)
        (void)json_object_set_new(part, "addresses", split(dial_addresses(d->dial)));
    put(d, "dns", part);
    return resolved;
}

static double connect_ms(const struct diagnose *d)
{
    double ms = took_ms(d) - (double)dial_resolve_ms(d->dial);

    return ms > 0 ? ms : 0;
}

static void examine(struct diagnose *d, int fd)
{
    if (d->tls != NO && target_tls_new(&d->context) == RC_OK)
        d->ssl = target_tls_connection(d->context, d->target.host);
    d->started_ns = clock_ns();
    timer_start(&d->deadline, DIAGNOSE_STEP_MS);
    d->ch = channel_new(d->loop, fd, d->ssl, &channel_events, d);
}

static void on_connected(void *owner, int fd)
{
    struct diagnose *d = owner;

    (void)describe_name(d, true, NULL);
    put(d, "tcp", good(connect_ms(d)));
    d->dial = NULL;
    if (d->tls != NO || d->http != NO) {
        examine(d, fd);
        return;
    }
    (void)close(fd);
    finish(d);
}

static void on_failed(void *owner, enum dial_failure why)
{
    struct diagnose *d = owner;
    bool resolved = why != DIAL_NO_NAME && dial_addresses(d->dial)[0] != '\0';

    if (describe_name(d, resolved, dial_failure_text(why)))
        put(d, "tcp", bad(connect_ms(d), dial_failure_text(why)));
    d->dial = NULL;
    finish(d);
}

static const struct dial_events dial_events = {on_connected, on_failed};

static void on_deadline(void *owner)
{
    struct diagnose *d = owner;

    if (d->is_open)
        fail_http(d, "no answer in time");
    else
        fail_tls(d, "no answer in time");
}

/* --- life ------------------------------------------------------------------------------------ */

static bool is_among(uint16_t port, const uint16_t *ports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i] == port)
            return true;
    return false;
}

static void choose_parts(struct diagnose *d, const char *protocol)
{
    static const uint16_t tls[] = {443, 465, 636, 853, 990, 993, 995, 5061, 6697, 8443, 8883};
    static const uint16_t web[] = {80, 443, 3000, 8000, 8008, 8080, 8443, 8888};
    bool tcp = d->target.kind == ADDRESS_TCP;

    if (strcmp(protocol, "https") == 0)
        d->tls = SURE;
    else if (strcmp(protocol, "http") != 0 && tcp &&
             is_among(d->target.port, tls, sizeof tls / sizeof tls[0]))
        d->tls = GUESSED;
    if (strncmp(protocol, "http", 4) == 0)
        d->http = SURE;
    else if (tcp && is_among(d->target.port, web, sizeof web / sizeof web[0]))
        d->http = GUESSED;
}

struct diagnose *diagnose_start(struct loop *l, const struct address *target, const char *protocol,
                                void (*done)(void *owner, json_t *check), void *owner)
{
    struct diagnose *d = mem_zalloc(sizeof *d);

    d->loop = l;
    d->target = *target;
    d->done = done;
    d->owner = owner;
    d->check = json_object();
    buf_init(&d->answer, HTTP1_HEAD_MAX + LOOP_SCRATCH);
    timer_init(&d->deadline, l, on_deadline, d);
    task_init(&d->later, l, tell, d);
    choose_parts(d, protocol);
    d->started_ns = clock_ns();
    d->dial = dial_start(l, target, DIAGNOSE_STEP_MS, &dial_events, d);
    return d;
}

/* --- from others ----------------------------------------------------------------------------- */

static void copy_flag(json_t *to, const json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);

    if (json_is_boolean(value))
        (void)json_object_set(to, name, value);
}

static void copy_number(json_t *to, const json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);

    if (json_is_number(value))
        (void)json_object_set(to, name, value);
}

static void copy_text(json_t *to, const json_t *from, const char *name)
{
    char text[DIAGNOSE_TEXT_SIZE];

    if (json_copy_text(from, name, text, sizeof text) == RC_OK)
        (void)json_object_set_new(to, name, json_text(text));
}

static void copy_addresses(json_t *to, const json_t *from)
{
    enum { ADDRESSES_MAX = 16 };
    const json_t *list = json_object_get(from, "addresses");
    json_t *copy;

    if (!json_is_array(list))
        return;
    copy = json_array();
    for (size_t i = 0; i < json_array_size(list) && i < ADDRESSES_MAX; i++) {
        char host[ENDPOINT_HOST_SIZE];
        json_t *wrapped = json_pack("{s:O}", "host", json_array_get(list, i));
        if (json_copy_text(wrapped, "host", host, sizeof host) == RC_OK)
            (void)json_array_append_new(copy, json_text(host));
        json_decref(wrapped);
    }
    (void)json_object_set_new(to, "addresses", copy);
}

json_t *diagnose_clean(const json_t *check)
{
    static const char *const parts[] = {"dns", "tcp", "tls", "http"};
    json_t *clean;

    if (!json_is_object(check))
        return NULL;
    clean = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const json_t *from = json_object_get(check, parts[i]);
        if (!json_is_object(from))
            continue;
        json_t *to = json_object();
        copy_flag(to, from, "ok");
        copy_number(to, from, "ms");
        copy_text(to, from, "error");
        copy_addresses(to, from);
        copy_text(to, from, "issuer");
        copy_text(to, from, "subject");
        copy_number(to, from, "days_left");
        copy_flag(to, from, "self_signed");
        copy_number(to, from, "status");
        (void)json_object_set_new(clean, parts[i], to);
    }
    return clean;
}

json_t *diagnose_none(const char *why)
{
    return json_pack("{s:o}", "tcp", bad(0, why));
}
