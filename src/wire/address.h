#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

/*
 * address -- where to connect or listen, as a person writes it:
 * `host:port`, `192.0.2.1:80`, `[2001:db8::1]:80`, `unix:/run/x.sock`; and, where a
 * scheme is allowed, `http://host[:port]`, `https://…`, `tcp://…`, `udp://…`, or a port alone
 * (`5432` means localhost:5432). Pure.
 */
enum address_kind { ADDRESS_TCP, ADDRESS_UNIX };

struct address {
    enum address_kind kind;
    char host[256]; /* without brackets */
    uint16_t port;
    char path[108]; /* ADDRESS_UNIX */
};

enum { ADDRESS_TEXT_SIZE = 320 };

/* host:port, [v6]:port or unix:/path; port 0 only when `allow_zero`. RC_INPUT: anything else. */
MUST_CHECK enum rc address_parse(const char *text, bool allow_zero, struct address *out);

/*
 * A target as `connect expose` takes it: also a bare port and a scheme. `protocol` becomes
 * "tcp", "http", "https" or "udp" (static text). A path behind http://host:port/ is refused
 * (RC_INPUT).
 */
MUST_CHECK enum rc address_parse_target(const char *text, struct address *out,
                                        const char **protocol);

/* Back to text; brackets around IPv6. */
void address_text(const struct address *a, char out[ADDRESS_TEXT_SIZE]);
/* True for 127.0.0.0/8, ::1, "localhost" and Unix sockets. */
bool address_is_loopback(const struct address *a);

/* A hub's URL: https://host[:port] or http://host[:port]. RC_INPUT: anything else. */
MUST_CHECK enum rc address_parse_url(const char *url, struct address *out, bool *tls);
