#pragma once

#include "agent/client.h"

/*
 * stdio -- `connect reach NAME --stdio`: stdin and stdout become the two directions of a stream.
 *
 * Byte path: stdin, stdout <-> STDIO <-> the agent's Unix socket (then agent/forward). Each
 * direction ends by itself.
 */

/* Copies until both directions have ended. RC_OK: in order. RC_EOF: cut off. RC_SYSTEM: errno says
 * why. */
MUST_CHECK enum rc stdio_copy(struct client *c);
