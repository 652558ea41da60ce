/* A peer that breaks the protocol is found out, and cannot make us hold more than the limits say.
 */
#include "pair.h"

struct wire {
    uint8_t bytes[4096];
    size_t len;
};

static void put_head(struct wire *w, enum frame_type type, uint32_t length, uint32_t stream)
{
    struct frame_head h = {.type = type, .length = length, .stream = stream};

    frame_head_write(w->bytes + w->len, &h);
    w->len += FRAME_HEAD;
}

static void put_open(struct wire *w, uint32_t id)
{
    w->len += frame_open_write(w->bytes + w->len, id, STREAM_TCP);
}

static void put_udp(struct wire *w, uint32_t id)
{
    w->len += frame_open_write(w->bytes + w->len, id, STREAM_UDP);
}

static void put_data(struct wire *w, uint32_t id, size_t len)
{
    put_head(w, FRAME_DATA, (uint32_t)len, id);
    memset(w->bytes + w->len, 0, len);
    w->len += len;
}

static void put_datagram(struct wire *w, uint32_t id)
{
    put_head(w, FRAME_DATAGRAM, 1, id);
    w->bytes[w->len++] = 1;
}

static void put_credit(struct wire *w, uint32_t id, uint64_t limit)
{
    w->len += frame_credit_write(w->bytes + w->len, id, limit);
}

static void put_fin(struct wire *w, uint32_t id)
{
    w->len += frame_fin_write(w->bytes + w->len, id);
}

static void put_reset(struct wire *w, uint32_t id, uint8_t why)
{
    w->len += frame_reset_write(w->bytes + w->len, id, RESET_NONE);
    w->bytes[w->len - 1] = why;
}

static void put_ack(struct wire *w, uint64_t offset)
{
    w->len += frame_ack_write(w->bytes + w->len, offset);
}

static void put_ping(struct wire *w, uint8_t answer, uint64_t token)
{
    size_t body = w->len + FRAME_HEAD;

    w->len += frame_ping_write(w->bytes + w->len, false, token);
    w->bytes[body] = answer;
}

/* --- what A must refuse from B, behind OPEN 1 ---------------------------------------- */

static void open_again(struct wire *w)
{
    put_open(w, 1);
}

static void open_skips_an_id(struct wire *w)
{
    put_open(w, 3);
}

static void open_of_unknown_kind(struct wire *w)
{
    put_open(w, 2);
    w->bytes[w->len - 1] = STREAM_KINDS_;
}

static void data_on_unopened(struct wire *w)
{
    put_data(w, 2, 1);
}

static void credit_on_unopened(struct wire *w)
{
    put_credit(w, 2, UINT64_MAX);
}

static void fin_on_unopened(struct wire *w)
{
    put_fin(w, 2);
}

static void reset_on_unopened(struct wire *w)
{
    put_reset(w, 2, 0);
}

static void datagram_on_unopened(struct wire *w)
{
    put_datagram(w, 2);
}

static void data_after_fin(struct wire *w)
{
    put_fin(w, 1);
    put_data(w, 1, 1);
}

static void fin_twice(struct wire *w)
{
    put_fin(w, 1);
    put_fin(w, 1);
}

static void data_after_reset(struct wire *w)
{
    put_reset(w, 1, 0);
    put_data(w, 1, 1);
}

static void fin_after_reset(struct wire *w)
{
    put_reset(w, 1, 0);
    put_fin(w, 1);
}

static void reset_reason_out_of_range(struct wire *w)
{
    put_reset(w, 1, RESET_REASONS_);
}

static void reset_reason_out_of_range_on_a_gone_stream(struct wire *w)
{
    put_reset(w, 1, 0);
    put_reset(w, 1, 255);
}

static void credit_lowered(struct wire *w)
{
    put_credit(w, 1, STREAM_WINDOW_FIRST - 1);
}

static void credit_unchanged(struct wire *w)
{
    put_credit(w, 1, STREAM_WINDOW_FIRST);
}

static void credit_lowered_after_raise(struct wire *w)
{
    put_credit(w, 1, UINT64_MAX);
    put_credit(w, 1, UINT64_MAX - 1);
}

static void credit_overrun(struct wire *w)
{
    put_head(w, FRAME_DATA, 1000, 1);
    memset(w->bytes + w->len, 0, 1000);
    w->len += 1000;
    put_head(w, FRAME_DATA, STREAM_WINDOW_FIRST - 999, 1); /* refused before its body comes */
}

static void data_on_a_udp_flow(struct wire *w)
{
    put_udp(w, 2);
    put_data(w, 2, 1);
}

static void datagram_on_a_tcp_stream(struct wire *w)
{
    put_datagram(w, 1);
}

static void ack_ahead(struct wire *w)
{
    put_ack(w, 1);
}

static void ack_far_ahead(struct wire *w)
{
    put_ack(w, UINT64_MAX);
}

static void hello_in_the_middle(struct wire *w)
{
    put_head(w, FRAME_HELLO, 66, 0);
    memset(w->bytes + w->len, 1, 66);
    w->len += 66;
}

static void ping_with_a_strange_answer(struct wire *w)
{
    put_ping(w, 2, 0);
}

static void close_without_a_reason(struct wire *w)
{
    w->len += frame_close_write(w->bytes + w->len, CLOSE_NONE);
}

static void close_reason_out_of_range(struct wire *w)
{
    w->len += frame_close_write(w->bytes + w->len, CLOSE_REASONS_);
}

static void unknown_type(struct wire *w)
{
    put_head(w, FRAME_TYPES_, 0, 1);
}

static void data_too_long(struct wire *w)
{
    put_head(w, FRAME_DATA, FRAME_DATA_MAX + 1, 1);
}

static void data_empty(struct wire *w)
{
    put_head(w, FRAME_DATA, 0, 1);
}

static void datagram_too_long(struct wire *w)
{
    put_head(w, FRAME_DATAGRAM, FRAME_DATAGRAM_MAX + 1, 1);
}

struct violation {
    const char *what;
    void (*put)(struct wire *w);
    enum rc rc;
};

#define REFUSED(name, rc)                                                                          \
    {                                                                                              \
#name, name, rc                                                                            \
    }
static const struct violation violations[] = {
    REFUSED(open_again, RC_PROTO),
    REFUSED(open_skips_an_id, RC_PROTO),
    REFUSED(open_of_unknown_kind, RC_PROTO),
    REFUSED(data_on_unopened, RC_PROTO),
    REFUSED(credit_on_unopened, RC_PROTO),
    REFUSED(fin_on_unopened, RC_PROTO),
    REFUSED(reset_on_unopened, RC_PROTO),
    REFUSED(datagram_on_unopened, RC_PROTO),
    REFUSED(data_after_fin, RC_PROTO),
    REFUSED(fin_twice, RC_PROTO),
    REFUSED(data_after_reset, RC_PROTO),
    REFUSED(fin_after_reset, RC_PROTO),
    REFUSED(reset_reason_out_of_range, RC_PROTO),
    REFUSED(reset_reason_out_of_range_on_a_gone_stream, RC_PROTO),
    REFUSED(credit_lowered, RC_PROTO),
    REFUSED(credit_unchanged, RC_PROTO),
    REFUSED(credit_lowered_after_raise, RC_PROTO),
    REFUSED(credit_overrun, RC_PROTO),
    REFUSED(data_on_a_udp_flow, RC_PROTO),
    REFUSED(datagram_on_a_tcp_stream, RC_PROTO),
    REFUSED(ack_ahead, RC_PROTO),
    REFUSED(ack_far_ahead, RC_PROTO),
    REFUSED(hello_in_the_middle, RC_PROTO),
    REFUSED(ping_with_a_strange_answer, RC_PROTO),
    REFUSED(close_without_a_reason, RC_PROTO),
    REFUSED(close_reason_out_of_range, RC_PROTO),
    REFUSED(unknown_type, RC_PROTO),
    REFUSED(data_too_long, RC_LIMIT),
    REFUSED(data_empty, RC_PROTO),
    REFUSED(datagram_too_long, RC_LIMIT),
};

/* Feeds cut at every `step`; the first refusal. */
static enum rc feed(struct session *s, const struct wire *w, size_t step)
{
    enum rc rc = RC_OK;

    for (size_t at = 0; at < w->len && rc == RC_OK; at += step) {
        size_t len = w->len - at < step ? w->len - at : step;
        uint8_t *bytes = exact_copy(w->bytes + at, len);
        rc = session_input(s, reader_of(bytes, len), 2000);
        free(bytes);
    }
    return rc;
}

static void refuses_what_breaks_the_protocol_however_it_is_cut(void **state)
{
    static const size_t steps[] = {1, 2, 5, 8, 9, 16, sizeof((struct wire *)0)->bytes};

    (void)state;
    for (size_t i = 0; i < sizeof violations / sizeof violations[0]; i++) {
        for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
            struct pair *p = pair_attached();
            struct wire w = {.len = 0};
            p->a.takes_any_bytes = true;
            put_open(&w, 1);
            assert_int_equal(feed(p->a.s, &w, 1), RC_OK);
            w.len = 0;
            violations[i].put(&w);
            enum rc rc = feed(p->a.s, &w, steps[k]);
            if (rc != violations[i].rc)
                fail_msg("%s, cut by %zu: %s", violations[i].what, steps[k], rc_text(rc));
            /* And from then on nothing is taken. */
            w.len = 0;
            put_open(&w, 2);
            assert_int_equal(feed(p->a.s, &w, 9), violations[i].rc);
            session_detach(p->a.s, 2000);
            assert_int_equal(session_attach(p->a.s, 2, 0, 2000), violations[i].rc);
            pair_free(p);
        }
    }
}

static void only_the_reaching_side_opens(void **state)
{
    struct pair *p = pair_attached();
    struct wire w = {.len = 0};

    (void)state;
    put_open(&w, 1);
    assert_int_equal(feed(p->b.s, &w, 9), RC_PROTO);
    pair_free(p);
}

static void an_ack_may_not_go_back(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);
    struct wire w = {.len = 0};

    (void)state;
    b->to_send = 1000;
    tap_send(b);
    pair_pump(p);
    put_ack(&w, 500);
    put_ack(&w, 500);
    assert_int_equal(feed(p->b.s, &w, 16), RC_OK);
    w.len = 0;
    put_ack(&w, 499);
    assert_int_equal(feed(p->b.s, &w, 16), RC_PROTO);
    pair_free(p);
}

static void one_stream_too_many_is_refused(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    for (uint32_t id = 1; id <= SESSION_STREAMS_MAX + 1; id++) {
        struct wire w = {.len = 0};
        put_open(&w, id);
        assert_int_equal(feed(p->a.s, &w, 9), id <= SESSION_STREAMS_MAX ? RC_OK : RC_LIMIT);
    }
    pair_free(p);
}

static void frames_for_a_stream_that_we_reset_are_ignored(void **state)
{
    struct pair *p = pair_attached();
    struct wire w = {.len = 0};

    (void)state;
    put_open(&w, 1);
    assert_int_equal(feed(p->a.s, &w, 9), RC_OK);
    stream_reset(p->a.taps[0].st, RESET_BROKEN);
    w.len = 0;
    put_data(&w, 1, 1000);
    put_credit(&w, 1, 0); /* not even looked at */
    put_fin(&w, 1);
    put_reset(&w, 1, RESET_BROKEN);
    assert_int_equal(feed(p->a.s, &w, 7), RC_OK);
    assert_int_equal(session_received(p->a.s), 9 + w.len);
    pair_free(p);
}

/* We cannot remember every stream that ever was; what is long gone is let pass, never held against
 * the peer. */
static void frames_for_streams_of_long_ago_are_ignored(void **state)
{
    struct pair *p = pair_attached();
    struct wire w = {.len = 0};

    (void)state;
    p->a.s->last_id = 5 * SESSION_RESETS_KNOWN;
    put_data(&w, 7, 10);
    put_fin(&w, 7);
    assert_int_equal(feed(p->a.s, &w, 100), RC_OK);
    w.len = 0;
    put_data(&w, 4 * SESSION_RESETS_KNOWN + 1, 10);
    assert_int_equal(feed(p->a.s, &w, 100), RC_PROTO);
    pair_free(p);
}

static void a_flood_of_pings_is_answered_sparingly(void **state)
{
    struct pair *p = pair_attached();
    struct wire w = {.len = 0};

    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        put_ping(&w, 0, i);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(feed(p->a.s, &w, sizeof w.bytes), RC_OK);
    struct reader out = session_output(p->a.s, 2000);
    assert_int_equal(out.left,
                     (1 + BESIDE_ANSWERS_MAX) * (FRAME_HEAD + 9)); /* and one of our own */
    session_sent(p->a.s, out.left);
    assert_int_equal(session_output(p->a.s, 2000).left, 0);
    pair_free(p);
}

static void ping_answers_that_nobody_asked_for_measure_nothing(void **state)
{
    struct pair *p = pair_attached();
    struct wire w = {.len = 0};
    struct session_stats stats;

    (void)state;
    for (uint64_t token = 0; token < 100; token++)
        put_ping(&w, 1, token);
    assert_int_equal(feed(p->a.s, &w, 100), RC_OK);
    session_stats(p->a.s, &stats);
    assert_int_equal(stats.rtt_us, 0);
    assert_int_equal(session_pings_answered(p->a.s), 0);
    pair_free(p);
}

static void refuse(struct tap *t)
{
    t->end->count--; /* the tap is used again */
    stream_reset(t->st, RESET_REFUSED);
    t->st = NULL;
}

/* Every OPEN costs us a RESET that is kept until acknowledged: who never does is stopped. */
static void who_makes_us_speak_and_never_listens_is_stopped(void **state)
{
    struct pair *p = pair_attached();
    enum rc rc = RC_OK;

    (void)state;
    p->a.on_open = refuse;
    for (uint32_t id = 1; rc == RC_OK; id++) {
        struct wire w = {.len = 0};
        put_open(&w, id);
        rc = feed(p->a.s, &w, 9);
        struct reader out = session_output(p->a.s, 2000);
        session_sent(p->a.s, out.left);
        assert_true(p->a.budget.replay_used <= 2 * (REPLAY_FIRST + SESSION_REPLAY_CONTROL));
    }
    assert_int_equal(rc, RC_LIMIT);
    pair_free(p);
}

static void datagrams_are_not_held(void **state)
{
    struct pair *p = pair_attached();
    struct wire w = {.len = 0};

    (void)state;
    put_udp(&w, 1);
    assert_int_equal(feed(p->a.s, &w, 9), RC_OK);
    w.len = 0;
    for (int i = 0; i < 400; i++)
        put_datagram(&w, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(feed(p->a.s, &w, 1 + (size_t)i), RC_OK);
    assert_int_equal(p->a.taps[0].datagrams, 40 * 1000);
    assert_int_equal(p->a.budget.buffered_used, 0);
    pair_free(p);
}

static void a_datagram_that_its_fin_overtook_is_dropped(void **state)
{
    struct pair *p = pair_attached();
    struct wire w = {.len = 0};

    (void)state;
    put_udp(&w, 1);
    put_fin(&w, 1);
    put_datagram(&w, 1);
    assert_int_equal(feed(p->a.s, &w, 100), RC_OK);
    assert_int_equal(p->a.taps[0].datagrams, 0);
    stream_fin(p->a.taps[0].st);
    w.len = 0;
    put_datagram(&w, 1);
    assert_int_equal(feed(p->a.s, &w, 100), RC_OK);
    pair_free(p);
}

static void close_ends_the_session_and_tells_why(void **state)
{
    (void)state;
    for (unsigned why = CLOSE_DONE; why < CLOSE_REASONS_; why++) {
        struct pair *p = pair_attached();
        struct wire w = {.len = 0};
        w.len += frame_close_write(w.bytes, (enum close_reason)why);
        assert_int_equal(feed(p->a.s, &w, 3), RC_EOF);
        assert_int_equal(session_close_reason(p->a.s), why);
        pair_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_breaks_the_protocol_however_it_is_cut),
        cmocka_unit_test(only_the_reaching_side_opens),
        cmocka_unit_test(an_ack_may_not_go_back),
        cmocka_unit_test(one_stream_too_many_is_refused),
        cmocka_unit_test(frames_for_a_stream_that_we_reset_are_ignored),
        cmocka_unit_test(frames_for_streams_of_long_ago_are_ignored),
        cmocka_unit_test(a_flood_of_pings_is_answered_sparingly),
        cmocka_unit_test(ping_answers_that_nobody_asked_for_measure_nothing),
        cmocka_unit_test(who_makes_us_speak_and_never_listens_is_stopped),
        cmocka_unit_test(datagrams_are_not_held),
        cmocka_unit_test(a_datagram_that_its_fin_overtook_is_dropped),
        cmocka_unit_test(close_ends_the_session_and_tells_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
