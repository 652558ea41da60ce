#include "agent/enrol.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/hub_error.h"
#include "agent/json.h"
#include "agent/uplink.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/identity.h"
#include "crypto/outer_tls.h"

/*
 *   MEET: GET /version, authorities --certificate not trusted, nothing pinned--> GREET
 *   GREET: GET /version, any certificate, which is pinned from here on
 *   ASK: POST /v1/agents
 * A hub that was pinned before is met with that pin only.
 */
enum step { MEET, GREET, ASK };

struct enrol {
    struct enrol_setup setup;
    const struct enrol_events *events;
    void *owner;
    enum step step;
    struct hub_call *call;
    bool first_contact;
    struct task later;
    struct failure why;
};

static void take_step(struct enrol *e);

/* --- the end --------------------------------------------------------------------------------- */

static void dispose(struct enrol *e)
{
    hub_call_cancel(e->call);
    task_cancel(&e->later);
    free(e);
}

void enrol_cancel(struct enrol *e)
{
    if (e)
        dispose(e);
}

static void fail(struct enrol *e)
{
    const struct enrol_events *events = e->events;
    void *owner = e->owner;
    struct failure why = e->why;

    dispose(e);
    events->on_failed(owner, &why);
}

/* --- trust ----------------------------------------------------------------------------------- */

enum rc enrol_trust(struct hub_address *hub, const char *pinned, bool first_contact)
{
    struct outer_trust trust = {.first_contact = first_contact};
    struct ssl_ctx_st *context;

    if (!hub->tls)
        return RC_OK;
    if (pinned[0] != '\0') {
        trust.pinned = true;
        if (fingerprint_parse(pinned, trust.pin) != RC_OK)
            return RC_INPUT;
    }
    enum rc rc = outer_tls_client(&trust, &context);
    if (rc != RC_OK)
        return rc;
    outer_tls_free(hub->context);
    hub->context = context;
    return RC_OK;
}

static void trust_or_fail(struct enrol *e)
{
    if (enrol_trust(e->setup.hub, e->setup.pinned, e->step == GREET) == RC_OK) {
        take_step(e);
        return;
    }
    failure_set(&e->why, "other", "TLS cannot be set up on this machine");
    fail(e);
}

/* From here on it is this certificate or none. */
static void pin(struct enrol *e, const struct hub_call *call)
{
    uint8_t shown[FINGERPRINT_LEN];

    if (hub_call_fingerprint(call, shown) != RC_OK)
        return;
    fingerprint_text(shown, e->setup.pinned);
    e->first_contact = true;
    log_info("enrol.pinned", log_str("hub", e->setup.pinned));
}

/* --- answers --------------------------------------------------------------------------------- */

static bool speaks_ours(const json_t *version)
{
    const json_t *protocol = json_object_get(version, "protocol");
    uint64_t min, max;

    return json_copy_number(protocol, "min", 0, UINT32_MAX, &min) == RC_OK &&
           json_copy_number(protocol, "max", 0, UINT32_MAX, &max) == RC_OK &&
           min <= UPLINK_PROTOCOL && max >= UPLINK_PROTOCOL;
}

static void take_version(struct enrol *e, unsigned status, const json_t *answer)
{
    char version[64];

    if (status != 200 || !json_is_object(json_object_get(answer, "protocol"))) {
        failure_set(&e->why, "hub_unavailable", "the answer (%u) is not that of a hub", status);
        failure_hint(&e->why, "is this the address of a hub?");
        fail(e);
        return;
    }
    if (!speaks_ours(answer)) {
        json_copy_remark(answer, "version", version, sizeof version);
        failure_set(&e->why, "incompatible",
                    "the hub (%s) speaks another version of the protocol than this program (%s)",
                    version, CONNECT_VERSION);
        failure_hint(&e->why, "install the version that belongs to the hub");
        fail(e);
        return;
    }
    if (e->step == GREET)
        pin(e, e->call);
    e->step = ASK;
    trust_or_fail(e);
}

static void take_token(struct enrol *e, unsigned status, struct reader body, const json_t *answer)
{
    const struct enrol_events *events = e->events;
    void *owner = e->owner;
    bool first_contact = e->first_contact;

    if (status == 201) {
        dispose(e);
        events->on_enrolled(owner, answer, first_contact);
        return;
    }
    hub_error_of_answer(status, body, &e->why);
    if (status == 401) {
        failure_set(&e->why, "not_logged_in", "the hub does not take this API key");
        failure_hint(&e->why, "get a new one: connect-hub key create --workspace NAME");
    }
    fail(e);
}

static void on_answer(void *owner, unsigned status, struct reader body)
{
    struct enrol *e = owner;
    json_t *answer =
        body.left > 0 ? json_loadb((const char *)body.at, body.left, JSON_REJECT_DUPLICATES, NULL)
                      : NULL;

    if (e->step == ASK) {
        e->call = NULL;
        take_token(e, status, body, answer);
    } else {
        take_version(e, status, answer);
    }
    json_decref(answer);
}

static void on_upgrade(void *owner, struct channel *ch, const struct http1_head *head,
                       struct reader rest)
{
    (void)owner, (void)ch, (void)head, (void)rest; /* never asked for */
}

static void on_failed(void *owner, enum rc why, const char *text)
{
    struct enrol *e = owner;
    const struct hub_call *call = e->call;

    e->call = NULL;
    if (why == RC_AUTH && e->step == MEET && e->setup.pinned[0] == '\0') {
        e->step = GREET;
        trust_or_fail(e);
        return;
    }
    hub_error_of_call(call, why, text, e->setup.pinned, &e->why);
    fail(e);
}

static const struct hub_call_events call_events = {on_answer, on_upgrade, on_failed};

/* --- steps ----------------------------------------------------------------------------------- */

static void ask_version(struct enrol *e)
{
    struct hub_call_request request = {.method = "GET", .path = "/version"};

    e->call = hub_call_start(e->setup.loop, e->setup.hub, &request, &call_events, e);
}

/* "linux" */
static void name_system(char out[32])
{
    struct utsname system;

    text_message(out, 32, "%s", uname(&system) == 0 ? system.sysname : "unknown");
    for (char *c = out; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

/* The hub must not let anybody in who knows no more of an agent than its public key. */
static enum rc prove(const struct enrol *e, char out[2 * IDENTITY_PROOF_LEN + 1])
{
    struct token_hash api_key;
    uint8_t proof[IDENTITY_PROOF_LEN];

    enum rc rc = token_hash_of(TOKEN_API_KEY, reader_of_text(e->setup.api_key), &api_key);
    if (rc == RC_OK)
        rc = identity_prove(e->setup.identity, &api_key, proof);
    if (rc == RC_OK)
        text_hex(reader_of(proof, sizeof proof), out);
    return rc;
}

static void ask_token(struct enrol *e)
{
    char hex[2 * IDENTITY_KEY_LEN + 1], proof[2 * IDENTITY_PROOF_LEN + 1], system[32];

    if (prove(e, proof) != RC_OK) {
        failure_set(&e->why, "other", "the identity key cannot sign");
        fail(e);
        return;
    }
    text_hex(reader_of(identity_public(e->setup.identity), IDENTITY_KEY_LEN), hex);
    name_system(system);
    json_t *body =
        json_pack("{s:o, s:s, s:s, s:s, s:s}", "label", json_text(e->setup.label), "public_key",
                  hex, "proof", proof, "version", CONNECT_VERSION, "os", system);
    char *text = json_line(body);
    struct hub_call_request request = {.method = "POST",
                                       .path = "/v1/agents",
                                       .bearer = e->setup.api_key,
                                       .body = reader_of_text(text)};
    e->call = hub_call_start(e->setup.loop, e->setup.hub, &request, &call_events, e);
    free(text);
    json_decref(body);
}

static void take_step(struct enrol *e)
{
    if (e->step == ASK)
        ask_token(e);
    else
        ask_version(e);
}

static void begin(void *owner)
{
    trust_or_fail(owner);
}

struct enrol *enrol_start(const struct enrol_setup *setup, const struct enrol_events *events,
                          void *owner)
{
    struct enrol *e = mem_zalloc(sizeof *e);

    *e = (struct enrol){.setup = *setup, .events = events, .owner = owner, .step = MEET};
    task_init(&e->later, setup->loop, begin, e);
    task_soon(&e->later);
    return e;
}
