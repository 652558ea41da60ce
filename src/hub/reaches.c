#include "hub/reaches.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

struct reaches {
    struct store *store;
    struct map agents; /* by id; one exists while it has reaches */
};

struct reacher {
    struct reaches *reaches;
    char id[STORE_ID_SIZE], workspace[STORE_ID_SIZE], ip[STORE_ADDRESS_SIZE];
    struct map services; /* by name */
    struct list list;
};

struct reach {
    struct reacher *by;
    struct list link;
    char service[STORE_NAME_SIZE], peer[STORE_ID_SIZE];
    uint64_t began_ms, sent, received;
    size_t pipes;
    const char *over; /* why it ends when its pipes are gone; NULL: it goes on */
    bool noted;
};

static const char gone[] = "disconnected";

struct reaches *reaches_new(struct store *store)
{
    struct reaches *rs = mem_zalloc(sizeof *rs);

    rs->store = store;
    map_init(&rs->agents);
    return rs;
}

static struct reacher *reacher_of(struct reaches *rs, const struct identity *who, const char *ip)
{
    struct reacher *a = map_get(&rs->agents, who->agent);

    if (a)
        return a;
    a = mem_zalloc(sizeof *a);
    a->reaches = rs;
    text_message(a->id, sizeof a->id, "%s", who->agent);
    text_message(a->workspace, sizeof a->workspace, "%s", who->workspace);
    text_message(a->ip, sizeof a->ip, "%s", ip);
    map_init(&a->services);
    list_init(&a->list);
    map_put(&rs->agents, a->id, a);
    return a;
}

enum rc reaches_take(struct reaches *rs, const struct identity *who, const char *ip,
                     const char *service, const char *peer, struct reach **out, bool *fresh)
{
    struct reacher *a = reacher_of(rs, who, ip);
    struct reach *r = map_get(&a->services, service);

    *fresh = r == NULL;
    if (r == NULL && a->services.count == REACHES_PER_AGENT_MAX)
        return RC_LIMIT;
    if (r == NULL) {
        r = mem_zalloc(sizeof *r);
        r->by = a;
        r->began_ms = clock_ms();
        text_message(r->service, sizeof r->service, "%s", service);
        text_message(r->peer, sizeof r->peer, "%s", peer);
        list_append(&a->list, &r->link);
        map_put(&a->services, service, r);
    }
    r->over = NULL; /* wanted again */
    r->pipes++;
    *out = r;
    return RC_OK;
}

bool reach_note_start(struct reach *r, bool resumed, audit_done *done, void *owner)
{
    const struct audit_field detail[] = {
        AUDIT_TEXT("peer", r->peer),
        resumed ? AUDIT_NUMBER("resumed", 1) : AUDIT_END,
        AUDIT_END,
    };
    const struct audit_row row = {.workspace = r->by->workspace,
                                  .type = "reach.started",
                                  .actor = r->by->id,
                                  .subject = r->service,
                                  .address = r->by->ip,
                                  .detail = detail};

    r->noted = audit_write(r->by->reaches->store, &row, done, owner);
    return r->noted;
}

static void note_end(const struct reach *r)
{
    const struct audit_field detail[] = {
        AUDIT_TEXT("peer", r->peer),
        AUDIT_NUMBER("seconds", (clock_ms() - r->began_ms) / 1000),
        AUDIT_NUMBER("bytes_sent", r->sent),
        AUDIT_NUMBER("bytes_received", r->received),
        AUDIT_TEXT("why", r->over),
        AUDIT_END,
    };
    const struct audit_row row = {.workspace = r->by->workspace,
                                  .type = "reach.ended",
                                  .actor = r->by->id,
                                  .subject = r->service,
                                  .address = r->by->ip,
                                  .detail = detail};

    (void)audit_write(r->by->reaches->store, &row, NULL, NULL);
}

static void forget(struct reach *r)
{
    struct reacher *a = r->by;

    if (r->noted)
        note_end(r);
    (void)map_take(&a->services, r->service);
    list_remove(&r->link);
    free(r);
    if (a->services.count > 0)
        return;
    (void)map_take(&a->reaches->agents, a->id);
    map_done(&a->services);
    free(a);
}

static void end(struct reach *r, const char *why)
{
    if (r->over == NULL)
        r->over = why;
    if (r->pipes == 0)
        forget(r);
}

void reach_release(struct reach *r, uint64_t sent, uint64_t received)
{
    assert(r->pipes > 0);
    r->pipes--;
    r->sent += sent;
    r->received += received;
    if (r->pipes == 0 && r->over)
        forget(r);
}

void reach_cancel(struct reach *r)
{
    r->noted = false;
    r->over = "not recorded";
    reach_release(r, 0, 0);
}

void reaches_end(struct reaches *rs, const char *agent, const char *service)
{
    struct reacher *a = map_get(&rs->agents, agent);
    struct reach *r = a ? map_get(&a->services, service) : NULL;

    if (r)
        end(r, "unreached");
}

/* With the last one the agent's record goes, and the list with it. */
static void end_all(struct reacher *a, const char *why)
{
    size_t left = a->services.count;
    struct list *at = a->list.next;

    while (left-- > 0) {
        struct reach *r = list_entry(at, struct reach, link);
        at = at->next;
        end(r, why);
    }
}

void reaches_agent_gone(struct reaches *rs, const char *agent)
{
    struct reacher *a = map_get(&rs->agents, agent);

    if (a)
        end_all(a, gone);
}

void reaches_agent_back(struct reaches *rs, const char *agent)
{
    struct reacher *a = map_get(&rs->agents, agent);

    if (a == NULL)
        return;
    list_each(at, after, &a->list)
    {
        struct reach *r = list_entry(at, struct reach, link);
        if (r->over == gone)
            r->over = NULL;
    }
}

/* One at a time: map_each() must not see a change. */
static void pick(void *arg, const char *key, void *value)
{
    (void)key;
    *(struct reacher **)arg = value;
}

void reaches_free(struct reaches *rs)
{
    if (rs == NULL)
        return;
    while (rs->agents.count > 0) {
        struct reacher *a = NULL;
        size_t before = rs->agents.count;
        map_each(&rs->agents, pick, &a);
        end_all(a, "hub stopped");
        assert(rs->agents.count < before);
    }
    map_done(&rs->agents);
    free(rs);
}
