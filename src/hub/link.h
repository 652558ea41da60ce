#pragma once

#include <stdint.h>

#include "base/list.h"
#include "base/reader.h"
#include "hub/service/access.h"

struct hub;
struct channel;

/*
 * link -- the hub's end of one agent's control link (docs/protocol.md §2): takes what
 * the agent asks, lets the services, the registry and the rendezvous decide, and answers.
 *
 * Life: from link_open() until its WebSocket is gone and its last work at the store is done; it
 * then frees itself.
 */
struct link;

enum {
    LINK_SILENT_MS = 10 * 1000, /* nothing heard: the agent is gone */
    LINK_HELLO_MS = 10 * 1000,  /* for the first message */
    LINK_JOBS_MAX = 32,         /* requests of one link at the store */
};

/* Close codes of docs/protocol.md §2, and 1012 of the WebSocket registry: come back soon. */
enum {
    LINK_CODE_RESTART = 1012,
    LINK_CODE_TRY_LATER = 1013,
    LINK_CODE_REPLACED = 4001,
    LINK_CODE_REVOKED = 4003,
    LINK_CODE_PROTOCOL = 4008,
};

/* Takes `ch`, on which the 101 has been sent. `who` and `ip` are copied. */
void link_open(struct hub *hub, struct channel *ch, struct reader rest, const struct identity *who,
               const char *ip);
/* As link_close() for every link there is, greeted or not. */
void link_close_all(struct hub *hub, uint16_t code, const char *reason);
/* Starts closing, with a close frame that says why. */
void link_close(struct link *l, uint16_t code, const char *reason);

/* Sends `text` and frees it. */
void link_send(struct link *l, char *text);
const struct identity *link_who(const struct link *l);
const char *link_ip(const struct link *l);

/* What the rendezvous keeps at a link: pipes that it has asked for, and is asked to dial. */
struct link_deals {
    struct list asking, asked;
    uint64_t next_id; /* of the hub's own requests */
};
struct link_deals *link_deals(struct link *l);
