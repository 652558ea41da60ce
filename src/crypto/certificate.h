#pragma once

#include <stdint.h>

#include "base/rc.h"

/* certificate -- self-signed X.509 certificates, the only kind we make. */
struct x509_st;
struct evp_pkey_st;

/*
 * For `key`, named `name` (common name; also a DNS or IP subject alternative name when `days` is not 0).
 * `days` 0: a certificate whose names and dates mean nothing (docs/protocol.md §5).
 */
MUST_CHECK enum rc certificate_self_signed(struct evp_pkey_st *key, const char *name, unsigned days,
                                           struct x509_st **out);
