#pragma once

#include "node.h"
#include "traffic.h"

/*
 * world -- two nodes, the pipes between them, time, and what goes wrong. Everything that happens is
 * drawn from one seed.
 */
enum { WORLD_CABLES = 6 };

struct world {
    struct chance chance;
    struct node nodes[2];
    struct cable cables[WORLD_CABLES]; /* the newest and the last old ones, from which bytes may
                                          still come */
    struct cable *newest;              /* NULL: none yet */
    uint64_t serial, now;
    struct traffic traffic;
    size_t gulp; /* most bytes moved at once */
    size_t cut_every;
    uint64_t cuts, digest;
};

void world_init(struct world *w, uint64_t seed, enum node_fault fault);
void world_done(struct world *w);
/* One life of a pair of sessions with `cuts` lost pipes; then it must come to rest with nothing
 * lost. */
void world_live(struct world *w, uint64_t cuts);
