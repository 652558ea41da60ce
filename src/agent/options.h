#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/rc.h"

/*
 * options -- the command line, read by a table.
 *
 *     connect [common options] COMMAND [options and operands in any order]
 *
 * Long options take their value behind '=' or as the next argument; "--" ends
 * the options. An option given twice counts as given last. Values are borrowed
 * from argv, except secrets: those are copied and their place in argv is
 * overwritten at once, so that a list of processes does not show them.
 */
struct option {
    const char *name;  /* without the dashes; NULL ends a table */
    const char *value; /* what help calls its value: "URL"; NULL: it takes none */
    const char *help;  /* one line */
    char letter;       /* "-h"; 0: none; only for options without a value */
    bool secret;
};

/* One command; `run` and what only help shows belong to cmd/. */
struct invocation;
struct command {
    const char *name;
    const char *operands; /* "TARGET --name NAME", for the usage line */
    size_t operands_least, operands_most;
    const char *summary;
    const struct option *options; /* NULL: only the common ones */
    const char *details;          /* NULL, or a paragraph */
    const char *examples;         /* lines "connect …", ended by '\n' each */
    int (*run)(struct invocation *in);
};

struct grammar {
    const struct option *common;
    const struct command *const *commands; /* ended by NULL */
};

enum { OPTIONS_GIVEN_MAX = 32, OPTIONS_OPERANDS_MAX = 4, OPTIONS_TEXT_SIZE = 200 };

struct options {
    const struct grammar *grammar;
    const struct command *command; /* NULL: none was named */
    struct {
        const struct option *option;
        const char *value; /* NULL for options without a value */
    } given[OPTIONS_GIVEN_MAX];
    size_t given_count;
    const char *operands[OPTIONS_OPERANDS_MAX];
    size_t operand_count;
    char *secret; /* owned: the copy of the last secret given */
    size_t secret_size;
    char message[OPTIONS_TEXT_SIZE], hint[OPTIONS_TEXT_SIZE]; /* when options_parse() fails */
};

/*
 * Reads the whole line. RC_INPUT: `message` and `hint` say why; what was read
 * before, and every common option without a value, is in `out` nevertheless, so that the error can
 * be told in the form that was asked for. End with options_done() in either case.
 */
MUST_CHECK enum rc options_parse(const struct grammar *grammar, int argc, char **argv,
                                 struct options *out);
/* Wipes and frees the secret. */
void options_done(struct options *o);

/* Whether `--name` was given. `name` must be in the tables. */
bool options_has(const struct options *o, const char *name);
/* Its value, or NULL if it was not given. `name` must be in the tables. */
const char *options_value(const struct options *o, const char *name);
/* The copy of a secret option's value, to be kept by the caller, who wipes it; NULL: not given. */
char *options_take_secret(struct options *o);

/* The command of that name, or NULL. */
const struct command *options_command(const struct grammar *grammar, const char *name);
/*
 * The command whose name is nearest to a mistyped one; NULL: none is near.
 */
const struct command *options_nearest_command(const struct grammar *grammar, const char *typed);
