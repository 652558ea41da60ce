#include "agent/verify.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct verify {
    uint8_t one[IDENTITY_KEY_LEN], other[IDENTITY_KEY_LEN];
    const char *words[IDENTITY_WORDS]; /* the thread's until it has been joined */
    pthread_t thread;
    bool has_thread;
    struct waker *waker;
    void (*done)(void *owner, const char *const words[IDENTITY_WORDS]);
    void *owner;
};

static void dispose(struct verify *v)
{
    if (v->has_thread)
        (void)pthread_join(v->thread, NULL);
    waker_free(v->waker);
    free(v);
}

static void *compute(void *arg)
{
    struct verify *v = arg;

    identity_words(v->one, v->other, v->words);
    waker_wake(v->waker);
    return NULL;
}

static void on_computed(void *owner)
{
    struct verify *v = owner;
    void (*done)(void *owner, const char *const words[IDENTITY_WORDS]) = v->done;
    void *to = v->owner;
    const char *words[IDENTITY_WORDS];

    if (v->has_thread)
        (void)pthread_join(v->thread, NULL);
    v->has_thread = false;
    memcpy(words, v->words, sizeof words);
    dispose(v);
    done(to, words);
}

struct verify *verify_start(struct loop *l, const uint8_t one[IDENTITY_KEY_LEN],
                            const uint8_t other[IDENTITY_KEY_LEN],
                            void (*done)(void *owner, const char *const words[IDENTITY_WORDS]),
                            void *owner)
{
    struct verify *v = mem_zalloc(sizeof *v);

    memcpy(v->one, one, sizeof v->one);
    memcpy(v->other, other, sizeof v->other);
    v->done = done;
    v->owner = owner;
    v->waker = waker_new(l, on_computed, v);
    v->has_thread = pthread_create(&v->thread, NULL, compute, v) == 0;
    if (!v->has_thread)
        (void)compute(v); /* a tenth of a second here is better than no answer */
    return v;
}

void verify_cancel(struct verify *v)
{
    if (v)
        dispose(v);
}
