#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"
#include "net/loop.h"

/*
 * conn -- one connected socket (TCP or Unix) on the loop.
 *
 * Byte path: kernel <-> CONN <-> channel, flow. It holds what the kernel would
 * not yet take, nothing else; reading is the owner's, into the owner's memory.
 *
 * Life: from conn_new() until conn_close(), conn_reset() or conn_release(). The
 * first two end with exactly one on_closed from the loop, after which the
 * connection has freed itself; between the call and on_closed no other event
 * comes. A failure of the socket is a conn_close() by the connection itself.
 */
struct conn;

struct conn_events {
    /* Bytes, or the end, may be waiting: conn_read(). Level-triggered, while not paused. */
    void (*on_readable)(void *owner);
    /* conn_is_full() has become false again. */
    void (*on_room)(void *owner);
    /* The last call. RC_CLOSED: we closed it. RC_SYSTEM: the network did. */
    void (*on_closed)(void *owner, enum rc why);
    /* The kernel has taken some of what was queued: conn_queued() is less. NULL: not interested. */
    void (*on_sent)(void *owner);
};

enum {
    CONN_HIGH = 512 * 1024, /* bytes queued: full */
    CONN_LOW = 128 * 1024,  /* bytes queued: no longer full */
    CONN_QUEUE_MAX = 24 * 1024 * 1024 /* bytes queued: more is a mistake of ours */
};

/* Takes the connected descriptor `fd` and starts paused. `events` is static. */
struct conn *conn_new(struct loop *l, int fd, const struct conn_events *events, void *owner);
/* Hands the connection to another owner. */
void conn_own(struct conn *c, const struct conn_events *events, void *owner);

/*
 * Reads what is there, up to `size`. RC_AGAIN: nothing now. RC_EOF: the peer has
 * ended its side (writing goes on). RC_SYSTEM: broken; close it.
 */
MUST_CHECK enum rc conn_read(struct conn *c, void *out, size_t size, size_t *got);
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Sends at once what the kernel takes and queues a copy of the rest. */
void conn_send(struct conn *c, struct reader bytes);
/*
 * The queue itself, for an encoder that writes straight into it; conn_flush()
 * afterwards, before anything else is sent.
 */
struct buf *conn_queue(struct conn *c);
void conn_flush(struct conn *c);
bool conn_is_full(const struct conn *c);
size_t conn_queued(const struct conn *c);

/* Ends our side once everything queued has gone. Reading goes on. */
void conn_end(struct conn *c);

/* Closes; what is queued is sent first, for CONN_LINGER_MS at most. */
enum { CONN_LINGER_MS = 2000 };
void conn_close_flushed(struct conn *c, enum rc why);
/* Closes at once. The first `why` counts. */
void conn_close(struct conn *c, enum rc why);
/* Closes at once in a way the peer sees as a reset, where the protocol has one. */
void conn_reset(struct conn *c, enum rc why);

/*
 * Gives the descriptor away. RC_OK: no event comes any more; the connection frees itself.
 * Non-blocking stays set. RC_AGAIN: something is queued. RC_CLOSED: it is closing, perhaps because
 * the last send has found it broken; on_closed comes.
 */
MUST_CHECK enum rc conn_release(struct conn *c, int *fd);
int conn_fd(const struct conn *c); /* borrowed, for socket options */
