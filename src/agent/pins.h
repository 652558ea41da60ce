#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/failure.h"
#include "base/rc.h"
#include "crypto/identity.h"

/*
 * pins -- which key each other agent had when we first met it, and which agent had
 * each service that we reach: known_agents.json, the `known_hosts` of agents.
 *
 * The hub tells us agents and keys; what is pinned here is believed more. A key
 * is pinned once a handshake has proved it, never because the hub named it.
 *
 *   known agent?  its key   service known?            judgement
 *   no            -         no, or same agent         PINS_NEW
 *   yes           same      no, or same agent         PINS_KNOWN
 *   yes           other     -                         PINS_KEY_CHANGED
 *   -             same*     other agent, same key     as above: that agent has enrolled anew
 *   -             -         other agent, other key    PINS_SERVICE_MOVED
 *   -             our own   -                         PINS_OWN_KEY
 */
struct pins;

enum pins_judgement {
    PINS_NEW,
    PINS_KNOWN,
    PINS_KEY_CHANGED,
    PINS_SERVICE_MOVED,
    PINS_OWN_KEY,
};

struct pins_peer {
    char agent_id[64];
    char label[128]; /* as the hub told it: for people only */
    uint8_t key[IDENTITY_KEY_LEN];
};

/* An absent file is an empty one. Not RC_OK: `why`. */
MUST_CHECK enum rc pins_load(const char *path, const uint8_t own_key[IDENTITY_KEY_LEN],
                             struct pins **out, struct failure *why);
void pins_free(struct pins *p);

/*
 * What to think of `peer` for `service` (NULL: it comes to us, whichever service it wants). When
 * refused, `why` has both fingerprints and the command that accepts it.
 */
enum pins_judgement pins_judge(const struct pins *p, const struct pins_peer *peer,
                               const char *service, struct failure *why);

/*
 * The peer has proved its key: remembers it if it is new, and for `service` (NULL: none). Written
 * to the file; a failure to write is logged and the pin holds until the agent ends.
 */
void pins_remember(struct pins *p, const struct pins_peer *peer, const char *service);
/*
 * The peer has shown that it has the private half of its key: judges it once more and remembers it.
 * The hub may have named two keys for one agent before either was pinned. RC_AUTH: `why`.
 */
MUST_CHECK enum rc pins_prove(struct pins *p, const struct pins_peer *peer, const char *service,
                              struct failure *why);
/* A service was refused as moved: pins_trust() of the agent that has it now accepts that. */
void pins_note_move(struct pins *p, const char *service, const char *agent_id);
/* Somebody has decided: this key for this agent, and the services that have moved to it. */
MUST_CHECK enum rc pins_trust(struct pins *p, const struct pins_peer *peer, struct failure *why);

/* The names of services mean others now: this agent is in another workspace. */
void pins_forget_services(struct pins *p);

/* RC_ABSENT: never met. */
MUST_CHECK enum rc pins_find(const struct pins *p, const char *agent_id, struct pins_peer *out);
