#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "crypto/identity.h"

/*
 * inner_tls -- the set-up of the TLS between two agents (docs/protocol.md §5):
 * version 1.3 only, both sides prove exactly one expected Ed25519 key, no
 * authority, no tickets. One context per agent, one SSL per pipe.
 */
struct inner_tls;
struct ssl_st;

MUST_CHECK enum rc inner_tls_new(const struct identity *id, struct inner_tls **out);
void inner_tls_free(struct inner_tls *t);

enum inner_tls_role { INNER_TLS_REACHING, INNER_TLS_EXPOSING };

/*
 * One handshake with the agent whose key is `peer` (copied), and nobody else.
 * RC_AUTH: `peer` is our own key.
 */
MUST_CHECK enum rc inner_tls_connection(struct inner_tls *t, enum inner_tls_role role,
                                        const uint8_t peer[IDENTITY_KEY_LEN], struct ssl_st **out);
