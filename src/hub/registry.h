#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/control_message.h"
#include "hub/service/access.h"

/*
 * registry -- who is connected now and which names are in use. Live state only, lost with the
 * process; belongs to the loop thread. Pure: no sockets, no store.
 *
 * Every question is asked by a member and sees its workspace and nothing else.
 */
struct registry;
struct member; /* an agent that is connected, from registry_join() to registry_leave() */
struct link;   /* its control link: only passed through */

struct registry *registry_new(void);
void registry_free(struct registry *r); /* every member must have left. NULL is fine */

/*
 * `who` is borrowed until registry_leave(). An agent that is connected already must leave first:
 * its link is in *replaced (RC_EXISTS). RC_LIMIT: `most` agents of the workspace are connected.
 */
MUST_CHECK enum rc registry_join(struct registry *r, const struct identity *who, struct link *link,
                                 uint64_t most, struct member **out, struct link **replaced);
void registry_leave(struct member *m);

/* Takes the name for `m`, or changes what it stands for; the earlier value goes to `before` when it
 * was `m`'s already
 * (*had). RC_EXISTS: `holder` has it. RC_LIMIT: CONTROL_SERVICES_MAX. */
MUST_CHECK enum rc registry_expose(struct member *m, const struct control_service *service,
                                   bool *had, struct control_service *before,
                                   const struct identity **holder);
/* No effect if `m` does not have it. */
void registry_unexpose(struct member *m, const char *name);

/* The service of this name and the link of who has it. NULL: none in `asker`'s workspace. Borrowed.
 */
const struct control_service *registry_find(const struct member *asker, const char *name,
                                            struct link **link);
/* Whether the agent with this id is connected, as far as `asker` may know. */
bool registry_is_online(const struct member *asker, const char *agent);

size_t registry_count(const struct registry *r);
