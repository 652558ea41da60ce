/*
 * job -- work that crosses from the loop thread to the store thread and back.
 *
 * Two lists under one lock: jobs that wait for run(), in order, and jobs that wait
 * for done(). A job is on one of them, or in the hands of the thread that runs it.
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/inside.h"

struct jobs {
    struct store *store; /* the thread's handle */
    void (*wake)(void *arg);
    void *wake_arg;
    pthread_t thread;

    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t submitted;
    struct list waiting, finished;
    size_t count; /* submitted and not yet collected */
    bool closing;
};

/* NULL: closing, and everything has run. */
static struct store_job *take(struct jobs *j)
{
    struct store_job *job = NULL;

    pthread_mutex_lock(&j->lock);
    while (list_is_empty(&j->waiting) && !j->closing)
        pthread_cond_wait(&j->submitted, &j->lock);
    if (!list_is_empty(&j->waiting)) {
        job = list_entry(j->waiting.next, struct store_job, link);
        list_remove(&job->link);
    }
    pthread_mutex_unlock(&j->lock);
    return job;
}

static void give_back(struct jobs *j, struct store_job *job)
{
    pthread_mutex_lock(&j->lock);
    bool first = list_is_empty(&j->finished);
    list_append(&j->finished, &job->link);
    pthread_mutex_unlock(&j->lock);
    /* Whoever is not first is taken along by the collect that the first one causes. */
    if (first)
        j->wake(j->wake_arg);
}

static void *thread_main(void *arg)
{
    struct jobs *j = arg;
    struct store_job *job;

    while ((job = take(j)) != NULL) {
        job->run(job, j->store);
        assert(db_nesting(j->store->db) == 0); /* every store_begin() has met its store_end() */
        give_back(j, job);
    }
    return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct jobs *j)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&j->thread, NULL, thread_main, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void free_struct(struct jobs *j)
{
    pthread_cond_destroy(&j->submitted);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

enum rc store_start(struct store *s, void (*wake)(void *arg), void *arg)
{
    assert(s->jobs == NULL);
    struct jobs *j = mem_zalloc(sizeof *j);

    j->store = s;
    j->wake = wake;
    j->wake_arg = arg;
    list_init(&j->waiting);
    list_init(&j->finished);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->submitted, NULL);
    int failed = start_thread(j);
    if (failed != 0) {
        log_error("store.thread", log_str("why", strerror(failed)));
        free_struct(j);
        return RC_SYSTEM;
    }
    s->jobs = j;
    return RC_OK;
}

enum rc store_submit(struct store *s, struct store_job *job)
{
    struct jobs *j = s->jobs;
    enum rc rc = RC_OK;

    assert(j != NULL);
    pthread_mutex_lock(&j->lock);
    if (j->closing) {
        rc = RC_CLOSED;
    } else if (j->count >= STORE_JOBS_MAX) {
        rc = RC_LIMIT;
    } else {
        j->count++;
        list_append(&j->waiting, &job->link);
        pthread_cond_signal(&j->submitted);
    }
    pthread_mutex_unlock(&j->lock);
    return rc;
}

/* Moves what is on `from` to the empty list `to`. */
static size_t move_all(struct list *from, struct list *to)
{
    size_t moved = 0;

    while (!list_is_empty(from)) {
        struct list *item = from->next;
        list_remove(item);
        list_append(to, item);
        moved++;
    }
    return moved;
}

static void collect(struct jobs *j)
{
    struct list finished;

    list_init(&finished);
    pthread_mutex_lock(&j->lock);
    j->count -= move_all(&j->finished, &finished);
    pthread_mutex_unlock(&j->lock);
    while (!list_is_empty(&finished)) {
        struct store_job *job = list_entry(finished.next, struct store_job, link);
        list_remove(&job->link);
        job->done(job);
    }
}

void store_collect(struct store *s)
{
    assert(s->jobs != NULL);
    collect(s->jobs);
}

void jobs_free(struct jobs *j)
{
    if (j == NULL)
        return;
    pthread_mutex_lock(&j->lock);
    j->closing = true;
    pthread_cond_signal(&j->submitted);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    collect(j);
    free_struct(j);
}
