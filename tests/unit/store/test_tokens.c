#include "fixture.h"

#include <pthread.h>

enum { OLD = 1, FRESH = 2, THIRD = 3, MONTH = 30 * DAY };

static struct store_agent agent_with_token(struct fixture *f, unsigned hash, int64_t expires)
{
    struct store_agent agent = make_agent(f, f->acme.id, "web");
    struct store_token token;

    assert_int_equal(
        store_token_create(f->s, f->acme.id, agent.id, bytes_of(hash), NOW, expires, &token),
        RC_OK);
    assert_string_equal(token.agent, agent.id);
    assert_int_equal(token.expires, expires);
    return agent;
}

static enum rc rotate(struct fixture *f, unsigned old, unsigned fresh, int64_t now)
{
    struct store_token token;

    enum rc rc =
        store_token_rotate(f->s, bytes_of(old), bytes_of(fresh), now, now + MONTH, DAY, &token);
    if (rc == RC_OK) {
        assert_int_equal(token.state, STORE_TOKEN_VALID);
        assert_string_equal(token.workspace, f->acme.id);
    }
    return rc;
}

/* The state that a find tells, with the rc that belongs to it. */
static enum store_token_state state_of(struct fixture *f, unsigned hash, int64_t now)
{
    struct store_token token = {0};

    enum rc rc = store_token_find(f->s, bytes_of(hash), now, &token);
    assert_int_equal(rc, token.state == STORE_TOKEN_VALID ? RC_OK : RC_AUTH);
    return token.state;
}

static void a_token_is_found_with_its_agent_until_it_expires(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = agent_with_token(f, OLD, NOW + 100);
    struct store_token token = {0};

    assert_int_equal(store_token_find(f->s, bytes_of(OLD), NOW + 99, &token), RC_OK);
    assert_string_equal(token.agent, agent.id);
    assert_string_equal(token.workspace, f->acme.id);
    assert_int_equal(token.state, STORE_TOKEN_VALID);
    assert_int_equal(token.created, NOW);
    assert_int_equal(token.expires, NOW + 100);

    memset(&token, 0, sizeof token);
    assert_int_equal(store_token_find(f->s, bytes_of(OLD), NOW + 100, &token), RC_AUTH);
    assert_int_equal(token.state, STORE_TOKEN_EXPIRED);
    assert_string_equal(token.agent, agent.id);
    assert_int_equal(store_token_find(f->s, bytes_of(FRESH), NOW, &token), RC_ABSENT);
}

static void what_cannot_be_a_token_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = make_agent(f, f->acme.id, "web"),
                       gone = make_agent(f, f->acme.id, "gone");
    const struct {
        const char *workspace, *agent;
        unsigned hash;
        int64_t expires;
        enum rc rc;
    } cases[] = {
        {f->acme.id, agent.id, 1, NOW, RC_INPUT},
        {f->acme.id, agent.id, 1, 0, RC_INPUT},
        {f->acme.id, "ag_nobody", 1, NOW + 1, RC_ABSENT},
        {f->rival.id, agent.id, 1, NOW + 1, RC_ABSENT},
        {f->acme.id, gone.id, 1, NOW + 1, RC_ABSENT},
        {f->acme.id, agent.id, 1, NOW + 1, RC_OK},
        {f->acme.id, agent.id, 1, NOW + 1, RC_EXISTS},
    };

    assert_int_equal(store_agent_revoke(f->s, f->acme.id, gone.id, NOW), RC_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_token token;

        assert_int_equal(store_token_create(f->s, cases[i].workspace, cases[i].agent,
                                            bytes_of(cases[i].hash), NOW, cases[i].expires, &token),
                         cases[i].rc);
    }
    assert_int_equal(state_of(f, 1, NOW),
                     STORE_TOKEN_VALID); /* the refused one has replaced nothing */
}

static void an_agent_has_one_token(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = agent_with_token(f, OLD, NOW + MONTH);
    struct store_token token;

    assert_int_equal(store_token_create(f->s, f->acme.id, agent.id, bytes_of(FRESH), NOW + 5,
                                        NOW + MONTH, &token),
                     RC_OK);
    assert_int_equal(state_of(f, OLD, NOW + 5), STORE_TOKEN_REPLACED);
    assert_int_equal(state_of(f, FRESH, NOW + 5), STORE_TOKEN_VALID);
    assert_int_equal(rotate(f, OLD, THIRD, NOW + 60), RC_AUTH);
}

static void the_tokens_of_a_revoked_agent_are_revoked(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = agent_with_token(f, OLD, NOW + MONTH);

    assert_int_equal(store_agent_revoke(f->s, f->acme.id, agent.id, NOW + 1), RC_OK);
    assert_int_equal(state_of(f, OLD, NOW + 2), STORE_TOKEN_REVOKED);
    assert_int_equal(state_of(f, OLD, NOW + 2 * MONTH), STORE_TOKEN_REVOKED);
    assert_int_equal(rotate(f, OLD, FRESH, NOW + 2), RC_AUTH);
}

static void a_rotated_token_can_only_rotate_and_only_in_its_grace(void **state)
{
    struct fixture *f = *state;

    (void)agent_with_token(f, OLD, NOW + MONTH);
    assert_int_equal(rotate(f, OLD, FRESH, NOW + 10), RC_OK);
    assert_int_equal(state_of(f, OLD, NOW + 10), STORE_TOKEN_ROTATE_ONLY);
    assert_int_equal(state_of(f, OLD, NOW + 10 + DAY - 1), STORE_TOKEN_ROTATE_ONLY);
    assert_int_equal(state_of(f, OLD, NOW + 10 + DAY), STORE_TOKEN_REPLACED);
    assert_int_equal(rotate(f, OLD, THIRD, NOW + 10 + DAY), RC_AUTH);
    assert_int_equal(state_of(f, FRESH, NOW + 10), STORE_TOKEN_VALID);
    assert_int_equal(state_of(f, FRESH, NOW + 10 + MONTH), STORE_TOKEN_EXPIRED);
}

static void what_cannot_be_rotated_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_token token;

    (void)agent_with_token(f, OLD, NOW + 100);
    assert_int_equal(rotate(f, 77, FRESH, NOW), RC_ABSENT);
    assert_int_equal(rotate(f, OLD, FRESH, NOW + 100), RC_AUTH);
    assert_int_equal(
        store_token_rotate(f->s, bytes_of(OLD), bytes_of(FRESH), NOW, NOW, DAY, &token), RC_INPUT);
    assert_int_equal(
        store_token_rotate(f->s, bytes_of(OLD), bytes_of(FRESH), NOW, NOW + 1, -1, &token),
        RC_INPUT);
    assert_int_equal(rotate(f, OLD, OLD, NOW), RC_EXISTS);
    assert_int_equal(state_of(f, OLD, NOW), STORE_TOKEN_VALID);
}

static void grace_does_not_outlast_the_expiry(void **state)
{
    struct fixture *f = *state;

    (void)agent_with_token(f, OLD, NOW + 100);
    assert_int_equal(rotate(f, OLD, FRESH, NOW + 50), RC_OK);
    assert_int_equal(state_of(f, OLD, NOW + 99), STORE_TOKEN_ROTATE_ONLY);
    assert_int_equal(state_of(f, OLD, NOW + 100), STORE_TOKEN_EXPIRED);
    assert_int_equal(rotate(f, OLD, THIRD, NOW + 100), RC_AUTH);
}

/* The hub died between commit and answer: the agent still has the old one and asks again. */
static void an_answer_that_was_lost_can_be_asked_for_again(void **state)
{
    struct fixture *f = *state;

    (void)agent_with_token(f, OLD, NOW + MONTH);
    assert_int_equal(rotate(f, OLD, FRESH, NOW), RC_OK);
    assert_int_equal(rotate(f, OLD, THIRD, NOW + STORE_ROTATE_AGAIN_S - 1), RC_EXISTS);
    assert_int_equal(rotate(f, OLD, THIRD, NOW + STORE_ROTATE_AGAIN_S), RC_OK);
    assert_int_equal(state_of(f, THIRD, NOW + STORE_ROTATE_AGAIN_S), STORE_TOKEN_VALID);
    assert_int_equal(state_of(f, FRESH, NOW + STORE_ROTATE_AGAIN_S), STORE_TOKEN_REPLACED);
    /* Again counts from the last time, the grace from the first. */
    assert_int_equal(rotate(f, OLD, 4, NOW + 2 * STORE_ROTATE_AGAIN_S - 1), RC_EXISTS);
    assert_int_equal(state_of(f, OLD, NOW + DAY - 1), STORE_TOKEN_ROTATE_ONLY);
    assert_int_equal(state_of(f, OLD, NOW + DAY), STORE_TOKEN_REPLACED);
}

static void once_the_new_one_is_used_the_old_one_is_finished(void **state)
{
    struct fixture *f = *state;

    (void)agent_with_token(f, OLD, NOW + MONTH);
    assert_int_equal(rotate(f, OLD, FRESH, NOW), RC_OK);
    assert_int_equal(state_of(f, FRESH, NOW + 1), STORE_TOKEN_VALID); /* the use */
    assert_int_equal(rotate(f, OLD, THIRD, NOW + 100), RC_EXISTS);
    assert_int_equal(state_of(f, FRESH, NOW + 100), STORE_TOKEN_VALID);
    assert_int_equal(rotate(f, FRESH, THIRD, NOW + 100), RC_OK);
    assert_int_equal(rotate(f, OLD, 4, NOW + 200), RC_EXISTS);
}

static void the_same_rotation_again_is_the_same_answer(void **state)
{
    struct fixture *f = *state;
    struct store_token first, again;

    (void)agent_with_token(f, OLD, NOW + MONTH);
    assert_int_equal(
        store_token_rotate(f->s, bytes_of(OLD), bytes_of(FRESH), NOW, NOW + 100, DAY, &first),
        RC_OK);
    assert_int_equal(
        store_token_rotate(f->s, bytes_of(OLD), bytes_of(FRESH), NOW + 1, NOW + 200, DAY, &again),
        RC_OK);
    assert_int_equal(again.expires, NOW + 100);
    assert_string_equal(again.agent, first.agent);
    assert_int_equal(state_of(f, FRESH, NOW + 1), STORE_TOKEN_VALID);
    assert_int_equal(rotate(f, FRESH, THIRD, NOW + 2), RC_OK);
    assert_int_equal(rotate(f, OLD, FRESH, NOW + 3), RC_EXISTS);
}

struct contender {
    const struct fixture *f;
    pthread_barrier_t *start;
    unsigned fresh;
    enum rc rc;
};

static void *contend(void *arg)
{
    struct contender *c = arg;
    struct store *s = open_store(c->f);
    struct store_token token;

    (void)pthread_barrier_wait(c->start);
    c->rc = store_token_rotate(s, bytes_of(OLD), bytes_of(c->fresh), NOW, NOW + MONTH, DAY, &token);
    store_close(s);
    return NULL;
}

static void of_many_rotations_at_once_exactly_one_wins(void **state)
{
    enum { MANY = 24 };
    struct fixture *f = *state;
    struct contender contenders[MANY];
    pthread_barrier_t start;
    pthread_t threads[MANY];
    unsigned winner = 0, winners = 0;

    (void)agent_with_token(f, OLD, NOW + MONTH);
    assert_int_equal(pthread_barrier_init(&start, NULL, MANY), 0);
    for (unsigned i = 0; i < MANY; i++) {
        contenders[i] = (struct contender){.f = f, .start = &start, .fresh = 100 + i};
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(contenders[i].rc == RC_OK || contenders[i].rc == RC_EXISTS);
        if (contenders[i].rc == RC_OK) {
            winner = contenders[i].fresh;
            winners++;
        }
    }
    (void)pthread_barrier_destroy(&start);
    assert_int_equal(winners, 1);
    for (unsigned i = 0; i < MANY; i++) {
        struct store_token token;
        enum rc rc = store_token_find(f->s, bytes_of(100 + i), NOW, &token);
        assert_int_equal(rc, 100 + i == winner ? RC_OK : RC_ABSENT);
    }
}

static void an_agent_keeps_few_ended_tokens_and_never_loses_the_current_one(void **state)
{
    struct fixture *f = *state;
    unsigned last = 10 + 3 * STORE_AGENT_TOKENS_KEPT, known = 0;
    struct store_token token;

    (void)agent_with_token(f, 9, NOW + MONTH);
    for (unsigned i = 10; i <= last; i++)
        assert_int_equal(rotate(f, i - 1, i, NOW + i), RC_OK);
    for (unsigned i = 9; i < last; i++)
        known += store_token_find(f->s, bytes_of(i), NOW + last, &token) == RC_AUTH;
    assert_int_equal(known, STORE_AGENT_TOKENS_KEPT);
    assert_int_equal(state_of(f, last - 1, NOW + last), STORE_TOKEN_ROTATE_ONLY);
    assert_int_equal(state_of(f, last, NOW + last), STORE_TOKEN_VALID);
}

static void a_rotation_that_is_undone_leaves_the_old_token(void **state)
{
    struct fixture *f = *state;
    struct store_token token;

    (void)agent_with_token(f, OLD, NOW + MONTH);
    assert_int_equal(store_begin(f->s), RC_OK);
    assert_int_equal(rotate(f, OLD, FRESH, NOW), RC_OK);
    assert_int_equal(store_end(f->s, RC_LIMIT), RC_LIMIT);
    assert_int_equal(state_of(f, OLD, NOW), STORE_TOKEN_VALID);
    assert_int_equal(store_token_find(f->s, bytes_of(FRESH), NOW, &token), RC_ABSENT);
}

static void a_clock_that_goes_back_brings_no_token_back(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = agent_with_token(f, OLD, NOW + MONTH);
    struct store_token token;

    assert_int_equal(
        store_token_create(f->s, f->acme.id, agent.id, bytes_of(FRESH), NOW, NOW + MONTH, &token),
        RC_OK);
    assert_int_equal(state_of(f, OLD, NOW - 3600), STORE_TOKEN_REPLACED);
    assert_int_equal(rotate(f, FRESH, THIRD, NOW), RC_OK);
    assert_int_equal(state_of(f, FRESH, NOW - 3600), STORE_TOKEN_ROTATE_ONLY);
    assert_int_equal(rotate(f, FRESH, 4, NOW - 3600), RC_EXISTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_token_is_found_with_its_agent_until_it_expires),
        STORE_TEST(what_cannot_be_a_token_is_refused),
        STORE_TEST(an_agent_has_one_token),
        STORE_TEST(the_tokens_of_a_revoked_agent_are_revoked),
        STORE_TEST(a_rotated_token_can_only_rotate_and_only_in_its_grace),
        STORE_TEST(what_cannot_be_rotated_is_refused),
        STORE_TEST(grace_does_not_outlast_the_expiry),
        STORE_TEST(an_answer_that_was_lost_can_be_asked_for_again),
        STORE_TEST(once_the_new_one_is_used_the_old_one_is_finished),
        STORE_TEST(the_same_rotation_again_is_the_same_answer),
        STORE_TEST(of_many_rotations_at_once_exactly_one_wins),
        STORE_TEST(an_agent_keeps_few_ended_tokens_and_never_loses_the_current_one),
        STORE_TEST(a_rotation_that_is_undone_leaves_the_old_token),
        STORE_TEST(a_clock_that_goes_back_brings_no_token_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
