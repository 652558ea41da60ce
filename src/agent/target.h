#pragma once

#include "base/list.h"
#include "mux/session.h"
#include "net/loop.h"
#include "wire/address.h"

/*
 * target -- dials the service itself for a stream that the peer has opened.
 *
 * Byte path: session <-> TARGET (flow) <-> the service's socket. The address comes
 * from this agent's own configuration, never from the wire (docs/protocol.md §7.1).
 */
enum { TARGET_DIAL_MS = 10 * 1000 };

/* Takes `st`. A target that cannot be reached resets it with the reason. */
void target_open(struct loop *l, struct chunk_pool *chunks, struct stream *st,
                 const struct address *to, struct list *siblings);
