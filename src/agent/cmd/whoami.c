#include "agent/cmd/cmd.h"
#include "base/clock.h"

static int run(struct invocation *in)
{
    json_t *answer = NULL;
    struct ui *ui = &in->ui;
    char until[UI_NUMBER_SIZE];

    int code = cmd_ask_once(in, cmd_request("whoami"), CMD_QUICK_MS, &answer);
    if (code != 0)
        return code;
    ui_line(ui, UI_PLAIN, "agent      %s (%s)", client_text(answer, "label"),
            client_text(answer, "agent_id"));
    ui_line(ui, UI_PLAIN, "workspace  %s", client_text(answer, "workspace"));
    ui_line(ui, UI_PLAIN, "hub        %s", client_text(answer, "hub"));
    ui_line(ui, UI_PLAIN, "token      until %s",
            ui_date(client_text(answer, "token_expires"), clock_unix(), until));
    ui_line(ui, UI_PLAIN, "key        this agent's identity, never leaves this machine:");
    ui_more(ui, "%s", client_text(answer, "fingerprint"));
    ui_object(ui, answer);
    return 0;
}

const struct command cmd_whoami = {
    .name = "whoami",
    .operands = "",
    .summary = "show this agent's name, workspace, hub and key",
    .examples = "connect whoami\nconnect whoami --json\n",
    .run = run,
};
