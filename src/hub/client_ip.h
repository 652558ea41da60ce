#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

/*
 * client_ip -- whose address a request comes from, and how much of it a log may show. Pure.
 */
enum { CLIENT_IP_SIZE = 64 };

/* An address or a network: "10.0.0.0/8", "2001:db8::1". IPv4 is kept as ::ffff:a.b.c.d. */
struct ip_range {
    uint8_t address[16];
    uint8_t bits;
};

/* RC_INPUT: neither an address nor address/length, or bits are set behind the length. */
MUST_CHECK enum rc ip_range_parse(const char *text, struct ip_range *out);
bool ip_range_has(const struct ip_range *range, const char *ip);

/* The address of a peer such as "192.0.2.1:80" or "[::1]:80", without port and brackets; IPv4 in
 * IPv6 as IPv4. "unknown" for anything else. */
void client_ip_of_peer(const char *peer, char out[CLIENT_IP_SIZE]);

/*
 * The client behind trusted proxies: starts at `peer` and walks the X-Forwarded-For list (may be
 * NULL) from its end for as long as the address in hand is a trusted proxy. Who is not trusted
 * cannot choose what we see.
 */
void client_ip_forwarded(const char *peer, const char *forwarded_for,
                         const struct ip_range *trusted, size_t trusted_count,
                         char out[CLIENT_IP_SIZE]);

/* For logs: "192.168.x.x", "2001:db8:1::x" (the first 48 bits). */
void client_ip_mask(const char *ip, char out[CLIENT_IP_SIZE]);
