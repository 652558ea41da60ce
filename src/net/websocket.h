#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"
#include "net/channel.h"

/*
 * websocket -- whole text messages over a channel (RFC 6455), for control links and
 * browsers. Pipes have their own use of the frames (net/pipe).
 *
 * Life: from websocket_new() until websocket_close(); then exactly one on_closed, after which it
 * has freed itself. Answers pings itself, keeps the closing handshake short.
 */
struct websocket;

enum websocket_role { WEBSOCKET_CLIENT, WEBSOCKET_SERVER };

struct websocket_events {
    /* A whole text message, valid UTF-8, borrowed. */
    void (*on_message)(void *owner, struct reader text);
    /* Anything came from the peer (a message, ping, pong): it lives. NULL: not interested. */
    void (*on_alive)(void *owner);
    /* The last call. `code`: the peer's close code, or 0. RC_LIMIT: a message too long, or its
     * reader too slow. */
    void (*on_closed)(void *owner, enum rc why, uint16_t code);
};

/* Takes `ch` and handles `rest`, the bytes that came behind the upgrade, soon (not within the
 * call). */
struct websocket *websocket_new(struct channel *ch, enum websocket_role role, size_t message_max,
                                struct reader rest, const struct websocket_events *events,
                                void *owner);
void websocket_own(struct websocket *ws, const struct websocket_events *events, void *owner);
/* Queues a message. Over WEBSOCKET_QUEUE_MAX unsent bytes the peer is too slow: closed with
 * RC_LIMIT. */
enum { WEBSOCKET_QUEUE_MAX = 1024 * 1024 };
void websocket_send(struct websocket *ws, struct reader text);
void websocket_ping(struct websocket *ws);
/* Sends a close frame with `code` and closes once it has gone. code 0: just closes. */
void websocket_close(struct websocket *ws, enum rc why, uint16_t code, const char *reason);
const char *websocket_peer(const struct websocket *ws); /* as channel_peer() */
/* For on_closed: why, for people; of the peer's close frame where there was one. */
const char *websocket_reason(const struct websocket *ws);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key; `out` has 29 bytes. RC_INPUT: not 16 bytes in
 * base64. */
MUST_CHECK enum rc websocket_accept_value(struct reader key, char out[29]);
