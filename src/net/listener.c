#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "net/endpoint.h"
#include "net/loop_uv.h"

enum {
    LISTENER_BATCH = 64,    /* connections taken in one round of the loop: others have their turn */
    LISTENER_REST_MS = 100, /* how long to leave the kernel's queue alone when nothing helps */
    LISTENER_WARN_MS = 1000,
};

struct listener {
    struct loop *loop;
    listener_accept *accept;
    void *owner;
    uv_poll_t poll;
    struct timer rest;
    int fd;
    int spare; /* a descriptor to give up when there is no other; -1: it is in use elsewhere */
    bool paused, closed;
    uint64_t warn_after_ms;
    uint16_t port;
    char path[sizeof((struct address *)0)->path]; /* the socket file we made; "" for TCP */
    dev_t device;
    ino_t inode;
};

/* --- a listening socket --------------------------------------------------------------- */

static enum rc explain(int error)
{
    switch (error) {
    case EADDRINUSE:
        return RC_EXISTS;
    case EACCES:
    case EPERM:
        return RC_AUTH;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ENOENT:
    case ENOTDIR:
    case EINVAL:
        return RC_INPUT;
    default:
        log_warn("listener.open", log_str("why", strerror(error)));
        return RC_SYSTEM;
    }
}

/* Whether the file is a socket that nobody listens on: left behind by a process that died. */
static bool is_stale(const struct endpoint *e)
{
    struct stat st;

    if (lstat(e->addr.un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = platform_socket(AF_UNIX, SOCK_STREAM);
    if (fd < 0)
        return false;
    bool refused = connect(fd, &e->addr.any, e->len) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

static enum rc bind_unix(int fd, const struct endpoint *e)
{
    int status = bind(fd, &e->addr.any, e->len);

    if (status != 0 && errno == EADDRINUSE) {
        if (!is_stale(e) || unlink(e->addr.un.sun_path) != 0)
            return RC_EXISTS;
        status = bind(fd, &e->addr.any, e->len);
    }
    /* Nobody can connect before listen(), so the mode is right from the start. */
    if (status != 0 || chmod(e->addr.un.sun_path, 0600) != 0)
        return explain(errno);
    return RC_OK;
}

static enum rc bind_tcp(int fd, const struct endpoint *e)
{
    int on = 1, off = 0;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Accepted sockets inherit it: one call here instead of one for each. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (endpoint_family(e) == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
                         IN6_IS_ADDR_UNSPECIFIED(&e->addr.in6.sin6_addr) ? &off : &on, sizeof on);
    return bind(fd, &e->addr.any, e->len) == 0 ? RC_OK : explain(errno);
}

static enum rc open_socket(const struct endpoint *e, int *out)
{
    int fd = platform_socket(endpoint_family(e), SOCK_STREAM);

    if (fd < 0)
        return explain(errno);
    enum rc rc = endpoint_family(e) == AF_UNIX ? bind_unix(fd, e) : bind_tcp(fd, e);
    if (rc == RC_OK && listen(fd, LISTENER_BACKLOG) != 0)
        rc = explain(errno);
    if (rc != RC_OK) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return RC_OK;
}

static enum rc resolve(const struct address *at, struct endpoint *out)
{
    struct address a = *at;

    if (a.kind == ADDRESS_TCP && strcasecmp(a.host, "localhost") == 0)
        memcpy(a.host, "127.0.0.1", sizeof "127.0.0.1");
    return endpoint_of(&a, out) == RC_OK ? RC_OK : RC_INPUT;
}

static bool is_any_ipv6(const struct endpoint *e)
{
    return endpoint_family(e) == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&e->addr.in6.sin6_addr);
}

/* "::" means every address of this machine, also where the kernel has no IPv6. */
static enum rc open_any(const struct endpoint *e, int *out)
{
    struct endpoint ipv4 = {.len = sizeof ipv4.addr.in};

    enum rc rc = open_socket(e, out);
    if (rc != RC_INPUT || !is_any_ipv6(e))
        return rc;
    ipv4.addr.in.sin_family = AF_INET;
    ipv4.addr.in.sin_port = e->addr.in6.sin6_port;
    return open_socket(&ipv4, out);
}

static uint16_t port_of(int fd)
{
    struct endpoint e = {.len = sizeof e.addr};

    if (getsockname(fd, &e.addr.any, &e.len) != 0 || endpoint_family(&e) == AF_UNIX)
        return 0;
    return ntohs(endpoint_family(&e) == AF_INET6 ? e.addr.in6.sin6_port : e.addr.in.sin_port);
}

/* --- taking connections --------------------------------------------------------------- */

static void watch(struct listener *li);

static void on_rested(void *owner)
{
    watch(owner);
}

static void rest(struct listener *li)
{
    (void)uv_poll_stop(&li->poll);
    timer_start(&li->rest, LISTENER_REST_MS);
}

static void warn(struct listener *li, int error)
{
    if (loop_now(li->loop) < li->warn_after_ms)
        return;
    li->warn_after_ms = loop_now(li->loop) + LISTENER_WARN_MS;
    log_warn("listener.accept", log_u64("port", li->port), log_str("why", strerror(error)));
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Without descriptors the connection would wait for ever and wake us all the time. */
static enum rc turn_one_away(struct listener *li)
{
    if (li->spare < 0)
        li->spare = open_spare();
    if (li->spare < 0)
        return RC_LIMIT;
    (void)close(li->spare);
    int fd = platform_accept(li->fd);
    enum rc rc = fd >= 0 || errno == EAGAIN ? RC_OK : RC_LIMIT;
    if (fd >= 0)
        (void)close(fd);
    li->spare = open_spare();
    return rc;
}

/* RC_OK: go on. RC_AGAIN: none waits. RC_LIMIT: nothing helps now. */
static enum rc handle_failure(struct listener *li, int error)
{
    switch (error) {
    case EAGAIN:
        return RC_AGAIN;
    case EMFILE:
    case ENFILE:
        warn(li, error);
        return turn_one_away(li);
    case ENOBUFS:
    case ENOMEM:
    case EINVAL:
    case EBADF:
        warn(li, error);
        return RC_LIMIT;
    default: /* of that one connection: it went away while it waited, or a signal came */
        return RC_OK;
    }
}

static void on_waiting(uv_poll_t *poll, int status, int events)
{
    struct listener *li = poll->data;

    (void)status, (void)events; /* accept says what there is */
    for (int i = 0; i < LISTENER_BATCH && !li->paused && !li->closed; i++) {
        int fd = platform_accept(li->fd);
        if (fd >= 0) {
            li->accept(li->owner, fd);
            continue;
        }
        enum rc rc = handle_failure(li, errno);
        if (rc == RC_LIMIT)
            rest(li);
        if (rc != RC_OK)
            return;
    }
}

static void watch(struct listener *li)
{
    if (li->paused || li->closed)
        return;
    int status = uv_poll_start(&li->poll, UV_READABLE, on_waiting);
    if (status != 0)
        log_error("listener.poll", log_str("why", uv_strerror(status)));
}

/* --- life ----------------------------------------------------------------------------- */

static void remember_file(struct listener *li, const struct address *at)
{
    struct stat st;

    if (at->kind != ADDRESS_UNIX || lstat(at->path, &st) != 0)
        return;
    memcpy(li->path, at->path, sizeof li->path);
    li->device = st.st_dev;
    li->inode = st.st_ino;
}

/* Only the file we made: another process may have put its own in the place. */
static void remove_file(const struct listener *li)
{
    struct stat st;

    if (li->path[0] != '\0' && lstat(li->path, &st) == 0 && st.st_dev == li->device &&
        st.st_ino == li->inode)
        (void)unlink(li->path);
}

static void release(const struct listener *li)
{
    remove_file(li);
    (void)close(li->fd);
    if (li->spare >= 0)
        (void)close(li->spare);
}

enum rc listener_open(struct loop *l, const struct address *at, listener_accept *accept,
                      void *owner, struct listener **out)
{
    struct endpoint e;
    int fd;

    enum rc rc = resolve(at, &e);
    if (rc == RC_OK)
        rc = open_any(&e, &fd);
    if (rc != RC_OK)
        return rc;

    struct listener *li = mem_zalloc(sizeof *li);
    *li = (struct listener){.loop = l, .accept = accept, .owner = owner, .fd = fd};
    li->poll.data = li;
    li->spare = open_spare();
    li->port = port_of(fd);
    remember_file(li, at);
    timer_init(&li->rest, l, on_rested, li);
    int status = uv_poll_init(loop_uv(l), &li->poll, fd);
    if (status != 0) { /* the system waits for no more descriptors */
        log_warn("listener.poll", log_str("why", uv_strerror(status)));
        release(li);
        free(li);
        return RC_SYSTEM;
    }
    watch(li);
    *out = li;
    return RC_OK;
}

uint16_t listener_port(const struct listener *li)
{
    return li->port;
}

void listener_pause(struct listener *li)
{
    if (li->closed)
        return;
    li->paused = true;
    timer_stop(&li->rest);
    (void)uv_poll_stop(&li->poll);
}

void listener_resume(struct listener *li)
{
    li->paused = false;
    if (!timer_is_running(&li->rest))
        watch(li);
}

static void on_gone(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_close(struct listener *li)
{
    if (li == NULL || li->closed)
        return;
    li->closed = true;
    timer_stop(&li->rest);
    uv_close((uv_handle_t *)&li->poll, on_gone);
    release(li);
}
