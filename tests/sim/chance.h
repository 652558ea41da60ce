#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* chance -- the only source of randomness of the simulator: the same seed, the same run. */
struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *c)
{
    uint64_t z = c->state += 0x9E3779B97F4A7C15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* 0 … most */
static inline size_t chance_up_to(struct chance *c, size_t most)
{
    return (size_t)(chance_next(c) % ((uint64_t)most + 1));
}

/* One time in `n`. */
static inline bool chance_one_in(struct chance *c, size_t n)
{
    return chance_next(c) % n == 0;
}

/* 0 … most, small ones far more often. */
static inline size_t chance_skewed(struct chance *c, size_t most)
{
    return chance_up_to(c, most >> chance_up_to(c, 10));
}
