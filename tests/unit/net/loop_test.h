#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>

#include "net/loop.h"
#include "test.h"

/* A real loop for one test after the other; waiting always ends, by the event or by a failed test.
 */
enum { LOOP_TEST_MS = 20 * 1000 };

static struct loop *loop;

static inline int make_loop(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

/* Fails (asserts) when a handle was left open. */
static inline int free_loop(void **state)
{
    (void)state;
    loop_free(loop);
    loop = NULL;
    return 0;
}

static inline void on_test_deadline(void *owner)
{
    (void)owner;
    fail_msg("what the test waits for does not happen");
}

/* Runs the loop until somebody says loop_stop(). */
static inline void run_loop(void)
{
    struct timer deadline;

    timer_init(&deadline, loop, on_test_deadline, NULL);
    timer_start(&deadline, LOOP_TEST_MS);
    loop_run(loop);
    timer_stop(&deadline);
}

struct loop_rounds {
    struct task task;
    unsigned left;
};

static inline void on_round(void *owner)
{
    struct loop_rounds *r = owner;

    if (--r->left > 0)
        task_soon(&r->task);
    else
        loop_stop(loop);
}

/* Lets everything happen that can happen without time going by. */
static inline void run_rounds(unsigned count)
{
    struct loop_rounds r = {.left = 2 * count}; /* tasks run before and after every wait */

    task_init(&r.task, loop, on_round, &r);
    task_soon(&r.task);
    while (r.left > 0) /* others stop the loop too */
        run_loop();
}

static inline size_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    (void)closedir(folder);
    return count - 3; /* ".", ".." and the folder itself */
}
