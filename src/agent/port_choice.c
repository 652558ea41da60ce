#include "agent/port_choice.h"

#include <string.h>

#include "base/text.h"

uint16_t port_choice_wanted(const struct address *target)
{
    size_t at = strlen(target->path);
    uint64_t port;

    if (target->kind == ADDRESS_TCP)
        return target->port;
    while (at > 0 && target->path[at - 1] >= '0' && target->path[at - 1] <= '9')
        at--;
    if (text_number(target->path + at, PORT_CHOICE_PRIVILEGED, UINT16_MAX, &port) == RC_OK)
        return (uint16_t)port;
    return PORT_CHOICE_UNIX;
}

uint16_t port_choice_next(uint16_t port, enum rc why)
{
    if (why == RC_AUTH && port < PORT_CHOICE_PRIVILEGED)
        return (uint16_t)(port + 8000);
    return port < UINT16_MAX ? (uint16_t)(port + 1) : 0;
}
