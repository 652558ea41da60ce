#include "agent/cmd/cmd.h"

static int run(struct invocation *in)
{
    return cmd_undo(in, "unexpose", "is no longer exposed");
}

const struct command cmd_unexpose = {
    .name = "unexpose",
    .operands = "NAME",
    .operands_least = 1,
    .operands_most = 1,
    .summary = "stop exposing a service",
    .details = "Connections that are open through it end at once.",
    .examples = "connect unexpose prod-db\n",
    .run = run,
};
