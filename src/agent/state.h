#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/failure.h"
#include "base/rc.h"
#include "net/pipe.h"
#include "wire/address.h"

/*
 * state -- what the agent exposes and reaches, kept in services.json so that it comes
 * back when the agent starts again.
 */
enum { STATE_SERVICES_MAX = 256 /* of each kind; docs/protocol.md §8 */, STATE_NAME_SIZE = 64 };

struct state;

struct state_exposed {
    char name[STATE_NAME_SIZE];
    char target[ADDRESS_TEXT_SIZE]; /* parses as a target */
    char protocol[8];               /* "tcp", "http" or "https" */
};

struct state_reached {
    char name[STATE_NAME_SIZE];
    uint16_t port;  /* where it is reached */
    uint16_t asked; /* the port that was wanted: by the person, or the service's own. 0: none */
    enum pipe_mode mode;
};

/* An absent file is an empty one. Not RC_OK: `why`. */
MUST_CHECK enum rc state_load(const char *path, struct state **out, struct failure *why);
void state_free(struct state *st);

/* RC_ABSENT: there is no entry number `i`. */
MUST_CHECK enum rc state_exposed_at(const struct state *st, size_t i, struct state_exposed *out);
MUST_CHECK enum rc state_reached_at(const struct state *st, size_t i, struct state_reached *out);

/* Add or replace by name, and write. Not RC_OK: `why`, and nothing has changed. */
MUST_CHECK enum rc state_put_exposed(struct state *st, const struct state_exposed *e,
                                     struct failure *why);
MUST_CHECK enum rc state_put_reached(struct state *st, const struct state_reached *r,
                                     struct failure *why);
/* An absent name is fine. */
MUST_CHECK enum rc state_drop_exposed(struct state *st, const char *name, struct failure *why);
MUST_CHECK enum rc state_drop_reached(struct state *st, const char *name, struct failure *why);

/* "tcp", "http" or "https". */
bool state_is_protocol(const char *text);
