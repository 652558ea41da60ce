#include "net/loop.h"

#include <unistd.h>

#include "test.h"

static void never(void *owner)
{
    (void)owner;
    fail_msg("it was cancelled");
}

static void stop(void *owner)
{
    loop_stop(owner);
}

static void cancel(void *owner)
{
    task_cancel(owner);
}

/* Otherwise the process would be awake for ever, with nothing to do. */
static void a_cancelled_task_does_not_keep_the_loop_awake(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct task task, canceller;

    (void)alarm(20); /* ends what would not end */
    task_init(&task, l, never, NULL);
    task_soon(&task);
    task_cancel(&task);
    loop_run(l); /* nothing is left to wait for */

    task_init(&canceller, l, cancel, &task);
    task_soon(&canceller);
    task_soon(&task);
    loop_run(l);
    (void)alarm(0);
    loop_free(l);
}

static void a_task_said_twice_runs_once_and_before_the_loop_sleeps(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct task task;
    struct timer late;

    timer_init(&late, l, never, NULL);
    timer_start(&late, 60 * 1000);
    task_init(&task, l, stop, l);
    task_soon(&task);
    task_soon(&task);
    loop_run(l);
    timer_stop(&late);
    loop_run(l);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_task_does_not_keep_the_loop_awake),
        cmocka_unit_test(a_task_said_twice_runs_once_and_before_the_loop_sleeps),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
