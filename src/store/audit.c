#include <stdlib.h>

#include "base/mem.h"
#include "store/inside.h"

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static bool fits(const char *text, size_t size)
{
    return strlen(or_empty(text)) < size;
}

static bool is_valid(const struct store_audit_entry *e)
{
    return or_empty(e->type)[0] != '\0' && fits(e->type, STORE_TYPE_SIZE) &&
           fits(e->actor, STORE_ID_SIZE) && fits(e->subject, STORE_SUBJECT_SIZE) &&
           fits(e->address, STORE_ADDRESS_SIZE) && fits(e->detail, STORE_DETAIL_SIZE);
}

/* The counter stands in the workspace's row, so that two writers of one log wait for each other
 * and a row missing at the end of the log is noticed. */
static enum rc next_seq(struct store *s, const char *workspace, int64_t *out)
{
    struct db_query *q = db_query(s->db, "UPDATE workspaces SET audit_seq = audit_seq + 1"
                                         " WHERE id = $1 RETURNING audit_seq");

    db_bind_text(q, 1, workspace);
    enum rc rc = db_next(q);
    if (rc == RC_OK)
        *out = db_int(q, 0);
    return db_finish(q, rc);
}

static enum rc insert(struct store *s, const char *workspace, const struct store_audit_entry *e,
                      int64_t now, int64_t seq)
{
    struct db_query *q = db_query(
        s->db, "INSERT INTO audit (workspace, seq, time, type, actor, subject, address, detail)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");

    db_bind_text(q, 1, workspace);
    db_bind_int(q, 2, seq);
    db_bind_int(q, 3, now);
    db_bind_text(q, 4, e->type);
    db_bind_text(q, 5, or_empty(e->actor));
    db_bind_text(q, 6, or_empty(e->subject));
    db_bind_text(q, 7, or_empty(e->address));
    db_bind_text(q, 8, or_empty(e->detail));
    return db_run(q);
}

enum rc store_audit_append(struct store *s, const char *workspace,
                           const struct store_audit_entry *entry, int64_t now, int64_t *seq)
{
    int64_t given = 0;

    if (!is_valid(entry))
        return RC_INPUT;
    enum rc rc = db_begin(s->db);
    if (rc != RC_OK)
        return rc;
    rc = next_seq(s, workspace, &given);
    if (rc == RC_OK)
        rc = insert(s, workspace, entry, now, given);
    rc = db_end(s->db, rc);
    if (rc == RC_OK && seq != NULL)
        *seq = given;
    return rc;
}

static void read_row(struct db_query *q, struct store_audit *out)
{
    out->seq = db_int(q, 0);
    out->time = db_int(q, 1);
    db_text(q, 2, out->workspace, sizeof out->workspace);
    db_text(q, 3, out->type, sizeof out->type);
    db_text(q, 4, out->actor, sizeof out->actor);
    db_text(q, 5, out->subject, sizeof out->subject);
    db_text(q, 6, out->address, sizeof out->address);
    out->detail = db_text_dup(q, 7);
}

enum rc store_audit_list(struct store *s, const char *workspace,
                         const struct store_audit_filter *filter, int64_t before, size_t limit,
                         struct store_audit_list *out)
{
    struct db_query *q = db_query(
        s->db, "SELECT seq, time, workspace, type, actor, subject, address, detail FROM audit"
               " WHERE workspace = $1 AND seq < $2 AND time >= $3 AND time < $4"
               " AND ($5 = '' OR type = $5) AND ($6 = '' OR actor = $6)"
               " AND ($7 = '' OR subject = $7) ORDER BY seq DESC LIMIT $8");
    struct store_audit_list list = {0};
    enum rc rc;

    db_bind_text(q, 1, workspace);
    db_bind_int(q, 2, before != 0 ? before : INT64_MAX);
    db_bind_int(q, 3, filter->from != 0 ? filter->from : INT64_MIN);
    db_bind_int(q, 4, filter->until != 0 ? filter->until : INT64_MAX);
    db_bind_text(q, 5, or_empty(filter->type));
    db_bind_text(q, 6, or_empty(filter->actor));
    db_bind_text(q, 7, or_empty(filter->subject));
    db_bind_int(q, 8, page_rows(limit));
    while ((rc = db_next(q)) == RC_OK) {
        list.items = mem_resize(list.items, (list.count + 1) * sizeof *list.items);
        read_row(q, &list.items[list.count++]);
    }
    rc = db_finish(q, rc == RC_EOF ? RC_OK : rc);
    if (rc == RC_OK)
        *out = list;
    else
        store_audit_list_done(&list);
    return rc;
}

void store_audit_list_done(struct store_audit_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].detail);
    free(list->items);
    *list = (struct store_audit_list){0};
}
