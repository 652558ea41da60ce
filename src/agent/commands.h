#pragma once

#include <jansson.h>

#include "agent/control.h"

/*
 * commands -- what the command line may ask of the agent, one function each (docs/protocol.md §9):
 * JSON to values, call the module that does it, values to JSON.
 */
struct parts;
struct commands;

/* `on_down`: somebody wants the agent to end; it closes `fd` (-1: none) when everything is over. */
struct commands *commands_new(struct parts *p, void (*on_down)(void *owner, int fd), void *owner);
/* After exposes_stop() and reaches_stop(), so that no command still waits for them. */
void commands_free(struct commands *c);

void commands_handle(void *commands, struct request *rq, const char *command, const json_t *body);

/* The members of `status`. */
json_t *commands_status(const struct parts *p);
