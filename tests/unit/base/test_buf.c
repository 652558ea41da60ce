#include "base/buf.h"

#include "test.h"

static void integers_are_big_endian(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 64);
    buf_put_u8(&b, 0x01);
    buf_put_u16(&b, 0x0203);
    buf_put_u24(&b, 0xff040506);
    buf_put_u32(&b, 0x0708090a);
    buf_put_u64(&b, 0x0b0c0d0e0f101112);
    struct reader r = buf_view(&b);
    assert_int_equal(r.left, 18);
    for (unsigned i = 1; i <= 18; i++)
        assert_int_equal(reader_u8(&r), i);
    buf_done(&b);
}

/* A put that passes the limit adds nothing, nor does any after it, even one that would fit. */
static void past_the_limit_it_stays_failed_with_what_it_had(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 4);
    buf_put_text(&b, "abc");
    buf_put_u16(&b, 1);
    assert_false(buf_ok(&b));
    buf_put_u8(&b, 'd');
    buf_print(&b, "%d", 1);
    assert_null(buf_reserve(&b, 1));
    assert_true(reader_is(buf_view(&b), "abc"));
    buf_clear(&b);
    assert_true(buf_ok(&b));
    buf_put_text(&b, "abcd"); /* the limit itself fits */
    assert_true(buf_ok(&b));
    assert_true(reader_is(buf_view(&b), "abcd"));
    buf_done(&b);
}

static void a_limit_of_nothing_takes_nothing(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 0);
    buf_put_text(&b, "");
    assert_true(buf_ok(&b));
    struct reader r = buf_view(&b);
    assert_true(reader_done(&r));
    buf_put_u8(&b, 0);
    assert_false(buf_ok(&b));
    buf_done(&b);
}

static void printing_counts_no_byte_but_those_it_shows(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 5);
    buf_print(&b, "%s-%d", "ab", 42);
    assert_true(buf_ok(&b));
    assert_true(reader_is(buf_view(&b), "ab-42"));
    buf_clear(&b);
    buf_print(&b, "%06d", 1);
    assert_false(buf_ok(&b));
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

/* What goes in at the back comes out at the front, in order, through growth and moves. */
static void a_queue_keeps_its_order_and_stays_within_its_limit(void **state)
{
    (void)state;
    enum { LIMIT = 1000, STEPS = 20000 };
    struct buf b;
    size_t in = 0, out = 0;

    buf_init(&b, LIMIT);
    for (size_t i = 0; i < STEPS; i++) {
        size_t put = i * 7 % 61, take = i * 5 % 59;
        while (put-- > 0 && b.len < LIMIT)
            buf_put_u8(&b, (uint8_t)in++);
        if (take > b.len)
            take = b.len;
        struct reader r = buf_view(&b);
        for (size_t k = 0; k < take; k++)
            assert_int_equal(reader_u8(&r), (uint8_t)out++);
        buf_consume(&b, take);
        assert_true(buf_ok(&b));
        assert_int_equal(b.len, in - out);
    }
    assert_true(out > 10 * LIMIT);
    assert_true(b.cap <= 2 * LIMIT);
    buf_done(&b);
}

static void reserved_room_counts_once_it_is_grown(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 10);
    uint8_t *room = buf_reserve(&b, 10);
    assert_non_null(room);
    assert_int_equal(b.len, 0);
    memcpy(room, "hello", 5);
    buf_grow(&b, 5);
    assert_true(reader_is(buf_view(&b), "hello"));
    assert_non_null(buf_reserve(&b, 0));
    assert_null(buf_reserve(&b, 6));
    assert_false(buf_ok(&b));
    buf_done(&b);
}

static void no_size_can_wrap_around_the_limit(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, SIZE_MAX / 2);
    buf_put_u8(&b, 1);
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_null(buf_reserve(&b, SIZE_MAX - 1));
    assert_false(buf_ok(&b));
    buf_done(&b);
}

static void done_leaves_it_empty_and_twice_is_fine(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 10);
    buf_put_u8(&b, 1);
    buf_done(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(past_the_limit_it_stays_failed_with_what_it_had),
        cmocka_unit_test(a_limit_of_nothing_takes_nothing),
        cmocka_unit_test(printing_counts_no_byte_but_those_it_shows),
        cmocka_unit_test(a_queue_keeps_its_order_and_stays_within_its_limit),
        cmocka_unit_test(reserved_room_counts_once_it_is_grown),
        cmocka_unit_test(no_size_can_wrap_around_the_limit),
        cmocka_unit_test(done_leaves_it_empty_and_twice_is_fine),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
