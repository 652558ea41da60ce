#include <string.h>

#include "agent/cmd/cmd.h"

static int run(struct invocation *in)
{
    struct ui *ui = &in->ui;
    json_t *answer = NULL;
    json_t *request = cmd_request("trust");

    (void)json_object_set_new(request, "agent", json_string(in->options.operands[0]));
    int code = cmd_ask_once(in, request, CMD_QUICK_MS, &answer);
    if (code != 0)
        return code;
    const char *previous = client_text(answer, "previous");
    const char *now = client_text(answer, "fingerprint");
    if (previous[0] != '\0' && strcmp(previous, now) == 0)
        ui_say(ui, UI_MARK_OK, "the key of %s was trusted already, and has not changed",
               client_text(answer, "label"));
    else
        ui_say(ui, UI_MARK_OK, "the key of %s is trusted from now on",
               client_text(answer, "label"));
    ui_more(ui, "%s", now);
    if (previous[0] != '\0' && strcmp(previous, now) != 0) {
        ui_line(ui, UI_PLAIN, "  in place of");
        ui_more(ui, "%s", previous);
    }
    ui_line(ui, UI_PLAIN, "  to be sure that it is the right one: connect verify %s",
            in->options.operands[0]);
    ui_object(ui, answer);
    return 0;
}

const struct command cmd_trust = {
    .name = "trust",
    .operands = "AGENT",
    .operands_least = 1,
    .operands_most = 1,
    .summary = "accept the changed key of another agent",
    .details = "The key of an agent is remembered at the first contact. When it changes, because "
               "the machine was set up anew or because somebody pretends to be it, connections are "
               "refused until the new key is accepted here. AGENT is a label or an id. Compare "
               "with connect verify first.",
    .examples = "connect trust prod\n",
    .run = run,
};
