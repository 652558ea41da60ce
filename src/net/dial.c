#include "net/dial.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "net/endpoint.h"
#include "net/loop_uv.h"

enum {
    DIAL_STAGGER_MS = 250,   /* RFC 8305 §5: then the next address is tried beside this one */
    DIAL_ADDRESSES_MAX = 16, /* of one name; a resolver may send thousands */
    DIAL_BACKLOG_MS = 10,    /* a Unix socket whose queue is full cannot be waited for */
    DIAL_EPHEMERAL = 32768,  /* ports that the system may give us as our own begin here */
    DIAL_TEXT_SIZE = DIAL_ADDRESSES_MAX * (ENDPOINT_HOST_SIZE + 2),
};

struct dial {
    struct loop *loop;
    const struct dial_events *events;
    void *owner;
    struct lookup *lookup; /* NULL: the name is known */
    struct list attempts;  /* that wait for an answer */
    struct timer deadline, next_try;
    struct task settled; /* calls the event */
    int fd;              /* of the winner, -1 */
    uint16_t port;
    bool over;
    enum dial_failure failure; /* what tells most of all that failed */
    uint64_t started_ms, resolve_ms;
    size_t count, next; /* addresses: known, tried */
    char *text;
    struct endpoint addresses[DIAL_ADDRESSES_MAX];
};

/* A question to the resolver. It outlives a dial that is given up: its thread cannot be stopped. */
struct lookup {
    uv_getaddrinfo_t request;
    struct dial *dial; /* NULL: nobody waits for it */
};

/* A socket on its way. Outlives the dial until libuv has let go of it. */
struct attempt {
    uv_poll_t poll;
    struct dial *dial;
    const struct endpoint *to;
    struct list link;
    int fd;
};

const char *dial_failure_text(enum dial_failure why)
{
    static const char *const texts[DIAL_FAILURES_] = {
        [DIAL_REFUSED] = "connection refused",
        [DIAL_TIMEOUT] = "no answer in time",
        [DIAL_UNREACHABLE] = "no route to it",
        [DIAL_NO_NAME] = "the name does not resolve",
        [DIAL_DENIED] = "permission denied",
        [DIAL_ABSENT] = "no such socket",
        [DIAL_LIMIT] = "too many open files or connections",
    };

    return why < DIAL_FAILURES_ ? texts[why] : "unknown failure";
}

static enum dial_failure failure_of(int error, int family)
{
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EPROTOTYPE: /* a Unix socket of another type */
        return DIAL_REFUSED;
    case ETIMEDOUT:
    case EAGAIN: /* a Unix socket whose queue stayed full */
        return DIAL_TIMEOUT;
    case EACCES:
    case EPERM:
        return DIAL_DENIED;
    case ENOENT:
    case ENOTDIR:
        return DIAL_ABSENT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return DIAL_LIMIT;
    case EADDRNOTAVAIL: /* without IPv6, or all our ports are taken */
        return family == AF_INET ? DIAL_LIMIT : DIAL_UNREACHABLE;
    default:
        return DIAL_UNREACHABLE;
    }
}

/* Of several addresses the failure counts that tells the person most. */
static void note(struct dial *d, enum dial_failure why)
{
    static const uint8_t weight[DIAL_FAILURES_] = {
        [DIAL_NO_NAME] = 0, [DIAL_ABSENT] = 1,  [DIAL_UNREACHABLE] = 2, [DIAL_TIMEOUT] = 3,
        [DIAL_DENIED] = 4,  [DIAL_REFUSED] = 5, [DIAL_LIMIT] = 6,
    };

    if (weight[why] > weight[d->failure])
        d->failure = why;
}

/* --- the end -------------------------------------------------------------------------- */

static void on_attempt_gone(uv_handle_t *handle)
{
    free(handle->data);
}

/* Lets go of the descriptor, which is the caller's now. */
static int drop(struct attempt *a)
{
    int fd = a->fd;

    list_remove(&a->link);
    uv_close((uv_handle_t *)&a->poll, on_attempt_gone);
    return fd;
}

static void stop(struct dial *d)
{
    timer_stop(&d->deadline);
    timer_stop(&d->next_try);
    list_each(at, after, &d->attempts)
        (void)close(drop(list_entry(at, struct attempt, link)));
    if (d->lookup) {
        d->lookup->dial = NULL;
        (void)uv_cancel((uv_req_t *)&d->lookup->request);
        d->lookup = NULL;
    }
}

static void on_settled(void *owner)
{
    struct dial *d = owner;
    int fd = d->fd;

    d->over = true;
    if (fd >= 0)
        d->events->on_connected(d->owner, fd);
    else
        d->events->on_failed(d->owner, d->failure);
    free(d->text);
    free(d);
}

/* Everything is known: the event comes soon. */
static void settle(struct dial *d)
{
    stop(d);
    task_soon(&d->settled);
}

void dial_cancel(struct dial *d)
{
    if (d == NULL || d->over)
        return;
    stop(d);
    task_cancel(&d->settled);
    if (d->fd >= 0)
        (void)close(d->fd);
    free(d->text);
    free(d);
}

/* --- one address ---------------------------------------------------------------------- */

static void try_next(struct dial *d);

/*
 * A port of ours can be given the very number we connect to; then the two halves of one socket
 * meet, and we would talk to ourselves.
 */
static bool is_itself(const struct dial *d, int fd, const struct endpoint *to)
{
    struct endpoint own = {.len = sizeof own.addr};

    if (d->port < DIAL_EPHEMERAL || endpoint_family(to) == AF_UNIX)
        return false;
    if (getsockname(fd, &own.addr.any, &own.len) != 0)
        return false;
    uint16_t port =
        endpoint_family(&own) == AF_INET6 ? own.addr.in6.sin6_port : own.addr.in.sin_port;
    return ntohs(port) == d->port && endpoint_is_loopback(to);
}

static void won(struct dial *d, int fd, int family)
{
    int on = 1;

    if (family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    d->fd = fd;
    settle(d);
}

static void on_answer(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = poll->data;
    struct dial *d = a->dial;
    const struct endpoint *to = a->to;
    int error = 0;
    socklen_t len = sizeof error;

    (void)events;
    int fd = drop(a);
    if (status < 0)
        error = -status;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0 && is_itself(d, fd, to))
        error = ECONNREFUSED;
    if (error == 0) {
        won(d, fd, endpoint_family(to));
        return;
    }
    (void)close(fd);
    note(d, failure_of(error, endpoint_family(to)));
    try_next(d);
}

/* RC_LIMIT: the system waits for no more descriptors. */
static enum rc wait_for(struct dial *d, int fd, const struct endpoint *to)
{
    struct attempt *a = mem_zalloc(sizeof *a);

    a->dial = d;
    a->to = to;
    a->fd = fd;
    a->poll.data = a;
    list_init(&a->link);
    int status = uv_poll_init(loop_uv(d->loop), &a->poll, fd);
    if (status != 0) {
        log_warn("dial.poll", log_str("why", uv_strerror(status)));
        free(a);
        return RC_LIMIT;
    }
    list_append(&d->attempts, &a->link);
    status = uv_poll_start(&a->poll, UV_WRITABLE, on_answer);
    assert(status == 0); /* it fails for a handle that is closing, and for no other reason */
    (void)status;
    return RC_OK;
}

/* Starts to connect. 0: connected. EINPROGRESS: wait. Anything else: failed. */
static int begin(int fd, const struct endpoint *to)
{
    int status = connect(fd, &to->addr.any, to->len);

    /* On this machine the answer is there already, and asking again is cheaper than waiting. */
    if (status != 0 && errno == EINPROGRESS && endpoint_is_loopback(to))
        status = connect(fd, &to->addr.any, to->len);
    if (status == 0 || errno == EISCONN)
        return 0;
    return errno == EALREADY || errno == EINTR ? EINPROGRESS : errno;
}

/* RC_OK: connected. RC_AGAIN: on its way. */
static enum rc try_one(struct dial *d, const struct endpoint *to)
{
    int fd = platform_socket(endpoint_family(to), SOCK_STREAM);

    if (fd < 0) {
        note(d, failure_of(errno, endpoint_family(to)));
        return RC_SYSTEM;
    }
    int error = begin(fd, to);
    if (error == 0 && is_itself(d, fd, to))
        error = ECONNREFUSED;
    if (error == 0) {
        won(d, fd, endpoint_family(to));
        return RC_OK;
    }
    if (error == EINPROGRESS) {
        if (wait_for(d, fd, to) == RC_OK)
            return RC_AGAIN;
        error = EMFILE;
    }
    (void)close(fd);
    note(d, failure_of(error, endpoint_family(to)));
    return error == EAGAIN ? RC_LIMIT : RC_SYSTEM;
}

/* Tries addresses until one is on its way; the one after it has its turn a little later. */
static void try_next(struct dial *d)
{
    timer_stop(&d->next_try);
    while (d->next < d->count) {
        enum rc rc = try_one(d, &d->addresses[d->next]);
        if (rc == RC_OK)
            return;
        if (rc == RC_LIMIT) { /* the queue of a Unix socket is full: the same again */
            timer_start(&d->next_try, DIAL_BACKLOG_MS);
            return;
        }
        d->next++;
        if (rc == RC_AGAIN)
            break;
    }
    if (d->next < d->count)
        timer_start(&d->next_try, DIAL_STAGGER_MS);
    else if (list_is_empty(&d->attempts))
        settle(d);
}

static void on_next_try(void *owner)
{
    try_next(owner);
}

static void on_deadline(void *owner)
{
    struct dial *d = owner;

    note(d, DIAL_TIMEOUT);
    settle(d);
}

/* --- names ---------------------------------------------------------------------------- */

/* IPv6 and IPv4 in turn, beginning with the family the resolver prefers (RFC 8305 §4). */
static void keep_addresses(struct dial *d, const struct addrinfo *found)
{
    const struct addrinfo *preferred = found, *other = found;
    int family = found ? found->ai_family : AF_UNSPEC;

    while (d->count < DIAL_ADDRESSES_MAX && (preferred || other)) {
        while (preferred && preferred->ai_family != family)
            preferred = preferred->ai_next;
        while (other && other->ai_family == family)
            other = other->ai_next;
        const struct addrinfo **turn =
            (d->count % 2 == 0 && preferred) || !other ? &preferred : &other;
        if (*turn == NULL)
            break;
        if (endpoint_from((*turn)->ai_addr, d->port, &d->addresses[d->count]) == RC_OK)
            d->count++;
        *turn = (*turn)->ai_next;
    }
}

static bool is_our_limit(int status)
{
    return status == UV_EAI_MEMORY || status == UV_EMFILE || status == UV_ENFILE ||
           status == UV_ENOMEM;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *lookup = request->data;
    struct dial *d = lookup->dial;

    free(lookup);
    if (d) {
        d->lookup = NULL;
        d->resolve_ms = loop_now(d->loop) - d->started_ms;
        if (status == 0)
            keep_addresses(d, found);
        else if (is_our_limit(status))
            note(d, DIAL_LIMIT);
        try_next(d);
    }
    uv_freeaddrinfo(found);
}

static void look_up(struct dial *d, const char *host)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = mem_zalloc(sizeof *lookup);

    lookup->request.data = lookup;
    lookup->dial = d;
    d->lookup = lookup;
    int status =
        uv_getaddrinfo(loop_uv(d->loop), &lookup->request, on_resolved, host, NULL, &hints);
    if (status != 0) { /* a name that cannot be asked for */
        d->lookup = NULL;
        free(lookup);
        settle(d);
    }
}

static void add(struct dial *d, const char *host)
{
    struct address a = {.kind = ADDRESS_TCP, .port = d->port};

    if (text_copy(a.host, sizeof a.host, host) == RC_OK &&
        endpoint_of(&a, &d->addresses[d->count]) == RC_OK)
        d->count++;
}

static void resolve(struct dial *d, const struct address *to)
{
    if (to->kind == ADDRESS_TCP && strcasecmp(to->host, "localhost") == 0) {
        /* Never asked for: it is this machine whatever a resolver says. */
        add(d, "::1");
        add(d, "127.0.0.1");
    } else if (endpoint_of(to, &d->addresses[0]) == RC_OK) {
        d->count = 1;
    } else if (to->kind == ADDRESS_TCP) {
        look_up(d, to->host);
        return;
    }
    try_next(d);
}

/* --- life ----------------------------------------------------------------------------- */

struct dial *dial_start(struct loop *l, const struct address *to, uint64_t timeout_ms,
                        const struct dial_events *events, void *owner)
{
    struct dial *d = mem_zalloc(sizeof *d);

    d->loop = l;
    d->events = events;
    d->owner = owner;
    d->fd = -1;
    d->port = to->port;
    d->failure = DIAL_NO_NAME;
    d->started_ms = loop_now(l);
    list_init(&d->attempts);
    timer_init(&d->deadline, l, on_deadline, d);
    timer_init(&d->next_try, l, on_next_try, d);
    task_init(&d->settled, l, on_settled, d);
    timer_start(&d->deadline, timeout_ms);
    resolve(d, to);
    return d;
}

uint64_t dial_resolve_ms(const struct dial *d)
{
    return d->resolve_ms;
}

const char *dial_addresses(struct dial *d)
{
    if (d->text == NULL)
        d->text = mem_zalloc(DIAL_TEXT_SIZE);
    size_t len = 0;
    d->text[0] = '\0';
    for (size_t i = 0; i < d->count; i++) {
        char host[ENDPOINT_HOST_SIZE];
        endpoint_host(&d->addresses[i], host);
        text_message(d->text + len, DIAL_TEXT_SIZE - len, "%s%s", len > 0 ? ", " : "", host);
        len += strlen(d->text + len);
    }
    return d->text;
}
