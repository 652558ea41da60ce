#include "test.h"

#include "mux/stream_table.h"

/* docs/protocol.md §7.3, cell by cell; 0: a violation. */
static const struct {
    enum stream_state from;
    enum stream_state to[STREAM_EVENTS_];
} table[] = {
    {STREAM_OPEN,
     {[STREAM_GOT_DATA] = STREAM_OPEN,
      [STREAM_GOT_FIN] = STREAM_PEER_ENDED,
      [STREAM_SENT_DATA] = STREAM_OPEN,
      [STREAM_SENT_FIN] = STREAM_WE_ENDED,
      [STREAM_RESET] = STREAM_GONE}},
    {STREAM_PEER_ENDED,
     {[STREAM_SENT_DATA] = STREAM_PEER_ENDED,
      [STREAM_SENT_FIN] = STREAM_GONE,
      [STREAM_RESET] = STREAM_GONE}},
    {STREAM_WE_ENDED,
     {[STREAM_GOT_DATA] = STREAM_WE_ENDED,
      [STREAM_GOT_FIN] = STREAM_GONE,
      [STREAM_RESET] = STREAM_GONE}},
    {STREAM_GONE, {0}},
};

static void moves_as_the_protocol_says_and_not_otherwise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (unsigned event = 0; event < STREAM_EVENTS_; event++) {
            struct stream st = {.state = table[i].from};
            enum stream_state want = table[i].to[event];
            assert_int_equal(stream_step(&st, (enum stream_event)event),
                             want == STREAM_ILLEGAL ? RC_PROTO : RC_OK);
            assert_int_equal(st.state, want == STREAM_ILLEGAL ? table[i].from : want);
        }
    }
}

static void knows_which_half_is_open(void **state)
{
    static const bool can[STREAM_STATES_][2] = {[STREAM_OPEN] = {true, true},
                                                [STREAM_PEER_ENDED] = {true, false},
                                                [STREAM_WE_ENDED] = {false, true},
                                                [STREAM_GONE] = {false, false}};

    (void)state;
    for (unsigned s = STREAM_OPEN; s < STREAM_STATES_; s++) {
        struct stream st = {.state = (enum stream_state)s};
        assert_int_equal(stream_can_send(&st), can[s][0]);
        assert_int_equal(stream_can_receive(&st), can[s][1]);
    }
}

/* Ids that come one after another, with some that stay for ever among them. */
static void finds_every_stream_while_others_come_and_go(void **state)
{
    enum { COUNT = 3000, LONG_LIVED = 17, LIVE = 40 };
    static struct stream st[COUNT];
    struct stream_table t;

    (void)state;
    stream_table_init(&t);
    for (uint32_t i = 0; i < COUNT; i++) {
        st[i] = (struct stream){.id = UINT32_MAX - COUNT + 1 + i};
        stream_table_add(&t, &st[i]);
        if (i >= LIVE && (i - LIVE) % LONG_LIVED != 0)
            stream_table_remove(&t, &st[i - LIVE]);
        for (uint32_t k = 0; k <= i; k++) {
            bool there = k % LONG_LIVED == 0 || k + LIVE > i;
            assert_ptr_equal(stream_table_find(&t, st[k].id), there ? &st[k] : NULL);
        }
    }
    for (uint32_t k = 0; k < COUNT; k++)
        if (stream_table_find(&t, st[k].id))
            stream_table_remove(&t, &st[k]);
    assert_null(stream_table_find(&t, 1));
    stream_table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_as_the_protocol_says_and_not_otherwise),
        cmocka_unit_test(knows_which_half_is_open),
        cmocka_unit_test(finds_every_stream_while_others_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
