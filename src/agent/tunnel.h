#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "crypto/inner_tls.h"
#include "mux/session.h"
#include "net/hub_call.h"
#include "net/pipe.h"

/*
 * tunnel -- one session with what carries it: pipe, handshake, HELLO, and the
 * next pipe when this one is lost (docs/protocol.md §4-§6).
 *
 * Byte path: flow <-> session <-> TUNNEL (tls) <-> pipe. On the reaching agent a tunnel
 * is opened and asks its owner for pipes; on the exposing agent one is made or found again for
 * every pipe that the hub announces.
 */
struct tunnels; /* all tunnels of an agent, and what they share */
struct tunnel;
struct check_reply;

/* What `open` or `dial` said (docs/protocol.md §2). */
struct pipe_offer {
    char ticket[72];
    char peer_id[64];
    uint8_t peer_key[IDENTITY_KEY_LEN]; /* already checked against the pins */
    char service[64];
    enum pipe_mode mode;
};

struct tunnels_setup {
    struct loop *loop;
    const struct hub_address *hub; /* borrowed; may change what it says between pipes */
    struct inner_tls *tls;         /* borrowed */
    char workspace[64];
    uint64_t hold_ms;
    /*
     * (exposing side) A stream for `service` was opened: the target of our own configuration, or NULL (RESET_NO_SERVICE).
     */
    const struct address *(*find_target)(void *owner, const char *service);
    /* (exposing side) STREAM_CHECK: examine the target and answer, now or later, by check_reply_send(). */
    void (*on_check)(void *owner, const char *service, struct check_reply *reply);
    /*
     * (exposing side) The peer of a pipe that the hub announced has proved its key. False: it is not
     * to be trusted after all. NULL: not interested.
     */
    bool (*on_peer_proved)(void *owner, const struct pipe_offer *offer);
    void *owner;
};

struct tunnels *tunnels_new(const struct tunnels_setup *setup);
void tunnels_set_workspace(struct tunnels *ts, const char *workspace);
/* Ends all: peers get CLOSE (shutting down). Nothing is called any more. */
void tunnels_free(struct tunnels *ts);

/* The answer to an on_check; exactly once; a stream that has gone meanwhile is no error. */
void check_reply_send(struct check_reply *reply, struct reader json);

/* (exposing side) The hub announced a pipe: dials it, shakes hands, finds or makes the session. */
void tunnels_accept(struct tunnels *ts, const struct pipe_offer *offer);
/* (exposing side) The service is no longer exposed: its sessions end with CLOSE_NO_SERVICE. */
void tunnels_withdraw(struct tunnels *ts, const char *service);
/* (exposing side) Streams now open for a service. */
size_t tunnels_streams(const struct tunnels *ts, const char *service);

/* --- reaching side ---------------------------------------------------------- */

enum tunnel_state {
    TUNNEL_CONNECTING,   /* never been up */
    TUNNEL_UP,
    TUNNEL_RECONNECTING, /* pipe lost, streams held */
    TUNNEL_CLOSED,       /* last state; the tunnel has ended */
};

enum tunnel_failure {
    TUNNEL_NO_FAILURE,
    TUNNEL_PEER_REFUSED,   /* the other agent's key is not the expected one, or it refused ours */
    TUNNEL_HANDSHAKE,      /* the handshake did not come through */
    TUNNEL_HUB,            /* the pipe could not be dialled */
    TUNNEL_ENDED_BY_PEER,  /* CLOSE: text says why */
    TUNNEL_PROTOCOL,
    TUNNEL_EXPIRED,        /* hold time over */
};

struct tunnel_events {
    /*
     * A pipe is wanted (first, or again after a loss; back-off has been waited for). Ask the hub `open` and call
     * tunnel_dial(), or tunnel_no_pipe().
     */
    void (*on_want_pipe)(void *owner, bool resume, enum pipe_mode mode);
    /*
     * The peer has proved the key that tunnel_dial() named, and nothing has been sent to it. False:
     * it is not to be trusted after all; the tunnel ends with TUNNEL_PEER_REFUSED.
     */
    bool (*on_proved)(void *owner);
    /*
     * The state has changed (TUNNEL_CONNECTING: an attempt has failed, the next one follows); on TUNNEL_CLOSED it is
     * the last call, after which the tunnel has freed itself.
     */
    void (*on_state)(void *owner, enum tunnel_state state, enum tunnel_failure why, const char *text);
};

/* Begins: on_want_pipe follows, not from within. `service` is copied. */
struct tunnel *tunnel_open(struct tunnels *ts, const char *service, enum pipe_mode mode,
                           const struct tunnel_events *events, void *owner);
void tunnel_dial(struct tunnel *t, const struct pipe_offer *offer);
/* No pipe to be had now: `final` gives up (on_state TUNNEL_CLOSED, never from within), otherwise it asks again after the back-off. */
void tunnel_no_pipe(struct tunnel *t, bool final, const char *text);
/* The network changed or the hub is back: do not wait for the back-off. */
void tunnel_retry_now(struct tunnel *t);
/* Ends it; on_state is not called any more. */
void tunnel_close(struct tunnel *t);

/* Borrowed. Streams may be opened before the first pipe is up: what they send waits. */
struct session *tunnel_session(struct tunnel *t);
struct chunk_pool *tunnel_chunks(struct tunnel *t);
enum tunnel_state tunnel_state(const struct tunnel *t);
enum pipe_mode tunnel_pipe_mode(const struct tunnel *t);
const char *tunnel_peer_id(const struct tunnel *t); /* "" before the first pipe */
