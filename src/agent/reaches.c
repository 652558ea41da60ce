#include "agent/reaches.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/backoff.h"
#include "agent/exam.h"
#include "agent/exposes.h"
#include "agent/forward.h"
#include "agent/json.h"
#include "agent/offer.h"
#include "agent/parts.h"
#include "agent/port_choice.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"

struct reaches {
    struct parts *parts;
    struct list all;
    struct list failed; /* commands that are about to be told */
};

enum reach_state {
    REACH_CONNECTING,
    REACH_UP,
    REACH_RECONNECTING, /* streams are held */
    REACH_WAITING,      /* there is no tunnel, or no port; `why` says why */
    REACH_REFUSED,      /* the same, and only a person can change it */
    REACH_STATES_
};

static const char *const state_names[REACH_STATES_] = {
    [REACH_CONNECTING] = "connecting",     [REACH_UP] = "up",
    [REACH_RECONNECTING] = "reconnecting", [REACH_WAITING] = "waiting",
    [REACH_REFUSED] = "refused",
};

struct reach {
    struct list link;
    struct reaches *all;
    char name[STATE_NAME_SIZE];
    enum pipe_mode mode;
    uint16_t port;   /* the one it must have; 0: whichever suits */
    uint16_t asked;  /* the one that was wanted; 0: none */
    bool wants_port; /* false: for --stdio only */
    bool attached;   /* not remembered */
    bool settled;    /* has worked once, here or before the agent started: it stays */
    enum reach_state state;
    struct failure why;
    struct tunnel *tunnel; /* NULL: none now */
    struct forward *forward;
    struct ask *ask;                /* `open` under way */
    enum pipe_mode wanted;          /* what it asks for */
    bool was_up;                    /* this tunnel: its streams are worth waiting for */
    bool told_hub;                  /* it knows of the reach */
    char target[ADDRESS_TEXT_SIZE]; /* as the exposing agent was told it */
    struct pins_peer peer;
    bool first_contact;
    struct exam *exam;
    unsigned failed; /* tunnels in a row */
    struct timer retry, idle, port_retry;
    struct task later; /* what must not happen within the caller's call */
    struct list waiters;
    struct list holders; /* attached commands that have been answered */
};

/* A command that waits, or that holds what is attached to it. */
struct reaching {
    struct list link;
    struct reach *reach; /* NULL: it has failed and is about to be told */
    bool stdio, created, attached;
    unsigned attempts;
    struct timer deadline;
    struct task later;
    struct failure why;
    const struct reaching_events *events;
    void *owner;
};

static void open_tunnel(void *owner);

/* --- the table ------------------------------------------------------------------------------- */

static struct reach *find(const struct reaches *rs, const char *name)
{
    for (struct list *at = rs->all.next; at != &rs->all; at = at->next) {
        struct reach *r = list_entry(at, struct reach, link);
        if (strcmp(r->name, name) == 0)
            return r;
    }
    return NULL;
}

static struct loop *loop_of(const struct reach *r)
{
    return r->all->parts->loop;
}

static void set_state(struct reach *r, enum reach_state state)
{
    if (r->state != state)
        log_info("reaches.state", log_str("service", r->name), log_str("state", state_names[state]),
                 log_str("why", state == REACH_UP || r->why.code == NULL ? "" : r->why.message));
    r->state = state;
    if (state == REACH_UP)
        r->why.code = NULL;
}

static void on_told(void *owner, const json_t *reply, const struct failure *why)
{
    (void)owner, (void)reply, (void)why; /* only its audit wants to know */
}

static void tell_hub(const struct reach *r)
{
    struct uplink *u = r->all->parts->uplink;

    if (r->told_hub && uplink_state(u) == UPLINK_CONNECTED)
        (void)uplink_ask(u, json_pack("{s:s, s:s}", "type", "unreach", "service", r->name), on_told,
                         NULL);
}

/* Attached, and with the last command gone that it was attached to. */
static bool is_let_go(const struct reach *r)
{
    return r->attached && list_is_empty(&r->holders);
}

static void free_reach(struct reach *r)
{
    assert(list_is_empty(&r->waiters)); /* they would wait for ever */
    while (!list_is_empty(&r->holders)) {
        struct reaching *w = list_entry(r->holders.next, struct reaching, link);
        list_remove(&w->link);
        w->reach = NULL; /* goes with its command */
    }
    timer_stop(&r->retry);
    timer_stop(&r->idle);
    timer_stop(&r->port_retry);
    task_cancel(&r->later);
    ask_cancel(r->ask);
    exam_cancel(r->exam);
    if (r->forward)
        forward_close(r->forward);
    if (r->tunnel)
        tunnel_close(r->tunnel);
    tell_hub(r);
    list_remove(&r->link);
    free(r);
}

/* --- commands that wait ---------------------------------------------------------------------- */

static void free_reaching(struct reaching *w)
{
    timer_stop(&w->deadline);
    task_cancel(&w->later);
    list_remove(&w->link);
    free(w);
}

static void finish(struct reaching *w, json_t *answer, const struct failure *why)
{
    const struct reaching_events *events = w->events;
    void *owner = w->owner;

    if (answer && w->attached) {
        timer_stop(&w->deadline);
        list_remove(&w->link);
        list_append(&w->reach->holders, &w->link);
    } else {
        free_reaching(w);
    }
    events->on_done(owner, answer, why);
}

static void on_failed_later(void *owner)
{
    struct reaching *w = owner;
    struct failure why = w->why;

    finish(w, NULL, &why);
}

static void on_later(void *owner);

/* Tells one command, a moment later; a reach that never worked and that nobody waits for goes then,
 * too. */
static void fail_one(struct reaching *w, const struct failure *why)
{
    struct reach *r = w->reach;

    w->why = *why;
    w->reach = NULL;
    timer_stop(&w->deadline);
    list_remove(&w->link);
    if (r)
        list_append(&r->all->failed, &w->link);
    task_soon(&w->later);
    if (r)
        task_soon(&r->later);
}

static void fail_waiters(struct reach *r, const struct failure *why)
{
    while (!list_is_empty(&r->waiters))
        fail_one(list_entry(r->waiters.next, struct reaching, link), why);
}

static void on_command_deadline(void *owner)
{
    struct reaching *w = owner;
    struct failure why;

    if (w->reach->why.code)
        why = w->reach->why;
    else {
        failure_set(&why, "timeout", "%s was not reached within %d s", w->reach->name,
                    REACHES_COMMAND_MS / 1000);
    }
    fail_one(w, &why);
}

static void tell_progress(const struct reach *r, const char *text)
{
    list_each(at, after, &r->waiters)
    {
        struct reaching *w = list_entry(at, struct reaching, link);
        w->events->on_progress(w->owner, text);
    }
}

/* --- the local port -------------------------------------------------------------------------- */

static void explain_port(struct reach *r, enum rc rc, uint16_t port)
{
    struct failure *why = &r->why;

    if (rc == RC_AUTH)
        failure_set(why, "denied", "port %u may be opened by root only", port);
    else if (rc == RC_EXISTS)
        failure_set(why, "port_in_use", "port %u is in use on this machine", port);
    else
        failure_set(why, "other", "port %u cannot be opened: %s", port, rc_text(rc));
    failure_hint(why, "choose another with --port");
}

/* The port that suits the service, as far as the hub has told what it is. */
static uint16_t choose_port(struct reach *r)
{
    struct address at;
    const char *protocol;

    if (address_parse_target(r->target, &at, &protocol) != RC_OK)
        at = (struct address){.kind = ADDRESS_UNIX};
    uint16_t port = port_choice_wanted(&at);
    r->asked = at.kind == ADDRESS_TCP ? port : 0;
    return port;
}

/* RC_OK: it is open. Otherwise r->why. */
static enum rc open_port(struct reach *r)
{
    if (r->forward || !r->wants_port)
        return RC_OK;
    uint16_t port = r->port != 0 ? r->port : choose_port(r);
    enum rc rc = forward_open(loop_of(r), port, &r->forward);
    for (int tries = 1;
         r->port == 0 && (rc == RC_EXISTS || rc == RC_AUTH) && tries < PORT_CHOICE_TRIES; tries++) {
        port = port_choice_next(port, rc);
        if (port == 0)
            break;
        rc = forward_open(loop_of(r), port, &r->forward);
    }
    if (rc != RC_OK) {
        explain_port(r, rc, port);
        return rc;
    }
    r->port = port;
    forward_set_tunnel(r->forward, r->tunnel);
    return RC_OK;
}

/* A port that was remembered and is in use now: it may become free. */
static void on_port_retry(void *owner)
{
    struct reach *r = owner;

    if (open_port(r) != RC_OK)
        timer_start(&r->port_retry, REACHES_PORT_MS);
    else if (r->state == REACH_UP)
        r->why.code = NULL;
}

/* --- answers --------------------------------------------------------------------------------- */

static json_t *peer_json(const struct reach *r)
{
    char fingerprint[72];

    identity_fingerprint(r->peer.key, fingerprint);
    return json_pack("{s:s, s:o, s:s, s:b}", "agent_id", r->peer.agent_id, "label",
                     json_text(r->peer.label), "fingerprint", fingerprint, "first_contact",
                     (int)r->first_contact);
}

static json_t *answer_json(const struct reach *r, const struct exam_result *result)
{
    char locals[2][64];
    json_t *list = json_array();
    size_t count = forward_locals(r->forward, locals);

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_string(locals[i]));
    json_t *answer =
        json_pack("{s:s, s:o, s:i, s:o, s:O, s:s}", "name", r->name, "local", list, "port",
                  (int)forward_port(r->forward), "peer", peer_json(r), "check", result->check,
                  "pipe_mode", pipe_mode_text(tunnel_pipe_mode(r->tunnel)));
    if (r->asked != 0)
        (void)json_object_set_new(answer, "asked_port", json_integer(r->asked));
    if (result->pings > 0)
        (void)json_object_set_new(answer, "latency_ms",
                                  json_pack("{s:f, s:f, s:f}", "min", result->min_ms, "median",
                                            result->median_ms, "max", result->max_ms));
    return answer;
}

/* It works: from now on it is kept. */
static enum rc settle(struct reach *r, struct failure *why)
{
    struct state_reached entry = {.port = r->port, .asked = r->asked, .mode = r->mode};

    memcpy(entry.name, r->name, sizeof entry.name);
    enum rc rc = r->attached ? RC_OK : state_put_reached(r->all->parts->state, &entry, why);
    if (rc == RC_OK)
        r->settled = true;
    return rc;
}

static void on_examined(void *owner, const struct exam_result *result)
{
    struct reach *r = owner;
    struct failure why;
    struct list port_waiters;

    r->exam = NULL;
    if (settle(r, &why) != RC_OK) {
        fail_waiters(r, &why);
        return;
    }
    json_t *answer = answer_json(r, result);
    r->first_contact = false;
    /* Taken off first: an owner that is told may begin anew. */
    list_init(&port_waiters);
    list_each(at, after, &r->waiters)
    {
        if (list_entry(at, struct reaching, link)->stdio)
            continue;
        list_remove(at);
        list_append(&port_waiters, at);
    }
    while (!list_is_empty(&port_waiters))
        finish(list_entry(port_waiters.next, struct reaching, link), answer, NULL);
    json_decref(answer);
}

/* The tunnel is up: those who wait for a stream have it, the others wait for the measurements. */
static void serve_waiters(struct reach *r)
{
    bool wants_exam = false;
    struct list streams;

    list_init(&streams);
    list_each(at, after, &r->waiters)
    {
        struct reaching *w = list_entry(at, struct reaching, link);
        if (!w->stdio) {
            wants_exam = true;
            continue;
        }
        list_remove(at);
        list_append(&streams, at);
    }
    if (wants_exam && r->exam == NULL) {
        tell_progress(r, "examining the target and the way to it");
        r->exam = exam_start(loop_of(r), r->tunnel, on_examined, r);
    }
    if (list_is_empty(&streams))
        return;
    if (!r->settled || is_let_go(r)) /* for stdio alone: kept until it is idle */
        timer_start(&r->idle, REACHES_IDLE_MS);
    while (!list_is_empty(&streams)) {
        json_t *answer = json_object();
        finish(list_entry(streams.next, struct reaching, link), answer, NULL);
        json_decref(answer);
    }
}

static void on_idle(void *owner)
{
    struct reach *r = owner;
    struct session_stats stats = {0};

    if (!is_let_go(r) && (r->settled || r->wants_port))
        return;
    if (r->tunnel)
        session_stats(tunnel_session(r->tunnel), &stats);
    if (stats.streams > 0 || !list_is_empty(&r->waiters))
        timer_start(&r->idle, REACHES_IDLE_MS);
    else
        free_reach(r);
}

/* --- the tunnel ------------------------------------------------------------------------------ */

static void retry_later(struct reach *r, uint64_t wait_ms)
{
    timer_start(&r->retry, wait_ms);
}

static void retry_with_backoff(struct reach *r)
{
    uint32_t random;

    platform_random(&random, sizeof random);
    uint64_t wait_ms = backoff_ms(++r->failed, random);
    retry_later(r, wait_ms < REACHES_RETRY_MAX_MS ? wait_ms : REACHES_RETRY_MAX_MS);
}

static const char *label_of(const struct reach *r)
{
    return r->peer.label[0]      ? r->peer.label
           : r->peer.agent_id[0] ? r->peer.agent_id
                                 : "the other agent";
}

static void explain_failure(struct reach *r, enum tunnel_failure why, const char *text)
{
    struct failure *f = &r->why;

    switch (why) {
    case TUNNEL_NO_FAILURE:
        f->code = NULL;
        return;
    case TUNNEL_PEER_REFUSED:
        failure_set(f, "peer_refused", "the handshake with %s was refused: %s", label_of(r), text);
        failure_hint(f, "one of the two keys is not the expected one: connect verify %s",
                     r->peer.agent_id);
        return;
    case TUNNEL_HANDSHAKE:
    case TUNNEL_HUB:
        failure_set(f, "not_reachable", "there is no way to %s: %s", label_of(r), text);
        return;
    case TUNNEL_ENDED_BY_PEER:
        failure_set(f, "not_reachable", "%s has ended the connection: %s", label_of(r), text);
        return;
    case TUNNEL_PROTOCOL:
        failure_set(f, "other", "%s and this agent do not understand each other: %s", label_of(r),
                    text);
        return;
    case TUNNEL_EXPIRED:
        failure_set(f, "not_reachable", "%s was away for too long: %s", label_of(r), text);
        return;
    }
}

/*
 * There is no pipe to be had: r->why. `refused`: and trying again soon is of no use. A tunnel that
 * has been up is worth waiting for; one that never was is given up, so that clients who wait for it
 * are told.
 */
static void no_pipe(struct reach *r, bool refused)
{
    fail_waiters(r, &r->why);
    if (r->state != REACH_RECONNECTING)
        set_state(r, refused ? REACH_REFUSED : REACH_WAITING);
    if (r->tunnel)
        tunnel_no_pipe(r->tunnel, !r->was_up, r->why.message);
}

static void refuse_own(struct reach *r, const char *target)
{
    failure_set(&r->why, "usage", "%s is exposed by this very agent: it is at %s", r->name, target);
    failure_hint(&r->why, "connect to that directly, or reach it from another machine");
}

/* RC_OK: the peer is the one that we expect. */
static enum rc judge(struct reach *r, const struct pins_peer *peer)
{
    struct parts *p = r->all->parts;

    if (strcmp(peer->agent_id, p->settings.agent_id) == 0) {
        refuse_own(r, r->target);
        return RC_AUTH;
    }
    switch (pins_judge(p->pins, peer, r->name, &r->why)) {
    case PINS_NEW:
        r->first_contact = true;
        return RC_OK;
    case PINS_KNOWN:
        return RC_OK;
    case PINS_SERVICE_MOVED:
        pins_note_move(p->pins, r->name, peer->agent_id);
        return RC_AUTH;
    case PINS_KEY_CHANGED:
    case PINS_OWN_KEY:
        break;
    }
    return RC_AUTH;
}

static void take_offer(struct reach *r, const json_t *reply)
{
    struct pipe_offer offer;
    struct pins_peer peer;
    char progress[256];

    if (offer_read(reply, &offer, &peer) != RC_OK || strcmp(offer.service, r->name) != 0) {
        failure_set(&r->why, "hub_unavailable", "the hub's answer makes no sense");
        no_pipe(r, false);
        return;
    }
    r->told_hub = true;
    json_copy_remark(reply, "target", r->target, sizeof r->target);
    if (judge(r, &peer) != RC_OK) {
        log_warn("reaches.refused", log_str("service", r->name), log_str("why", r->why.message));
        no_pipe(r, true);
        return;
    }
    if (open_port(r) != RC_OK && !r->settled) {
        no_pipe(r, true);
        return;
    }
    r->peer = peer;
    if (r->wanted != PIPE_AUTO)
        offer.mode = r->wanted;
    text_message(progress, sizeof progress, "shaking hands with %s", label_of(r));
    tell_progress(r, progress);
    tunnel_dial(r->tunnel, &offer);
}

static void on_opened(void *owner, const json_t *reply, const struct failure *why)
{
    struct reach *r = owner;

    r->ask = NULL;
    if (reply) {
        take_offer(r, reply);
        return;
    }
    r->why = *why;
    no_pipe(r, false);
}

/* The hub need not know that only bare will do: that is between it and us. */
static const char *asked_mode(enum pipe_mode mode)
{
    return mode == PIPE_BARE ? "auto" : pipe_mode_text(mode);
}

static void on_want_pipe(void *owner, bool resume, enum pipe_mode mode)
{
    struct reach *r = owner;

    ask_cancel(r->ask);
    r->wanted = mode;
    r->ask = uplink_ask(r->all->parts->uplink,
                        json_pack("{s:s, s:s, s:s, s:s}", "type", "open", "service", r->name,
                                  "purpose", resume ? "resume" : "reach", "mode", asked_mode(mode)),
                        on_opened, r);
}

/* What was judged when the hub named the peer may not hold any more: others were pinned since. */
static bool on_proved(void *owner)
{
    struct reach *r = owner;

    if (pins_prove(r->all->parts->pins, &r->peer, r->name, &r->why) == RC_OK)
        return true;
    log_warn("reaches.refused", log_str("service", r->name), log_str("why", r->why.message));
    set_state(r, REACH_REFUSED);
    return false;
}

static void on_up(struct reach *r)
{
    r->was_up = true;
    r->failed = 0;
    set_state(r, REACH_UP);
    if (r->wants_port && r->forward == NULL)
        explain_port(r, RC_EXISTS, r->port); /* the retry goes on */
    serve_waiters(r);
}

/* An attempt has come to nothing, and the next one follows. */
static void count_attempt(struct reach *r)
{
    list_each(at, after, &r->waiters)
    {
        struct reaching *w = list_entry(at, struct reaching, link);
        if (++w->attempts >= REACHES_ATTEMPTS)
            fail_one(w, &r->why);
    }
}

static void on_tunnel_closed(struct reach *r, enum tunnel_failure why)
{
    r->tunnel = NULL;
    r->was_up = false;
    ask_cancel(r->ask);
    r->ask = NULL;
    exam_cancel(r->exam);
    r->exam = NULL;
    if (r->forward)
        forward_set_tunnel(r->forward, NULL);
    fail_waiters(r, &r->why);
    bool refused = why == TUNNEL_PEER_REFUSED || r->state == REACH_REFUSED;
    set_state(r, refused ? REACH_REFUSED : REACH_WAITING);
    if (!r->settled)
        task_soon(&r->later);
    else if (refused)
        retry_later(r, REACHES_REFUSED_MS);
    else
        retry_with_backoff(r);
}

static void on_state(void *owner, enum tunnel_state state, enum tunnel_failure why,
                     const char *text)
{
    struct reach *r = owner;

    switch (state) {
    case TUNNEL_CONNECTING:
        explain_failure(r, why, text);
        count_attempt(r);
        return;
    case TUNNEL_UP:
        on_up(r);
        return;
    case TUNNEL_RECONNECTING:
        explain_failure(r, why, text);
        set_state(r, REACH_RECONNECTING);
        return;
    case TUNNEL_CLOSED:
        /* What we have decided ourselves says more than that there was no pipe. */
        if (r->state != REACH_REFUSED && !(r->state == REACH_WAITING && r->why.code))
            explain_failure(r, why, text);
        on_tunnel_closed(r, why);
        return;
    }
}

static const struct tunnel_events tunnel_events = {on_want_pipe, on_proved, on_state};

static void open_tunnel(void *owner)
{
    struct reach *r = owner;

    if (r->tunnel)
        return;
    timer_stop(&r->retry);
    set_state(r, REACH_CONNECTING);
    r->tunnel = tunnel_open(r->all->parts->tunnels, r->name, r->mode, &tunnel_events, r);
    if (r->forward) /* clients wait while it connects */
        forward_set_tunnel(r->forward, r->tunnel);
}

/* --- beginning ------------------------------------------------------------------------------- */

/* What could not be done within somebody else's call. */
static void on_later(void *owner)
{
    struct reach *r = owner;

    if (!list_is_empty(&r->waiters) && r->state == REACH_UP)
        serve_waiters(r);
    else if (list_is_empty(&r->waiters) && (!r->settled || is_let_go(r)) &&
             !timer_is_running(&r->idle))
        free_reach(r);
}

static struct reach *make(struct reaches *rs, const char *name, enum pipe_mode mode)
{
    struct reach *r = mem_zalloc(sizeof *r);
    struct loop *l = rs->parts->loop;

    r->all = rs;
    r->mode = mode;
    r->state = REACH_CONNECTING;
    text_message(r->name, sizeof r->name, "%s", name);
    list_init(&r->link);
    list_init(&r->waiters);
    list_init(&r->holders);
    timer_init(&r->retry, l, open_tunnel, r);
    timer_init(&r->idle, l, on_idle, r);
    timer_init(&r->port_retry, l, on_port_retry, r);
    task_init(&r->later, l, on_later, r);
    list_append(&rs->all, &r->link);
    return r;
}

struct reaches *reaches_new(struct parts *p)
{
    struct reaches *rs = mem_zalloc(sizeof *rs);

    rs->parts = p;
    list_init(&rs->all);
    list_init(&rs->failed);
    return rs;
}

void reaches_restore(struct reaches *rs)
{
    struct state_reached entry;

    for (size_t i = 0; state_reached_at(rs->parts->state, i, &entry) == RC_OK; i++) {
        if (find(rs, entry.name))
            continue;
        struct reach *r = make(rs, entry.name, entry.mode);
        r->settled = true;
        r->wants_port = true;
        r->port = entry.port;
        r->asked = entry.asked;
        if (open_port(r) != RC_OK) {
            log_warn("reaches.port", log_str("service", r->name), log_str("why", r->why.message));
            timer_start(&r->port_retry, REACHES_PORT_MS);
        }
        open_tunnel(r);
    }
}

static size_t count(const struct reaches *rs)
{
    size_t n = 0;

    for (struct list *at = rs->all.next; at != &rs->all; at = at->next)
        n++;
    return n;
}

/* Why not even to begin; code NULL: nothing. */
static void judge_wish(const struct reaches *rs, const struct reach *r,
                       const struct reach_wish *wish, struct failure *why)
{
    const struct state_exposed *own = exposes_online(rs->parts->exposes, wish->name);

    why->code = NULL;
    if (own) {
        failure_set(why, "usage", "%s is exposed by this very agent: it is at %s", wish->name,
                    own->target);
        failure_hint(why, "connect to that directly, or reach it from another machine");
    } else if (r == NULL && count(rs) >= REACHES_MAX) {
        failure_set(why, "other", "an agent reaches at most %d services", REACHES_MAX);
    } else if (r && wish->port != 0 && r->forward && forward_port(r->forward) != wish->port) {
        failure_set(why, "other", "%s is reached at port %u already", r->name,
                    forward_port(r->forward));
        failure_hint(why, "connect unreach %s first", r->name);
    } else if (r && wish->mode != PIPE_AUTO && wish->mode != r->mode) {
        failure_set(why, "other", "%s is reached already, through a pipe of mode %s", r->name,
                    pipe_mode_text(r->mode));
        failure_hint(why, "connect unreach %s first", r->name);
    }
}

/*
 * Opens the port at once if it is known; otherwise it is when the hub has told the target. RC_OK,
 * or r->why.
 */
static enum rc want_port(struct reach *r, const struct reach_wish *wish)
{
    bool wanted_before = r->wants_port;
    uint16_t port_before = r->port;

    if (wish->stdio)
        return RC_OK;
    r->wants_port = true;
    if (wish->port != 0 && r->forward == NULL)
        r->port = r->asked = wish->port;
    enum rc rc = r->port != 0 || r->target[0] != '\0' ? open_port(r) : RC_OK;
    if (rc == RC_OK) {
        timer_stop(&r->idle);
    } else {
        r->wants_port = wanted_before;
        r->port = port_before;
    }
    return rc;
}

static void join(struct reach *r, struct reaching *w, const struct reach_wish *wish)
{
    bool fresh = w->created;

    if (!fresh && !r->settled && !r->wants_port && wish->attached)
        r->attached = true; /* so far it was for stdio alone */
    if (!fresh && r->attached && !wish->attached && !wish->stdio) {
        struct failure why;
        r->attached = false; /* somebody wants it for good */
        if (r->settled && settle(r, &why) != RC_OK)
            log_warn("reaches.settle", log_str("why", why.message));
    }
    w->reach = r;
    timer_start(&w->deadline, REACHES_COMMAND_MS);
    list_append(&r->waiters, &w->link);
    if (want_port(r, wish) != RC_OK) {
        fail_one(w, &r->why);
        return;
    }
    if (r->tunnel == NULL)
        open_tunnel(r);
    else if (r->state == REACH_UP)
        task_soon(&r->later);
    else
        tunnel_retry_now(r->tunnel);
}

struct reaching *reaches_begin(struct reaches *rs, const struct reach_wish *wish,
                               const struct reaching_events *events, void *owner)
{
    struct reaching *w = mem_zalloc(sizeof *w);
    struct reach *r = find(rs, wish->name);

    *w = (struct reaching){
        .stdio = wish->stdio, .attached = wish->attached, .events = events, .owner = owner};
    list_init(&w->link);
    timer_init(&w->deadline, rs->parts->loop, on_command_deadline, w);
    task_init(&w->later, rs->parts->loop, on_failed_later, w);
    judge_wish(rs, r, wish, &w->why);
    if (w->why.code) {
        task_soon(&w->later);
        return w;
    }
    if (r == NULL) {
        r = make(rs, wish->name, wish->mode);
        r->attached = wish->attached;
        w->created = true;
    }
    join(r, w, wish);
    return w;
}

void reaching_cancel(struct reaching *w)
{
    if (w == NULL)
        return;
    struct reach *r = w->reach;
    free_reaching(w);
    if (r)
        task_soon(&r->later); /* what is not kept goes with its last command */
}

enum rc reaches_join(struct reaches *rs, const char *name, int fd, struct reader early)
{
    struct reach *r = find(rs, name);

    if (r == NULL || r->tunnel == NULL) {
        (void)close(fd);
        return RC_ABSENT;
    }
    return forward_fd(rs->parts->loop, r->tunnel, fd, early);
}

/* --- the end --------------------------------------------------------------------------------- */

enum rc reaches_drop(struct reaches *rs, const char *name, struct failure *why)
{
    struct reach *r = find(rs, name);
    struct failure gone;

    if (r == NULL || !r->wants_port) {
        failure_set(why, "not_found", "%s is not reached from here", name);
        failure_hint(why, "connect status lists what is");
        return RC_ABSENT;
    }
    enum rc rc = state_drop_reached(rs->parts->state, name, why);
    if (rc != RC_OK)
        return rc;
    failure_set(&gone, "other", "somebody has ended it with connect unreach");
    fail_waiters(r, &gone);
    log_info("reaches.dropped", log_str("service", name));
    free_reach(r);
    return RC_OK;
}

void reaches_stop(struct reaches *rs)
{
    struct failure why;

    failure_set(&why, "other", "the agent is going down");
    while (!list_is_empty(&rs->all)) {
        struct reach *r = list_entry(rs->all.next, struct reach, link);
        while (!list_is_empty(&r->waiters))
            finish(list_entry(r->waiters.next, struct reaching, link), NULL, &why);
        free_reach(r);
    }
    while (!list_is_empty(&rs->failed)) {
        struct reaching *w = list_entry(rs->failed.next, struct reaching, link);
        why = w->why;
        finish(w, NULL, &why);
    }
}

void reaches_free(struct reaches *rs)
{
    if (rs == NULL)
        return;
    reaches_stop(rs);
    free(rs);
}

/* --- from outside ---------------------------------------------------------------------------- */

void reaches_retry(struct reaches *rs)
{
    list_each(at, after, &rs->all)
    {
        struct reach *r = list_entry(at, struct reach, link);
        if (r->tunnel)
            tunnel_retry_now(r->tunnel);
        else if (r->settled)
            timer_start(&r->retry, 0);
    }
}

static void put_numbers(const struct reach *r, json_t *entry)
{
    struct session_stats stats = {0};

    if (r->tunnel)
        session_stats(tunnel_session(r->tunnel), &stats);
    (void)json_object_set_new(entry, "streams", json_integer((json_int_t)stats.streams));
    (void)json_object_set_new(entry, "bytes_in", json_integer((json_int_t)stats.bytes_in));
    (void)json_object_set_new(entry, "bytes_out", json_integer((json_int_t)stats.bytes_out));
    if (stats.rtt_us > 0)
        (void)json_object_set_new(entry, "latency_ms", json_real((double)stats.rtt_us / 1000.0));
    (void)json_object_set_new(
        entry, "pipe_mode",
        json_string(pipe_mode_text(r->tunnel ? tunnel_pipe_mode(r->tunnel) : r->mode)));
}

static json_t *describe(const struct reach *r)
{
    char locals[2][64], fingerprint[72];
    size_t local_count = r->forward ? forward_locals(r->forward, locals) : 0;
    json_t *entry = json_pack("{s:s, s:s, s:s}", "name", r->name, "local",
                              local_count > 0 ? locals[0] : "", "state", state_names[r->state]);

    if (r->peer.agent_id[0] != '\0') {
        identity_fingerprint(r->peer.key, fingerprint);
        (void)json_object_set_new(entry, "agent", json_text(label_of(r)));
        (void)json_object_set_new(entry, "fingerprint", json_string(fingerprint));
    }
    put_numbers(r, entry);
    if (r->why.code)
        (void)json_object_set_new(entry, "error", json_text(r->why.message));
    return entry;
}

json_t *reaches_status(const struct reaches *rs)
{
    json_t *list = json_array();

    for (struct list *at = rs->all.next; at != &rs->all; at = at->next)
        (void)json_array_append_new(list, describe(list_entry(at, struct reach, link)));
    return list;
}
