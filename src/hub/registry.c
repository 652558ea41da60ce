#include "hub/registry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct registry {
    struct map workspaces; /* by id; one exists while it has members */
    size_t count;
};

struct workspace {
    struct registry *registry;
    struct map members;  /* by agent id */
    struct map services; /* by name */
};

struct member {
    struct workspace *workspace;
    const struct identity *who;
    struct link *link;
    struct list services;
    size_t service_count;
};

struct service {
    struct list link;
    struct member *owner;
    struct control_service what;
};

struct registry *registry_new(void)
{
    struct registry *r = mem_zalloc(sizeof *r);

    map_init(&r->workspaces);
    return r;
}

void registry_free(struct registry *r)
{
    if (r == NULL)
        return;
    assert(r->count == 0);
    map_done(&r->workspaces);
    free(r);
}

/* --- members --------------------------------------------------------------------------------- */

static struct workspace *workspace_of(struct registry *r, const char *id)
{
    struct workspace *w = map_get(&r->workspaces, id);

    if (w)
        return w;
    w = mem_zalloc(sizeof *w);
    w->registry = r;
    map_init(&w->members);
    map_init(&w->services);
    map_put(&r->workspaces, id, w);
    return w;
}

enum rc registry_join(struct registry *r, const struct identity *who, struct link *link,
                      uint64_t most, struct member **out, struct link **replaced)
{
    struct workspace *w = map_get(&r->workspaces, who->workspace);
    struct member *before = w ? map_get(&w->members, who->agent) : NULL;

    if (before) {
        *replaced = before->link;
        return RC_EXISTS;
    }
    if (w && w->members.count >= most)
        return RC_LIMIT;
    struct member *m = mem_zalloc(sizeof *m);
    m->workspace = workspace_of(r, who->workspace);
    m->who = who;
    m->link = link;
    list_init(&m->services);
    map_put(&m->workspace->members, who->agent, m);
    r->count++;
    *out = m;
    return RC_OK;
}

static void forget(struct service *s)
{
    (void)map_take(&s->owner->workspace->services, s->what.name);
    s->owner->service_count--;
    list_remove(&s->link);
    free(s);
}

void registry_leave(struct member *m)
{
    struct workspace *w = m->workspace;

    list_each(at, after, &m->services) forget(list_entry(at, struct service, link));
    (void)map_take(&w->members, m->who->agent);
    w->registry->count--;
    if (w->members.count == 0) {
        (void)map_take(&w->registry->workspaces, m->who->workspace);
        map_done(&w->members);
        map_done(&w->services);
        free(w);
    }
    free(m);
}

/* --- services -------------------------------------------------------------------------------- */

enum rc registry_expose(struct member *m, const struct control_service *service, bool *had,
                        struct control_service *before, const struct identity **holder)
{
    struct service *s = map_get(&m->workspace->services, service->name);

    *had = s != NULL && s->owner == m;
    if (s && s->owner != m) {
        *holder = s->owner->who;
        return RC_EXISTS;
    }
    if (s) {
        *before = s->what;
        s->what = *service;
        return RC_OK;
    }
    if (m->service_count == CONTROL_SERVICES_MAX)
        return RC_LIMIT;
    s = mem_zalloc(sizeof *s);
    s->owner = m;
    s->what = *service;
    list_append(&m->services, &s->link);
    m->service_count++;
    map_put(&m->workspace->services, service->name, s);
    return RC_OK;
}

void registry_unexpose(struct member *m, const char *name)
{
    struct service *s = map_get(&m->workspace->services, name);

    if (s && s->owner == m)
        forget(s);
}

const struct control_service *registry_find(const struct member *asker, const char *name,
                                            struct link **link)
{
    const struct service *s = map_get(&asker->workspace->services, name);

    if (s == NULL)
        return NULL;
    *link = s->owner->link;
    return &s->what;
}

bool registry_is_online(const struct member *asker, const char *agent)
{
    return map_get(&asker->workspace->members, agent) != NULL;
}

size_t registry_count(const struct registry *r)
{
    return r->count;
}
