#include "agent/exit_code.h"

#include <stddef.h>
#include <string.h>

static const struct {
    enum exit_code code;
    const char *name;
} names[] = {
    {EXIT_CODE_OK, "ok"},
    {EXIT_CODE_OTHER, "other"},
    {EXIT_CODE_USAGE, "usage"},
    {EXIT_CODE_NOT_LOGGED_IN, "not_logged_in"},
    {EXIT_CODE_NOT_FOUND, "not_found"},
    {EXIT_CODE_NOT_REACHABLE, "not_reachable"},
    {EXIT_CODE_DENIED, "denied"},
    {EXIT_CODE_TIMEOUT, "timeout"},
    {EXIT_CODE_PORT_IN_USE, "port_in_use"},
    {EXIT_CODE_HUB_UNAVAILABLE, "hub_unavailable"},
    {EXIT_CODE_INCOMPATIBLE, "incompatible"},
    {EXIT_CODE_INTERRUPTED, "interrupted"},
    /* More exact words for the same numbers. */
    {EXIT_CODE_DENIED, "key_changed"},
    {EXIT_CODE_DENIED, "service_moved"},
    {EXIT_CODE_DENIED, "peer_refused"},
    {EXIT_CODE_DENIED, "hub_changed"},
};

const char *exit_code_name(enum exit_code code)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == code)
            return names[i].name;
    return "other";
}

enum exit_code exit_code_of(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof names[0]; i++)
        if (names[i].code != EXIT_CODE_OK && strcmp(names[i].name, name) == 0)
            return names[i].code;
    return EXIT_CODE_OTHER;
}
