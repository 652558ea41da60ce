#include "net/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "net/hub_call.h"
#include "wire/base64.h"
#include "wire/http1.h"
#include "wire/websocket.h"

enum {
    PIPE_DEAD_PEER_S = 30,    /* the session notices sooner; this is for its absence */
    PIPE_MASKS = 64,          /* bytes of randomness fetched at once */
};

static const char *const mode_text[] = {"auto", "bare", "wrapped", "base64"};

struct pipe {
    struct loop *loop;
    const struct pipe_events *events;
    void *owner;
    enum pipe_mode mode; /* PIPE_AUTO until the hub has chosen */
    enum pipe_mode asked;
    struct hub_call *call;   /* while dialling */
    struct channel *channel; /* then */
    struct task ended;       /* the end of a pipe that has no channel */
    enum rc why;
    bool closing, client;
    char failure[160];
    /* wrapped and base64 */
    struct ws_decoder decoder;
    struct buf staging; /* room for the head, then the payload of the next message */
    struct buf text;    /* base64: a message on its way in */
    struct buf plain;   /* base64: the same decoded */
    uint8_t masks[PIPE_MASKS];
    size_t masks_left;
};

const char *pipe_mode_text(enum pipe_mode mode)
{
    return mode_text[mode];
}

enum rc pipe_mode_parse(const char *text, enum pipe_mode *out)
{
    for (size_t i = 0; i < sizeof mode_text / sizeof mode_text[0]; i++)
        if (strcmp(text, mode_text[i]) == 0) {
            *out = (enum pipe_mode)i;
            return RC_OK;
        }
    return RC_INPUT;
}

/* --- closing ------------------------------------------------------------------------- */

static void say_closed(struct pipe *p, enum rc why)
{
    p->events->on_closed(p->owner, p->why != RC_OK ? p->why : why);
    task_cancel(&p->ended);
    buf_done(&p->staging);
    buf_done(&p->text);
    buf_done(&p->plain);
    mem_wipe(p->masks, sizeof p->masks);
    free(p);
}

static void on_ended(void *owner)
{
    say_closed(owner, RC_CLOSED);
}

void pipe_close(struct pipe *p, enum rc why)
{
    if (p->closing)
        return;
    p->closing = true;
    p->why = why;
    if (p->call)
        hub_call_cancel(p->call);
    p->call = NULL;
    if (p->channel == NULL)
        task_soon(&p->ended);
    else if (why == RC_CLOSED)
        channel_finish(p->channel, why);
    else
        channel_close(p->channel, why);
}

static void fail(struct pipe *p, enum rc why, const char *text)
{
    if (!p->closing)
        text_message(p->failure, sizeof p->failure, "%s", text);
    pipe_close(p, why);
}

const char *pipe_failure(const struct pipe *p)
{
    return p->failure;
}

/* --- bytes up -------------------------------------------------------------------------- */

/* A base64 message is decoded when it is whole (docs/protocol.md §4.4). */
static void take_text(struct pipe *p, const struct ws_event *e)
{
    ws_event_put(e, &p->text);
    if (!e->last)
        return;
    buf_clear(&p->plain);
    if (!buf_ok(&p->text) || base64_decode(&p->plain, buf_view(&p->text)) != RC_OK) {
        fail(p, RC_PROTO, "a message was not base64");
        return;
    }
    buf_clear(&p->text);
    if (p->plain.len > 0)
        p->events->on_bytes(p->owner, buf_view(&p->plain));
}

static void take_binary(struct pipe *p, const struct ws_event *e)
{
    /* The bytes lie in an area of the loop that nobody reads again: unmasked where they are. */
    if (e->masked)
        ws_event_copy(e, (uint8_t *)(uintptr_t)e->bytes.at);
    if (e->bytes.left > 0)
        p->events->on_bytes(p->owner, e->bytes);
}

static void send_frame(struct pipe *p, enum ws_opcode opcode, struct reader payload);

static void take_event(struct pipe *p, const struct ws_event *e)
{
    switch (e->kind) {
    case WS_DATA:
        if (e->text != (p->mode == PIPE_BASE64))
            fail(p, RC_PROTO, "a message of the wrong kind");
        else if (e->text)
            take_text(p, e);
        else
            take_binary(p, e);
        break;
    case WS_PING:
        send_frame(p, WS_OP_PONG, e->bytes);
        break;
    case WS_PONG:
        break;
    case WS_CLOSE:
        pipe_close(p, RC_EOF);
        break;
    }
}

static void on_bytes(void *owner, struct reader bytes)
{
    struct pipe *p = owner;
    struct ws_event e;
    enum rc rc = RC_OK;

    if (p->mode == PIPE_BARE) {
        if (!p->closing)
            p->events->on_bytes(p->owner, bytes);
        return;
    }
    while (!p->closing && (rc = ws_decode(&p->decoder, &bytes, &e)) == RC_OK)
        take_event(p, &e);
    if (!p->closing && rc != RC_AGAIN)
        fail(p, rc, "the hub broke RFC 6455");
}

static void on_room(void *owner)
{
    struct pipe *p = owner;

    if (!p->closing)
        p->events->on_room(p->owner);
}

static void on_channel_closed(void *owner, enum rc why)
{
    struct pipe *p = owner;

    if (p->failure[0] == '\0')
        text_message(p->failure, sizeof p->failure, "%s", channel_failure(p->channel));
    p->channel = NULL;
    say_closed(p, why);
}

static void on_open_already(void *owner)
{
    (void)owner; /* the upgrade came after it */
}

static const struct channel_events channel_events = {.on_open = on_open_already,
                                                     .on_bytes = on_bytes,
                                                     .on_room = on_room,
                                                     .on_closed = on_channel_closed};

/* --- bytes down -------------------------------------------------------------------------- */

static const uint8_t *next_mask(struct pipe *p)
{
    if (!p->client)
        return NULL;
    if (p->masks_left == 0) {
        platform_random(p->masks, sizeof p->masks);
        p->masks_left = sizeof p->masks;
    }
    p->masks_left -= WS_MASK_LEN;
    return p->masks + p->masks_left;
}

/* Writes the head right before the payload, masks it where it is, and sends both in one go. */
static void send_staged(struct pipe *p)
{
    uint8_t head[WS_HEAD_MAX], *payload = p->staging.data + p->staging.head + WS_HEAD_MAX;
    size_t len = p->staging.len - WS_HEAD_MAX;
    const uint8_t *mask = next_mask(p);
    size_t head_len = ws_head_write(head, WS_OP_BINARY, true, len, mask);

    if (mask)
        ws_mask(payload, payload, len, mask);
    memcpy(payload - head_len, head, head_len);
    channel_send(p->channel, reader_of(payload - head_len, head_len + len));
}

/* The slow way, for small frames and base64. */
static void send_frame(struct pipe *p, enum ws_opcode opcode, struct reader payload)
{
    struct buf frame;

    buf_init(&frame, WS_HEAD_MAX + payload.left);
    ws_put_frame(&frame, opcode, payload, next_mask(p));
    channel_send(p->channel, buf_view(&frame));
    buf_done(&frame);
}

static void send_base64(struct pipe *p)
{
    struct reader all = buf_view(&p->staging);
    struct buf text;

    (void)reader_slice(&all, WS_HEAD_MAX);
    buf_init(&text, base64_len(PIPE_BASE64_MAX));
    while (all.left > 0) {
        buf_clear(&text);
        base64_encode(&text, reader_slice(&all, all.left < PIPE_BASE64_MAX ? all.left : PIPE_BASE64_MAX));
        send_frame(p, WS_OP_TEXT, buf_view(&text));
    }
    buf_done(&text);
}

struct buf *pipe_begin(struct pipe *p)
{
    static const uint8_t room[WS_HEAD_MAX];

    if (p->mode == PIPE_BARE && p->channel)
        return conn_queue(channel_conn(p->channel));
    if (p->staging.len == 0)
        buf_put(&p->staging, reader_of(room, sizeof room));
    return &p->staging;
}

void pipe_commit(struct pipe *p)
{
    if (p->closing || p->channel == NULL) {
        buf_clear(&p->staging);
        return;
    }
    if (p->mode == PIPE_BARE) {
        conn_flush(channel_conn(p->channel));
        return;
    }
    if (!buf_ok(&p->staging)) {
        fail(p, RC_LIMIT, "more than a message can hold");
        return;
    }
    if (p->staging.len > WS_HEAD_MAX && p->mode == PIPE_BASE64)
        send_base64(p);
    else if (p->staging.len > WS_HEAD_MAX)
        send_staged(p);
    buf_clear(&p->staging);
}

void pipe_send(struct pipe *p, struct reader bytes)
{
    if (p->closing || p->channel == NULL)
        return;
    if (p->mode == PIPE_BARE) {
        conn_send(channel_conn(p->channel), bytes);
        return;
    }
    buf_put(pipe_begin(p), bytes);
    pipe_commit(p);
}

bool pipe_is_full(const struct pipe *p)
{
    return p->channel == NULL || channel_is_full(p->channel);
}

void pipe_pause(struct pipe *p)
{
    if (p->channel)
        channel_pause(p->channel);
}

void pipe_resume(struct pipe *p)
{
    if (p->channel)
        channel_resume(p->channel);
}

/* --- life ----------------------------------------------------------------------------------- */

static struct pipe *pipe_new(struct loop *l, const struct pipe_events *events, void *owner)
{
    struct pipe *p = mem_zalloc(sizeof *p);

    p->loop = l;
    p->events = events;
    p->owner = owner;
    task_init(&p->ended, l, on_ended, p);
    buf_init(&p->staging, WS_HEAD_MAX + PIPE_MESSAGE_MAX);
    buf_init(&p->text, base64_len(PIPE_BASE64_MAX));
    buf_init(&p->plain, PIPE_BASE64_MAX);
    return p;
}

static void take_channel(struct pipe *p, struct channel *ch, enum pipe_mode mode)
{
    p->channel = ch;
    p->mode = mode;
    channel_own(ch, &channel_events, p);
    platform_tcp_keepalive(conn_fd(channel_conn(ch)), PIPE_DEAD_PEER_S);
    if (mode == PIPE_BARE)
        return;
    channel_gather(ch);
    ws_decoder_init(&p->decoder, p->client ? WS_CLIENT : WS_SERVER,
                    mode == PIPE_BASE64 ? base64_len(PIPE_BASE64_MAX) : PIPE_MESSAGE_MAX);
}

static void on_upgrade(void *owner, struct channel *ch, const struct http1_head *head,
                       struct reader rest)
{
    struct pipe *p = owner;
    bool bare = reader_is(http1_header(head, "Upgrade"), "pconnect-pipe");
    bool offered = p->asked == PIPE_AUTO || p->asked == PIPE_BARE;
    bool sealed = channel_is_tls(ch);

    p->call = NULL;
    take_channel(p, ch, bare ? PIPE_BARE : p->asked == PIPE_BASE64 ? PIPE_BASE64 : PIPE_WRAPPED);
    if (bare && (!offered || (sealed && rest.left > 0))) {
        fail(p, RC_PROTO, "the hub answered with a pipe that was not asked for");
        return;
    }
    if (bare)
        channel_drop_tls(ch);
    p->events->on_open(p->owner);
    if (rest.left > 0)
        on_bytes(p, rest);
}

static void on_answer(void *owner, unsigned status, struct reader body)
{
    struct pipe *p = owner;

    (void)body;
    p->call = NULL;
    text_message(p->failure, sizeof p->failure,
                 status == 401 ? "the hub does not know the ticket any more"
                               : "the hub answered %u instead of a pipe",
                 status);
    pipe_close(p, status == 401 ? RC_ABSENT : RC_PROTO);
}

static void on_failed(void *owner, enum rc why, const char *text)
{
    struct pipe *p = owner;

    p->call = NULL;
    fail(p, why, text);
}

static const struct hub_call_events call_events = {on_answer, on_upgrade, on_failed};

struct pipe *pipe_dial(struct loop *l, const struct hub_address *hub, const char *ticket,
                       enum pipe_mode mode, const struct pipe_events *events, void *owner)
{
    struct pipe *p = pipe_new(l, events, owner);
    static const char *const offers[] = {[PIPE_AUTO] = "pconnect-pipe, websocket",
                                         [PIPE_BARE] = "pconnect-pipe",
                                         [PIPE_WRAPPED] = "websocket",
                                         [PIPE_BASE64] = "websocket"};
    struct hub_call_request request = {
        .method = "GET",
        .path = "/v1/pipe",
        .bearer = ticket,
        .upgrade = offers[mode],
        .subprotocol = mode == PIPE_BASE64 ? "pconnect-pipe.base64" : "pconnect-pipe",
        .binding = true,
    };

    p->client = true;
    p->asked = mode;
    p->call = hub_call_start(l, hub, &request, &call_events, p);
    return p;
}

struct pipe *pipe_accept(struct channel *ch, enum pipe_mode mode, const struct pipe_events *events,
                         void *owner)
{
    struct pipe *p = pipe_new(channel_loop(ch), events, owner);

    p->asked = mode;
    take_channel(p, ch, mode);
    return p;
}

void pipe_own(struct pipe *p, const struct pipe_events *events, void *owner)
{
    p->events = events;
    p->owner = owner;
}

enum pipe_mode pipe_mode(const struct pipe *p)
{
    return p->mode == PIPE_AUTO ? p->asked : p->mode;
}
