/* Streams over one pipe: what arrives, in which order, and how it ends. */
#include "pair.h"

static void carries_data_both_ways_however_the_pipe_cuts(void **state)
{
    static const size_t steps[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 100, 1000, 0};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct pair *p = pair_attached();
        struct tap *b[3];

        p->step = steps[i];
        for (size_t k = 0; k < 3; k++) {
            b[k] = pair_open(p);
            b[k]->to_send = 5000 * (k + 1);
            b[k]->piece = 1 + 600 * k;
            tap_send(b[k]);
        }
        pair_pump(p);
        for (size_t k = 0; k < 3; k++) {
            struct tap *a = tap_peer(b[k]);
            assert_int_equal(a->received, 5000 * (k + 1));
            a->to_send = 7000;
            tap_send(a);
        }
        pair_pump(p);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(b[k]->received, 7000);
        pair_free(p);
    }
}

static void delivers_data_that_follows_open_at_once(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = 100;
    b->fin_after = true;
    tap_send(b);
    /* One piece has all of it: no round trip was added. */
    while (pair_move(&p->b, &p->a, 0))
        continue;
    assert_int_equal(tap_peer(b)->received, 100);
    assert_int_equal(tap_peer(b)->fins, 1);
    pair_free(p);
}

static void hands_data_up_as_it_comes_and_without_a_copy(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    b->to_send = 100 * 1000;
    tap_send(b);
    struct tap *a = tap_peer(b);
    for (uint64_t moved = 0; moved < 50 * 1000; moved += 1000) {
        assert_true(pair_move(&p->b, &p->a, 1000));
        assert_int_equal(a->received, moved + 1000 - FRAME_HEAD);
    }
    assert_true(p->a.s->intake.partial.cap <= 1024);
    pair_free(p);
}

/* --- ends ---------------------------------------------------------------------------- */

static void ends_halves_in_either_order(void **state)
{
    (void)state;
    for (int opener_first = 0; opener_first < 2; opener_first++) {
        struct pair *p = pair_attached();
        struct tap *b = pair_open(p);

        pair_pump(p);
        struct tap *a = tap_peer(b);
        struct tap *first = opener_first ? b : a, *second = opener_first ? a : b;
        stream_fin(first->st);
        pair_pump(p);
        assert_int_equal(second->fins, 1);
        assert_int_equal(first->closed + second->closed, 0);

        second->to_send = 1000; /* the other half lives on */
        tap_send(second);
        pair_pump(p);
        assert_int_equal(first->received, 1000);

        stream_fin(second->st);
        assert_int_equal(second->closed, 0); /* never from within the owner's own call */
        assert_int_equal(session_deadline(second->end->s), p->now);
        assert_int_equal(session_tick(second->end->s, p->now), SESSION_FINE);
        assert_int_equal(second->closed, 1);
        pair_pump(p);
        assert_int_equal(first->fins, 1);
        assert_int_equal(first->closed, 1);
        assert_int_equal(first->why, RESET_NONE);
        assert_int_equal(second->why, RESET_NONE);
        struct session_stats stats;
        session_stats(p->b.s, &stats);
        assert_int_equal(stats.streams, 0);
        pair_free(p);
    }
}

static void both_may_end_at_the_same_time(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    struct tap *a = tap_peer(b);
    stream_fin(b->st);
    stream_fin(a->st);
    pair_pump(p);
    assert_int_equal(a->closed, 1);
    assert_int_equal(b->closed, 1);
    pair_free(p);
}

static void reset_ends_both_halves_and_tells_why(void **state)
{
    (void)state;
    for (unsigned why = 0; why < RESET_REASONS_; why++) {
        struct pair *p = pair_attached();
        struct tap *b = pair_open(p);

        pair_pump(p);
        struct tap *a = tap_peer(b);
        stream_reset(a->st, (enum reset_reason)why);
        pair_pump(p);
        assert_int_equal(a->closed, 0); /* who resets hears nothing more */
        assert_int_equal(b->closed, 1);
        assert_int_equal(b->why, why);
        pair_free(p);
    }
}

static void what_is_on_its_way_to_a_reset_stream_is_ignored(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    struct tap *a = tap_peer(b);
    b->to_send = 5000;
    b->fin_after = true;
    tap_send(b);
    assert_true(pair_move(&p->b, &p->a, 3000)); /* in the middle of a frame */
    uint64_t received = a->received;
    stream_reset(a->st, RESET_BROKEN);
    pair_pump(p);
    assert_int_equal(a->received, received);
    assert_int_equal(b->why, RESET_BROKEN);

    struct tap *next = pair_open(p); /* the sequence has not lost its place */
    next->to_send = 100;
    tap_send(next);
    pair_pump(p);
    assert_int_equal(tap_peer(next)->received, 100);
    pair_free(p);
}

static void credit_and_reset_may_cross_our_last_fin(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = 100 * 1000;
    tap_send(b);
    pair_pump(p);
    struct tap *a = tap_peer(b);
    a->lazy = true;
    b->to_send += 150 * 1000;
    tap_send(b);
    pair_pump(p);
    stream_fin(a->st);
    pair_pump(p);
    stream_fin(b->st); /* gone for B, not yet for A, whose reader goes on */
    tap_consume(a, 150 * 1000);
    while (pair_move(&p->a, &p->b, 0))
        continue;
    stream_reset(a->st, RESET_BROKEN);
    pair_pump(p);
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why, RESET_NONE);
    pair_free(p);
}

static void the_end_of_the_session_ends_every_stream(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    for (int i = 0; i < 10; i++)
        pair_open(p);
    stream_fin(p->b.taps[3].st);
    pair_pump(p);
    stream_fin(p->a.taps[3].st); /* both ended, on_closed still to come */
    session_free(p->a.s);
    p->a.s = NULL;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(p->a.taps[i].closed, 1);
        assert_int_equal(p->a.taps[i].why, i == 3 ? RESET_NONE : RESET_SESSION_LOST);
    }
    pair_free(p);
}

static void ids_are_used_once_and_then_there_are_no_more(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b;

    (void)state;
    p->b.s->last_id = p->a.s->last_id = UINT32_MAX - 1;
    b = pair_open(p);
    b->to_send = 10;
    tap_send(b);
    pair_pump(p);
    assert_int_equal(tap_peer(b)->received, 10);
    struct stream *st;
    static const struct stream_events none = {0};
    assert_int_equal(stream_open(p->b.s, STREAM_TCP, &none, NULL, &st), RC_CLOSED);
    stream_reset(b->st, RESET_NONE);
    pair_pump(p);
    assert_int_equal(tap_peer(b)->closed, 1);
    pair_free(p);
}

static void there_are_at_most_so_many_streams(void **state)
{
    struct pair *p = pair_attached();
    struct stream *st;
    static const struct stream_events none = {0};

    (void)state;
    for (int i = 0; i < SESSION_STREAMS_MAX; i++)
        pair_open(p);
    assert_int_equal(stream_open(p->b.s, STREAM_TCP, &none, NULL, &st), RC_LIMIT);
    pair_pump(p);
    /* Every one can be found. */
    for (int i = 0; i < SESSION_STREAMS_MAX; i++) {
        p->b.taps[i].to_send = 1;
        tap_send(&p->b.taps[i]);
    }
    pair_pump(p);
    for (int i = 0; i < SESSION_STREAMS_MAX; i++)
        assert_int_equal(p->a.taps[i].received, 1);
    /* One that ends makes room for another. */
    stream_reset(p->b.taps[77].st, RESET_NONE);
    pair_open(p);
    pair_pump(p);
    assert_int_equal(p->a.count, SESSION_STREAMS_MAX + 1);
    pair_free(p);
}

/* --- re-entrancy --------------------------------------------------------------------------- */

static void hook_reset_self(struct tap *t, enum tap_event event)
{
    if (event == TAP_CLOSED || t->st == NULL)
        return;
    stream_reset(t->st, RESET_LIMIT);
    t->st = NULL;
}

static void hook_reset_other(struct tap *t, enum tap_event event)
{
    (void)event;
    if (t->other->st)
        stream_reset(t->other->st, RESET_LIMIT);
    t->other->st = NULL;
}

static void hook_fin(struct tap *t, enum tap_event event)
{
    if (event == TAP_CLOSED || t->fin_sent)
        return;
    t->fin_sent = true;
    stream_fin(t->st);
}

static void hook_send_on_other(struct tap *t, enum tap_event event)
{
    (void)event;
    if (t->other->st == NULL)
        return;
    t->other->to_send += 1000;
    tap_send(t->other);
}

static void hook_open(struct tap *t, enum tap_event event)
{
    struct stream *st;
    static const struct stream_events none = {0};

    (void)event;
    if (t->end == &t->end->pair->a)
        return;
    if (t->end->s->ending)
        assert_int_equal(stream_open(t->end->s, STREAM_TCP, &none, NULL, &st), RC_CLOSED);
    else if (t->end->count < 50)
        pair_open(t->end->pair)->hook = hook_open;
}

/* Every event of a stream, met by every call on it or on another one. ASan watches. */
static void owners_may_do_anything_from_any_event(void **state)
{
    static void (*const hooks[])(struct tap *, enum tap_event) = {
        hook_reset_self, hook_reset_other, hook_fin, hook_send_on_other, hook_open};

    (void)state;
    for (size_t h = 0; h < sizeof hooks / sizeof hooks[0]; h++) {
        for (int at_b = 0; at_b < 2; at_b++) {
            struct pair *p = pair_attached();
            for (int i = 0; i < 4; i++) {
                struct tap *t = pair_open(p);
                t->to_send = 400 * 1000;
                t->fin_after = true;
            }
            pair_pump(p);
            for (int i = 0; i < 4; i++) {
                struct tap *t = at_b ? &p->b.taps[i] : &p->a.taps[i];
                t->hook = hooks[h];
                t->other = t->end->taps + (i + 1) % 4;
                p->a.taps[i].to_send = 300 * 1000;
            }
            for (int i = 0; i < 4; i++) {
                if (p->b.taps[i].st)
                    tap_send(&p->b.taps[i]);
                if (p->a.taps[i].st)
                    tap_send(&p->a.taps[i]);
            }
            pair_pump(p);
            stream_reset(pair_open(p)->st, RESET_NONE); /* still alive */
            pair_pump(p);
            pair_free(p);
        }
    }
}

static void refuse(struct tap *t)
{
    stream_reset(t->st, RESET_REFUSED);
    t->st = NULL;
}

static void a_stream_may_be_refused_where_it_is_announced(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    p->a.on_open = refuse;
    b->to_send = 1000;
    tap_send(b);
    pair_pump(p);
    assert_int_equal(b->closed, 1);
    assert_int_equal(b->why, RESET_REFUSED);
    assert_int_equal(p->a.taps[0].received, 0);
    pair_free(p);
}

static void reset_from_within_on_closed(struct tap *t, enum tap_event event)
{
    struct stream *st = t->other ? t->other->st : NULL;

    if (event == TAP_CLOSED && st) {
        t->other->st = NULL;
        stream_reset(st, RESET_LIMIT);
    }
}

static void freeing_the_session_survives_owners_that_reset_each_other(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    for (int i = 0; i < 6; i++)
        pair_open(p);
    pair_pump(p);
    for (int i = 0; i < 6; i++) {
        p->a.taps[i].hook = reset_from_within_on_closed;
        p->a.taps[i].other = &p->a.taps[(i + 1) % 6];
    }
    pair_free(p);
}

/* --- datagrams ----------------------------------------------------------------------- */

static void send_datagram(struct tap *t, size_t len)
{
    static const uint8_t bytes[FRAME_DATAGRAM_MAX];

    stream_send_datagram(t->st, reader_of(bytes, len));
}

static void carries_datagrams_whole_however_the_pipe_cuts(void **state)
{
    static const size_t steps[] = {1, 3, 8, 9, 1000, 0};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct pair *p = pair_attached();
        struct tap *b = pair_open_kind(p, STREAM_UDP);

        p->step = steps[i];
        send_datagram(b, 1); /* right behind OPEN, and not before it */
        send_datagram(b, 700);
        send_datagram(b, FRAME_DATAGRAM_MAX);
        pair_pump(p);
        assert_int_equal(tap_peer(b)->datagrams, 3);
        assert_int_equal(tap_peer(b)->last_datagram, FRAME_DATAGRAM_MAX);
        send_datagram(tap_peer(b), 9);
        pair_pump(p);
        assert_int_equal(b->datagrams, 1);
        assert_true(p->a.s->intake.partial.cap <= 1024); /* 64 KiB are not kept for the next one */
        pair_free(p);
    }
}

static void the_first_datagram_of_a_flow_waits_for_its_open(void **state)
{
    struct pair *p = pair_attached();
    struct tap *bulk = pair_open(p);

    (void)state;
    bulk->to_send = 200 * 1000;
    tap_send(bulk);
    struct tap *old = pair_open_kind(p, STREAM_UDP);
    pair_pump(p);
    bulk->to_send += 200 * 1000;
    tap_send(bulk);
    send_datagram(old, 5);
    struct tap *fresh = pair_open_kind(p, STREAM_UDP); /* behind the bulk */
    send_datagram(fresh, 6);
    assert_true(pair_move(&p->b, &p->a, 0));
    assert_int_equal(tap_peer(old)->datagrams, 1); /* passes the bulk */
    pair_pump(p);
    assert_int_equal(tap_peer(fresh)->datagrams, 1);
    pair_free(p);
}

static void datagrams_without_a_pipe_or_too_many_are_dropped(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open_kind(p, STREAM_UDP);

    (void)state;
    pair_pump(p);
    for (int i = 0; i < 100; i++)
        send_datagram(b, 10 * 1000);
    assert_true(p->b.s->beside.datagram_bytes <= BESIDE_DATAGRAMS_MAX);
    pair_pump(p);
    assert_int_equal(tap_peer(b)->datagrams, BESIDE_DATAGRAMS_MAX / (10 * 1000 + FRAME_HEAD));
    pair_detach(p);
    send_datagram(b, 10);
    pair_attach(p);
    pair_pump(p);
    assert_int_equal(tap_peer(b)->datagrams, BESIDE_DATAGRAMS_MAX / (10 * 1000 + FRAME_HEAD));
    pair_free(p);
}

static void datagrams_and_data_take_turns(void **state)
{
    struct pair *p = pair_attached();
    struct tap *udp = pair_open_kind(p, STREAM_UDP), *tcp = pair_open(p);

    (void)state;
    pair_pump(p);
    tcp->to_send = 256 * 1024;
    tap_send(tcp);
    for (int i = 0; i < 10 && tap_peer(tcp)->received == 0; i++) {
        send_datagram(udp, 1000);
        assert_true(pair_move(&p->b, &p->a, 0));
    }
    assert_true(tap_peer(tcp)->received > 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_data_both_ways_however_the_pipe_cuts),
        cmocka_unit_test(delivers_data_that_follows_open_at_once),
        cmocka_unit_test(hands_data_up_as_it_comes_and_without_a_copy),
        cmocka_unit_test(ends_halves_in_either_order),
        cmocka_unit_test(both_may_end_at_the_same_time),
        cmocka_unit_test(reset_ends_both_halves_and_tells_why),
        cmocka_unit_test(what_is_on_its_way_to_a_reset_stream_is_ignored),
        cmocka_unit_test(credit_and_reset_may_cross_our_last_fin),
        cmocka_unit_test(the_end_of_the_session_ends_every_stream),
        cmocka_unit_test(ids_are_used_once_and_then_there_are_no_more),
        cmocka_unit_test(there_are_at_most_so_many_streams),
        cmocka_unit_test(owners_may_do_anything_from_any_event),
        cmocka_unit_test(a_stream_may_be_refused_where_it_is_announced),
        cmocka_unit_test(freeing_the_session_survives_owners_that_reset_each_other),
        cmocka_unit_test(carries_datagrams_whole_however_the_pipe_cuts),
        cmocka_unit_test(the_first_datagram_of_a_flow_waits_for_its_open),
        cmocka_unit_test(datagrams_without_a_pipe_or_too_many_are_dropped),
        cmocka_unit_test(datagrams_and_data_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
