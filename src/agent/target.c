#include "agent/target.h"

#include <stdlib.h>

#include "agent/flow.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/dial.h"

struct target {
    struct flow *flow;
    struct dial *dial;
};

static const enum reset_reason reason_of[DIAL_FAILURES_] = {
    [DIAL_REFUSED] = RESET_REFUSED,         [DIAL_TIMEOUT] = RESET_TIMEOUT,
    [DIAL_UNREACHABLE] = RESET_UNREACHABLE, [DIAL_NO_NAME] = RESET_NO_NAME,
    [DIAL_DENIED] = RESET_TARGET_DENIED,    [DIAL_ABSENT] = RESET_REFUSED,
    [DIAL_LIMIT] = RESET_LIMIT,
};

static void on_connected(void *owner, int fd)
{
    struct target *t = owner;
    struct flow *flow = t->flow;

    free(t);
    flow_on_abandoned(flow, NULL, NULL);
    flow_connect(flow, fd, reader_of(NULL, 0));
}

static void on_failed(void *owner, enum dial_failure why)
{
    struct target *t = owner;
    struct flow *flow = t->flow;

    free(t);
    log_debug("target.failed", log_str("why", dial_failure_text(why)));
    flow_on_abandoned(flow, NULL, NULL);
    flow_reset(flow, reason_of[why]);
}

static const struct dial_events dial_events = {on_connected, on_failed};

/* The client has gone before the target was there. */
static void on_abandoned(void *owner)
{
    struct target *t = owner;

    dial_cancel(t->dial);
    free(t);
}

void target_open(struct loop *l, struct chunk_pool *chunks, struct stream *st,
                 const struct address *to, struct list *siblings)
{
    struct target *t = mem_zalloc(sizeof *t);

    t->flow = flow_new(l, chunks, st, siblings);
    flow_on_abandoned(t->flow, on_abandoned, t);
    t->dial = dial_start(l, to, TARGET_DIAL_MS, &dial_events, t);
}
