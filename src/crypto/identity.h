#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "crypto/token.h"

/*
 * identity -- the long-term Ed25519 key pair of an agent (docs/protocol.md §5).
 * The private half never leaves crypto/.
 */
enum { IDENTITY_KEY_LEN = 32 };

struct identity;
struct evp_pkey_st;

/* Reads the 32-byte private key. RC_ABSENT: no file. RC_INPUT: not a key, or readable by others. RC_SYSTEM. */
MUST_CHECK enum rc identity_load(const char *path, struct identity **out);
/* Makes a new one and keeps it at `path`, mode 0600. RC_EXISTS: there is one. RC_SYSTEM: errno says. */
MUST_CHECK enum rc identity_make(const char *path, struct identity **out);
/* Wipes and frees. NULL is fine. */
void identity_free(struct identity *id);

/* The public half: IDENTITY_KEY_LEN bytes, borrowed. */
const uint8_t *identity_public(const struct identity *id);
struct evp_pkey_st *identity_key(const struct identity *id); /* borrowed; for inner_tls only */

/* "sha256:" + 64 hex digits of the public key; `out` has 72 bytes. */
void identity_fingerprint(const uint8_t public_key[IDENTITY_KEY_LEN], char out[72]);

/*
 * Shows to a hub that whoever enrols a key has its private half (docs/protocol.md §1.2): a signature
 * that is good with one API key only. RC_SYSTEM: OpenSSL cannot.
 */
enum { IDENTITY_PROOF_LEN = 64 };
MUST_CHECK enum rc identity_prove(const struct identity *id, const struct token_hash *api_key,
                                  uint8_t out[IDENTITY_PROOF_LEN]);
/* RC_AUTH: `proof` was not made with that key for that API key. */
MUST_CHECK enum rc identity_check_proof(const uint8_t public_key[IDENTITY_KEY_LEN],
                                        const struct token_hash *api_key,
                                        const uint8_t proof[IDENTITY_PROOF_LEN]);

/*
 * Six words that are the same on both machines if and only if both see the same two
 * keys, in either order. Slow on purpose (about 0.1 s): whoever wants to forge
 * them has to try that often. Borrowed static strings.
 */
enum { IDENTITY_WORDS = 6 };
void identity_words(const uint8_t one[IDENTITY_KEY_LEN], const uint8_t other[IDENTITY_KEY_LEN],
                    const char *out[IDENTITY_WORDS]);
