#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/failure.h"
#include "crypto/token.h"
#include "net/hub_call.h"
#include "net/loop.h"

/*
 * uplink -- the control link to the hub (docs/protocol.md §2): kept up, with
 * requests and their replies in both directions.
 *
 * A link that is lost is dialled again by itself: at once, then with backoff.h. A token that the
 * hub does not take, and a link that was replaced, end it for good.
 *
 * Life: from uplink_new() until uplink_free(), after which no event comes.
 */
struct uplink;
struct ask;

enum {
    UPLINK_MESSAGE_MAX = 64 * 1024,
    UPLINK_ASK_MS = 15 * 1000, /* for a reply */
    UPLINK_PING_MS = 4 * 1000,
    UPLINK_SILENT_MS = 10 * 1000, /* nothing heard: the link is dead */
    UPLINK_STABLE_MS = 5 * 1000,  /* a link that lived so long is dialled again at once */
    UPLINK_PROTOCOL = 1,          /* version of the control link */
};

enum uplink_state {
    UPLINK_CONNECTING,
    UPLINK_CONNECTED, /* the hub has answered hello */
    UPLINK_WAITING,   /* for the next attempt */
    UPLINK_ENDED,
};

struct uplink_events {
    /* The members "label" and "services" of a new hello; the reference is the uplink's. */
    json_t *(*make_hello)(void *owner);
    void (*on_connected)(void *owner, const json_t *welcome);
    /* An attempt has failed or the link was lost; the next attempt follows. */
    void (*on_lost)(void *owner, const struct failure *why);
    /* For good: logged out, replaced, or no common version. */
    void (*on_ended)(void *owner, const struct failure *why);
    /* The hub asks: uplink_agree() or uplink_refuse(), now or later. */
    void (*on_dial)(void *owner, uint64_t id, const json_t *dial);
};

struct uplink_setup {
    struct loop *loop;
    const struct hub_address *hub; /* borrowed */
    const struct token *token;     /* borrowed */
    const char *pinned;            /* borrowed; the hub's fingerprint, for messages; "" : none */
    const struct uplink_events *events;
    void *owner;
};

/* Begins to connect; events never come from within. */
struct uplink *uplink_new(const struct uplink_setup *setup);
void uplink_free(struct uplink *u);

/*
 * Asks the hub. Takes `request`: an object with "type"; the id is added. `done` is called exactly
 * once, never from within: with the reply, or with NULL and why not (of the hub, no connection, no
 * reply in time); after it the ask is gone.
 */
struct ask *uplink_ask(struct uplink *u, json_t *request,
                       void (*done)(void *owner, const json_t *reply, const struct failure *why),
                       void *owner);
/* `done` will not be called. NULL is fine. */
void ask_cancel(struct ask *a);

void uplink_agree(struct uplink *u, uint64_t id);
/* `code`: of docs/protocol.md §2, for "dial". */
void uplink_refuse(struct uplink *u, uint64_t id, const char *code, const char *message);

enum uplink_state uplink_state(const struct uplink *u);
int64_t uplink_since(const struct uplink *u); /* wall clock: of this state */
uint64_t uplink_retry_in_ms(const struct uplink *u);
/* Why it is not connected; code NULL: it is, or has not tried yet. */
const struct failure *uplink_failure(const struct uplink *u);
