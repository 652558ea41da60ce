#pragma once

#include "agent/pins.h"
#include "agent/settings.h"
#include "agent/state.h"
#include "agent/tunnel.h"
#include "agent/uplink.h"
#include "crypto/identity.h"
#include "crypto/inner_tls.h"
#include "net/hub_call.h"
#include "net/loop.h"

/*
 * parts -- what one agent is made of. Owned by agent.c, which makes them in this order and
 * frees them in the other; the rest of the agent finds its neighbours here.
 */
struct parts {
    struct settings settings;
    struct identity *identity;
    struct inner_tls *tls;
    struct pins *pins;
    struct state *state;
    struct loop *loop;
    struct hub_address hub;
    struct exposes *exposes;
    struct reaches *reaches;
    struct tunnels *tunnels;
    struct uplink *uplink; /* NULL until the agent is enrolled */
    bool was_connected;
};
