#include "net/websocket.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "wire/base64.h"
#include "wire/websocket.h"

enum { MASKS_AT_ONCE = 64 }; /* one call for random bytes serves so many frames */

struct mask_store {
    size_t left;
    uint8_t bytes[MASKS_AT_ONCE][WS_MASK_LEN];
};

struct websocket {
    struct channel *ch;
    const struct websocket_events *events;
    void *owner;
    struct ws_decoder decoder;
    struct mask_store *masks; /* NULL: a server */
    struct buf message;       /* so far; holds memory only while one is on its way */
    struct buf rest;          /* what came behind the upgrade, until `begin` */
    struct task begin;
    bool closing;
    enum rc why;
    uint16_t code;
    char reason[WS_REASON_MAX + 1];
};

/* --- frames down ---------------------------------------------------------------------- */

/* Fresh random bytes for the next frame; NULL: a server does not mask. */
static const uint8_t *next_mask(struct websocket *ws)
{
    struct mask_store *m = ws->masks;

    if (m == NULL)
        return NULL;
    if (m->left == 0) {
        platform_random(m->bytes, sizeof m->bytes);
        m->left = MASKS_AT_ONCE;
    }
    return m->bytes[--m->left];
}

/* Over the limit the peer does not read; a close frame would not get through either. */
static void send_frame(struct websocket *ws, enum ws_opcode opcode, struct reader payload)
{
    struct buf frame;

    if (ws->closing)
        return;
    if (conn_queued(channel_conn(ws->ch)) + payload.left > WEBSOCKET_QUEUE_MAX) {
        text_message(ws->reason, sizeof ws->reason, "too slow in reading");
        websocket_close(ws, RC_LIMIT, 0, NULL);
        return;
    }
    buf_init(&frame, WS_HEAD_MAX + payload.left);
    ws_put_frame(&frame, opcode, payload, next_mask(ws));
    channel_send(ws->ch, buf_view(&frame));
    buf_done(&frame);
}

void websocket_send(struct websocket *ws, struct reader text)
{
    send_frame(ws, WS_OP_TEXT, text);
}

void websocket_ping(struct websocket *ws)
{
    send_frame(ws, WS_OP_PING, reader_of(NULL, 0));
}

void websocket_close(struct websocket *ws, enum rc why, uint16_t code, const char *reason)
{
    struct buf frame;

    if (ws->closing)
        return;
    ws->closing = true;
    ws->why = why;
    task_cancel(&ws->begin);
    if (code == 0) {
        channel_close(ws->ch, why);
        return;
    }
    if (ws->reason[0] == '\0' && reason)
        text_message(ws->reason, sizeof ws->reason, "%s", reason);
    buf_init(&frame, WS_HEAD_MAX + WS_CONTROL_MAX);
    ws_put_close(&frame, code, reason ? reason : "", next_mask(ws));
    channel_send(ws->ch, buf_view(&frame));
    buf_done(&frame);
    /* The peer's own close frame is not waited for: closing the stream says the same. */
    channel_finish(ws->ch, why);
}

/* --- frames up ------------------------------------------------------------------------ */

static void take_data(struct websocket *ws, const struct ws_event *e)
{
    if (!e->text) {
        websocket_close(ws, RC_PROTO, WS_CODE_UNSUPPORTED, "text only");
        return;
    }
    if (e->first && e->last && !e->masked) { /* whole and in the clear: no copy */
        ws->events->on_message(ws->owner, e->bytes);
        return;
    }
    ws_event_put(e, &ws->message);
    if (!e->last)
        return;
    /* Moved out, so that an idle connection holds nothing. */
    struct buf message = ws->message;
    buf_init(&ws->message, message.limit);
    ws->events->on_message(ws->owner, buf_view(&message));
    buf_done(&message);
}

static void take_close(struct websocket *ws, const struct ws_event *e)
{
    ws->code = e->code == WS_CODE_NONE ? 0 : e->code;
    text_message(ws->reason, sizeof ws->reason, "%.*s", (int)e->bytes.left,
                 (const char *)e->bytes.at);
    websocket_close(ws, RC_EOF, e->code == WS_CODE_NONE ? WS_CODE_NORMAL : e->code, NULL);
}

static void take_event(struct websocket *ws, const struct ws_event *e)
{
    if (ws->events->on_alive)
        ws->events->on_alive(ws->owner);
    if (ws->closing)
        return;
    switch (e->kind) {
    case WS_DATA:
        take_data(ws, e);
        break;
    case WS_PING:
        send_frame(ws, WS_OP_PONG, e->bytes);
        break;
    case WS_PONG:
        break;
    case WS_CLOSE:
        take_close(ws, e);
        break;
    }
}

static void take_bytes(struct websocket *ws, struct reader in)
{
    while (!ws->closing) {
        struct ws_event e;
        enum rc rc = ws_decode(&ws->decoder, &in, &e);
        if (rc == RC_AGAIN)
            return;
        if (rc == RC_OK)
            take_event(ws, &e);
        else
            websocket_close(ws, rc, ws_refusal(&ws->decoder),
                            rc == RC_LIMIT ? "message too long" : "not as RFC 6455 says");
    }
}

static void begin(void *owner)
{
    struct websocket *ws = owner;
    struct buf rest = ws->rest;

    buf_init(&ws->rest, 0);
    take_bytes(ws, buf_view(&rest));
    buf_done(&rest);
}

static void on_bytes(void *owner, struct reader bytes)
{
    struct websocket *ws = owner;

    task_cancel(&ws->begin);
    if (ws->rest.len > 0)
        begin(ws);
    take_bytes(ws, bytes);
}

/* --- life ----------------------------------------------------------------------------- */

static void on_closed(void *owner, enum rc why)
{
    struct websocket *ws = owner;

    if (ws->reason[0] == '\0')
        text_message(ws->reason, sizeof ws->reason, "%s", channel_failure(ws->ch));
    ws->events->on_closed(ws->owner, ws->closing ? ws->why : why, ws->code);
    task_cancel(&ws->begin);
    buf_done(&ws->message);
    buf_done(&ws->rest);
    mem_wipe(ws->masks, ws->masks ? sizeof *ws->masks : 0);
    free(ws->masks);
    free(ws);
}

static const struct channel_events channel_events = {
    .on_bytes = on_bytes,
    .on_closed = on_closed,
};

struct websocket *websocket_new(struct channel *ch, enum websocket_role role, size_t message_max,
                                struct reader rest, const struct websocket_events *events,
                                void *owner)
{
    struct websocket *ws = mem_zalloc(sizeof *ws);

    ws->ch = ch;
    ws->events = events;
    ws->owner = owner;
    if (role == WEBSOCKET_CLIENT)
        ws->masks = mem_zalloc(sizeof *ws->masks);
    ws_decoder_init(&ws->decoder, role == WEBSOCKET_CLIENT ? WS_CLIENT : WS_SERVER, message_max);
    buf_init(&ws->message, message_max);
    buf_init(&ws->rest, rest.left);
    buf_put(&ws->rest, rest);
    task_init(&ws->begin, channel_loop(ch), begin, ws);
    if (rest.left > 0)
        task_soon(&ws->begin);
    channel_own(ch, &channel_events, ws);
    return ws;
}

void websocket_own(struct websocket *ws, const struct websocket_events *events, void *owner)
{
    ws->events = events;
    ws->owner = owner;
}

const char *websocket_peer(const struct websocket *ws)
{
    return channel_peer(ws->ch);
}

const char *websocket_reason(const struct websocket *ws)
{
    return ws->reason;
}

enum rc websocket_accept_value(struct reader key, char out[29])
{
    uint8_t input[WS_ACCEPT_INPUT_LEN], digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct buf text;

    if (ws_accept_input(key, input) != RC_OK)
        return RC_INPUT;
    if (EVP_Digest(input, sizeof input, digest, &len, EVP_sha1(), NULL) != 1)
        return RC_SYSTEM;
    buf_init(&text, 28);
    base64_encode(&text, reader_of(digest, len));
    struct reader in = buf_view(&text);
    reader_copy(&in, out, 28);
    out[28] = '\0';
    buf_done(&text);
    return RC_OK;
}
