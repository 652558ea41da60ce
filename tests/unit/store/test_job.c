#include "fixture.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

/* The loop of these tests: a wake writes one byte, and waiting is reading it. */
static int wakes[2];

static void wake(void *arg)
{
    const char byte = 'w';

    assert_int_equal(write(*(int *)arg, &byte, 1), 1);
}

static int start(void **state)
{
    (void)set_up(state);
    struct fixture *f = *state;
    assert_int_equal(pipe(wakes), 0);
    assert_int_equal(store_start(f->s, wake, &wakes[1]), RC_OK);
    return 0;
}

static int stop(void **state)
{
    (void)tear_down(state);
    (void)close(wakes[0]);
    (void)close(wakes[1]);
    return 0;
}

struct task {
    struct store_job job;
    pthread_t ran_on;
    unsigned number, *done_count, *done_order, *submitted_again;
    struct store *s;
    sem_t *gate; /* run() waits for it, when there is one */
    enum rc rc, *again_rc;
    struct store_workspace made;
};

static void task_run(struct store_job *job, struct store *s)
{
    struct task *t = (struct task *)(void *)job;
    char name[32];

    if (t->gate != NULL)
        while (sem_wait(t->gate) != 0)
            ;
    t->ran_on = pthread_self();
    (void)snprintf(name, sizeof name, "w%u", t->number);
    t->rc = store_workspace_find_or_create(s, name, NOW, &t->made);
}

static void task_done(struct store_job *job)
{
    struct task *t = (struct task *)(void *)job;

    t->done_order[(*t->done_count)++] = t->number;
}

static void collect_until(struct fixture *f, const unsigned *count, unsigned wanted)
{
    while (*count < wanted) {
        struct pollfd fd = {.fd = wakes[0], .events = POLLIN};
        char byte;

        assert_int_equal(poll(&fd, 1, 10000), 1);
        assert_int_equal(read(wakes[0], &byte, 1), 1);
        store_collect(f->s);
    }
}

static void jobs_run_on_another_thread_and_are_done_in_order_on_this_one(void **state)
{
    enum { MANY = 50 };
    struct fixture *f = *state;
    unsigned order[MANY], count = 0;
    struct task tasks[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        tasks[i] = (struct task){.job = {.run = task_run, .done = task_done},
                                 .number = i,
                                 .done_count = &count,
                                 .done_order = order};
        assert_int_equal(store_submit(f->s, &tasks[i].job), RC_OK);
    }
    collect_until(f, &count, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(order[i], i);
        assert_int_equal(tasks[i].rc, RC_OK);
        assert_false(pthread_equal(tasks[i].ran_on, pthread_self()));
        assert_int_equal(tasks[i].made.created, NOW);
    }
}

static void nothing_is_done_before_it_is_collected(void **state)
{
    struct fixture *f = *state;
    unsigned order[1], count = 0;
    struct task t = {
        .job = {.run = task_run, .done = task_done}, .done_count = &count, .done_order = order};
    struct pollfd fd = {.fd = wakes[0], .events = POLLIN};

    store_collect(f->s);
    assert_int_equal(store_submit(f->s, &t.job), RC_OK);
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_int_equal(count, 0);
    store_collect(f->s);
    assert_int_equal(count, 1);
    store_collect(f->s);
    assert_int_equal(count, 1);
}

static void the_queue_has_a_limit_and_has_room_again(void **state)
{
    struct fixture *f = *state;
    static struct task tasks[STORE_JOBS_MAX + 1];
    static unsigned order[STORE_JOBS_MAX + 1];
    unsigned count = 0;
    sem_t gate;

    assert_int_equal(sem_init(&gate, 0, 0), 0);
    for (unsigned i = 0; i <= STORE_JOBS_MAX; i++) {
        tasks[i] =
            (struct task){.job = {.run = task_run, .done = task_done},
                          .number = i % 2, /* two workspaces, so that few commits are waited for */
                          .done_count = &count,
                          .done_order = order,
                          .gate = i == 0 ? &gate : NULL};
        assert_int_equal(store_submit(f->s, &tasks[i].job), i < STORE_JOBS_MAX ? RC_OK : RC_LIMIT);
    }
    assert_int_equal(sem_post(&gate), 0);
    collect_until(f, &count, STORE_JOBS_MAX);
    tasks[STORE_JOBS_MAX].gate = NULL;
    assert_int_equal(store_submit(f->s, &tasks[STORE_JOBS_MAX].job), RC_OK);
    collect_until(f, &count, STORE_JOBS_MAX + 1);
    (void)sem_destroy(&gate);
}

/* done() of the first asks again, as a service does whose answer needs a second question. */
static void task_done_and_again(struct store_job *job)
{
    struct task *t = (struct task *)(void *)job;

    task_done(job);
    if (*t->submitted_again > 0) {
        (*t->submitted_again)--;
        *t->again_rc = store_submit(t->s, job); /* not into the task, which is the store's now */
    }
}

static void done_may_submit_the_same_job_again(void **state)
{
    struct fixture *f = *state;
    unsigned order[8], count = 0, again = 3;
    enum rc again_rc = RC_INPUT;
    struct task t = {.job = {.run = task_run, .done = task_done_and_again},
                     .done_count = &count,
                     .done_order = order,
                     .submitted_again = &again,
                     .again_rc = &again_rc,
                     .s = f->s};

    assert_int_equal(store_submit(f->s, &t.job), RC_OK);
    collect_until(f, &count, 4);
    assert_int_equal(again, 0);
    assert_int_equal(again_rc, RC_OK);
}

static void closing_runs_what_was_submitted_and_refuses_what_comes_after(void **state)
{
    enum { MANY = 20 };
    struct fixture *f = *state;
    unsigned order[MANY], count = 0, again = 1;
    enum rc again_rc = RC_INPUT;
    struct task tasks[MANY];
    struct store_workspace found;
    sem_t gate;

    assert_int_equal(sem_init(&gate, 0, 0), 0);
    for (unsigned i = 0; i < MANY; i++) {
        tasks[i] = (struct task){.job = {.run = task_run, .done = task_done_and_again},
                                 .number = i,
                                 .done_count = &count,
                                 .done_order = order,
                                 .submitted_again = &again,
                                 .again_rc = &again_rc,
                                 .s = f->s,
                                 .gate = i == 0 ? &gate : NULL};
        assert_int_equal(store_submit(f->s, &tasks[i].job), RC_OK);
    }
    assert_int_equal(sem_post(&gate), 0);
    store_close(f->s);
    f->s = NULL;
    (void)sem_destroy(&gate);
    assert_int_equal(count, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(order[i], i);
    assert_int_equal(again_rc, RC_CLOSED); /* it asked again while closing */
    f->s = open_store(f);
    assert_int_equal(store_workspace_find_name(f->s, "w19", &found), RC_OK);
}

static void closing_without_a_job_ends_at_once(void **state)
{
    struct fixture *f = *state;

    store_close(f->s);
    f->s = NULL;
    store_close(NULL);
}

/* The signals of the process must interrupt the loop thread, never the one that writes. */
static void signals_run(struct store_job *job, struct store *s)
{
    struct task *t = (struct task *)(void *)job;
    sigset_t blocked;

    (void)s;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    t->rc = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGHUP) == 1 ? RC_OK
                                                                                      : RC_SYSTEM;
}

static void signals_stay_with_the_threads_that_expect_them(void **state)
{
    struct fixture *f = *state;
    unsigned order[1], count = 0;
    struct task t = {.job = {.run = signals_run, .done = task_done},
                     .done_count = &count,
                     .done_order = order,
                     .rc = RC_INPUT};
    sigset_t blocked;

    assert_int_equal(store_submit(f->s, &t.job), RC_OK);
    collect_until(f, &count, 1);
    assert_int_equal(t.rc, RC_OK);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
}

#define JOB_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(jobs_run_on_another_thread_and_are_done_in_order_on_this_one),
        JOB_TEST(nothing_is_done_before_it_is_collected),
        JOB_TEST(the_queue_has_a_limit_and_has_room_again),
        JOB_TEST(done_may_submit_the_same_job_again),
        JOB_TEST(closing_runs_what_was_submitted_and_refuses_what_comes_after),
        JOB_TEST(closing_without_a_job_ends_at_once),
        JOB_TEST(signals_stay_with_the_threads_that_expect_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
