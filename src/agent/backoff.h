#pragma once

#include <stdint.h>

/*
 * backoff -- how long to wait before the next attempt: the first comes at once, then
 * up to 250 ms, doubling to 30 s, with full jitter, so that a hub that comes back is not met by
 * everybody at the same moment. Pure.
 */
enum { BACKOFF_FIRST_MS = 250, BACKOFF_MAX_MS = 30 * 1000 };

/* `failed`: attempts that have failed in a row. `random`: any number. */
uint64_t backoff_ms(unsigned failed, uint32_t random);
