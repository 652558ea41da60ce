#include "store/inside.h"

#define COLUMNS "id, name, created"

static void read_row(struct db_query *q, struct store_workspace *out)
{
    db_text(q, 0, out->id, sizeof out->id);
    db_text(q, 1, out->name, sizeof out->name);
    out->created = db_int(q, 2);
}

static enum rc one(struct db_query *q, struct store_workspace *out)
{
    struct store_workspace row = {0};

    enum rc rc = db_next(q);
    if (rc == RC_OK)
        read_row(q, &row);
    rc = db_finish(q, rc);
    if (rc == RC_OK)
        *out = row;
    return rc;
}

enum rc store_workspace_find(struct store *s, const char *id, struct store_workspace *out)
{
    struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM workspaces WHERE id = $1");

    db_bind_text(q, 1, id);
    return one(q, out);
}

enum rc store_workspace_find_name(struct store *s, const char *name, struct store_workspace *out)
{
    struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM workspaces WHERE name = $1");

    db_bind_text(q, 1, name);
    return one(q, out);
}

enum rc store_workspace_find_or_create(struct store *s, const char *name, int64_t now,
                                       struct store_workspace *out)
{
    char id[STORE_ID_SIZE];

    if (!text_is_name(name))
        return RC_INPUT;
    enum rc rc = store_workspace_find_name(s, name, out);
    if (rc != RC_ABSENT)
        return rc;

    struct db_query *q = db_query(s->db, "INSERT INTO workspaces (id, name, created)"
                                         " VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING");
    id_make("ws_", id);
    db_bind_text(q, 1, id);
    db_bind_text(q, 2, name);
    db_bind_int(q, 3, now);
    rc = db_run(q);
    /* Somebody else may have been first: what stands there now counts. */
    return rc == RC_OK ? store_workspace_find_name(s, name, out) : rc;
}
