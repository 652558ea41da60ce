#pragma once

#include <stdbool.h>

#include "agent/tunnel.h"
#include "base/rc.h"
#include "wire/frame.h"

/*
 * carrier -- one pipe with the TLS between the two agents in it, up to HELLO and
 * beyond: what carries a session for a while (docs/protocol.md §4.6, §5, §6.2).
 *
 * Byte path: session <-> CARRIER (tls) <-> pipe.
 *
 * Life: from carrier_dial() until carrier_close(), or until it fails by itself; both end
 * with exactly one on_closed from the loop, after which it has freed itself.
 */
struct carrier;

enum carrier_role { CARRIER_REACHING, CARRIER_EXPOSING };

struct carrier_events {
    /* The peer has proved its key. Time to say HELLO (reaching side). */
    void (*on_established)(void *owner, struct carrier *c);
    /* The peer's HELLO, its binding checked and the rest not; or a CLOSE in its place: `hello` is NULL. */
    void (*on_hello)(void *owner, struct carrier *c, const struct frame_hello *hello,
                     enum close_reason why);
    /* What came behind HELLO. */
    void (*on_bytes)(void *owner, struct carrier *c, struct reader bytes);
    /* carrier_is_full() has become false again. */
    void (*on_room)(void *owner, struct carrier *c);
    /* The last call. */
    void (*on_closed)(void *owner, struct carrier *c, enum tunnel_failure why, const char *text);
};

enum { CARRIER_HANDSHAKE_MS = 10 * 1000, CARRIER_KEY_MS = 60 * 60 * 1000 };

struct carrier_setup {
    struct loop *loop;
    const struct hub_address *hub;
    struct inner_tls *tls;
    uint8_t *gather; /* TLS_GATHER bytes, shared by all carriers */
    enum carrier_role role;
    const struct carrier_events *events;
    void *owner;
};

struct carrier *carrier_dial(const struct carrier_setup *setup, const struct pipe_offer *offer);
void carrier_own(struct carrier *c, const struct carrier_events *events, void *owner);

/* HELLO with the binding filled in. */
void carrier_send_hello(struct carrier *c, struct frame_hello *hello);
/* Seals `bytes` into the pipe's queue; carrier_flush() when there is no more for now. */
void carrier_send(struct carrier *c, struct reader bytes);
void carrier_flush(struct carrier *c);
bool carrier_is_full(const struct carrier *c);

/* Ends it. Not CLOSE_NONE: tells the peer first. */
void carrier_close(struct carrier *c, enum close_reason tell);

const struct pipe_offer *carrier_offer(const struct carrier *c);
enum pipe_mode carrier_mode(const struct carrier *c);
bool carrier_said_hello(const struct carrier *c); /* the peer has */
