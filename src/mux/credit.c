#include "mux/credit.h"

#include <assert.h>

enum {
    GRANT_PARTS = 4,   /* a grant is told when it is at least this part of the window */
    ROUND_MIN_MS = 50, /* a window used up sooner is too small, however short the round trip */
};

void credit_out_init(struct credit_out *c, uint64_t first)
{
    *c = (struct credit_out){.limit = first};
}

bool credit_out_raise(struct credit_out *c, uint64_t limit)
{
    if (limit <= c->limit)
        return false;
    c->limit = limit;
    return true;
}

void credit_in_init(struct credit_in *c, uint64_t first, uint64_t now_ms)
{
    *c = (struct credit_in){.granted = first, .window = first, .round_ms = now_ms};
}

bool credit_in_receive(struct credit_in *c, uint64_t len)
{
    if (len > c->granted - c->received)
        return false;
    c->received += len;
    return true;
}

static void adapt(struct credit_in *c, uint64_t window_max, uint64_t now_ms, uint64_t rtt_ms)
{
    if (c->consumed - c->round_consumed < c->window)
        return;
    uint64_t round_ms = 2 * rtt_ms > ROUND_MIN_MS ? 2 * rtt_ms : ROUND_MIN_MS;
    bool held_back = rtt_ms > 0 && now_ms - c->round_ms <= round_ms;
    if (c->window > window_max)
        c->window = window_max;
    else if (held_back)
        c->window = c->window * 2 < window_max ? c->window * 2 : window_max;
    c->round_ms = now_ms;
    c->round_consumed = c->consumed;
}

bool credit_in_consume(struct credit_in *c, uint64_t len, uint64_t window_max, uint64_t now_ms,
                       uint64_t rtt_ms)
{
    assert(len <= c->received - c->consumed);
    c->consumed += len;
    adapt(c, window_max, now_ms, rtt_ms);

    uint64_t ahead = c->consumed + c->window;
    if (ahead < c->granted + c->window / GRANT_PARTS)
        return false;
    c->granted = ahead;
    return true;
}
