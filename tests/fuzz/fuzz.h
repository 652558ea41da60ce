#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/reader.h"

/*
 * fuzz -- what fuzzers share. A fuzzer asserts a property that must hold for any bytes:
 * cut-invariance, or that what decodes encodes back. A violation aborts.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A heap copy of exactly `r`, so that a sanitizer sees one byte too far. The caller frees it. */
static inline uint8_t *fuzz_copy(struct reader r)
{
    uint8_t *copy = malloc(r.left > 0 ? r.left : 1);

    assert(copy);
    reader_copy(&r, copy, r.left);
    return copy;
}

static inline bool fuzz_same(struct reader a, struct reader b)
{
    return a.left == b.left && (a.left == 0 || memcmp(a.at, b.at, a.left) == 0);
}

/* The length of the next piece of `left` bytes: small ones mostly, of a sequence that `state`
 * begins. */
static inline size_t fuzz_piece(uint32_t *state, size_t left)
{
    *state = *state * 1664525u + 1013904223u;
    size_t piece = 1 + (*state >> 24) % ((*state >> 16 & 7) == 0 ? 200 : 7);

    return piece < left ? piece : left;
}
