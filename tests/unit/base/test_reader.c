#include "base/reader.h"

#include "test.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void integers_are_big_endian(void **state)
{
    (void)state;
    struct reader r = reader_of(bytes, sizeof bytes);

    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_int_equal(reader_u24(&r), 0x040506);
    r = reader_of(bytes, sizeof bytes);
    assert_int_equal(reader_u32(&r), 0x01020304);
    r = reader_of(bytes, sizeof bytes);
    assert_int_equal(reader_u64(&r), 0x0102030405060708);
    assert_int_equal(r.left, 1);
    assert_true(reader_ok(&r));
    assert_false(reader_done(&r));
    assert_int_equal(reader_u8(&r), 9);
    assert_true(reader_done(&r));
}

/* Each take from a copy one byte too short: zero, nothing left, failed for good. */
static void past_the_end_everything_is_zero_and_stays_so(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 4, 8};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *copy = exact_copy(bytes, sizes[i] - 1);
        struct reader r = reader_of(copy, sizes[i] - 1);
        uint64_t value = sizes[i] == 1   ? reader_u8(&r)
                         : sizes[i] == 2 ? reader_u16(&r)
                         : sizes[i] == 3 ? reader_u24(&r)
                         : sizes[i] == 4 ? reader_u32(&r)
                                         : reader_u64(&r);
        assert_int_equal(value, 0);
        assert_false(reader_ok(&r));
        assert_int_equal(r.left, 0);
        assert_int_equal(reader_u8(&r), 0);
        assert_false(reader_done(&r));
        free(copy);
    }
}

static void a_slice_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    struct reader r = reader_of(bytes, sizeof bytes);
    struct reader s = reader_slice(&r, 4);

    assert_int_equal(s.left, 4);
    assert_ptr_equal(s.at, bytes);
    assert_int_equal(r.left, 5);
    assert_true(reader_ok(&s));
    s = reader_slice(&r, 6);
    assert_int_equal(s.left, 0);
    assert_false(reader_ok(&s));
    assert_false(reader_ok(&r));

    struct reader none = {0};
    s = reader_slice(&none, 0); /* no bytes at no place are all there */
    assert_true(reader_ok(&none) && reader_done(&s));
    r = reader_of(bytes, sizeof bytes);
    (void)reader_slice(&r, SIZE_MAX);
    assert_false(reader_ok(&r));
}

static void vectors_carry_their_length(void **state)
{
    (void)state;
    static const uint8_t vec8[] = {2, 'a', 'b', 0}, vec16[] = {0, 3, 'a', 'b', 'c'};
    struct reader r = reader_of(vec8, sizeof vec8);

    assert_true(reader_is(reader_vec8(&r), "ab"));
    assert_true(reader_is(reader_vec8(&r), ""));
    assert_true(reader_done(&r));
    r = reader_of(vec16, sizeof vec16);
    assert_true(reader_is(reader_vec16(&r), "abc"));
    r = reader_of(vec16, sizeof vec16 - 1);
    struct reader cut = reader_vec16(&r);
    assert_false(reader_ok(&cut));
    assert_false(reader_ok(&r));
}

static void a_copy_past_the_end_is_zeros(void **state)
{
    (void)state;
    uint8_t out[4] = {9, 9, 9, 9};
    struct reader r = reader_of(bytes, 3);

    reader_copy(&r, out, 2);
    assert_memory_equal(out, "\1\2\11\11", 4);
    reader_copy(&r, out, 2);
    assert_memory_equal(out, "\0\0\11\11", 4);
    assert_false(reader_ok(&r));
    struct reader none = {0};
    reader_copy(&none, NULL, 0);
    assert_true(reader_ok(&none));
}

static void text_is_compared_byte_by_byte(void **state)
{
    (void)state;
    assert_true(reader_is(reader_of_text("abc"), "abc"));
    assert_false(reader_is(reader_of_text("abc"), "abd"));
    assert_false(reader_is(reader_of_text("abc"), "ab"));
    assert_false(reader_is(reader_of_text("ab"), "abc"));
    assert_false(reader_is(reader_of("ab\0", 3), "ab"));
    assert_true(reader_is((struct reader){0}, ""));
    assert_false(reader_is((struct reader){.failed = true}, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(past_the_end_everything_is_zero_and_stays_so),
        cmocka_unit_test(a_slice_is_taken_whole_or_not_at_all),
        cmocka_unit_test(vectors_carry_their_length),
        cmocka_unit_test(a_copy_past_the_end_is_zeros),
        cmocka_unit_test(text_is_compared_byte_by_byte),
    };
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
