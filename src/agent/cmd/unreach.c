#include "agent/cmd/cmd.h"

static int run(struct invocation *in)
{
    return cmd_undo(in, "unreach", "is no longer reached from here");
}

const struct command cmd_unreach = {
    .name = "unreach",
    .operands = "NAME",
    .operands_least = 1,
    .operands_most = 1,
    .summary = "close the local port of a reached service",
    .details = "Connections that are open through it end at once.",
    .examples = "connect unreach prod-db\n",
    .run = run,
};
