#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"

/*
 * options -- a command's words: "--name value", "--name=value", "--flag", and the rest.
 * The specs also write the help text. Everything is borrowed from argv.
 */
struct option_spec {
    const char *name;     /* "listen"; '_' in it is written '-' by people */
    const char *argument; /* NULL: a flag, whose value is "true" */
    const char *what;
    const char *fallback; /* shown in the help; NULL: none */
};

enum { OPTIONS_MAX = 40, OPTIONS_WORDS_MAX = 4, OPTIONS_WHY_SIZE = 256 };

struct options {
    const struct option_spec *specs;
    size_t count;
    const char *values[OPTIONS_MAX]; /* by spec; NULL: not given */
    const char *words[OPTIONS_WORDS_MAX];
    size_t word_count;
};

/* RC_INPUT: `why` says what was not understood. */
MUST_CHECK enum rc options_parse(struct options *o, const struct option_spec *specs, size_t count,
                                 int argc, char **argv, char why[OPTIONS_WHY_SIZE]);
/* The value of `name`, or NULL. `name` must be one of the specs. */
const char *options_value(const struct options *o, const char *name);
/* To standard output. */
void options_print_help(const struct option_spec *specs, size_t count);
