#include "hub/api/api.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/token.h"
#include "hub/control_message.h"
#include "hub/hub.h"
#include "hub/service/enrol.h"

enum { ENROL_BODY_MAX = 4 * 1024 };

struct enrolling {
    struct enrol enrol;
    struct request *request;
    struct token token;
};

static void enrolling_free(struct enrolling *e)
{
    token_wipe(&e->token);
    free(e);
}

static void admitted(struct enrolling *e)
{
    const struct enrol *n = &e->enrol;
    char expires[CLOCK_TEXT_SIZE], ip[CLIENT_IP_SIZE];

    clock_text(n->token_expires, expires);
    client_ip_mask(e->request->ip, ip);
    log_info("agent.enrolled", log_str("agent", n->agent.id), log_str("label", n->agent.label),
             log_str("workspace", n->workspace.name), log_str("ip", ip));
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "agent_id", n->agent.id, "token",
                               e->token.text, "token_expires", expires, "workspace",
                               n->workspace.name, "label", n->agent.label);
    char *body = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    request_answer(e->request, 201, body);
}

static void on_enrolled(struct store_job *job)
{
    struct enrolling *e = list_entry(job, struct enrolling, enrol.job);

    if (outcome_is_unavailable(&e->enrol.outcome, "enrol"))
        request_unavailable(e->request);
    else if (e->enrol.outcome.rc == RC_OK)
        admitted(e);
    else if (e->enrol.outcome.rc == RC_INPUT)
        request_fail(e->request, 400, "proof: it is not this public key's, for this API key");
    else if (e->enrol.outcome.rc == RC_LIMIT)
        request_fail(e->request, 429, "The workspace has as many agents as it may have");
    else
        request_unauthorized(e->request);
    enrolling_free(e);
}

static bool copy_text(char *out, size_t size, const char *text)
{
    return text == NULL || text_copy(out, size, text) == RC_OK;
}

static bool is_plain(const char *text)
{
    return *text == '\0' || control_is_label(text);
}

/* The members as they stand. NULL: fine; else what is wrong. */
static const char *take_members(struct enrol *n, json_t *object, char why[CONTROL_WHY_SIZE])
{
    const char *label = NULL, *key = NULL, *proof = NULL, *version = NULL, *os = NULL;
    json_error_t error;

    if (json_unpack_ex(object, &error, 0, "{s:s, s:s, s:s, s?s, s?s !}", "label", &label,
                       "public_key", &key, "proof", &proof, "version", &version, "os", &os) != 0) {
        text_message(why, CONTROL_WHY_SIZE, "The body is not as it should be: %s", error.text);
        return why;
    }
    if (!control_is_label(label) || !copy_text(n->label, sizeof n->label, label))
        return "label: 1 to 63 printable characters are wanted";
    if (text_unhex(key, n->public_key, sizeof n->public_key) != RC_OK)
        return "public_key: 64 hex digits are wanted";
    if (text_unhex(proof, n->proof, sizeof n->proof) != RC_OK)
        return "proof: 128 hex digits are wanted";
    if (!copy_text(n->version, sizeof n->version, version) || !copy_text(n->os, sizeof n->os, os) ||
        !is_plain(n->version) || !is_plain(n->os))
        return "version, os: short printable texts are wanted";
    return NULL;
}

static const char *take_body(struct enrol *n, const struct request *q, char why[CONTROL_WHY_SIZE])
{
    struct reader body = http_body(q->exchange);
    json_error_t error;

    if (body.left > ENROL_BODY_MAX)
        return "The body is too large";
    json_t *object = json_loadb((const char *)body.at, body.left, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        text_message(why, CONTROL_WHY_SIZE, "The body is not JSON: %s", error.text);
        return why;
    }
    const char *wrong = take_members(n, object, why);
    json_decref(object);
    return wrong;
}

void api_agents_create(struct request *q)
{
    struct enrolling *e = mem_zalloc(sizeof *e);
    char why[CONTROL_WHY_SIZE];

    const char *wrong = take_body(&e->enrol, q, why);
    if (wrong) {
        enrolling_free(e);
        request_fail(q, 400, wrong);
        return;
    }
    e->request = q;
    e->enrol.api_key = q->secret;
    e->enrol.token_days = (int64_t)q->hub->config->token_days;
    text_message(e->enrol.ip, sizeof e->enrol.ip, "%s", q->ip);
    token_make(TOKEN_AGENT, &e->token);
    e->enrol.fresh = token_hash(&e->token);
    enum rc rc = enrol_submit(q->hub->store, &e->enrol, on_enrolled);
    if (rc == RC_OK)
        return;
    enrolling_free(e);
    outcome_refused(rc, "enrol");
    request_unavailable(q);
}

void api_whoami(struct request *q)
{
    char expires[CLOCK_TEXT_SIZE];

    clock_text(q->who.token_expires, expires);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s}", "agent_id", q->who.agent, "label", q->who.label,
                  "workspace", q->who.workspace_name, "token_expires", expires);
    char *body = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    request_answer(q, 200, body);
}
