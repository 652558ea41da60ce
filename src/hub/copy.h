#pragma once

#include <stddef.h>

#include "hub/relay.h"
#include "net/pipe.h"

/*
 * copy -- joins two legs of which at least one is not bare, on the loop thread: bytes are undressed
 * from one leg and dressed for the other, unread.
 *
 * Holds no bytes itself: the slower side sets the pace. When one leg ends, what it has sent is
 * still delivered and the other ends (a dressed leg has no half).
 */
struct copies;

struct copies *copies_new(relay_ended *ended);
/* Closes all; `ended` still comes for each, from the loop. */
void copies_stop(struct copies *cs);
void copies_free(struct copies *cs); /* none may be left. NULL is fine */
size_t copies_count(const struct copies *cs);

/* Takes two channels on which the 101 for their mode has been sent, paused or not. A bare leg's
 * channel is plain. */
void copies_join(struct copies *cs, void *tag, struct channel *a, enum pipe_mode a_mode,
                 struct channel *b, enum pipe_mode b_mode);
