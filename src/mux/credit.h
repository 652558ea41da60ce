#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * credit -- how much DATA a stream may send (docs/protocol.md §7.2). Arithmetic only.
 *
 * credit_out is ours to spend: the peer raises `limit`. credit_in is what we grant:
 * always up to one window ahead of what the reader has taken. The window doubles
 * while the reader takes a whole one within two round trips, for then the window is what
 * holds the sender back; and within 50 ms, for then telling of it costs more than it holds.
 */
struct credit_out {
    uint64_t sent, limit;
};

struct credit_in {
    uint64_t received, consumed, granted;
    uint64_t window;
    uint64_t round_ms; /* when the reader began to take the present window */
    uint64_t round_consumed;
};

void credit_out_init(struct credit_out *c, uint64_t first);
/* False: the peer does not raise the limit. */
bool credit_out_raise(struct credit_out *c, uint64_t limit);

static inline uint64_t credit_out_left(const struct credit_out *c)
{
    return c->limit - c->sent;
}

void credit_in_init(struct credit_in *c, uint64_t first, uint64_t now_ms);
/* False: the peer sends more than it may. */
bool credit_in_receive(struct credit_in *c, uint64_t len);

/*
 * The reader took `len` bytes. True: `granted` has risen, enough to be worth telling. `window_max`
 * is what memory allows now; a larger window shrinks to it, by not being granted again. `rtt_ms`: 0
 * is not known.
 */
bool credit_in_consume(struct credit_in *c, uint64_t len, uint64_t window_max, uint64_t now_ms,
                       uint64_t rtt_ms);
