#include "hub/service/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/reader.h"
#include "base/text.h"

static void describe(struct identity *who, const struct store_agent *agent,
                     const struct store_workspace *workspace, int64_t expires)
{
    text_message(who->agent, sizeof who->agent, "%s", agent->id);
    text_message(who->workspace, sizeof who->workspace, "%s", workspace->id);
    text_message(who->workspace_name, sizeof who->workspace_name, "%s", workspace->name);
    text_message(who->label, sizeof who->label, "%s", agent->label);
    text_hex(reader_of(agent->public_key, sizeof agent->public_key), who->public_key);
    who->token_expires = expires;
}

static const char *state_text(enum store_token_state state)
{
    static const char *const texts[] = {
        [STORE_TOKEN_VALID] = "valid",       [STORE_TOKEN_ROTATE_ONLY] = "replaced",
        [STORE_TOKEN_REPLACED] = "replaced", [STORE_TOKEN_EXPIRED] = "expired",
        [STORE_TOKEN_REVOKED] = "revoked",
    };

    return texts[state];
}

static enum rc find(struct access *a, struct store *s)
{
    struct store_token token;
    struct store_agent agent;
    struct store_workspace workspace;

    enum rc rc = store_token_find(s, a->token.bytes, a->now, &token);
    if (rc == RC_AUTH)
        log_info("access.refused", log_str("agent", token.agent),
                 log_str("token", state_text(token.state)));
    if (rc == RC_OK)
        rc = store_agent_find(s, token.workspace, token.agent, &agent);
    if (rc == RC_OK && agent.revoked != 0)
        rc = RC_AUTH;
    if (rc == RC_OK)
        rc = store_workspace_find(s, token.workspace, &workspace);
    if (rc == RC_OK)
        describe(&a->who, &agent, &workspace, token.expires);
    return rc == RC_ABSENT ? RC_AUTH : rc;
}

static void run(struct store_job *job, struct store *s)
{
    struct access *a = (struct access *)job;

    outcome_set(&a->outcome, find(a, s), s);
}

enum rc access_submit(struct store *s, struct access *a, void (*done)(struct store_job *job))
{
    a->job = (struct store_job){.run = run, .done = done};
    a->now = clock_unix();
    return store_submit(s, &a->job);
}
