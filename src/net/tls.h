#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * tls -- one TLS endpoint between two byte queues: no sockets, no loop.
 *
 * Sealed bytes go in by tls_feed() and come out appended to the buffer that the
 * owner names; plain bytes come out by on_plain and go in by tls_write(). It is
 * both the outer TLS of a channel and the TLS between two agents
 * (docs/protocol.md §5).
 */
struct tls;
struct ssl_st; /* OpenSSL's SSL */

struct tls_events {
    /* The handshake is done and the peer is who it must be. */
    void (*on_established)(void *owner);
    /* Plain bytes, borrowed until the call returns: of one record, or up to TLS_GATHER (tls_gather()). */
    void (*on_plain)(void *owner, struct reader bytes);
};

enum { TLS_GATHER = 256 * 1024 };

/*
 * Takes `ssl`, with its role set. `gather`: a scratch area of TLS_GATHER bytes that no
 * other tls uses while on_plain of this one runs.
 */
struct tls *tls_new(struct ssl_st *ssl, uint8_t *gather, const struct tls_events *events, void *owner);
void tls_free(struct tls *t);

/*
 * Starts or goes on: handles all of `in` unless tls_stop() was called, appending
 * what must be sent to `out`. RC_OK: more can come. RC_EOF: the peer has ended in
 * order. RC_AUTH: the peer is not who it must be. RC_PROTO: anything else wrong.
 * With an empty `in` a client sends its first flight.
 */
MUST_CHECK enum rc tls_feed(struct tls *t, struct reader *in, struct buf *out);
/*
 * From within an event: tls_feed() returns after it and leaves the rest of `in`
 * untouched, exactly behind the record that was handled.
 */
void tls_stop(struct tls *t);
/* From now on plain bytes of many records are handed up at once. tls_stop() is then not exact. */
void tls_gather(struct tls *t);

/* Seals `bytes`. Only once established. RC_SYSTEM: the library failed; close. */
MUST_CHECK enum rc tls_write(struct tls *t, struct reader bytes, struct buf *out);
/* Goes on with new keys for what we send (docs/protocol.md §5); tls_write() does so by itself after TLS_KEY_BYTES. */
#define TLS_KEY_BYTES (UINT64_C(64) << 30)
void tls_update_keys(struct tls *t);
/* Says that nothing more follows. */
void tls_end(struct tls *t, struct buf *out);

bool tls_is_established(const struct tls *t);
/* 32 bytes bound to this connection (RFC 8446 §7.5), equal at both ends. */
enum { TLS_EXPORT_LEN = 32 };
MUST_CHECK enum rc tls_export(struct tls *t, const char *label, uint8_t out[TLS_EXPORT_LEN]);
/* Why the handshake failed, one phrase for people, static. "" if it did not. */
const char *tls_failure(const struct tls *t);
/* SHA-256 of the peer's certificate. RC_ABSENT: it showed none. */
MUST_CHECK enum rc tls_peer_fingerprint(struct tls *t, uint8_t out[32]);
