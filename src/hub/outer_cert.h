#pragma once

#include <stdbool.h>

#include "base/rc.h"
#include "crypto/outer_tls.h"
#include "hub/config.h"

/*
 * outer_cert -- the certificate that the hub shows: the one given by tls_cert and tls_key, else a
 * self-signed one in the data folder, made when it is not there.
 */
struct outer_cert {
    struct ssl_ctx_st *tls; /* the caller's; outer_tls_free() */
    char fingerprint[FINGERPRINT_TEXT_SIZE];
    bool own;  /* self-signed, made by us */
    bool made; /* just now */
};

/* RC_INPUT: `why` says what to do. The data folder exists. */
MUST_CHECK enum rc outer_cert_load(const struct config *c, struct outer_cert *out,
                                   char why[CONFIG_WHY_SIZE]);
