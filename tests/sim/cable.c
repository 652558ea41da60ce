#include "cable.h"

void cable_init(struct cable *c)
{
    *c = (struct cable){.up = false};
    for (int way = 0; way < 2; way++) {
        buf_init(&c->way[way], CABLE_MAX);
        buf_init(&c->hello[way], 1024);
    }
}

void cable_done(struct cable *c)
{
    for (int way = 0; way < 2; way++) {
        buf_done(&c->way[way]);
        buf_done(&c->hello[way]);
    }
}

void cable_lay(struct cable *c, uint64_t serial)
{
    cable_forget(c);
    c->up = true;
    c->serial = serial;
}

void cable_cut(struct cable *c, bool silent, struct chance *chance)
{
    c->up = false;
    c->silent = silent;
    for (int way = 0; way < 2; way++) {
        struct buf *b = &c->way[way];
        /* All, none and a part are all worth meeting. */
        size_t survive = chance_one_in(chance, 4) ? b->len : chance_up_to(chance, b->len);
        b->len = chance_one_in(chance, 4) ? 0 : survive;
    }
}

void cable_forget(struct cable *c)
{
    c->up = c->silent = false;
    c->serial = 0;
    for (int way = 0; way < 2; way++) {
        buf_clear(&c->way[way]);
        buf_clear(&c->hello[way]);
        c->greeted[way] = false;
    }
}

void cable_put(struct cable *c, int way, struct reader bytes)
{
    if (c->up)
        buf_put(&c->way[way], bytes);
}
