#pragma once

#include <jansson.h>
#include <stdint.h>

#include "agent/ui.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * client -- the command line's end of the agent's Unix socket (docs/protocol.md §9).
 *
 * Blocking, with time limits; turns the spinner while it waits, and stops waiting on
 * interrupt_fd().
 */
struct client;

enum { CLIENT_LINE_MAX = 1024 * 1024 }; /* bytes of one answer */

/*
 * RC_ABSENT: no agent is running for this folder. RC_AUTH: it is another user's. RC_SYSTEM,
 * RC_LIMIT: errno says why.
 */
MUST_CHECK enum rc client_open(const char *folder, struct client **out);
/* Takes `fd`, from which the agent's answer can be read: the report of a starting agent. */
struct client *client_of(int fd);
/* Closes. NULL is fine. */
void client_free(struct client *c);

/* Takes `request`, adds the version, sends it. RC_EOF: the agent is gone. */
MUST_CHECK enum rc client_send(struct client *c, json_t *request);
/*
 * The answer: an object with "ok" or "error", which is then the caller's. Progress is shown
 * meanwhile. RC_TIMEOUT, RC_EOF: the agent went away, RC_PROTO: not what an agent says, RC_CLOSED:
 * interrupted.
 */
MUST_CHECK enum rc client_answer(struct client *c, struct ui *ui, uint64_t limit_ms, json_t **out);

/* Waits until the agent closes its end, throwing away what it says. RC_EOF: it did. Else as
 * client_answer(). `limit_ms` 0: for ever. */
MUST_CHECK enum rc client_wait_closed(struct client *c, struct ui *ui, uint64_t limit_ms);
/* Tells the agent that nothing more will come: what was attached is undone. */
void client_end(struct client *c);

/* What arrived behind the answer, borrowed; and the socket. For the stream of `stdio`. */
struct reader client_rest(const struct client *c);
int client_fd(const struct client *c);

/* --- members of an answer, whatever the agent sent ----------------------------- */

/* The text, or "" if it is absent or no text. Borrowed from `object`. */
const char *client_text(const json_t *object, const char *name);
/* The number, or 0 if it is absent or not a number. */
double client_number(const json_t *object, const char *name);
