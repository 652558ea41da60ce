#pragma once

#include <jansson.h>

#include "agent/failure.h"
#include "net/hub_call.h"

/* hub_error -- what the hub's refusals, and failures to ask it, mean for the person here. */

/*
 * A call that failed. `pinned`: the fingerprint that was expected, "": none. A certificate that is
 * not trusted is told with the fingerprint it has.
 */
void hub_error_of_call(const struct hub_call *call, enum rc rc, const char *text,
                       const char *pinned, struct failure *out);
/* An HTTP answer that is not the one we want (docs/protocol.md §1.3). */
void hub_error_of_answer(unsigned status, struct reader body, struct failure *out);
/* The "error" of a reply on the control link (docs/protocol.md §2). */
void hub_error_of_reply(const json_t *error, struct failure *out);
/* The token is not good any more. */
void hub_error_logged_out(struct failure *out, const char *text);
