#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/rc.h"

/*
 * background -- the agent as a process of its own, without a terminal, that tells
 * its starter once whether it has come up.
 */

struct background {
    bool is_agent; /* this is the new process */
    int report_fd; /* in the new process: to write the report to; in the starter: to read it from */
    pid_t pid;     /* in the starter: the new process */
};

/*
 * Forks; returns in both processes. The new one has a session of its own, "/" as its directory,
 * nothing on stdin, agent.log of `folder` (absolute) on stdout and stderr, and no other descriptor
 * but its report_fd. RC_SYSTEM: errno says why.
 */
MUST_CHECK enum rc background_start(const char *folder, struct background *out);
