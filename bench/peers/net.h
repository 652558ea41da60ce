#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * net -- what the small load programs of bench/ share: loopback sockets, a clock,
 * the pattern of the payload, the order a client gives the far end.
 *
 * These programs trust each other and what they are told; a failure ends the
 * program with a message, because a figure from half a run is no figure.
 */

enum {
    NET_PART = 256 * 1024, /* bytes per read and write */
    NET_ORDER = 9,         /* bytes: what to do, and for how many milliseconds */
    NET_COUNT = 8,         /* bytes: how many payload bytes there were, big-endian */
    NET_PERIOD =
        251, /* the payload at offset p is p % NET_PERIOD: prime, so no buffer size hides a slip */
};

/* The first byte of an order. An echo has no more than this byte, and it is echoed as well. */
enum {
    NET_ECHO = 'e',
    NET_UP = 'u',   /* payload until the client's end, then the far end's NET_COUNT */
    NET_DOWN = 'd', /* payload for the time asked, then NET_COUNT, then the end */
};

/* The count of a far end that has seen wrong bytes. */
#define NET_WRONG UINT64_MAX

__attribute__((format(printf, 1, 2))) _Noreturn void net_die(const char *format, ...);

/* 127.0.0.1; 0 takes a free port. Prints the port in a line of its own on stdout. Non-blocking. */
int net_listen(const char *port);
/* Blocking, without Nagle's delay. */
int net_connect(uint16_t port);
void net_nodelay(int fd);
/* First of all: writing to a connection that broke is an error, not a signal. */
void net_begin(void);

uint64_t net_now_ns(void);
uint64_t net_number(const char *text, uint64_t most);
uint16_t net_port(const char *text);
/* "1.5" in nanoseconds. */
uint64_t net_seconds(const char *text);

void net_put_u64(uint8_t out[static 8], uint64_t value);
uint64_t net_get_u64(const uint8_t in[static 8]);

/* NET_PART bytes of payload as they stand from `offset` on. */
const uint8_t *net_payload(uint64_t offset);

void net_write_all(int fd, const void *bytes, size_t len);
void net_read_all(int fd, void *out, size_t len);

/* Sorts and picks: 0.5 is the median. 0 of none. */
uint64_t net_quantile(uint64_t *values, size_t count, double q);
