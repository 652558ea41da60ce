#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * agent -- what `connect up` keeps running: the control link to the hub, the
 * exposed and reached services, and the Unix socket for the command line.
 */
#define AGENT_HOLD_AS_BEFORE UINT64_MAX

struct agent_options {
    const char *folder;          /* configuration folder, exists, 0700 */
    const char *hub_url;         /* NULL: the one in the configuration */
    const char *label;           /* NULL: the one in the configuration, or the host's name */
    const char *hub_fingerprint; /* "sha256:…" or NULL */
    char *api_key;               /* NULL: none; wiped by agent_run() as soon as it is not needed any more */
    uint64_t hold_ms;            /* AGENT_HOLD_AS_BEFORE: what the configuration says, 10 minutes if nothing */
    bool allow_insecure;         /* CONNECT_ALLOW_INSECURE=true */
    /*
     * When the agent is connected, or has failed to begin, one line is written here and the descriptor closed: the answer of
     * docs/protocol.md §9 with the members of `status`, or "error". -1: nobody waits.
     */
    int report_fd;
    bool foreground;
};

/* Runs until `down`, SIGTERM or SIGINT. Returns the process's exit code. */
int agent_run(const struct agent_options *o);
