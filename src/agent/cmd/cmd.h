#pragma once

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/client.h"
#include "agent/options.h"
#include "agent/ui.h"

/*
 * cmd -- what the subcommands share. A command is one file: its table of
 * options, its help, and run(), which returns the process's exit code after it has
 * told the person everything (with --json: one object).
 */
struct invocation {
    struct options options;
    struct ui ui;
    char folder[PATH_MAX]; /* absolute; "" before cmd_find_folder() */
};

extern const struct command cmd_up, cmd_down, cmd_status, cmd_expose, cmd_unexpose, cmd_reach,
    cmd_unreach, cmd_services, cmd_whoami, cmd_trust, cmd_verify, cmd_version, cmd_help;
/* Every command and the common options. */
extern const struct grammar cmd_grammar;

enum {
    CMD_QUICK_MS = 10 * 1000, /* what the agent answers from its memory, or asks the hub */
    CMD_CHECK_MS =
        60 * 1000, /* what dials targets or other agents: over the sum of their own limits */
};

/*
 * Fills in->folder from --config, CONNECT_HOME or ~/.private-connect; `make`: makes it (0700) if
 * absent. Returns 0, or the exit code after having told the failure. So do all that return int
 * here.
 */
int cmd_find_folder(struct invocation *in, bool make);

/* A request object for the agent. */
json_t *cmd_request(const char *command);
/* Connects to the agent. Tells "not running" and "not logged in". */
int cmd_connect(struct invocation *in, struct client **out);
/*
 * Sends `request` (takes it), waits for the answer. On 0 `*answer` is the caller's. An error of the
 * agent's is told.
 */
int cmd_ask(struct invocation *in, struct client *c, json_t *request, uint64_t limit_ms,
            json_t **answer);
/* Connects, asks, disconnects. */
int cmd_ask_once(struct invocation *in, json_t *request, uint64_t limit_ms, json_t **answer);
/* Tells the "error" of an answer; returns its exit code. */
int cmd_fail_answer(struct invocation *in, const json_t *answer);
/* Tells why a wait for the agent ended; returns the exit code. */
int cmd_fail_wait(struct invocation *in, enum rc why, uint64_t limit_ms);

/* Checks a service name that the person typed. */
int cmd_check_name(struct invocation *in, const char *name);
/* `command` for the service named by the first operand; "NAME `done`" is told. */
int cmd_undo(struct invocation *in, const char *command, const char *done);
/* For --foreground: stays until Ctrl-C or until the agent ends, then has it undone. */
int cmd_stay(struct invocation *in, struct client *c);
/* The parts of a check (docs/protocol.md §7.5), a line each. */
void cmd_show_check(struct ui *ui, const json_t *check);
