#pragma once

#include <stdbool.h>

/*
 * interrupt -- Ctrl-C and its kin as something a poll(2) can wait for. One per
 * process, for the command line's own process; the agent has its loop's signals.
 */

/* From here on SIGINT, SIGTERM and SIGHUP no longer end the process. Ends it if there are no
 * descriptors left. */
void interrupt_catch(void);
/* Back to the signals' usual effect: for the child that becomes the agent. */
void interrupt_release(void);
/* Forgets the signals that came, so that the next one can be waited for. */
void interrupt_reset(void);
/* Readable from the first signal on, until interrupt_reset(). -1 before interrupt_catch(): poll(2)
 * passes over it. */
int interrupt_fd(void);
