#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"

/*
 * target_tls -- looks at the TLS of an exposed service for diagnostics: any certificate is
 * taken and described, nothing is sent that matters.
 */
struct ssl_ctx_st;
struct ssl_st;

enum { CERTIFICATE_NAME_SIZE = 128 };

struct certificate_summary {
    char subject[CERTIFICATE_NAME_SIZE],
        issuer[CERTIFICATE_NAME_SIZE]; /* common name, or organisation */
    int days_left;                     /* negative: expired so long ago */
    bool self_signed;                  /* issued by itself */
};

MUST_CHECK enum rc target_tls_new(struct ssl_ctx_st **out);
void target_tls_free(struct ssl_ctx_st *context);
/* A client's SSL; `host` is sent as SNI unless it is an address or not a host's name. */
struct ssl_st *target_tls_connection(struct ssl_ctx_st *context, const char *host);
/* After the handshake; `now`: wall clock in seconds. RC_ABSENT: no certificate. */
MUST_CHECK enum rc target_tls_summary(const struct ssl_st *ssl, int64_t now,
                                      struct certificate_summary *out);
