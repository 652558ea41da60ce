#include "agent/ui.h"
#include "agent/exit_code.h"
#include "agent/utf8.h"

#include "test.h"

static void numbers_are_short_and_carry_their_unit(void **state)
{
    (void)state;
    char out[UI_NUMBER_SIZE];
    static const struct {
        uint64_t bytes;
        const char *text;
    } bytes[] = {
        {0, "0 B"},         {999, "999 B"},        {1000, "1.0 kB"},
        {9940, "9.9 kB"},   {9960, "10 kB"},       {999499, "999 kB"},
        {999500, "1.0 MB"}, {123456789, "123 MB"}, {UINT64_MAX, "18 EB"},
    };
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        assert_string_equal(ui_bytes(bytes[i].bytes, out), bytes[i].text);

    static const struct {
        double ms;
        const char *text;
    } latencies[] = {{-1, "0.00 ms"},   {0, "0.00 ms"},  {0.424, "0.42 ms"}, {0.99, "0.99 ms"},
                     {0.996, "1.0 ms"}, {12.4, "12 ms"}, {999.4, "999 ms"},  {1340, "1.3 s"}};
    for (size_t i = 0; i < sizeof latencies / sizeof latencies[0]; i++)
        assert_string_equal(ui_latency(latencies[i].ms, out), latencies[i].text);

    static const struct {
        uint64_t seconds;
        const char *text;
    } durations[] = {{0, "0 s"},       {59, "59 s"},        {60, "1 min"},
                     {3599, "59 min"}, {7500, "2 h 5 min"}, {363600, "4 d 5 h"}};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++)
        assert_string_equal(ui_duration(durations[i].seconds, out), durations[i].text);
}

static void dates_say_how_far_away_they_are(void **state)
{
    (void)state;
    enum { NOW = 1798070400 }; /* 2026-12-24T00:00:00Z */
    char out[UI_NUMBER_SIZE];
    static const struct {
        const char *date, *text;
    } cases[] = {
        {"2027-01-23T00:00:00Z", "2027-01-23 (in 30 days)"},
        {"2026-12-25T00:00:00Z", "2026-12-25 (in 1 day)"},
        {"2026-12-24T10:00:00.5Z", "2026-12-24 (today)"},
        {"2026-12-23T23:59:59Z", "2026-12-23 (expired)"},
        {"soon", "soon"},
        {"", ""},
        {"2026-12-25", "2026-12-25"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(ui_date(cases[i].date, NOW, out), cases[i].text);
}

static void cleaning_leaves_text_and_takes_what_acts_on_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *text, *clean, *ascii;
    } cases[] = {
        {"plain", "plain", "plain"},
        {"b\xc3\xbcro \xe2\x9c\x93", "b\xc3\xbcro \xe2\x9c\x93", "b?ro ?"},
        {"\x1b[2J\x07\r\n\t\x7f", "?[2J?????", "?[2J?????"},
        {"a\xc2\x9b"
         "2J",
         "a?2J", "a?2J"}, /* CSI in one character */
        {"a\xe2\x80\xae"
         "b\xe2\x81\xa6",
         "a?b?", "a?b?"},                                       /* turned direction */
        {"\xff\xc0\xaf\xed\xa0\x80\xf8", "???????", "???????"}, /* not UTF-8 */
        {"cut \xe2\x9c", "cut ??", "cut ??"},
        {"\xf0\x9f\x9a\x80", "\xf0\x9f\x9a\x80", "?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *exact = (char *)exact_copy(cases[i].text, strlen(cases[i].text) + 1);
        char *clean = utf8_clean(exact, false), *ascii = utf8_clean(exact, true);

        assert_string_equal(clean, cases[i].clean);
        assert_string_equal(ascii, cases[i].ascii);
        assert_true(utf8_is_valid(clean));
        free(clean);
        free(ascii);
        free(exact);
    }
}

static void width_counts_columns_and_cutting_keeps_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {{"", 0},
                 {"abc", 3},
                 {"b\xc3\xbcro", 4},
                 {"\xe4\xb8\xad\xe6\x96\x87", 4},
                 {"e\xcc\x81", 1},
                 {"\xf0\x9f\x9a\x80!", 3},
                 {"\xff", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(utf8_width(cases[i].text), cases[i].width);
        for (size_t most = 0; most <= cases[i].width + 1; most++) {
            char *cut = utf8_cut(cases[i].text, most, false);
            assert_true(utf8_width(cut) <= most);
            assert_int_equal(strcmp(cut, cases[i].text) == 0, most >= cases[i].width);
            free(cut);
        }
    }
    char *cut = utf8_cut("abcdef", 4, false);
    assert_string_equal(cut, "abc\xe2\x80\xa6");
    free(cut);
    cut = utf8_cut("abcdef", 4, true);
    assert_string_equal(cut, "abc~");
    free(cut);
}

static void exit_codes_and_their_names_lead_to_each_other(void **state)
{
    (void)state;
    static const enum exit_code codes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(exit_code_of(exit_code_name(codes[i])), codes[i]);
    assert_int_equal(exit_code_of("key_changed"), EXIT_CODE_DENIED);
    assert_int_equal(exit_code_of("ok"), EXIT_CODE_OTHER); /* an error never ends with 0 */
    assert_int_equal(exit_code_of("never heard of"), EXIT_CODE_OTHER);
    assert_int_equal(exit_code_of(NULL), EXIT_CODE_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_short_and_carry_their_unit),
        cmocka_unit_test(dates_say_how_far_away_they_are),
        cmocka_unit_test(cleaning_leaves_text_and_takes_what_acts_on_a_terminal),
        cmocka_unit_test(width_counts_columns_and_cutting_keeps_them),
        cmocka_unit_test(exit_codes_and_their_names_lead_to_each_other),
    };
    return cmocka_run_group_tests_name("ui", tests, NULL, NULL);
}
