#pragma once

#include <jansson.h>

#include "agent/pins.h"
#include "agent/tunnel.h"
#include "base/rc.h"

/*
 * offer -- what the hub says about a pipe: the answer to `open`, or `dial` (docs/protocol.md §2).
 * Read once, completely checked. Pure.
 */

/* RC_INPUT: something is absent or wrong. */
MUST_CHECK enum rc offer_read(const json_t *message, struct pipe_offer *out,
                              struct pins_peer *peer);
/* The "peer" of the answer to `peer`, or of an offer. */
MUST_CHECK enum rc offer_read_peer(const json_t *from, struct pins_peer *out);
