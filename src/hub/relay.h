#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "net/loop.h"

/*
 * relay -- joins two bare legs and copies bytes both ways, unread.
 *
 * Byte path at the hub: socket -> kernel pipe -> socket, by splice(2), on threads of the
 * relay's own; no byte enters this process. A pair costs two descriptors and one small
 * object while it is idle; kernel pipes are lent to it only while bytes are in flight.
 *
 * The end of one side is passed on once everything before it has been; a pair is over when
 * both sides have ended, or as soon as one breaks (the other then sees a reset).
 *
 * Everything here is called on the loop thread. A descriptor belongs to its relay thread from
 * relay_join() on; only whole pairs cross between the threads.
 */
struct relay;

struct relay_end {
    uint64_t bytes[2]; /* from a to b, from b to a */
    enum rc why; /* RC_EOF: both ended in order. RC_SYSTEM: one broke. RC_CLOSED: relay_free() */
};

/* A pair is over and its descriptors are closed. `tag` as given to relay_join(). */
typedef void relay_ended(void *tag, const struct relay_end *end);

enum {
    RELAY_THREADS_MAX = 64,
    RELAY_PEER_SECONDS = 180, /* a silent dead peer is noticed within about this time */
};

/* RC_SYSTEM: no threads or descriptors for it; logged. */
MUST_CHECK enum rc relay_new(struct loop *l, unsigned threads, relay_ended *ended,
                             struct relay **out);
/* Ends every pair, waits for the threads, tells the last ends, frees. NULL is fine. */
void relay_free(struct relay *r);

/* Takes two connected, non-blocking TCP sockets. */
void relay_join(struct relay *r, void *tag, int a, int b);
/* Pairs that have been joined and have not been told to be over. */
size_t relay_count(const struct relay *r);
