#include "hub/service/services.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "hub/service/audit.h"

/* --- put ------------------------------------------------------------------------------------- */

static enum rc note_exposed(const struct services_put *p, struct store *s,
                            const struct control_service *what, const char *taken_from, int64_t now)
{
    const struct audit_field detail[] = {
        AUDIT_TEXT("target", what->target),
        AUDIT_TEXT("protocol", what->protocol),
        taken_from ? AUDIT_TEXT("taken_from", taken_from) : AUDIT_END,
        AUDIT_END,
    };
    const struct audit_row row = {.workspace = p->who.workspace,
                                  .type = "service.exposed",
                                  .actor = p->who.agent,
                                  .subject = what->name,
                                  .address = p->ip,
                                  .detail = detail};

    return audit_append(s, &row, now);
}

static bool is_same(const struct store_service *has, const struct control_service *what)
{
    return strcmp(has->protocol, what->protocol) == 0 && strcmp(has->target, what->target) == 0;
}

/* An agent that comes back with what it had leaves no row. */
static enum rc put_one(const struct services_put *p, struct store *s,
                       const struct control_service *what, int64_t now)
{
    struct store_service has, now_has;
    const char *taken_from = NULL;

    enum rc rc = store_service_find(s, p->who.workspace, what->name, &has);
    if (rc != RC_OK && rc != RC_ABSENT)
        return rc;
    if (rc == RC_OK && strcmp(has.agent, p->who.agent) != 0)
        taken_from = has.agent;
    else if (rc == RC_OK && is_same(&has, what))
        return RC_OK;
    rc = store_service_put(s, p->who.workspace, p->who.agent, what->name, what->protocol,
                           what->target, taken_from, now, &now_has);
    if (rc == RC_OK)
        rc = note_exposed(p, s, what, taken_from, now);
    return rc;
}

static enum rc note_unexposed(struct store *s, const struct identity *who, const char *ip,
                              const char *name, int64_t now)
{
    const struct audit_row row = {.workspace = who->workspace,
                                  .type = "service.unexposed",
                                  .actor = who->agent,
                                  .subject = name,
                                  .address = ip};

    return audit_append(s, &row, now);
}

static bool is_among(const struct services_put *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i].name, name) == 0)
            return true;
    return false;
}

/* Names it had before and has no more. */
static enum rc remove_others(const struct services_put *p, struct store *s, int64_t now)
{
    struct store_service_list list;

    enum rc rc =
        store_service_list(s, p->who.workspace, p->who.agent, (struct store_page){0}, &list);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < list.count && rc == RC_OK; i++) {
        const char *name = list.items[i].name;
        if (is_among(p, name))
            continue;
        rc = store_service_remove(s, p->who.workspace, p->who.agent, name);
        if (rc == RC_OK)
            rc = note_unexposed(s, &p->who, p->ip, name, now);
    }
    store_service_list_done(&list);
    return rc;
}

static enum rc note_connected(const struct services_put *p, struct store *s, int64_t now)
{
    const struct audit_field detail[] = {
        AUDIT_TEXT("label", p->who.label),
        AUDIT_TEXT("version", p->version),
        AUDIT_END,
    };
    const struct audit_row row = {.workspace = p->who.workspace,
                                  .type = "agent.connected",
                                  .actor = p->who.agent,
                                  .subject = p->who.agent,
                                  .address = p->ip,
                                  .detail = detail};

    return audit_append(s, &row, now);
}

static enum rc greet(const struct services_put *p, struct store *s, int64_t now)
{
    enum rc rc = store_agent_seen(s, p->who.workspace, p->who.agent, now);

    if (rc == RC_OK)
        rc = store_agent_rename(s, p->who.workspace, p->who.agent, p->who.label);
    if (rc == RC_OK)
        rc = note_connected(p, s, now);
    if (rc == RC_OK)
        rc = remove_others(p, s, now);
    return rc;
}

static enum rc put_all(const struct services_put *p, struct store *s, int64_t now)
{
    enum rc rc = p->hello ? greet(p, s, now) : RC_OK;

    for (size_t i = 0; i < p->count && rc == RC_OK; i++)
        rc = put_one(p, s, &p->items[i], now);
    return rc == RC_ABSENT ? RC_AUTH : rc;
}

static void run_put(struct store_job *job, struct store *s)
{
    struct services_put *p = (struct services_put *)job;

    enum rc rc = store_begin(s);
    if (rc == RC_OK)
        rc = store_end(s, put_all(p, s, clock_unix()));
    outcome_set(&p->outcome, rc, s);
}

enum rc services_put_submit(struct store *s, struct services_put *p,
                            void (*done)(struct store_job *job))
{
    p->job = (struct store_job){.run = run_put, .done = done};
    return store_submit(s, &p->job);
}

void services_put_free(struct services_put *p)
{
    free(p->items);
    free(p);
}

/* --- remove ---------------------------------------------------------------------------------- */

static enum rc remove_one(const struct services_remove *r, struct store *s)
{
    enum rc rc = store_service_remove(s, r->who.workspace, r->who.agent, r->name);

    return rc == RC_OK ? note_unexposed(s, &r->who, r->ip, r->name, clock_unix()) : rc;
}

static void run_remove(struct store_job *job, struct store *s)
{
    struct services_remove *r = (struct services_remove *)job;

    enum rc rc = store_begin(s);
    if (rc == RC_OK)
        rc = store_end(s, remove_one(r, s));
    outcome_set(&r->outcome, rc, s);
}

enum rc services_remove_submit(struct store *s, struct services_remove *r,
                               void (*done)(struct store_job *job))
{
    r->job = (struct store_job){.run = run_remove, .done = done};
    return store_submit(s, &r->job);
}

/* --- questions ------------------------------------------------------------------------------- */

static void run_find(struct store_job *job, struct store *s)
{
    struct services_find *f = (struct services_find *)job;
    struct store_service found;

    outcome_set(&f->outcome, store_service_find(s, f->workspace, f->name, &found), s);
}

enum rc services_find_submit(struct store *s, struct services_find *f,
                             void (*done)(struct store_job *job))
{
    f->job = (struct store_job){.run = run_find, .done = done};
    return store_submit(s, &f->job);
}

static void run_list(struct store_job *job, struct store *s)
{
    struct services_list *l = (struct services_list *)job;

    outcome_set(&l->outcome,
                store_service_list(s, l->workspace, NULL, (struct store_page){0}, &l->list), s);
}

enum rc services_list_submit(struct store *s, struct services_list *l,
                             void (*done)(struct store_job *job))
{
    l->job = (struct store_job){.run = run_list, .done = done};
    return store_submit(s, &l->job);
}

void services_list_free(struct services_list *l)
{
    if (l->outcome.rc == RC_OK)
        store_service_list_done(&l->list);
    free(l);
}
