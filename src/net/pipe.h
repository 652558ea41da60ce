#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"
#include "net/channel.h"

/*
 * pipe -- one leg of a joined byte stream through the hub (docs/protocol.md §4).
 *
 * Byte path: channel <-> PIPE <-> tls <-> session. Bytes in, bytes out, unread;
 * the mode decides how they are dressed.
 *
 * Life: from pipe_dial() or pipe_accept() until pipe_close(); then exactly one
 * on_closed, from the loop, after which the pipe has freed itself.
 */
enum pipe_mode { PIPE_AUTO, PIPE_BARE, PIPE_WRAPPED, PIPE_BASE64 };
const char *pipe_mode_text(enum pipe_mode mode);
/* RC_INPUT: none of auto, bare, wrapped, base64. */
MUST_CHECK enum rc pipe_mode_parse(const char *text, enum pipe_mode *out);

struct pipe;

struct pipe_events {
    /* The hub has taken the leg (pipe_dial only). The mode is settled. */
    void (*on_open)(void *owner);
    /* Bytes, borrowed until the call returns. */
    void (*on_bytes)(void *owner, struct reader bytes);
    /* pipe_is_full() has become false again. */
    void (*on_room)(void *owner);
    /* The last call. RC_ABSENT: the hub refused the ticket. RC_AUTH: the hub's certificate. */
    void (*on_closed)(void *owner, enum rc why);
};

enum { PIPE_MESSAGE_MAX = 1024 * 1024, PIPE_BASE64_MAX = 64 * 1024 /* bytes before encoding */ };

struct hub_address; /* net/hub_client.h: where the hub is and how it is trusted */

/* Agent: dials the hub and presents `ticket` (hex text, copied). */
struct pipe *pipe_dial(struct loop *l, const struct hub_address *hub, const char *ticket,
                       enum pipe_mode mode, const struct pipe_events *events, void *owner);

/* Hub: takes a channel on which the 101 for `mode` has been sent. Not for PIPE_BARE under TLS:
 * that is channel_release() and the relay threads. */
struct pipe *pipe_accept(struct channel *ch, enum pipe_mode mode, const struct pipe_events *events,
                         void *owner);
void pipe_own(struct pipe *p, const struct pipe_events *events, void *owner);

enum pipe_mode pipe_mode(const struct pipe *p);

/* Sends a copy of `bytes`. The sender should stop while pipe_is_full(). */
void pipe_send(struct pipe *p, struct reader bytes);
/* The same without the copy: append to the buffer that pipe_begin() gives, then pipe_commit(). */
struct buf *pipe_begin(struct pipe *p);
void pipe_commit(struct pipe *p);
bool pipe_is_full(const struct pipe *p);

void pipe_pause(struct pipe *p);
void pipe_resume(struct pipe *p);

/* Starts closing; sends what is queued first when `why` is RC_CLOSED. */
void pipe_close(struct pipe *p, enum rc why);
/* For on_closed: why, for people. Never NULL. */
const char *pipe_failure(const struct pipe *p);
