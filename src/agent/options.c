#include "agent/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/utf8.h"
#include "base/mem.h"
#include "base/text.h"

/* --- what was meant ----------------------------------------------------------- */

enum { NEAR_NAME_MAX = 32 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * Edits that turn `a` into `b`: insert, delete, replace, and swap of neighbours,
 * which is how most names are mistyped. Names over NEAR_NAME_MAX are far from everything.
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NEAR_NAME_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > NEAR_NAME_MAX || b_len > NEAR_NAME_MAX)
        return NEAR_NAME_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t replace = above[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(replace, least(above[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

/* Two edits, but never as much as half of the word: "up" is not meant by "ok". */
static bool is_near(const char *typed, const char *name, size_t *best)
{
    size_t edits = distance(typed, name);

    if (edits > 2 || 2 * edits >= strlen(name) + 1 || edits >= *best)
        return false;
    *best = edits;
    return true;
}

const struct command *options_nearest_command(const struct grammar *grammar, const char *typed)
{
    const struct command *found = NULL;
    size_t best = NEAR_NAME_MAX;

    for (const struct command *const *c = grammar->commands; *c; c++)
        if (is_near(typed, (*c)->name, &best))
            found = *c;
    return found;
}

static const struct option *nearest_in(const struct option *table, const char *typed, size_t *best,
                                       const struct option *found)
{
    for (const struct option *o = table; o && o->name; o++)
        if (is_near(typed, o->name, best))
            found = o;
    return found;
}

/* --- the tables ----------------------------------------------------------------- */

const struct command *options_command(const struct grammar *grammar, const char *name)
{
    for (const struct command *const *c = grammar->commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

static const struct option *own_table(const struct options *o)
{
    return o->command ? o->command->options : NULL;
}

static const struct option *find_in(const struct option *table, const char *name, size_t len)
{
    for (const struct option *at = table; at && at->name; at++)
        if (strlen(at->name) == len && strncmp(at->name, name, len) == 0)
            return at;
    return NULL;
}

static const struct option *find_option(const struct options *o, const char *name, size_t len)
{
    const struct option *found = find_in(own_table(o), name, len);

    return found ? found : find_in(o->grammar->common, name, len);
}

static const struct option *find_letter(const struct options *o, const char *arg)
{
    for (const struct option *at = o->grammar->common; at->name; at++)
        if (at->letter != 0 && arg[1] == at->letter && arg[2] == '\0')
            return at;
    return NULL;
}

/* --- reading --------------------------------------------------------------------- */

static const char *command_name(const struct options *o)
{
    return o->command ? o->command->name : "";
}

static void hint_help(struct options *o)
{
    text_message(o->hint, sizeof o->hint, "connect %s%s--help", command_name(o),
                 o->command ? " " : "");
}

static enum rc unknown_option(struct options *o, const char *arg)
{
    size_t best = NEAR_NAME_MAX, len = strcspn(arg, "=");
    char typed[NEAR_NAME_MAX + 1] = "";
    const struct option *meant = NULL;

    /* Only the name is repeated: the value may be a secret behind a mistyped name. */
    text_message(o->message, sizeof o->message, "there is no option %.*s", (int)least(len, 64),
                 arg);
    hint_help(o);
    if (len > 2 && len - 2 <= NEAR_NAME_MAX) {
        memcpy(typed, arg + 2, len - 2);
        meant = nearest_in(own_table(o), typed, &best, NULL);
        meant = nearest_in(o->grammar->common, typed, &best, meant);
    }
    if (meant)
        text_message(o->hint, sizeof o->hint, "did you mean --%s?", meant->name);
    return RC_INPUT;
}

static void drop_secret(struct options *o)
{
    mem_wipe(o->secret, o->secret_size);
    free(options_take_secret(o));
}

static enum rc give(struct options *o, const struct option *option, char *value)
{
    if (option->secret) {
        drop_secret(o);
        o->secret_size = strlen(value) + 1;
        o->secret = text_dup(value);
        mem_wipe(value, o->secret_size - 1);
        value = o->secret;
    }
    for (size_t i = 0; i < o->given_count; i++) {
        if (o->given[i].option == option) {
            o->given[i].value = value;
            return RC_OK;
        }
    }
    assert(o->given_count < OPTIONS_GIVEN_MAX); /* the tables are ours and shorter */
    o->given[o->given_count].option = option;
    o->given[o->given_count++].value = value;
    return RC_OK;
}

/* `next`: the argument behind this one or NULL; `*used_next` says that it was its value. */
static enum rc read_option(struct options *o, char *arg, char *next, bool *used_next)
{
    bool is_long = arg[1] == '-';
    size_t len = is_long ? strcspn(arg + 2, "=") : 0;
    const struct option *option = is_long ? find_option(o, arg + 2, len) : find_letter(o, arg);
    char *equals = is_long && arg[2 + len] == '=' ? arg + 2 + len : NULL;

    if (option == NULL)
        return unknown_option(o, arg);
    if (option->value == NULL && equals) {
        text_message(o->message, sizeof o->message, "--%s takes no value", option->name);
        hint_help(o);
        return RC_INPUT;
    }
    if (option->value == NULL)
        return give(o, option, NULL);
    if (equals == NULL && next == NULL) {
        text_message(o->message, sizeof o->message, "--%s needs a value: %s", option->name,
                     option->value);
        hint_help(o);
        return RC_INPUT;
    }
    *used_next = equals == NULL;
    return give(o, option, equals ? equals + 1 : next);
}

static enum rc read_word(struct options *o, const char *arg)
{
    if (o->command == NULL) {
        o->command = options_command(o->grammar, arg);
        if (o->command)
            return RC_OK;
        const struct command *meant = options_nearest_command(o->grammar, arg);
        text_message(o->message, sizeof o->message, "there is no command %.64s", arg);
        text_message(o->hint, sizeof o->hint, meant ? "did you mean connect %s?" : "connect help",
                     meant ? meant->name : "");
        return RC_INPUT;
    }
    if (o->operand_count >= least(o->command->operands_most, OPTIONS_OPERANDS_MAX)) {
        /* The argument itself is not repeated: it may be a key in the wrong place. */
        text_message(o->message, sizeof o->message, "connect %s has an argument too many",
                     o->command->name);
        hint_help(o);
        return RC_INPUT;
    }
    o->operands[o->operand_count++] = arg;
    return RC_OK;
}

/* Everything typed may end up in a JSON text. */
static enum rc not_text(struct options *o, int number)
{
    text_message(o->message, sizeof o->message, "argument %d is not UTF-8 text", number);
    hint_help(o);
    return RC_INPUT;
}

static enum rc read_all(struct options *o, int argc, char **argv)
{
    bool options_over = false;

    for (int i = 1; i < argc; i++)
        if (!utf8_is_valid(argv[i]))
            return not_text(o, i);
    for (int i = 1; i < argc; i++) {
        bool used_next = false;
        enum rc rc = RC_OK;

        if (options_over || argv[i][0] != '-' || argv[i][1] == '\0')
            rc = read_word(o, argv[i]);
        else if (strcmp(argv[i], "--") == 0)
            options_over = true;
        else
            rc = read_option(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used_next);
        if (rc != RC_OK)
            return rc;
        if (used_next)
            i++;
    }
    return RC_OK;
}

/* After a mistake: --json, --help and --quiet further right still say how to answer. */
static void read_flags(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool is_long = strncmp(argv[i], "--", 2) == 0;
        const struct option *flag =
            is_long ? find_in(o->grammar->common, argv[i] + 2, strlen(argv[i] + 2)) : NULL;
        if (flag && flag->value == NULL)
            (void)give(o, flag, NULL);
    }
}

static enum rc check_operands(struct options *o)
{
    if (o->command == NULL || o->operand_count >= o->command->operands_least)
        return RC_OK;
    text_message(o->message, sizeof o->message, "connect %s needs %s", o->command->name,
                 o->command->operands);
    hint_help(o);
    return RC_INPUT;
}

enum rc options_parse(const struct grammar *grammar, int argc, char **argv, struct options *out)
{
    *out = (struct options){.grammar = grammar};

    enum rc rc = read_all(out, argc, argv);
    if (rc != RC_OK)
        read_flags(out, argc, argv);
    else if (!options_has(out, "help"))
        rc = check_operands(out);
    return rc;
}

void options_done(struct options *o)
{
    drop_secret(o);
    *o = (struct options){0};
}

bool options_has(const struct options *o, const char *name)
{
    const struct option *option = find_option(o, name, strlen(name));

    for (size_t i = 0; option && i < o->given_count; i++)
        if (o->given[i].option == option)
            return true;
    return false;
}

const char *options_value(const struct options *o, const char *name)
{
    const struct option *option = find_option(o, name, strlen(name));

    assert(option != NULL && option->value != NULL);
    for (size_t i = 0; i < o->given_count; i++)
        if (o->given[i].option == option)
            return o->given[i].value;
    return NULL;
}

char *options_take_secret(struct options *o)
{
    char *secret = o->secret;

    o->secret = NULL;
    o->secret_size = 0;
    return secret;
}
