#include "agent/commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/exposes.h"
#include "agent/json.h"
#include "agent/offer.h"
#include "agent/parts.h"
#include "agent/reaches.h"
#include "agent/verify.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"

struct commands {
    struct parts *parts;
    void (*on_down)(void *owner, int fd);
    void *owner;
    struct list underway;
};

/* One command that is not answered within its call. */
struct command {
    struct list link;
    struct commands *all;
    struct request *rq; /* NULL: the client has gone */
    char name[STATE_NAME_SIZE];
    bool attached;
    struct exposing *exposing;
    struct reaching *reaching;
    struct ask *ask;
    struct verify *verify;
    struct pins_peer peer;
};

static struct command *begin(struct commands *all, struct request *rq)
{
    struct command *c = mem_zalloc(sizeof *c);

    c->all = all;
    c->rq = rq;
    list_init(&c->link);
    list_append(&all->underway, &c->link);
    return c;
}

static void end(struct command *c)
{
    reaching_cancel(c->reaching);
    ask_cancel(c->ask);
    verify_cancel(c->verify);
    list_remove(&c->link);
    free(c);
}

static void fail(struct request *rq, const char *code, const char *message, const char *hint)
{
    struct failure why;

    failure_set(&why, code, "%s", message);
    failure_hint(&why, "%s", hint);
    request_fail(rq, &why);
}

/* --- reading requests ------------------------------------------------------------------------ */

/* False: it has been refused. */
static bool read_name(struct request *rq, const json_t *body, char out[STATE_NAME_SIZE])
{
    if (json_copy_text(body, "name", out, STATE_NAME_SIZE) == RC_OK && text_is_name(out))
        return true;
    fail(rq, "usage", "a service name has 1 to 63 of the characters a-z, 0-9 and -", "");
    return false;
}

static bool read_agent(struct request *rq, const json_t *body, char *out, size_t size)
{
    if (json_copy_text(body, "agent", out, size) == RC_OK && out[0] != '\0')
        return true;
    fail(rq, "usage", "an agent is named by its label or its id", "connect services lists them");
    return false;
}

static bool is_true(const json_t *body, const char *name)
{
    return json_is_true(json_object_get(body, name));
}

/* --- status, whoami -------------------------------------------------------------------------- */

static const char *state_of(const struct parts *p)
{
    if (p->uplink == NULL)
        return "connecting";
    switch (uplink_state(p->uplink)) {
    case UPLINK_CONNECTED:
        return "connected";
    case UPLINK_CONNECTING:
    case UPLINK_WAITING:
        return p->was_connected ? "reconnecting" : "connecting";
    case UPLINK_ENDED:
        break;
    }
    return failure_is(uplink_failure(p->uplink), "not_logged_in") ? "logged_out" : "stopped";
}

static json_t *describe_self(const struct parts *p)
{
    const struct settings *s = &p->settings;
    char fingerprint[72];

    identity_fingerprint(identity_public(p->identity), fingerprint);
    return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o}", "agent_id", json_text(s->agent_id), "label",
                     json_text(s->label), "workspace", json_text(s->workspace), "hub",
                     json_text(s->hub), "fingerprint", fingerprint, "token_expires",
                     json_text(s->token_expires));
}

static void put_uplink(const struct parts *p, json_t *status)
{
    char since[CLOCK_TEXT_SIZE];

    if (p->uplink == NULL)
        return;
    clock_text(uplink_since(p->uplink), since);
    (void)json_object_set_new(status, "since", json_string(since));
    (void)json_object_set_new(status, "retry_in_ms",
                              json_integer((json_int_t)uplink_retry_in_ms(p->uplink)));
    const struct failure *why = uplink_failure(p->uplink);
    if (why->code && uplink_state(p->uplink) != UPLINK_CONNECTED)
        (void)json_object_set_new(status, "problem", json_text(why->message));
}

json_t *commands_status(const struct parts *p)
{
    json_t *status = describe_self(p);

    (void)json_object_set_new(status, "state", json_string(state_of(p)));
    (void)json_object_set_new(status, "pid", json_integer((json_int_t)getpid()));
    (void)json_object_set_new(status, "version", json_string(CONNECT_VERSION));
    put_uplink(p, status);
    bool online = p->uplink != NULL;
    (void)json_object_set_new(status, "exposed",
                              online ? exposes_status(p->exposes) : json_array());
    (void)json_object_set_new(status, "reached",
                              online ? reaches_status(p->reaches) : json_array());
    return status;
}

static void on_status(struct commands *all, struct request *rq, const json_t *body)
{
    (void)body;
    request_answer(rq, commands_status(all->parts), false);
}

static void on_whoami(struct commands *all, struct request *rq, const json_t *body)
{
    char hex[2 * IDENTITY_KEY_LEN + 1];
    json_t *answer = describe_self(all->parts);

    (void)body;
    text_hex(reader_of(identity_public(all->parts->identity), IDENTITY_KEY_LEN), hex);
    (void)json_object_set_new(answer, "public_key", json_string(hex));
    request_answer(rq, answer, false);
}

/* --- expose ---------------------------------------------------------------------------------- */

static void on_expose_gone(void *owner)
{
    struct command *c = owner;
    struct exposes *x = c->all->parts->exposes;

    if (c->exposing)
        exposing_cancel(c->exposing);
    else
        exposes_detach(x, c->name);
    end(c);
}

static void on_exposed(void *owner, json_t *check, const struct failure *why)
{
    struct command *c = owner;
    const struct state_exposed *what = exposes_online(c->all->parts->exposes, c->name);

    c->exposing = NULL;
    if (check == NULL || what == NULL) {
        if (check)
            fail(c->rq, "other", "it was taken away again meanwhile", "");
        else
            request_fail(c->rq, why);
        end(c);
        return;
    }
    json_t *answer = json_pack("{s:s, s:o, s:s, s:O}", "name", what->name, "target",
                               json_text(what->target), "protocol", what->protocol, "check", check);
    request_answer(c->rq, answer, c->attached);
    if (!c->attached)
        end(c);
}

static bool read_exposed(struct request *rq, const json_t *body, struct state_exposed *out)
{
    struct address target;
    const char *protocol;
    char text[ADDRESS_TEXT_SIZE];

    if (!read_name(rq, body, out->name))
        return false;
    if (json_copy_text(body, "target", text, sizeof text) != RC_OK ||
        address_parse_target(text, &target, &protocol) != RC_OK) {
        fail(rq, "usage", "that is not a target",
             "5432, localhost:5432, [::1]:5432, http://localhost:8080 or unix:/run/x.sock");
        return false;
    }
    address_text(&target, out->target);
    if (json_copy_text(body, "protocol", out->protocol, sizeof out->protocol) == RC_ABSENT)
        text_message(out->protocol, sizeof out->protocol, "%s", protocol);
    if (!state_is_protocol(out->protocol)) {
        fail(rq, "usage", "that is not a protocol that can be exposed", "tcp, http or https");
        return false;
    }
    return true;
}

static void on_expose(struct commands *all, struct request *rq, const json_t *body)
{
    struct state_exposed wish;

    if (!read_exposed(rq, body, &wish))
        return;
    struct command *c = begin(all, rq);
    c->attached = is_true(body, "attach");
    memcpy(c->name, wish.name, sizeof c->name);
    request_on_gone(rq, on_expose_gone, c);
    c->exposing = exposes_put(all->parts->exposes, &wish, c->attached, on_exposed, c);
}

static void answer_drop(struct request *rq, enum rc rc, const char *name, const struct failure *why)
{
    if (rc == RC_OK)
        request_answer(rq, json_pack("{s:s}", "name", name), false);
    else
        request_fail(rq, why);
}

static void on_unexpose(struct commands *all, struct request *rq, const json_t *body)
{
    char name[STATE_NAME_SIZE];
    struct failure why;

    if (read_name(rq, body, name))
        answer_drop(rq, exposes_drop(all->parts->exposes, name, &why), name, &why);
}

/* --- reach, stdio ---------------------------------------------------------------------------- */

static void on_reach_gone(void *owner)
{
    end(owner);
}

static void on_progress(void *owner, const char *text)
{
    struct command *c = owner;

    request_progress(c->rq, text);
}

static void on_reached(void *owner, json_t *answer, const struct failure *why)
{
    struct command *c = owner;

    if (answer && c->attached) { /* it goes with the client */
        request_answer(c->rq, json_incref(answer), true);
        return;
    }
    c->reaching = NULL;
    if (answer)
        request_answer(c->rq, json_incref(answer), false);
    else
        request_fail(c->rq, why);
    end(c);
}

static const struct reaching_events reach_events = {on_progress, on_reached};

static bool read_wish(struct request *rq, const json_t *body, struct reach_wish *out)
{
    uint64_t port = 0;
    char mode[16];

    if (!read_name(rq, body, out->name))
        return false;
    if (json_copy_number(body, "port", 0, UINT16_MAX, &port) == RC_INPUT) {
        fail(rq, "usage", "a port is a number from 1 to 65535", "");
        return false;
    }
    if (json_copy_text(body, "pipe", mode, sizeof mode) == RC_INPUT ||
        pipe_mode_parse(mode[0] ? mode : "auto", &out->mode) != RC_OK) {
        fail(rq, "usage", "that is not a way to carry a pipe", "auto, bare, wrapped or base64");
        return false;
    }
    out->port = (uint16_t)port;
    out->attached = is_true(body, "attach");
    return true;
}

static struct command *reach(struct commands *all, struct request *rq,
                             const struct reach_wish *wish, const struct reaching_events *events)
{
    struct command *c = begin(all, rq);

    c->attached = wish->attached;
    memcpy(c->name, wish->name, sizeof c->name);
    request_on_gone(rq, on_reach_gone, c);
    c->reaching = reaches_begin(all->parts->reaches, wish, events, c);
    return c;
}

static void on_reach(struct commands *all, struct request *rq, const json_t *body)
{
    struct reach_wish wish = {0};

    if (read_wish(rq, body, &wish))
        (void)reach(all, rq, &wish, &reach_events);
}

static void on_socket(void *owner, int fd, struct reader early)
{
    struct command *c = owner;

    if (fd >= 0) {
        enum rc rc = reaches_join(c->all->parts->reaches, c->name, fd, early);
        (void)rc; /* the client sees its socket close */
    }
    end(c);
}

static void on_stream_ready(void *owner, json_t *answer, const struct failure *why)
{
    struct command *c = owner;

    c->reaching = NULL;
    if (answer) {
        request_take_socket(c->rq, on_socket, c);
        return;
    }
    request_fail(c->rq, why);
    end(c);
}

static const struct reaching_events stdio_events = {on_progress, on_stream_ready};

static void on_stdio(struct commands *all, struct request *rq, const json_t *body)
{
    struct reach_wish wish = {0};

    if (!read_wish(rq, body, &wish))
        return;
    wish.stdio = true;
    wish.attached = false;
    (void)reach(all, rq, &wish, &stdio_events);
}

static void on_unreach(struct commands *all, struct request *rq, const json_t *body)
{
    char name[STATE_NAME_SIZE];
    struct failure why;

    if (read_name(rq, body, name))
        answer_drop(rq, reaches_drop(all->parts->reaches, name, &why), name, &why);
}

/* --- what only the hub knows ----------------------------------------------------------------- */

static void on_asker_gone(void *owner)
{
    end(owner);
}

static void on_services_told(void *owner, const json_t *reply, const struct failure *why)
{
    struct command *c = owner;
    json_t *services = json_object_get(reply, "services");

    c->ask = NULL;
    if (reply == NULL)
        request_fail(c->rq, why);
    else if (!json_is_array(services))
        fail(c->rq, "hub_unavailable", "the hub's answer makes no sense", "");
    else
        request_answer(c->rq, json_pack("{s:O}", "services", services), false);
    end(c);
}

static void ask_hub(struct commands *all, struct request *rq, json_t *question,
                    void (*done)(void *owner, const json_t *reply, const struct failure *why))
{
    struct command *c = begin(all, rq);

    request_on_gone(rq, on_asker_gone, c);
    c->ask = uplink_ask(all->parts->uplink, question, done, c);
}

static void on_services(struct commands *all, struct request *rq, const json_t *body)
{
    (void)body;
    ask_hub(all, rq, json_pack("{s:s}", "type", "list"), on_services_told);
}

/* Reads the answer to `peer`. False: the command has been answered and is over. */
static bool take_peer(struct command *c, const json_t *reply, const struct failure *why)
{
    c->ask = NULL;
    if (reply == NULL) {
        request_fail(c->rq, why);
    } else if (offer_read_peer(reply, &c->peer) != RC_OK) {
        fail(c->rq, "hub_unavailable", "the hub's answer makes no sense", "");
    } else if (memcmp(c->peer.key, identity_public(c->all->parts->identity), IDENTITY_KEY_LEN) ==
               0) {
        fail(c->rq, "usage", "that is this agent itself", "name another agent");
    } else {
        return true;
    }
    end(c);
    return false;
}

static void ask_peer(struct commands *all, struct request *rq, const json_t *body,
                     void (*done)(void *owner, const json_t *reply, const struct failure *why))
{
    char agent[SETTINGS_LABEL_SIZE];

    if (read_agent(rq, body, agent, sizeof agent))
        ask_hub(all, rq, json_pack("{s:s, s:o}", "type", "peer", "agent", json_text(agent)), done);
}

static json_t *describe_peer(const struct pins_peer *peer)
{
    char fingerprint[72];

    identity_fingerprint(peer->key, fingerprint);
    return json_pack("{s:s, s:o, s:s}", "agent_id", peer->agent_id, "label", json_text(peer->label),
                     "fingerprint", fingerprint);
}

static void on_trust_told(void *owner, const json_t *reply, const struct failure *why)
{
    struct command *c = owner;
    struct parts *p = c->all->parts;
    struct pins_peer before;
    struct failure problem;
    char previous[72] = "";

    if (!take_peer(c, reply, why))
        return;
    if (pins_find(p->pins, c->peer.agent_id, &before) == RC_OK)
        identity_fingerprint(before.key, previous);
    if (pins_trust(p->pins, &c->peer, &problem) == RC_OK) {
        json_t *answer = describe_peer(&c->peer);
        (void)json_object_set_new(answer, "previous", json_string(previous));
        request_answer(c->rq, answer, false);
    } else {
        request_fail(c->rq, &problem);
    }
    reaches_retry(p->reaches);
    end(c);
}

static void on_trust(struct commands *all, struct request *rq, const json_t *body)
{
    ask_peer(all, rq, body, on_trust_told);
}

static void on_words(void *owner, const char *const words[IDENTITY_WORDS])
{
    struct command *c = owner;
    json_t *answer = describe_peer(&c->peer), *list = json_array();
    char own[72];

    c->verify = NULL;
    identity_fingerprint(identity_public(c->all->parts->identity), own);
    for (int i = 0; i < IDENTITY_WORDS; i++)
        (void)json_array_append_new(list, json_string(words[i]));
    (void)json_object_set_new(answer, "own_fingerprint", json_string(own));
    (void)json_object_set_new(answer, "words", list);
    request_answer(c->rq, answer, false);
    end(c);
}

/*
 * Of the key that the hub names now, even where another is pinned: comparing it is how a person
 * finds out whether to trust it.
 */
static void on_verify_told(void *owner, const json_t *reply, const struct failure *why)
{
    struct command *c = owner;
    struct parts *p = c->all->parts;

    if (!take_peer(c, reply, why))
        return;
    request_on_gone(c->rq, NULL, NULL); /* the words come soon enough */
    c->verify = verify_start(p->loop, identity_public(p->identity), c->peer.key, on_words, c);
}

static void on_verify(struct commands *all, struct request *rq, const json_t *body)
{
    ask_peer(all, rq, body, on_verify_told);
}

/* --- down ------------------------------------------------------------------------------------ */

static void on_down_asked(struct commands *all, struct request *rq, const json_t *body)
{
    (void)body;
    all->on_down(all->owner, request_keep_socket(rq));
}

/* --- all of them ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool needs_hub;
    void (*run)(struct commands *all, struct request *rq, const json_t *body);
} table[] = {
    {"status", false, on_status},  {"whoami", false, on_whoami},    {"down", false, on_down_asked},
    {"expose", true, on_expose},   {"unexpose", true, on_unexpose}, {"reach", true, on_reach},
    {"unreach", true, on_unreach}, {"stdio", true, on_stdio},       {"services", true, on_services},
    {"trust", true, on_trust},     {"verify", true, on_verify},
};

void commands_handle(void *commands, struct request *rq, const char *command, const json_t *body)
{
    struct commands *all = commands;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, command) != 0)
            continue;
        if (table[i].needs_hub && !all->parts->was_connected)
            fail(rq, "hub_unavailable", "the agent is only just starting", "try again in a moment");
        else
            table[i].run(all, rq, body);
        return;
    }
    fail(rq, "usage", "the agent knows no such command",
         "is the agent of another version? connect down, then connect up");
}

struct commands *commands_new(struct parts *p, void (*on_down)(void *owner, int fd), void *owner)
{
    struct commands *all = mem_zalloc(sizeof *all);

    *all = (struct commands){.parts = p, .on_down = on_down, .owner = owner};
    list_init(&all->underway);
    return all;
}

void commands_free(struct commands *all)
{
    if (all == NULL)
        return;
    while (!list_is_empty(&all->underway)) /* attached ones, and questions to the hub */
        end(list_entry(all->underway.next, struct command, link));
    free(all);
}
