#include "world.h"

#include "verdict.h"

enum {
    PROGRESS_MS = 60 * 1000, /* after the last fault everything is done within this time */
    CHECK_EVERY = 64,
};

void world_init(struct world *w, uint64_t seed, enum node_fault fault)
{
    *w = (struct world){.chance = {.state = seed}, .now = 1000};
    for (int i = 0; i < WORLD_CABLES; i++)
        cable_init(&w->cables[i]);
    for (int side = 0; side < 2; side++) {
        w->nodes[side].fault = fault;
        w->nodes[side].digest = &w->digest;
    }
}

void world_done(struct world *w)
{
    for (int i = 0; i < WORLD_CABLES; i++)
        cable_done(&w->cables[i]);
}

/* --- pipes --------------------------------------------------------------------------- */

static struct cable *oldest_cable(struct world *w)
{
    struct cable *oldest = &w->cables[0];

    for (int i = 1; i < WORLD_CABLES; i++)
        if (w->cables[i].serial < oldest->serial)
            oldest = &w->cables[i];
    return oldest;
}

static void lose(struct world *w, struct node *n)
{
    (void)w;
    if (n->cable || n->dialed)
        node_lose(n, w->now);
}

static void dial(struct world *w)
{
    struct cable *c = oldest_cable(w);

    for (int side = 0; side < 2; side++) /* a node that has not noticed anything for so long */
        if (w->nodes[side].cable == c)
            lose(w, &w->nodes[side]);
    cable_lay(c, ++w->serial);
    w->newest = c;
    node_dial(&w->nodes[0], c, w->now);
}

static void cut(struct world *w)
{
    if (w->newest == NULL || !w->newest->up)
        return;
    cable_cut(w->newest, chance_one_in(&w->chance, 50), &w->chance);
    w->cuts++;
    verdict_place.cuts++;
}

/* A node with a dead pipe learns of it sooner or later; of a silent death only its clock tells. */
static void notice(struct world *w, struct node *n)
{
    struct cable *c = n->dialed ? n->dialed : n->cable;

    if (c && !c->up && (!c->silent || c == n->dialed) && chance_one_in(&w->chance, 4))
        lose(w, n);
    if (n->side == 0 && n->cable == NULL && n->dialed == NULL && chance_one_in(&w->chance, 2))
        dial(w);
    else if (n->side == 0 && n->cable && chance_one_in(&w->chance, 5000)) {
        lose(w, n); /* the network has changed: a new pipe though the old one still works */
        dial(w);
    }
}

/* --- steps --------------------------------------------------------------------------- */

static void advance(struct world *w)
{
    bool silent = w->newest && w->newest->silent;
    size_t most = silent || chance_one_in(&w->chance, 1000) ? 4000 : 10;

    w->now += chance_up_to(&w->chance, most);
    for (int side = 0; side < 2; side++)
        node_tick(&w->nodes[side], w->now);
}

static void receive(struct world *w, struct node *n, struct cable *c)
{
    if (c)
        node_receive(n, c, 1 + chance_skewed(&w->chance, w->gulp), w->now);
}

static void step(struct world *w)
{
    struct node *n = &w->nodes[chance_up_to(&w->chance, 1)];

    switch (chance_up_to(&w->chance, 9)) {
    case 0:
    case 1:
    case 2:
        node_send(n, 1 + chance_skewed(&w->chance, w->gulp), w->now);
        notice(w, n);
        break;
    case 3:
    case 4:
    case 5:
        receive(w, n, w->newest);
        break;
    case 6:
        receive(w, n, &w->cables[chance_up_to(&w->chance, WORLD_CABLES - 1)]);
        break;
    case 7:
    case 8:
        traffic_step(&w->traffic);
        break;
    default:
        advance(w);
    }
    if (chance_one_in(&w->chance, w->cut_every))
        cut(w);
    if (verdict_place.step++ % CHECK_EVERY == 0)
        traffic_check(&w->traffic);
}

/* --- calm ---------------------------------------------------------------------------- */

static bool is_quiet(const struct world *w)
{
    for (int side = 0; side < 2; side++)
        if (replay_kept(&w->nodes[side].s->replay) > 0)
            return false;
    return w->traffic.live == 0;
}

/* A round without faults: everybody does what there is to do. */
static void calm_round(struct world *w)
{
    struct node *b = &w->nodes[0];

    traffic_work_all(&w->traffic);
    for (int side = 0; side < 2; side++) {
        struct node *n = &w->nodes[side];
        struct cable *c = n->dialed ? n->dialed : n->cable;
        if (c && !c->up && !c->silent)
            lose(w, n);
        node_send(n, 256 * 1024, w->now);
    }
    if (b->cable == NULL && b->dialed == NULL)
        dial(w);
    if (b->dialed && !b->dialed->up) {
        lose(w, b); /* not even HELLO will be answered there */
        dial(w);
    }
    for (int i = 0; i < WORLD_CABLES; i++)
        for (int side = 0; side < 2; side++)
            node_receive(&w->nodes[side], &w->cables[i], CABLE_MAX, w->now);
    w->now++;
    for (int side = 0; side < 2; side++)
        node_tick(&w->nodes[side], w->now);
}

static void come_to_rest(struct world *w)
{
    uint64_t start = w->now;

    w->traffic.calm = true;
    while (!is_quiet(w)) {
        calm_round(w);
        if (w->now - start > PROGRESS_MS)
            verdict_violation("no rest within %d s: %zu streams are open, %zu and %zu bytes kept",
                              PROGRESS_MS / 1000, w->traffic.live,
                              replay_kept(&w->nodes[0].s->replay),
                              replay_kept(&w->nodes[1].s->replay));
    }
    traffic_check(&w->traffic);
    traffic_check_quiet(&w->traffic);
}

/* --- a life
 * ---------------------------------------------------------------------------------------- */

/* Now and then the replay is so small that its limit is met. */
static void choose_limits(struct world *w)
{
    size_t limit = chance_one_in(&w->chance, 3) ? 1000 + chance_up_to(&w->chance, 50 * 1000) : 0;

    for (int side = 0; side < 2 && limit > 0; side++)
        w->nodes[side].s->replay.limit = w->nodes[side].s->replay.limit_max = limit;
}

void world_live(struct world *w, uint64_t cuts)
{
    bool heavy = chance_one_in(&w->chance, 10);
    uint64_t until = w->cuts + cuts;

    w->gulp = heavy ? 256 * 1024 : 4 * 1024;
    w->cut_every = 8 + chance_up_to(&w->chance, 1000 >> chance_up_to(&w->chance, 6));
    traffic_begin(&w->traffic, w->nodes, &w->chance, heavy ? 2 * 1024 * 1024 : 30 * 1000);
    for (int side = 0; side < 2; side++)
        node_begin(&w->nodes[side], side, &traffic_session_events, &w->traffic, w->now);
    choose_limits(w);
    while (w->cuts < until)
        step(w);
    come_to_rest(w);
    for (int side = 0; side < 2; side++)
        node_end(&w->nodes[side]);
    for (int i = 0; i < WORLD_CABLES; i++)
        cable_forget(&w->cables[i]);
    w->newest = NULL;
}
