#pragma once

/*
 * exit_code -- how a command ends: the number for the shell, and the same as a
 * word in the `code` of an error object (docs/protocol.md §9).
 */
enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_OTHER = 1,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_NOT_LOGGED_IN = 3,
    EXIT_CODE_NOT_FOUND = 4,
    EXIT_CODE_NOT_REACHABLE = 5,
    EXIT_CODE_DENIED = 6,
    EXIT_CODE_TIMEOUT = 7,
    EXIT_CODE_PORT_IN_USE = 8,
    EXIT_CODE_HUB_UNAVAILABLE = 9,
    EXIT_CODE_INCOMPATIBLE = 10,
    EXIT_CODE_INTERRUPTED = 130,
};

/* "not_found", "port_in_use", …: static text. "other" for a number that is none of these. */
const char *exit_code_name(enum exit_code code);
/* The way back, also for more exact words ("key_changed" is EXIT_CODE_DENIED). A name that is not
 * known, or NULL, is EXIT_CODE_OTHER. */
enum exit_code exit_code_of(const char *name);
