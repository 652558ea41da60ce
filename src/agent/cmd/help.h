#pragma once

#include "agent/cmd/cmd.h"

/* help -- shown by `connect help`, and by --help on every command. NULL: the overview. */
int help_show(struct invocation *in, const struct command *command);
