#pragma once

#include <stdint.h>

#include "agent/tunnel.h"
#include "base/rc.h"
#include "net/loop.h"

/*
 * forward -- the local port of a reached service: every connection to it becomes a
 * stream of the tunnel.
 *
 * Byte path: local socket <-> FORWARD (flow) <-> session.
 *
 * Listens on 127.0.0.1 and ::1 (where there is IPv6). Life: forward_open() until
 * forward_close(), which resets the connections at once. Streams end with their tunnel's session.
 */
struct forward;

/* RC_EXISTS: the port is in use. RC_AUTH: not permitted (below 1024). */
MUST_CHECK enum rc forward_open(struct loop *l, uint16_t port, struct forward **out);
/*
 * Where new connections go; those that came before stay with the tunnel they have. NULL (at the start, and when the tunnel
 * has closed): new connections are reset at once, as if nothing listened.
 */
void forward_set_tunnel(struct forward *f, struct tunnel *t);
uint16_t forward_port(const struct forward *f);
/* "127.0.0.1:5432" and, if there is one, "[::1]:5432". */
size_t forward_locals(const struct forward *f, char out[2][64]);
void forward_close(struct forward *f);

/*
 * Joins a socket that is already connected (the command line's, for --stdio) to a new stream. Takes `fd`. `early`: bytes already
 * read from it, sent first. RC_LIMIT: no stream to be had (fd closed).
 */
MUST_CHECK enum rc forward_fd(struct loop *l, struct tunnel *t, int fd, struct reader early);
