#pragma once

#include "test.h"

#include "mux/core.h"

/*
 * pair -- two sessions back to back: B opens, A accepts. Time stands in `now`, bytes move only in
 * pair_move() and pair_pump(). Every stream has a tap for its owner, which sends and checks bytes
 * that tell their own place.
 */
enum { PAIR_TAPS = 4200 };

enum tap_event { TAP_DATA, TAP_DATAGRAM, TAP_FIN, TAP_ROOM, TAP_CLOSED };

struct tap {
    struct stream *st; /* NULL: gone */
    struct end *end;
    uint64_t to_send, sent, received, unconsumed;
    bool fin_after; /* FIN when to_send has been sent */
    bool fin_sent;
    bool lazy;    /* does not consume */
    size_t piece; /* most to send at a time; 0: what there is room for */
    unsigned fins, rooms, closed, datagrams;
    size_t last_datagram;
    enum reset_reason why;
    void (*hook)(struct tap *t, enum tap_event event); /* called after the tap's own handling */
    struct tap *other;                                 /* for hooks */
};

struct end {
    struct session *s;
    struct session_budget budget;
    struct pair *pair;
    struct tap taps[PAIR_TAPS]; /* in the order of opening, on both sides */
    size_t count;
    unsigned outputs;               /* on_output calls */
    void (*on_open)(struct tap *t); /* NULL: just own it */
    bool takes_any_bytes;           /* what comes is not patterned */
};

struct pair {
    struct end b, a;
    uint64_t now;
    uint32_t generation;
    size_t step; /* most bytes moved at once; 0: whole pieces */
};

struct pair *pair_new(void);
/* A fresh pair with its first pipe. */
struct pair *pair_attached(void);
/* Frees both and checks that no memory is held any more. */
void pair_free(struct pair *p);

/* A new pipe: both tell what they have. */
void pair_attach(struct pair *p);
void pair_detach(struct pair *p);

struct tap *pair_open(struct pair *p);
struct tap *pair_open_kind(struct pair *p, enum stream_kind kind);
/* The other end's tap of the same stream. */
struct tap *tap_peer(struct tap *t);
/* Sends as much of to_send as there is room for. */
void tap_send(struct tap *t);
/* Consumes what a lazy one has not. */
void tap_consume(struct tap *t, size_t len);

/* Moves one piece, up to `most` bytes; false: there is none. */
bool pair_move(struct end *from, struct end *to, size_t most);
/* Moves until both are quiet. */
void pair_pump(struct pair *p);
