#pragma once

#include <stdint.h>

/* Milliseconds of a clock that never goes back and counts sleep where the system can say. */
uint64_t clock_ms(void);
/* The same in nanoseconds, for measuring round trips. */
uint64_t clock_ns(void);
/* Wall clock: seconds since 1970-01-01 UTC. */
int64_t clock_unix(void);
/* RFC 3339 in UTC with seconds: "2026-01-31T12:00:00Z". `out` has CLOCK_TEXT_SIZE bytes. */
enum { CLOCK_TEXT_SIZE = 32 };
void clock_text(int64_t unix_seconds, char out[CLOCK_TEXT_SIZE]);
