#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/failure.h"
#include "agent/state.h"
#include "agent/tunnel.h"

/*
 * exposes -- the services that this agent exposes: its own table from name to target, which is all
 * that is ever dialled here (docs/protocol.md §7.1), kept in step with the hub.
 */
struct parts;
struct exposes;
struct exposing;

enum {
    EXPOSES_RETRY_MS = 30 * 1000, /* a name that another agent had is asked for again */
    EXPOSES_ANNOUNCED = 16,       /* labels of agents that are on their way */
    EXPOSES_CHECKS_MAX = 64,      /* of a service, that wait for the same answer */
};

/* With what the state remembers. */
struct exposes *exposes_new(struct parts *p);
/* Cancels what is under way; every exposing still open fails first. */
void exposes_stop(struct exposes *x);
void exposes_free(struct exposes *x);

/*
 * Exposes `wish`, in place of what had the name: asks the hub, remembers it (unless `attached`),
 * examines the target. `done` comes once, never from within: with the check, borrowed, or NULL and
 * why not; nothing has changed then.
 */
struct exposing *exposes_put(struct exposes *x, const struct state_exposed *wish, bool attached,
                             void (*done)(void *owner, json_t *check, const struct failure *why),
                             void *owner);
/* Nobody waits any more: `done` is not called. What was attached, or not yet taken by the hub, is
 * undone. */
void exposing_cancel(struct exposing *e);
/* RC_ABSENT: not exposed. RC_SYSTEM: `why`: still exposed. */
MUST_CHECK enum rc exposes_drop(struct exposes *x, const char *name, struct failure *why);
/* The client that it was attached to has left: drops it unless it became permanent. */
void exposes_detach(struct exposes *x, const char *name);

/* NULL: not exposed here, or the hub does not know it to be ours. Borrowed. */
const struct state_exposed *exposes_online(const struct exposes *x, const char *name);
/* The target, for the tunnels. NULL: none. */
const struct address *exposes_target(struct exposes *x, const char *name);
/* For the tunnels: examines it and answers. */
void exposes_check(struct exposes *x, const char *name, struct check_reply *reply);
/* The hub asks us to dial. */
void exposes_dial(struct exposes *x, uint64_t id, const json_t *dial);
/*
 * The agent that a dial was for has proved its key: it is pinned from here on, not before. False:
 * another key has been pinned for it meanwhile.
 */
bool exposes_proved(struct exposes *x, const struct pipe_offer *offer);

/* The array "services" of hello, and what the hub said to it. */
json_t *exposes_hello(const struct exposes *x);
void exposes_welcomed(struct exposes *x, const json_t *welcome);
/* The array "exposed" of `status`. */
json_t *exposes_status(const struct exposes *x);
