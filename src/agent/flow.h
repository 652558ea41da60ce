#pragma once

#include <stdint.h>

#include "base/list.h"
#include "mux/session.h"
#include "net/loop.h"

/*
 * flow -- one local socket joined to one stream: a client's connection on the
 * reaching agent, the connection to the target on the exposing one.
 *
 * Byte path: socket <-> FLOW <-> stream. Bytes are read into the chunk in which
 * they wait for their acknowledgement, and written from where they were decrypted.
 * Credit is given back when the kernel has taken them.
 *
 * Life: from flow_new() until both the socket and the stream have ended; then it
 * has freed itself. It takes itself off its owner's list before.
 */
struct flow;

/*
 * Takes `st` (and is its owner from now on). Bytes that arrive before
 * flow_connect() wait here, within the stream's credit. `siblings`: the owner's list, NULL: none.
 */
struct flow *flow_new(struct loop *l, struct chunk_pool *chunks, struct stream *st,
                      struct list *siblings);
/* Takes the connected `fd`. `early`: bytes already read from it, at most STREAM_WINDOW_FIRST. */
void flow_connect(struct flow *f, int fd, struct reader early);
/* Ends both sides at once, the peer being told `why`. */
void flow_reset(struct flow *f, enum reset_reason why);
/* The flow on a siblings list. */
struct flow *flow_of(struct list *link);
/* Called when the stream ends before flow_connect(), instead of any other event. */
void flow_on_abandoned(struct flow *f, void (*abandoned)(void *owner), void *owner);
