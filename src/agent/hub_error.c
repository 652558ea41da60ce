#include "agent/hub_error.h"

#include <stddef.h>
#include <string.h>

#include "agent/json.h"
#include "crypto/outer_tls.h"

enum { REMARK_SIZE = 400 };

/* --- calls ----------------------------------------------------------------------------------- */

static void explain_certificate(const struct hub_call *call, const char *text, const char *pinned,
                                struct failure *out)
{
    uint8_t shown[FINGERPRINT_LEN];
    char now[FINGERPRINT_TEXT_SIZE] = "none";

    if (hub_call_fingerprint(call, shown) == RC_OK)
        fingerprint_text(shown, now);
    if (pinned[0] != '\0')
        failure_set(out, "hub_changed",
                    "the hub's certificate is not the expected one: expected %s, now %s", pinned,
                    now);
    else
        failure_set(out, "hub_changed", "%s (its fingerprint is %s)", text, now);
    failure_hint(
        out, "ask who runs the hub; if it has a new certificate: connect up --hub-fingerprint %s",
        now);
}

void hub_error_of_call(const struct hub_call *call, enum rc rc, const char *text,
                       const char *pinned, struct failure *out)
{
    if (rc == RC_AUTH) {
        explain_certificate(call, text, pinned, out);
        return;
    }
    failure_set(out, "hub_unavailable", "the hub cannot be reached: %s", text);
    failure_hint(out, rc == RC_PROTO ? "is this the address of a hub?"
                                     : "is the hub running, and can this machine reach it?");
}

/* --- answers --------------------------------------------------------------------------------- */

void hub_error_logged_out(struct failure *out, const char *text)
{
    failure_set(out, "not_logged_in", "this agent is logged out: %s", text);
    failure_hint(out, "log in again: connect down, then connect up --api-key KEY");
}

static void read_remark(struct reader body, char out[REMARK_SIZE])
{
    json_t *answer =
        body.left > 0 ? json_loadb((const char *)body.at, body.left, JSON_REJECT_DUPLICATES, NULL)
                      : NULL;

    json_copy_remark(json_object_get(answer, "error"), "message", out, REMARK_SIZE);
    json_decref(answer);
}

void hub_error_of_answer(unsigned status, struct reader body, struct failure *out)
{
    char remark[REMARK_SIZE];

    read_remark(body, remark);
    if (status == 401) {
        hub_error_logged_out(out, remark[0] ? remark : "the hub does not take its token");
    } else if (status == 403) {
        failure_set(out, "denied", "the hub refuses: %s", remark[0] ? remark : "forbidden");
    } else if (status == 426) {
        failure_set(out, "incompatible", "the hub speaks another version: %s", remark);
    } else if (status == 400 || status == 409 || status == 429) {
        failure_set(out, "other", "the hub refuses: %s", remark[0] ? remark : "no reason given");
    } else if (status >= 500) {
        failure_set(out, "hub_unavailable", "the hub cannot help now: %s",
                    remark[0] ? remark : "no reason given");
        failure_hint(out, "try again in a moment");
    } else {
        failure_set(out, "hub_unavailable", "the answer (%u) is not that of a hub", status);
        failure_hint(out, "is this the address of a hub?");
    }
}

/* --- replies --------------------------------------------------------------------------------- */

/* What the other agent said, which the hub passes on as "code: text". */
static void explain_refusal(const char *remark, struct failure *out)
{
    static const struct {
        const char *theirs, *ours;
    } codes[] = {
        {"key_changed: ", "peer_refused"},
        {"no_such_service: ", "not_found"},
        {"limit: ", "other"},
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        size_t len = strlen(codes[i].theirs);
        if (strncmp(remark, codes[i].theirs, len) != 0)
            continue;
        failure_set(out, codes[i].ours, "the other agent refuses: %s", remark + len);
        return;
    }
    failure_set(out, "denied", "the other agent refuses: %s", remark);
}

void hub_error_of_reply(const json_t *error, struct failure *out)
{
    static const struct {
        const char *theirs, *ours, *hint;
    } codes[] = {
        {"not_found", "not_found", "connect services lists what there is"},
        {"offline", "not_reachable", "it is reachable again when that agent is up"},
        {"taken", "denied", "choose another --name, or unexpose it there"},
        {"bad_request", "usage", ""},
        {"limit", "other", ""},
        {"forbidden", "denied", ""},
        {"unauthorized", "not_logged_in", "connect up --api-key KEY"},
        {"unavailable", "hub_unavailable", "try again in a moment"},
        {"internal", "hub_unavailable", "try again in a moment"},
        {"incompatible", "incompatible", "install the version that belongs to the hub"},
    };
    char code[64], remark[REMARK_SIZE];

    json_copy_remark(error, "code", code, sizeof code);
    json_copy_remark(error, "message", remark, sizeof remark);
    if (strcmp(code, "refused") == 0) {
        explain_refusal(remark, out);
        return;
    }
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(codes[i].theirs, code) != 0)
            continue;
        failure_set(out, codes[i].ours, "%s", remark[0] ? remark : code);
        failure_hint(out, "%s", codes[i].hint);
        return;
    }
    failure_set(out, "other", "the hub refuses: %s", remark[0] ? remark : "no reason given");
}
