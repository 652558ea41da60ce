#include "fixture.h"

static void an_agent_is_found_by_id_label_and_key(void **state)
{
    struct fixture *f = *state;
    struct store_agent made, found;

    assert_int_equal(store_agent_create(f->s, f->acme.id, "prod \"db\" \xc3\xa9", bytes_of(3),
                                        "key_1", NOW, &made),
                     RC_OK);
    assert_memory_equal(made.id, "ag_", 3);
    assert_int_equal(store_agent_find(f->s, f->acme.id, made.id, &found), RC_OK);
    assert_string_equal(found.id, made.id);
    assert_string_equal(found.workspace, f->acme.id);
    assert_string_equal(found.label, "prod \"db\" \xc3\xa9");
    assert_string_equal(found.enrolled_by, "key_1");
    assert_memory_equal(found.public_key, bytes_of(3), STORE_PUBLIC_KEY_LEN);
    assert_int_equal(found.created, NOW);
    assert_int_equal(found.last_seen, 0);
    assert_int_equal(found.revoked, 0);

    memset(&found, 0, sizeof found);
    assert_int_equal(store_agent_find_label(f->s, f->acme.id, made.label, &found), RC_OK);
    assert_string_equal(found.id, made.id);
    memset(&found, 0, sizeof found);
    assert_int_equal(store_agent_find_key(f->s, f->acme.id, bytes_of(3), &found), RC_OK);
    assert_string_equal(found.id, made.id);
}

static void what_cannot_be_an_agent_is_refused(void **state)
{
    struct fixture *f = *state;
    char *much = long_text(STORE_LABEL_SIZE), *most = long_text(STORE_LABEL_SIZE - 1);
    const struct {
        const char *workspace, *label, *enrolled_by;
        enum rc rc;
    } cases[] = {
        {f->acme.id, most, NULL, RC_OK},   {f->acme.id, "x", "", RC_OK},
        {f->acme.id, much, "", RC_INPUT},  {f->acme.id, "", "", RC_INPUT},
        {f->acme.id, NULL, "", RC_INPUT},  {f->acme.id, "x", much, RC_INPUT},
        {"ws_nobody", "x", "", RC_ABSENT}, {much, "x", "", RC_ABSENT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_agent made;

        assert_int_equal(store_agent_create(f->s, cases[i].workspace, cases[i].label, bytes_of(1),
                                            cases[i].enrolled_by, NOW, &made),
                         cases[i].rc);
    }
    free(much);
    free(most);
}

static void a_label_that_several_have_names_none(void **state)
{
    struct fixture *f = *state;
    struct store_agent one = make_agent(f, f->acme.id, "web"),
                       two = make_agent(f, f->acme.id, "web");
    struct store_agent found;

    assert_int_equal(store_agent_find_label(f->s, f->acme.id, "web", &found), RC_EXISTS);
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, one.id, NOW), RC_OK);
    assert_int_equal(store_agent_find_label(f->s, f->acme.id, "web", &found), RC_OK);
    assert_string_equal(found.id, two.id);
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, two.id, NOW), RC_OK);
    assert_int_equal(store_agent_find_label(f->s, f->acme.id, "web", &found), RC_ABSENT);
}

static void the_newest_agent_with_a_key_is_found(void **state)
{
    struct fixture *f = *state;
    struct store_agent older, newer, found;

    assert_int_equal(store_agent_create(f->s, f->acme.id, "a", bytes_of(9), "", NOW + 1, &newer),
                     RC_OK);
    assert_int_equal(store_agent_create(f->s, f->acme.id, "b", bytes_of(9), "", NOW, &older),
                     RC_OK);
    assert_int_equal(store_agent_find_key(f->s, f->acme.id, bytes_of(9), &found), RC_OK);
    assert_string_equal(found.id, newer.id);
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, newer.id, NOW), RC_OK);
    assert_int_equal(store_agent_find_key(f->s, f->acme.id, bytes_of(9), &found), RC_OK);
    assert_string_equal(found.id, older.id);
    assert_int_equal(store_agent_find_key(f->s, f->acme.id, bytes_of(10), &found), RC_ABSENT);
}

static void a_rename_and_a_sighting_are_remembered(void **state)
{
    struct fixture *f = *state;
    struct store_agent made = make_agent(f, f->acme.id, "old"), found;
    char *much = long_text(STORE_LABEL_SIZE);

    assert_int_equal(store_agent_rename(f->s, f->acme.id, made.id, "new"), RC_OK);
    assert_int_equal(store_agent_rename(f->s, f->acme.id, made.id, ""), RC_INPUT);
    assert_int_equal(store_agent_rename(f->s, f->acme.id, made.id, much), RC_INPUT);
    assert_int_equal(store_agent_rename(f->s, f->acme.id, "ag_nobody", "new"), RC_ABSENT);
    assert_int_equal(store_agent_seen(f->s, f->acme.id, made.id, NOW + 3), RC_OK);
    assert_int_equal(store_agent_seen(f->s, f->acme.id, "ag_nobody", NOW + 3), RC_ABSENT);
    reopen(f);
    assert_int_equal(store_agent_find(f->s, f->acme.id, made.id, &found), RC_OK);
    assert_string_equal(found.label, "new");
    assert_int_equal(found.last_seen, NOW + 3);
    free(much);
}

static void revoking_an_agent_frees_its_names_and_stays(void **state)
{
    struct fixture *f = *state;
    struct store_agent gone = make_agent(f, f->acme.id, "gone"),
                       stays = make_agent(f, f->acme.id, "stays");
    struct store_agent found;
    struct store_service service;

    assert_int_equal(store_service_put(f->s, f->acme.id, gone.id, "db", "tcp", "localhost:1", NULL,
                                       NOW, &service),
                     RC_OK);
    assert_int_equal(store_service_put(f->s, f->acme.id, stays.id, "web", "tcp", "localhost:2",
                                       NULL, NOW, &service),
                     RC_OK);
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, gone.id, NOW + 1), RC_OK);
    assert_int_equal(store_service_find(f->s, f->acme.id, "db", &service), RC_ABSENT);
    assert_int_equal(store_service_find(f->s, f->acme.id, "web", &service), RC_OK);
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, gone.id, NOW + 9), RC_OK);
    assert_int_equal(store_agent_find(f->s, f->acme.id, gone.id, &found), RC_OK);
    assert_int_equal(found.revoked, NOW + 1);
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, "ag_nobody", NOW), RC_ABSENT);
}

static void a_list_has_all_of_the_workspace_and_no_other(void **state)
{
    struct fixture *f = *state;
    struct store_agent_list list;
    struct store_agent first = make_agent(f, f->acme.id, "a");

    (void)make_agent(f, f->rival.id, "a");
    (void)make_agent(f, f->acme.id, "b");
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, first.id, NOW), RC_OK);
    assert_int_equal(store_agent_list(f->s, f->acme.id, (struct store_page){0}, &list), RC_OK);
    assert_int_equal(list.count, 2);
    struct store_page next = {.after = list.items[0].id, .limit = 5};
    struct store_agent_list rest;
    assert_int_equal(store_agent_list(f->s, f->acme.id, next, &rest), RC_OK);
    assert_int_equal(rest.count, 1);
    assert_string_equal(rest.items[0].id, list.items[1].id);
    store_agent_list_done(&rest);
    store_agent_list_done(&list);
    assert_null(list.items);
    assert_int_equal(store_agent_list(f->s, "ws_nobody", (struct store_page){0}, &list), RC_OK);
    assert_int_equal(list.count, 0);
}

static void workspaces_do_not_see_each_others_agents(void **state)
{
    struct fixture *f = *state;
    struct store_agent ours = make_agent(f, f->acme.id, "web"), found;

    assert_int_equal(store_agent_find(f->s, f->rival.id, ours.id, &found), RC_ABSENT);
    assert_int_equal(store_agent_find_label(f->s, f->rival.id, "web", &found), RC_ABSENT);
    assert_int_equal(store_agent_find_key(f->s, f->rival.id, bytes_of(1), &found), RC_ABSENT);
    assert_int_equal(store_agent_rename(f->s, f->rival.id, ours.id, "theirs"), RC_ABSENT);
    assert_int_equal(store_agent_revoke(f->s, f->rival.id, ours.id, NOW), RC_ABSENT);
    assert_int_equal(store_agent_seen(f->s, f->rival.id, ours.id, NOW), RC_ABSENT);
    assert_int_equal(store_agent_find(f->s, f->acme.id, ours.id, &found), RC_OK);
    assert_string_equal(found.label, "web");
    assert_int_equal(found.revoked, 0);
    assert_int_equal(found.last_seen, 0);
}

static void a_workspace_has_a_limit_of_agents_that_count(void **state)
{
    static const char fill[] =
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO agents (id, workspace, label, enrolled_by, public_key, created)"
        " SELECT 'ag_' || i, (SELECT id FROM workspaces WHERE name = 'acme'), 'x', '',"
        " (SELECT public_key FROM agents LIMIT 1), 1 FROM n";
    struct fixture *f = *state;
    struct store_agent made;

    _Static_assert(STORE_WORKSPACE_AGENTS_MAX == 20000, "the number in the statement above");
    (void)make_agent(f, f->rival.id, "x");
    assert_int_equal(db_script(f->s->db, fill), RC_OK);
    assert_int_equal(store_agent_create(f->s, f->acme.id, "x", bytes_of(1), "", NOW, &made),
                     RC_LIMIT);
    (void)make_agent(f, f->rival.id, "x");
    assert_int_equal(store_agent_revoke(f->s, f->acme.id, "ag_77", NOW), RC_OK);
    (void)make_agent(f, f->acme.id, "x");

    struct store_agent_list list;
    assert_int_equal(store_agent_list(f->s, f->acme.id, (struct store_page){.limit = 5000}, &list),
                     RC_OK);
    assert_int_equal(list.count, STORE_PAGE_MAX);
    store_agent_list_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_agent_is_found_by_id_label_and_key),
        STORE_TEST(what_cannot_be_an_agent_is_refused),
        STORE_TEST(a_label_that_several_have_names_none),
        STORE_TEST(the_newest_agent_with_a_key_is_found),
        STORE_TEST(a_rename_and_a_sighting_are_remembered),
        STORE_TEST(revoking_an_agent_frees_its_names_and_stays),
        STORE_TEST(a_list_has_all_of_the_workspace_and_no_other),
        STORE_TEST(workspaces_do_not_see_each_others_agents),
        STORE_TEST(a_workspace_has_a_limit_of_agents_that_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
