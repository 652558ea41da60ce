#include "test.h"

#include "mux/replay.h"

enum { LIMIT = 64 * 1024, LIMIT_MAX = 256 * 1024 };

struct fixture {
    struct replay r;
    struct chunk_pool pool;
    size_t used;
};

static int set_up(void **state)
{
    static struct fixture f;

    f.used = 0;
    chunk_pool_init(&f.pool);
    replay_init(&f.r, LIMIT, LIMIT_MAX, &f.used);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    replay_done(&f->r);
    assert_int_equal(f->used, 0); /* whatever happened, the process has its memory back */
    chunk_pool_done(&f->pool);
    return 0;
}

/* Every byte of the sequence tells its own offset, as far as a byte can. */
static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8));
}

static void add_small(struct fixture *f, size_t len)
{
    uint64_t offset = f->r.end;
    uint8_t *out = replay_add(&f->r, len);

    for (size_t i = 0; i < len; i++)
        out[i] = byte_at(offset + i);
}

static void add_large(struct fixture *f, size_t len)
{
    struct chunk *c = chunk_new(&f->pool, CHUNK_DATA);

    c->to = c->from + len;
    for (size_t i = 0; i < len; i++)
        c->memory[c->from + i] = byte_at(f->r.end + i);
    replay_add_chunk(&f->r, c);
}

/* Takes up to `most` bytes at the cursor and checks that they are the right ones. */
static size_t take(struct fixture *f, size_t most)
{
    struct reader piece = replay_piece(&f->r);
    size_t len = piece.left < most ? piece.left : most;

    for (size_t i = 0; i < len; i++)
        assert_int_equal(piece.at[i], byte_at(f->r.cursor + i));
    replay_advance(&f->r, len);
    return len;
}

static void take_all(struct fixture *f, size_t step)
{
    while (take(f, step) > 0)
        continue;
    assert_int_equal(f->r.cursor, f->r.end);
}

static void gathers_small_frames_into_one_piece(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 100; i++)
        add_small(f, 17);
    assert_int_equal(replay_piece(&f->r).left, 1700);
    take_all(f, SIZE_MAX);
}

static void hands_a_large_frame_through_without_a_copy(void **state)
{
    struct fixture *f = *state;
    struct chunk *c = chunk_new(&f->pool, CHUNK_DATA);

    c->to = c->from + CHUNK_DATA;
    replay_add_chunk(&f->r, c);
    assert_ptr_equal(replay_piece(&f->r).at, c->memory + CHUNK_HEAD);
    assert_int_equal(replay_piece(&f->r).left, CHUNK_DATA);
}

static void puts_small_frames_into_the_free_room_behind_a_large_one(void **state)
{
    struct fixture *f = *state;

    add_large(f, 200 * 1024);
    size_t used = f->used;
    add_small(f, 16);
    assert_int_equal(f->used, used);
    assert_int_equal(replay_piece(&f->r).left, 200 * 1024 + 16);
    take_all(f, 1000);
}

static void offers_the_rest_of_the_tail_only_when_it_is_worth_a_frame(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(replay_offer(&f->r, 100), 100);
    assert_int_equal(replay_offer(&f->r, 1024 * 1024), REPLAY_TAIL_MAX);
    add_large(f, CHUNK_DATA - 1000);
    assert_int_equal(replay_offer(&f->r, 5000), 1000);
    add_small(f, 900);
    assert_int_equal(replay_offer(&f->r, 5000), 5000);
    assert_int_equal(replay_offer(&f->r, 100), 100);
}

static void frees_what_is_acknowledged_and_nothing_else(void **state)
{
    struct fixture *f = *state;

    add_large(f, 100);
    add_small(f, 50);
    take_all(f, SIZE_MAX);
    assert_int_equal(replay_ack(&f->r, 149, 0, 0), RC_OK);
    assert_true(f->used > 0);
    assert_int_equal(replay_kept(&f->r), 1);
    assert_int_equal(replay_ack(&f->r, 150, 0, 0), RC_OK);
    assert_int_equal(f->used, 0);
    add_small(f, 10);
    take_all(f, SIZE_MAX);
}

static void refuses_acks_that_go_back_or_ahead(void **state)
{
    struct fixture *f = *state;

    add_small(f, 100);
    take(f, 60);
    assert_int_equal(replay_ack(&f->r, 61, 0, 0), RC_PROTO);
    assert_int_equal(replay_ack(&f->r, 40, 0, 0), RC_OK);
    assert_int_equal(replay_ack(&f->r, 40, 0, 0), RC_OK);
    assert_int_equal(replay_ack(&f->r, 39, 0, 0), RC_PROTO);
    assert_int_equal(replay_kept(&f->r), 60);
}

/* From every offset that is kept, the same bytes come again. */
static void goes_back_to_any_kept_offset(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 40; i++) {
        add_small(f, 1 + (size_t)i * 7);
        if (i % 10 == 0)
            add_large(f, 300);
    }
    take_all(f, 100);
    for (uint64_t from = 0; from <= f->r.end; from += 13) {
        assert_int_equal(replay_rewind(&f->r, from, 0), RC_OK);
        assert_int_equal(f->r.cursor, from);
        take_all(f, 77);
    }
}

static void refuses_offsets_that_are_not_kept(void **state)
{
    struct fixture *f = *state;

    add_small(f, 100);
    take(f, 80);
    assert_int_equal(replay_ack(&f->r, 30, 0, 0), RC_OK);
    assert_int_equal(replay_rewind(&f->r, 29, 0), RC_ABSENT);
    assert_int_equal(replay_rewind(&f->r, 81, 0), RC_ABSENT);
    assert_int_equal(f->r.cursor, 80);
    assert_int_equal(replay_rewind(&f->r, 50, 0), RC_OK);
    /* What went through the pipe before may have arrived. */
    assert_int_equal(replay_rewind(&f->r, 80, 0), RC_OK);
    /* And it has told so: there is no way back. */
    assert_int_equal(replay_rewind(&f->r, 79, 0), RC_ABSENT);
}

static void knows_when_it_may_be_within_a_frame(void **state)
{
    struct fixture *f = *state;

    add_small(f, 100);
    assert_false(replay_is_within_frame(&f->r));
    take(f, 1);
    assert_true(replay_is_within_frame(&f->r));
    take(f, SIZE_MAX);
    assert_false(replay_is_within_frame(&f->r));
    assert_int_equal(replay_rewind(&f->r, 1, 0), RC_OK);
    assert_true(replay_is_within_frame(&f->r));
}

static void grows_with_what_the_path_carries_in_a_round_trip(void **state)
{
    static const struct {
        uint64_t per_100_ms;
        size_t limit;
    } table[] = {{LIMIT / 2, LIMIT}, {LIMIT / 2 + 1000, 2 * LIMIT}, {LIMIT_MAX, LIMIT_MAX}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint64_t now = 1000 * (i + 1), end = f->r.acked + table[i].per_100_ms;
        assert_int_equal(replay_rewind(&f->r, f->r.acked, now), RC_OK);
        while (f->r.end < end)
            add_small(f, (size_t)(end - f->r.end < 1000 ? end - f->r.end : 1000));
        take_all(f, SIZE_MAX);
        assert_int_equal(replay_ack(&f->r, end, now + 50, 100),
                         RC_OK); /* half a round: no verdict */
        assert_int_equal(replay_ack(&f->r, end, now + 100, 100), RC_OK);
        assert_int_equal(f->r.limit, table[i].limit);
    }
}

static void is_full_at_its_limit(void **state)
{
    struct fixture *f = *state;

    add_large(f, LIMIT - 1);
    assert_false(replay_is_full(&f->r));
    add_small(f, 1);
    assert_true(replay_is_full(&f->r));
    take_all(f, SIZE_MAX);
    assert_int_equal(replay_ack(&f->r, 1, 0, 0), RC_OK);
    assert_false(replay_is_full(&f->r));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(gathers_small_frames_into_one_piece),
        TEST(hands_a_large_frame_through_without_a_copy),
        TEST(puts_small_frames_into_the_free_room_behind_a_large_one),
        TEST(offers_the_rest_of_the_tail_only_when_it_is_worth_a_frame),
        TEST(frees_what_is_acknowledged_and_nothing_else),
        TEST(refuses_acks_that_go_back_or_ahead),
        TEST(goes_back_to_any_kept_offset),
        TEST(refuses_offsets_that_are_not_kept),
        TEST(knows_when_it_may_be_within_a_frame),
        TEST(grows_with_what_the_path_carries_in_a_round_trip),
        TEST(is_full_at_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
