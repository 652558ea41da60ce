#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/rc.h"
#include "wire/address.h"

/* endpoint -- an address as the system's socket calls take it: a plain value. */
struct endpoint {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } addr;
    socklen_t len;
};

enum { ENDPOINT_HOST_SIZE = INET6_ADDRSTRLEN };

/*
 * Of a Unix path or a numeric host, without asking anybody. RC_ABSENT: the host is a name.
 * RC_INPUT: the path is too long for this system.
 */
MUST_CHECK enum rc endpoint_of(const struct address *a, struct endpoint *out);
/* From a result of the resolver, with another port. RC_INPUT: neither IPv4 nor IPv6. */
MUST_CHECK enum rc endpoint_from(const struct sockaddr *addr, uint16_t port, struct endpoint *out);
int endpoint_family(const struct endpoint *e);
bool endpoint_is_loopback(const struct endpoint *e);
/* The host alone, without a zone, "192.0.2.1" or "2001:db8::1"; "" for a Unix path. */
void endpoint_host(const struct endpoint *e, char out[ENDPOINT_HOST_SIZE]);
