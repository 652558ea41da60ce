/*
 * far PORT -- the service at the far end of every road: echoes, swallows or pours, as the
 * connection's order says (net.h). Prints its port and runs until it is ended.
 *
 * One thread and epoll, so that it takes as little as possible of the machine it helps to measure.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

enum { EVENTS_AT_ONCE = 64 };

struct visitor {
    int fd;
    uint8_t order[NET_ORDER];
    uint8_t order_len;
    bool ordered;
    bool wrong;       /* bytes came that were not sent */
    uint64_t payload; /* bytes, in either direction */
    uint64_t end_ns;  /* NET_DOWN: payload until then */
    uint8_t last[NET_COUNT];
    uint8_t last_left; /* of `last`, still to be written */
    bool finishing;    /* `last` has been made */
};

static uint8_t scratch[NET_PART];

static void leave(struct visitor *v)
{
    (void)close(v->fd);
    free(v);
}

static void watch(int epoll, struct visitor *v, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = v};

    if (epoll_ctl(epoll, op, v->fd, &e) != 0)
        net_die("epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct visitor *v = calloc(1, sizeof *v);
        if (v == NULL)
            net_die("calloc");
        v->fd = fd;
        net_nodelay(fd);
        watch(epoll, v, EPOLL_CTL_ADD, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        net_die("accept");
}

/* Takes the order from the front of what has come; the number of bytes that belonged to it. */
static size_t take_order(struct visitor *v, const uint8_t *bytes, size_t len)
{
    size_t want = NET_ORDER - (size_t)v->order_len;

    if (v->order_len == 0 && bytes[0] == NET_ECHO) {
        v->order[0] = NET_ECHO;
        v->ordered = true;
        return 0;
    }
    size_t take = len < want ? len : want;
    memcpy(v->order + v->order_len, bytes, take);
    v->order_len = (uint8_t)(v->order_len + take);
    v->ordered = v->order_len == NET_ORDER;
    if (v->ordered)
        v->end_ns = net_now_ns() + net_get_u64(v->order + 1) * 1000000u;
    return take;
}

static void swallow(struct visitor *v, const uint8_t *bytes, size_t len)
{
    if (len > 0 && bytes[0] != *net_payload(v->payload))
        v->wrong = true;
    v->payload += len;
}

/* false: the connection is over. */
static bool finish(struct visitor *v)
{
    if (!v->finishing) {
        net_put_u64(v->last, v->wrong ? NET_WRONG : v->payload);
        v->last_left = NET_COUNT;
        v->finishing = true;
    }
    while (v->last_left > 0) {
        ssize_t n = write(v->fd, v->last + NET_COUNT - v->last_left, v->last_left);
        if (n < 0)
            return errno == EAGAIN;
        v->last_left = (uint8_t)(v->last_left - n);
    }
    return shutdown(v->fd, SHUT_WR) == 0;
}

/* Pours what the socket takes. false: the connection is over. */
static bool pour(struct visitor *v)
{
    while (!v->finishing && net_now_ns() < v->end_ns) {
        ssize_t n = write(v->fd, net_payload(v->payload), NET_PART);
        if (n < 0)
            return errno == EAGAIN;
        v->payload += (size_t)n;
        if (n < NET_PART)
            return true;
    }
    return v->finishing && v->last_left == 0 ? true : finish(v);
}

/* false: the connection is over. */
static bool on_bytes(int epoll, struct visitor *v, size_t len)
{
    size_t used = v->ordered ? 0 : take_order(v, scratch, len);

    if (!v->ordered)
        return true;
    if (v->order[0] == NET_DOWN) {
        watch(epoll, v, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        return true;
    }
    if (v->order[0] == NET_UP) {
        swallow(v, scratch + used, len - used);
        return true;
    }
    /* An echo is a few bytes, one exchange at a time: they always fit. */
    return write(v->fd, scratch, len) == (ssize_t)len;
}

/* false: the connection is over. */
static bool on_readable(int epoll, struct visitor *v)
{
    ssize_t n = read(v->fd, scratch, sizeof scratch);

    if (n < 0)
        return errno == EAGAIN;
    if (n > 0)
        return on_bytes(epoll, v, (size_t)n);
    if (v->ordered && v->order[0] == NET_UP)
        (void)finish(v);
    return false;
}

static void on_event(int epoll, struct visitor *v, uint32_t events)
{
    bool stays = true;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        stays = on_readable(epoll, v);
    if (stays && events & EPOLLOUT) {
        stays = pour(v);
        if (v->finishing && v->last_left == 0 && stays)
            watch(epoll, v, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (!stays)
        leave(v);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};

    if (argc != 2)
        net_die("usage: far PORT");
    net_begin();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = net_listen(argv[1]);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening) != 0)
        net_die("epoll");
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(epoll, listener);
            else
                on_event(epoll, events[i].data.ptr, events[i].events);
        }
    }
}
