#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/rc.h"
#include "mux/credit.h"
#include "mux/session.h"

/*
 * stream -- one user's connection within a session: its state (docs/protocol.md §7.3), its
 * credit, its owner. Known by its id in the session's stream_table. The functions that the owner
 * calls are in session.h.
 */
enum stream_state {
    STREAM_ILLEGAL = 0,
    STREAM_OPEN,
    STREAM_PEER_ENDED,
    STREAM_WE_ENDED,
    STREAM_GONE,
    STREAM_STATES_
};

enum stream_event {
    STREAM_GOT_DATA,
    STREAM_GOT_FIN,
    STREAM_SENT_DATA,
    STREAM_SENT_FIN,
    STREAM_RESET, /* either way */
    STREAM_EVENTS_
};

struct stream {
    struct list link;    /* on the session's streams, or on its ended ones */
    struct list waiting; /* on the session's waiting ones: has been told there is no room */
    struct stream *next; /* in the bucket */
    struct session *session;
    const struct stream_events *events; /* NULL: the owner has not been found yet */
    void *owner;
    uint32_t id;
    enum stream_kind kind;
    enum stream_state state;
    bool wants_room;   /* on_room is owed */
    bool closing;      /* on_closed is being called */
    bool interrupted;  /* room ended within its turn: it goes on first */
    size_t turn;       /* bytes it may still send though others wait */
    size_t held;       /* bytes of on_data not yet consumed */
    uint64_t open_end; /* our sequence up to the end of its OPEN: no datagram goes before */
    struct credit_out out;
    struct credit_in in;
};

/* The only place that writes the state. RC_PROTO: not a legal move; nothing changed. */
MUST_CHECK enum rc stream_step(struct stream *st, enum stream_event event);
bool stream_can_send(const struct stream *st);
bool stream_can_receive(const struct stream *st);
