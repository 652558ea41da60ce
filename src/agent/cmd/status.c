#include <string.h>

#include "agent/cmd/cmd.h"
#include "base/clock.h"
#include "base/text.h"

static const struct ui_column exposed_columns[] = {
    {.title = "EXPOSED", .may_shrink = true},
    {.title = "TARGET", .may_shrink = true},
    {.title = "PROTOCOL"},
    {.title = "STATE"},
    {.title = "STREAMS", .right = true},
    {0},
};

static const struct ui_column reached_columns[] = {
    {.title = "REACHED", .may_shrink = true},
    {.title = "PORT", .right = true},
    {.title = "AGENT", .may_shrink = true},
    {.title = "STATE"},
    {.title = "LATENCY", .right = true},
    {.title = "STREAMS", .right = true},
    {.title = "IN", .right = true},
    {.title = "OUT", .right = true},
    {0},
};

/* The states in which all is well, of the link to the hub, of exposed and of reached services. */
static bool is_fine(const char *state)
{
    static const char *const fine[] = {"connected", "online", "up"};

    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (strcmp(state, fine[i]) == 0)
            return true;
    return false;
}

static void state_cell(struct ui_table *t, const json_t *service)
{
    const char *state = client_text(service, "state");

    ui_table_cell(t, is_fine(state) ? UI_GOOD : UI_WARN, "%s", state);
}

static void remark_error(struct ui_table *t, const json_t *service)
{
    const char *error = client_text(service, "error");

    if (error[0] != '\0')
        ui_table_remark(t, error);
}

static void show_exposed(struct ui *ui, json_t *services)
{
    struct ui_table *t = ui_table_new(ui, exposed_columns);
    size_t i;
    const json_t *service;

    json_array_foreach(services, i, service)
    {
        ui_table_cell(t, UI_BOLD, "%s", client_text(service, "name"));
        ui_table_cell(t, UI_PLAIN, "%s", client_text(service, "target"));
        ui_table_cell(t, UI_PLAIN, "%s", client_text(service, "protocol"));
        state_cell(t, service);
        ui_table_cell(t, UI_PLAIN, "%.0f", client_number(service, "streams"));
        remark_error(t, service);
    }
    ui_table_print(t);
}

/* Behind the last colon: the address is always this machine itself. */
static const char *port_of(const char *local)
{
    const char *colon = strrchr(local, ':');

    return colon ? colon + 1 : local;
}

static void show_reached(struct ui *ui, json_t *services)
{
    struct ui_table *t = ui_table_new(ui, reached_columns);
    char number[UI_NUMBER_SIZE];
    size_t i;
    const json_t *service;

    json_array_foreach(services, i, service)
    {
        bool measured = json_is_number(json_object_get(service, "latency_ms"));

        ui_table_cell(t, UI_BOLD, "%s", client_text(service, "name"));
        ui_table_cell(t, UI_PLAIN, "%s", port_of(client_text(service, "local")));
        ui_table_cell(t, UI_PLAIN, "%s", client_text(service, "agent"));
        state_cell(t, service);
        ui_table_cell(t, UI_PLAIN, "%s",
                      measured ? ui_latency(client_number(service, "latency_ms"), number) : "-");
        ui_table_cell(t, UI_PLAIN, "%.0f", client_number(service, "streams"));
        ui_table_cell(t, UI_PLAIN, "%s",
                      ui_bytes((uint64_t)client_number(service, "bytes_in"), number));
        ui_table_cell(t, UI_PLAIN, "%s",
                      ui_bytes((uint64_t)client_number(service, "bytes_out"), number));
        remark_error(t, service);
    }
    ui_table_print(t);
}

static void show_hub(struct ui *ui, const json_t *answer)
{
    const char *state = client_text(answer, "state");
    double retry_ms = client_number(answer, "retry_in_ms");
    char took[UI_NUMBER_SIZE], more[UI_NUMBER_SIZE + 16] = "";
    int64_t since;

    if (retry_ms > 0)
        text_message(more, sizeof more, ", next try in %s", ui_latency(retry_ms, took));
    else if (ui_parse_time(client_text(answer, "since"), &since) && clock_unix() >= since)
        text_message(more, sizeof more, " for %s",
                     ui_duration((uint64_t)(clock_unix() - since), took));
    ui_say(ui, is_fine(state) ? UI_MARK_OK : UI_MARK_BAD, "hub    %s, %s%s",
           client_text(answer, "hub"), state, more);
    if (client_text(answer, "problem")[0] != '\0')
        ui_more(ui, "%s", client_text(answer, "problem"));
}

static void show(struct ui *ui, const json_t *answer)
{
    json_t *exposed = json_object_get(answer, "exposed");
    json_t *reached = json_object_get(answer, "reached");

    ui_say(ui, UI_MARK_OK, "agent  %s (%s), workspace %s, process %.0f",
           client_text(answer, "label"), client_text(answer, "agent_id"),
           client_text(answer, "workspace"), client_number(answer, "pid"));
    show_hub(ui, answer);
    if (json_array_size(exposed) > 0) {
        ui_line(ui, UI_PLAIN, "%s", "");
        show_exposed(ui, exposed);
    }
    if (json_array_size(reached) > 0) {
        ui_line(ui, UI_PLAIN, "%s", "");
        show_reached(ui, reached);
    }
    if (json_array_size(exposed) + json_array_size(reached) == 0) {
        ui_line(ui, UI_PLAIN, "%s", "");
        ui_more(ui, "nothing exposed or reached yet:");
        ui_more(ui, "connect expose localhost:5432 --name my-db");
        ui_more(ui, "connect services");
    }
}

static int run(struct invocation *in)
{
    json_t *answer = NULL;

    int code = cmd_ask_once(in, cmd_request("status"), CMD_QUICK_MS, &answer);
    if (code != 0)
        return code;
    show(&in->ui, answer);
    ui_object(&in->ui, answer);
    return 0;
}

const struct command cmd_status = {
    .name = "status",
    .operands = "",
    .summary = "show the agent, its hub, what is exposed and reached",
    .details =
        "Ends with 1 when the agent is not running, with 3 when this machine is not logged in.",
    .examples = "connect status\nconnect status --json\n",
    .run = run,
};
