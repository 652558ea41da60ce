#pragma once

#include "mux/beside.h"
#include "mux/intake.h"
#include "mux/replay.h"
#include "mux/session.h"
#include "mux/stream.h"
#include "mux/stream_table.h"

/*
 * core -- the inside of a session, shared by the files that make it up:
 *
 *   session.c  life, pipes, time                      intake.c   what comes in, frame by frame
 *   outlet.c   what goes out, and whose turn it is    streams.c  what owners of streams ask for
 *
 * Rule for all of them: an owner's event may change anything but the session's own life, so no
 * stream pointer is kept across one; streams are looked up again by id.
 */
enum {
    SESSION_REPLAY_SURE = FRAME_DATA_MAX, /* kept even when the process keeps too much */
    SESSION_REPLAY_CONTROL = 1024 * 1024, /* beyond the limit, for frames that carry no data */
    /* What a stream may send when its turn comes: half of the first window, so that the other
     * half's credit can come back meanwhile and a grown window is no advantage. */
    SESSION_TURN = STREAM_WINDOW_FIRST / 2,
    SESSION_RTT_LEAST_MS = 1,         /* the clock of the loop is no finer */
    SESSION_RESETS_KNOWN = 16 * 1024, /* latest ids of which we know whether we reset them */
};

/* Whose bytes session_output() hands out until a frame has ended. */
enum lane { LANE_NONE, LANE_SEQUENCE, LANE_CONTROL, LANE_DATAGRAMS };

struct ping {
    uint64_t next_ms; /* when to ask */
    uint64_t token;   /* of the latest ask */
    uint64_t asked_us;
    bool asked;        /* it is on its way and not answered */
    uint64_t answered; /* how many were */
    uint64_t last_us;  /* the latest round trip; 0: none yet */
    uint64_t least_us; /* the shortest on this pipe: without our own queues in it; 0: none yet */
};

struct session {
    bool opener;
    uint8_t id[SESSION_ID_LEN];
    uint64_t hold_ms;
    struct session_budget *budget;
    const struct session_events *events;
    void *owner;
    uint64_t (*clock_us)(void);

    uint64_t now_ms; /* of the latest call that told it */
    enum rc failed;  /* not RC_OK: the peer broke the protocol or closed */
    enum close_reason closed_by_peer;
    bool ending;  /* session_free() is at work */
    bool expired; /* the hold time was over */

    /* the pipe */
    bool attached;
    uint32_t generation;
    uint64_t lost_ms, heard_ms;
    struct ping ping;

    /* out */
    struct replay replay;
    struct beside beside;
    enum lane lane;
    bool datagrams_last; /* the sequence is next */
    bool output_asked;   /* the owner knows that there is output */
    bool close_sent;     /* nothing goes out any more */
    struct list waiting; /* streams that want room, the longest-waiting first */
    bool offering;

    /* in */
    bool in_input;
    struct intake intake;
    uint64_t told;   /* the receive offset that the peer knows */
    uint64_t ack_ms; /* when it must know better; UINT64_MAX: it is up to date */

    /* streams */
    struct stream_table table;
    struct list streams;                        /* all in the table */
    struct list ended;                          /* both sides ended, on_closed still to come */
    uint32_t last_id;                           /* the latest opened */
    uint64_t resets[SESSION_RESETS_KNOWN / 64]; /* bit id % SESSION_RESETS_KNOWN: we reset it */
    uint64_t streams_total, bytes_in, bytes_out;
};

/* --- session.c ---------------------------------------------------------------- */
/* What windows and replay are measured by; 0: not known yet. */
uint64_t session_rtt_ms(const struct session *s);
uint64_t session_now_us(const struct session *s);

/* --- outlet.c ------------------------------------------------------------------ */
/* Tells the owner that there is output, if it does not know and is not in session_input(). */
void outlet_wake(struct session *s);
/* Appends a small frame to the sequence. */
void outlet_add(struct session *s, const uint8_t *frame, size_t len);
/* Appends DATA, as frames of the size that suits the replay. */
void outlet_add_data(struct session *s, uint32_t stream, struct reader bytes);
void outlet_add_chunk(struct session *s, uint32_t stream, struct chunk *c);
/* Whether more may be kept at all. */
bool outlet_can_keep(const struct session *s);
/* Whether streams as a whole may send; the rest is the single stream's credit and turn. */
bool outlet_has_room(const struct session *s);
/* Gives those who wait their turns, as long as there is room. */
void outlet_offer_room(struct session *s);

/* --- streams.c ------------------------------------------------------------------- */
struct stream *streams_add(struct session *s, uint32_t id, enum stream_kind kind);
/* Both sides have ended: on_closed follows by streams_flush_ended(). */
void streams_end(struct stream *st);
void streams_flush_ended(struct session *s);
/* Removes it, tells its owner, frees it. */
void streams_close(struct stream *st, enum reset_reason why);
void streams_close_all(struct session *s, enum reset_reason why);
/* Tells the peer, and remembers that it was us. */
void streams_tell_reset(struct stream *st, enum reset_reason why);
/* Of an id that is not in the table: whether the peer may not know yet that it is gone. */
bool streams_is_ours_reset(const struct session *s, uint32_t id);
