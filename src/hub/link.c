#include "hub/link.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "hub/hub.h"
#include "hub/rate.h"
#include "hub/reaches.h"
#include "hub/service/peers.h"
#include "hub/service/services.h"
#include "net/websocket.h"

enum { PROTOCOL_VERSION = 1 };

static const char busy_text[] = "The hub's database does not answer now; try again in a moment";

struct link {
    struct hub *hub;
    struct list all;       /* in hub->links */
    struct websocket *ws;  /* NULL: gone */
    struct member *member; /* NULL: not in the registry (yet, or any more) */
    struct identity who;
    char ip[CLIENT_IP_SIZE];
    struct link_deals deals;
    struct timer silence;
    struct rate rate;
    uint64_t opened_ms, heard_ms;
    size_t jobs; /* under way at the store */
    bool greeted, welcomed, closing;
    const char *why; /* we closed it; a constant */
};

/* --- the end --------------------------------------------------------------------------------- */

static void free_if_done(struct link *l)
{
    if (l->ws || l->jobs > 0)
        return;
    list_remove(&l->all);
    free(l);
}

/* An agent has one link that has not said hello: a newer one ends it. */
static void stop_greeting(struct link *l)
{
    if (map_get(&l->hub->greeting, l->who.agent) == l)
        (void)map_take(&l->hub->greeting, l->who.agent);
}

/* From here on nobody finds it: not by a name, not for a pipe. */
static void leave(struct link *l)
{
    stop_greeting(l);
    if (l->member == NULL)
        return;
    rendezvous_link_gone(l->hub->rendezvous, l);
    registry_leave(l->member);
    l->member = NULL;
    reaches_agent_gone(l->hub->reaches, l->who.agent);
    if (l->welcomed)
        peers_note_gone(l->hub->store, &l->who, l->ip,
                        (loop_now(l->hub->loop) - l->opened_ms) / 1000,
                        l->why ? l->why : "link lost");
}

static void begin_close(struct link *l, enum rc why, uint16_t code, const char *reason)
{
    if (l->closing)
        return;
    l->closing = true;
    l->why = reason;
    timer_stop(&l->silence);
    leave(l);
    websocket_close(l->ws, why, code, reason);
}

void link_close(struct link *l, uint16_t code, const char *reason)
{
    begin_close(l, RC_CLOSED, code, reason);
}

void link_close_all(struct hub *hub, uint16_t code, const char *reason)
{
    list_each(at, after, &hub->links) link_close(list_entry(at, struct link, all), code, reason);
}

static void on_closed(void *owner, enum rc why, uint16_t code)
{
    struct link *l = owner;
    char ip[CLIENT_IP_SIZE];

    l->closing = true;
    timer_stop(&l->silence);
    client_ip_mask(l->ip, ip);
    log_info("link.closed", log_str("agent", l->who.agent), log_str("ip", ip), log_rc("why", why),
             log_str("reason", l->why ? l->why : websocket_reason(l->ws)), log_u64("code", code));
    if (l->why == NULL && why == RC_EOF)
        l->why = "closed by the agent";
    leave(l);
    l->ws = NULL;
    free_if_done(l);
}

static void on_silence(void *owner)
{
    struct link *l = owner;
    uint64_t silent = loop_now(l->hub->loop) - l->heard_ms;

    if (!l->greeted)
        link_close(l, LINK_CODE_PROTOCOL, "no hello came");
    else if (silent >= LINK_SILENT_MS)
        begin_close(l, RC_TIMEOUT, 0, "nothing heard");
    else
        timer_start(&l->silence, LINK_SILENT_MS - silent);
}

/* --- answers --------------------------------------------------------------------------------- */

void link_send(struct link *l, char *text)
{
    if (!l->closing)
        websocket_send(l->ws, reader_of(text, strlen(text)));
    mem_wipe(text, strlen(text)); /* a ticket may be in it */
    free(text);
}

static void fail(struct link *l, uint64_t id, const char *code, const char *message)
{
    link_send(l, control_reply_error(id, code, message));
}

static void not_found(struct link *l, uint64_t id)
{
    fail(l, id, "not_found", "Service not found");
}

/* Every job of a link begins and ends with these two. */
static bool submitted(struct link *l, uint64_t id, enum rc rc, const char *doing)
{
    if (rc == RC_OK) {
        l->jobs++;
        return true;
    }
    outcome_refused(rc, doing);
    fail(l, id, "unavailable", busy_text);
    return false;
}

/* True when the answer can still be given; else the link may be gone and is not to be touched. */
static bool came_back(struct link *l)
{
    l->jobs--;
    if (!l->closing)
        return true;
    free_if_done(l);
    return false;
}

/* The database did not do it, and the agent has been told. */
static bool is_unavailable(struct link *l, uint64_t id, const struct outcome *o, const char *doing)
{
    if (!outcome_is_unavailable(o, doing))
        return false;
    fail(l, id, "unavailable", busy_text);
    return true;
}

/* --- hello ----------------------------------------------------------------------------------- */

/* What a hello or an expose asks for, and what has become of each name in the registry. */
struct claim {
    struct services_put put;
    struct control_refused *refused;
    size_t refused_count;
    bool had; /* expose: the name was the agent's before, as … */
    struct control_service before;
};

static void claim_free(struct claim *c)
{
    free(c->refused);
    free(c->put.items);
    free(c);
}

static void describe_holder(const struct identity *holder, char out[CONTROL_REASON_SIZE])
{
    text_message(out, CONTROL_REASON_SIZE, "The name is taken by agent %s (%s), which is connected",
                 holder->label, holder->agent);
}

static struct claim *claim_new(struct link *l, uint64_t id)
{
    struct claim *c = mem_zalloc(sizeof *c);

    c->put.asker.owner = l;
    c->put.asker.id = id;
    c->put.who = l->who;
    text_message(c->put.ip, sizeof c->put.ip, "%s", l->ip);
    return c;
}

/* Takes the names that are free; `c->put` gets those, `c->refused` the others. */
static void claim_names(struct link *l, struct claim *c, const struct control_service *wanted,
                        size_t count)
{
    c->put.items = mem_zalloc(count * sizeof c->put.items[0] + 1);
    c->refused = mem_zalloc(count * sizeof c->refused[0] + 1);
    for (size_t i = 0; i < count; i++) {
        const struct identity *holder;
        struct control_service before;
        bool had;
        if (registry_expose(l->member, &wanted[i], &had, &before, &holder) == RC_OK) {
            c->put.items[c->put.count++] = wanted[i];
            continue;
        }
        /* The one other refusal, too many, was checked with the message. */
        struct control_refused *r = &c->refused[c->refused_count++];
        memcpy(r->name, wanted[i].name, sizeof r->name);
        r->code = "taken";
        describe_holder(holder, r->message);
    }
}

static void welcome(struct link *l, const struct claim *c)
{
    char expires[CLOCK_TEXT_SIZE], ip[CLIENT_IP_SIZE];

    clock_text(l->who.token_expires, expires);
    const struct control_welcome w = {.agent_id = l->who.agent,
                                      .label = l->who.label,
                                      .workspace = l->who.workspace_name,
                                      .token_expires = expires,
                                      .hub_version = CONNECT_VERSION,
                                      .refused = c->refused,
                                      .refused_count = c->refused_count};
    l->welcomed = true;
    reaches_agent_back(l->hub->reaches, l->who.agent);
    client_ip_mask(l->ip, ip);
    log_info("link.open", log_str("agent", l->who.agent), log_str("label", l->who.label),
             log_str("workspace", l->who.workspace_name), log_str("ip", ip),
             log_u64("services", c->put.count));
    link_send(l, control_reply_hello(c->put.asker.id, &w));
}

static void on_greeted(struct store_job *job)
{
    struct claim *c = (struct claim *)job;
    struct link *l = c->put.asker.owner;

    if (came_back(l)) {
        if (is_unavailable(l, c->put.asker.id, &c->put.outcome, "hello"))
            link_close(l, LINK_CODE_TRY_LATER, "the database does not answer");
        else if (c->put.outcome.rc == RC_OK)
            welcome(l, c);
        else if (c->put.outcome.rc == RC_LIMIT)
            link_close(l, LINK_CODE_PROTOCOL, "too many services");
        else
            link_close(l, LINK_CODE_REVOKED, "revoked");
    }
    claim_free(c);
}

/* The same agent's earlier link goes first: it may be dead without knowing. */
static enum rc join(struct link *l)
{
    struct link *before;

    enum rc rc = registry_join(l->hub->registry, &l->who, l, l->hub->config->agents_per_workspace,
                               &l->member, &before);
    if (rc != RC_EXISTS)
        return rc;
    link_close(before, LINK_CODE_REPLACED, "replaced");
    return registry_join(l->hub->registry, &l->who, l, l->hub->config->agents_per_workspace,
                         &l->member, &before);
}

static void on_hello(struct link *l, const struct control_message *m)
{
    if (l->greeted) {
        fail(l, m->id, "bad_request", "hello comes once");
        return;
    }
    l->greeted = true;
    stop_greeting(l);
    if (m->hello.protocol_min > PROTOCOL_VERSION || m->hello.protocol_max < PROTOCOL_VERSION) {
        fail(l, m->id, "incompatible", "This hub (" CONNECT_VERSION ") speaks protocol 1");
        link_close(l, LINK_CODE_PROTOCOL, "no common protocol version");
        return;
    }
    text_message(l->who.label, sizeof l->who.label, "%s", m->hello.label);
    if (join(l) != RC_OK) {
        fail(l, m->id, "limit", "Too many agents of this workspace are connected");
        link_close(l, LINK_CODE_TRY_LATER, "too many agents");
        return;
    }
    struct claim *c = claim_new(l, m->id);
    c->put.hello = true;
    text_message(c->put.version, sizeof c->put.version, "%s", m->hello.version);
    claim_names(l, c, m->hello.services, m->hello.service_count);
    if (!submitted(l, m->id, services_put_submit(l->hub->store, &c->put, on_greeted), "hello")) {
        claim_free(c);
        link_close(l, LINK_CODE_TRY_LATER, "the database does not answer");
    }
}

/* --- expose and unexpose --------------------------------------------------------------------- */

static void give_back(struct link *l, const struct claim *c)
{
    const struct identity *holder;
    struct control_service before;
    bool had;

    if (!c->had)
        registry_unexpose(l->member, c->put.items[0].name);
    else if (registry_expose(l->member, &c->before, &had, &before, &holder) != RC_OK)
        log_warn("link.give_back", log_str("service", c->before.name));
}

static void on_exposed(struct store_job *job)
{
    struct claim *c = (struct claim *)job;
    struct link *l = c->put.asker.owner;
    uint64_t id = c->put.asker.id;

    if (came_back(l)) {
        if (c->put.outcome.rc == RC_OK)
            link_send(l, control_reply(id));
        else
            give_back(l, c);
        if (c->put.outcome.rc == RC_LIMIT)
            fail(l, id, "limit", "This agent exposes too many services");
        else if (!is_unavailable(l, id, &c->put.outcome, "expose") && c->put.outcome.rc != RC_OK)
            link_close(l, LINK_CODE_REVOKED, "revoked");
    }
    claim_free(c);
}

static void on_expose(struct link *l, const struct control_message *m)
{
    struct claim *c = claim_new(l, m->id);
    const struct identity *holder;
    char message[CONTROL_REASON_SIZE];

    enum rc rc = registry_expose(l->member, &m->expose, &c->had, &c->before, &holder);
    if (rc == RC_OK) {
        c->put.items = mem_zalloc(sizeof c->put.items[0]);
        c->put.items[0] = m->expose;
        c->put.count = 1;
        if (submitted(l, m->id, services_put_submit(l->hub->store, &c->put, on_exposed), "expose"))
            return;
        give_back(l, c);
    } else if (rc == RC_EXISTS) {
        describe_holder(holder, message);
        fail(l, m->id, "taken", message);
    } else {
        fail(l, m->id, "limit", "This agent exposes too many services");
    }
    claim_free(c);
}

static void on_unexposed(struct store_job *job)
{
    struct services_remove *r = (struct services_remove *)job;
    struct link *l = r->asker.owner;

    if (came_back(l) && !is_unavailable(l, r->asker.id, &r->outcome, "unexpose")) {
        if (r->outcome.rc == RC_OK)
            link_send(l, control_reply(r->asker.id));
        else
            not_found(l, r->asker.id);
    }
    free(r);
}

static void on_unexpose(struct link *l, const struct control_message *m)
{
    struct services_remove *r = mem_zalloc(sizeof *r);

    registry_unexpose(l->member, m->name);
    r->asker = (struct services_asker){.owner = l, .id = m->id};
    r->who = l->who;
    text_message(r->ip, sizeof r->ip, "%s", l->ip);
    text_message(r->name, sizeof r->name, "%s", m->name);
    if (!submitted(l, m->id, services_remove_submit(l->hub->store, r, on_unexposed), "unexpose"))
        free(r);
}

/* --- questions ------------------------------------------------------------------------------- */

static void list_one(const struct link *l, const struct store_service *from,
                     struct control_listed *to)
{
    struct link *owner;

    text_message(to->service.name, sizeof to->service.name, "%s", from->name);
    text_message(to->service.protocol, sizeof to->service.protocol, "%s", from->protocol);
    text_message(to->service.target, sizeof to->service.target, "%s", from->target);
    text_message(to->agent_id, sizeof to->agent_id, "%s", from->agent);
    text_message(to->label, sizeof to->label, "%s", from->label);
    to->online = registry_find(l->member, from->name, &owner) != NULL;
}

static void on_listed(struct store_job *job)
{
    struct services_list *found = (struct services_list *)job;
    struct link *l = found->asker.owner;

    if (came_back(l) && !is_unavailable(l, found->asker.id, &found->outcome, "list")) {
        struct control_listed *all = mem_zalloc(found->list.count * sizeof *all + 1);
        for (size_t i = 0; i < found->list.count; i++)
            list_one(l, &found->list.items[i], &all[i]);
        link_send(l, control_reply_list(found->asker.id, all, found->list.count));
        free(all);
    }
    services_list_free(found);
}

static void on_list(struct link *l, const struct control_message *m)
{
    struct services_list *q = mem_zalloc(sizeof *q);

    q->asker = (struct services_asker){.owner = l, .id = m->id};
    text_message(q->workspace, sizeof q->workspace, "%s", l->who.workspace);
    if (!submitted(l, m->id, services_list_submit(l->hub->store, q, on_listed), "list"))
        free(q);
}

static void on_peer_found(struct store_job *job)
{
    struct peers_find *q = (struct peers_find *)job;
    struct link *l = q->asker.owner;

    if (came_back(l) && !is_unavailable(l, q->asker.id, &q->outcome, "peer")) {
        char key[ACCESS_KEY_TEXT_SIZE];
        text_hex(reader_of(q->found.public_key, sizeof q->found.public_key), key);
        const struct control_peer peer = {
            .agent_id = q->found.id, .label = q->found.label, .public_key = key};
        if (q->outcome.rc == RC_OK)
            link_send(l, control_reply_peer(q->asker.id, &peer));
        else if (q->outcome.rc == RC_EXISTS)
            fail(l, q->asker.id, "conflict", "Several agents have this label: use the agent's id");
        else
            fail(l, q->asker.id, "not_found", "Agent not found");
    }
    free(q);
}

static void on_peer(struct link *l, const struct control_message *m)
{
    struct peers_find *q = mem_zalloc(sizeof *q);

    q->asker = (struct services_asker){.owner = l, .id = m->id};
    text_message(q->workspace, sizeof q->workspace, "%s", l->who.workspace);
    text_message(q->agent, sizeof q->agent, "%s", m->agent);
    if (!submitted(l, m->id, peers_find_submit(l->hub->store, q, on_peer_found), "peer"))
        free(q);
}

/* --- pipes ----------------------------------------------------------------------------------- */

static void on_searched(struct store_job *job)
{
    struct services_find *q = (struct services_find *)job;
    struct link *l = q->asker.owner;

    if (came_back(l) && !is_unavailable(l, q->asker.id, &q->outcome, "open")) {
        if (q->outcome.rc == RC_OK)
            fail(l, q->asker.id, "offline", "The agent that exposes this service is not connected");
        else
            not_found(l, q->asker.id);
    }
    free(q);
}

static void on_open(struct link *l, const struct control_message *m)
{
    struct link *owner;
    const struct control_service *service = registry_find(l->member, m->open.service, &owner);

    if (service) {
        rendezvous_open(l->hub->rendezvous, l, m->id, m->open.resume, m->open.mode, service, owner);
        return;
    }
    struct services_find *q = mem_zalloc(sizeof *q);
    q->asker = (struct services_asker){.owner = l, .id = m->id};
    text_message(q->workspace, sizeof q->workspace, "%s", l->who.workspace);
    text_message(q->name, sizeof q->name, "%s", m->open.service);
    if (!submitted(l, m->id, services_find_submit(l->hub->store, q, on_searched), "open"))
        free(q);
}

static void on_unreach(struct link *l, const struct control_message *m)
{
    reaches_end(l->hub->reaches, l->who.agent, m->name);
    link_send(l, control_reply(m->id));
}

/* --- messages -------------------------------------------------------------------------------- */

static void on_unknown(struct link *l, const struct control_message *m)
{
    fail(l, m->id, "bad_request", "This hub does not know that type of message");
}

static void on_reply(struct link *l, const struct control_message *m)
{
    rendezvous_answer(l->hub->rendezvous, l, m);
}

static void (*const handlers[])(struct link *l, const struct control_message *m) = {
    [CONTROL_UNKNOWN] = on_unknown,   [CONTROL_HELLO] = on_hello, [CONTROL_EXPOSE] = on_expose,
    [CONTROL_UNEXPOSE] = on_unexpose, [CONTROL_LIST] = on_list,   [CONTROL_OPEN] = on_open,
    [CONTROL_UNREACH] = on_unreach,   [CONTROL_PEER] = on_peer,   [CONTROL_REPLY] = on_reply,
};

static bool is_within_limits(struct link *l, const struct control_message *m)
{
    if (m->type == CONTROL_REPLY)
        return true;
    if (l->jobs < LINK_JOBS_MAX &&
        rate_take(&l->rate, l->hub->config->opens_per_second, loop_now(l->hub->loop)))
        return true;
    fail(l, m->id, "limit", "Too many requests: slow down");
    return false;
}

static void on_message(void *owner, struct reader text)
{
    struct link *l = owner;
    struct control_message m;
    char why[CONTROL_WHY_SIZE];

    enum rc rc = control_message_parse(text, &m, why);
    if (rc == RC_INPUT && m.has_id && m.type != CONTROL_REPLY) {
        if (is_within_limits(l, &m))
            fail(l, m.id, "bad_request", why);
        return;
    }
    if (rc != RC_OK || (!l->greeted && m.type != CONTROL_HELLO)) {
        link_close(l, LINK_CODE_PROTOCOL,
                   rc != RC_OK ? "not a message of this protocol" : "hello comes first");
    } else if (is_within_limits(l, &m)) {
        handlers[m.type](l, &m);
    }
    control_message_done(&m);
}

static void on_alive(void *owner)
{
    struct link *l = owner;

    l->heard_ms = loop_now(l->hub->loop);
}

static const struct websocket_events events = {on_message, on_alive, on_closed};

void link_open(struct hub *hub, struct channel *ch, struct reader rest, const struct identity *who,
               const char *ip)
{
    struct link *l = mem_zalloc(sizeof *l), *before = map_get(&hub->greeting, who->agent);

    if (before)
        link_close(before, LINK_CODE_REPLACED, "replaced");
    map_put(&hub->greeting, who->agent, l);
    l->hub = hub;
    list_init(&l->all);
    list_append(&hub->links, &l->all);
    l->who = *who;
    text_message(l->ip, sizeof l->ip, "%s", ip);
    list_init(&l->deals.asking);
    list_init(&l->deals.asked);
    l->opened_ms = l->heard_ms = loop_now(hub->loop);
    l->rate = rate_full(hub->config->opens_per_second, l->opened_ms);
    timer_init(&l->silence, hub->loop, on_silence, l);
    timer_start(&l->silence, LINK_HELLO_MS);
    l->ws = websocket_new(ch, WEBSOCKET_SERVER, CONTROL_MESSAGE_MAX, rest, &events, l);
}

const struct identity *link_who(const struct link *l)
{
    return &l->who;
}

const char *link_ip(const struct link *l)
{
    return l->ip;
}

struct link_deals *link_deals(struct link *l)
{
    return &l->deals;
}
