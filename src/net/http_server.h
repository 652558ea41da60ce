#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"
#include "net/channel.h"
#include "net/listener.h"

struct http1_head;
struct ssl_ctx_st;

/*
 * http_server -- HTTP/1.1 for the hub: listener, outer TLS, requests with small
 * bodies, answers, upgrades. Keep-alive and pipelining in order.
 *
 * Bounded: HTTP_SERVER_CONNECTIONS_MAX connections (above it new ones are closed at
 * once), a head of 16 KiB (431), a body of HTTP_BODY_MAX (413), HTTP_REQUEST_MS for a whole request
 * (408), HTTP_IDLE_MS between requests and for a client that does not read its answer. One request
 * of a connection at a time: the next is read when this one is answered. An idle connection holds
 * no buffers. What is refused here gets an error of docs/protocol.md §1.3 and the end of its
 * connection.
 */
struct http_server;
struct http_exchange;

enum {
    HTTP_SERVER_CONNECTIONS_MAX = 18000,
    HTTP_BODY_MAX = 1024 * 1024,
    HTTP_REQUEST_MS = 10 * 1000,
    HTTP_IDLE_MS = 60 * 1000,
};

struct http_server_events {
    /* A whole request. Answer it now or later, exactly once: http_respond() or http_upgrade(). */
    void (*on_request)(void *owner, struct http_exchange *x);
};

/* `context` borrowed, NULL: plain. RC as listener_open(). */
MUST_CHECK enum rc http_server_open(struct loop *l, const struct address *at,
                                    struct ssl_ctx_st *context,
                                    const struct http_server_events *events, void *owner,
                                    struct http_server **out);
uint16_t http_server_port(const struct http_server *s);
/* For new connections from now on (certificate reload). */
void http_server_set_context(struct http_server *s, struct ssl_ctx_st *context);
/* In place of HTTP_REQUEST_MS and HTTP_IDLE_MS. */
void http_server_set_deadlines(struct http_server *s, uint64_t request_ms, uint64_t idle_ms);
/* Stops listening; connections without a request are closed, the others after their answer. */
void http_server_drain(struct http_server *s);
/* Ends everything at once; no event comes any more. Open exchanges become unanswerable but must
 * still be answered. */
void http_server_close(struct http_server *s);
size_t http_server_connections(const struct http_server *s);

/* exchange: one request until it is answered. Accessors borrow until then. */
const struct http1_head *http_head(const struct http_exchange *x);
const char *http_method(const struct http_exchange *x);
/* The path, percent-decoded once, without the query; "" if it is not valid or could be mistaken. */
const char *http_path(const struct http_exchange *x);
const char *http_query(const struct http_exchange *x); /* raw, "" if none */
/* The header's value as a C string, NULL: absent, repeated, or with odd characters. */
const char *http_header(struct http_exchange *x, const char *name);
/* The token of "Authorization: Bearer …"; NULL: none. A secret. */
const char *http_bearer(struct http_exchange *x);
struct reader http_body(const struct http_exchange *x);
/* As channel_peer(); a copy, valid after the client has gone. */
const char *http_peer(const struct http_exchange *x);
/* The outer TLS binding (docs/protocol.md §4.1). RC_ABSENT: plain, or the client has gone. */
MUST_CHECK enum rc http_binding(const struct http_exchange *x, uint8_t out[32]);

/* Ends the exchange. `headers`: extra lines "Name: value\r\n…" or NULL. A client that has gone is
 * no error. */
void http_respond(struct http_exchange *x, unsigned status, const char *content_type,
                  struct reader body, const char *headers);
/*
 * Ends the exchange with 101 and the given header lines (Connection: Upgrade is added) and gives
 * the channel to the caller, reading: channel_own() at once. `rest`: bytes the client sent behind
 * the request, borrowed until the caller's return to the loop. RC_CLOSED: the client has gone; *ch
 * is not set.
 */
MUST_CHECK enum rc http_upgrade(struct http_exchange *x, const char *headers, struct channel **ch,
                                struct reader *rest);
