#include "hub/relay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"

enum {
    EVENTS_AT_ONCE = 256,
    TURN_BYTES =
        2 * 1024 * 1024,      /* one direction, before the others of its thread have their turn */
    PIPE_BYTES = 1024 * 1024, /* asked for; unprivileged users may have 1 MiB per pipe */
    PIPES_LARGE = 16,         /* per thread: all users' pipes together are limited, too */
    PIPES_KEPT = 32,          /* idle ones per thread */
    STARVED_RETRY_MS = 100,
    /*
     * A flow in bulk is woken for BULK_BYTES at once, not for every segment: waking and sleeping
     * is most of what a splicing thread costs. A tick looks after what is less, and ends the
     * bulk of a flow that has had nothing to move for a while.
     */
    BULK_BYTES = 256 * 1024,
    BULK_TICK_MS = 1,
    BULK_IDLE_TICKS = 8,
};

/* A kernel pipe, lent to a direction while bytes are in flight. */
struct conduit {
    struct conduit *next;
    int in, out;
    bool large;
};

/* One direction of a pair, named by the socket its bytes come from. */
struct flow {
    struct list link; /* in the worker's ready or starved list */
    struct conduit *conduit;
    uint64_t bytes; /* passed on */
    uint64_t ticked; /* of them, at the last tick */
    uint32_t held;  /* in the conduit */
    int from;
    uint8_t index; /* in its pair */
    bool ended;    /* nothing more comes from `from` */
    bool over;     /* and that has been passed on */
    bool bulk;     /* in the worker's list `bulk` */
    uint8_t idle_ticks;
    struct list bulk_link;
};

struct pair {
    struct list link;
    void *tag;
    struct flow flow[2]; /* each one's destination is the other's `from` */
    enum rc why;
    bool dead;
};

struct worker {
    struct relay *relay;
    pthread_t thread;
    int epoll, event;

    pthread_mutex_t lock; /* over the next two: the way in */
    struct list incoming;
    bool stop;

    struct list pairs, dead;
    struct list ready, starved; /* flows */
    struct list bulk;           /* flows */
    uint64_t tick_ms;           /* of the last tick */
    struct conduit *idle;
    unsigned idle_count, large_count;
};

struct relay {
    struct waker *waker;
    relay_ended *ended;
    size_t count;  /* pairs */
    unsigned next; /* worker to be given the next pair */

    pthread_mutex_t lock; /* over `over`: the way back */
    struct list over;

    unsigned worker_count;
    struct worker workers[];
};

static struct pair *pair_of(struct flow *f)
{
    return (struct pair *)(void *)((char *)(f - f->index) - offsetof(struct pair, flow));
}

static struct flow *other(struct flow *f)
{
    return f->index == 0 ? f + 1 : f - 1;
}

/* --- conduits -------------------------------------------------------------------------------- */

static struct conduit *conduit_new(struct worker *w)
{
    int ends[2];

    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return NULL;
    struct conduit *c = mem_zalloc(sizeof *c);
    c->out = ends[0];
    c->in = ends[1];
    /* Refused when the user's pipes already hold too much: a small one works as well. */
    if (w->large_count < PIPES_LARGE && fcntl(c->in, F_SETPIPE_SZ, PIPE_BYTES) > 0) {
        c->large = true;
        w->large_count++;
    }
    return c;
}

static void conduit_free(struct worker *w, struct conduit *c)
{
    if (c->large)
        w->large_count--;
    (void)close(c->in);
    (void)close(c->out);
    free(c);
}

static bool borrow(struct worker *w, struct flow *f)
{
    if (f->conduit)
        return true;
    f->conduit = w->idle;
    if (w->idle) {
        w->idle = w->idle->next;
        w->idle_count--;
        return true;
    }
    f->conduit = conduit_new(w);
    return f->conduit != NULL;
}

static void make_ready(struct worker *w, struct flow *f)
{
    list_remove(&f->link);
    list_append(&w->ready, &f->link);
}

/* Bytes left in it would come out in somebody else's pair: then it is not lent again. */
static void give_back(struct worker *w, struct flow *f)
{
    struct conduit *c = f->conduit;

    if (c == NULL)
        return;
    f->conduit = NULL;
    if (f->held > 0 || w->idle_count >= PIPES_KEPT) {
        conduit_free(w, c);
    } else {
        c->next = w->idle;
        w->idle = c;
        w->idle_count++;
    }
    f->held = 0;
    if (!list_is_empty(&w->starved))
        make_ready(w, list_entry(w->starved.next, struct flow, link));
}

/* --- one direction --------------------------------------------------------------------------- */

/* What the kernel says about a splice: moved > 0, RC_AGAIN, RC_EOF or RC_SYSTEM. */
static enum rc move(int from, int to, size_t most, size_t *moved)
{
    ssize_t n;

    do
        n = splice(from, NULL, to, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *moved = (size_t)n;
        return RC_OK;
    }
    if (n == 0)
        return RC_EOF;
    return errno == EAGAIN ? RC_AGAIN : RC_SYSTEM;
}

/* Takes bytes from the socket when none are held. RC_EOF: there will be none any more. */
static enum rc fill(struct flow *f)
{
    size_t moved = 0;

    if (f->held > 0)
        return RC_OK;
    if (f->ended)
        return RC_EOF;
    enum rc rc = move(f->from, f->conduit->in, PIPE_BYTES, &moved);
    f->held = (uint32_t)moved;
    f->ended = rc == RC_EOF;
    return rc;
}

static enum rc drain(struct flow *f)
{
    size_t moved = 0;

    enum rc rc = move(f->conduit->out, other(f)->from, f->held, &moved);
    f->held -= (uint32_t)moved;
    f->bytes += moved;
    return rc == RC_EOF ? RC_SYSTEM : rc; /* a pipe that holds bytes has no end */
}

/*
 * Moves up to TURN_BYTES. RC_OK: there may be more. RC_AGAIN: a socket will tell. RC_LIMIT: no
 * conduit to be had. RC_EOF: this direction is over. RC_SYSTEM: the pair is broken.
 */
static enum rc flow_turn(struct worker *w, struct flow *f)
{
    uint64_t stop_at = f->bytes + TURN_BYTES;
    enum rc rc;

    if (!borrow(w, f))
        return RC_LIMIT;
    do {
        rc = fill(f);
        if (rc == RC_OK)
            rc = drain(f);
    } while (rc == RC_OK && f->bytes < stop_at);
    if (f->held == 0)
        give_back(w, f);
    return rc;
}

/* --- pairs ----------------------------------------------------------------------------------- */

/* Closes it now; it is freed later, because events of this round may still name it. */
static void pair_end(struct worker *w, struct pair *p, enum rc why)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (p->dead)
        return;
    p->dead = true;
    p->why = why;
    for (int i = 0; i < 2; i++) {
        struct flow *f = &p->flow[i];
        list_remove(&f->link);
        list_remove(&f->bulk_link);
        give_back(w, f);
        if (why == RC_SYSTEM) /* an abort is passed on as one */
            (void)setsockopt(f->from, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)close(f->from);
    }
    list_remove(&p->link);
    list_append(&w->dead, &p->link);
}

/* How many bytes must wait in the socket before it wakes us. */
static void wake_at(struct flow *f, int bytes)
{
    (void)setsockopt(f->from, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

static void bulk_begin(struct worker *w, struct flow *f)
{
    if (f->bulk)
        return;
    if (list_is_empty(&w->bulk))
        w->tick_ms = clock_ms();
    f->bulk = true;
    f->idle_ticks = 0;
    f->ticked = f->bytes;
    list_append(&w->bulk, &f->bulk_link);
    wake_at(f, BULK_BYTES);
}

static void bulk_end(struct flow *f)
{
    if (!f->bulk)
        return;
    f->bulk = false;
    list_remove(&f->bulk_link);
    wake_at(f, 1);
}

static void bulk_tick(struct worker *w)
{
    uint64_t now = list_is_empty(&w->bulk) ? 0 : clock_ms();

    if (now < w->tick_ms + BULK_TICK_MS)
        return;
    w->tick_ms = now;
    list_each(at, after, &w->bulk)
    {
        struct flow *f = list_entry(at, struct flow, bulk_link);
        f->idle_ticks = f->bytes == f->ticked ? f->idle_ticks + 1 : 0;
        f->ticked = f->bytes;
        if (f->idle_ticks >= BULK_IDLE_TICKS)
            bulk_end(f);
        if (f->held == 0 && !f->over)
            make_ready(w, f); /* what is less than BULK_BYTES */
    }
}

static void flow_over(struct worker *w, struct flow *f)
{
    struct pair *p = pair_of(f);

    if (f->over)
        return;
    f->over = true;
    bulk_end(f);
    if (other(f)->over)
        pair_end(w, p, RC_EOF);
    else
        (void)shutdown(other(f)->from, SHUT_WR); /* a failure shows as an event of that socket */
}

static void flow_run(struct worker *w, struct flow *f)
{
    uint64_t before = f->bytes;

    list_remove(&f->link);
    enum rc rc = flow_turn(w, f);
    if (rc == RC_AGAIN && f->bytes - before >= BULK_BYTES / 2)
        bulk_begin(w, f);
    if (rc == RC_OK)
        list_append(&w->ready, &f->link);
    else if (rc == RC_LIMIT)
        list_append(&w->starved, &f->link);
    else if (rc == RC_EOF)
        flow_over(w, f);
    else if (rc != RC_AGAIN)
        pair_end(w, pair_of(f), RC_SYSTEM);
}

/* Both sockets are watched once, for edges, for as long as the pair lives: no epoll_ctl() per turn.
 */
static bool watch(struct worker *w, struct flow *f)
{
    struct epoll_event want = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = f};
    int on = 1;

    (void)setsockopt(f->from, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    platform_tcp_keepalive(f->from, RELAY_PEER_SECONDS);
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, f->from, &want) == 0;
}

static void pair_begin(struct worker *w, struct pair *p)
{
    list_append(&w->pairs, &p->link);
    for (int i = 0; i < 2; i++) {
        if (!watch(w, &p->flow[i])) {
            log_warn("relay.watch", log_str("why", strerror(errno)));
            pair_end(w, p, RC_SYSTEM);
            return;
        }
    }
}

static void on_socket(struct worker *w, struct flow *f, uint32_t events)
{
    if (pair_of(f)->dead)
        return;
    if (events & EPOLLERR) {
        pair_end(w, pair_of(f), RC_SYSTEM);
        return;
    }
    /* Held bytes wait for room at the other side: until then there is nothing to do with more. */
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP) && !f->over && f->held == 0)
        make_ready(w, f);
    if (events & EPOLLOUT && other(f)->held > 0)
        make_ready(w, other(f));
}

/* --- a thread -------------------------------------------------------------------------------- */

static void move_all(struct list *from, struct list *to)
{
    list_each(at, after, from)
    {
        list_remove(at);
        list_append(to, at);
    }
}

static bool take_incoming(struct worker *w)
{
    struct list fresh;
    uint64_t rung;

    list_init(&fresh);
    ssize_t got = read(w->event, &rung, sizeof rung);
    (void)got; /* only resets the bell */
    (void)pthread_mutex_lock(&w->lock);
    move_all(&w->incoming, &fresh);
    bool stop = w->stop;
    (void)pthread_mutex_unlock(&w->lock);
    list_each(at, after, &fresh)
    {
        list_remove(at);
        pair_begin(w, list_entry(at, struct pair, link));
    }
    return stop;
}

static void hand_back_dead(struct worker *w)
{
    struct relay *r = w->relay;

    if (list_is_empty(&w->dead))
        return;
    (void)pthread_mutex_lock(&r->lock);
    move_all(&w->dead, &r->over);
    (void)pthread_mutex_unlock(&r->lock);
    waker_wake(r->waker);
}

/* Every flow that is ready now gets one turn; what becomes ready meanwhile waits for the next
 * round. */
static void run_ready(struct worker *w)
{
    struct list now;

    list_init(&now);
    move_all(&w->ready, &now);
    while (!list_is_empty(&now)) /* a turn may take others off this list */
        flow_run(w, list_entry(now.next, struct flow, link));
}

static int wait_ms(const struct worker *w)
{
    if (!list_is_empty(&w->ready))
        return 0;
    if (!list_is_empty(&w->bulk))
        return BULK_TICK_MS;
    return list_is_empty(&w->starved) ? -1 : STARVED_RETRY_MS;
}

static void worker_end(struct worker *w)
{
    list_each(at, after, &w->pairs) pair_end(w, list_entry(at, struct pair, link), RC_CLOSED);
    while (w->idle) {
        struct conduit *c = w->idle;
        w->idle = c->next;
        conduit_free(w, c);
    }
    hand_back_dead(w);
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    struct epoll_event events[EVENTS_AT_ONCE];
    bool stop = false;

    while (!stop) {
        int n = epoll_wait(w->epoll, events, EVENTS_AT_ONCE, wait_ms(w));
        if (n == 0)
            move_all(&w->starved, &w->ready);
        bulk_tick(w);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_socket(w, events[i].data.ptr, events[i].events);
            else
                stop = take_incoming(w);
        }
        run_ready(w);
        hand_back_dead(w);
    }
    worker_end(w);
    return NULL;
}

static void ring(struct worker *w)
{
    uint64_t one = 1;
    ssize_t put = write(w->event, &one, sizeof one);

    (void)put; /* fails only when it is rung already */
}

/* --- the loop's side ------------------------------------------------------------------------- */

static void on_woken(void *owner)
{
    struct relay *r = owner;
    struct list over;

    list_init(&over);
    (void)pthread_mutex_lock(&r->lock);
    move_all(&r->over, &over);
    (void)pthread_mutex_unlock(&r->lock);
    list_each(at, after, &over)
    {
        struct pair *p = list_entry(at, struct pair, link);
        struct relay_end end = {.bytes = {p->flow[0].bytes, p->flow[1].bytes}, .why = p->why};
        void *tag = p->tag;

        list_remove(at);
        free(p);
        r->count--;
        r->ended(tag, &end);
    }
}

static void worker_done(struct worker *w)
{
    if (w->epoll >= 0)
        (void)close(w->epoll);
    if (w->event >= 0)
        (void)close(w->event);
    (void)pthread_mutex_destroy(&w->lock);
}

static enum rc worker_start(struct relay *r, struct worker *w)
{
    struct epoll_event want = {.events = EPOLLIN};

    *w = (struct worker){.relay = r, .epoll = -1, .event = -1};
    (void)pthread_mutex_init(&w->lock, NULL);
    list_init(&w->incoming);
    list_init(&w->pairs);
    list_init(&w->dead);
    list_init(&w->ready);
    list_init(&w->starved);
    list_init(&w->bulk);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->epoll < 0 || w->event < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->event, &want) != 0 ||
        (errno = pthread_create(&w->thread, NULL, worker_run, w)) != 0) {
        log_error("relay.start", log_str("why", strerror(errno)));
        worker_done(w);
        return RC_SYSTEM;
    }
    return RC_OK;
}

enum rc relay_new(struct loop *l, unsigned threads, relay_ended *ended, struct relay **out)
{
    assert(threads >= 1 && threads <= RELAY_THREADS_MAX);
    struct relay *r = mem_zalloc(sizeof *r + threads * sizeof r->workers[0]);
    sigset_t all, before;
    enum rc rc = RC_OK;

    r->ended = ended;
    r->waker = waker_new(l, on_woken, r);
    (void)pthread_mutex_init(&r->lock, NULL);
    list_init(&r->over);
    /* Signals are the loop's; a splice to a socket that has gone must not raise SIGPIPE here. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rc == RC_OK && r->worker_count < threads) {
        rc = worker_start(r, &r->workers[r->worker_count]);
        if (rc == RC_OK)
            r->worker_count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != RC_OK) {
        relay_free(r);
        return rc;
    }
    *out = r;
    return RC_OK;
}

void relay_free(struct relay *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < r->worker_count; i++) {
        struct worker *w = &r->workers[i];
        (void)pthread_mutex_lock(&w->lock);
        w->stop = true;
        (void)pthread_mutex_unlock(&w->lock);
        ring(w);
    }
    for (unsigned i = 0; i < r->worker_count; i++) {
        (void)pthread_join(r->workers[i].thread, NULL);
        worker_done(&r->workers[i]);
    }
    on_woken(r);
    assert(r->count == 0);
    waker_free(r->waker);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

static void flow_init(struct flow *f, uint8_t index, int from)
{
    *f = (struct flow){.from = from, .index = index};
    list_init(&f->link);
    list_init(&f->bulk_link);
}

void relay_join(struct relay *r, void *tag, int a, int b)
{
    struct worker *w = &r->workers[r->next++ % r->worker_count];
    struct pair *p = mem_zalloc(sizeof *p);

    p->tag = tag;
    list_init(&p->link);
    flow_init(&p->flow[0], 0, a);
    flow_init(&p->flow[1], 1, b);
    r->count++;
    (void)pthread_mutex_lock(&w->lock);
    list_append(&w->incoming, &p->link);
    (void)pthread_mutex_unlock(&w->lock);
    ring(w);
}

size_t relay_count(const struct relay *r)
{
    return r->count;
}
