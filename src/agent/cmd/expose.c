#include <string.h>

#include "agent/cmd/cmd.h"
#include "wire/address.h"

static const struct option options[] = {
    {.name = "name", .value = "NAME", .help = "the name to reach it by (a-z, 0-9, -)"},
    {.name = "protocol", .value = "PROTOCOL", .help = "tcp, http or https (tcp)"},
    {.name = "foreground", .help = "stay until Ctrl-C, then stop exposing it"},
    {0},
};

struct wish {
    const char *name, *protocol;
    char target[ADDRESS_TEXT_SIZE];
};

static bool is_protocol(const char *text)
{
    return strcmp(text, "tcp") == 0 || strcmp(text, "http") == 0 || strcmp(text, "https") == 0;
}

static int read_wish(struct invocation *in, struct wish *out)
{
    const char *given = options_value(&in->options, "protocol");
    struct address target;

    out->name = options_value(&in->options, "name");
    if (out->name == NULL)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "connect expose localhost:5432 --name prod-db",
                       "a service needs a name: --name NAME");
    int code = cmd_check_name(in, out->name);
    if (code != 0)
        return code;
    if (address_parse_target(in->options.operands[0], &target, &out->protocol) != RC_OK)
        return ui_fail(
            &in->ui, EXIT_CODE_USAGE,
            "5432, localhost:5432, [::1]:5432, http://localhost:8080 or unix:/run/x.sock",
            "%.200s is not a target", in->options.operands[0]);
    if (given)
        out->protocol = given;
    if (!is_protocol(out->protocol))
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "--protocol tcp, http or https",
                       "%.32s is not a protocol that can be exposed", out->protocol);
    address_text(&target, out->target);
    return 0;
}

static void show(struct ui *ui, const struct wish *wish, const json_t *answer)
{
    const json_t *check = json_object_get(answer, "check");
    const json_t *tcp = json_object_get(check, "tcp"), *dns = json_object_get(check, "dns");
    bool failed = (tcp && !json_is_true(json_object_get(tcp, "ok"))) ||
                  (dns && !json_is_true(json_object_get(dns, "ok")));

    cmd_show_check(ui, check);
    if (failed)
        ui_say(ui, UI_MARK_NOTE, "exposed all the same: connections fail until the target answers");
    ui_say(ui, UI_MARK_OK, "%s leads to %s (%s)", wish->name, wish->target, wish->protocol);
    ui_more(ui, "on another machine: connect reach %s", wish->name);
}

static int run(struct invocation *in)
{
    bool stays = options_has(&in->options, "foreground");
    struct client *c = NULL;
    json_t *answer = NULL;
    struct wish wish;

    int code = read_wish(in, &wish);
    if (code != 0)
        return code;
    code = cmd_connect(in, &c);
    if (code != 0)
        return code;
    json_t *request = cmd_request("expose");
    (void)json_object_set_new(request, "name", json_string(wish.name));
    (void)json_object_set_new(request, "target", json_string(wish.target));
    (void)json_object_set_new(request, "protocol", json_string(wish.protocol));
    (void)json_object_set_new(request, "attach", json_boolean(stays));
    ui_wait(&in->ui, "checking %s", wish.target);
    code = cmd_ask(in, c, request, CMD_CHECK_MS, &answer);
    if (code == 0) {
        show(&in->ui, &wish, answer);
        ui_object(&in->ui, answer);
        if (stays)
            code = cmd_stay(in, c);
    }
    client_free(c);
    return code;
}

const struct command cmd_expose = {
    .name = "expose",
    .operands = "TARGET --name NAME",
    .operands_least = 1,
    .operands_most = 1,
    .summary = "give a private service a name to be reached by",
    .options = options,
    .details = "TARGET is where this machine finds the service: a port of its own (5432), "
               "host:port, [IPv6]:port, http://host:port, https://host:port or unix:/path. It "
               "stays exposed, also when the agent starts again, until connect unexpose.",
    .examples = "connect expose 5432 --name prod-db\n"
                "connect expose http://localhost:8080 --name wiki\n"
                "connect expose unix:/run/postgresql/.s.PGSQL.5432 --name prod-db\n",
    .run = run,
};
