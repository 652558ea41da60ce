#include "hub/rendezvous.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "hub/copy.h"
#include "hub/reaches.h"
#include "net/channel.h"

enum {
    PIPE_ID_SIZE = 2 + 16 + 1,
    FLUSH_RETRY_MS = 2,   /* a 101 that the kernel did not take at once */
    FLUSH_MOST_MS = 5000, /* an agent that has not read until then what came before it */
};

/* What one agent has under way; exists while there is any. */
struct quota {
    char agent[STORE_ID_SIZE];
    size_t waiting, joined;
};

enum side { ASKER, OWNER, SIDES_ };

struct leg {
    struct deal *deal;
    struct token ticket;
    char key[2 * TOKEN_HASH_LEN + 1]; /* in rendezvous.tickets; "": not there */
    uint64_t born_ms;
    struct channel *channel; /* once it has come; paused */
    enum pipe_mode mode;
    int fd; /* of a bare leg whose channel has been given up; -1 */
};

enum deal_state {
    DEAL_ASKING,    /* the owner has been asked to dial */
    DEAL_RECORDING, /* it will; the audit row is being written */
    DEAL_OPEN,      /* the asker has its answer; legs may come */
    DEAL_JOINING,   /* both have come */
    DEAL_OVER,      /* only waits for the row */
};

/* One pipe from the request for it until its legs are joined. */
struct deal {
    struct rendezvous *rv;
    struct list all, asking, asked;
    enum deal_state state;
    struct link *asker, *owner; /* NULL: not needed any more, or gone */
    uint64_t request_id, dial_id;
    struct quota *quota[SIDES_];
    struct leg leg[SIDES_];
    struct control_service service;
    const char *mode; /* static */
    bool resume, recording;
    struct reach *reach; /* from the owner's consent on */
    struct timer timer;
    uint64_t join_by_ms; /* once both legs have come */
    char pipe[PIPE_ID_SIZE];
};

/* A joined pipe. */
struct tunnel {
    struct rendezvous *rv;
    struct reach *reach;
    struct quota *quota[SIDES_];
    uint64_t began_ms;
    char pipe[PIPE_ID_SIZE];
};

struct rendezvous {
    struct loop *loop;
    struct reaches *reaches;
    struct relay *relay;
    struct copies *copies;
    struct map tickets; /* hex of the hash -> leg */
    struct map quotas;  /* agent id -> quota */
    struct list deals;
};

/* --- quotas ---------------------------------------------------------------------------------- */

static struct quota *quota_of(struct rendezvous *rv, const char *agent)
{
    struct quota *q = map_get(&rv->quotas, agent);

    if (q)
        return q;
    q = mem_zalloc(sizeof *q);
    text_message(q->agent, sizeof q->agent, "%s", agent);
    map_put(&rv->quotas, agent, q);
    return q;
}

static void quota_drop_if_unused(struct rendezvous *rv, struct quota *q)
{
    if (q->waiting > 0 || q->joined > 0)
        return;
    (void)map_take(&rv->quotas, q->agent);
    free(q);
}

static bool has_room(const struct rendezvous *rv, const char *agent)
{
    const struct quota *q = map_get(&rv->quotas, agent);

    return q == NULL || (q->waiting < HUB_PIPES_WAITING_MAX && q->joined < HUB_PIPES_MAX);
}

/* --- tickets --------------------------------------------------------------------------------- */

static void hash_key(const struct token_hash *hash, char out[2 * TOKEN_HASH_LEN + 1])
{
    text_hex(reader_of(hash->bytes, sizeof hash->bytes), out);
}

static void issue(struct deal *d, struct leg *leg)
{
    token_make(TOKEN_TICKET, &leg->ticket);
    struct token_hash hash = token_hash(&leg->ticket);
    hash_key(&hash, leg->key);
    leg->deal = d;
    leg->fd = -1;
    leg->born_ms = loop_now(d->rv->loop);
    map_put(&d->rv->tickets, leg->key, leg);
}

static void use_up(struct leg *leg)
{
    token_wipe(&leg->ticket);
    if (leg->key[0] != '\0')
        (void)map_take(&leg->deal->rv->tickets, leg->key);
    leg->key[0] = '\0';
}

struct leg *rendezvous_find(struct rendezvous *rv, const struct token_hash *ticket)
{
    char key[2 * TOKEN_HASH_LEN + 1];

    hash_key(ticket, key);
    struct leg *leg = map_get(&rv->tickets, key);
    if (leg && loop_now(rv->loop) - leg->born_ms >= RENDEZVOUS_TICKET_MS)
        return NULL;
    return leg;
}

/* --- the end of a deal ----------------------------------------------------------------------- */

static void on_orphan_bytes(void *owner, struct reader bytes)
{
    (void)owner;
    (void)bytes;
}

static void on_orphan(void *owner)
{
    (void)owner;
}

static void on_orphan_closed(void *owner, enum rc why)
{
    (void)owner;
    (void)why;
}

/* For channels that are closing and belong to nobody any more. */
static const struct channel_events orphan_events = {
    .on_open = on_orphan, .on_bytes = on_orphan_bytes, .on_closed = on_orphan_closed};

static void leg_drop(struct leg *leg)
{
    use_up(leg);
    if (leg->channel) {
        channel_own(leg->channel, &orphan_events, NULL);
        channel_close(leg->channel, RC_CLOSED);
        leg->channel = NULL;
    }
    if (leg->fd >= 0)
        (void)close(leg->fd);
    leg->fd = -1;
}

static void leave_links(struct deal *d)
{
    list_remove(&d->asking);
    list_remove(&d->asked);
    d->asker = d->owner = NULL;
}

static void deal_free(struct deal *d)
{
    struct rendezvous *rv = d->rv;

    for (int i = 0; i < SIDES_; i++) {
        d->quota[i]->waiting--;
        quota_drop_if_unused(rv, d->quota[i]);
    }
    list_remove(&d->all);
    free(d);
}

/* Nothing comes of it. */
static void deal_end(struct deal *d)
{
    timer_stop(&d->timer);
    leave_links(d);
    for (int i = 0; i < SIDES_; i++)
        leg_drop(&d->leg[i]);
    if (d->reach)
        reach_release(d->reach, 0, 0);
    d->reach = NULL;
    d->state = DEAL_OVER;
    if (!d->recording)
        deal_free(d);
}

/* The asker, if it still waits, is told why. */
static void deal_fail(struct deal *d, const char *code, const char *message)
{
    if (d->asker)
        link_send(d->asker, control_reply_error(d->request_id, code, message));
    log_info("pipe.failed", log_str("pipe", d->pipe), log_str("code", code),
             log_str("message", message));
    deal_end(d);
}

/* --- joining --------------------------------------------------------------------------------- */

static void tunnel_over(void *tag, const struct relay_end *end)
{
    struct tunnel *t = tag;

    log_info("pipe.ended", log_str("pipe", t->pipe), log_u64("bytes_sent", end->bytes[ASKER]),
             log_u64("bytes_received", end->bytes[OWNER]),
             log_u64("ms", loop_now(t->rv->loop) - t->began_ms), log_rc("why", end->why));
    for (int i = 0; i < SIDES_; i++) {
        t->quota[i]->joined--;
        quota_drop_if_unused(t->rv, t->quota[i]);
    }
    reach_release(t->reach, end->bytes[ASKER], end->bytes[OWNER]);
    free(t);
}

static struct tunnel *tunnel_of(struct deal *d)
{
    struct tunnel *t = mem_zalloc(sizeof *t);

    t->rv = d->rv;
    t->reach = d->reach;
    d->reach = NULL;
    t->began_ms = loop_now(d->rv->loop);
    memcpy(t->pipe, d->pipe, sizeof t->pipe);
    for (int i = 0; i < SIDES_; i++) {
        t->quota[i] = d->quota[i];
        t->quota[i]->joined++;
    }
    return t;
}

static void on_waiting_open(void *owner)
{
    (void)owner; /* it was, before the upgrade */
}

/* A leg says nothing before its partner is there: it is paused. */
static void on_waiting_bytes(void *owner, struct reader bytes)
{
    struct leg *leg = owner;

    (void)bytes;
    deal_fail(leg->deal, "internal", "a leg could not be held");
}

static void on_waiting_closed(void *owner, enum rc why)
{
    struct leg *leg = owner;

    (void)why;
    leg->channel = NULL;
    deal_fail(leg->deal, "internal", "a leg went away");
}

static const struct channel_events waiting_events = {
    .on_open = on_waiting_open, .on_bytes = on_waiting_bytes, .on_closed = on_waiting_closed};

/* Drops the outer TLS (docs/protocol.md §4.2). RC_AGAIN: the 101 is still on its way. */
static enum rc leg_bare(struct leg *leg)
{
    if (leg->fd >= 0)
        return RC_OK;
    enum rc rc = channel_release(leg->channel, &leg->fd);
    if (rc == RC_OK)
        leg->channel = NULL;
    return rc;
}

static enum rc legs_bare(struct deal *d)
{
    enum rc rc = RC_OK;

    for (int i = 0; i < SIDES_ && rc == RC_OK; i++)
        if (d->leg[i].mode == PIPE_BARE)
            rc = leg_bare(&d->leg[i]);
    return rc;
}

/* The bare one of two different legs is copied from its naked socket. */
static struct channel *channel_of(struct leg *leg)
{
    struct channel *ch = leg->channel;

    if (ch == NULL)
        ch = channel_new(leg->deal->rv->loop, leg->fd, NULL, &waiting_events, leg);
    leg->channel = NULL;
    leg->fd = -1;
    return ch;
}

static void join(struct deal *d)
{
    struct leg *a = &d->leg[ASKER], *b = &d->leg[OWNER];
    bool spliced = a->mode == PIPE_BARE && b->mode == PIPE_BARE;
    struct tunnel *t = tunnel_of(d);

    log_info("pipe.joined", log_str("pipe", d->pipe), log_str("asker", pipe_mode_text(a->mode)),
             log_str("owner", pipe_mode_text(b->mode)));
    if (spliced) {
        relay_join(d->rv->relay, t, a->fd, b->fd);
        a->fd = b->fd = -1;
    } else {
        struct channel *one = channel_of(a), *other = channel_of(b);
        copies_join(d->rv->copies, t, one, a->mode, other, b->mode);
    }
    deal_end(d);
}

static void try_join(struct deal *d)
{
    enum rc rc = legs_bare(d);
    uint64_t now = loop_now(d->rv->loop);

    if (d->state != DEAL_JOINING)
        d->join_by_ms = now + FLUSH_MOST_MS;
    d->state = DEAL_JOINING;
    if (rc == RC_OK)
        join(d);
    else if (rc == RC_AGAIN && now < d->join_by_ms)
        timer_start(&d->timer, FLUSH_RETRY_MS);
    else
        deal_fail(d, "internal", "a leg went away");
}

static bool has_come(const struct leg *leg)
{
    return leg->channel != NULL || leg->fd >= 0;
}

void leg_arrive(struct leg *leg, struct channel *ch, enum pipe_mode mode)
{
    struct deal *d = leg->deal;

    use_up(leg);
    leg->channel = ch;
    leg->mode = mode;
    channel_own(ch, &waiting_events, leg);
    channel_pause(ch);
    if (has_come(&d->leg[ASKER]) && has_come(&d->leg[OWNER]))
        try_join(d);
}

void leg_spoil(struct leg *leg, struct channel *ch)
{
    leg->channel = ch; /* closed with the rest */
    deal_fail(leg->deal, "internal", "a leg broke the protocol");
}

bool leg_must_be_dressed(const struct leg *leg)
{
    return strcmp(leg->deal->mode, "auto") != 0;
}

/* --- the agreement --------------------------------------------------------------------------- */

static void on_timer(void *owner)
{
    struct deal *d = owner;

    if (d->state == DEAL_JOINING)
        try_join(d);
    else if (d->state == DEAL_ASKING)
        deal_fail(d, "offline", "The exposing agent does not answer");
    else
        deal_fail(d, "unavailable", "The other leg did not come");
}

static struct control_opened describe(const struct deal *d, enum side to,
                                      const struct identity *peer)
{
    return (struct control_opened){
        .pipe = d->pipe,
        .ticket = d->leg[to].ticket.text,
        .mode = d->mode,
        .service = &d->service,
        .peer = {.agent_id = peer->agent, .label = peer->label, .public_key = peer->public_key}};
}

static void answer_asker(struct deal *d)
{
    struct control_opened opened = describe(d, ASKER, link_who(d->owner));

    d->state = DEAL_OPEN;
    d->leg[ASKER].born_ms = loop_now(d->rv->loop);
    timer_start(&d->timer, RENDEZVOUS_TICKET_MS);
    link_send(d->asker, control_reply_open(d->request_id, &opened));
    token_wipe(&d->leg[ASKER].ticket);
    leave_links(d);
}

static void not_recorded(struct deal *d)
{
    if (d->reach)
        reach_cancel(d->reach);
    d->reach = NULL;
    deal_fail(d, "unavailable", "The hub cannot write its audit log now");
}

static void on_recorded(void *owner, enum rc rc)
{
    struct deal *d = owner;

    d->recording = false;
    if (d->state == DEAL_OVER)
        deal_free(d);
    else if (rc != RC_OK)
        not_recorded(d);
    else
        answer_asker(d);
}

/* A reach that is not on record does not begin; one that resumes is not held up by the record. */
static void agreed(struct deal *d)
{
    bool fresh;

    if (reaches_take(d->rv->reaches, link_who(d->asker), link_ip(d->asker), d->service.name,
                     link_who(d->owner)->agent, &d->reach, &fresh) != RC_OK) {
        deal_fail(d, "limit", "This agent uses too many services");
        return;
    }
    if (!fresh) {
        answer_asker(d);
        return;
    }
    if (d->resume) {
        (void)reach_note_start(d->reach, true, NULL, NULL);
        answer_asker(d);
        return;
    }
    d->state = DEAL_RECORDING;
    d->recording = reach_note_start(d->reach, false, on_recorded, d);
    if (!d->recording)
        not_recorded(d);
}

static void refused(struct deal *d, const struct control_message *m)
{
    char message[CONTROL_REASON_SIZE + 40];

    text_message(message, sizeof message, "%s: %s", m->reply.code, m->reply.message);
    deal_fail(d, "refused", message);
}

void rendezvous_answer(struct rendezvous *rv, struct link *from, const struct control_message *m)
{
    (void)rv;
    list_each(at, after, &link_deals(from)->asked)
    {
        struct deal *d = list_entry(at, struct deal, asked);
        if (d->state != DEAL_ASKING || d->dial_id != m->id)
            continue;
        if (m->reply.refused)
            refused(d, m);
        else
            agreed(d);
        return;
    }
    log_debug("link.late_answer", log_str("agent", link_who(from)->agent));
}

static struct deal *deal_new(struct rendezvous *rv, struct link *asker, struct link *owner)
{
    struct deal *d = mem_zalloc(sizeof *d);
    uint8_t random[8];

    d->rv = rv;
    d->asker = asker;
    d->owner = owner;
    d->quota[ASKER] = quota_of(rv, link_who(asker)->agent);
    d->quota[OWNER] = quota_of(rv, link_who(owner)->agent);
    platform_random(random, sizeof random);
    memcpy(d->pipe, "p_", 2);
    text_hex(reader_of(random, sizeof random), d->pipe + 2);
    list_init(&d->all);
    list_init(&d->asking);
    list_init(&d->asked);
    list_append(&rv->deals, &d->all);
    list_append(&link_deals(asker)->asking, &d->asking);
    list_append(&link_deals(owner)->asked, &d->asked);
    timer_init(&d->timer, rv->loop, on_timer, d);
    for (int i = 0; i < SIDES_; i++) {
        d->quota[i]->waiting++;
        issue(d, &d->leg[i]);
    }
    return d;
}

void rendezvous_open(struct rendezvous *rv, struct link *asker, uint64_t id, bool resume,
                     const char *mode, const struct control_service *service, struct link *owner)
{
    const char *code = NULL, *message = NULL;

    if (owner == asker) {
        code = "refused";
        message = "This agent exposes that service itself: connect to its target";
    } else if (!has_room(rv, link_who(asker)->agent)) {
        code = "limit";
        message = "This agent has too many pipes";
    } else if (!has_room(rv, link_who(owner)->agent)) {
        code = "limit";
        message = "The exposing agent has too many pipes";
    }
    if (code) {
        link_send(asker, control_reply_error(id, code, message));
        return;
    }
    struct deal *d = deal_new(rv, asker, owner);
    d->request_id = id;
    d->dial_id = ++link_deals(owner)->next_id;
    d->resume = resume;
    d->mode = mode;
    d->service = *service;
    struct control_opened dial = describe(d, OWNER, link_who(asker));
    timer_start(&d->timer, RENDEZVOUS_DIAL_MS);
    link_send(owner, control_dial(d->dial_id, &dial));
    token_wipe(&d->leg[OWNER].ticket);
}

void rendezvous_link_gone(struct rendezvous *rv, struct link *l)
{
    struct link_deals *deals = link_deals(l);

    (void)rv;
    while (!list_is_empty(&deals->asking))
        deal_end(list_entry(deals->asking.next, struct deal, asking));
    while (!list_is_empty(&deals->asked))
        deal_fail(list_entry(deals->asked.next, struct deal, asked), "offline",
                  "The exposing agent has just gone offline");
}

/* --- life ------------------------------------------------------------------------------------ */

struct rendezvous *rendezvous_new(struct loop *l, struct reaches *reaches, unsigned relay_threads)
{
    struct rendezvous *rv = mem_zalloc(sizeof *rv);

    rv->loop = l;
    rv->reaches = reaches;
    if (relay_new(l, relay_threads, tunnel_over, &rv->relay) != RC_OK) {
        free(rv);
        return NULL;
    }
    rv->copies = copies_new(tunnel_over);
    map_init(&rv->tickets);
    map_init(&rv->quotas);
    list_init(&rv->deals);
    return rv;
}

void rendezvous_stop(struct rendezvous *rv)
{
    list_each(at, after, &rv->deals)
    {
        struct deal *d = list_entry(at, struct deal, all);
        if (d->state != DEAL_OVER)
            deal_end(d);
    }
    copies_stop(rv->copies);
}

bool rendezvous_is_idle(const struct rendezvous *rv)
{
    return copies_count(rv->copies) == 0 && list_is_empty(&rv->deals);
}

void rendezvous_free(struct rendezvous *rv)
{
    if (rv == NULL)
        return;
    relay_free(rv->relay);
    copies_free(rv->copies);
    assert(rv->quotas.count == 0);
    map_done(&rv->tickets);
    map_done(&rv->quotas);
    free(rv);
}

size_t rendezvous_joined(const struct rendezvous *rv)
{
    return relay_count(rv->relay) + copies_count(rv->copies);
}
