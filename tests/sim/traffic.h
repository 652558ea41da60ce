#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "chance.h"
#include "mux/core.h"
#include "node.h"

/*
 * traffic -- the users of the two sessions, and the judge: every stream has a record of what each
 * end has sent, ended and reset, and whatever a session tells an end is held against what the other
 * end did. Every byte tells its own place.
 */
enum { TRAFFIC_STREAMS = 64 };

struct traffic;
struct record;

/* One end of one stream: what its user intends, and what has come of it. */
struct leg {
    struct record *rec;
    struct traffic *t;
    struct stream *st; /* NULL: not opened yet, or gone */
    int side;
    uint64_t to_send;
    uint64_t reset_at; /* resets when it has sent or received so much; UINT64_MAX: never */
    size_t piece;      /* most to send at a time */
    bool waits;        /* was told that there is no room, and waits to be told otherwise */
    bool slow;         /* takes bytes only now and then */
    size_t unconsumed;
    uint64_t consumed;
    bool gone;
};

struct record {
    uint32_t id; /* 0: free */
    enum stream_kind kind;
    struct leg legs[2];
    uint64_t sent[2], received[2]; /* by side; UDP: the last datagram's number */
    bool fin[2], got_fin[2], reset[2];
    enum reset_reason why[2];
};

struct traffic {
    struct node *nodes; /* two */
    struct chance *chance;
    struct record records[TRAFFIC_STREAMS];
    size_t live;
    size_t bulk; /* most bytes that a stream sends */
    bool busy;   /* an owner acts: what it causes does not act in turn */
    bool calm;   /* no more streams and resets; slow users hurry */
    uint64_t streams, bytes, datagrams, resets;
};

void traffic_begin(struct traffic *t, struct node nodes[2], struct chance *chance, size_t bulk);
extern const struct session_events traffic_session_events;

/* One user does something. */
void traffic_step(struct traffic *t);
/* Every user does what it can. */
void traffic_work_all(struct traffic *t);
/* What must hold at any time. */
void traffic_check(const struct traffic *t);
/* What must hold when all is quiet: nothing lost, nothing left, every credit where it belongs. */
void traffic_check_quiet(const struct traffic *t);
