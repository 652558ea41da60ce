#pragma once

#include "hub/client_ip.h"
#include "hub/service/access.h"
#include "net/http_server.h"

/*
 * routes -- which handler answers which request, and what a request must show first.
 *
 * A request lives from the route's handler until it is answered by one of the functions below,
 * exactly once; they free it.
 */
struct hub;

enum { REQUEST_ID_SIZE = 4 + 16 + 1 };

struct request {
    struct hub *hub;
    struct http_exchange *exchange;
    char id[REQUEST_ID_SIZE];
    char ip[CLIENT_IP_SIZE];  /* of the client, behind trusted proxies */
    struct token_hash secret; /* the hash of what it showed, where the route wants something */
    struct identity who;      /* routes for agents */
    struct access access;     /* how that was found */
};

void routes_dispatch(struct hub *hub, struct http_exchange *x);

/* Ends the request. `body` is a JSON text, freed. */
void request_answer(struct request *q, unsigned status, char *body);
/* docs/protocol.md §1.3: 400 bad_request, 401 unauthorized … */
void request_fail(struct request *q, unsigned status, const char *message);
/* 401 for a key, token or ticket: one text for every reason, so that nobody learns which there
 * were. */
void request_unauthorized(struct request *q);
/* The database did not do it: 503. */
void request_unavailable(struct request *q);
/* After http_upgrade(): the exchange is over already. */
void request_end(struct request *q);
