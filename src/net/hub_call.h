#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"
#include "net/channel.h"
#include "wire/address.h"

struct http1_head;
struct ssl_ctx_st;

/* Where the hub is and how it is trusted. Owned by the agent, borrowed by everything that dials. */
struct hub_address {
    struct address at;
    bool tls;
    struct ssl_ctx_st *context; /* crypto/outer_tls.h; NULL without TLS */
};

/*
 * hub_call -- one HTTP/1.1 request to the hub on a connection of its own: resolve,
 * connect, outer TLS, request, answer. Either a whole answer or an upgrade.
 *
 * Life: from hub_call_start() until one of the events, or hub_call_cancel(), after
 * which none comes. Events never come from within hub_call_start(). The whole call is bounded
 * in time.
 */
struct hub_call;

enum { HUB_CALL_MS = 15 * 1000, HUB_CALL_BODY_MAX = 1024 * 1024 };

struct hub_call_request {
    const char *method, *path;
    const char *bearer;  /* NULL: none; a secret: never logged, copied into one wiped buffer */
    const char *upgrade; /* value of Upgrade (and what belongs to it); NULL: a plain request */
    const char *subprotocol; /* Sec-WebSocket-Protocol; NULL: none */
    bool binding;            /* adds Pconnect-Binding (docs/protocol.md §4.1) */
    struct reader body;      /* application/json; empty: none */
    uint64_t timeout_ms;     /* for the whole call; 0: HUB_CALL_MS */
};

struct hub_call_events {
    /* The whole answer, borrowed. */
    void (*on_answer)(void *owner, unsigned status, struct reader body);
    /*
     * 101, and Sec-WebSocket-Accept was right if it is a WebSocket. The channel is
     * the owner's (channel_own() at once, before returning); `head` and `rest`, the bytes behind
     * it, are borrowed.
     */
    void (*on_upgrade)(void *owner, struct channel *ch, const struct http1_head *head,
                       struct reader rest);
    /*
     * `text` for people. RC_AUTH: certificate not trusted. RC_TIMEOUT. RC_ABSENT: no such host.
     * RC_PROTO: not a hub. RC_SYSTEM: refused, unreachable, broken.
     */
    void (*on_failed)(void *owner, enum rc why, const char *text);
};

/* Strings in `request` are copied. */
struct hub_call *hub_call_start(struct loop *l, const struct hub_address *hub,
                                const struct hub_call_request *request,
                                const struct hub_call_events *events, void *owner);
void hub_call_cancel(struct hub_call *call);
/* SHA-256 of the certificate the hub showed; valid within the events. RC_ABSENT: none seen. */
MUST_CHECK enum rc hub_call_fingerprint(const struct hub_call *call, uint8_t out[32]);
