#include "agent/pins.h"

#include <stdlib.h>
#include <string.h>

#include "agent/json.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

/*
 * {"v":1, "agents":{"ag_…":{"key":"<hex>","label":"prod","since":"…"}},
 *         "services":{"prod-db":{"agent":"ag_…","moved_to":"ag_…"}}}
 */
enum {
    PINS_MAX = 4096
}; /* agents, and services: a hub that makes up more must not fill the disk */

struct pins {
    char *path;
    uint8_t own_key[IDENTITY_KEY_LEN];
    json_t *document, *agents, *services; /* the latter two borrowed from the first */
};

/* --- the file -------------------------------------------------------------------------------- */

static enum rc bad_entry(const char *path, const char *kind, const char *name, struct failure *why)
{
    failure_set(why, "other", "%s is broken: the entry of the %s \"%.64s\" makes no sense", path,
                kind, name);
    failure_hint(why, "put it right, or move it away: then every agent counts as never met");
    return RC_INPUT;
}

/* The object `name` of the document, made if absent. NULL: it is something else. */
static json_t *section(json_t *document, const char *name)
{
    json_t *object = json_object_get(document, name);

    if (object == NULL) {
        object = json_object();
        (void)json_object_set_new(document, name, object);
    }
    return json_is_object(object) ? object : NULL;
}

static enum rc check(const struct pins *p, struct failure *why)
{
    const char *name;
    json_t *entry;
    uint8_t key[IDENTITY_KEY_LEN];
    char agent[64];

    if (p->agents == NULL || p->services == NULL) {
        failure_set(why, "other", "%s is broken: \"agents\" and \"services\" must be objects",
                    p->path);
        return RC_INPUT;
    }
    json_object_foreach(p->agents, name, entry) if (json_copy_hex(entry, "key", key, sizeof key) !=
                                                    RC_OK) return bad_entry(p->path, "agent", name,
                                                                            why);
    json_object_foreach(p->services, name,
                        entry) if (json_copy_text(entry, "agent", agent, sizeof agent) !=
                                   RC_OK) return bad_entry(p->path, "service", name, why);
    return RC_OK;
}

enum rc pins_load(const char *path, const uint8_t own_key[IDENTITY_KEY_LEN], struct pins **out,
                  struct failure *why)
{
    struct pins *p = mem_zalloc(sizeof *p);

    p->path = text_dup(path);
    memcpy(p->own_key, own_key, sizeof p->own_key);
    enum rc rc = json_file_load(path, &p->document, why);
    if (rc == RC_ABSENT) {
        p->document = json_pack("{s:i}", "v", JSON_FILE_VERSION);
        rc = RC_OK;
    }
    if (rc == RC_OK) {
        p->agents = section(p->document, "agents");
        p->services = section(p->document, "services");
        rc = check(p, why);
    }
    if (rc != RC_OK) {
        pins_free(p);
        return rc;
    }
    *out = p;
    return RC_OK;
}

void pins_free(struct pins *p)
{
    if (p == NULL)
        return;
    json_decref(p->document);
    free(p->path);
    free(p);
}

static void save(struct pins *p)
{
    struct failure why;

    if (json_file_save(p->path, p->document, &why) != RC_OK)
        log_error("pins.save", log_str("why", why.message));
}

/* --- judging --------------------------------------------------------------------------------- */

enum rc pins_find(const struct pins *p, const char *agent_id, struct pins_peer *out)
{
    const json_t *entry = json_object_get(p->agents, agent_id);
    struct pins_peer peer = {0};

    if (entry == NULL || text_copy(peer.agent_id, sizeof peer.agent_id, agent_id) != RC_OK ||
        json_copy_hex(entry, "key", peer.key, sizeof peer.key) != RC_OK)
        return RC_ABSENT;
    json_copy_remark(entry, "label", peer.label, sizeof peer.label);
    *out = peer;
    return RC_OK;
}

/* Public keys: no secret to compare in constant time. */
static bool is_same_key(const uint8_t a[IDENTITY_KEY_LEN], const uint8_t b[IDENTITY_KEY_LEN])
{
    return memcmp(a, b, IDENTITY_KEY_LEN) == 0;
}

static const char *name_of(const struct pins_peer *peer)
{
    return peer->label[0] ? peer->label : peer->agent_id;
}

static void explain_key(const struct pins_peer *peer, const struct pins_peer *known,
                        struct failure *why)
{
    char expected[72], shown[72];

    identity_fingerprint(known->key, expected);
    identity_fingerprint(peer->key, shown);
    failure_set(why, "key_changed",
                "the agent %s (%s) shows another key than before: expected %s, now %s",
                name_of(peer), peer->agent_id, expected, shown);
    failure_hint(why, "if it was set up anew: connect verify %s, then connect trust %s",
                 peer->agent_id, peer->agent_id);
}

static void explain_move(const struct pins_peer *peer, const struct pins_peer *before,
                         const char *service, struct failure *why)
{
    char expected[72] = "a key that is not known any more", shown[72];
    uint8_t none[IDENTITY_KEY_LEN] = {0};

    if (!is_same_key(before->key, none))
        identity_fingerprint(before->key, expected);
    identity_fingerprint(peer->key, shown);
    failure_set(why, "service_moved",
                "%s was with the agent %s (%s) and is now with %s (%s): expected %s, now %s",
                service, name_of(before), before->agent_id, name_of(peer), peer->agent_id, expected,
                shown);
    failure_hint(why, "if that is meant: connect trust %s", peer->agent_id);
}

static bool has_moved(const struct pins *p, const struct pins_peer *peer, const char *service,
                      struct failure *why)
{
    const json_t *entry = service ? json_object_get(p->services, service) : NULL;
    struct pins_peer before = {0};

    json_copy_remark(entry, "agent", before.agent_id, sizeof before.agent_id);
    if (before.agent_id[0] == '\0' || strcmp(before.agent_id, peer->agent_id) == 0)
        return false;
    if (pins_find(p, before.agent_id, &before) == RC_OK && is_same_key(before.key, peer->key))
        return false;
    explain_move(peer, &before, service, why);
    return true;
}

enum pins_judgement pins_judge(const struct pins *p, const struct pins_peer *peer,
                               const char *service, struct failure *why)
{
    struct pins_peer known;

    if (is_same_key(peer->key, p->own_key)) {
        failure_set(why, "peer_refused", "the hub names our own key for the agent %s (%s)",
                    name_of(peer), peer->agent_id);
        failure_hint(why, "the hub lies, or two machines share one identity.key");
        return PINS_OWN_KEY;
    }
    bool is_known = pins_find(p, peer->agent_id, &known) == RC_OK;
    if (is_known && !is_same_key(known.key, peer->key)) {
        explain_key(peer, &known, why);
        return PINS_KEY_CHANGED;
    }
    if (has_moved(p, peer, service, why))
        return PINS_SERVICE_MOVED;
    return is_known ? PINS_KNOWN : PINS_NEW;
}

/* --- remembering ----------------------------------------------------------------------------- */

static void put_agent(struct pins *p, const struct pins_peer *peer)
{
    char hex[2 * IDENTITY_KEY_LEN + 1], now[CLOCK_TEXT_SIZE];
    json_t *entry = json_object_get(p->agents, peer->agent_id);

    if (entry == NULL) {
        entry = json_object();
        (void)json_object_set_new(p->agents, peer->agent_id, entry);
    }
    clock_text(clock_unix(), now);
    text_hex(reader_of(peer->key, sizeof peer->key), hex);
    (void)json_object_set_new(entry, "key", json_string(hex));
    (void)json_object_set_new(entry, "label", json_text(peer->label));
    (void)json_object_set_new(entry, "since", json_string(now));
}

static void put_service(struct pins *p, const char *service, const char *agent_id)
{
    json_t *entry = json_object_get(p->services, service);

    if (entry == NULL) {
        entry = json_object();
        (void)json_object_set_new(p->services, service, entry);
    }
    (void)json_object_set_new(entry, "agent", json_text(agent_id));
    (void)json_object_del(entry, "moved_to");
}

static bool service_is_with(const struct pins *p, const char *service, const char *agent_id)
{
    const char *agent =
        json_string_value(json_object_get(json_object_get(p->services, service), "agent"));

    return agent != NULL && strcmp(agent, agent_id) == 0;
}

void pins_remember(struct pins *p, const struct pins_peer *peer, const char *service)
{
    struct pins_peer known;
    bool is_new = pins_find(p, peer->agent_id, &known) != RC_OK;
    bool is_placed = service == NULL || service_is_with(p, service, peer->agent_id);

    if (!is_new && is_placed)
        return;
    if (json_object_size(p->agents) >= PINS_MAX || json_object_size(p->services) >= PINS_MAX) {
        log_warn("pins.full", log_str("agent", peer->agent_id));
        return;
    }
    if (is_new) {
        char shown[72];
        identity_fingerprint(peer->key, shown);
        log_info("pins.first_contact", log_str("agent", peer->agent_id), log_str("key", shown));
        put_agent(p, peer);
    }
    if (!is_placed)
        put_service(p, service, peer->agent_id);
    save(p);
}

enum rc pins_prove(struct pins *p, const struct pins_peer *peer, const char *service,
                   struct failure *why)
{
    enum pins_judgement judgement = pins_judge(p, peer, service, why);

    if (judgement != PINS_NEW && judgement != PINS_KNOWN)
        return RC_AUTH;
    pins_remember(p, peer, service);
    return RC_OK;
}

void pins_note_move(struct pins *p, const char *service, const char *agent_id)
{
    json_t *entry = json_object_get(p->services, service);
    const char *noted = json_string_value(json_object_get(entry, "moved_to"));

    if (entry == NULL || (noted && strcmp(noted, agent_id) == 0))
        return;
    (void)json_object_set_new(entry, "moved_to", json_text(agent_id));
    save(p);
}

enum rc pins_trust(struct pins *p, const struct pins_peer *peer, struct failure *why)
{
    const char *service;
    json_t *entry;

    put_agent(p, peer);
    json_object_foreach(p->services, service, entry)
    {
        const char *moved_to = json_string_value(json_object_get(entry, "moved_to"));
        if (moved_to && strcmp(moved_to, peer->agent_id) == 0)
            put_service(p, service, peer->agent_id);
    }
    return json_file_save(p->path, p->document, why);
}

void pins_forget_services(struct pins *p)
{
    if (json_object_size(p->services) == 0)
        return;
    (void)json_object_clear(p->services);
    save(p);
}
