#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/failure.h"
#include "agent/state.h"
#include "base/reader.h"

/*
 * reaches -- the services of other agents that this one reaches: for each a tunnel and a local
 * port.
 *
 * A reach that has worked once is kept up: its tunnel is opened again whenever it has ended, and it
 * comes back when the agent starts again. One that never worked goes when its command has been told
 * why.
 */
struct parts;
struct reaches;
struct reaching;

enum {
    REACHES_MAX = STATE_SERVICES_MAX,
    REACHES_COMMAND_MS = 45 * 1000,   /* until a command is told that it takes too long */
    REACHES_ATTEMPTS = 3,             /* failed ones that a command waits through */
    REACHES_RETRY_MAX_MS = 10 * 1000, /* between two tunnels to a service that is away */
    REACHES_REFUSED_MS = 60 * 1000,   /* until a refused peer is tried again */
    REACHES_PORT_MS = 5 * 1000,       /* until a port that was in use is tried again */
    REACHES_IDLE_MS = 60 * 1000,      /* how long a tunnel for --stdio outlives its last stream */
};

struct reaches *reaches_new(struct parts *p);
/* What the state remembers begins to come back. */
void reaches_restore(struct reaches *rs);
/* Ends all; every reaching still open fails first. */
void reaches_stop(struct reaches *rs);
void reaches_free(struct reaches *rs);

struct reach_wish {
    char name[STATE_NAME_SIZE];
    uint16_t port; /* 0: whichever suits */
    enum pipe_mode mode;
    bool attached; /* goes with its command */
    bool stdio;    /* no port: reaches_join() */
};

struct reaching_events {
    void (*on_progress)(void *owner, const char *text);
    /* Once: with the answer of docs/protocol.md §9 (borrowed; of stdio: empty), or NULL
     * and why not. */
    void (*on_done)(void *owner, json_t *answer, const struct failure *why);
};

/* Events never come from within. */
struct reaching *reaches_begin(struct reaches *rs, const struct reach_wish *wish,
                               const struct reaching_events *events, void *owner);
/*
 * Nobody waits any more. One that was attached lives on after its answer until this is called: what
 * was set up goes with the last of them, unless it has become permanent. NULL is fine.
 */
void reaching_cancel(struct reaching *w);
/* Takes `fd` and joins it to a new stream of a service that is up. RC_ABSENT, RC_LIMIT: fd is
 * closed. */
MUST_CHECK enum rc reaches_join(struct reaches *rs, const char *name, int fd, struct reader early);

/* RC_ABSENT: not reached. RC_SYSTEM: `why`: still reached. */
MUST_CHECK enum rc reaches_drop(struct reaches *rs, const char *name, struct failure *why);

/* The hub is there again, or a key was accepted: nobody waits for a back-off. */
void reaches_retry(struct reaches *rs);
/* The array "reached" of `status`. */
json_t *reaches_status(const struct reaches *rs);
