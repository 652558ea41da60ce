#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/cmd/cmd.h"
#include "agent/cmd/stdio.h"
#include "agent/interrupt.h"
#include "base/text.h"

static const struct option options[] = {
    {.name = "port", .value = "N", .help = "the local port (the service's own, or the next free)"},
    {.name = "pipe", .value = "MODE", .help = "auto, bare, wrapped or base64 (auto)"},
    {.name = "foreground", .help = "stay until Ctrl-C, then close the port"},
    {.name = "stdio", .help = "one connection on stdin and stdout, no port"},
    {0},
};

struct wish {
    const char *name, *pipe;
    uint64_t port; /* 0: whichever suits */
};

static int read_wish(struct invocation *in, struct wish *out)
{
    static const char *const modes[] = {"auto", "bare", "wrapped", "base64"};
    const char *port = options_value(&in->options, "port");
    const char *mode = options_value(&in->options, "pipe");

    *out = (struct wish){.name = in->options.operands[0], .pipe = mode ? mode : "auto"};
    int code = cmd_check_name(in, out->name);
    if (code != 0)
        return code;
    if (port && text_number(port, 1, UINT16_MAX, &out->port) != RC_OK)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "--port takes a number from 1 to 65535",
                       "%.32s is not a port", port);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(out->pipe, modes[i]) == 0)
            return 0;
    return ui_fail(&in->ui, EXIT_CODE_USAGE, "--pipe auto, bare, wrapped or base64",
                   "%.32s is not a way to carry a pipe", out->pipe);
}

static json_t *request_of(const char *command, const struct wish *wish)
{
    json_t *request = cmd_request(command);

    (void)json_object_set_new(request, "name", json_string(wish->name));
    (void)json_object_set_new(request, "pipe", json_string(wish->pipe));
    return request;
}

/* --- what the person sees ------------------------------------------------------------ */

static void show_peer(struct ui *ui, const json_t *peer)
{
    const char *label = client_text(peer, "label");
    const char *id = client_text(peer, "agent_id");
    const char *name = label[0] ? label : id;

    ui_say(ui, UI_MARK_OK, "%-8s %s (%s), its key proved", "agent", name, id);
    if (!json_is_true(json_object_get(peer, "first_contact")))
        return;
    ui_say(ui, UI_MARK_NOTE, "first contact with %s: this key is expected from now on", name);
    ui_more(ui, "%s", client_text(peer, "fingerprint"));
    ui_more(ui, "to be sure, compare six words: connect verify %s", name);
}

static void show_latency(struct ui *ui, const json_t *answer)
{
    const json_t *latency = json_object_get(answer, "latency_ms");
    char least[UI_NUMBER_SIZE], median[UI_NUMBER_SIZE], most[UI_NUMBER_SIZE];

    if (latency == NULL)
        return;
    ui_say(ui, UI_MARK_OK, "%-8s %s (%s to %s), %s pipe", "latency",
           ui_latency(client_number(latency, "median"), median),
           ui_latency(client_number(latency, "min"), least),
           ui_latency(client_number(latency, "max"), most), client_text(answer, "pipe_mode"));
}

/* How to use what listens on `port` now, judged by the port that the service has at home. */
static void show_use(struct ui *ui, const json_t *check, unsigned home_port, unsigned port)
{
    static const struct use {
        unsigned port;
        const char *before, *behind;
    } http = {80, "http://localhost:", ""}, https = {443, "https://localhost:", ""},
      others[] = {
          {22, "ssh -p ", " localhost"},        {3000, "http://localhost:", ""},
          {3306, "mysql -h 127.0.0.1 -P ", ""}, {5432, "psql -h localhost -p ", ""},
          {6379, "redis-cli -p ", ""},          {8000, "http://localhost:", ""},
          {8080, "http://localhost:", ""},      {8443, "https://localhost:", ""},
          {27017, "mongosh --port ", ""},
      };
    const struct use *use = NULL;

    if (home_port == https.port || json_object_get(check, "tls"))
        use = &https;
    else if (home_port == http.port || json_object_get(check, "http"))
        use = &http;
    for (size_t i = 0; use == NULL && i < sizeof others / sizeof others[0]; i++)
        if (others[i].port == home_port)
            use = &others[i];
    if (use)
        ui_line(ui, UI_BOLD, "  %s%u%s", use->before, port, use->behind);
}

static void show(struct ui *ui, const struct wish *wish, const json_t *answer)
{
    unsigned port = (unsigned)client_number(answer, "port");
    unsigned asked = (unsigned)client_number(answer, "asked_port");

    show_peer(ui, json_object_get(answer, "peer"));
    cmd_show_check(ui, json_object_get(answer, "check"));
    show_latency(ui, answer);
    if (asked != 0 && asked != port)
        ui_say(ui, UI_MARK_NOTE, "port %u is taken on this machine, so it is %u here", asked, port);
    ui_say(ui, UI_MARK_OK, "%s on localhost:%u", wish->name, port);
    show_use(ui, json_object_get(answer, "check"), asked ? asked : port, port);
}

/* --- the two ways ----------------------------------------------------------------------- */

static int reach(struct invocation *in, const struct wish *wish)
{
    bool stays = options_has(&in->options, "foreground");
    json_t *request = request_of("reach", wish), *answer = NULL;
    struct client *c = NULL;

    int code = cmd_connect(in, &c);
    if (code != 0) {
        json_decref(request);
        return code;
    }
    if (wish->port != 0)
        (void)json_object_set_new(request, "port", json_integer((json_int_t)wish->port));
    (void)json_object_set_new(request, "attach", json_boolean(stays));
    ui_wait(&in->ui, "reaching %s", wish->name);
    code = cmd_ask(in, c, request, CMD_CHECK_MS, &answer);
    if (code == 0) {
        show(&in->ui, wish, answer);
        ui_object(&in->ui, answer);
        if (stays)
            code = cmd_stay(in, c);
    }
    client_free(c);
    return code;
}

static int reach_by_stdio(struct invocation *in, const struct wish *wish)
{
    struct client *c = NULL;
    json_t *answer = NULL;

    if (wish->port != 0 || in->ui.json || options_has(&in->options, "foreground"))
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "leave the other option out",
                       "--stdio does not go with --port, --foreground or --json");
    int code = cmd_connect(in, &c);
    if (code != 0)
        return code;
    code = cmd_ask(in, c, request_of("stdio", wish), CMD_CHECK_MS, &answer);
    if (code == 0) {
        json_decref(answer);
        interrupt_release(); /* nothing to undo: a signal ends us and with us the stream */
        enum rc rc = stdio_copy(c);
        if (rc == RC_EOF)
            code = ui_fail(&in->ui, EXIT_CODE_OTHER, "connect status",
                           "the connection to %s was cut off", wish->name);
        else if (rc != RC_OK)
            code = ui_fail(&in->ui, EXIT_CODE_OTHER, NULL, "copying failed: %s", strerror(errno));
    }
    client_free(c);
    return code;
}

static int run(struct invocation *in)
{
    struct wish wish;

    int code = read_wish(in, &wish);
    if (code != 0)
        return code;
    return options_has(&in->options, "stdio") ? reach_by_stdio(in, &wish) : reach(in, &wish);
}

const struct command cmd_reach = {
    .name = "reach",
    .operands = "NAME",
    .operands_least = 1,
    .operands_most = 1,
    .summary = "open a local port that leads to a service",
    .options = options,
    .details = "Checks the way to the service first: the other agent's key, then, seen from there, "
               "its name, its port, its certificate, its answer, and the round trip. The port "
               "stays open, also when the agent starts again, until connect unreach.",
    .examples = "connect reach prod-db\n"
                "connect reach prod-db --port 15432\n"
                "ssh -o ProxyCommand='connect reach prod-ssh --stdio' user@prod\n",
    .run = run,
};
