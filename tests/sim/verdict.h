#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * verdict -- what the simulator finds. A violation ends the program: with status 1, or, when a
 * seeded fault is to be caught, with 0. Before it, the seed and the place are told, so that the run
 * can be repeated.
 */
struct verdict_place {
    uint64_t seed, cuts, step;
};
extern struct verdict_place verdict_place;

/* A violation is what is wanted; assertions of the code under test count as one. */
void verdict_expect(void);
_Noreturn void verdict_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The run came to its end; returns the status of the program. */
int verdict_none(void);
