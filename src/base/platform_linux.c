#include "base/platform.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void platform_random(void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            (void)fputs("no random source\n", stderr);
            abort();
        }
        at += got;
        len -= (size_t)got;
    }
}

uint64_t platform_monotonic_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool platform_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes");
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & (1u << 3)) != 0; /* HWCAP_AES */
#else
    return false;
#endif
}

int platform_socket(int family, int type)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int platform_accept(int listening)
{
    return accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

enum rc platform_peer_uid(int fd, uid_t *out)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return RC_SYSTEM;
    *out = peer.uid;
    return RC_OK;
}

void platform_tcp_keepalive(int fd, unsigned seconds)
{
    int on = 1, probes = 3;
    int interval = seconds >= 8 ? (int)seconds / 4 : 1;
    int idle = (int)seconds - interval * probes > 0 ? (int)seconds - interval * probes : 1;
    unsigned timeout_ms = seconds * 1000;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

void platform_tcp_unsent_limit(int fd, unsigned bytes)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

size_t platform_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return (size_t)limit.rlim_cur;
}

void platform_close_from(int lowest)
{
    (void)close_range((unsigned)lowest, ~0u, 0);
}

enum rc platform_self_path(char *out, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", out, size - 1);

    if (len < 0)
        return RC_SYSTEM;
    out[len] = '\0';
    return RC_OK;
}

void platform_trim_memory(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void platform_forbid_core(void)
{
    const struct rlimit none = {0};

    (void)setrlimit(RLIMIT_CORE, &none);
}
