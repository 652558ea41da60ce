#pragma once

#include <jansson.h>

#include "agent/failure.h"
#include "agent/settings.h"
#include "crypto/identity.h"
#include "net/hub_call.h"
#include "net/loop.h"

/*
 * enrol -- makes this machine an agent of a hub (docs/protocol.md §1.2): meets the hub, pins its
 * certificate if no authority has signed it, and exchanges an API key for a token.
 */
struct enrol;

struct enrol_setup {
    struct loop *loop;
    struct hub_address
        *hub;     /* borrowed; its TLS context is replaced when a certificate is pinned */
    char *pinned; /* SETTINGS_FINGERPRINT_SIZE bytes; "": nothing is pinned yet, and it may be
                     filled in */
    const char *api_key;             /* borrowed */
    const char *label;               /* borrowed */
    const struct identity *identity; /* borrowed */
};

struct enrol_events {
    /* `answer` (borrowed): of §1.2. `first_contact`: the hub's certificate has just been pinned. */
    void (*on_enrolled)(void *owner, const json_t *answer, bool first_contact);
    void (*on_failed)(void *owner, const struct failure *why);
};

/* One of the events comes, once, never from within. */
struct enrol *enrol_start(const struct enrol_setup *setup, const struct enrol_events *events,
                          void *owner);
void enrol_cancel(struct enrol *e); /* NULL is fine */

/* The trust for a hub: exactly the pinned certificate, or the system's authorities. RC_SYSTEM. */
MUST_CHECK enum rc enrol_trust(struct hub_address *hub, const char *pinned, bool first_contact);
