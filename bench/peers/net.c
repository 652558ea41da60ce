#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void net_die(const char *format, ...)
{
    va_list args;
    int error = errno;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
    exit(1);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

int net_listen(const char *port)
{
    struct sockaddr_in at = loopback((uint16_t)net_number(port, UINT16_MAX));
    socklen_t len = sizeof at;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        net_die("listen %s", port);
    (void)printf("%u\n", ntohs(at.sin_port));
    (void)fflush(stdout);
    return fd;
}

int net_connect(uint16_t port)
{
    struct sockaddr_in to = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        net_die("connect %u", port);
    net_nodelay(fd);
    return fd;
}

void net_nodelay(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        net_die("TCP_NODELAY");
}

void net_begin(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
}

uint64_t net_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t net_number(const char *text, uint64_t most)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > most)
        net_die("not a number up to %llu: %s", (unsigned long long)most, text);
    return value;
}

uint16_t net_port(const char *text)
{
    return (uint16_t)net_number(text, UINT16_MAX);
}

uint64_t net_seconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value > 0 && value < 3600))
        net_die("not a number of seconds: %s", text);
    return (uint64_t)(value * 1e9);
}

void net_put_u64(uint8_t out[static 8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

uint64_t net_get_u64(const uint8_t in[static 8])
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

const uint8_t *net_payload(uint64_t offset)
{
    static uint8_t pattern[NET_PART + NET_PERIOD];

    /* Filled once, by the thread that asks first: every main() does so before it starts others. */
    if (pattern[1] == 0)
        for (size_t i = 0; i < sizeof pattern; i++)
            pattern[i] = (uint8_t)(i % NET_PERIOD);
    return pattern + offset % NET_PERIOD;
}

void net_write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            net_die("write");
        at += n;
        len -= (size_t)n;
    }
}

void net_read_all(int fd, void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            net_die("read");
        errno = 0;
        if (n == 0)
            net_die("the connection ended early");
        at += n;
        len -= (size_t)n;
    }
}

static int by_value(const void *one, const void *other)
{
    const uint64_t *a = one, *b = other;

    return (*a > *b) - (*a < *b);
}

uint64_t net_quantile(uint64_t *values, size_t count, double q)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, by_value);
    return values[(size_t)((double)(count - 1) * q)];
}
