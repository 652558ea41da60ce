#include "hub/service/peers.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "hub/service/audit.h"

static void run_find(struct store_job *job, struct store *s)
{
    struct peers_find *f = (struct peers_find *)job;

    enum rc rc = store_agent_find(s, f->workspace, f->agent, &f->found);
    if (rc == RC_ABSENT)
        rc = store_agent_find_label(s, f->workspace, f->agent, &f->found);
    if (rc == RC_OK && f->found.revoked != 0)
        rc = RC_ABSENT;
    outcome_set(&f->outcome, rc, s);
}

enum rc peers_find_submit(struct store *s, struct peers_find *f,
                          void (*done)(struct store_job *job))
{
    f->job = (struct store_job){.run = run_find, .done = done};
    return store_submit(s, &f->job);
}

struct leaving {
    struct store_job job;
    struct outcome outcome;
    struct identity who;
    char ip[STORE_ADDRESS_SIZE];
    uint64_t seconds;
    const char *why; /* a constant */
};

static enum rc leave(const struct leaving *g, struct store *s, int64_t now)
{
    const struct audit_field detail[] = {
        AUDIT_NUMBER("seconds", g->seconds),
        AUDIT_TEXT("why", g->why),
        AUDIT_END,
    };
    const struct audit_row row = {.workspace = g->who.workspace,
                                  .type = "agent.disconnected",
                                  .actor = g->who.agent,
                                  .subject = g->who.agent,
                                  .address = g->ip,
                                  .detail = detail};

    enum rc rc = store_agent_seen(s, g->who.workspace, g->who.agent, now);
    return rc == RC_OK ? audit_append(s, &row, now) : rc;
}

static void run_leave(struct store_job *job, struct store *s)
{
    struct leaving *g = (struct leaving *)job;

    enum rc rc = store_begin(s);
    if (rc == RC_OK)
        rc = store_end(s, leave(g, s, clock_unix()));
    outcome_set(&g->outcome, rc, s);
}

static void left(struct store_job *job)
{
    struct leaving *g = (struct leaving *)job;

    (void)outcome_is_unavailable(&g->outcome, "disconnect");
    free(g);
}

void peers_note_gone(struct store *s, const struct identity *who, const char *ip, uint64_t seconds,
                     const char *why)
{
    struct leaving *g = mem_zalloc(sizeof *g);

    *g = (struct leaving){
        .job = {.run = run_leave, .done = left}, .who = *who, .seconds = seconds, .why = why};
    text_message(g->ip, sizeof g->ip, "%s", ip);
    enum rc rc = store_submit(s, &g->job);
    if (rc != RC_OK) {
        outcome_refused(rc, "disconnect");
        free(g);
    }
}
