#include "hub/service/audit.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "hub/service/outcome.h"

/* A row on its way to the store. */
struct writing {
    struct store_job job;
    struct outcome outcome;
    char workspace[STORE_ID_SIZE], actor[STORE_ID_SIZE], address[STORE_ADDRESS_SIZE];
    const char *type; /* a constant */
    char subject[STORE_SUBJECT_SIZE];
    char *detail;
    int64_t now;
    audit_done *done;
    void *owner;
};

/* The caller frees it. NULL for no fields. */
static char *to_json(const struct audit_field *fields)
{
    if (fields == NULL || fields->key == NULL)
        return NULL;
    json_t *object = json_object();
    for (; fields->key; fields++) {
        json_t *value = fields->text ? json_string(fields->text) : json_integer(fields->number);
        (void)json_object_set_new(object, fields->key, value ? value : json_null());
    }
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

enum rc audit_append(struct store *s, const struct audit_row *row, int64_t now)
{
    char *detail = to_json(row->detail);
    struct store_audit_entry entry = {.type = row->type,
                                      .actor = row->actor,
                                      .subject = row->subject,
                                      .address = row->address,
                                      .detail = detail};

    enum rc rc = store_audit_append(s, row->workspace, &entry, now, NULL);
    free(detail);
    return rc;
}

static void run(struct store_job *job, struct store *s)
{
    struct writing *w = (struct writing *)job;
    struct store_audit_entry entry = {.type = w->type,
                                      .actor = w->actor,
                                      .subject = w->subject,
                                      .address = w->address,
                                      .detail = w->detail};

    outcome_set(&w->outcome, store_audit_append(s, w->workspace, &entry, w->now, NULL), s);
}

static void lost(const struct writing *w)
{
    log_error("audit.lost", log_str("type", w->type), log_str("workspace", w->workspace),
              log_str("actor", w->actor), log_str("subject", w->subject));
}

static void finished(struct store_job *job)
{
    struct writing *w = (struct writing *)job;

    if (w->outcome.rc != RC_OK) {
        (void)outcome_is_unavailable(&w->outcome, "audit");
        lost(w);
    }
    if (w->done)
        w->done(w->owner, w->outcome.rc);
    free(w->detail);
    free(w);
}

static void copy(char *out, size_t size, const char *from)
{
    text_message(out, size, "%s", from ? from : "");
}

bool audit_write(struct store *s, const struct audit_row *row, audit_done *done, void *owner)
{
    struct writing *w = mem_zalloc(sizeof *w);

    w->job = (struct store_job){.run = run, .done = finished};
    copy(w->workspace, sizeof w->workspace, row->workspace);
    copy(w->actor, sizeof w->actor, row->actor);
    copy(w->subject, sizeof w->subject, row->subject);
    copy(w->address, sizeof w->address, row->address);
    w->type = row->type;
    w->detail = to_json(row->detail);
    w->now = clock_unix();
    w->done = done;
    w->owner = owner;
    enum rc rc = store_submit(s, &w->job);
    if (rc == RC_OK)
        return true;
    outcome_refused(rc, "audit");
    lost(w);
    free(w->detail);
    free(w);
    return false;
}
