#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/token.h"
#include "hub/control_message.h"
#include "hub/link.h"
#include "hub/relay.h"
#include "net/pipe.h"

/*
 * rendezvous -- brings the two legs of a pipe together (docs/protocol.md §2-§4): asks the exposing
 * agent, gives out tickets, takes the legs as they come, joins them, and tells the reaches what has
 * flowed.
 *
 * Belongs to the loop thread.
 */
struct rendezvous;
struct leg;
struct reaches;
struct loop;

enum {
    HUB_PIPES_WAITING_MAX = 64,     /* per agent */
    HUB_PIPES_MAX = 4096,           /* per agent: joined */
    RENDEZVOUS_DIAL_MS = 10 * 1000, /* for the exposing agent's answer */
    RENDEZVOUS_TICKET_MS = 30 * 1000,
};

struct rendezvous *rendezvous_new(struct loop *l, struct reaches *reaches, unsigned relay_threads);
/* Gives up what waits, ends what is joined. Copied pipes end on the loop; see rendezvous_is_idle().
 */
void rendezvous_stop(struct rendezvous *rv);
bool rendezvous_is_idle(const struct rendezvous *rv);
void rendezvous_free(struct rendezvous *rv); /* stopped and idle. NULL is fine */
size_t rendezvous_joined(const struct rendezvous *rv);

/*
 * The request `id` of `asker` for a pipe to `service`, which `owner` has. It is answered, now or
 * later, by link_send().
 */
void rendezvous_open(struct rendezvous *rv, struct link *asker, uint64_t id, bool resume,
                     const char *mode, const struct control_service *service, struct link *owner);
/* An agent's answer to one of our requests. */
void rendezvous_answer(struct rendezvous *rv, struct link *from, const struct control_message *m);
/* Before a link ends. */
void rendezvous_link_gone(struct rendezvous *rv, struct link *l);

/* The leg that this ticket is for. NULL: unknown, used or too old. */
struct leg *rendezvous_find(struct rendezvous *rv, const struct token_hash *ticket);
/* True when the agents agreed on a dressed pipe, so that a bare leg must not be given. */
bool leg_must_be_dressed(const struct leg *leg);
/* Takes the channel on which the 101 for `mode` has been sent; the ticket is used up. */
void leg_arrive(struct leg *leg, struct channel *ch, enum pipe_mode mode);
/* The ticket is used up, the leg will not do; takes its channel if there is one. */
void leg_spoil(struct leg *leg, struct channel *ch);
