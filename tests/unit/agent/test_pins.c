#include "agent/pins.h"

#include <string.h>

#include "folder.h"

static const uint8_t own[IDENTITY_KEY_LEN] = {9};

static struct pins_peer peer(const char *id, uint8_t key)
{
    struct pins_peer p = {.key = {key}, .label = "prod"};

    (void)snprintf(p.agent_id, sizeof p.agent_id, "%s", id);
    return p;
}

static struct pins *load(const char *folder)
{
    char path[PATH_MAX];
    struct failure why;
    struct pins *p = NULL;

    assert_int_equal(pins_load(folder_file(folder, "known_agents.json", path), own, &p, &why),
                     RC_OK);
    return p;
}

/* With ag_1 (key 1, has "db") and ag_2 (key 2) known. */
static struct pins *load_known(const char *folder)
{
    struct pins *p = load(folder);
    struct pins_peer one = peer("ag_1", 1), two = peer("ag_2", 2);

    pins_remember(p, &one, "db");
    pins_remember(p, &two, NULL);
    return p;
}

/* The table of pins.h. */
static void every_case_is_judged(void **state)
{
    static const struct {
        const char *agent;
        uint8_t key;
        const char *service;
        enum pins_judgement expected;
    } cases[] = {
        {"ag_1", 1, "db", PINS_KNOWN},       {"ag_1", 1, "other", PINS_KNOWN},
        {"ag_1", 1, NULL, PINS_KNOWN},       {"ag_1", 3, "db", PINS_KEY_CHANGED},
        {"ag_1", 3, NULL, PINS_KEY_CHANGED}, {"ag_1", 2, "db", PINS_KEY_CHANGED},
        {"ag_2", 2, "other", PINS_KNOWN},    {"ag_2", 2, "db", PINS_SERVICE_MOVED},
        {"ag_2", 2, NULL, PINS_KNOWN},       {"ag_3", 3, "db", PINS_SERVICE_MOVED},
        {"ag_3", 3, "other", PINS_NEW},      {"ag_3", 3, NULL, PINS_NEW},
        {"ag_3", 1, "db", PINS_NEW}, /* the same machine, enrolled anew */
        {"ag_2", 1, "db", PINS_KEY_CHANGED}, {"ag_1", 9, "db", PINS_OWN_KEY},
        {"ag_3", 9, NULL, PINS_OWN_KEY},
    };
    struct pins *p = load_known(*state);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct failure why = {0};
        struct pins_peer from = peer(cases[i].agent, cases[i].key);
        assert_int_equal(pins_judge(p, &from, cases[i].service, &why), cases[i].expected);
        bool accepted = cases[i].expected == PINS_NEW || cases[i].expected == PINS_KNOWN;
        assert_int_equal(why.code == NULL, accepted);
    }
    pins_free(p);
}

static void a_refusal_names_both_fingerprints_and_the_command(void **state)
{
    struct pins *p = load_known(*state);
    struct failure why;
    char before[72], after[72];
    struct pins_peer changed = peer("ag_1", 3), moved = peer("ag_3", 3);
    struct pins_peer known = peer("ag_1", 1);

    identity_fingerprint(known.key, before);
    identity_fingerprint(changed.key, after);
    assert_int_equal(pins_judge(p, &changed, "db", &why), PINS_KEY_CHANGED);
    assert_string_equal(why.code, "key_changed");
    assert_non_null(strstr(why.message, before));
    assert_non_null(strstr(why.message, after));
    assert_non_null(strstr(why.hint, "connect trust ag_1"));
    assert_int_equal(pins_judge(p, &moved, "db", &why), PINS_SERVICE_MOVED);
    assert_string_equal(why.code, "service_moved");
    assert_non_null(strstr(why.message, before));
    assert_non_null(strstr(why.message, after));
    assert_non_null(strstr(why.hint, "connect trust ag_3"));
    pins_free(p);
}

static void what_is_remembered_survives(void **state)
{
    struct pins *p = load_known(*state);
    struct failure why;
    struct pins_peer from = peer("ag_1", 1), found;

    pins_free(p);
    p = load(*state);
    assert_int_equal(pins_judge(p, &from, "db", &why), PINS_KNOWN);
    assert_int_equal(pins_find(p, "ag_1", &found), RC_OK);
    assert_string_equal(found.label, "prod");
    assert_int_equal(pins_find(p, "ag_3", &found), RC_ABSENT);
    pins_free(p);
}

/* A handshake with another key is refused before this could be called; if it were, nothing may
 * change. */
static void remembering_never_replaces_a_key(void **state)
{
    struct pins *p = load_known(*state);
    struct pins_peer changed = peer("ag_1", 3), found;

    pins_remember(p, &changed, "db");
    assert_int_equal(pins_find(p, "ag_1", &found), RC_OK);
    assert_int_equal(found.key[0], 1);
    pins_free(p);
}

static void trust_accepts_a_key_and_the_services_that_moved_to_it(void **state)
{
    struct pins *p = load_known(*state);
    struct failure why;
    struct pins_peer changed = peer("ag_1", 3), moved = peer("ag_3", 4), stranger = peer("ag_4", 5);

    assert_int_equal(pins_trust(p, &changed, &why), RC_OK);
    assert_int_equal(pins_judge(p, &changed, "db", &why), PINS_KNOWN);
    /* Trust without a refusal before moves nothing. */
    assert_int_equal(pins_trust(p, &stranger, &why), RC_OK);
    assert_int_equal(pins_judge(p, &stranger, "db", &why), PINS_SERVICE_MOVED);
    assert_int_equal(pins_judge(p, &moved, "db", &why), PINS_SERVICE_MOVED);
    pins_note_move(p, "db", "ag_3");
    pins_free(p);
    p = load(*state);
    assert_int_equal(pins_trust(p, &stranger, &why), RC_OK);
    assert_int_equal(pins_judge(p, &stranger, "db", &why), PINS_SERVICE_MOVED);
    assert_int_equal(pins_trust(p, &moved, &why), RC_OK);
    assert_int_equal(pins_judge(p, &moved, "db", &why), PINS_KNOWN);
    assert_int_equal(pins_judge(p, &changed, "db", &why), PINS_SERVICE_MOVED);
    pins_free(p);
}

static void another_workspace_has_other_services(void **state)
{
    struct pins *p = load_known(*state);
    struct failure why;
    struct pins_peer two = peer("ag_2", 2);

    pins_forget_services(p);
    assert_int_equal(pins_judge(p, &two, "db", &why), PINS_KNOWN);
    pins_free(p);
}

static void a_broken_file_is_refused_and_left_alone(void **state)
{
    static const char *const cases[] = {
        "{",
        "{\"agents\":[]}",
        "{\"agents\":{\"ag_1\":{}}}",
        "{\"agents\":{\"ag_1\":{\"key\":\"00\"}}}",
        "{\"agents\":{\"ag_1\":7}}",
        "{\"services\":{\"db\":{\"agent\":7}}}",
    };
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct failure why = {0};
        struct pins *p = NULL;
        folder_write(*state, "known_agents.json", cases[i]);
        assert_int_equal(pins_load(folder_file(*state, "known_agents.json", path), own, &p, &why),
                         RC_INPUT);
        assert_non_null(strstr(why.message, "known_agents.json"));
        folder_expect(*state, "known_agents.json", cases[i]);
    }
}

/* A hub that lies may have named both before either was pinned. */
static void of_two_keys_for_one_agent_the_first_proved_counts(void **state)
{
    struct pins *p = load(*state);
    struct pins_peer real = peer("ag_1", 1), lie = peer("ag_1", 3), moved = peer("ag_2", 2);
    struct failure why = {0};

    assert_int_equal(pins_judge(p, &real, "db", &why), PINS_NEW);
    assert_int_equal(pins_judge(p, &lie, "db", &why), PINS_NEW);
    assert_int_equal(pins_prove(p, &real, "db", &why), RC_OK);
    assert_int_equal(pins_prove(p, &lie, "db", &why), RC_AUTH);
    assert_true(failure_is(&why, "key_changed"));
    assert_int_equal(pins_prove(p, &lie, NULL, &why), RC_AUTH);
    assert_int_equal(pins_prove(p, &moved, "db", &why), RC_AUTH);
    assert_true(failure_is(&why, "service_moved"));
    assert_int_equal(pins_prove(p, &real, "db", &why), RC_OK);
    pins_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_case_is_judged, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(of_two_keys_for_one_agent_the_first_proved_counts,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_refusal_names_both_fingerprints_and_the_command,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(what_is_remembered_survives, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(remembering_never_replaces_a_key, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(trust_accepts_a_key_and_the_services_that_moved_to_it,
                                        folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(another_workspace_has_other_services, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_broken_file_is_refused_and_left_alone, folder_make,
                                        folder_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
