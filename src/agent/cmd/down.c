#include "agent/cmd/cmd.h"

static int run(struct invocation *in)
{
    struct client *c = NULL;
    json_t *answer = NULL;

    int code = cmd_connect(in, &c);
    if (code != 0)
        return code;
    ui_wait(&in->ui, "stopping the agent");
    code = cmd_ask(in, c, cmd_request("down"), CMD_QUICK_MS, &answer);
    if (code == 0) {
        /* The connection ends with the process: after that its ports and its lock are free. */
        enum rc rc = client_wait_closed(c, &in->ui, CMD_QUICK_MS);
        if (rc != RC_EOF) {
            json_decref(answer);
            code = cmd_fail_wait(in, rc, CMD_QUICK_MS);
        } else {
            ui_say(&in->ui, UI_MARK_OK, "the agent is down");
            ui_object(&in->ui, answer);
        }
    }
    client_free(c);
    return code;
}

const struct command cmd_down = {
    .name = "down",
    .operands = "",
    .summary = "stop the agent and everything it exposes and reaches",
    .details = "What was exposed and reached is remembered: connect up brings it back.\n",
    .examples = "connect down\n",
    .run = run,
};
