#include "test.h"

#include "mux/credit.h"

enum { FIRST = 1000, MAX = 8000, RTT = 100 };

static void spends_only_what_was_granted(void **state)
{
    struct credit_out c;

    (void)state;
    credit_out_init(&c, FIRST);
    assert_int_equal(credit_out_left(&c), FIRST);
    c.sent += FIRST;
    assert_int_equal(credit_out_left(&c), 0);
    assert_true(credit_out_raise(&c, FIRST + 1));
    assert_int_equal(credit_out_left(&c), 1);
}

static void refuses_a_grant_that_does_not_raise(void **state)
{
    struct credit_out c;

    (void)state;
    credit_out_init(&c, FIRST);
    assert_false(credit_out_raise(&c, FIRST));
    assert_false(credit_out_raise(&c, FIRST - 1));
    assert_false(credit_out_raise(&c, 0));
    assert_true(credit_out_raise(&c, UINT64_MAX));
}

static void refuses_more_than_it_granted(void **state)
{
    struct credit_in c;

    (void)state;
    credit_in_init(&c, FIRST, 0);
    assert_true(credit_in_receive(&c, FIRST - 1));
    assert_false(credit_in_receive(&c, 2));
    assert_true(credit_in_receive(&c, 1));
    assert_false(credit_in_receive(&c, 1));
}

static void grants_on_consumption_and_not_on_arrival(void **state)
{
    struct credit_in c;

    (void)state;
    credit_in_init(&c, FIRST, 0);
    assert_true(credit_in_receive(&c, FIRST));
    assert_int_equal(c.granted, FIRST);
    assert_false(credit_in_consume(&c, 249, MAX, 1000, RTT)); /* not worth a frame yet */
    assert_int_equal(c.granted, FIRST);
    assert_true(credit_in_consume(&c, 1, MAX, 1000, RTT));
    assert_int_equal(c.granted, FIRST + 250);
}

/* Takes a whole window, in quarters, the last one at `now`. */
static void use_window(struct credit_in *c, uint64_t max, uint64_t now, uint64_t rtt)
{
    uint64_t part = c->window / 4;

    for (int i = 0; i < 4; i++) {
        assert_true(credit_in_receive(c, part));
        assert_true(credit_in_consume(c, part, max, now, rtt));
    }
}

static void grows_only_when_a_window_was_used_within_two_round_trips(void **state)
{
    static const struct {
        uint64_t took, rtt, max, window;
    } table[] = {
        {2 * RTT, RTT, MAX, 2 * FIRST},
        {2 * RTT + 1, RTT, MAX, FIRST},
        {0, 0, MAX, FIRST},
        {0, RTT, FIRST, FIRST},
        {0, RTT, FIRST + 500, FIRST + 500},
        /* on a short path what counts is 50 ms */
        {50, 1, MAX, 2 * FIRST},
        {51, 1, MAX, FIRST},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct credit_in c;
        credit_in_init(&c, FIRST, 0);
        use_window(&c, table[i].max, table[i].took, table[i].rtt);
        assert_int_equal(c.window, table[i].window);
        assert_int_equal(c.granted, c.consumed + c.window);
    }
}

static void grows_up_to_the_most_and_not_beyond(void **state)
{
    struct credit_in c;

    (void)state;
    credit_in_init(&c, FIRST, 0);
    for (uint64_t now = RTT; now < 10 * RTT; now += RTT)
        use_window(&c, MAX, now, RTT);
    assert_int_equal(c.window, MAX);
}

static void shrinks_by_not_granting_again(void **state)
{
    struct credit_in c;

    (void)state;
    credit_in_init(&c, FIRST, 0);
    for (uint64_t now = RTT; now < 10 * RTT; now += RTT)
        use_window(&c, MAX, now, RTT);
    uint64_t granted = c.granted;
    /* Memory is short: after this round the window is small, and the grant never goes back. */
    assert_true(credit_in_receive(&c, MAX));
    for (int i = 0; i < MAX / 1000; i++) {
        (void)credit_in_consume(&c, 1000, FIRST, 10 * RTT, RTT);
        assert_true(c.granted >= granted);
        granted = c.granted;
    }
    assert_int_equal(c.window, FIRST);
    /* What was promised may still be sent, and then no more than the small window is ahead. */
    assert_true(credit_in_receive(&c, granted - c.received));
    while (c.consumed + 100 <= granted)
        (void)credit_in_consume(&c, 100, FIRST, 20 * RTT, RTT);
    assert_true(c.granted - c.consumed <= FIRST);
    assert_true(c.granted > granted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spends_only_what_was_granted),
        cmocka_unit_test(refuses_a_grant_that_does_not_raise),
        cmocka_unit_test(refuses_more_than_it_granted),
        cmocka_unit_test(grants_on_consumption_and_not_on_arrival),
        cmocka_unit_test(grows_only_when_a_window_was_used_within_two_round_trips),
        cmocka_unit_test(grows_up_to_the_most_and_not_beyond),
        cmocka_unit_test(shrinks_by_not_granting_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
