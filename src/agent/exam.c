#include "agent/exam.h"

#include <stdlib.h>
#include <string.h>

#include "agent/diagnose.h"
#include "base/buf.h"
#include "base/mem.h"
#include "mux/session.h"

enum { EXAM_POLL_MS = 1 };

struct exam {
    struct loop *loop;
    struct tunnel *tunnel;
    void (*done)(void *owner, const struct exam_result *result);
    void *owner;
    /* round trips */
    struct timer poll;
    uint64_t asked_ms, answered_before;
    unsigned asked, answered;
    double samples[EXAM_PINGS];
    bool pings_over;
    /* the check */
    struct stream *stream; /* NULL: not open, or over */
    struct buf text;
    json_t *check; /* NULL: not known yet */
    struct timer deadline;
    struct task later; /* tells the result */
};

/* --- the end --------------------------------------------------------------------------------- */

static void dispose(struct exam *e)
{
    timer_stop(&e->poll);
    timer_stop(&e->deadline);
    task_cancel(&e->later);
    if (e->stream)
        stream_reset(e->stream, RESET_NONE);
    buf_done(&e->text);
    json_decref(e->check);
    free(e);
}

void exam_cancel(struct exam *e)
{
    if (e)
        dispose(e);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void tell(void *owner)
{
    struct exam *e = owner;
    struct exam_result result = {.check = json_incref(e->check), .pings = e->answered};
    void (*done)(void *owner, const struct exam_result *result) = e->done;
    void *to = e->owner;

    if (e->answered > 0) {
        qsort(e->samples, e->answered, sizeof e->samples[0], compare);
        result.min_ms = e->samples[0];
        result.median_ms = e->samples[e->answered / 2];
        result.max_ms = e->samples[e->answered - 1];
    }
    dispose(e);
    done(to, &result);
    json_decref(result.check);
}

static void finish_if_done(struct exam *e)
{
    if (e->pings_over && e->check)
        task_soon(&e->later);
}

/* --- round trips ----------------------------------------------------------------------------- */

static void ask(struct exam *e)
{
    struct session *s = tunnel_session(e->tunnel);

    e->asked++;
    e->asked_ms = loop_now(e->loop);
    e->answered_before = session_pings_answered(s);
    session_ping(s, e->asked_ms);
}

static void take_answer(struct exam *e)
{
    struct session_stats stats;

    session_stats(tunnel_session(e->tunnel), &stats);
    e->samples[e->answered++] = (double)stats.rtt_us / 1000.0;
}

static void on_poll(void *owner)
{
    struct exam *e = owner;
    bool has_come = session_pings_answered(tunnel_session(e->tunnel)) > e->answered_before;

    if (has_come)
        take_answer(e);
    else if (loop_now(e->loop) - e->asked_ms < EXAM_PING_MS) {
        timer_start(&e->poll, EXAM_POLL_MS);
        return;
    }
    if (has_come && e->asked < EXAM_PINGS) {
        ask(e);
        timer_start(&e->poll, EXAM_POLL_MS);
        return;
    }
    e->pings_over = true;
    finish_if_done(e);
}

/* --- the check ------------------------------------------------------------------------------- */

static void settle_check(struct exam *e, json_t *check, const char *otherwise)
{
    if (e->check == NULL)
        e->check = check ? check : diagnose_none(otherwise);
    else
        json_decref(check);
    timer_stop(&e->deadline);
    finish_if_done(e);
}

static void on_data(void *owner, struct reader bytes)
{
    struct exam *e = owner;

    buf_put(&e->text, bytes);
    stream_consumed(e->stream, bytes.left);
}

static void on_fin(void *owner)
{
    struct exam *e = owner;
    struct reader text = buf_view(&e->text);
    json_t *check = NULL, *clean = NULL;

    if (buf_ok(&e->text) && text.left > 0)
        check = json_loadb((const char *)text.at, text.left, JSON_REJECT_DUPLICATES, NULL);
    clean = diagnose_clean(check);
    json_decref(check);
    settle_check(e, clean, "the other agent's answer makes no sense");
}

static void on_closed(void *owner, enum reset_reason why)
{
    struct exam *e = owner;

    e->stream = NULL;
    settle_check(e, NULL, reset_reason_text(why));
}

static void on_room(void *owner)
{
    (void)owner; /* nothing is sent */
}

static void on_datagram(void *owner, struct reader bytes)
{
    (void)owner, (void)bytes;
}

static const struct stream_events stream_events = {on_data, on_datagram, on_fin, on_room,
                                                   on_closed};

static void on_deadline(void *owner)
{
    settle_check(owner, NULL, "the other agent has not examined it in time");
}

/* --- life ------------------------------------------------------------------------------------ */

struct exam *exam_start(struct loop *l, struct tunnel *t,
                        void (*done)(void *owner, const struct exam_result *result), void *owner)
{
    struct exam *e = mem_zalloc(sizeof *e);

    *e = (struct exam){.loop = l, .tunnel = t, .done = done, .owner = owner};
    buf_init(&e->text, EXAM_CHECK_MAX);
    timer_init(&e->poll, l, on_poll, e);
    timer_init(&e->deadline, l, on_deadline, e);
    task_init(&e->later, l, tell, e);
    timer_start(&e->deadline, EXAM_CHECK_MS);
    ask(e);
    timer_start(&e->poll, EXAM_POLL_MS);
    if (stream_open(tunnel_session(t), STREAM_CHECK, &stream_events, e, &e->stream) != RC_OK) {
        settle_check(e, NULL, "too many connections are open to ask");
        return e;
    }
    stream_fin(e->stream);
    return e;
}
