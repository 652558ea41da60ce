#include "base/log.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "test.h"

enum { CAPTURE_MAX = 16 * 1024 };

static int saved_stderr = -1;
static FILE *captured;

static void begin_capture(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

/* What was logged since, as a C string in a static place. */
static const char *end_capture(void)
{
    static char text[CAPTURE_MAX];

    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    (void)close(saved_stderr);
    rewind(captured);
    size_t len = fread(text, 1, sizeof text - 1, captured);
    text[len] = '\0';
    (void)fclose(captured);
    return text;
}

/* The one line that was logged, as JSON; the caller drops it. */
static json_t *end_capture_json(void)
{
    const char *text = end_capture();
    json_error_t error;

    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *line = json_loads(text, 0, &error);
    if (line == NULL)
        fail_msg("not JSON: %s", text);
    return line;
}

static void assert_member(const json_t *line, const char *key, const char *want)
{
    assert_string_equal(json_string_value(json_object_get(line, key)), want);
}

static void a_line_is_json_with_the_fields_as_they_were(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    begin_capture();
    log_warn("test.event", log_u64("count", INT64_MAX), log_str("name", "prod-db"),
             log_str("none", NULL), log_rc("why", RC_LIMIT));
    json_t *line = end_capture_json();
    assert_member(line, "level", "warn");
    assert_member(line, "event", "test.event");
    assert_member(line, "name", "prod-db");
    assert_member(line, "why", "limit reached");
    assert_true(json_integer_value(json_object_get(line, "count")) == INT64_MAX);
    assert_true(json_is_null(json_object_get(line, "none")));
    assert_int_equal(strlen(json_string_value(json_object_get(line, "time"))), 20);
    json_decref(line);
}

static void no_string_can_break_the_line_or_the_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *given, *want;
    } cases[] = {
        {"a\nb\r\t\x1b[2J\x7f", "a\nb\r\t\x1b[2J\x7f"},
        {"\"quoted\" \\ ", "\"quoted\" \\ "},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "2J",
         "\xc2\x9b"
         "2J"}, /* the one-character escape of some terminals */
        {"\xff", "\xef\xbf\xbd"},
        {"a\xc3", "a\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_capture();
        log_error("test.hostile", log_str("text", cases[i].given));
        const char *text = end_capture();
        for (const char *c = text; c[1]; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f ||
                ((unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0))
                fail_msg("case %zu: %s", i, text);
        json_t *line = json_loads(text, 0, NULL);
        assert_non_null(line);
        assert_member(line, "text", cases[i].want);
        json_decref(line);
    }
}

static void what_is_below_the_level_is_not_written(void **state)
{
    (void)state;
    begin_capture();
    log_setup(LOG_LEVEL_WARN, LOG_FORMAT_JSON);
    log_debug("test.debug");
    log_info("test.info");
    assert_string_equal(end_capture(), "");
    begin_capture();
    log_warn("test.warn");
    json_t *line = end_capture_json();
    assert_member(line, "event", "test.warn");
    json_decref(line);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
}

static void people_get_the_same_without_braces(void **state)
{
    (void)state;
    begin_capture();
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("test.text", log_u64("n", 7), log_str("s", "a b"));
    const char *text = end_capture();
    assert_string_equal(text + 20, " debug test.text n=7 s=\"a b\"\n");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
}

/* Around the longest line, every length gives a whole line of JSON that names the event. */
static void a_line_that_is_too_long_still_tells_the_event(void **state)
{
    (void)state;
    enum { LONGEST = 4096 };
    static char text[LONGEST + 1];
    bool whole = false, cut = false;

    for (size_t len = LONGEST - 120; len <= LONGEST; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        begin_capture();
        log_info("test.long", log_str("text", text));
        json_t *line = end_capture_json();
        assert_member(line, "event", "test.long");
        if (json_object_get(line, "text"))
            whole = true;
        else
            cut = json_integer_value(json_object_get(line, "cut")) == 1;
        json_decref(line);
    }
    assert_true(whole && cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_json_with_the_fields_as_they_were),
        cmocka_unit_test(no_string_can_break_the_line_or_the_terminal),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
        cmocka_unit_test(people_get_the_same_without_braces),
        cmocka_unit_test(a_line_that_is_too_long_still_tells_the_event),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
