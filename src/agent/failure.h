#pragma once

#include <stdbool.h>

/*
 * failure -- what went wrong, for a person and for a script: a code of
 * docs/protocol.md §9, a sentence, and what to do next. A plain value.
 */
enum { FAILURE_MESSAGE_SIZE = 640, FAILURE_HINT_SIZE = 320 };

struct failure {
    const char *code; /* static text; NULL: nothing went wrong */
    char message[FAILURE_MESSAGE_SIZE];
    char hint[FAILURE_HINT_SIZE]; /* "" : none */
};

/* `code` is static. */
void failure_set(struct failure *f, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void failure_hint(struct failure *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "The disk is full" and the like: `what` could not be done, errno says why. */
void failure_system(struct failure *f, const char *what, const char *path);
bool failure_is(const struct failure *f, const char *code);
