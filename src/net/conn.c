#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop_uv.h"

enum { CONN_QUEUE_KEEP = 16 * 1024 }; /* an idle connection keeps no larger queue than this */

struct conn {
    struct loop *loop;
    const struct conn_events *events;
    void *owner;
    uv_poll_t poll;
    struct buf queue; /* what the kernel would not take yet */
    struct timer linger, settle;
    int fd;
    int watched; /* UV_READABLE | UV_WRITABLE that the poll waits for */
    bool reading, eof, full;
    bool ending, ended;     /* our side: end asked for, done */
    bool finishing, closing; /* closing when the queue has gone; closed */
    enum rc why;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static int wanted(const struct conn *c)
{
    return (c->reading && !c->eof ? UV_READABLE : 0) |
           (c->queue.len > 0 || c->full ? UV_WRITABLE : 0);
}

/* Waits for exactly what is of use now. */
static void watch_exactly(struct conn *c)
{
    int want = wanted(c);

    if (want == c->watched || c->closing)
        return;
    c->watched = want;
    int status = want ? uv_poll_start(&c->poll, want, on_poll) : uv_poll_stop(&c->poll);
    if (status != 0) {
        log_warn("conn.poll", log_str("why", uv_strerror(status)));
        conn_close(c, RC_SYSTEM);
    }
}

/*
 * Waits for at least what is of use. What is not wanted any more stays watched until it happens
 * (on_poll): bulk pauses and resumes all the time, and every change costs system calls.
 */
static void watch(struct conn *c)
{
    if ((wanted(c) & ~c->watched) != 0)
        watch_exactly(c);
}

static void on_gone(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    c->events->on_closed(c->owner, c->why);
    free(c);
}

/* --- closing ---------------------------------------------------------------------- */

/* Everything that can still happen ends here; `gone` is called by the loop. */
static void stop(struct conn *c, uv_close_cb gone)
{
    c->closing = true;
    timer_stop(&c->linger);
    timer_stop(&c->settle);
    buf_done(&c->queue);
    uv_close((uv_handle_t *)&c->poll, gone);
}

void conn_close(struct conn *c, enum rc why)
{
    if (c->closing)
        return;
    if (!c->finishing)
        c->why = why;
    stop(c, on_gone);
    (void)close(c->fd);
}

void conn_reset(struct conn *c, enum rc why)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    if (!c->closing)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    conn_close(c, why);
}

static void on_linger(void *owner)
{
    struct conn *c = owner;

    conn_close(c, c->why);
}

/* The queue has gone: end our side, and close once the peer has seen it. Closing at once
 * would reset the connection if the peer has sent what nobody read. */
static void finish(struct conn *c)
{
    if (!c->ended)
        (void)shutdown(c->fd, SHUT_WR);
    c->ended = true;
    if (c->eof) {
        conn_close(c, c->why);
        return;
    }
    c->reading = true;
    watch(c);
}

static void drain_and_forget(struct conn *c)
{
    size_t got;
    enum rc rc;

    do
        rc = conn_read(c, loop_scratch(c->loop), LOOP_SCRATCH, &got);
    while (rc == RC_OK);
    if (rc != RC_AGAIN)
        conn_close(c, c->why);
}

void conn_close_flushed(struct conn *c, enum rc why)
{
    if (c->closing || c->finishing)
        return;
    c->why = why;
    c->finishing = true;
    timer_start(&c->linger, CONN_LINGER_MS);
    if (c->queue.len == 0)
        finish(c);
    else {
        c->reading = false;
        watch(c);
    }
}

static void on_released(uv_handle_t *handle)
{
    free(handle->data);
}

enum rc conn_release(struct conn *c, int *fd)
{
    if (c->closing)
        return RC_CLOSED;
    if (c->queue.len > 0)
        return RC_AGAIN;
    stop(c, on_released);
    *fd = c->fd;
    return RC_OK;
}

/* --- writing ------------------------------------------------------------------------ */

/* An idle connection gives its memory back; a busy one would only take it again. */
static void on_settled(void *owner)
{
    struct conn *c = owner;

    if (c->queue.len == 0)
        buf_done(&c->queue);
    c->queue.limit = CONN_QUEUE_MAX;
}

static enum rc put(struct conn *c, struct reader bytes, size_t *taken)
{
    *taken = 0;
    while (bytes.left > 0) {
        ssize_t n = send(c->fd, bytes.at, bytes.left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? RC_AGAIN : RC_SYSTEM;
        *taken += (size_t)n;
        (void)reader_slice(&bytes, (size_t)n);
    }
    return RC_OK;
}

void conn_flush(struct conn *c)
{
    size_t taken;

    if (c->closing || c->queue.len == 0)
        return;
    if (!buf_ok(&c->queue)) {
        conn_close(c, RC_LIMIT);
        return;
    }
    enum rc rc = put(c, buf_view(&c->queue), &taken);
    buf_consume(&c->queue, taken);
    if (rc == RC_SYSTEM) {
        conn_close(c, RC_SYSTEM);
        return;
    }
    if (c->queue.len > CONN_HIGH)
        c->full = true;
    if (c->queue.len == 0 && c->queue.cap > CONN_QUEUE_KEEP && !timer_is_running(&c->settle))
        timer_start(&c->settle, 1000);
    watch(c);
}

static void on_writable(struct conn *c)
{
    conn_flush(c);
    if (c->closing)
        return;
    if (c->queue.len == 0 && c->ending && !c->ended) {
        c->ended = true;
        (void)shutdown(c->fd, SHUT_WR);
    }
    if (c->queue.len == 0 && c->finishing) {
        finish(c);
        return;
    }
    if (!c->finishing && c->events->on_sent)
        c->events->on_sent(c->owner);
    if (c->closing)
        return;
    if (c->full && c->queue.len <= CONN_LOW) {
        c->full = false;
        if (!c->finishing)
            c->events->on_room(c->owner);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;

    if (status < 0) {
        conn_close(c, RC_SYSTEM);
        return;
    }
    if (events & UV_WRITABLE)
        on_writable(c);
    if ((events & ~wanted(c)) != 0)
        watch_exactly(c);
    if (c->closing || !(events & UV_READABLE) || !c->reading || c->eof)
        return;
    if (c->finishing)
        drain_and_forget(c);
    else
        c->events->on_readable(c->owner);
}

void conn_send(struct conn *c, struct reader bytes)
{
    size_t taken = 0;

    if (c->closing || c->finishing || bytes.left == 0)
        return;
    if (c->queue.len == 0) {
        enum rc rc = put(c, bytes, &taken);
        if (rc == RC_OK)
            return;
        if (rc == RC_SYSTEM) {
            conn_close(c, rc);
            return;
        }
        (void)reader_slice(&bytes, taken);
    }
    buf_put(&c->queue, bytes);
    if (!buf_ok(&c->queue)) {
        conn_close(c, RC_LIMIT);
        return;
    }
    if (c->queue.len > CONN_HIGH)
        c->full = true;
    watch(c);
}

struct buf *conn_queue(struct conn *c)
{
    return &c->queue;
}

bool conn_is_full(const struct conn *c)
{
    return c->full;
}

size_t conn_queued(const struct conn *c)
{
    return c->queue.len;
}

void conn_end(struct conn *c)
{
    if (c->closing || c->ending)
        return;
    c->ending = true;
    if (c->queue.len == 0) {
        c->ended = true;
        (void)shutdown(c->fd, SHUT_WR);
    }
}

/* --- reading -------------------------------------------------------------------------- */

enum rc conn_read(struct conn *c, void *out, size_t size, size_t *got)
{
    ssize_t n;

    *got = 0;
    if (c->closing)
        return RC_CLOSED;
    do
        n = recv(c->fd, out, size, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        return RC_OK;
    }
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? RC_AGAIN : RC_SYSTEM;
    c->eof = true;
    watch_exactly(c);
    return RC_EOF;
}

void conn_pause(struct conn *c)
{
    if (c->finishing)
        return;
    c->reading = false;
    watch(c);
}

void conn_resume(struct conn *c)
{
    if (c->finishing)
        return;
    c->reading = true;
    watch(c);
}

/* --- life ------------------------------------------------------------------------------ */

struct conn *conn_new(struct loop *l, int fd, const struct conn_events *events, void *owner)
{
    struct conn *c = mem_zalloc(sizeof *c);

    c->loop = l;
    c->fd = fd;
    c->events = events;
    c->owner = owner;
    c->poll.data = c;
    buf_init(&c->queue, CONN_QUEUE_MAX);
    timer_init(&c->linger, l, on_linger, c);
    timer_init(&c->settle, l, on_settled, c);
    int status = uv_poll_init(loop_uv(l), &c->poll, fd);
    if (status != 0) { /* a descriptor that cannot be waited for: a mistake of ours */
        log_error("conn.init", log_str("why", uv_strerror(status)));
        abort();
    }
    return c;
}

void conn_own(struct conn *c, const struct conn_events *events, void *owner)
{
    c->events = events;
    c->owner = owner;
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}
