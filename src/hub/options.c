#include "hub/options.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { HELP_COLUMN = 34 };

/* `len` bytes of what was typed, without the dashes. */
static bool is_named(const struct option_spec *spec, const char *typed, size_t len)
{
    if (strlen(spec->name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (typed[i] != (spec->name[i] == '_' ? '-' : spec->name[i]))
            return false;
    return true;
}

static size_t find(const struct options *o, const char *typed, size_t len)
{
    size_t i = 0;

    while (i < o->count && !is_named(&o->specs[i], typed, len))
        i++;
    return i;
}

static enum rc fail(char why[OPTIONS_WHY_SIZE], const char *text, const char *option)
{
    text_message(why, OPTIONS_WHY_SIZE, "%s: %.120s", text, option);
    return RC_INPUT;
}

/* `*at` stands at the option and is moved over its value. */
static enum rc take_option(struct options *o, int argc, char **argv, int *at,
                           char why[OPTIONS_WHY_SIZE])
{
    const char *word = argv[*at], *typed = word + 2, *equals = strchr(typed, '=');
    size_t i = find(o, typed, equals ? (size_t)(equals - typed) : strlen(typed));

    if (i == o->count)
        return fail(why, "unknown option", word);
    if (o->specs[i].argument == NULL) {
        if (equals)
            return fail(why, "this option takes no value", word);
        o->values[i] = "true";
        return RC_OK;
    }
    if (equals == NULL && (*at + 1 == argc || strncmp(argv[*at + 1], "--", 2) == 0))
        return fail(why, "this option needs a value", word);
    o->values[i] = equals ? equals + 1 : argv[++*at];
    return RC_OK;
}

static enum rc take(struct options *o, int argc, char **argv, int *at, char why[OPTIONS_WHY_SIZE])
{
    char *word = argv[*at];

    if (strncmp(word, "--", 2) == 0 && word[2] != '\0')
        return take_option(o, argc, argv, at, why);
    if (word[0] == '-' && word[1] != '\0')
        return fail(why, "unknown option", word);
    if (o->word_count == OPTIONS_WORDS_MAX)
        return fail(why, "one word too many", word);
    o->words[o->word_count++] = word;
    return RC_OK;
}

enum rc options_parse(struct options *o, const struct option_spec *specs, size_t count, int argc,
                      char **argv, char why[OPTIONS_WHY_SIZE])
{
    static char help[] = "--help";
    char later[OPTIONS_WHY_SIZE];
    enum rc rc = RC_OK;

    assert(count <= OPTIONS_MAX);
    *o = (struct options){.specs = specs, .count = count};
    /* To the end even when something was wrong: --json may stand behind it. The first complaint
     * counts. */
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0)
            argv[i] = help;
        enum rc one = take(o, argc, argv, &i, rc == RC_OK ? why : later);
        rc = rc == RC_OK ? one : rc;
    }
    return rc;
}

const char *options_value(const struct options *o, const char *name)
{
    size_t i = 0;

    while (i < o->count && strcmp(o->specs[i].name, name) != 0)
        i++;
    assert(i < o->count);
    return o->values[i];
}

void options_print_help(const struct option_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char left[80];
        text_message(left, sizeof left, "  --%s%s%s", specs[i].name, specs[i].argument ? " " : "",
                     specs[i].argument ? specs[i].argument : "");
        for (char *c = left + 4; *c && *c != ' '; c++)
            if (*c == '_')
                *c = '-';
        printf("%-*s%s", HELP_COLUMN, left, specs[i].what);
        if (specs[i].fallback && *specs[i].fallback)
            printf(" (default: %s)", specs[i].fallback);
        printf("\n");
    }
}
