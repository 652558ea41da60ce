#include "agent/exposes.h"

#include <stdlib.h>
#include <string.h>

#include "agent/diagnose.h"
#include "agent/json.h"
#include "agent/offer.h"
#include "agent/parts.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

struct exposes {
    struct parts *parts;
    struct list services, underway;
    struct timer retry;
    struct pins_peer announced[EXPOSES_ANNOUNCED]; /* the last ones that the hub has named */
    size_t next_announced;
};

/* One service of ours. */
struct service {
    struct list link;
    struct exposes *all;
    struct state_exposed what;
    struct address target;
    bool attached;
    struct failure refused;   /* by the hub; code NULL: it is ours there */
    struct ask *retry;        /* a name that was refused, asked for again */
    struct diagnose *running; /* for other agents */
    struct list replies;      /* that wait for it */
    size_t reply_count;
};

/* A check_reply that waits. */
struct reply {
    struct list link;
    struct check_reply *reply;
};

/* One `expose` under way. */
struct exposing {
    struct list link;
    struct exposes *all;
    struct state_exposed what;
    struct address target;
    bool attached, is_done;
    struct ask *ask;
    struct diagnose *diagnose;
    struct task later;
    struct failure why; /* for `later` */
    void (*done)(void *owner, json_t *check, const struct failure *why);
    void *owner;
};

/* --- the table ------------------------------------------------------------------------------- */

static struct service *find(const struct exposes *x, const char *name)
{
    for (struct list *at = x->services.next; at != &x->services; at = at->next) {
        struct service *s = list_entry(at, struct service, link);
        if (strcmp(s->what.name, name) == 0)
            return s;
    }
    return NULL;
}

static void answer_replies(struct service *s, const json_t *check)
{
    char *text = json_line(check);

    s->reply_count = 0;
    while (!list_is_empty(&s->replies)) {
        struct reply *r = list_entry(s->replies.next, struct reply, link);
        list_remove(&r->link);
        check_reply_send(r->reply, reader_of_text(text));
        free(r);
    }
    free(text);
}

static void on_retry(void *owner);

static void free_service(struct service *s)
{
    json_t *none = diagnose_none("no longer exposed");

    diagnose_cancel(s->running);
    answer_replies(s, none);
    json_decref(none);
    ask_cancel(s->retry);
    list_remove(&s->link);
    free(s);
}

static struct service *put(struct exposes *x, const struct state_exposed *what,
                           const struct address *target)
{
    struct service *s = find(x, what->name);

    if (s == NULL) {
        s = mem_zalloc(sizeof *s);
        s->all = x;
        list_init(&s->link);
        list_init(&s->replies);
        list_append(&x->services, &s->link);
    }
    s->what = *what;
    s->target = *target;
    s->refused.code = NULL;
    return s;
}

struct exposes *exposes_new(struct parts *p)
{
    struct exposes *x = mem_zalloc(sizeof *x);
    struct state_exposed what;
    struct address target;
    const char *protocol;

    x->parts = p;
    list_init(&x->services);
    list_init(&x->underway);
    timer_init(&x->retry, p->loop, on_retry, x);
    for (size_t i = 0; state_exposed_at(p->state, i, &what) == RC_OK; i++)
        if (address_parse_target(what.target, &target, &protocol) == RC_OK)
            (void)put(x, &what, &target);
    return x;
}

static void free_exposing(struct exposing *e)
{
    ask_cancel(e->ask);
    diagnose_cancel(e->diagnose);
    task_cancel(&e->later);
    list_remove(&e->link);
    free(e);
}

void exposes_stop(struct exposes *x)
{
    struct failure why;

    timer_stop(&x->retry);
    failure_set(&why, "other", "the agent is going down");
    while (!list_is_empty(&x->underway)) {
        struct exposing *e = list_entry(x->underway.next, struct exposing, link);
        void (*done)(void *owner, json_t *check, const struct failure *why) = e->done;
        void *owner = e->owner;
        free_exposing(e);
        done(owner, NULL, &why);
    }
    while (!list_is_empty(&x->services))
        free_service(list_entry(x->services.next, struct service, link));
}

void exposes_free(struct exposes *x)
{
    if (x == NULL)
        return;
    exposes_stop(x);
    free(x);
}

/* --- in step with the hub -------------------------------------------------------------------- */

static json_t *describe(const struct state_exposed *what)
{
    return json_pack("{s:s, s:s, s:o}", "name", what->name, "protocol", what->protocol, "target",
                     json_text(what->target));
}

static json_t *request(const char *type, const struct state_exposed *what)
{
    json_t *message = describe(what);

    (void)json_object_set_new(message, "type", json_string(type));
    return message;
}

static void on_told(void *owner, const json_t *reply, const struct failure *why)
{
    (void)owner;
    if (reply == NULL) /* the next hello says it again */
        log_warn("exposes.not_told", log_str("why", why->message));
}

/* What stands in the table is what the hub should know. */
static void tell_hub(struct exposes *x, const char *name)
{
    const struct service *s = find(x, name);
    struct uplink *u = x->parts->uplink;

    if (u == NULL || uplink_state(u) != UPLINK_CONNECTED)
        return;
    if (s)
        (void)uplink_ask(u, request("expose", &s->what), on_told, NULL);
    else
        (void)uplink_ask(u, json_pack("{s:s, s:s}", "type", "unexpose", "name", name), on_told,
                         NULL);
}

json_t *exposes_hello(const struct exposes *x)
{
    json_t *services = json_array();

    for (struct list *at = x->services.next; at != &x->services; at = at->next)
        (void)json_array_append_new(services,
                                    describe(&list_entry(at, struct service, link)->what));
    return services;
}

static void on_retried(void *owner, const json_t *reply, const struct failure *why)
{
    struct service *s = owner;

    s->retry = NULL;
    if (reply) {
        s->refused.code = NULL;
        log_info("exposes.taken_back", log_str("service", s->what.name));
    } else if (!failure_is(why, "hub_unavailable")) {
        s->refused = *why;
    }
}

static void on_retry(void *owner)
{
    struct exposes *x = owner;
    bool again = false;

    list_each(at, after, &x->services)
    {
        struct service *s = list_entry(at, struct service, link);
        if (s->refused.code == NULL)
            continue;
        again = true;
        if (s->retry == NULL && uplink_state(x->parts->uplink) == UPLINK_CONNECTED)
            s->retry = uplink_ask(x->parts->uplink, request("expose", &s->what), on_retried, s);
    }
    if (again)
        timer_start(&x->retry, EXPOSES_RETRY_MS);
}

static void take_refusal(struct exposes *x, const json_t *refusal)
{
    char name[STATE_NAME_SIZE], message[FAILURE_HINT_SIZE];

    json_copy_remark(refusal, "name", name, sizeof name);
    json_copy_remark(refusal, "message", message, sizeof message);
    struct service *s = find(x, name);
    if (s == NULL)
        return;
    failure_set(&s->refused, "denied", "%s", message[0] ? message : "the hub refuses this name");
    log_warn("exposes.refused", log_str("service", name), log_str("why", message));
}

void exposes_welcomed(struct exposes *x, const json_t *welcome)
{
    const json_t *refused = json_object_get(welcome, "refused");
    size_t count = json_array_size(refused);

    list_each(at, after, &x->services) list_entry(at, struct service, link)->refused.code = NULL;
    for (size_t i = 0; i < count; i++)
        take_refusal(x, json_array_get(refused, i));
    if (count > 0)
        timer_start(&x->retry, EXPOSES_RETRY_MS);
}

/* --- expose ---------------------------------------------------------------------------------- */

static void finish(struct exposing *e, json_t *check, const struct failure *why)
{
    void (*done)(void *owner, json_t *check, const struct failure *why) = e->done;
    void *owner = e->owner;

    free_exposing(e);
    done(owner, check, why);
}

static void on_examined(void *owner, json_t *check)
{
    struct exposing *e = owner;

    e->diagnose = NULL;
    finish(e, check, NULL);
    json_decref(check);
}

/* The name is ours: remember it, or give it back. */
static void on_taken(void *owner, const json_t *reply, const struct failure *why)
{
    struct exposing *e = owner;
    struct exposes *x = e->all;
    struct failure problem;

    e->ask = NULL;
    if (reply == NULL) {
        finish(e, NULL, why);
        return;
    }
    enum rc rc = RC_OK;
    if (!e->attached)
        rc = state_put_exposed(x->parts->state, &e->what, &problem);
    if (rc != RC_OK) {
        tell_hub(x, e->what.name);
        finish(e, NULL, &problem);
        return;
    }
    put(x, &e->what, &e->target)->attached = e->attached;
    e->is_done = true;
    log_info("exposes.exposed", log_str("service", e->what.name),
             log_str("target", e->what.target));
    e->diagnose = diagnose_start(x->parts->loop, &e->target, e->what.protocol, on_examined, e);
}

static void on_refused(void *owner)
{
    struct exposing *e = owner;

    finish(e, NULL, &e->why);
}

static bool is_underway(const struct exposes *x, const char *name)
{
    for (struct list *at = x->underway.next; at != &x->underway; at = at->next)
        if (strcmp(list_entry(at, struct exposing, link)->what.name, name) == 0)
            return true;
    return false;
}

static bool is_full(const struct exposes *x)
{
    size_t count = 0;

    for (struct list *at = x->services.next; at != &x->services; at = at->next)
        count++;
    for (struct list *at = x->underway.next; at != &x->underway; at = at->next)
        count++;
    return count >= STATE_SERVICES_MAX;
}

/* Why not even to ask the hub; code NULL: nothing. */
static void judge(const struct exposes *x, const struct state_exposed *wish, bool attached,
                  struct failure *why)
{
    const struct service *before = find(x, wish->name);

    why->code = NULL;
    if (is_underway(x, wish->name))
        failure_set(why, "other", "%s is just being exposed by another command", wish->name);
    else if (before == NULL && is_full(x))
        failure_set(why, "other", "an agent has at most %d services", STATE_SERVICES_MAX);
    else if (before && attached && !before->attached) {
        failure_set(why, "other", "%s is exposed already, for good", wish->name);
        failure_hint(why, "connect unexpose %s first, or leave out --foreground", wish->name);
    }
}

struct exposing *exposes_put(struct exposes *x, const struct state_exposed *wish, bool attached,
                             void (*done)(void *owner, json_t *check, const struct failure *why),
                             void *owner)
{
    struct exposing *e = mem_zalloc(sizeof *e);
    const char *protocol;

    *e = (struct exposing){
        .all = x, .what = *wish, .attached = attached, .done = done, .owner = owner};
    list_init(&e->link);
    task_init(&e->later, x->parts->loop, on_refused, e);
    judge(x, wish, attached, &e->why);
    if (e->why.code == NULL && address_parse_target(wish->target, &e->target, &protocol) != RC_OK)
        failure_set(&e->why, "usage", "%s is not a target", wish->target);
    if (e->why.code)
        task_soon(&e->later);
    else
        e->ask = uplink_ask(x->parts->uplink, request("expose", wish), on_taken, e);
    list_append(&x->underway, &e->link);
    return e;
}

void exposing_cancel(struct exposing *e)
{
    struct exposes *x = e->all;
    char name[STATE_NAME_SIZE];
    bool asked = e->ask != NULL, undo = e->is_done && e->attached;

    memcpy(name, e->what.name, sizeof name);
    free_exposing(e);
    if (asked)
        tell_hub(x, name); /* it may have taken the name already */
    if (undo)
        exposes_detach(x, name);
}

void exposes_detach(struct exposes *x, const char *name)
{
    const struct service *s = find(x, name);
    struct failure why;

    if (s && s->attached && exposes_drop(x, name, &why) != RC_OK)
        log_warn("exposes.undo", log_str("why", why.message));
}

enum rc exposes_drop(struct exposes *x, const char *name, struct failure *why)
{
    struct service *s = find(x, name);

    if (s == NULL) {
        failure_set(why, "not_found", "%s is not exposed here", name);
        failure_hint(why, "connect status lists what is");
        return RC_ABSENT;
    }
    enum rc rc = state_drop_exposed(x->parts->state, name, why);
    if (rc != RC_OK)
        return rc;
    free_service(s);
    tunnels_withdraw(x->parts->tunnels, name);
    tell_hub(x, name);
    log_info("exposes.dropped", log_str("service", name));
    return RC_OK;
}

/* --- other agents ---------------------------------------------------------------------------- */

const struct state_exposed *exposes_online(const struct exposes *x, const char *name)
{
    const struct service *s = find(x, name);

    return s && s->refused.code == NULL ? &s->what : NULL;
}

const struct address *exposes_target(struct exposes *x, const char *name)
{
    struct service *s = find(x, name);

    return s ? &s->target : NULL;
}

static void on_checked(void *owner, json_t *check)
{
    struct service *s = owner;

    s->running = NULL;
    answer_replies(s, check);
    json_decref(check);
}

static void answer_at_once(struct check_reply *reply, const char *why)
{
    json_t *none = diagnose_none(why);
    char *text = json_line(none);

    check_reply_send(reply, reader_of_text(text));
    free(text);
    json_decref(none);
}

/*
 * However many ask at once, the target is examined once at a time. A peer may ask, reset and ask
 * again as fast as it can write: no more of that is kept than a few.
 */
void exposes_check(struct exposes *x, const char *name, struct check_reply *reply)
{
    struct service *s = find(x, name);

    if (s == NULL || s->reply_count >= EXPOSES_CHECKS_MAX) {
        answer_at_once(reply, s ? "too many ask at once" : "no longer exposed");
        return;
    }
    s->reply_count++;
    struct reply *waiting = mem_zalloc(sizeof *waiting);
    waiting->reply = reply;
    list_init(&waiting->link);
    list_append(&s->replies, &waiting->link);
    if (s->running == NULL)
        s->running = diagnose_start(x->parts->loop, &s->target, s->what.protocol, on_checked, s);
}

static void refuse_dial(struct exposes *x, uint64_t id, const char *code,
                        const struct pins_peer *peer, const char *message)
{
    log_warn("exposes.dial_refused", log_str("code", code), log_str("peer", peer->agent_id),
             log_str("why", message));
    uplink_refuse(x->parts->uplink, id, code, message);
}

/* docs/protocol.md §5: both keys are in our log, the other side only learns whom to ask. */
static void refuse_key(struct exposes *x, uint64_t id, const struct pins_peer *peer,
                       const struct failure *why)
{
    char message[FAILURE_MESSAGE_SIZE];

    log_warn("exposes.key_refused", log_str("peer", peer->agent_id), log_str("why", why->message),
             log_str("accept", why->hint));
    text_message(
        message, sizeof message,
        "%s knows this agent (%s) with another key; there, connect trust %s accepts the new one",
        x->parts->settings.label, peer->agent_id, peer->agent_id);
    uplink_refuse(x->parts->uplink, id, "key_changed", message);
}

void exposes_dial(struct exposes *x, uint64_t id, const json_t *dial)
{
    struct pipe_offer offer;
    struct pins_peer peer = {0};
    struct failure why;

    if (offer_read(dial, &offer, &peer) != RC_OK) {
        refuse_dial(x, id, "bad_request", &peer, "this makes no sense as dial");
        return;
    }
    if (find(x, offer.service) == NULL) {
        refuse_dial(x, id, "no_such_service", &peer, "this agent does not expose that");
        return;
    }
    switch (pins_judge(x->parts->pins, &peer, NULL, &why)) {
    case PINS_NEW:
    case PINS_KNOWN:
        x->announced[x->next_announced++ % EXPOSES_ANNOUNCED] = peer;
        uplink_agree(x->parts->uplink, id);
        tunnels_accept(x->parts->tunnels, &offer);
        return;
    case PINS_KEY_CHANGED:
    case PINS_SERVICE_MOVED:
    case PINS_OWN_KEY:
        refuse_key(x, id, &peer, &why);
        return;
    }
}

bool exposes_proved(struct exposes *x, const struct pipe_offer *offer)
{
    struct pins_peer peer = {0};
    struct failure why;

    memcpy(peer.agent_id, offer->peer_id, sizeof peer.agent_id);
    memcpy(peer.key, offer->peer_key, sizeof peer.key);
    for (size_t i = 0; i < EXPOSES_ANNOUNCED; i++)
        if (strcmp(x->announced[i].agent_id, peer.agent_id) == 0)
            memcpy(peer.label, x->announced[i].label, sizeof peer.label);
    if (pins_prove(x->parts->pins, &peer, NULL, &why) == RC_OK)
        return true;
    log_warn("exposes.key_refused", log_str("peer", peer.agent_id), log_str("why", why.message),
             log_str("accept", why.hint));
    return false;
}

/* --- status ---------------------------------------------------------------------------------- */

static const char *state_of(const struct exposes *x, const struct service *s)
{
    if (uplink_state(x->parts->uplink) != UPLINK_CONNECTED)
        return "offline";
    return s->refused.code ? "refused" : "online";
}

json_t *exposes_status(const struct exposes *x)
{
    json_t *list = json_array();

    for (struct list *at = x->services.next; at != &x->services; at = at->next) {
        const struct service *s = list_entry(at, struct service, link);
        json_t *entry = describe(&s->what);
        (void)json_object_set_new(entry, "state", json_string(state_of(x, s)));
        (void)json_object_set_new(
            entry, "streams",
            json_integer((json_int_t)tunnels_streams(x->parts->tunnels, s->what.name)));
        if (s->refused.code)
            (void)json_object_set_new(entry, "error", json_text(s->refused.message));
        (void)json_array_append_new(list, entry);
    }
    return list;
}
