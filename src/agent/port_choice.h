#pragma once

#include <stdint.h>

#include "base/rc.h"
#include "wire/address.h"

/*
 * port_choice -- at which local port a service is reached when nobody asks for one. Pure.
 *
 * The service's own port; for a Unix socket the port that its name ends in (".s.PGSQL.5432"), or
 * PORT_CHOICE_UNIX. A port that is taken: the next one upward. One that only root may have: the
 * same plus 8000 (80 becomes 8080, 443 becomes 8443), then upward.
 */
enum { PORT_CHOICE_UNIX = 10000, PORT_CHOICE_PRIVILEGED = 1024, PORT_CHOICE_TRIES = 200 };

/* The port that is wanted for this target. */
uint16_t port_choice_wanted(const struct address *target);
/* After `port` has failed with `why` (RC_EXISTS, RC_AUTH). 0: there is no other. */
uint16_t port_choice_next(uint16_t port, enum rc why);
