#include "agent/options.h"

#include "test.h"

static const struct option common[] = {
    {.name = "config", .value = "FOLDER", .help = ""},
    {.name = "json", .help = ""},
    {.name = "help", .help = "", .letter = 'h'},
    {0},
};
static const struct option up_options[] = {
    {.name = "hub", .value = "URL", .help = ""},
    {.name = "api-key", .value = "KEY", .help = "", .secret = true},
    {.name = "foreground", .help = ""},
    {0},
};
static const struct command up = {.name = "up", .operands = "", .options = up_options};
static const struct command reach = {
    .name = "reach", .operands = "NAME", .operands_least = 1, .operands_most = 1};
static const struct command status = {.name = "status", .operands = ""};
static const struct command *const commands[] = {&up, &reach, &status, NULL};
static const struct grammar grammar = {.common = common, .commands = commands};

enum { ARGS_MAX = 8, ARG_SIZE = 64 };

/* argv as the system gives it: writable. */
struct line {
    char text[ARGS_MAX][ARG_SIZE];
    char *argv[ARGS_MAX + 1];
    int argc;
};

static void make_line(struct line *l, const char *const *args)
{
    *l = (struct line){.argc = 1};
    memcpy(l->text[0], "connect", sizeof "connect");
    for (; *args; args++)
        memcpy(l->text[l->argc++], *args, strlen(*args) + 1);
    for (int i = 0; i < l->argc; i++)
        l->argv[i] = l->text[i];
}

static void options_stand_anywhere_with_equals_or_space(void **state)
{
    (void)state;
    static const char *const lines[][ARGS_MAX] = {
        {"up", "--hub", "u", "--json", "--config", "c"},
        {"--json", "--config=c", "up", "--hub=u"},
        {"--config", "c", "up", "--json", "--hub=first", "--hub", "u"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct line l;
        struct options o;

        make_line(&l, lines[i]);
        assert_int_equal(options_parse(&grammar, l.argc, l.argv, &o), RC_OK);
        assert_ptr_equal(o.command, &up);
        assert_string_equal(options_value(&o, "hub"), "u");
        assert_string_equal(options_value(&o, "config"), "c");
        assert_true(options_has(&o, "json"));
        assert_false(options_has(&o, "foreground"));
        options_done(&o);
    }
}

static void after_two_dashes_everything_is_an_operand(void **state)
{
    (void)state;
    static const char *const args[] = {"reach", "--", "--json", NULL};
    struct line l;
    struct options o;

    make_line(&l, args);
    assert_int_equal(options_parse(&grammar, l.argc, l.argv, &o), RC_OK);
    assert_int_equal(o.operand_count, 1);
    assert_string_equal(o.operands[0], "--json");
    assert_false(options_has(&o, "json"));
    options_done(&o);
}

static void mistakes_are_named_with_what_was_meant(void **state)
{
    (void)state;
    static const struct {
        const char *args[ARGS_MAX];
        const char *message, *hint;
    } cases[] = {
        {{"stauts"}, "there is no command stauts", "did you mean connect status?"},
        {{"rech", "x"}, "there is no command rech", "did you mean connect reach?"},
        {{"ok"}, "there is no command ok", "connect help"},
        {{"up", "--hbu", "x"}, "there is no option --hbu", "did you mean --hub?"},
        {{"up", "--jso"}, "there is no option --jso", "did you mean --json?"},
        {{"up", "--other=pc_secret"}, "there is no option --other", "connect up --help"},
        {{"up", "-j"}, "there is no option -j", "connect up --help"},
        {{"up", "--hub"}, "--hub needs a value: URL", "connect up --help"},
        {{"up", "--foreground=1"}, "--foreground takes no value", "connect up --help"},
        {{"up", "pc_secret"}, "connect up has an argument too many", "connect up --help"},
        {{"reach"}, "connect reach needs NAME", "connect reach --help"},
        {{"reach", "\xc3"}, "argument 2 is not UTF-8 text", "connect --help"},
        {{"--hub", "x", "up"}, "there is no option --hub", "connect --help"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line l;
        struct options o;

        make_line(&l, cases[i].args);
        assert_int_equal(options_parse(&grammar, l.argc, l.argv, &o), RC_INPUT);
        assert_string_equal(o.message, cases[i].message);
        assert_string_equal(o.hint, cases[i].hint);
        options_done(&o);
    }
}

/* So that the mistake itself can be told as JSON. */
static void flags_behind_a_mistake_count(void **state)
{
    (void)state;
    static const char *const args[] = {"up", "--nonsense", "x", "--json", NULL};
    struct line l;
    struct options o;

    make_line(&l, args);
    assert_int_equal(options_parse(&grammar, l.argc, l.argv, &o), RC_INPUT);
    assert_true(options_has(&o, "json"));
    assert_false(options_has(&o, "help"));
    options_done(&o);
}

static void secrets_are_copied_and_wiped_from_the_line(void **state)
{
    (void)state;
    static const char *const lines[][ARGS_MAX] = {
        {"up", "--api-key", "pc_secret"},
        {"up", "--api-key=pc_secret"},
        {"up", "--api-key", "pc_other", "--api-key=pc_secret"},
        {"up", "--api-key", "pc_secret", "--nonsense"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct line l;
        struct options o;

        make_line(&l, lines[i]);
        (void)!options_parse(&grammar, l.argc, l.argv, &o);
        for (size_t at = 0; at + 3 <= sizeof l.text; at++)
            assert_memory_not_equal((const char *)l.text + at, "pc_", 3);
        char *secret = options_take_secret(&o);
        assert_string_equal(secret, "pc_secret");
        assert_null(options_take_secret(&o));
        free(secret);
        options_done(&o);
    }
}

static void help_asks_for_no_operands(void **state)
{
    (void)state;
    static const char *const args[] = {"reach", "-h", NULL};
    struct line l;
    struct options o;

    make_line(&l, args);
    assert_int_equal(options_parse(&grammar, l.argc, l.argv, &o), RC_OK);
    assert_true(options_has(&o, "help"));
    options_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere_with_equals_or_space),
        cmocka_unit_test(after_two_dashes_everything_is_an_operand),
        cmocka_unit_test(mistakes_are_named_with_what_was_meant),
        cmocka_unit_test(flags_behind_a_mistake_count),
        cmocka_unit_test(secrets_are_copied_and_wiped_from_the_line),
        cmocka_unit_test(help_asks_for_no_operands),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
