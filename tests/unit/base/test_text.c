#include "base/text.h"

#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void formatting_fits_whole_or_fails(void **state)
{
    (void)state;
    char out[6];

    assert_int_equal(text_format(out, sizeof out, "%s%d", "ab", 123), RC_OK);
    assert_string_equal(out, "ab123");
    assert_int_equal(text_format(out, sizeof out, "%s%d", "ab", 1234), RC_LIMIT);
    assert_string_equal(out, "");
    assert_int_equal(text_copy(out, sizeof out, "12345"), RC_OK);
    assert_string_equal(out, "12345");
    assert_int_equal(text_copy(out, sizeof out, "123456"), RC_LIMIT);
    assert_string_equal(out, "");
}

static void a_message_may_be_cut(void **state)
{
    (void)state;
    char out[6];

    text_message(out, sizeof out, "%s", "123456789");
    assert_string_equal(out, "12345");
}

static void a_copy_on_the_heap_is_the_same_and_of_nothing_nothing(void **state)
{
    (void)state;
    char *copy = text_dup("abc");

    assert_string_equal(copy, "abc");
    free(copy);
    assert_null(text_dup(NULL));
}

static void hex_goes_there_and_back(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x0f, 0xa0, 0xff};
    char hex[2 * sizeof bytes + 1];
    uint8_t back[sizeof bytes];

    text_hex(reader_of(bytes, sizeof bytes), hex);
    assert_string_equal(hex, "000fa0ff");
    assert_int_equal(text_unhex("000FA0ff", back, sizeof back), RC_OK);
    assert_memory_equal(back, bytes, sizeof back);
    text_hex((struct reader){0}, hex);
    assert_string_equal(hex, "");
}

static void hex_of_another_length_or_alphabet_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"",     "0",    "000",  "00000", "000g",
                                        "0x00", " 000", "00 0", "000\n", "00-1"};
    uint8_t out[2];

    for (size_t i = 0; i < COUNT(cases); i++)
        if (text_unhex(cases[i], out, sizeof out) != RC_INPUT)
            fail_msg("not refused: \"%s\"", cases[i]);
}

static void a_service_name_is_what_the_protocol_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {"prod-db", true},
        {"a", true},
        {"0", true},
        {"-", true},
        {"123456789012345678901234567890123456789012345678901234567890123", true},
        {"1234567890123456789012345678901234567890123456789012345678901234", false},
        {"", false},
        {"Prod", false},
        {"a b", false},
        {"a_b", false},
        {"a.b", false},
        {"a/b", false},
        {"\xc3\xa4", false},
        {"a\n", false},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        if (text_is_name(cases[i].text) != cases[i].want)
            fail_msg("\"%s\"", cases[i].text);
}

static void numbers_stay_within_their_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t low, high;
        enum rc want;
        uint64_t value;
    } cases[] = {
        {"0", 0, 10, RC_OK, 0},
        {"10", 0, 10, RC_OK, 10},
        {"007", 0, 10, RC_OK, 7},
        {"11", 0, 10, RC_INPUT, 0},
        {"1", 2, 10, RC_INPUT, 0},
        {"", 0, 10, RC_INPUT, 0},
        {"-1", 0, UINT64_MAX, RC_INPUT, 0},
        {"+1", 0, 10, RC_INPUT, 0},
        {" 1", 0, 10, RC_INPUT, 0},
        {"1 ", 0, 10, RC_INPUT, 0},
        {"0x1", 0, 10, RC_INPUT, 0},
        {"1e1", 0, 10, RC_INPUT, 0},
        {"18446744073709551615", 0, UINT64_MAX, RC_OK, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, RC_INPUT, 0},
        {"99999999999999999999999", 0, UINT64_MAX, RC_INPUT, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t value = 0;
        enum rc rc = text_number(cases[i].text, cases[i].low, cases[i].high, &value);
        if (rc != cases[i].want || value != cases[i].value)
            fail_msg("\"%s\": %s", cases[i].text, rc_text(rc));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formatting_fits_whole_or_fails),
        cmocka_unit_test(a_message_may_be_cut),
        cmocka_unit_test(a_copy_on_the_heap_is_the_same_and_of_nothing_nothing),
        cmocka_unit_test(hex_goes_there_and_back),
        cmocka_unit_test(hex_of_another_length_or_alphabet_is_refused),
        cmocka_unit_test(a_service_name_is_what_the_protocol_says),
        cmocka_unit_test(numbers_stay_within_their_bounds),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
