#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "net/loop.h"
#include "wire/address.h"

/*
 * dial -- from an address to a connected socket: resolves the name (in libuv's
 * pool), tries every address it has, IPv6 and IPv4 in turn, the next one after
 * 250 ms without an answer (RFC 8305 in short), and gives the first that connects.
 * A numeric host needs no resolver, nor does "localhost": it is ::1, then 127.0.0.1.
 *
 * Life: from dial_start() until one of the two events, or dial_cancel(), after
 * which none comes. Events never come from within dial_start().
 */
struct dial;

enum dial_failure {
    DIAL_REFUSED,
    DIAL_TIMEOUT,
    DIAL_UNREACHABLE,
    DIAL_NO_NAME,
    DIAL_DENIED, /* permission on a Unix socket, or a rule of this machine's firewall */
    DIAL_ABSENT, /* no such Unix socket */
    DIAL_LIMIT,  /* out of descriptors or of local ports */
    DIAL_FAILURES_
};
const char *dial_failure_text(enum dial_failure why);

struct dial_events {
    /* Connected: the descriptor is the owner's now, non-blocking, close-on-exec, no-delay. */
    void (*on_connected)(void *owner, int fd);
    void (*on_failed)(void *owner, enum dial_failure why);
};

/* `to` is copied. */
struct dial *dial_start(struct loop *l, const struct address *to, uint64_t timeout_ms,
                        const struct dial_events *events, void *owner);
void dial_cancel(struct dial *d);
/*
 * For diagnostics, valid until the event has returned: how long the name took, in ms, and the
 * addresses found, as text ("::1, 127.0.0.1"; "" for a Unix socket).
 */
uint64_t dial_resolve_ms(const struct dial *d);
const char *dial_addresses(struct dial *d);
