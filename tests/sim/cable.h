#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "chance.h"

/*
 * cable -- a pipe that can be cut: a queue of bytes per direction. Of what is on its way when it is
 * cut, a random prefix survives and can still come out, at any later time: late bytes of an old
 * pipe.
 */
enum { CABLE_MAX = 1024 * 1024 };

struct cable {
    struct buf way[2];   /* by who sends: 0 B, 1 A */
    struct buf hello[2]; /* by who reads: what has come of the HELLO that begins it */
    bool greeted[2];     /* it has come whole */
    bool up;             /* bytes that go in can come out */
    bool silent;         /* it was cut, and nobody is told */
    uint64_t serial;     /* the older, the lower; 0: not in use */
};

void cable_init(struct cable *c);
void cable_done(struct cable *c);
void cable_lay(struct cable *c, uint64_t serial);
void cable_cut(struct cable *c, bool silent, struct chance *chance);
/* Nothing comes out any more. */
void cable_forget(struct cable *c);
/* Lost when it is cut. */
void cable_put(struct cable *c, int way, struct reader bytes);
static inline size_t cable_room(const struct cable *c, int way)
{
    return c->up ? CABLE_MAX - c->way[way].len : CABLE_MAX;
}
