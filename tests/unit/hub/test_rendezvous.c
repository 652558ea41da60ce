#include "hub/rendezvous.h"

#include <limits.h>
#include <stdio.h>

#include "base/list.h"
#include "base/text.h"
#include "hub/copy.h"
#include "hub/reaches.h"
#include "net/channel.h"
#include "test.h"

/*
 * The rendezvous and the reaches themselves, between fakes linked in place of what they stand on:
 * links, channels, the relay, the copies, the audit log and the clock.
 */

/* --- the clock ------------------------------------------------------------------------------- */

static uint64_t now_ms;
static struct timer *timers[256];
static size_t timer_count;

uint64_t loop_now(const struct loop *l)
{
    (void)l;
    return now_ms;
}

void timer_init(struct timer *t, struct loop *l, void (*fire)(void *owner), void *owner)
{
    *t = (struct timer){.loop = l, .fire = fire, .owner = owner};
}

void timer_stop(struct timer *t)
{
    for (size_t i = 0; i < timer_count; i++)
        if (timers[i] == t)
            timers[i--] = timers[--timer_count];
    t->slot = 0;
}

void timer_start(struct timer *t, uint64_t in_ms)
{
    timer_stop(t);
    t->due_ms = now_ms + in_ms;
    t->slot = 1;
    timers[timer_count++] = t;
}

static void pass(uint64_t ms)
{
    uint64_t until = now_ms + ms;

    for (;;) {
        struct timer *first = NULL;
        for (size_t i = 0; i < timer_count; i++)
            if (timers[i]->due_ms <= until && (first == NULL || timers[i]->due_ms < first->due_ms))
                first = timers[i];
        if (first == NULL)
            break;
        now_ms = first->due_ms;
        timer_stop(first);
        first->fire(first->owner);
    }
    now_ms = until;
}

/* --- links ----------------------------------------------------------------------------------- */

struct link {
    struct identity who;
    struct link_deals deals;
    char *sent; /* the last message */
    size_t count;
};

void link_send(struct link *l, char *text)
{
    free(l->sent);
    l->sent = text;
    l->count++;
}

const struct identity *link_who(const struct link *l)
{
    return &l->who;
}

const char *link_ip(const struct link *l)
{
    (void)l;
    return "192.0.2.1";
}

struct link_deals *link_deals(struct link *l)
{
    return &l->deals;
}

static void link_init(struct link *l, const char *id)
{
    *l =
        (struct link){.who = {.workspace = "ws_1", .workspace_name = "acme", .public_key = "00ff"}};
    (void)snprintf(l->who.agent, sizeof l->who.agent, "%s", id);
    (void)snprintf(l->who.label, sizeof l->who.label, "label of %s", id);
    list_init(&l->deals.asking);
    list_init(&l->deals.asked);
}

/* The value of a text member of the last message. */
static const char *member(const struct link *l, const char *key)
{
    static char value[256];
    char mark[64];

    (void)snprintf(mark, sizeof mark, "\"%s\":\"", key);
    const char *at = l->sent ? strstr(l->sent, mark) : NULL;
    if (at == NULL)
        return "";
    (void)snprintf(value, sizeof value, "%s", at + strlen(mark));
    value[strcspn(value, "\"")] = '\0';
    return value;
}

/* --- channels -------------------------------------------------------------------------------- */

struct channel {
    const struct channel_events *events;
    void *owner;
    bool paused, closed, released, born_plain;
    int busy; /* releases to be put off */
    int fd;
};

static struct channel channels[8];
static size_t channels_born;

void channel_own(struct channel *ch, const struct channel_events *events, void *owner)
{
    ch->events = events;
    ch->owner = owner;
}

void channel_pause(struct channel *ch)
{
    ch->paused = true;
}

void channel_close(struct channel *ch, enum rc why)
{
    (void)why;
    ch->closed = true;
}

enum rc channel_release(struct channel *ch, int *fd)
{
    if (ch->closed)
        return RC_CLOSED;
    if (ch->busy-- > 0)
        return RC_AGAIN;
    ch->released = true;
    *fd = ch->fd;
    return RC_OK;
}

struct channel *channel_new(struct loop *l, int fd, struct ssl_st *ssl,
                            const struct channel_events *events, void *owner)
{
    struct channel *ch = &channels[7 - channels_born++];

    (void)l;
    assert_null(ssl);
    *ch = (struct channel){.events = events, .owner = owner, .fd = fd, .born_plain = true};
    return ch;
}

const char *pipe_mode_text(enum pipe_mode mode)
{
    (void)mode;
    return "";
}

/* --- relay and copies ------------------------------------------------------------------------ */

struct relay {
    int unused;
};
struct copies {
    int unused;
};

static relay_ended *tell_end;
static struct relay the_relay;
static struct copies the_copies;
static struct {
    void *tag;
    int a, b;                    /* spliced */
    struct channel *one, *other; /* copied */
    enum pipe_mode mode_one, mode_other;
} joined[80];
static size_t joined_count;

enum rc relay_new(struct loop *l, unsigned threads, relay_ended *ended, struct relay **out)
{
    (void)l;
    (void)threads;
    tell_end = ended;
    *out = &the_relay;
    return RC_OK;
}

void relay_free(struct relay *r)
{
    (void)r;
}

void relay_join(struct relay *r, void *tag, int a, int b)
{
    (void)r;
    joined[joined_count].tag = tag;
    joined[joined_count].a = a;
    joined[joined_count++].b = b;
}

size_t relay_count(const struct relay *r)
{
    (void)r;
    return joined_count;
}

struct copies *copies_new(relay_ended *ended)
{
    assert_ptr_equal(ended, tell_end);
    return &the_copies;
}

void copies_free(struct copies *cs)
{
    (void)cs;
}

void copies_stop(struct copies *cs)
{
    (void)cs;
}

size_t copies_count(const struct copies *cs)
{
    (void)cs;
    return 0;
}

void copies_join(struct copies *cs, void *tag, struct channel *a, enum pipe_mode a_mode,
                 struct channel *b, enum pipe_mode b_mode)
{
    (void)cs;
    joined[joined_count].tag = tag;
    joined[joined_count].one = a;
    joined[joined_count].mode_one = a_mode;
    joined[joined_count].other = b;
    joined[joined_count++].mode_other = b_mode;
}

static void end_pipe(size_t i, uint64_t sent, uint64_t received)
{
    struct relay_end end = {.bytes = {sent, received}, .why = RC_EOF};

    tell_end(joined[i].tag, &end);
}

/* --- the audit log --------------------------------------------------------------------------- */

static struct {
    char type[32], subject[64], why[32];
    int64_t sent, received, resumed;
} rows[16];
static size_t row_count;
static bool hold_rows, refuse_rows;
static audit_done *held_done;
static void *held_owner;

static void keep_field(const struct audit_field *f)
{
    if (strcmp(f->key, "bytes_sent") == 0)
        rows[row_count].sent = f->number;
    if (strcmp(f->key, "bytes_received") == 0)
        rows[row_count].received = f->number;
    if (strcmp(f->key, "resumed") == 0)
        rows[row_count].resumed = f->number;
    if (strcmp(f->key, "why") == 0)
        (void)snprintf(rows[row_count].why, sizeof rows[0].why, "%s", f->text);
}

bool audit_write(struct store *s, const struct audit_row *row, audit_done *done, void *owner)
{
    (void)s;
    if (refuse_rows)
        return false;
    memset(&rows[row_count], 0, sizeof rows[0]);
    (void)snprintf(rows[row_count].type, sizeof rows[0].type, "%s", row->type);
    (void)snprintf(rows[row_count].subject, sizeof rows[0].subject, "%s", row->subject);
    for (const struct audit_field *f = row->detail; f && f->key; f++)
        keep_field(f);
    row_count++;
    held_done = done;
    held_owner = owner;
    return true;
}

/* The store has written. */
static void rows_done(enum rc rc)
{
    audit_done *done = held_done;

    held_done = NULL;
    if (done)
        done(held_owner, rc);
}

/* --- what every test has --------------------------------------------------------------------- */

static struct rendezvous *rv;
static struct reaches *reaches;
static struct link asker, owner;
static const struct control_service service = {"db", "tcp", "localhost:5432"};

static int begin(void **state)
{
    (void)state;
    now_ms = 1000;
    timer_count = joined_count = row_count = channels_born = 0;
    hold_rows = refuse_rows = false;
    held_done = NULL;
    memset(channels, 0, sizeof channels);
    memset(joined, 0, sizeof joined);
    for (int i = 0; i < 8; i++)
        channels[i].fd = 1000 + i; /* no real descriptor: closing it harms nobody */
    link_init(&asker, "ag_asker");
    link_init(&owner, "ag_owner");
    reaches = reaches_new(NULL);
    rv = rendezvous_new(NULL, reaches, 1);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    rendezvous_stop(rv);
    assert_true(rendezvous_is_idle(rv));
    rendezvous_free(rv); /* asserts that nothing is counted any more */
    reaches_free(reaches);
    assert_int_equal(timer_count, 0);
    free(asker.sent);
    free(owner.sent);
    return 0;
}

static void ask(uint64_t id, bool resume, const char *mode)
{
    rendezvous_open(rv, &asker, id, resume, mode, &service, &owner);
}

static void consent(void)
{
    struct control_message yes = {.type = CONTROL_REPLY, .id = owner.deals.next_id};

    rendezvous_answer(rv, &owner, &yes);
    if (!hold_rows)
        rows_done(RC_OK);
}

static struct leg *leg_of(const struct link *l)
{
    struct token_hash hash;
    const char *ticket = member(l, "ticket");

    if (token_hash_of(TOKEN_TICKET, reader_of(ticket, strlen(ticket)), &hash) != RC_OK)
        return NULL;
    return rendezvous_find(rv, &hash);
}

static void agree(uint64_t id, bool resume)
{
    ask(id, resume, "auto");
    consent();
}

static void join_bare(void)
{
    leg_arrive(leg_of(&owner), &channels[1], PIPE_BARE);
    leg_arrive(leg_of(&asker), &channels[0], PIPE_BARE);
}

/* --- the tests ------------------------------------------------------------------------------- */

static void two_bare_legs_are_spliced(void **state)
{
    (void)state;
    ask(7, false, "auto");
    assert_string_equal(member(&owner, "type"), "dial");
    assert_string_equal(member(&owner, "agent_id"), "ag_asker");
    assert_int_equal(asker.count, 0);
    leg_arrive(leg_of(&owner), &channels[1], PIPE_BARE); /* it may be faster than its own answer */
    consent();
    assert_non_null(strstr(asker.sent, "\"re\":7"));
    assert_string_equal(member(&asker, "agent_id"), "ag_owner");
    assert_true(channels[1].paused);
    assert_int_equal(joined_count, 0);
    leg_arrive(leg_of(&asker), &channels[0], PIPE_BARE);
    assert_int_equal(joined_count, 1);
    assert_int_equal(joined[0].a, 1000);
    assert_int_equal(joined[0].b, 1001);
    assert_true(channels[0].released && channels[1].released);
    end_pipe(0, 10, 20);
}

static void a_101_that_is_still_on_its_way_is_waited_for(void **state)
{
    (void)state;
    agree(1, false);
    channels[0].busy = 3;
    join_bare();
    assert_int_equal(joined_count, 0);
    pass(100);
    assert_int_equal(joined_count, 1);
    end_pipe(0, 0, 0);
}

/* It may have answers to earlier requests on its connection that it never reads. */
static void a_101_that_is_never_read_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    agree(1, false);
    channels[0].busy = INT_MAX;
    join_bare();
    pass(RENDEZVOUS_TICKET_MS);
    assert_int_equal(joined_count, 0);
    assert_true(channels[0].closed && channels[1].closed);
    assert_true(rendezvous_is_idle(rv));
}

static void different_legs_are_copied_the_bare_one_from_its_naked_socket(void **state)
{
    (void)state;
    agree(1, false);
    leg_arrive(leg_of(&owner), &channels[1], PIPE_WRAPPED);
    leg_arrive(leg_of(&asker), &channels[0], PIPE_BARE);
    assert_int_equal(joined_count, 1);
    assert_true(joined[0].one->born_plain);
    assert_int_equal(joined[0].one->fd, 1000);
    assert_int_equal(joined[0].mode_one, PIPE_BARE);
    assert_ptr_equal(joined[0].other, &channels[1]);
    assert_false(channels[1].released);
    end_pipe(0, 0, 0);
}

static void a_dressed_pipe_says_so_to_both(void **state)
{
    (void)state;
    ask(1, false, "base64");
    assert_string_equal(member(&owner, "mode"), "base64");
    assert_true(leg_must_be_dressed(leg_of(&owner)));
    consent();
    assert_true(leg_must_be_dressed(leg_of(&asker)));
}

static void a_reach_is_on_record_before_it_is_answered(void **state)
{
    (void)state;
    hold_rows = true;
    agree(1, false);
    assert_int_equal(row_count, 1);
    assert_string_equal(rows[0].type, "reach.started");
    assert_int_equal(asker.count, 0);
    rows_done(RC_OK);
    assert_true(*member(&asker, "ticket") != '\0');
}

static void what_cannot_be_recorded_is_refused_and_tried_afresh(void **state)
{
    (void)state;
    refuse_rows = true;
    agree(1, false);
    assert_string_equal(member(&asker, "code"), "unavailable");
    refuse_rows = false;
    hold_rows = true;
    agree(2, false);
    rows_done(RC_SYSTEM);
    assert_string_equal(member(&asker, "code"), "unavailable");
    hold_rows = false;
    row_count = 0;
    agree(3, false);
    assert_int_equal(row_count, 1); /* the failed ones left no reach behind */
    assert_true(*member(&asker, "ticket") != '\0');
}

static void resuming_does_not_wait_for_the_record(void **state)
{
    (void)state;
    refuse_rows = true;
    agree(1, true);
    assert_true(*member(&asker, "ticket") != '\0');
    refuse_rows = false;
    reaches_end(reaches, "ag_asker", "db");
    pass(RENDEZVOUS_TICKET_MS);
    agree(2, true);
    assert_int_equal(rows[0].resumed, 1);
}

static void an_asker_that_goes_while_the_row_is_written_leaves_nothing(void **state)
{
    (void)state;
    hold_rows = true;
    agree(1, false);
    rendezvous_link_gone(rv, &asker);
    assert_false(rendezvous_is_idle(rv)); /* the row is still on its way */
    rows_done(RC_OK);
    assert_true(rendezvous_is_idle(rv));
    assert_int_equal(asker.count, 0);
}

static void a_refusal_is_passed_on_with_its_reason(void **state)
{
    (void)state;
    struct control_message no = {.type = CONTROL_REPLY,
                                 .reply = {.refused = true, .code = "limit", .message = "full"}};

    ask(1, false, "auto");
    struct leg *leg = leg_of(&owner);
    assert_non_null(leg);
    no.id = owner.deals.next_id;
    rendezvous_answer(rv, &owner, &no);
    assert_string_equal(member(&asker, "code"), "refused");
    assert_string_equal(member(&asker, "message"), "limit: full");
    assert_null(leg_of(&owner));
    assert_int_equal(row_count, 0);
}

static void an_owner_that_does_not_answer_is_offline(void **state)
{
    (void)state;
    ask(1, false, "auto");
    pass(RENDEZVOUS_DIAL_MS - 1);
    assert_int_equal(asker.count, 0);
    pass(1);
    assert_string_equal(member(&asker, "code"), "offline");
    consent(); /* too late: no effect */
    assert_int_equal(asker.count, 1);

    ask(2, false, "auto");
    rendezvous_link_gone(rv, &owner);
    assert_int_equal(asker.count, 2);
    assert_string_equal(member(&asker, "code"), "offline");
}

static void a_ticket_is_good_once_and_for_so_long(void **state)
{
    (void)state;
    agree(1, false);
    leg_arrive(leg_of(&asker), &channels[0], PIPE_BARE);
    assert_null(leg_of(&asker));
    assert_non_null(leg_of(&owner));
    pass(RENDEZVOUS_TICKET_MS - 1);
    assert_non_null(leg_of(&owner));
    assert_false(channels[0].closed);
    pass(1);
    assert_null(leg_of(&owner));
    assert_true(channels[0].closed); /* its partner did not come */
    assert_true(rendezvous_is_idle(rv));
}

static void an_owners_ticket_is_not_good_longer_because_it_agreed_late(void **state)
{
    (void)state;
    ask(1, false, "auto");
    pass(5000);
    consent();
    pass(RENDEZVOUS_TICKET_MS - 5000);
    assert_null(leg_of(&owner));
    assert_non_null(leg_of(&asker));
}

static void a_leg_that_goes_ends_the_other(void **state)
{
    (void)state;
    agree(1, false);
    leg_arrive(leg_of(&owner), &channels[1], PIPE_WRAPPED);
    channels[1].events->on_closed(channels[1].owner, RC_EOF);
    assert_null(leg_of(&asker));
    assert_true(rendezvous_is_idle(rv));

    agree(2, false);
    leg_arrive(leg_of(&owner), &channels[2], PIPE_WRAPPED);
    leg_spoil(leg_of(&asker), &channels[3]);
    assert_true(channels[2].closed && channels[3].closed);
    channels[2].events->on_closed(channels[2].owner, RC_CLOSED); /* nobody's any more */
}

static void so_many_pipes_wait_per_agent(void **state)
{
    (void)state;
    struct link other;

    link_init(&other, "ag_other");
    for (uint64_t i = 0; i < HUB_PIPES_WAITING_MAX; i++)
        ask(i, false, "auto");
    assert_int_equal(owner.count, HUB_PIPES_WAITING_MAX);
    ask(99, false, "auto");
    assert_string_equal(member(&asker, "code"), "limit");
    rendezvous_open(rv, &other, 1, false, "auto", &service, &owner);
    assert_string_equal(member(&other, "code"), "limit");
    rendezvous_open(rv, &other, 2, false, "auto", &service, &asker);
    assert_string_equal(member(&other, "code"), "limit");
    assert_int_equal(owner.count, HUB_PIPES_WAITING_MAX);
    rendezvous_link_gone(rv, &asker);
    rendezvous_open(rv, &other, 3, false, "auto", &service, &owner);
    assert_int_equal(owner.count, HUB_PIPES_WAITING_MAX + 1);
    rendezvous_link_gone(rv, &other);
    free(other.sent);
}

static void an_agent_does_not_reach_itself(void **state)
{
    (void)state;
    rendezvous_open(rv, &owner, 1, false, "auto", &service, &owner);
    assert_string_equal(member(&owner, "code"), "refused");
}

static void a_reach_ends_with_the_sum_of_its_pipes(void **state)
{
    (void)state;
    agree(1, false);
    join_bare();
    agree(2, true);
    join_bare();
    assert_int_equal(row_count, 1);
    end_pipe(0, 100, 1);
    reaches_end(reaches, "ag_asker", "db");
    assert_int_equal(row_count, 1); /* a pipe is still there */
    end_pipe(1, 200, 2);
    assert_int_equal(row_count, 2);
    assert_string_equal(rows[1].type, "reach.ended");
    assert_string_equal(rows[1].why, "unreached");
    assert_int_equal(rows[1].sent, 300);
    assert_int_equal(rows[1].received, 3);
}

static void a_reach_ends_when_its_agent_has_gone_and_its_pipes_are_over(void **state)
{
    (void)state;
    agree(1, false);
    join_bare();
    rendezvous_link_gone(rv, &asker);
    reaches_agent_gone(reaches, "ag_asker");
    assert_int_equal(row_count, 1);
    end_pipe(0, 5, 6);
    assert_int_equal(row_count, 2);
    assert_string_equal(rows[1].why, "disconnected");
    agree(2, true); /* back again: another reach */
    assert_int_equal(row_count, 3);
    assert_int_equal(rows[2].resumed, 1);
}

static void a_reach_goes_on_when_only_the_control_link_was_lost(void **state)
{
    (void)state;
    agree(1, false);
    join_bare();
    rendezvous_link_gone(rv, &asker);
    reaches_agent_gone(reaches, "ag_asker");
    reaches_agent_back(reaches, "ag_asker");
    end_pipe(0, 5, 6);
    assert_int_equal(row_count, 1);
    reaches_end(reaches, "ag_asker", "db");
    assert_string_equal(rows[1].why, "unreached");
}

static void stopping_gives_up_what_waits(void **state)
{
    (void)state;
    ask(1, false, "auto");
    agree(2, false);
    leg_arrive(leg_of(&asker), &channels[0], PIPE_WRAPPED);
    rendezvous_stop(rv);
    assert_true(channels[0].closed);
    assert_true(rendezvous_is_idle(rv));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_bare_legs_are_spliced, begin, finish),
        cmocka_unit_test_setup_teardown(a_101_that_is_still_on_its_way_is_waited_for, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(a_101_that_is_never_read_is_not_waited_for_for_ever, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(
            different_legs_are_copied_the_bare_one_from_its_naked_socket, begin, finish),
        cmocka_unit_test_setup_teardown(a_dressed_pipe_says_so_to_both, begin, finish),
        cmocka_unit_test_setup_teardown(a_reach_is_on_record_before_it_is_answered, begin, finish),
        cmocka_unit_test_setup_teardown(what_cannot_be_recorded_is_refused_and_tried_afresh, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(resuming_does_not_wait_for_the_record, begin, finish),
        cmocka_unit_test_setup_teardown(an_asker_that_goes_while_the_row_is_written_leaves_nothing,
                                        begin, finish),
        cmocka_unit_test_setup_teardown(a_refusal_is_passed_on_with_its_reason, begin, finish),
        cmocka_unit_test_setup_teardown(an_owner_that_does_not_answer_is_offline, begin, finish),
        cmocka_unit_test_setup_teardown(a_ticket_is_good_once_and_for_so_long, begin, finish),
        cmocka_unit_test_setup_teardown(an_owners_ticket_is_not_good_longer_because_it_agreed_late,
                                        begin, finish),
        cmocka_unit_test_setup_teardown(a_leg_that_goes_ends_the_other, begin, finish),
        cmocka_unit_test_setup_teardown(so_many_pipes_wait_per_agent, begin, finish),
        cmocka_unit_test_setup_teardown(an_agent_does_not_reach_itself, begin, finish),
        cmocka_unit_test_setup_teardown(a_reach_ends_with_the_sum_of_its_pipes, begin, finish),
        cmocka_unit_test_setup_teardown(a_reach_ends_when_its_agent_has_gone_and_its_pipes_are_over,
                                        begin, finish),
        cmocka_unit_test_setup_teardown(a_reach_goes_on_when_only_the_control_link_was_lost, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(stopping_gives_up_what_waits, begin, finish),
    };
    return cmocka_run_group_tests_name("rendezvous", tests, NULL, NULL);
}
