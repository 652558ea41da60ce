#include "hub/commands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "hub/config.h"
#include "hub/hub.h"
#include "hub/options.h"

int command_fail(int code, int json, const char *message)
{
    json_t *object = json ? json_pack("{s:i, s:{s:s, s:s}}", "v", 1, "error", "code",
                                      code == 2 ? "usage" : "other", "message", message)
                          : NULL;

    if (object) {
        (void)json_dumpf(object, stdout, JSON_COMPACT);
        printf("\n");
    } else {
        (void)fprintf(stderr, "connect-hub: %s\n", message);
    }
    json_decref(object);
    return code;
}

/* The settings and what is not one: where they come from. */
struct serve_options {
    struct option_spec specs[OPTIONS_MAX];
    size_t count;
    struct options options;
    struct config_given given[OPTIONS_MAX];
    struct config_source source;
    int json;
};

static void list_specs(struct serve_options *o)
{
    static const struct option_spec others[] = {
        {"config", "FILE", "read settings from a JSON file; the command line wins", NULL},
        {"json", NULL, "errors as JSON", NULL},
        {"help", NULL, "this text", NULL},
    };

    for (size_t i = 0; i < config_setting_count(); i++) {
        struct config_setting s = config_setting_at(i);
        o->specs[o->count++] = (struct option_spec){s.key, s.argument, s.what, s.fallback};
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        o->specs[o->count++] = others[i];
}

static void gather(struct serve_options *o)
{
    for (size_t i = 0; i < config_setting_count(); i++)
        if (o->options.values[i])
            o->given[o->source.given_count++] =
                (struct config_given){o->specs[i].name, o->options.values[i]};
    o->source.given = o->given;
    o->source.file = options_value(&o->options, "config");
}

/* -1: go on; else the exit code. */
static int parse(struct serve_options *o, int argc, char **argv, const char *usage)
{
    char why[OPTIONS_WHY_SIZE];

    list_specs(o);
    enum rc rc = options_parse(&o->options, o->specs, o->count, argc, argv, why);
    o->json = options_value(&o->options, "json") != NULL;
    if (rc != RC_OK)
        return command_fail(2, o->json, why);
    if (options_value(&o->options, "help")) {
        printf("%s\n\n", usage);
        options_print_help(o->specs, o->count);
        return 0;
    }
    if (o->options.word_count > 0)
        return command_fail(2, o->json, "one word too many; see --help");
    gather(o);
    return -1;
}

int command_serve(int argc, char **argv)
{
    static struct serve_options o; /* borrowed by the hub for as long as it runs */

    int code =
        parse(&o, argc, argv,
              "connect-hub serve [options]\n\n"
              "Runs the hub until SIGTERM. When it is ready it prints one line of JSON on standard "
              "output.\nSIGHUP reloads the settings and the certificate.");
    return code >= 0 ? code : hub_serve(&o.source, o.json);
}

static void print_settings(const struct config *c)
{
    for (size_t i = 0; i < config_setting_count(); i++) {
        char value[1024];
        config_text(c, i, value, sizeof value);
        printf("%-22s %s\n", config_setting_at(i).key, value);
    }
}

static json_t *settings_json(const struct config *c)
{
    json_t *settings = json_object();

    for (size_t i = 0; i < config_setting_count(); i++) {
        char value[1024];
        config_text(c, i, value, sizeof value);
        (void)json_object_set_new(settings, config_setting_at(i).key, json_string(value));
    }
    return json_pack("{s:i, s:b, s:o}", "v", 1, "ok", 1, "settings", settings);
}

static int check(struct serve_options *o)
{
    struct config *c;
    char why[CONFIG_WHY_SIZE];

    if (config_load(&o->source, &c, why) != RC_OK)
        return command_fail(2, o->json, why);
    if (o->json) {
        json_t *object = settings_json(c);
        (void)json_dumpf(object, stdout, JSON_COMPACT);
        printf("\n");
        json_decref(object);
    } else {
        print_settings(c);
    }
    config_free(c);
    return 0;
}

int command_config(int argc, char **argv)
{
    struct serve_options o = {0};

    if (argc < 1 || strcmp(argv[0], "check") != 0) {
        int help = argc > 0 && strcmp(argv[0], "--help") == 0;
        return help ? (printf("connect-hub config check [--config FILE] [options of serve]\n"), 0)
                    : command_fail(
                          2, 0, "config knows one thing: connect-hub config check --config FILE");
    }
    int code = parse(
        &o, argc - 1, argv + 1,
        "connect-hub config check [options]\n\n"
        "Checks settings without starting anything and prints what they come to. SIGHUP makes a "
        "running hub take them.");
    return code >= 0 ? code : check(&o);
}
