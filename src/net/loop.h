#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/rc.h"

/*
 * loop -- the one thread that owns all live state, and what it waits for.
 *
 * Everything below belongs to the loop thread, but for waker_wake(). Timers and
 * tasks are embedded in their owner and can be stopped at once: no close
 * callback, no allocation. Nothing that runs on the loop may block.
 */
struct loop;

struct loop *loop_new(void);
/* Every handle must have been closed; runs the last close callbacks. */
void loop_free(struct loop *l);
/* Runs until loop_stop(), or until nothing is left to wait for. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Milliseconds, never back, the same for one round of the loop. */
uint64_t loop_now(const struct loop *l);

/*
 * A read area shared by all connections of the loop: what is in it ends with
 * the callback. LOOP_SCRATCH bytes.
 */
enum { LOOP_SCRATCH = 256 * 1024 };
uint8_t *loop_scratch(struct loop *l);
/* A second area of LOOP_SCRATCH bytes, for tls_new(). */
uint8_t *loop_gather(struct loop *l);

/* timer -- calls `fire` once, after a time. Zeroed memory is a stopped timer. */
struct timer {
    struct loop *loop;
    void (*fire)(void *owner);
    void *owner;
    uint64_t due_ms;
    size_t slot; /* place in the loop's heap plus 1; 0: stopped */
};
void timer_init(struct timer *t, struct loop *l, void (*fire)(void *owner), void *owner);
void timer_start(struct timer *t, uint64_t in_ms); /* restarts a running one */
void timer_stop(struct timer *t);
static inline int timer_is_running(const struct timer *t)
{
    return t->slot != 0;
}

/* task -- calls `run` once, later in this round of the loop, from no other callback. */
struct task {
    struct loop *loop;
    void (*run)(void *owner);
    void *owner;
    struct list link;
};
void task_init(struct task *t, struct loop *l, void (*run)(void *owner), void *owner);
void task_soon(struct task *t); /* once, however often it is said */
void task_cancel(struct task *t);

/* waker -- the way from another thread to the loop: `woken` runs on the loop, soon. */
struct waker;
struct waker *waker_new(struct loop *l, void (*woken)(void *owner), void *owner);
void waker_wake(struct waker *w); /* any thread; many wakes may become one call */
void waker_free(struct waker *w); /* no `woken` after this */

/* Calls `got` on the loop for every signal `number` until loop_free(). */
void loop_on_signal(struct loop *l, int number, void (*got)(void *owner, int number), void *owner);
