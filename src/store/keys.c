#include <stdlib.h>

#include "base/mem.h"
#include "store/inside.h"

#define COLUMNS "id, workspace, prefix, scope, created, last_used, revoked, expires"

static void read_row(struct db_query *q, struct store_key *out)
{
    db_text(q, 0, out->id, sizeof out->id);
    db_text(q, 1, out->workspace, sizeof out->workspace);
    db_text(q, 2, out->prefix, sizeof out->prefix);
    db_text(q, 3, out->scope, sizeof out->scope);
    out->created = db_int(q, 4);
    out->last_used = db_int(q, 5);
    out->revoked = db_int(q, 6);
    out->expires = db_int(q, 7);
}

static enum rc one(struct db_query *q, struct store_key *out)
{
    struct store_key row = {0};

    enum rc rc = db_next(q);
    if (rc == RC_OK)
        read_row(q, &row);
    rc = db_finish(q, rc);
    if (rc == RC_OK)
        *out = row;
    return rc;
}

static enum rc check_room(struct store *s, const char *workspace)
{
    struct db_query *q = db_query(s->db, "SELECT count(*) FROM api_keys"
                                         " WHERE workspace = $1 AND revoked IS NULL");

    db_bind_text(q, 1, workspace);
    enum rc rc = db_next(q);
    bool full = rc == RC_OK && db_int(q, 0) >= STORE_WORKSPACE_KEYS_MAX;
    rc = db_finish(q, rc);
    return rc == RC_OK && full ? RC_LIMIT : rc;
}

static enum rc insert(struct store *s, const uint8_t hash[STORE_HASH_LEN],
                      const struct store_key *key)
{
    struct db_query *q = db_query(
        s->db, "INSERT INTO api_keys (id, workspace, prefix, hash, scope, created, expires)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7)");

    db_bind_text(q, 1, key->id);
    db_bind_text(q, 2, key->workspace);
    db_bind_text(q, 3, key->prefix);
    db_bind_hex(q, 4, hash, STORE_HASH_LEN);
    db_bind_text(q, 5, key->scope);
    db_bind_int(q, 6, key->created);
    db_bind_time(q, 7, key->expires);
    return db_run(q);
}

enum rc store_key_create(struct store *s, const char *workspace, const uint8_t hash[STORE_HASH_LEN],
                         const char *prefix, const char *scope, int64_t now, int64_t expires,
                         struct store_key *out)
{
    struct store_key key = {.created = now, .expires = expires};

    if (field_copy(key.prefix, sizeof key.prefix, prefix) != RC_OK ||
        field_copy(key.scope, sizeof key.scope, scope) != RC_OK || (expires != 0 && expires <= now))
        return RC_INPUT;
    if (text_copy(key.workspace, sizeof key.workspace, workspace) != RC_OK)
        return RC_ABSENT;
    id_make("key_", key.id);

    enum rc rc = db_begin(s->db);
    if (rc != RC_OK)
        return rc;
    rc = check_room(s, workspace);
    if (rc == RC_OK)
        rc = insert(s, hash, &key);
    rc = db_end(s->db, rc);
    if (rc == RC_OK)
        *out = key;
    return rc;
}

/* Not more often than the grain, so that reading with a key does not write each time. */
static void note_use(struct store *s, struct store_key *key, int64_t now)
{
    if (now < key->last_used + STORE_SEEN_GRAIN_S)
        return;
    struct db_query *q =
        db_query(s->db, "UPDATE api_keys SET last_used = $3 WHERE workspace = $1 AND id = $2");
    db_bind_text(q, 1, key->workspace);
    db_bind_text(q, 2, key->id);
    db_bind_int(q, 3, now);
    if (db_run(q) == RC_OK)
        key->last_used = now;
}

enum rc store_key_find(struct store *s, const uint8_t hash[STORE_HASH_LEN], int64_t now,
                       struct store_key *out)
{
    struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM api_keys WHERE hash = $1");

    db_bind_hex(q, 1, hash, STORE_HASH_LEN);
    enum rc rc = one(q, out);
    if (rc != RC_OK)
        return rc;
    if (out->revoked != 0 || (out->expires != 0 && now >= out->expires))
        return RC_AUTH;
    note_use(s, out, now);
    return RC_OK;
}

enum rc store_key_list(struct store *s, const char *workspace, struct store_page page,
                       struct store_key_list *out)
{
    struct db_query *q = db_query(
        s->db,
        "SELECT " COLUMNS " FROM api_keys WHERE workspace = $1 AND ($2 = '' OR"
        " (created, id) > (SELECT created, id FROM api_keys WHERE workspace = $1 AND id = $2))"
        " ORDER BY created, id LIMIT $3");
    struct store_key_list list = {0};
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
        store_key_list_done(&list);
    return rc;
}

void store_key_list_done(struct store_key_list *list)
{
    free(list->items);
    *list = (struct store_key_list){0};
}

enum rc store_key_revoke(struct store *s, const char *workspace, const char *id, int64_t now)
{
    struct db_query *q = db_query(s->db, "UPDATE api_keys SET revoked = coalesce(revoked, $3)"
                                         " WHERE workspace = $1 AND id = $2 RETURNING id");

    db_bind_text(q, 1, workspace);
    db_bind_text(q, 2, id);
    db_bind_int(q, 3, now);
    return db_finish(q, db_next(q));
}
