#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"

/*
 * outer_tls -- TLS between an agent and the hub (docs/protocol.md §1): 1.2 or newer, ALPN http/1.1.
 */
struct ssl_ctx_st;
struct ssl_st;

enum { FINGERPRINT_LEN = 32, FINGERPRINT_TEXT_SIZE = 7 + 64 + 1 }; /* "sha256:" + hex + NUL */

/* RC_INPUT: not "sha256:" + 64 hex digits. */
MUST_CHECK enum rc fingerprint_parse(const char *text, uint8_t out[FINGERPRINT_LEN]);
void fingerprint_text(const uint8_t fingerprint[FINGERPRINT_LEN], char out[FINGERPRINT_TEXT_SIZE]);

/* Whom an agent trusts as its hub. */
struct outer_trust {
    bool pinned;                  /* exactly the certificate with `pin` */
    uint8_t pin[FINGERPRINT_LEN];
    bool first_contact;           /* not pinned: accept an unsigned certificate and tell it */
};

/* Agent. Without a pin the system's authorities decide; then `first_contact`. */
MUST_CHECK enum rc outer_tls_client(const struct outer_trust *trust, struct ssl_ctx_st **out);

/* Hub. PEM files. RC_ABSENT, RC_INPUT: `why` says which file and what is wrong. `fingerprint` of the leaf. */
MUST_CHECK enum rc outer_tls_server(const char *cert_file, const char *key_file, struct ssl_ctx_st **out,
                                    uint8_t fingerprint[FINGERPRINT_LEN], char why[256]);
/* Makes a self-signed certificate (ECDSA P-256, 10 years) for `host` in the two files, key with mode 0600. */
MUST_CHECK enum rc outer_tls_make_certificate(const char *host, const char *cert_file,
                                              const char *key_file);
void outer_tls_free(struct ssl_ctx_st *context);

/* A connection's SSL; `host` (client) is verified and sent as SNI unless it is an address. NULL: server. */
struct ssl_st *outer_tls_connection(struct ssl_ctx_st *context, const char *host);
