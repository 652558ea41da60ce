#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * rate -- a token bucket: `per_second` on average, RATE_BURST seconds' worth at once. Pure; a plain
 * value.
 */
enum { RATE_BURST = 4 };

struct rate {
    uint64_t thousandths; /* what may be taken now */
    uint64_t at_ms;
};

static inline struct rate rate_full(uint64_t per_second, uint64_t now_ms)
{
    return (struct rate){.thousandths = per_second * RATE_BURST * 1000, .at_ms = now_ms};
}

/* Takes one. False: too many. */
static inline bool rate_take(struct rate *r, uint64_t per_second, uint64_t now_ms)
{
    uint64_t most = per_second * RATE_BURST * 1000, passed = now_ms - r->at_ms;

    /* A long pause would overflow the product; it fills the bucket anyway. */
    r->thousandths += passed > RATE_BURST * 1000 ? most : passed * per_second;
    if (r->thousandths > most)
        r->thousandths = most;
    r->at_ms = now_ms;
    if (r->thousandths < 1000)
        return false;
    r->thousandths -= 1000;
    return true;
}
