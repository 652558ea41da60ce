#include "net/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#include "base/text.h"

static enum rc from_path(const char *path, struct endpoint *out)
{
    out->addr.un.sun_family = AF_UNIX;
    out->len = sizeof out->addr.un;
    return text_copy(out->addr.un.sun_path, sizeof out->addr.un.sun_path, path) == RC_OK ? RC_OK
                                                                                         : RC_INPUT;
}

static enum rc from_ipv6(const char *host, uint16_t port, struct endpoint *out)
{
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(host, "%");

    if (len >= sizeof bare)
        return RC_ABSENT;
    memcpy(bare, host, len);
    bare[len] = '\0';
    if (inet_pton(AF_INET6, bare, &out->addr.in6.sin6_addr) != 1)
        return RC_ABSENT;
    out->addr.in6.sin6_family = AF_INET6;
    out->addr.in6.sin6_port = htons(port);
    /* An unknown interface stays 0: connecting says that there is no way. */
    out->addr.in6.sin6_scope_id = host[len] == '%' ? if_nametoindex(host + len + 1) : 0;
    out->len = sizeof out->addr.in6;
    return RC_OK;
}

enum rc endpoint_of(const struct address *a, struct endpoint *out)
{
    struct endpoint e = {0};
    enum rc rc = RC_OK;

    if (a->kind == ADDRESS_UNIX) {
        rc = from_path(a->path, &e);
    } else if (inet_pton(AF_INET, a->host, &e.addr.in.sin_addr) == 1) {
        e.addr.in.sin_family = AF_INET;
        e.addr.in.sin_port = htons(a->port);
        e.len = sizeof e.addr.in;
    } else {
        rc = from_ipv6(a->host, a->port, &e);
    }
    if (rc == RC_OK)
        *out = e;
    return rc;
}

enum rc endpoint_from(const struct sockaddr *addr, uint16_t port, struct endpoint *out)
{
    struct endpoint e = {0};

    if (addr->sa_family == AF_INET) {
        e.len = sizeof e.addr.in;
        memcpy(&e.addr.in, addr, e.len);
        e.addr.in.sin_port = htons(port);
    } else if (addr->sa_family == AF_INET6) {
        e.len = sizeof e.addr.in6;
        memcpy(&e.addr.in6, addr, e.len);
        e.addr.in6.sin6_port = htons(port);
    } else {
        return RC_INPUT;
    }
    *out = e;
    return RC_OK;
}

int endpoint_family(const struct endpoint *e)
{
    return e->addr.any.sa_family;
}

bool endpoint_is_loopback(const struct endpoint *e)
{
    switch (e->addr.any.sa_family) {
    case AF_INET:
        return ntohl(e->addr.in.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&e->addr.in6.sin6_addr);
    default:
        return true;
    }
}

void endpoint_host(const struct endpoint *e, char out[ENDPOINT_HOST_SIZE])
{
    const void *address = e->addr.any.sa_family == AF_INET6 ? (const void *)&e->addr.in6.sin6_addr
                                                            : (const void *)&e->addr.in.sin_addr;

    out[0] = '\0';
    if (e->addr.any.sa_family != AF_UNIX)
        (void)inet_ntop(e->addr.any.sa_family, address, out, ENDPOINT_HOST_SIZE);
}
