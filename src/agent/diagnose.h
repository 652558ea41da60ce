#pragma once

#include <jansson.h>

#include "net/loop.h"
#include "wire/address.h"

/*
 * diagnose -- examines a target as docs/protocol.md §7.5 says: name, connection, TLS and HTTP, as
 * far as they apply. Asynchronous; each step takes at most DIAGNOSE_STEP_MS.
 *
 * TLS is tried if the protocol is https or the port is usually TLS; HTTP if the protocol is http or
 * https or the port is usual for the web. What was only guessed from the port and does not come
 * true is left out.
 */
enum { DIAGNOSE_STEP_MS = 5 * 1000 };

struct diagnose;

/* `done` gets the result, its own reference, and is the last call; never from within. */
struct diagnose *diagnose_start(struct loop *l, const struct address *target, const char *protocol,
                                void (*done)(void *owner, json_t *check), void *owner);
/* `done` is not called. NULL is fine. */
void diagnose_cancel(struct diagnose *d);

/*
 * A check that another agent has sent: the members we know, if they are of their type, and nothing
 * else. NULL: it is no object.
 */
json_t *diagnose_clean(const json_t *check);
/* A check that says only why there is none. */
json_t *diagnose_none(const char *why);
