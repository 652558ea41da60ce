#include "net/loop.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop_uv.h"

struct loop {
    uv_loop_t uv;
    uv_timer_t alarm;     /* set to the earliest timer */
    uv_prepare_t prepare; /* tasks run here and in `check`: before and after every wait */
    uv_check_t check;
    uv_idle_t idle; /* on while tasks wait, so that the loop does not sleep */
    struct list tasks;
    struct list signals;
    struct timer **heap; /* heap[0] is due first */
    size_t heap_count, heap_cap;
    uint64_t alarm_ms; /* when `alarm` rings; UINT64_MAX: it is off */
    uint8_t *scratch, *gather;
};

struct signal_watch {
    uv_signal_t handle;
    struct list link;
    void (*got)(void *owner, int number);
    void *owner;
};

struct waker {
    uv_async_t handle;
    void (*woken)(void *owner);
    void *owner;
};

/* --- timers ------------------------------------------------------------------- */

static void place(struct loop *l, struct timer *t, size_t at)
{
    l->heap[at] = t;
    t->slot = at + 1;
}

static void sift_up(struct loop *l, struct timer *t, size_t at)
{
    while (at > 0 && l->heap[(at - 1) / 2]->due_ms > t->due_ms) {
        place(l, l->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    place(l, t, at);
}

static void sift_down(struct loop *l, struct timer *t, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < l->heap_count && l->heap[child + 1]->due_ms < l->heap[child]->due_ms)
            child++;
        if (child >= l->heap_count || l->heap[child]->due_ms >= t->due_ms)
            break;
        place(l, l->heap[child], at);
        at = child;
    }
    place(l, t, at);
}

static void on_alarm(uv_timer_t *alarm);

/* Rings no later than the earliest timer; a ring too early only looks and sets again. */
static void set_alarm(struct loop *l)
{
    if (l->heap_count == 0) {
        (void)uv_timer_stop(&l->alarm);
        l->alarm_ms = UINT64_MAX;
        return;
    }
    uint64_t due = l->heap[0]->due_ms, now = uv_now(&l->uv);
    if (due >= l->alarm_ms)
        return;
    l->alarm_ms = due;
    (void)uv_timer_start(&l->alarm, on_alarm, due > now ? due - now : 0, 0);
}

static void on_alarm(uv_timer_t *alarm)
{
    struct loop *l = alarm->data;
    uint64_t now = uv_now(&l->uv);

    l->alarm_ms = UINT64_MAX;
    while (l->heap_count > 0 && l->heap[0]->due_ms <= now) {
        struct timer *t = l->heap[0];
        timer_stop(t);
        t->fire(t->owner);
    }
    set_alarm(l);
}

void timer_init(struct timer *t, struct loop *l, void (*fire)(void *owner), void *owner)
{
    *t = (struct timer){.loop = l, .fire = fire, .owner = owner};
}

void timer_start(struct timer *t, uint64_t in_ms)
{
    struct loop *l = t->loop;

    timer_stop(t);
    if (l->heap_count == l->heap_cap) {
        l->heap_cap = l->heap_cap ? l->heap_cap * 2 : 64;
        l->heap = mem_resize(l->heap, l->heap_cap * sizeof(struct timer *));
    }
    t->due_ms = uv_now(&l->uv) + in_ms;
    sift_up(l, t, l->heap_count++);
    set_alarm(l);
}

void timer_stop(struct timer *t)
{
    struct loop *l = t->loop;

    if (t->slot == 0)
        return;
    size_t at = t->slot - 1;
    t->slot = 0;
    struct timer *last = l->heap[--l->heap_count];
    if (last == t) {
        if (l->heap_count == 0)
            set_alarm(l);
        return;
    }
    if (at > 0 && l->heap[(at - 1) / 2]->due_ms > last->due_ms)
        sift_up(l, last, at);
    else
        sift_down(l, last, at);
}

/* --- tasks ---------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is all that matters */
}

static void run_tasks(struct loop *l)
{
    struct list now;

    if (list_is_empty(&l->tasks)) {
        (void)uv_idle_stop(&l->idle); /* the last one may have been cancelled */
        return;
    }
    /* What is said from now on runs in the next round: no task can starve the sockets. */
    now = l->tasks;
    now.next->prev = &now;
    now.prev->next = &now;
    list_init(&l->tasks);
    while (!list_is_empty(&now)) {
        struct task *t = list_entry(now.next, struct task, link);
        list_remove(&t->link);
        t->run(t->owner);
    }
    if (list_is_empty(&l->tasks))
        (void)uv_idle_stop(&l->idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
    run_tasks(prepare->data);
}

static void on_check(uv_check_t *check)
{
    run_tasks(check->data);
}

void task_init(struct task *t, struct loop *l, void (*run)(void *owner), void *owner)
{
    *t = (struct task){.loop = l, .run = run, .owner = owner};
    list_init(&t->link);
}

void task_soon(struct task *t)
{
    if (!list_is_empty(&t->link))
        return;
    list_append(&t->loop->tasks, &t->link);
    (void)uv_idle_start(&t->loop->idle, on_idle);
}

void task_cancel(struct task *t)
{
    if (t->link.next != NULL)
        list_remove(&t->link);
}

/* --- the loop --------------------------------------------------------------------- */

struct loop *loop_new(void)
{
    struct loop *l = mem_zalloc(sizeof *l);

    if (uv_loop_init(&l->uv) != 0) {
        log_error("loop.init");
        abort();
    }
    list_init(&l->tasks);
    list_init(&l->signals);
    l->alarm_ms = UINT64_MAX;
    l->alarm.data = l->prepare.data = l->check.data = l->idle.data = l;
    (void)uv_timer_init(&l->uv, &l->alarm);
    (void)uv_prepare_init(&l->uv, &l->prepare);
    (void)uv_check_init(&l->uv, &l->check);
    (void)uv_idle_init(&l->uv, &l->idle);
    (void)uv_prepare_start(&l->prepare, on_prepare);
    (void)uv_check_start(&l->check, on_check);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->check);
    return l;
}

static void on_signal_gone(uv_handle_t *handle)
{
    free(handle->data);
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    run_tasks(l);
    list_each(at, after, &l->signals) {
        struct signal_watch *w = list_entry(at, struct signal_watch, link);
        list_remove(&w->link);
        uv_close((uv_handle_t *)&w->handle, on_signal_gone);
    }
    uv_close((uv_handle_t *)&l->alarm, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    int status = uv_loop_close(&l->uv);
    assert(status == 0); /* a handle was left open */
    (void)status;
    free(l->heap);
    free(l->scratch);
    free(l->gather);
    free(l);
}

void loop_run(struct loop *l)
{
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

uint64_t loop_now(const struct loop *l)
{
    return uv_now(&l->uv);
}

uint8_t *loop_scratch(struct loop *l)
{
    if (l->scratch == NULL)
        l->scratch = mem_zalloc(LOOP_SCRATCH);
    return l->scratch;
}

uint8_t *loop_gather(struct loop *l)
{
    if (l->gather == NULL)
        l->gather = mem_zalloc(LOOP_SCRATCH);
    return l->gather;
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

/* --- from outside ------------------------------------------------------------------- */

static void on_wake(uv_async_t *handle)
{
    struct waker *w = handle->data;

    w->woken(w->owner);
}

struct waker *waker_new(struct loop *l, void (*woken)(void *owner), void *owner)
{
    struct waker *w = mem_zalloc(sizeof *w);

    w->woken = woken;
    w->owner = owner;
    w->handle.data = w;
    if (uv_async_init(&l->uv, &w->handle, on_wake) != 0) {
        log_error("loop.waker");
        abort();
    }
    uv_unref((uv_handle_t *)&w->handle); /* its owner keeps the loop busy, not the waker */
    return w;
}

void waker_wake(struct waker *w)
{
    (void)uv_async_send(&w->handle);
}

static void on_waker_gone(uv_handle_t *handle)
{
    free(handle->data);
}

void waker_free(struct waker *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->handle, on_waker_gone);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct signal_watch *w = handle->data;

    w->got(w->owner, number);
}

void loop_on_signal(struct loop *l, int number, void (*got)(void *owner, int number), void *owner)
{
    struct signal_watch *w = mem_zalloc(sizeof *w);

    w->got = got;
    w->owner = owner;
    w->handle.data = w;
    (void)uv_signal_init(&l->uv, &w->handle);
    list_append(&l->signals, &w->link);
    if (uv_signal_start(&w->handle, on_signal, number) != 0)
        log_error("loop.signal", log_u64("number", (uint64_t)number));
    uv_unref((uv_handle_t *)&w->handle);
}
