#pragma once

#include "base/rc.h"

/* logfile -- where the agent in the background writes: agent.log in its folder. */

/*
 * Opens `folder`/agent.log (0600) as stdout and stderr of this process. One that is larger than 10
 * MB is moved to agent.log.1 first, in place of the one before. May be called again at any time.
 * RC_SYSTEM: errno says why; nothing has changed.
 */
MUST_CHECK enum rc logfile_open(const char *folder);
