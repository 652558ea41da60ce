/*
 * hop copy|splice PORT TARGET -- one hop of the plain relay that everything is compared with: for
 * every connection a connection to TARGET, and the bytes passed on both ways, without any
 * cryptography.
 *
 * copy: through memory, as an agent must. splice: through a kernel pipe, unread, as a hub may.
 * Written to be a hard yardstick: edge-triggered, large parts, nothing copied twice unless a socket
 * is full.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

enum {
    EVENTS_AT_ONCE = 256,
    PIPE_BYTES = 1024 * 1024,
    PIPES_KEPT = 64,             /* idle ones: making one costs more than a short connection */
    TURN_BYTES = 2 * 1024 * 1024 /* one way, before the others have their turn */
};

struct pipe_ends {
    int out, in;
};

struct pair;

/* One direction, from its own socket to the other way's. */
struct way {
    struct pair *pair;
    struct way *other;
    int fd;
    struct pipe_ends pipe; /* splice */
    uint8_t *rest;         /* copy: what the other socket did not take */
    size_t rest_at;        /* of it, already gone */
    size_t held;           /* bytes taken and not yet passed on */
    bool hung_up;          /* the peer's end is there to be read */
    bool ended;            /* and has been read */
    bool over;             /* and has been passed on */
};

struct pair {
    struct pair *next; /* in the list of the dead */
    struct way way[2];
    bool dead;
};

struct hop {
    int epoll, listener;
    uint16_t target;
    bool splices;
    struct pair *dead; /* freed after the turn, for events of this turn may still name them */
    struct pipe_ends idle[PIPES_KEPT];
    size_t idle_count;
};

enum outcome { MOVED, FULL_OR_EMPTY, ENDED, BROKEN };

static uint8_t scratch[NET_PART];

/* --- one direction --- */

static enum outcome outcome_of(ssize_t n)
{
    if (n > 0)
        return MOVED;
    if (n == 0)
        return ENDED;
    return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? FULL_OR_EMPTY : BROKEN;
}

/* Writes what is held, from `at`; keeps the rest. */
static enum outcome write_held(struct way *w, const uint8_t *at)
{
    ssize_t n = write(w->other->fd, at, w->held);
    enum outcome o = outcome_of(n);

    if (o == BROKEN)
        return BROKEN;
    size_t gone = n > 0 ? (size_t)n : 0;
    w->held -= gone;
    if (at != scratch) {
        w->rest_at += gone;
    } else if (w->held > 0) {
        if (w->rest == NULL && (w->rest = malloc(NET_PART)) == NULL)
            net_die("malloc");
        memcpy(w->rest, at + gone, w->held);
        w->rest_at = 0;
    }
    return w->held > 0 ? FULL_OR_EMPTY : MOVED;
}

/* One part from socket to socket, through memory. */
static enum outcome copy(struct way *w, size_t *moved)
{
    if (w->held > 0)
        return write_held(w, w->rest + w->rest_at);

    ssize_t n = read(w->fd, scratch, sizeof scratch);
    enum outcome o = outcome_of(n);
    if (o != MOVED)
        return o;
    *moved = w->held = (size_t)n;
    o = write_held(w, scratch);
    /* Less than asked for: the socket is empty, and what comes later raises an event of its own. */
    if (o == MOVED && *moved < sizeof scratch && !w->hung_up)
        return FULL_OR_EMPTY;
    return o;
}

/* One part from socket to socket, through the kernel's pipe. */
static enum outcome splice_on(struct way *w, size_t *moved)
{
    const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

    if (w->held == 0) {
        ssize_t n = splice(w->fd, NULL, w->pipe.in, NULL, PIPE_BYTES, flags);
        enum outcome o = outcome_of(n);
        if (o != MOVED)
            return o;
        *moved = w->held = (size_t)n;
    }
    while (w->held > 0) {
        ssize_t n = splice(w->pipe.out, NULL, w->other->fd, NULL, w->held, flags);
        enum outcome o = outcome_of(n);
        if (o != MOVED)
            return o;
        w->held -= (size_t)n;
    }
    return MOVED;
}

static void watch(const struct hop *h, struct way *w, int op)
{
    struct epoll_event e = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = w,
    };

    if (epoll_ctl(h->epoll, op, w->fd, &e) != 0)
        net_die("epoll_ctl");
}

/* Passes on what there is. false: the connection broke. */
static bool pump(const struct hop *h, struct way *w)
{
    size_t turn = 0;
    enum outcome o = MOVED;

    while (!w->ended && o == MOVED && turn < TURN_BYTES) {
        size_t moved = 0;
        o = h->splices ? splice_on(w, &moved) : copy(w, &moved);
        turn += moved;
    }
    if (o == BROKEN)
        return false;
    if (o == ENDED)
        w->ended = true;
    if (o == MOVED && !w->ended)
        watch(h, w, EPOLL_CTL_MOD); /* raises the event again */
    if (w->ended && !w->over) {
        w->over = true;
        (void)shutdown(w->other->fd, SHUT_WR);
    }
    return true;
}

/* --- a pair's life --- */

static void pipe_borrow(struct hop *h, struct way *w)
{
    int ends[2];

    if (h->idle_count > 0) {
        w->pipe = h->idle[--h->idle_count];
        return;
    }
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        net_die("pipe2");
    w->pipe = (struct pipe_ends){.out = ends[0], .in = ends[1]};
    /* Refused when the user's pipes hold too much: a small one works as well. */
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
}

static void pipe_return(struct hop *h, struct way *w)
{
    if (w->held == 0 && h->idle_count < PIPES_KEPT) {
        h->idle[h->idle_count++] = w->pipe;
        return;
    }
    (void)close(w->pipe.out);
    (void)close(w->pipe.in);
}

static void pair_end(struct hop *h, struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        struct way *w = &p->way[i];
        (void)close(w->fd);
        free(w->rest);
        if (h->splices)
            pipe_return(h, w);
    }
    p->dead = true;
    p->next = h->dead;
    h->dead = p;
}

/* The socket to the target, under way. */
static int dial(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        net_die("socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
        net_die("connect %u", port);
    return fd;
}

static void pair_begin(struct hop *h, int fd)
{
    struct pair *p = calloc(1, sizeof *p);

    if (p == NULL)
        net_die("calloc");
    p->way[0] = (struct way){.pair = p, .other = &p->way[1], .fd = fd};
    p->way[1] = (struct way){.pair = p, .other = &p->way[0], .fd = dial(h->target)};
    for (int i = 0; i < 2; i++) {
        struct way *w = &p->way[i];
        net_nodelay(w->fd);
        if (h->splices)
            pipe_borrow(h, w);
        watch(h, w, EPOLL_CTL_ADD);
    }
}

static void on_event(struct hop *h, struct way *w, uint32_t events)
{
    struct pair *p = w->pair;
    bool whole = true;

    if (p->dead)
        return;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        w->hung_up = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        whole = pump(h, w);
    /* Room in this socket is of use only to what waits for it. */
    if (whole && events & EPOLLOUT && w->other->held > 0)
        whole = pump(h, w->other);
    if (!whole || (w->over && w->other->over))
        pair_end(h, p);
}

static void accept_all(struct hop *h)
{
    int fd;

    while ((fd = accept4(h->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        pair_begin(h, fd);
    if (errno != EAGAIN && errno != ECONNABORTED)
        net_die("accept");
}

static void bury(struct hop *h)
{
    while (h->dead) {
        struct pair *p = h->dead;
        h->dead = p->next;
        free(p);
    }
}

int main(int argc, char **argv)
{
    static struct hop h;
    struct epoll_event events[EVENTS_AT_ONCE];
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};

    if (argc != 4)
        net_die("usage: hop copy|splice PORT TARGET");
    net_begin();
    h.splices = strcmp(argv[1], "splice") == 0;
    h.target = net_port(argv[3]);
    h.epoll = epoll_create1(EPOLL_CLOEXEC);
    h.listener = net_listen(argv[2]);
    if (h.epoll < 0 || epoll_ctl(h.epoll, EPOLL_CTL_ADD, h.listener, &listening) != 0)
        net_die("epoll");
    for (;;) {
        int count = epoll_wait(h.epoll, events, EVENTS_AT_ONCE, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(&h);
            else
                on_event(&h, events[i].data.ptr, events[i].events);
        }
        bury(&h);
    }
}
