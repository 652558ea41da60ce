#include <stdlib.h>

#include "base/mem.h"
#include "store/inside.h"

#define COLUMNS "id, workspace, label, enrolled_by, public_key, created, last_seen, revoked"

static void read_row(struct db_query *q, struct store_agent *out)
{
    db_text(q, 0, out->id, sizeof out->id);
    db_text(q, 1, out->workspace, sizeof out->workspace);
    db_text(q, 2, out->label, sizeof out->label);
    db_text(q, 3, out->enrolled_by, sizeof out->enrolled_by);
    db_hex(q, 4, out->public_key, sizeof out->public_key);
    out->created = db_int(q, 5);
    out->last_seen = db_int(q, 6);
    out->revoked = db_int(q, 7);
}

static enum rc one(struct db_query *q, struct store_agent *out)
{
    struct store_agent row = {0};

    enum rc rc = db_next(q);
    if (rc == RC_OK)
        read_row(q, &row);
    rc = db_finish(q, rc);
    if (rc == RC_OK)
        *out = row;
    return rc;
}

/* Counts no further than the limit: the answer is only whether there is room. */
static enum rc check_room(struct store *s, const char *workspace)
{
    struct db_query *q =
        db_query(s->db, "SELECT count(*) FROM (SELECT 1 FROM agents"
                        " WHERE workspace = $1 AND revoked IS NULL LIMIT $2) AS some");

    db_bind_text(q, 1, workspace);
    db_bind_int(q, 2, STORE_WORKSPACE_AGENTS_MAX);
    enum rc rc = db_next(q);
    bool full = rc == RC_OK && db_int(q, 0) >= STORE_WORKSPACE_AGENTS_MAX;
    rc = db_finish(q, rc);
    return rc == RC_OK && full ? RC_LIMIT : rc;
}

static enum rc insert(struct store *s, const struct store_agent *agent)
{
    struct db_query *q = db_query(
        s->db, "INSERT INTO agents (id, workspace, label, enrolled_by, public_key, created)"
               " VALUES ($1, $2, $3, $4, $5, $6)");

    db_bind_text(q, 1, agent->id);
    db_bind_text(q, 2, agent->workspace);
    db_bind_text(q, 3, agent->label);
    db_bind_text(q, 4, agent->enrolled_by);
    db_bind_hex(q, 5, agent->public_key, sizeof agent->public_key);
    db_bind_int(q, 6, agent->created);
    return db_run(q);
}

enum rc store_agent_create(struct store *s, const char *workspace, const char *label,
                           const uint8_t public_key[STORE_PUBLIC_KEY_LEN], const char *enrolled_by,
                           int64_t now, struct store_agent *out)
{
    struct store_agent agent = {.created = now};

    if (field_copy(agent.label, sizeof agent.label, label) != RC_OK ||
        text_copy(agent.enrolled_by, sizeof agent.enrolled_by, enrolled_by ? enrolled_by : "") !=
            RC_OK)
        return RC_INPUT;
    if (text_copy(agent.workspace, sizeof agent.workspace, workspace) != RC_OK)
        return RC_ABSENT;
    memcpy(agent.public_key, public_key, sizeof agent.public_key);
    id_make("ag_", agent.id);

    enum rc rc = db_begin(s->db);
    if (rc != RC_OK)
        return rc;
    rc = check_room(s, workspace);
    if (rc == RC_OK)
        rc = insert(s, &agent);
    rc = db_end(s->db, rc);
    if (rc == RC_OK)
        *out = agent;
    return rc;
}

enum rc store_agent_find(struct store *s, const char *workspace, const char *id,
                         struct store_agent *out)
{
    struct db_query *q =
        db_query(s->db, "SELECT " COLUMNS " FROM agents WHERE workspace = $1 AND id = $2");

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, id);
    return one(q, out);
}

enum rc store_agent_find_label(struct store *s, const char *workspace, const char *label,
                               struct store_agent *out)
{
    struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM agents WHERE workspace = $1"
                                         " AND label = $2 AND revoked IS NULL LIMIT 2");
    struct store_agent row = {0};
    bool several = false;

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, label);
    enum rc rc = db_next(q);
    if (rc == RC_OK) {
        read_row(q, &row);
        enum rc second = db_next(q);
        several = second == RC_OK;
        rc = second == RC_EOF ? RC_OK : second;
    }
    rc = db_finish(q, rc);
    if (rc == RC_OK && several)
        return RC_EXISTS;
    if (rc == RC_OK)
        *out = row;
    return rc;
}

enum rc store_agent_find_key(struct store *s, const char *workspace,
                             const uint8_t public_key[STORE_PUBLIC_KEY_LEN],
                             struct store_agent *out)
{
    struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM agents WHERE workspace = $1"
                                         " AND public_key = $2 AND revoked IS NULL"
                                         " ORDER BY created DESC, id LIMIT 1");

    db_bind_text(q, 1, workspace);
    db_bind_hex(q, 2, public_key, STORE_PUBLIC_KEY_LEN);
    return one(q, out);
}

enum rc store_agent_list(struct store *s, const char *workspace, struct store_page page,
                         struct store_agent_list *out)
{
    struct db_query *q = db_query(
        s->db, "SELECT " COLUMNS " FROM agents WHERE workspace = $1 AND ($2 = '' OR"
               " (created, id) > (SELECT created, id FROM agents WHERE workspace = $1 AND id = $2))"
               " ORDER BY created, id LIMIT $3");
    struct store_agent_list list = {0};
    enum rc rc;

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, page.after != NULL ? page.after : "");
    db_bind_int(q, 3, page_rows(page.limit));
    while ((rc = db_next(q)) == RC_OK) {
        list.items = mem_resize(list.items, (list.count + 1) * sizeof *list.items);
        read_row(q, &list.items[list.count++]);
    }
    rc = db_finish(q, rc == RC_EOF ? RC_OK : rc);
    if (rc == RC_OK)
        *out = list;
    else
        store_agent_list_done(&list);
    return rc;
}

void store_agent_list_done(struct store_agent_list *list)
{
    free(list->items);
    *list = (struct store_agent_list){0};
}

enum rc store_agent_rename(struct store *s, const char *workspace, const char *id,
                           const char *label)
{
    struct store_agent limits;

    if (field_copy(limits.label, sizeof limits.label, label) != RC_OK)
        return RC_INPUT;
    struct db_query *q = db_query(
        s->db, "UPDATE agents SET label = $3 WHERE workspace = $1 AND id = $2 RETURNING id");
    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, id);
    db_bind_text(q, 3, label);
    return db_finish(q, db_next(q));
}

static enum rc remove_services(struct store *s, const char *workspace, const char *agent)
{
    struct db_query *q =
        db_query(s->db, "DELETE FROM services WHERE workspace = $1 AND agent = $2");

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, agent);
    return db_run(q);
}

enum rc store_agent_revoke(struct store *s, const char *workspace, const char *id, int64_t now)
{
    enum rc rc = db_begin(s->db);
    if (rc != RC_OK)
        return rc;

    struct db_query *q = db_query(s->db, "UPDATE agents SET revoked = coalesce(revoked, $3)"
                                         " WHERE workspace = $1 AND id = $2 RETURNING id");
    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, id);
    db_bind_int(q, 3, now);
    rc = db_finish(q, db_next(q));
    if (rc == RC_OK)
        rc = remove_services(s, workspace, id);
    return db_end(s->db, rc);
}

enum rc store_agent_seen(struct store *s, const char *workspace, const char *id, int64_t now)
{
    struct db_query *q = db_query(
        s->db, "UPDATE agents SET last_seen = $3 WHERE workspace = $1 AND id = $2 RETURNING id");

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, id);
    db_bind_int(q, 3, now);
    return db_finish(q, db_next(q));
}
