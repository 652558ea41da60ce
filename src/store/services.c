#include <stdlib.h>

#include "base/mem.h"
#include "store/inside.h"

#define SELECT_SERVICES                                                                            \
    "SELECT s.workspace, s.name, s.agent, a.label, s.protocol, s.target, s.created"                \
    " FROM services s JOIN agents a ON a.workspace = s.workspace AND a.id = s.agent"               \
    " WHERE s.workspace = $1"

static void read_row(struct db_query *q, struct store_service *out)
{
    db_text(q, 0, out->workspace, sizeof out->workspace);
    db_text(q, 1, out->name, sizeof out->name);
    db_text(q, 2, out->agent, sizeof out->agent);
    db_text(q, 3, out->label, sizeof out->label);
    db_text(q, 4, out->protocol, sizeof out->protocol);
    db_text(q, 5, out->target, sizeof out->target);
    out->created = db_int(q, 6);
}

enum rc store_service_find(struct store *s, const char *workspace, const char *name,
                           struct store_service *out)
{
    struct db_query *q = db_query(s->db, SELECT_SERVICES " AND s.name = $2");
    struct store_service row = {0};

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, name);
    enum rc rc = db_next(q);
    if (rc == RC_OK)
        read_row(q, &row);
    rc = db_finish(q, rc);
    if (rc == RC_OK)
        *out = row;
    return rc;
}

/* RC_ABSENT: not there, or revoked. */
static enum rc check_agent(struct store *s, const char *workspace, const char *agent)
{
    struct store_agent row;

    enum rc rc = store_agent_find(s, workspace, agent, &row);
    return rc == RC_OK && row.revoked != 0 ? RC_ABSENT : rc;
}

/* One statement decides who has the name. RC_EXISTS: somebody else. */
static enum rc claim(struct store *s, const struct store_service *service, const char *instead_of)
{
    struct db_query *q = db_query(
        s->db,
        "INSERT INTO services (workspace, name, agent, protocol, target, created)"
        " VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (workspace, name) DO UPDATE SET agent = excluded.agent,"
        " protocol = excluded.protocol, target = excluded.target, created = CASE"
        " WHEN services.agent = excluded.agent THEN services.created ELSE excluded.created END"
        " WHERE services.agent = excluded.agent OR services.agent = $7 RETURNING name");

    db_bind_text(q, 1, service->workspace);
    db_bind_text(q, 2, service->name);
    db_bind_text(q, 3, service->agent);
    db_bind_text(q, 4, service->protocol);
    db_bind_text(q, 5, service->target);
    db_bind_int(q, 6, service->created);
    db_bind_text(q, 7, instead_of);
    enum rc rc = db_finish(q, db_next(q));
    return rc == RC_ABSENT ? RC_EXISTS : rc;
}

/* After the claim, which a refusal undoes. */
static enum rc check_room(struct store *s, const struct store_service *service)
{
    struct db_query *q =
        db_query(s->db, "SELECT count(*) FROM services WHERE workspace = $1 AND agent = $2");

    db_bind_text(q, 1, service->workspace);
    db_bind_text(q, 2, service->agent);
    enum rc rc = db_next(q);
    bool over = rc == RC_OK && db_int(q, 0) > STORE_AGENT_SERVICES_MAX;
    rc = db_finish(q, rc);
    return rc == RC_OK && over ? RC_LIMIT : rc;
}

enum rc store_service_put(struct store *s, const char *workspace, const char *agent,
                          const char *name, const char *protocol, const char *target,
                          const char *instead_of, int64_t now, struct store_service *out)
{
    struct store_service service = {.created = now}, holder = {0};

    if (!text_is_name(name) || text_copy(service.name, sizeof service.name, name) != RC_OK ||
        field_copy(service.protocol, sizeof service.protocol, protocol) != RC_OK ||
        field_copy(service.target, sizeof service.target, target) != RC_OK)
        return RC_INPUT;
    if (text_copy(service.workspace, sizeof service.workspace, workspace) != RC_OK ||
        text_copy(service.agent, sizeof service.agent, agent) != RC_OK)
        return RC_ABSENT;

    enum rc rc = db_begin(s->db);
    if (rc != RC_OK)
        return rc;
    rc = check_agent(s, workspace, agent);
    if (rc == RC_OK)
        rc = claim(s, &service, instead_of);
    if (rc == RC_OK)
        rc = check_room(s, &service);
    if (rc == RC_OK || rc == RC_EXISTS) {
        enum rc found = store_service_find(s, workspace, name, &holder);
        if (found != RC_OK)
            rc = found;
    }
    rc = db_end(s->db, rc);
    if (rc == RC_OK || rc == RC_EXISTS)
        *out = holder;
    return rc;
}

enum rc store_service_remove(struct store *s, const char *workspace, const char *agent,
                             const char *name)
{
    struct db_query *q = db_query(s->db, "DELETE FROM services WHERE workspace = $1 AND agent = $2"
                                         " AND name = $3 RETURNING name");

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, agent);
    db_bind_text(q, 3, name);
    return db_finish(q, db_next(q));
}

static enum rc list_all(struct db_query *q, struct store_service_list *out)
{
    struct store_service_list list = {0};
    enum rc rc;

    while ((rc = db_next(q)) == RC_OK) {
        list.items = mem_resize(list.items, (list.count + 1) * sizeof *list.items);
        read_row(q, &list.items[list.count++]);
    }
    rc = db_finish(q, rc == RC_EOF ? RC_OK : rc);
    if (rc == RC_OK)
        *out = list;
    else
        store_service_list_done(&list);
    return rc;
}

enum rc store_service_list(struct store *s, const char *workspace, const char *agent,
                           struct store_page page, struct store_service_list *out)
{
    struct db_query *q =
        agent == NULL ? db_query(s->db, SELECT_SERVICES " AND s.name > $2 ORDER BY s.name LIMIT $3")
                      : db_query(s->db, SELECT_SERVICES
                                 " AND s.agent = $4 AND s.name > $2 ORDER BY s.name LIMIT $3");

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, page.after != NULL ? page.after : "");
    db_bind_int(q, 3, page_rows(page.limit));
    if (agent != NULL)
        db_bind_text(q, 4, agent);
    return list_all(q, out);
}

void store_service_list_done(struct store_service_list *list)
{
    free(list->items);
    *list = (struct store_service_list){0};
}
