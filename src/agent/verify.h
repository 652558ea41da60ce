#pragma once

#include "crypto/identity.h"
#include "net/loop.h"

/*
 * verify -- computes the six words of two keys beside the loop: they are slow on purpose.
 */
struct verify;

/* `done` comes once, never from within. The words are static texts. */
struct verify *verify_start(struct loop *l, const uint8_t one[IDENTITY_KEY_LEN],
                            const uint8_t other[IDENTITY_KEY_LEN],
                            void (*done)(void *owner, const char *const words[IDENTITY_WORDS]),
                            void *owner);
/* Waits for the computation; `done` is not called. For the end of the agent. NULL is fine. */
void verify_cancel(struct verify *v);
