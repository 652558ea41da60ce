#include "agent/cmd/cmd.h"

static int stop(struct invocation *in, struct client *c)
{
    json_t *answer = NULL;

    ui_wait(&in->ui, "stopping the agent");
    int code = cmd_ask(in, c, cmd_request("down"), CMD_QUICK_MS, &answer);
    if (code != 0)
        return code;
    /* The connection ends with the process: after that its ports and its lock are free. */
    enum rc rc = client_wait_closed(c, &in->ui, CMD_QUICK_MS);
    if (rc != RC_EOF) {
        json_decref(answer);
        return cmd_fail_wait(in, rc, CMD_QUICK_MS);
    }
    ui_say(&in->ui, UI_MARK_OK, "the agent is down");
    ui_object(&in->ui, answer);
    return 0;
}

static int run(struct invocation *in)
{
    struct client *c = NULL;

    int code = cmd_find_folder(in, false);
    if (code != 0)
        return code;
    if (client_open(in->folder, &c) == RC_ABSENT) {
        ui_say(&in->ui, UI_MARK_OK, "the agent is not running");
        ui_object(&in->ui, json_pack("{s:b}", "ok", 1));
        return 0;
    }
    if (c == NULL)
        code = cmd_connect(in, &c); /* says what is wrong with the socket */
    if (code == 0)
        code = stop(in, c);
    client_free(c);
    return code;
}

const struct command cmd_down = {
    .name = "down",
    .operands = "",
    .summary = "stop the agent and everything it exposes and reaches",
    .details = "What was exposed and reached is remembered: connect up brings it back. "
               "When the agent is not running, there is nothing to do, and that is no failure.",
    .examples = "connect down\n",
    .run = run,
};
