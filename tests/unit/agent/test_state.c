#include "agent/state.h"

#include <string.h>

#include "folder.h"

static struct state *load(const char *folder)
{
    char path[PATH_MAX];
    struct failure why;
    struct state *st = NULL;

    assert_int_equal(state_load(folder_file(folder, "services.json", path), &st, &why), RC_OK);
    return st;
}

static void services_come_back_in_their_order(void **state)
{
    struct state *st = load(*state);
    struct failure why;
    struct state_exposed db = {"prod-db", "localhost:5432", "tcp"},
                         web = {"web", "unix:/run/w.sock", "http"};
    struct state_reached r = {"other", 15432, 5432, PIPE_BASE64};

    assert_int_equal(state_put_exposed(st, &db, &why), RC_OK);
    assert_int_equal(state_put_exposed(st, &web, &why), RC_OK);
    assert_int_equal(state_put_reached(st, &r, &why), RC_OK);
    state_free(st);

    struct state_exposed e;
    struct state_reached found;
    st = load(*state);
    assert_int_equal(state_exposed_at(st, 0, &e), RC_OK);
    assert_string_equal(e.name, "prod-db");
    assert_string_equal(e.target, "localhost:5432");
    assert_int_equal(state_exposed_at(st, 1, &e), RC_OK);
    assert_string_equal(e.protocol, "http");
    assert_int_equal(state_exposed_at(st, 2, &e), RC_ABSENT);
    assert_int_equal(state_reached_at(st, 0, &found), RC_OK);
    assert_int_equal(found.port, 15432);
    assert_int_equal(found.asked, 5432);
    assert_int_equal(found.mode, PIPE_BASE64);
    assert_int_equal(state_reached_at(st, 1, &found), RC_ABSENT);
    state_free(st);
}

static void a_name_has_one_entry_and_can_go(void **state)
{
    struct state *st = load(*state);
    struct failure why;
    struct state_exposed first = {"db", "localhost:1", "tcp"},
                         second = {"db", "localhost:2", "https"}, e;

    assert_int_equal(state_put_exposed(st, &first, &why), RC_OK);
    assert_int_equal(state_put_exposed(st, &second, &why), RC_OK);
    assert_int_equal(state_exposed_at(st, 0, &e), RC_OK);
    assert_string_equal(e.target, "localhost:2");
    assert_int_equal(state_exposed_at(st, 1, &e), RC_ABSENT);
    assert_int_equal(state_drop_exposed(st, "db", &why), RC_OK);
    assert_int_equal(state_drop_exposed(st, "db", &why), RC_OK);
    assert_int_equal(state_drop_reached(st, "db", &why), RC_OK);
    state_free(st);
    st = load(*state);
    assert_int_equal(state_exposed_at(st, 0, &e), RC_ABSENT);
    state_free(st);
}

static void what_cannot_be_written_is_not_there(void **state)
{
    struct state *st = load(*state);
    struct failure why = {0};
    struct state_exposed before = {"db", "localhost:1", "tcp"},
                         after = {"db", "localhost:2", "tcp"}, e;
    struct state_exposed other = {"web", "localhost:3", "tcp"};
    char path[PATH_MAX];

    assert_int_equal(state_put_exposed(st, &before, &why), RC_OK);
    /* A folder in the place of the file: rename fails, also for root. */
    assert_int_equal(unlink(folder_file(*state, "services.json", path)), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(state_put_exposed(st, &after, &why), RC_SYSTEM);
    assert_non_null(strstr(why.message, "services.json"));
    assert_int_equal(state_put_exposed(st, &other, &why), RC_SYSTEM);
    assert_int_equal(state_drop_exposed(st, "db", &why), RC_SYSTEM);
    assert_int_equal(state_exposed_at(st, 0, &e), RC_OK);
    assert_string_equal(e.target, "localhost:1");
    assert_int_equal(state_exposed_at(st, 1, &e), RC_ABSENT);
    assert_int_equal(rmdir(path), 0);
    state_free(st);
}

static void there_is_room_for_so_many(void **state)
{
    char *content = malloc(1024 * 1024), *at = content, path[PATH_MAX];
    struct failure why;
    struct state_reached one_more = {"one-more", 1, 1, PIPE_AUTO}, same = {"s0", 2, 2, PIPE_AUTO};

    assert_non_null(content);
    at += sprintf(at, "{\"reached\":{");
    for (int i = 0; i < STATE_SERVICES_MAX; i++)
        at += sprintf(at, "%s\"s%d\":{\"port\":%d}", i ? "," : "", i, i + 1);
    (void)sprintf(at, "}}");
    folder_write(*state, "services.json", content);
    struct state *st = load(*state);
    assert_int_equal(state_put_reached(st, &one_more, &why), RC_LIMIT);
    assert_int_equal(state_put_reached(st, &same, &why), RC_OK);
    state_free(st);

    (void)sprintf(at, ",\"too\":{\"port\":1}}}");
    folder_write(*state, "services.json", content);
    assert_int_equal(state_load(folder_file(*state, "services.json", path), &st, &why), RC_INPUT);
    free(content);
}

static void a_broken_file_is_refused_and_left_alone(void **state)
{
    static const char *const cases[] = {
        "nonsense",
        "{\"exposed\":[]}",
        "{\"exposed\":{\"UPPER\":{\"target\":\"localhost:1\",\"protocol\":\"tcp\"}}}",
        "{\"exposed\":{\"db\":{\"target\":\"nonsense\",\"protocol\":\"tcp\"}}}",
        "{\"exposed\":{\"db\":{\"target\":\"localhost:1\",\"protocol\":\"udp\"}}}",
        "{\"exposed\":{\"db\":{\"target\":\"localhost:1\"}}}",
        "{\"reached\":{\"db\":{\"port\":0}}}",
        "{\"reached\":{\"db\":{\"port\":65536}}}",
        "{\"reached\":{\"db\":{\"port\":1.5}}}",
        "{\"reached\":{\"db\":{\"port\":1,\"pipe\":\"rubber\"}}}",
        "{\"reached\":{\"db\":null}}",
    };
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct failure why = {0};
        struct state *st = NULL;
        folder_write(*state, "services.json", cases[i]);
        assert_int_equal(state_load(folder_file(*state, "services.json", path), &st, &why),
                         RC_INPUT);
        assert_non_null(strstr(why.message, "services.json"));
        folder_expect(*state, "services.json", cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(services_come_back_in_their_order, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_name_has_one_entry_and_can_go, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_not_there, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(there_is_room_for_so_many, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_broken_file_is_refused_and_left_alone, folder_make,
                                        folder_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
