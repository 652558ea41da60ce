#include "agent/cmd/cmd.h"

/* The range of docs/protocol.md that this program speaks. */
enum { PROTOCOL_MIN = 1, PROTOCOL_MAX = 1 };

static int run(struct invocation *in)
{
    ui_line(&in->ui, UI_PLAIN, "connect %s (protocol %d)", CONNECT_VERSION, PROTOCOL_MAX);
    ui_object(&in->ui, json_pack("{s:b, s:s, s:{s:i, s:i}}", "ok", 1, "version", CONNECT_VERSION,
                                 "protocol", "min", PROTOCOL_MIN, "max", PROTOCOL_MAX));
    return 0;
}

const struct command cmd_version = {
    .name = "version",
    .operands = "",
    .summary = "print the version",
    .examples = "connect version\nconnect version --json\n",
    .run = run,
};
