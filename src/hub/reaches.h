#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/service/access.h"
#include "hub/service/audit.h"

/*
 * reaches -- which agent uses which service since when, over all the pipes it takes: for the audit
 * log, which gets one row at the start and one, with the bytes, at the end of each.
 *
 * A reach ends when its agent says so, or has gone, and its last pipe is over. An agent that comes
 * back and resumes begins another one.
 */
struct reaches;
struct reach;

enum { REACHES_PER_AGENT_MAX = 1024 };

struct reaches *reaches_new(struct store *store);
/* Ends all of them (as when the hub stops). No pipe may be left. NULL is fine. */
void reaches_free(struct reaches *rs);

/*
 * A pipe for `who`, who is connected, to `service` of the agent `peer`: counted until
 * reach_release(). *fresh: a new reach, to be noted by reach_note_start(). RC_LIMIT: the agent has
 * too many.
 */
MUST_CHECK enum rc reaches_take(struct reaches *rs, const struct identity *who, const char *ip,
                                const char *service, const char *peer, struct reach **out,
                                bool *fresh);
/* As audit_write(). An end is only noted for what has a start. */
bool reach_note_start(struct reach *r, bool resumed, audit_done *done, void *owner);
void reach_release(struct reach *r, uint64_t sent, uint64_t received);
/* Instead of reach_release() when the start could not be kept: as if it had never been. */
void reach_cancel(struct reach *r);

/* The agent does not want the service any more. No effect if it did not use it. */
void reaches_end(struct reaches *rs, const char *agent, const char *service);
void reaches_agent_gone(struct reaches *rs, const char *agent);
/* Connected again: what its pipes have carried on meanwhile has not ended. */
void reaches_agent_back(struct reaches *rs, const char *agent);
