#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "net/loop.h"
#include "wire/address.h"

/*
 * listener -- a listening socket, TCP or Unix, on the loop.
 *
 * When descriptors run out it takes the waiting connection with a spare one and
 * closes it, so that the peer learns of it, says so in the log once a second at most,
 * and goes on. Life: from listener_open() until listener_close(), which ends it at
 * once: no accept after it.
 */
struct listener;

/*
 * A connection: the descriptor is the owner's, non-blocking, close-on-exec; TCP with no-delay.
 * The owner may pause or close the listener from within.
 */
typedef void listener_accept(void *owner, int fd);

enum { LISTENER_BACKLOG = 4096 };

/*
 * `at`: a numeric host, "localhost" (127.0.0.1) or a Unix path; port 0 picks one. "::" takes IPv4
 * as well, and only that where there is no IPv6. RC_EXISTS: the port is in use. RC_AUTH: not
 * permitted. RC_INPUT: not an address of this machine, or no such folder. A stale Unix socket
 * nobody listens on is replaced; mode 0600; listener_close() removes it.
 */
MUST_CHECK enum rc listener_open(struct loop *l, const struct address *at, listener_accept *accept,
                                 void *owner, struct listener **out);
/* The port in use; 0 for a Unix socket. */
uint16_t listener_port(const struct listener *li);
/* Stops and restarts taking connections; they wait in the kernel. */
void listener_pause(struct listener *li);
void listener_resume(struct listener *li);
void listener_close(struct listener *li);
