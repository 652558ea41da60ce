#include "hub/service/enrol.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "hub/service/audit.h"

enum { SECONDS_PER_DAY = 24 * 3600 };

static enum rc find_or_make_agent(struct enrol *e, struct store *s, const struct store_key *key)
{
    enum rc rc = store_agent_find_key(s, key->workspace, e->public_key, &e->agent);

    if (rc == RC_ABSENT)
        return store_agent_create(s, key->workspace, e->label, e->public_key, key->id, e->now,
                                  &e->agent);
    if (rc != RC_OK || strcmp(e->agent.label, e->label) == 0)
        return rc;
    rc = store_agent_rename(s, key->workspace, e->agent.id, e->label);
    if (rc == RC_OK)
        text_message(e->agent.label, sizeof e->agent.label, "%s", e->label);
    return rc;
}

static enum rc note(struct enrol *e, struct store *s, const struct store_key *key)
{
    const struct audit_field detail[] = {
        AUDIT_TEXT("label", e->label),
        AUDIT_TEXT("version", e->version),
        AUDIT_TEXT("os", e->os),
        AUDIT_NUMBER("token_expires", e->token_expires),
        AUDIT_END,
    };
    const struct audit_row row = {.workspace = key->workspace,
                                  .type = "token.created",
                                  .actor = key->id,
                                  .subject = e->agent.id,
                                  .address = e->ip,
                                  .detail = detail};

    return audit_append(s, &row, e->now);
}

static enum rc admit(struct enrol *e, struct store *s, const struct store_key *key)
{
    struct store_token token;

    enum rc rc = store_workspace_find(s, key->workspace, &e->workspace);
    if (rc == RC_OK)
        rc = find_or_make_agent(e, s, key);
    if (rc == RC_OK)
        rc = store_token_create(s, key->workspace, e->agent.id, e->fresh.bytes, e->now,
                                e->token_expires, &token);
    if (rc == RC_OK)
        rc = note(e, s, key);
    return rc;
}

static void run(struct store_job *job, struct store *s)
{
    struct enrol *e = (struct enrol *)job;
    struct store_key key;

    enum rc rc = store_key_find(s, e->api_key.bytes, e->now, &key);
    if (rc == RC_ABSENT)
        rc = RC_AUTH;
    if (rc == RC_OK && identity_check_proof(e->public_key, &e->api_key, e->proof) != RC_OK)
        rc = RC_INPUT;
    if (rc == RC_OK)
        rc = store_begin(s);
    if (rc == RC_OK)
        rc = store_end(s, admit(e, s, &key));
    outcome_set(&e->outcome, rc, s);
}

enum rc enrol_submit(struct store *s, struct enrol *e, void (*done)(struct store_job *job))
{
    e->job = (struct store_job){.run = run, .done = done};
    e->now = clock_unix();
    e->token_expires = e->now + e->token_days * SECONDS_PER_DAY;
    return store_submit(s, &e->job);
}
