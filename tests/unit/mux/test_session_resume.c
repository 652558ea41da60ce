/* A session outlives its pipes: nothing is lost, doubled or sent to the wrong place. */
#include "pair.h"

/* Bytes that the end hands to a pipe which loses them. */
static void lose(struct end *from, size_t most)
{
    struct reader out;

    while (most > 0 && (out = session_output(from->s, from->pair->now)).left > 0) {
        size_t len = out.left < most ? out.left : most;
        session_sent(from->s, len);
        most -= len;
    }
}

/* Cut after every single byte of a dialogue: OPEN, DATA, FIN and CREDIT, PING and ACK among them.
 */
static void goes_on_after_a_cut_at_any_byte(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 400; cut++) {
        for (size_t lost = 0; lost < 60; lost += 29) {
            struct pair *p = pair_attached();
            struct tap *b[2];

            for (int i = 0; i < 2; i++) {
                b[i] = pair_open(p);
                b[i]->to_send = 100;
                b[i]->piece = 40;
                b[i]->fin_after = i == 0;
                tap_send(b[i]);
            }
            for (size_t i = 0; i < cut; i++)
                if (!pair_move(&p->b, &p->a, 1) && !pair_move(&p->a, &p->b, 1))
                    break;
            lose(&p->b, lost);
            lose(&p->a, lost);
            pair_detach(p);
            pair_attach(p);
            pair_pump(p);
            for (int i = 0; i < 2; i++) {
                struct tap *a = tap_peer(b[i]);
                assert_int_equal(a->received, 100);
                a->to_send = 300;
                a->fin_after = true;
                tap_send(a);
            }
            pair_pump(p);
            assert_int_equal(b[0]->closed, 1);
            assert_int_equal(b[0]->why, RESET_NONE);
            assert_int_equal(b[1]->received, 300);
            assert_int_equal(b[1]->fins, 1);
            pair_free(p);
        }
    }
}

static void streams_may_be_opened_and_used_before_the_first_pipe(void **state)
{
    struct pair *p = pair_new();
    struct tap *b = pair_open(p);

    (void)state;
    assert_false(session_is_attached(p->b.s));
    assert_int_equal(session_deadline(p->b.s), UINT64_MAX);
    b->to_send = 1000;
    b->fin_after = true;
    tap_send(b);
    assert_int_equal(b->sent, 1000);
    assert_int_equal(p->b.outputs, 0);
    assert_int_equal(session_output(p->b.s, p->now).left, 0);
    pair_attach(p);
    assert_int_equal(p->b.outputs, 1);
    pair_pump(p);
    assert_int_equal(tap_peer(b)->received, 1000);
    pair_free(p);
}

static void what_is_sent_while_there_is_no_pipe_waits(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    pair_detach(p);
    b->to_send = 4 * 1024 * 1024;
    tap_send(b);
    assert_int_equal(b->sent, STREAM_WINDOW_FIRST); /* credit holds even now */
    struct tap *later = pair_open(p);
    later->to_send = 4 * 1024 * 1024;
    tap_send(later);
    pair_attach(p);
    pair_pump(p);
    assert_int_equal(tap_peer(b)->received, b->to_send);
    assert_int_equal(tap_peer(later)->received, later->to_send);
    pair_free(p);
}

static void fences_old_generations(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    pair_attach(p); /* 2 */
    pair_detach(p);
    assert_int_equal(session_attach(p->a.s, 0, 0, p->now), RC_PROTO);
    assert_int_equal(session_attach(p->a.s, 1, 0, p->now), RC_PROTO);
    assert_int_equal(session_attach(p->a.s, 2, 0, p->now), RC_PROTO);
    assert_false(session_is_attached(p->a.s));
    assert_int_equal(session_attach(p->a.s, 9, 0, p->now), RC_OK); /* higher is enough */
    assert_int_equal(session_generation(p->a.s), 9);
    pair_free(p);
}

static void a_new_pipe_replaces_one_that_is_still_there(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = 50 * 1000;
    tap_send(b);
    assert_true(pair_move(&p->b, &p->a, 100));
    lose(&p->b, 1000);
    pair_attach(p); /* neither has noticed a loss */
    pair_pump(p);
    assert_int_equal(tap_peer(b)->received, 50 * 1000);
    pair_free(p);
}

static void bytes_without_a_pipe_are_thrown_away(void **state)
{
    static const uint8_t junk[] = {255, 255, 255, 255, 255, 255, 255, 255};
    struct pair *p = pair_attached();

    (void)state;
    pair_detach(p);
    assert_int_equal(session_input(p->a.s, reader_of(junk, sizeof junk), p->now), RC_OK);
    assert_int_equal(session_received(p->a.s), 0);
    pair_free(p);
}

static void refuses_offsets_that_are_not_kept(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = 100 * 1000;
    tap_send(b);
    pair_pump(p);
    p->now += SESSION_ACK_MS;
    assert_int_equal(session_tick(p->a.s, p->now), SESSION_FINE);
    pair_pump(p);
    uint64_t has = session_received(p->a.s);
    uint64_t acked = p->b.s->replay.acked;
    assert_true(acked > 0);
    pair_detach(p);
    assert_int_equal(session_attach(p->b.s, 2, acked - 1, p->now), RC_ABSENT);
    assert_int_equal(session_attach(p->b.s, 2, has + 1, p->now), RC_ABSENT); /* never sent */
    assert_false(session_is_attached(p->b.s));
    assert_int_equal(session_generation(p->b.s), 1);
    assert_int_equal(session_attach(p->b.s, 2, has, p->now), RC_OK);
    pair_free(p);
}

/* The offset in HELLO counts the beginning of a head; what stood beside the sequence is forgotten.
 */
static void the_beginning_of_a_frame_counts_only_in_the_sequence(void **state)
{
    static const uint8_t data_head[] = {3, 0, 0, 5, 0, 0, 0, 1};
    static const uint8_t ping[] = {8, 0, 0, 9, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t datagram[] = {7, 0, 0, 5, 0, 0, 0, 1, 1, 2, 3};

    (void)state;
    for (size_t cut = 1; cut < sizeof data_head; cut++) {
        struct pair *p = pair_attached();
        pair_open(p);
        pair_pump(p);
        uint64_t before = session_received(p->a.s);
        assert_int_equal(session_input(p->a.s, reader_of(data_head, cut), p->now), RC_OK);
        assert_int_equal(session_received(p->a.s), before + cut);
        session_detach(p->a.s, p->now);
        assert_int_equal(session_received(p->a.s), before + cut);
        pair_free(p);
    }
    for (size_t cut = 1; cut < sizeof ping; cut++) {
        struct pair *p = pair_attached();
        struct tap *b = pair_open_kind(p, STREAM_UDP);
        pair_pump(p);
        uint64_t before = session_received(p->a.s);
        const uint8_t *wire = cut < sizeof datagram ? datagram : ping;
        assert_int_equal(session_input(p->a.s, reader_of(wire, cut), p->now), RC_OK);
        assert_int_equal(session_received(p->a.s), before);
        pair_detach(p);
        pair_attach(p);
        pair_pump(p);
        stream_reset(b->st, RESET_NONE); /* still in step */
        pair_pump(p);
        assert_int_equal(tap_peer(b)->closed, 1);
        pair_free(p);
    }
}

/* §6.3: after HELLO the rest of a frame that was begun comes first, even before ACK and PING. */
static void the_rest_of_a_frame_comes_before_anything_else(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    b->to_send = 50 * 1000;
    tap_send(b);
    assert_true(pair_move(&p->b, &p->a, 20 * 1000));
    pair_detach(p);
    pair_attach(p);
    uint64_t received = tap_peer(b)->received;
    assert_true(pair_move(&p->b, &p->a, 0));
    assert_int_equal(tap_peer(b)->received, 50 * 1000);
    assert_true(received < 50 * 1000);
    pair_free(p);
}

static void bytes_are_held_for_the_hold_time_and_then_the_session_ends(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    pair_detach(p);
    assert_int_equal(session_deadline(p->b.s), p->now + SESSION_HOLD_MS);
    p->now += SESSION_HOLD_MS - 1;
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE);
    p->now += 1;
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_EXPIRED);
    session_free(p->b.s);
    p->b.s = NULL;
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why, RESET_HOLD_OVER);
    pair_free(p);
}

static void without_hold_time_the_session_ends_with_its_pipe(void **state)
{
    struct pair *p = pair_new();

    (void)state;
    p->b.s->hold_ms = 0;
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE); /* it has had none yet */
    pair_attach(p);
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE);
    pair_detach(p);
    assert_true(session_deadline(p->b.s) <= p->now);
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_EXPIRED);
    pair_free(p);
}

static void a_pipe_that_comes_back_in_time_stops_the_hold_time(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    pair_detach(p);
    p->now += SESSION_HOLD_MS - 1;
    pair_attach(p);
    pair_pump(p);
    p->now += 1000;
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE);
    pair_detach(p);
    assert_int_equal(session_deadline(p->b.s), p->now + SESSION_HOLD_MS);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_after_a_cut_at_any_byte),
        cmocka_unit_test(streams_may_be_opened_and_used_before_the_first_pipe),
        cmocka_unit_test(what_is_sent_while_there_is_no_pipe_waits),
        cmocka_unit_test(fences_old_generations),
        cmocka_unit_test(a_new_pipe_replaces_one_that_is_still_there),
        cmocka_unit_test(bytes_without_a_pipe_are_thrown_away),
        cmocka_unit_test(refuses_offsets_that_are_not_kept),
        cmocka_unit_test(the_beginning_of_a_frame_counts_only_in_the_sequence),
        cmocka_unit_test(the_rest_of_a_frame_comes_before_anything_else),
        cmocka_unit_test(bytes_are_held_for_the_hold_time_and_then_the_session_ends),
        cmocka_unit_test(without_hold_time_the_session_ends_with_its_pipe),
        cmocka_unit_test(a_pipe_that_comes_back_in_time_stops_the_hold_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
