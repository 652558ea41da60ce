#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cable.h"
#include "mux/core.h"

/*
 * node -- an agent as far as the session needs one: it plays the tunnel's part (docs/protocol.md
 * §6.2, §6.5). Side 0 is B, which dials; side 1 is A, which accepts. The session in it is the
 * production code.
 */
enum node_fault {
    NODE_SOUND,
    NODE_NO_FENCE,   /* late bytes of an old pipe are taken for bytes of the new one */
    NODE_ONE_AHEAD,  /* HELLO tells one byte too many */
    NODE_ONE_BEHIND, /* one too few */
    NODE_FAULTS_
};

struct node {
    int side;
    struct session *s;
    struct session_budget budget;
    struct cable *cable;  /* the session is attached to it */
    struct cable *dialed; /* (B) HELLO has been sent on it */
    uint32_t dials;       /* (B) the generation of the latest HELLO */
    enum node_fault fault;
    uint64_t attached; /* how many pipes came up */
    uint64_t *digest;  /* of all that the session was fed with */
};

/* A fresh session and no pipe. */
void node_begin(struct node *n, int side, const struct session_events *events, void *owner,
                uint64_t now);
void node_end(struct node *n);

/* (B) A new pipe. */
void node_dial(struct node *n, struct cable *c, uint64_t now);
/* It has noticed that its pipe is lost. */
void node_lose(struct node *n, uint64_t now);
/* Moves at most `most` bytes from the session into its pipe; returns how many. */
size_t node_send(struct node *n, size_t most, uint64_t now);
/* At most `most` bytes come out of `c`, which may be an old pipe; returns how many. */
size_t node_receive(struct node *n, struct cable *c, size_t most, uint64_t now);
void node_tick(struct node *n, uint64_t now);
