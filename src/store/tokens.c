#include "store/inside.h"

enum { HASH_HEX_SIZE = 2 * STORE_HASH_LEN + 1 };

/* A token as it is stored, with what decides about its state. */
struct token_row {
    struct store_token token;
    int64_t used, replaced, grace_until;
    char replaced_by[HASH_HEX_SIZE];
};

/* An expiry is final, grace or not: "good while now < expires" holds for every use. */
static enum store_token_state state_of(const struct token_row *row, int64_t agent_revoked,
                                       int64_t now)
{
    if (agent_revoked != 0)
        return STORE_TOKEN_REVOKED;
    if (now >= row->token.expires)
        return STORE_TOKEN_EXPIRED;
    if (row->replaced == 0)
        return STORE_TOKEN_VALID;
    return now < row->grace_until ? STORE_TOKEN_ROTATE_ONLY : STORE_TOKEN_REPLACED;
}

static enum rc find(struct store *s, const uint8_t hash[STORE_HASH_LEN], int64_t now,
                    struct token_row *out)
{
    struct db_query *q =
        db_query(s->db, "SELECT t.agent, t.workspace, t.created, t.expires, t.used, t.replaced,"
                        " t.grace_until, t.replaced_by, a.revoked FROM agent_tokens t"
                        " JOIN agents a ON a.workspace = t.workspace AND a.id = t.agent"
                        " WHERE t.hash = $1");
    struct token_row row = {0};

    db_bind_hex(q, 1, hash, STORE_HASH_LEN);
    enum rc rc = db_next(q);
    if (rc == RC_OK) {
        db_text(q, 0, row.token.agent, sizeof row.token.agent);
        db_text(q, 1, row.token.workspace, sizeof row.token.workspace);
        row.token.created = db_int(q, 2);
        row.token.expires = db_int(q, 3);
        row.used = db_int(q, 4);
        row.replaced = db_int(q, 5);
        row.grace_until = db_int(q, 6);
        db_text(q, 7, row.replaced_by, sizeof row.replaced_by);
        row.token.state = state_of(&row, db_int(q, 8), now);
    }
    rc = db_finish(q, rc);
    if (rc == RC_OK)
        *out = row;
    return rc;
}

static enum rc insert(struct store *s, const uint8_t hash[STORE_HASH_LEN],
                      const struct store_token *token)
{
    struct db_query *q =
        db_query(s->db, "INSERT INTO agent_tokens (hash, workspace, agent, created, expires)"
                        " VALUES ($1, $2, $3, $4, $5)");

    db_bind_hex(q, 1, hash, STORE_HASH_LEN);
    db_bind_text(q, 2, token->workspace);
    db_bind_text(q, 3, token->agent);
    db_bind_int(q, 4, token->created);
    db_bind_int(q, 5, token->expires);
    return db_run(q);
}

/* Old ones are kept to be told from unknown ones, but not without end. */
static enum rc forget_oldest(struct store *s, const struct store_token *token)
{
    struct db_query *q = db_query(
        s->db, "DELETE FROM agent_tokens WHERE workspace = $1 AND agent = $2"
               " AND replaced IS NOT NULL AND hash NOT IN"
               " (SELECT hash FROM agent_tokens WHERE workspace = $1 AND agent = $2"
               " AND replaced IS NOT NULL ORDER BY replaced DESC, created DESC, hash LIMIT $3)");

    db_bind_text(q, 1, token->workspace);
    db_bind_text(q, 2, token->agent);
    db_bind_int(q, 3, STORE_AGENT_TOKENS_KEPT);
    return db_run(q);
}

static enum rc check_agent(struct store *s, const char *workspace, const char *agent)
{
    struct store_agent row;

    enum rc rc = store_agent_find(s, workspace, agent, &row);
    return rc == RC_OK && row.revoked != 0 ? RC_ABSENT : rc;
}

static enum rc replace_current(struct store *s, const struct store_token *token,
                               const uint8_t by[STORE_HASH_LEN])
{
    struct db_query *q =
        db_query(s->db, "UPDATE agent_tokens SET replaced = $3, replaced_by = $4"
                        " WHERE workspace = $1 AND agent = $2 AND replaced IS NULL");

    db_bind_text(q, 1, token->workspace);
    db_bind_text(q, 2, token->agent);
    db_bind_int(q, 3, token->created);
    db_bind_hex(q, 4, by, STORE_HASH_LEN);
    return db_run(q);
}

enum rc store_token_create(struct store *s, const char *workspace, const char *agent,
                           const uint8_t hash[STORE_HASH_LEN], int64_t now, int64_t expires,
                           struct store_token *out)
{
    struct store_token token = {.state = STORE_TOKEN_VALID, .created = now, .expires = expires};

    if (expires <= now)
        return RC_INPUT;
    if (text_copy(token.workspace, sizeof token.workspace, workspace) != RC_OK ||
        text_copy(token.agent, sizeof token.agent, agent) != RC_OK)
        return RC_ABSENT;

    enum rc rc = db_begin(s->db);
    if (rc != RC_OK)
        return rc;
    rc = check_agent(s, workspace, agent);
    if (rc == RC_OK)
        rc = replace_current(s, &token, hash);
    if (rc == RC_OK)
        rc = insert(s, hash, &token);
    if (rc == RC_OK)
        rc = forget_oldest(s, &token);
    rc = db_end(s->db, rc);
    if (rc == RC_OK)
        *out = token;
    return rc;
}

/* Only the first use: it ends the right of the token before to rotate again. */
static void note_use(struct store *s, const uint8_t hash[STORE_HASH_LEN],
                     const struct token_row *row, int64_t now)
{
    if (row->used != 0)
        return;
    struct db_query *q =
        db_query(s->db, "UPDATE agent_tokens SET used = $2 WHERE hash = $1 AND used IS NULL");
    db_bind_hex(q, 1, hash, STORE_HASH_LEN);
    db_bind_int(q, 2, now);
    enum rc rc = db_run(q);
    (void)rc; /* logged; whoever has a good token gets in on a full disk too */
}

enum rc store_token_find(struct store *s, const uint8_t hash[STORE_HASH_LEN], int64_t now,
                         struct store_token *out)
{
    struct token_row row;

    enum rc rc = find(s, hash, now, &row);
    if (rc != RC_OK)
        return rc;
    *out = row.token;
    if (row.token.state != STORE_TOKEN_VALID)
        return RC_AUTH;
    note_use(s, hash, &row, now);
    return RC_OK;
}

/* Takes back a replacement that nobody has used. RC_EXISTS: somebody has. */
static enum rc withdraw(struct store *s, const char *hash_hex, const char *by_hex, int64_t now)
{
    struct db_query *q =
        db_query(s->db, "UPDATE agent_tokens SET replaced = $2, replaced_by = $3"
                        " WHERE hash = $1 AND used IS NULL AND replaced IS NULL RETURNING hash");

    db_bind_text(q, 1, hash_hex);
    db_bind_int(q, 2, now);
    db_bind_text(q, 3, by_hex);
    enum rc rc = db_finish(q, db_next(q));
    return rc == RC_ABSENT ? RC_EXISTS : rc;
}

/* `old` points at `fresh` now; its grace, once begun, is not made longer. */
static enum rc point_at(struct store *s, const uint8_t old[STORE_HASH_LEN], const char *fresh_hex,
                        int64_t now, int64_t grace_until)
{
    struct db_query *q =
        db_query(s->db, "UPDATE agent_tokens SET replaced = $2, replaced_by = $3,"
                        " grace_until = coalesce(grace_until, $4) WHERE hash = $1");

    db_bind_hex(q, 1, old, STORE_HASH_LEN);
    db_bind_int(q, 2, now);
    db_bind_text(q, 3, fresh_hex);
    db_bind_int(q, 4, grace_until);
    return db_run(q);
}

/* Inside a transaction. RC_EXISTS: another rotation of `old` counts. */
static enum rc rotate(struct store *s, const uint8_t old[STORE_HASH_LEN],
                      const uint8_t fresh[STORE_HASH_LEN], int64_t grace_until,
                      struct store_token *token)
{
    char fresh_hex[HASH_HEX_SIZE];
    struct token_row row, again;
    int64_t now = token->created;

    text_hex(reader_of(fresh, STORE_HASH_LEN), fresh_hex);
    enum rc rc = find(s, old, now, &row);
    if (rc != RC_OK)
        return rc;
    if (row.token.state != STORE_TOKEN_VALID && row.token.state != STORE_TOKEN_ROTATE_ONLY)
        return RC_AUTH;
    memcpy(token->agent, row.token.agent, sizeof token->agent);
    memcpy(token->workspace, row.token.workspace, sizeof token->workspace);

    if (row.token.state == STORE_TOKEN_ROTATE_ONLY) {
        if (strcmp(row.replaced_by, fresh_hex) == 0) {
            rc = find(s, fresh, now, &again);
            if (rc == RC_OK)
                *token = again.token;
            return rc == RC_OK && again.token.state != STORE_TOKEN_VALID ? RC_EXISTS : rc;
        }
        if (now < row.replaced + STORE_ROTATE_AGAIN_S)
            return RC_EXISTS;
        rc = withdraw(s, row.replaced_by, fresh_hex, now);
    }
    if (rc == RC_OK)
        rc = point_at(s, old, fresh_hex, now, grace_until);
    if (rc == RC_OK)
        rc = insert(s, fresh, token);
    if (rc == RC_OK)
        rc = forget_oldest(s, token);
    return rc;
}

enum rc store_token_rotate(struct store *s, const uint8_t old[STORE_HASH_LEN],
                           const uint8_t fresh[STORE_HASH_LEN], int64_t now, int64_t expires,
                           int64_t grace_s, struct store_token *out)
{
    struct store_token token = {.state = STORE_TOKEN_VALID, .created = now, .expires = expires};

    if (expires <= now || grace_s < 0)
        return RC_INPUT;
    enum rc rc = db_begin(s->db);
    if (rc != RC_OK)
        return rc;
    rc = rotate(s, old, fresh, now + grace_s, &token);
    rc = db_end(s->db, rc);
    if (rc == RC_OK)
        *out = token;
    return rc;
}
