#include "agent/uplink.h"

#include <stdlib.h>
#include <string.h>

#include "agent/backoff.h"
#include "agent/hub_error.h"
#include "agent/json.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "net/websocket.h"
#include "wire/http1.h"

static const char subprotocol[] = "pconnect.control.1";

/* docs/protocol.md §2, and 1013 of the WebSocket registry. */
enum {
    CODE_TRY_LATER = 1013,
    CODE_REPLACED = 4001,
    CODE_REVOKED = 4003,
    TRY_LATER_FAILED = 4, /* as if so many attempts had failed: seconds, not at once */
};

struct uplink {
    struct uplink_setup setup;
    enum uplink_state state;
    int64_t since;
    struct failure why;
    struct hub_call *call; /* while connecting */
    struct websocket *ws;  /* then */
    struct ask *hello;
    struct list asks;
    uint64_t next_id, heard_ms, connected_ms;
    unsigned failed; /* attempts in a row */
    struct timer retry, ping, silence;
    char revoked[FAILURE_MESSAGE_SIZE]; /* what the hub said before it closed */
};

struct ask {
    struct list link;
    struct uplink *uplink;
    uint64_t id;
    void (*done)(void *owner, const json_t *reply, const struct failure *why);
    void *owner;
    struct timer deadline;
    struct task later; /* tells a failure that was known at once */
};

static void set_state(struct uplink *u, enum uplink_state state)
{
    if (u->state == state)
        return;
    u->state = state;
    u->since = clock_unix();
}

/* --- asks ------------------------------------------------------------------------------------ */

static void free_ask(struct ask *a)
{
    list_remove(&a->link);
    timer_stop(&a->deadline);
    task_cancel(&a->later);
    free(a);
}

void ask_cancel(struct ask *a)
{
    if (a)
        free_ask(a);
}

static void finish_ask(struct ask *a, const json_t *reply, const struct failure *why)
{
    void (*done)(void *owner, const json_t *reply, const struct failure *why) = a->done;
    void *owner = a->owner;

    free_ask(a);
    done(owner, reply, why);
}

static void describe_loss(const struct uplink *u, struct failure *out)
{
    if (u->why.code) {
        *out = u->why;
        return;
    }
    failure_set(out, "hub_unavailable", "there is no connection to the hub now");
    failure_hint(out, "connect status says more");
}

static void on_not_connected(void *owner)
{
    struct ask *a = owner;
    struct failure why;

    describe_loss(a->uplink, &why);
    finish_ask(a, NULL, &why);
}

static void on_ask_deadline(void *owner)
{
    struct failure why;

    failure_set(&why, "timeout", "the hub has not answered within %d s", UPLINK_ASK_MS / 1000);
    finish_ask(owner, NULL, &why);
}

static void send_object(struct uplink *u, json_t *message)
{
    char *text = json_line(message);

    websocket_send(u->ws, reader_of_text(text));
    free(text);
    json_decref(message);
}

static struct ask *ask(struct uplink *u, json_t *request, bool now,
                       void (*done)(void *owner, const json_t *reply, const struct failure *why),
                       void *owner)
{
    struct ask *a = mem_zalloc(sizeof *a);

    *a = (struct ask){.uplink = u, .id = ++u->next_id, .done = done, .owner = owner};
    list_init(&a->link);
    list_append(&u->asks, &a->link);
    timer_init(&a->deadline, u->setup.loop, on_ask_deadline, a);
    task_init(&a->later, u->setup.loop, on_not_connected, a);
    if (!now) {
        json_decref(request);
        task_soon(&a->later);
        return a;
    }
    (void)json_object_set_new(request, "id", json_integer((json_int_t)a->id));
    timer_start(&a->deadline, UPLINK_ASK_MS);
    send_object(u, request);
    return a;
}

struct ask *uplink_ask(struct uplink *u, json_t *request,
                       void (*done)(void *owner, const json_t *reply, const struct failure *why),
                       void *owner)
{
    return ask(u, request, u->state == UPLINK_CONNECTED, done, owner);
}

/*
 * Those that wait for a link that has gone. Their owners may ask again at once: that fails later.
 */
static void fail_asks(struct uplink *u)
{
    struct failure why;
    struct list waiting;

    describe_loss(u, &why);
    list_init(&waiting);
    while (!list_is_empty(&u->asks)) {
        struct list *first = u->asks.next;
        list_remove(first);
        list_append(&waiting, first);
    }
    while (!list_is_empty(&waiting))
        finish_ask(list_entry(waiting.next, struct ask, link), NULL, &why);
}

/* --- the end of a link ----------------------------------------------------------------------- */

static void stop_link(struct uplink *u)
{
    timer_stop(&u->ping);
    timer_stop(&u->silence);
    timer_stop(&u->retry);
    hub_call_cancel(u->call);
    u->call = NULL;
    u->ws = NULL; /* it frees itself */
    ask_cancel(u->hello);
    u->hello = NULL;
}

static void end(struct uplink *u)
{
    stop_link(u);
    set_state(u, UPLINK_ENDED);
    log_warn("uplink.ended", log_str("code", u->why.code), log_str("why", u->why.message));
    fail_asks(u);
    u->setup.events->on_ended(u->setup.owner, &u->why);
}

/* u->why says what happened. */
static void lose(struct uplink *u)
{
    uint32_t random;
    bool was_stable = u->state == UPLINK_CONNECTED &&
                      loop_now(u->setup.loop) - u->connected_ms >= UPLINK_STABLE_MS;

    stop_link(u);
    if (was_stable)
        u->failed = 0;
    platform_random(&random, sizeof random);
    uint64_t wait_ms = backoff_ms(u->failed++, random);
    set_state(u, UPLINK_WAITING);
    timer_start(&u->retry, wait_ms);
    log_warn("uplink.lost", log_str("why", u->why.message), log_u64("retry_in_ms", wait_ms));
    fail_asks(u);
    u->setup.events->on_lost(u->setup.owner, &u->why);
}

static void on_ws_closed(void *owner, enum rc why, uint16_t code)
{
    struct uplink *u = owner;
    const char *reason = websocket_reason(u->ws);

    switch (code) {
    case CODE_REPLACED:
        failure_set(&u->why, "replaced",
                    "this agent was started elsewhere with the same configuration");
        failure_hint(&u->why, "each agent needs a folder of its own; copy none to another machine");
        end(u);
        return;
    case CODE_REVOKED:
        hub_error_logged_out(&u->why, u->revoked[0] ? u->revoked : "the hub has revoked it");
        end(u);
        return;
    case CODE_TRY_LATER:
        u->connected_ms = loop_now(u->setup.loop);
        u->failed = u->failed > TRY_LATER_FAILED ? u->failed : TRY_LATER_FAILED;
        break;
    default:
        break;
    }
    failure_set(&u->why, "hub_unavailable", "the connection to the hub was lost: %s",
                reason[0] ? reason : rc_text(why));
    lose(u);
}

/* For a WebSocket that is closing and that nobody waits for. */
static void on_forgotten_closed(void *owner, enum rc why, uint16_t code)
{
    (void)owner, (void)why, (void)code;
}

static void on_forgotten_message(void *owner, struct reader text)
{
    (void)owner, (void)text;
}

static const struct websocket_events forgotten = {.on_message = on_forgotten_message,
                                                  .on_closed = on_forgotten_closed};

/* We close it, and do not wait for the peer. */
static void drop(struct uplink *u, uint16_t code, const char *reason)
{
    websocket_own(u->ws, &forgotten, NULL);
    websocket_close(u->ws, code ? RC_CLOSED : RC_TIMEOUT, code, reason);
    u->ws = NULL;
}

/* --- what the hub says ----------------------------------------------------------------------- */

static void take_reply(struct uplink *u, const json_t *message)
{
    uint64_t id;
    struct failure why;
    json_t *error = json_object_get(message, "error");

    if (json_copy_number(message, "re", 1, INT64_MAX, &id) != RC_OK)
        return;
    list_each(at, after, &u->asks)
    {
        struct ask *a = list_entry(at, struct ask, link);
        if (a->id != id)
            continue;
        if (error)
            hub_error_of_reply(error, &why);
        finish_ask(a, error ? NULL : message, error ? &why : NULL);
        return;
    }
    log_debug("uplink.late_reply", log_u64("re", id)); /* its asker has given up */
}

static void take_dial(struct uplink *u, const json_t *message)
{
    uint64_t id;

    if (json_copy_number(message, "id", 0, INT64_MAX, &id) != RC_OK)
        log_warn("uplink.dial_without_id");
    else if (u->state != UPLINK_CONNECTED)
        uplink_refuse(u, id, "no_such_service", "this agent is only just connecting");
    else
        u->setup.events->on_dial(u->setup.owner, id, message);
}

static void take_unknown(struct uplink *u, const json_t *message)
{
    uint64_t id;

    if (json_copy_number(message, "id", 0, INT64_MAX, &id) == RC_OK)
        uplink_refuse(u, id, "bad_request", "this agent does not know that type");
}

static void take(struct uplink *u, const json_t *message)
{
    char type[32];

    json_copy_remark(message, "type", type, sizeof type);
    if (strcmp(type, "reply") == 0)
        take_reply(u, message);
    else if (strcmp(type, "dial") == 0)
        take_dial(u, message);
    else if (strcmp(type, "revoked") == 0)
        json_copy_remark(message, "message", u->revoked, sizeof u->revoked);
    else
        take_unknown(u, message);
}

static void on_ws_message(void *owner, struct reader text)
{
    struct uplink *u = owner;
    json_t *message =
        text.left > 0 ? json_loadb((const char *)text.at, text.left, JSON_REJECT_DUPLICATES, NULL)
                      : NULL;

    if (!json_is_object(message)) {
        log_warn("uplink.no_json");
        failure_set(&u->why, "hub_unavailable", "the hub broke the protocol of the control link");
        json_decref(message);
        drop(u, 4008, "protocol");
        lose(u);
        return;
    }
    take(u, message);
    json_decref(message);
}

static void on_ws_alive(void *owner)
{
    struct uplink *u = owner;

    u->heard_ms = loop_now(u->setup.loop);
}

static const struct websocket_events ws_events = {on_ws_message, on_ws_alive, on_ws_closed};

static void on_ping(void *owner)
{
    struct uplink *u = owner;

    websocket_ping(u->ws);
    timer_start(&u->ping, UPLINK_PING_MS);
}

static void on_silence(void *owner)
{
    struct uplink *u = owner;
    uint64_t silent_ms = loop_now(u->setup.loop) - u->heard_ms;

    if (silent_ms < UPLINK_SILENT_MS) {
        timer_start(&u->silence, UPLINK_SILENT_MS - silent_ms);
        return;
    }
    failure_set(&u->why, "hub_unavailable", "nothing was heard from the hub for %d s",
                UPLINK_SILENT_MS / 1000);
    drop(u, 0, NULL);
    lose(u);
}

void uplink_agree(struct uplink *u, uint64_t id)
{
    if (u->ws)
        send_object(u, json_pack("{s:s, s:I}", "type", "reply", "re", (json_int_t)id));
}

void uplink_refuse(struct uplink *u, uint64_t id, const char *code, const char *message)
{
    if (u->ws)
        send_object(u, json_pack("{s:s, s:I, s:{s:s, s:o}}", "type", "reply", "re", (json_int_t)id,
                                 "error", "code", code, "message", json_text(message)));
}

/* --- connecting ------------------------------------------------------------------------------ */

static void on_welcome(void *owner, const json_t *reply, const struct failure *why)
{
    struct uplink *u = owner;

    u->hello = NULL;
    if (reply == NULL) {
        u->why = *why;
        if (u->ws)
            drop(u, 1000, "goodbye");
        if (failure_is(why, "incompatible") || failure_is(why, "not_logged_in"))
            end(u);
        else
            lose(u);
        return;
    }
    u->why.code = NULL;
    u->connected_ms = loop_now(u->setup.loop);
    set_state(u, UPLINK_CONNECTED);
    log_info("uplink.connected");
    u->setup.events->on_connected(u->setup.owner, reply);
}

static void say_hello(struct uplink *u)
{
    json_t *hello = u->setup.events->make_hello(u->setup.owner);

    (void)json_object_set_new(hello, "type", json_string("hello"));
    (void)json_object_set_new(hello, "version", json_string(CONNECT_VERSION));
    (void)json_object_set_new(
        hello, "protocol", json_pack("{s:i, s:i}", "min", UPLINK_PROTOCOL, "max", UPLINK_PROTOCOL));
    u->hello = ask(u, hello, true, on_welcome, u);
}

static void on_call_upgrade(void *owner, struct channel *ch, const struct http1_head *head,
                            struct reader rest)
{
    struct uplink *u = owner;

    u->call = NULL;
    u->ws = websocket_new(ch, WEBSOCKET_CLIENT, UPLINK_MESSAGE_MAX, rest, &ws_events, u);
    if (!reader_is(http1_header(head, "Sec-WebSocket-Protocol"), subprotocol)) {
        failure_set(&u->why, "hub_unavailable", "the answer is not that of a hub: no control link");
        drop(u, 4008, "protocol");
        lose(u);
        return;
    }
    u->heard_ms = loop_now(u->setup.loop);
    u->revoked[0] = '\0';
    timer_start(&u->ping, UPLINK_PING_MS);
    timer_start(&u->silence, UPLINK_SILENT_MS);
    say_hello(u);
}

static void on_call_answer(void *owner, unsigned status, struct reader body)
{
    struct uplink *u = owner;

    u->call = NULL;
    hub_error_of_answer(status, body, &u->why);
    if (failure_is(&u->why, "not_logged_in") || failure_is(&u->why, "incompatible"))
        end(u);
    else
        lose(u);
}

static void on_call_failed(void *owner, enum rc why, const char *text)
{
    struct uplink *u = owner;

    hub_error_of_call(u->call, why, text, u->setup.pinned, &u->why);
    u->call = NULL;
    lose(u);
}

static const struct hub_call_events call_events = {on_call_answer, on_call_upgrade, on_call_failed};

static void dial(void *owner)
{
    struct uplink *u = owner;
    struct hub_call_request request = {
        .method = "GET",
        .path = "/v1/control",
        .bearer = u->setup.token->text,
        .upgrade = "websocket",
        .subprotocol = subprotocol,
    };

    set_state(u, UPLINK_CONNECTING);
    u->call = hub_call_start(u->setup.loop, u->setup.hub, &request, &call_events, u);
}

/* --- life ------------------------------------------------------------------------------------ */

struct uplink *uplink_new(const struct uplink_setup *setup)
{
    struct uplink *u = mem_zalloc(sizeof *u);

    u->setup = *setup;
    u->since = clock_unix();
    list_init(&u->asks);
    timer_init(&u->retry, setup->loop, dial, u);
    timer_init(&u->ping, setup->loop, on_ping, u);
    timer_init(&u->silence, setup->loop, on_silence, u);
    dial(u);
    return u;
}

void uplink_free(struct uplink *u)
{
    if (u == NULL)
        return;
    if (u->ws)
        drop(u, 1000, "goodbye");
    stop_link(u);
    while (!list_is_empty(&u->asks))
        free_ask(list_entry(u->asks.next, struct ask, link));
    free(u);
}

/* --- questions ------------------------------------------------------------------------------- */

enum uplink_state uplink_state(const struct uplink *u)
{
    return u->state;
}

int64_t uplink_since(const struct uplink *u)
{
    return u->since;
}

uint64_t uplink_retry_in_ms(const struct uplink *u)
{
    uint64_t now = loop_now(u->setup.loop);

    return timer_is_running(&u->retry) && u->retry.due_ms > now ? u->retry.due_ms - now : 0;
}

const struct failure *uplink_failure(const struct uplink *u)
{
    return &u->why;
}
