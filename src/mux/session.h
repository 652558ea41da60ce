#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"
#include "mux/chunk.h"
#include "wire/frame.h"

/*
 * session -- what two agents share for one reach: streams, credit, the bytes not
 * yet acknowledged (docs/protocol.md §6, §7). Pure: no sockets, no clock.
 *
 * Byte path: flow <-> stream <-> SESSION <-> tls <-> pipe. It outlives its pipes:
 * attached to one at a time, it goes on at the same offset in the next.
 *
 * Owners never hear an event from within their own call on the same stream. From within an event
 * every stream may be sent on, ended, reset, opened; the session must not be fed, ticked,
 * attached, detached or freed there.
 */
struct session;
struct stream;

/*
 * Memory shared by all sessions of a process; zero `used` at the start. What would pass
 * buffered_max is not taken: its stream is reset (RESET_LIMIT). To keep that from happening,
 * windows grow beyond STREAM_WINDOW_FIRST only within half of it.
 */
struct session_budget {
    size_t replay_used, replay_max;     /* memory kept until acknowledged */
    size_t buffered_used, buffered_max; /* bytes given to streams and not yet consumed */
    size_t windows_used;                /* by how much windows have grown */
    struct chunk_pool chunks;
};
void session_budget_init(struct session_budget *b);
void session_budget_done(struct session_budget *b);

enum {
    SESSION_ID_LEN = 16,
    SESSION_STREAMS_MAX = 4096,
    STREAM_WINDOW_FIRST = 256 * 1024,
    STREAM_WINDOW_MAX = 16 * 1024 * 1024,
    REPLAY_FIRST = 2 * 1024 * 1024,
    REPLAY_MAX = 16 * 1024 * 1024,
    AGENT_REPLAY_MAX = 256 * 1024 * 1024,
    AGENT_BUFFER_MAX = 256 * 1024 * 1024,
    SESSION_UNSENT_HIGH = 512 * 1024, /* bytes framed but not yet taken by the pipe: streams wait */
    SESSION_UNSENT_LOW = 256 * 1024,
    SESSION_ACK_BYTES = 512 * 1024,
    SESSION_ACK_MS = 50,
    SESSION_PING_MS = 5 * 1000,
    SESSION_SILENT_MS = 10 * 1000,
    SESSION_HOLD_MS = 10 * 60 * 1000,
};

struct session_events {
    /*
     * (exposing side) The peer opened a stream: stream_own() or stream_reset() before returning.
     */
    void (*on_open)(void *owner, struct stream *s, enum stream_kind kind);
    /*
     * There is output where there was none: call session_output() soon, until it is empty; not told
     * again before. Comes from any call that makes output, but never from within session_input().
     */
    void (*on_output)(void *owner);
};

struct stream_events {
    /* Bytes, borrowed for the call. The owner says stream_consumed() once its reader has them. */
    void (*on_data)(void *owner, struct reader bytes);
    void (*on_datagram)(void *owner, struct reader bytes);
    /* The peer will send no more data. */
    void (*on_fin)(void *owner);
    /* stream_room() is no longer 0. */
    void (*on_room)(void *owner);
    /*
     * The last call: both sides have ended (RESET_NONE), the peer reset it, the session ended, or
     * the process holds too much for slow readers (RESET_LIMIT). The stream is gone.
     */
    void (*on_closed)(void *owner, enum reset_reason why);
};

struct session_setup {
    bool opener; /* the reaching side */
    uint8_t id[SESSION_ID_LEN];
    uint64_t hold_ms; /* how long streams outlive their pipe; 0: not at all */
    struct session_budget *budget;
    const struct session_events *events;
    void *owner;
    /* Microseconds for measuring round trips; NULL: the milliseconds of the calls must do. */
    uint64_t (*clock_us)(void);
};

struct session *session_new(const struct session_setup *setup, uint64_t now_ms);
/*
 * Ends all streams first (their on_closed is called): RESET_HOLD_OVER after SESSION_EXPIRED,
 * otherwise RESET_SESSION_LOST. NULL is fine.
 */
void session_free(struct session *s);
const uint8_t *session_id(const struct session *s);

/* --- pipes ------------------------------------------------------------------ */

/*
 * The generation of the last attach (0: never) and what HELLO tells: bytes of the peer's sequence
 * taken over. An opener counts up for every HELLO that it sends, also for those that came to
 * nothing: the peer may have taken them.
 */
uint32_t session_generation(const struct session *s);
uint64_t session_received(const struct session *s);

/*
 * A pipe of generation `generation` is up, and the peer has all bytes before `peer_received`.
 * RC_PROTO: the generation is not higher than any before. RC_ABSENT: the offset is
 * not within what is kept. RC_LIMIT, RC_EOF: what session_input() said before. On failure nothing
 * has changed. A pipe that is still attached is left first. on_output follows, for a PING at least.
 */
MUST_CHECK enum rc session_attach(struct session *s, uint32_t generation, uint64_t peer_received,
                                  uint64_t now_ms);
/* The pipe is lost. Everything that matters stays; the hold time begins. */
void session_detach(struct session *s, uint64_t now_ms);
bool session_is_attached(const struct session *s);

/*
 * Plain bytes behind HELLO, cut anywhere; all are handled. Without a pipe they are thrown away. Not
 * RC_OK: the peer broke the protocol, or sent CLOSE (RC_EOF, session_close_reason()): end the
 * session.
 */
MUST_CHECK enum rc session_input(struct session *s, struct reader bytes, uint64_t now_ms);
enum close_reason session_close_reason(const struct session *s);
/*
 * Says CLOSE as the last frame on this pipe, at the next frame boundary; session_output() is empty
 * for good when it has been taken. Without a pipe: nothing.
 */
void session_close(struct session *s, enum close_reason why);

/* The next bytes for the pipe, borrowed until the next call on the session; empty: nothing now. */
struct reader session_output(struct session *s, uint64_t now_ms);
/* The first `len` of them are taken; said before the peer can have answered. on_room may follow. */
void session_sent(struct session *s, size_t len);

/* When session_tick() wants to be called; UINT64_MAX: never. */
uint64_t session_deadline(const struct session *s);
enum session_health {
    SESSION_FINE,
    SESSION_PEER_SILENT, /* drop the pipe: session_detach() */
    SESSION_EXPIRED,     /* the hold time is over: session_free() */
};
enum session_health session_tick(struct session *s, uint64_t now_ms);

/* --- streams ---------------------------------------------------------------- */

/* (reaching side) RC_LIMIT: too many streams or bytes. RC_CLOSED: no id is left, or it has ended.
 */
MUST_CHECK enum rc stream_open(struct session *s, enum stream_kind kind,
                               const struct stream_events *events, void *owner,
                               struct stream **out);
void stream_own(struct stream *st, const struct stream_events *events, void *owner);

/* Bytes that can be sent now; 0 asks for on_room. */
size_t stream_room(struct stream *st);
/* Sends a copy of `bytes`, at most stream_room(). */
void stream_send(struct stream *st, struct reader bytes);
/* Sends the data of `c` (from = CHUNK_HEAD, to), at most stream_room(); takes the chunk. */
void stream_send_chunk(struct stream *st, struct chunk *c);
/* A datagram; dropped when there is no pipe or too much waits. */
void stream_send_datagram(struct stream *st, struct reader bytes);
/* `len` bytes of on_data have reached their reader. */
void stream_consumed(struct stream *st, size_t len);
/*
 * No more data from us; once. When the peer has ended too, on_closed follows: never from within
 * this call, but from session_input() or session_tick().
 */
void stream_fin(struct stream *st);
/* Ends it at once, here too: no event comes any more. */
void stream_reset(struct stream *st, enum reset_reason why);

/* --- what status shows --------------------------------------------------------- */
struct session_stats {
    size_t streams;
    uint64_t streams_total, bytes_in, bytes_out; /* of user data */
    size_t unacknowledged;                       /* bytes kept */
    uint64_t rtt_us;                             /* of the last ping; 0: not measured yet */
};
void session_stats(const struct session *s, struct session_stats *out);
/* Asks for a round trip now (diagnostics): `rtt_us` is of this ping when pings_answered has grown.
 */
void session_ping(struct session *s, uint64_t now_ms);
uint64_t session_pings_answered(const struct session *s);
