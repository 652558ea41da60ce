#include <string.h>

#include "agent/cmd/cmd.h"

static const struct ui_column columns[] = {
    {.title = "NAME", .may_shrink = true},
    {.title = "PROTOCOL"},
    {.title = "TARGET", .may_shrink = true},
    {.title = "AGENT", .may_shrink = true},
    {.title = "STATE"},
    {0},
};

static void show(struct ui *ui, json_t *services)
{
    struct ui_table *t = ui_table_new(ui, columns);
    size_t i;
    const json_t *service;

    json_array_foreach(services, i, service)
    {
        bool online = json_is_true(json_object_get(service, "online"));
        const char *label = client_text(service, "label");

        ui_table_cell(t, UI_BOLD, "%s", client_text(service, "name"));
        ui_table_cell(t, UI_PLAIN, "%s", client_text(service, "protocol"));
        ui_table_cell(t, UI_PLAIN, "%s", client_text(service, "target"));
        ui_table_cell(t, UI_PLAIN, "%s", label[0] ? label : client_text(service, "agent_id"));
        ui_table_cell(t, online ? UI_GOOD : UI_DIM, online ? "online" : "offline");
    }
    ui_table_print(t);
}

static int run(struct invocation *in)
{
    json_t *answer = NULL;

    int code = cmd_ask_once(in, cmd_request("services"), CMD_QUICK_MS, &answer);
    if (code != 0)
        return code;
    json_t *services = json_object_get(answer, "services");
    if (json_array_size(services) > 0) {
        show(&in->ui, services);
    } else {
        ui_line(&in->ui, UI_PLAIN, "nobody in this workspace exposes a service yet");
        ui_more(&in->ui, "connect expose localhost:5432 --name my-db");
    }
    ui_object(&in->ui, answer);
    return 0;
}

const struct command cmd_services = {
    .name = "services",
    .operands = "",
    .summary = "list what can be reached in this workspace",
    .examples = "connect services\nconnect services --json\n",
    .run = run,
};
