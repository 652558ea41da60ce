#pragma once

#include <stdbool.h>

#include "base/rc.h"
#include "base/reader.h"
#include "net/conn.h"
#include "net/loop.h"

/*
 * channel -- a byte stream between an agent and the hub: a socket with outer
 * TLS, or plain. HTTP, WebSocket and pipes speak over it.
 *
 * Byte path: conn <-> CHANNEL <-> http, websocket, pipe.
 *
 * Life: as conn: channel_close() from anywhere, then one on_closed, then it has
 * freed itself. A handshake that takes longer than CHANNEL_HANDSHAKE_MS closes it
 * with RC_TIMEOUT.
 */
struct channel;
struct ssl_st;

struct channel_events {
    /* Ready to carry bytes (the outer handshake is done). Never from within channel_new(). */
    void (*on_open)(void *owner);
    /* Bytes, borrowed until the call returns. */
    void (*on_bytes)(void *owner, struct reader bytes);
    /* The peer has ended its side. NULL: it closes the channel. */
    void (*on_end)(void *owner);
    /* channel_is_full() has become false again. NULL: not interested. */
    void (*on_room)(void *owner);
    /* The last call. RC_AUTH: the other side's certificate is not trusted. RC_EOF: it ended. */
    void (*on_closed)(void *owner, enum rc why);
};

enum { CHANNEL_HANDSHAKE_MS = 10 * 1000 };

/* Takes `fd`, connected, and `ssl` (role set; NULL: plain). */
struct channel *channel_new(struct loop *l, int fd, struct ssl_st *ssl,
                            const struct channel_events *events, void *owner);
/* Hands the channel to another owner, e.g. after an upgrade. Callable from within on_bytes. */
void channel_own(struct channel *ch, const struct channel_events *events, void *owner);
struct loop *channel_loop(const struct channel *ch);

void channel_send(struct channel *ch, struct reader bytes);
bool channel_is_full(const struct channel *ch);
void channel_pause(struct channel *ch); /* on_bytes stops; at most one more batch is kept */
void channel_resume(struct channel *ch);

/* Closes after what was sent has gone (bounded by CONN_LINGER_MS). */
void channel_finish(struct channel *ch, enum rc why);
void channel_close(struct channel *ch, enum rc why);

/*
 * The exact drop of docs/protocol.md §4.2 at the agent: from within on_bytes, when nothing lies behind the 101
 * head in its bytes. What follows on the socket comes to on_bytes as it is. No effect on a plain channel.
 */
void channel_drop_tls(struct channel *ch);
/*
 * The same at the hub: gives the socket away and ends the channel without an event. RC_AGAIN: what was sent has not all
 * gone yet; try again in a moment (a fresh connection takes a 101 at once). RC_CLOSED: it is closing.
 */
MUST_CHECK enum rc channel_release(struct channel *ch, int *fd);
/* Hand up bytes of many TLS records at once: for bulk, not before the upgrade. */
void channel_gather(struct channel *ch);

/* docs/protocol.md §4.1. RC_ABSENT: plain. */
MUST_CHECK enum rc channel_binding(struct channel *ch, uint8_t out[32]);
bool channel_is_tls(const struct channel *ch);
/* For on_closed with RC_AUTH and RC_PROTO: why, for people. Never NULL. */
const char *channel_failure(const struct channel *ch);
/* SHA-256 of the peer's certificate. RC_ABSENT: none or plain. */
MUST_CHECK enum rc channel_fingerprint(struct channel *ch, uint8_t out[32]);
/* The peer's address as text, "203.0.113.7:1234", "[2001:db8::1]:1234", "unix". Borrowed. */
const char *channel_peer(const struct channel *ch);
/* Straight to the socket's queue, for a plain channel (net/pipe). */
struct conn *channel_conn(struct channel *ch);
