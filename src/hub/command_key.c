#include "hub/commands.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/token.h"
#include "hub/config.h"
#include "hub/options.h"
#include "hub/service/audit.h"

/* One use of `connect-hub key`. */
struct key_command {
    struct options options;
    struct store *store;
    struct store_workspace workspace;
    int json;
};

static const struct option_spec specs[] = {
    {"workspace", "NAME", "whose keys: 1 to 63 of a-z, 0-9 and '-'", NULL},
    {"data", "DIR", "the hub's data folder, as for serve", NULL},
    {"config", "FILE", "settings as for serve", NULL},
    {"json", NULL, "one JSON object on standard output", NULL},
    {"help", NULL, "this text", NULL},
};

static int fail(const struct key_command *k, int code, const char *message)
{
    return command_fail(code, k->json, message);
}

/* RC_SYSTEM and RC_AGAIN have words of the store's. */
static int fail_store(const struct key_command *k, enum rc rc, const char *otherwise)
{
    bool store = rc == RC_SYSTEM || rc == RC_AGAIN;

    return fail(k, 1, store ? store_why(k->store) : otherwise);
}

/* --- create ---------------------------------------------------------------------------------- */

static enum rc keep(struct key_command *k, const char *name, const struct token *token,
                    struct store_key *out)
{
    struct token_hash hash = token_hash(token);
    char prefix[TOKEN_PREFIX_SIZE];
    int64_t now = clock_unix();

    token_prefix(token, prefix);
    enum rc rc = store_workspace_find_or_create(k->store, name, now, &k->workspace);
    if (rc == RC_OK)
        rc = store_key_create(k->store, k->workspace.id, hash.bytes, prefix, "full", now, 0, out);
    if (rc != RC_OK)
        return rc;
    const struct audit_field detail[] = {AUDIT_TEXT("prefix", prefix), AUDIT_END};
    const struct audit_row row = {
        .workspace = k->workspace.id, .type = "key.created", .subject = out->id, .detail = detail};
    return audit_append(k->store, &row, now);
}

static void print_created(const struct key_command *k, const struct token *token,
                          const struct store_key *key)
{
    if (k->json) {
        printf("{\"v\":1,\"id\":\"%s\",\"key\":\"%s\",\"workspace\":\"%s\"}\n", key->id,
               token->text, k->workspace.name);
        return;
    }
    printf("%s\n", token->text);
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr,
                      "\nThis key lets agents into the workspace %s. It is shown only now; keep it "
                      "secret.\nNext, on a machine: connect up --hub URL --api-key pc_…\n",
                      k->workspace.name);
}

static int create(struct key_command *k)
{
    const char *name = options_value(&k->options, "workspace");
    struct token token;
    struct store_key key;

    token_make(TOKEN_API_KEY, &token);
    enum rc rc = store_begin(k->store);
    if (rc == RC_OK)
        rc = store_end(k->store, keep(k, name, &token, &key));
    if (rc == RC_OK)
        print_created(k, &token, &key);
    token_wipe(&token);
    return rc == RC_OK ? 0
                       : fail_store(k, rc,
                                    rc == RC_LIMIT ? "the workspace has too many keys: revoke some"
                                                   : "the key could not be made");
}

/* --- list ------------------------------------------------------------------------------------ */

static const char *state_of(const struct store_key *key)
{
    if (key->revoked != 0)
        return "revoked";
    return key->expires != 0 && key->expires <= clock_unix() ? "expired" : "valid";
}

static void time_text(int64_t time, char out[CLOCK_TEXT_SIZE])
{
    if (time == 0)
        text_message(out, CLOCK_TEXT_SIZE, "never");
    else
        clock_text(time, out);
}

static void print_keys(const struct store_key_list *list)
{
    printf("%-31s %-12s %-8s %-21s %s\n", "ID", "BEGINS", "STATE", "CREATED", "LAST USED");
    for (size_t i = 0; i < list->count; i++) {
        const struct store_key *key = &list->items[i];
        char created[CLOCK_TEXT_SIZE], used[CLOCK_TEXT_SIZE];
        time_text(key->created, created);
        time_text(key->last_used, used);
        printf("%-31s %-12s %-8s %-21s %s\n", key->id, key->prefix, state_of(key), created, used);
    }
}

static void print_keys_json(const struct store_key_list *list)
{
    json_t *keys = json_array();

    for (size_t i = 0; i < list->count; i++) {
        const struct store_key *key = &list->items[i];
        (void)json_array_append_new(keys, json_pack("{s:s, s:s, s:s, s:I, s:I}", "id", key->id,
                                                    "prefix", key->prefix, "state", state_of(key),
                                                    "created", (json_int_t)key->created,
                                                    "last_used", (json_int_t)key->last_used));
    }
    json_t *object = json_pack("{s:i, s:o}", "v", 1, "keys", keys);
    (void)json_dumpf(object, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(object);
}

static int list(struct key_command *k)
{
    struct store_key_list keys;

    enum rc rc = store_key_list(k->store, k->workspace.id, (struct store_page){0}, &keys);
    if (rc != RC_OK)
        return fail_store(k, rc, "the keys could not be listed");
    (k->json ? print_keys_json : print_keys)(&keys);
    store_key_list_done(&keys);
    return 0;
}

/* --- revoke ---------------------------------------------------------------------------------- */

static enum rc end(struct key_command *k, const char *id)
{
    const struct audit_row row = {
        .workspace = k->workspace.id, .type = "key.revoked", .subject = id};
    int64_t now = clock_unix();

    enum rc rc = store_key_revoke(k->store, k->workspace.id, id, now);
    return rc == RC_OK ? audit_append(k->store, &row, now) : rc;
}

static int revoke_key(struct key_command *k)
{
    if (k->options.word_count != 2)
        return fail(k, 2, "which key? connect-hub key revoke ID --workspace NAME");
    enum rc rc = store_begin(k->store);
    if (rc == RC_OK)
        rc = store_end(k->store, end(k, k->options.words[1]));
    if (rc != RC_OK)
        return fail_store(k, rc, "the workspace has no such key; see connect-hub key list");
    if (k->json)
        printf("{\"v\":1,\"id\":\"%s\"}\n", k->options.words[1]);
    return 0;
}

/* --- all of them ----------------------------------------------------------------------------- */

static const struct verb {
    const char *name;
    int (*run)(struct key_command *k);
    bool makes_workspace;
} verbs[] = {{"create", create, true}, {"list", list, false}, {"revoke", revoke_key, false}};

static const struct verb *find_verb(const struct options *o)
{
    for (size_t i = 0; o->word_count > 0 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, o->words[0]) == 0)
            return &verbs[i];
    return NULL;
}

/* The same folder that serve would use. */
static int open_store(struct key_command *k)
{
    const char *data = options_value(&k->options, "data");
    struct config_given given = {"data", data};
    struct config_source from = {
        .file = options_value(&k->options, "config"), .given = &given, .given_count = data ? 1 : 0};
    struct config *c;
    char why[CONFIG_WHY_SIZE], path[PATH_MAX];

    if (config_load(&from, &c, why) != RC_OK)
        return fail(k, 2, why);
    enum rc rc = text_format(path, sizeof path, "%s/hub.db", c->data);
    config_free(c);
    if (rc != RC_OK)
        return fail(k, 2, "the path of the data folder is too long");
    rc = store_open(path, why, &k->store);
    return rc == RC_OK ? 0 : fail(k, 1, why);
}

static int find_workspace(struct key_command *k)
{
    const char *name = options_value(&k->options, "workspace");
    char message[128];

    enum rc rc = store_workspace_find_name(k->store, name, &k->workspace);
    if (rc == RC_OK)
        return 0;
    text_message(message, sizeof message, "there is no workspace %s", name);
    return fail_store(k, rc, message);
}

static int run(struct key_command *k, const struct verb *verb)
{
    const char *name = options_value(&k->options, "workspace");

    if (verb == NULL)
        return fail(k, 2, "connect-hub key create, list or revoke; see --help");
    if (name == NULL || !text_is_name(name))
        return fail(k, 2, "--workspace NAME is wanted: 1 to 63 of a-z, 0-9 and '-'");
    if (verb->run != revoke_key && k->options.word_count > 1)
        return fail(k, 2, "one word too many; see --help");
    int code = open_store(k);
    if (code == 0 && !verb->makes_workspace)
        code = find_workspace(k);
    return code == 0 ? verb->run(k) : code;
}

int command_key(int argc, char **argv)
{
    struct key_command k = {0};
    char why[OPTIONS_WHY_SIZE];

    /* What went wrong is said in words; only a service wants it as events. */
    log_setup(LOG_LEVEL_ERROR, isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
    enum rc rc = options_parse(&k.options, specs, sizeof specs / sizeof specs[0], argc, argv, why);
    k.json = options_value(&k.options, "json") != NULL;
    if (rc != RC_OK)
        return fail(&k, 2, why);
    if (options_value(&k.options, "help")) {
        printf("connect-hub key create --workspace NAME\n"
               "connect-hub key list --workspace NAME\n"
               "connect-hub key revoke ID --workspace NAME\n\n"
               "create prints the new key, once, alone on standard output. A running hub knows of "
               "it at "
               "once.\n\n");
        options_print_help(specs, sizeof specs / sizeof specs[0]);
        return 0;
    }
    int code = run(&k, find_verb(&k.options));
    store_close(k.store);
    return code;
}
