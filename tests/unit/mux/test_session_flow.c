/* Who may send how much: credit, turns, limits of memory, and time. */
#include "pair.h"

enum { MIB = 1024 * 1024 };

static void a_sender_stops_at_its_credit_until_the_reader_takes(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    struct tap *a = tap_peer(b);
    a->lazy = true;
    b->to_send = 10 * MIB;
    tap_send(b);
    pair_pump(p);
    assert_int_equal(a->received, STREAM_WINDOW_FIRST);
    assert_int_equal(p->a.budget.buffered_used, STREAM_WINDOW_FIRST);
    assert_int_equal(stream_room(b->st), 0);

    unsigned rooms = b->rooms;
    tap_consume(a, 100 * 1000);
    pair_pump(p);
    assert_true(b->rooms > rooms);
    assert_int_equal(a->received, STREAM_WINDOW_FIRST + 100 * 1000);
    pair_free(p);
}

static void a_stalled_reader_slows_nobody_else(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    for (int i = 0; i < 8; i++)
        pair_open(p)->to_send = i == 3 ? 100 * MIB : 20 * MIB;
    pair_pump(p);
    p->a.taps[3].lazy = true;
    for (int i = 0; i < 8; i++)
        tap_send(&p->b.taps[i]);
    pair_pump(p);
    for (int i = 0; i < 8; i++)
        assert_int_equal(p->a.taps[i].received, i == 3 ? STREAM_WINDOW_FIRST : 20 * MIB);
    assert_int_equal(p->a.budget.buffered_used, STREAM_WINDOW_FIRST);
    pair_free(p);
}

static void streams_that_wait_get_equal_shares(void **state)
{
    static const size_t pieces[] = {0, 16 * 1024, 900}; /* whatever size their owners read */

    (void)state;
    for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
        struct pair *p = pair_attached();
        uint64_t total = 0;

        for (int i = 0; i < 8; i++) {
            pair_open(p)->to_send = 1000 * MIB;
            p->b.taps[i].piece = pieces[k];
        }
        pair_pump(p);
        for (int i = 0; i < 8; i++)
            tap_send(&p->b.taps[i]);
        while (total < 64 * MIB) {
            p->now += 1;
            for (int i = 0; i < 4; i++) {
                pair_move(&p->b, &p->a, 64 * 1024);
                pair_move(&p->a, &p->b, 0);
            }
            total = 0;
            for (int i = 0; i < 8; i++)
                total += p->a.taps[i].received;
        }
        for (int i = 0; i < 8; i++) {
            double share = (double)p->a.taps[i].received / ((double)total / 8);
            if (share < 0.9 || share > 1.1)
                fail_msg("stream %d got %.2f of its share", i, share);
        }
        pair_free(p);
    }
}

static void a_newcomer_waits_its_turn_and_gets_it(void **state)
{
    struct pair *p = pair_attached();
    struct tap *bulk[2] = {pair_open(p), pair_open(p)}, *late = pair_open(p);

    (void)state;
    pair_pump(p);
    for (int i = 0; i < 2; i++) {
        p->b.taps[i].to_send = 100 * MIB;
        tap_send(bulk[i]);
    }
    late->to_send = 100;
    tap_send(late);
    assert_int_equal(late->sent, 0);
    uint64_t before = tap_peer(bulk[0])->received + tap_peer(bulk[1])->received;
    while (tap_peer(late)->received == 0) {
        assert_true(pair_move(&p->b, &p->a, 16 * 1024));
        pair_move(&p->a, &p->b, 0);
    }
    uint64_t after = tap_peer(bulk[0])->received + tap_peer(bulk[1])->received;
    assert_true(after - before <= 4 * SESSION_UNSENT_HIGH);
    pair_free(p);
}

/* Owners may ask for room at any time; whoever is told that there is some finds some (pair.c
 * asserts it). */
static void room_that_is_offered_is_there_also_for_those_who_ask_early(void **state)
{
    struct pair *p = pair_attached();
    uint32_t random = 1;

    (void)state;
    for (int i = 0; i < 8; i++) {
        struct tap *b = pair_open(p);
        b->to_send = 1000 * MIB;
        b->piece = 32 * 1024; /* credit and turns end together */
    }
    pair_pump(p);
    for (int i = 0; i < 8; i++)
        p->a.taps[i].lazy = true;
    for (int i = 0; i < 20 * 1000; i++) {
        random = random * 1664525 + 1013904223;
        struct tap *b = &p->b.taps[random >> 29], *a = tap_peer(b);
        pair_move(&p->b, &p->a, 1 + (random >> 17));
        pair_move(&p->a, &p->b, 0);
        if (random >> 8 & 1)
            tap_send(b);
        if ((random >> 9 & 7) == 0)
            tap_consume(a, a->unconsumed);
    }
    pair_free(p);
}

static void what_is_framed_ahead_of_the_pipe_is_bounded(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct tap *b = pair_open(p);
        b->to_send = MIB;
        tap_send(b);
    }
    struct session_stats stats;
    session_stats(p->b.s, &stats);
    assert_true(stats.unacknowledged >= SESSION_UNSENT_HIGH);
    assert_true(stats.unacknowledged <= SESSION_UNSENT_HIGH + FRAME_DATA_MAX + 100 * 17);
    pair_free(p);
}

/* Runs one stream over a path with `rtt_ms` until it has carried `total`; returns the milliseconds.
 */
static uint64_t time_to_carry(uint64_t total, uint64_t rtt_ms, size_t per_ms, struct pair *p)
{
    enum { SLOTS = 256 };
    static struct {
        uint8_t *bytes;
        size_t len;
    } line[2][SLOTS]; /* a delay line per direction */
    struct end *from[2] = {&p->b, &p->a}, *to[2] = {&p->a, &p->b};
    struct tap *b = pair_open(p);
    uint64_t start = p->now;
    size_t half = rtt_ms / 2;

    b->to_send = total;
    tap_send(b);
    while (p->a.count == 0 || tap_peer(b)->received < total) {
        for (int d = 0; d < 2; d++) {
            size_t in = p->now % SLOTS, out = (p->now - half) % SLOTS;
            line[d][in].bytes = malloc(per_ms);
            size_t len = 0;
            struct reader piece;
            while (len < per_ms && (piece = session_output(from[d]->s, p->now)).left > 0) {
                size_t take = piece.left < per_ms - len ? piece.left : per_ms - len;
                memcpy(line[d][in].bytes + len, piece.at, take);
                session_sent(from[d]->s, take);
                len += take;
            }
            line[d][in].len = len;
            if (line[d][out].len > 0)
                assert_int_equal(session_input(to[d]->s,
                                               reader_of(line[d][out].bytes, line[d][out].len),
                                               p->now),
                                 RC_OK);
            free(line[d][out].bytes);
            line[d][out].bytes = NULL;
            line[d][out].len = 0;
            assert_int_equal(session_tick(from[d]->s, p->now), SESSION_FINE);
        }
        p->now++;
    }
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < SLOTS; i++) {
            free(line[d][i].bytes);
            line[d][i].bytes = NULL;
            line[d][i].len = 0;
        }
    return p->now - start;
}

/* 1 Gbit/s at 100 ms: windows and replay grow until one stream fills it. */
static void one_stream_fills_a_long_fat_path(void **state)
{
    enum { PER_MS = 125 * 1000, RTT = 100 };
    struct pair *p = pair_attached();

    (void)state;
    uint64_t total = 1000 * (uint64_t)MIB;
    uint64_t took = time_to_carry(total, RTT, PER_MS, p);
    assert_true(p->a.s->streams.next != &p->a.s->streams);
    double rate = (double)total / (double)took / PER_MS;
    if (rate < 0.85) /* over the whole time, slow start included */
        fail_msg("used %.2f of the path", rate);
    assert_true(p->b.s->replay.limit == REPLAY_MAX);
    assert_true(p->a.budget.windows_used > 0);
    pair_free(p);
}

static void a_slow_path_keeps_its_windows_small(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    (void)time_to_carry(4 * MIB, 100, 1250, p); /* 10 Mbit/s */
    assert_true(p->a.budget.windows_used <= MIB);
    assert_int_equal(p->b.s->replay.limit, REPLAY_FIRST);
    pair_free(p);
}

static void grown_windows_stay_within_what_the_process_may_hold(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    p->a.budget.buffered_max = 8 * MIB;
    p->a.s->ping.least_us = 100 * 1000;
    for (int i = 0; i < 8; i++)
        pair_open(p)->to_send = 200 * MIB;
    for (int i = 0; i < 8; i++)
        tap_send(&p->b.taps[i]);
    for (int i = 0; i < 3000; i++) {
        pair_move(&p->b, &p->a, 0);
        pair_move(&p->a, &p->b, 0);
        assert_true(p->a.budget.windows_used <= 4 * MIB);
    }
    assert_true(p->a.budget.windows_used > 0);
    /* All readers stop at once: what comes then still fits. */
    for (int i = 0; i < 8; i++)
        p->a.taps[i].lazy = true;
    pair_pump(p);
    for (int i = 0; i < 8; i++)
        assert_int_equal(p->a.taps[i].closed, 0);
    pair_free(p);
}

static void a_stream_that_would_pass_the_process_limit_is_reset_alone(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    p->a.budget.buffered_max = STREAM_WINDOW_FIRST * 3 / 2;
    for (int i = 0; i < 3; i++)
        pair_open(p);
    pair_pump(p);
    for (int i = 0; i < 2; i++) {
        p->a.taps[i].lazy = true;
        p->b.taps[i].to_send = MIB;
        tap_send(&p->b.taps[i]);
        pair_pump(p);
    }
    assert_int_equal(p->a.taps[0].closed, 0);
    assert_int_equal(p->a.taps[1].closed, 1);
    assert_int_equal(p->a.taps[1].why, RESET_LIMIT);
    assert_int_equal(p->b.taps[1].why, RESET_LIMIT);
    assert_int_equal(p->a.budget.buffered_used, STREAM_WINDOW_FIRST);
    p->b.taps[2].to_send = 100 * 1000;
    tap_send(&p->b.taps[2]);
    pair_pump(p);
    assert_int_equal(p->a.taps[2].received, 100 * 1000);
    pair_free(p);
}

/* --- the replay's limits ------------------------------------------------------------- */

/* B sends and A takes, but nothing comes back: no acknowledgement, no credit. */
static void send_into_silence(struct pair *p)
{
    while (pair_move(&p->b, &p->a, 0))
        continue;
}

static void unacknowledged_bytes_are_bounded_and_pings_still_pass(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    for (int i = 0; i < 64; i++)
        pair_open(p)->to_send = 10 * MIB;
    for (int i = 0; i < 64; i++)
        tap_send(&p->b.taps[i]);
    send_into_silence(p);
    struct session_stats stats;
    session_stats(p->b.s, &stats);
    assert_true(stats.unacknowledged >= REPLAY_FIRST);
    assert_true(stats.unacknowledged <= REPLAY_FIRST + FRAME_DATA_MAX + 64 * 17);
    assert_true(p->b.budget.replay_used <= 2 * REPLAY_FIRST);
    assert_int_equal(stream_room(p->b.taps[63].st), 0);

    session_ping(p->b.s, p->now);
    assert_true(pair_move(&p->b, &p->a, 0));
    p->now += 30;
    pair_pump(p);
    assert_int_equal(session_pings_answered(p->b.s), 1); /* the one of the attach was replaced */
    session_stats(p->b.s, &stats);
    assert_int_equal(stats.rtt_us, 30 * 1000);
    for (int i = 0; i < 64; i++)
        assert_int_equal(p->a.taps[i].received, 10 * MIB); /* and all goes on */
    pair_free(p);
}

static void a_full_replay_turns_no_new_stream_away(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    for (int i = 0; i < 64; i++)
        pair_open(p)->to_send = MIB;
    for (int i = 0; i < 64; i++)
        tap_send(&p->b.taps[i]);
    send_into_silence(p);
    struct tap *late = pair_open(p); /* asserts that it could be opened */
    late->to_send = 1000;
    assert_int_equal(stream_room(late->st), 0); /* but waits its turn to send */
    pair_pump(p);
    assert_int_equal(p->a.taps[64].received, 1000);
    pair_free(p);
}

static void every_session_may_keep_a_little_when_the_process_keeps_too_much(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    p->b.budget.replay_used = p->b.budget.replay_max; /* other sessions */
    for (int i = 0; i < 4; i++)
        pair_open(p)->to_send = 5 * MIB;
    for (int i = 0; i < 4; i++)
        tap_send(&p->b.taps[i]);
    assert_true(replay_kept(&p->b.s->replay) <= SESSION_REPLAY_SURE + FRAME_DATA_MAX);
    for (int i = 0; i < 1000; i++) { /* its own acknowledgements keep it going */
        pair_pump(p);
        p->now += SESSION_ACK_MS;
        assert_int_equal(session_tick(p->a.s, p->now), SESSION_FINE);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(p->a.taps[i].received, 5 * MIB);
    p->b.budget.replay_used -= p->b.budget.replay_max;
    pair_free(p);
}

static void chunks_that_are_mostly_empty_do_not_pile_up(void **state)
{
    struct pair *p = pair_attached();
    size_t sent = 0;

    (void)state;
    for (int i = 0; i < 16; i++) {
        struct tap *b = pair_open(p);
        b->to_send = MIB;
        b->piece = 40 * 1000;
        tap_send(b);
        send_into_silence(p);
        sent += b->sent;
    }
    assert_true(sent > REPLAY_FIRST / 4 * 3);
    assert_true(p->b.budget.replay_used < 2 * (size_t)REPLAY_FIRST + 4 * MIB);
    pair_free(p);
}

static void a_session_at_rest_holds_no_memory(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = 3 * MIB;
    tap_send(b);
    pair_pump(p);
    p->now += SESSION_ACK_MS;
    assert_int_equal(session_tick(p->a.s, p->now), SESSION_FINE);
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE);
    pair_pump(p);
    p->now += SESSION_ACK_MS;
    assert_int_equal(session_tick(p->a.s, p->now), SESSION_FINE);
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE);
    pair_pump(p);
    assert_int_equal(p->a.budget.replay_used, 0);
    assert_int_equal(p->b.budget.replay_used, 0);
    pair_free(p);
}

/* --- gathering ----------------------------------------------------------------------- */

static void small_frames_leave_in_long_pieces(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);
    size_t pieces = 0;

    (void)state;
    pair_pump(p);
    b->piece = 64;
    b->to_send = 2000 * 64;
    tap_send(b);
    while (pair_move(&p->b, &p->a, 0))
        pieces++;
    assert_true(pieces <= 6);
    assert_int_equal(tap_peer(b)->received, 2000 * 64);
    pair_free(p);
}

/* --- time
 * ----------------------------------------------------------------------------------------- */

static bool moves_nothing(struct pair *p)
{
    return session_output(p->a.s, p->now).left == 0 && session_output(p->b.s, p->now).left == 0;
}

static void acknowledges_after_50_ms(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    pair_pump(p);
    assert_int_equal(session_deadline(p->a.s), p->now + SESSION_ACK_MS);
    p->now += SESSION_ACK_MS - 1;
    b->to_send = 10;
    tap_send(b);
    pair_pump(p);
    assert_true(replay_kept(&p->b.s->replay) > 0);
    p->now += 1; /* from the first byte that is not acknowledged, not from the last */
    unsigned outputs = p->a.outputs;
    assert_int_equal(session_tick(p->a.s, p->now), SESSION_FINE);
    assert_int_equal(p->a.outputs, outputs + 1);
    pair_pump(p);
    assert_int_equal(replay_kept(&p->b.s->replay), 0);
    pair_free(p);
}

static void acknowledges_at_once_after_so_many_bytes(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = SESSION_ACK_BYTES - FRAME_HEAD - 9 - 100;
    b->piece = 100 * 1000;
    tap_send(b);
    pair_pump(p);
    uint64_t untold = session_received(p->a.s);
    assert_true(untold < SESSION_ACK_BYTES);
    assert_int_equal(replay_kept(&p->b.s->replay), untold);
    b->to_send += SESSION_ACK_BYTES - untold - FRAME_HEAD;
    tap_send(b);
    pair_pump(p);
    assert_int_equal(replay_kept(&p->b.s->replay), 0);
    pair_free(p);
}

static uint64_t test_us;

static uint64_t clock_us(void)
{
    return test_us += 123;
}

static void measures_round_trips_as_finely_as_its_clock(void **state)
{
    struct pair *p = pair_new();
    struct session_stats stats;

    (void)state;
    p->b.s->clock_us = clock_us;
    pair_attach(p);
    session_stats(p->b.s, &stats);
    assert_int_equal(stats.rtt_us, 0);
    pair_pump(p);
    session_stats(p->b.s, &stats);
    assert_int_equal(stats.rtt_us, 123);
    pair_free(p);
}

static void an_idle_session_wakes_only_to_ping(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = 100;
    b->fin_after = true;
    tap_send(b);
    pair_pump(p);
    stream_fin(tap_peer(b)->st);
    pair_pump(p);
    for (int i = 0; i < 4; i++) { /* let the last acknowledgements pass */
        p->now += SESSION_ACK_MS;
        assert_int_equal(session_tick(p->a.s, p->now), SESSION_FINE);
        assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE);
        pair_pump(p);
    }
    for (int i = 0; i < 10; i++) {
        struct end *e = session_deadline(p->a.s) < session_deadline(p->b.s) ? &p->a : &p->b;
        assert_int_equal(session_deadline(e->s), e->s->ping.next_ms);
        assert_true(moves_nothing(p));
        p->now = session_deadline(e->s);
        uint64_t answered = session_pings_answered(e->s);
        assert_int_equal(session_tick(e->s, p->now), SESSION_FINE);
        pair_pump(p);
        assert_int_equal(session_pings_answered(e->s), answered + 1);
        assert_true(session_deadline(e->s) == p->now + SESSION_PING_MS);
    }
    pair_free(p);
}

static void silence_means_that_the_pipe_is_lost(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    pair_pump(p);
    uint64_t heard = p->now;
    p->now = heard + SESSION_SILENT_MS - 1;
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE);
    assert_true(session_deadline(p->b.s) <= heard + SESSION_SILENT_MS);
    p->now = heard + SESSION_SILENT_MS;
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_PEER_SILENT);
    session_detach(p->b.s, p->now);
    assert_int_equal(session_tick(p->b.s, p->now), SESSION_FINE); /* it only waits now */
    pair_free(p);
}

static void output_is_announced_once_until_it_has_been_taken(void **state)
{
    struct pair *p = pair_attached();

    (void)state;
    pair_pump(p);
    unsigned outputs = p->b.outputs;
    for (int i = 0; i < 10; i++)
        pair_open(p);
    assert_int_equal(p->b.outputs, outputs + 1);
    assert_true(pair_move(&p->b, &p->a, 10));
    pair_open(p);
    assert_int_equal(p->b.outputs, outputs + 1);
    pair_pump(p);
    pair_open(p);
    assert_int_equal(p->b.outputs, outputs + 2);
    pair_free(p);
}

static void close_is_the_last_that_is_said(void **state)
{
    struct pair *p = pair_attached();
    struct tap *b = pair_open(p);

    (void)state;
    b->to_send = 1000;
    tap_send(b);
    assert_true(pair_move(&p->b, &p->a, 0)); /* the ping of the attach */
    assert_true(pair_move(&p->b, &p->a, 500));
    session_close(p->b.s, CLOSE_SHUTDOWN); /* waits for the end of the frame */
    assert_true(pair_move(&p->b, &p->a, 0));
    assert_int_equal(tap_peer(b)->received, 1000);
    b->to_send = 2000;
    tap_send(b);
    struct reader out = session_output(p->b.s, p->now);
    assert_int_equal(out.left, FRAME_HEAD + 1);
    assert_int_equal(session_input(p->a.s, out, p->now), RC_EOF);
    assert_int_equal(session_close_reason(p->a.s), CLOSE_SHUTDOWN);
    session_sent(p->b.s, out.left);
    assert_int_equal(session_output(p->b.s, p->now).left, 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_stops_at_its_credit_until_the_reader_takes),
        cmocka_unit_test(a_stalled_reader_slows_nobody_else),
        cmocka_unit_test(streams_that_wait_get_equal_shares),
        cmocka_unit_test(a_newcomer_waits_its_turn_and_gets_it),
        cmocka_unit_test(room_that_is_offered_is_there_also_for_those_who_ask_early),
        cmocka_unit_test(what_is_framed_ahead_of_the_pipe_is_bounded),
        cmocka_unit_test(one_stream_fills_a_long_fat_path),
        cmocka_unit_test(a_slow_path_keeps_its_windows_small),
        cmocka_unit_test(grown_windows_stay_within_what_the_process_may_hold),
        cmocka_unit_test(a_stream_that_would_pass_the_process_limit_is_reset_alone),
        cmocka_unit_test(a_full_replay_turns_no_new_stream_away),
        cmocka_unit_test(unacknowledged_bytes_are_bounded_and_pings_still_pass),
        cmocka_unit_test(every_session_may_keep_a_little_when_the_process_keeps_too_much),
        cmocka_unit_test(chunks_that_are_mostly_empty_do_not_pile_up),
        cmocka_unit_test(a_session_at_rest_holds_no_memory),
        cmocka_unit_test(small_frames_leave_in_long_pieces),
        cmocka_unit_test(acknowledges_after_50_ms),
        cmocka_unit_test(acknowledges_at_once_after_so_many_bytes),
        cmocka_unit_test(measures_round_trips_as_finely_as_its_clock),
        cmocka_unit_test(an_idle_session_wakes_only_to_ping),
        cmocka_unit_test(silence_means_that_the_pipe_is_lost),
        cmocka_unit_test(output_is_announced_once_until_it_has_been_taken),
        cmocka_unit_test(close_is_the_last_that_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
