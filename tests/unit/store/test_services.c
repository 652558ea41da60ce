#include "fixture.h"

static enum rc put(struct fixture *f, const char *agent, const char *name, const char *target,
                   const char *instead_of, int64_t now, struct store_service *out)
{
    return store_service_put(f->s, f->acme.id, agent, name, "tcp", target, instead_of, now, out);
}

static void a_service_is_found_with_who_has_it(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = make_agent(f, f->acme.id, "prod");
    struct store_service service, found;

    assert_int_equal(put(f, agent.id, "db", "localhost:5432", NULL, NOW, &service), RC_OK);
    assert_string_equal(service.label, "prod");
    assert_int_equal(store_service_find(f->s, f->acme.id, "db", &found), RC_OK);
    assert_string_equal(found.workspace, f->acme.id);
    assert_string_equal(found.name, "db");
    assert_string_equal(found.agent, agent.id);
    assert_string_equal(found.label, "prod");
    assert_string_equal(found.protocol, "tcp");
    assert_string_equal(found.target, "localhost:5432");
    assert_int_equal(found.created, NOW);
    assert_int_equal(store_service_find(f->s, f->acme.id, "d", &found), RC_ABSENT);
    assert_int_equal(store_service_find(f->s, f->acme.id, "%", &found), RC_ABSENT);
}

static void what_cannot_be_a_service_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = make_agent(f, f->acme.id, "prod"),
                       gone = make_agent(f, f->acme.id, "gone");
    char *much = long_text(STORE_TARGET_SIZE), *most = long_text(STORE_TARGET_SIZE - 1);
    const struct {
        const char *workspace, *agent, *name, *protocol, *target;
        enum rc rc;
    } cases[] = {
        {f->acme.id, agent.id, "ok", "tcp", most, RC_OK},
        {f->acme.id, agent.id, "", "tcp", "t", RC_INPUT},
        {f->acme.id, agent.id, "A", "tcp", "t", RC_INPUT},
        {f->acme.id, agent.id, much, "tcp", "t", RC_INPUT},
        {f->acme.id, agent.id, "x", "", "t", RC_INPUT},
        {f->acme.id, agent.id, "x", much, "t", RC_INPUT},
        {f->acme.id, agent.id, "x", "tcp", "", RC_INPUT},
        {f->acme.id, agent.id, "x", "tcp", much, RC_INPUT},
        {f->acme.id, agent.id, "x", "tcp", NULL, RC_INPUT},
        {f->acme.id, "ag_nobody", "x", "tcp", "t", RC_ABSENT},
        {f->acme.id, gone.id, "x", "tcp", "t", RC_ABSENT},
        {f->acme.id, gone.id, "ok", "tcp", "t", RC_ABSENT},
        {f->rival.id, agent.id, "x", "tcp", "t", RC_ABSENT},
        {"ws_nobody", agent.id, "x", "tcp", "t", RC_ABSENT},
    };

    assert_int_equal(store_agent_revoke(f->s, f->acme.id, gone.id, NOW), RC_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_service service;

        assert_int_equal(store_service_put(f->s, cases[i].workspace, cases[i].agent, cases[i].name,
                                           cases[i].protocol, cases[i].target, NULL, NOW, &service),
                         cases[i].rc);
    }
    free(much);
    free(most);
}

static void a_name_that_another_agent_has_is_refused_with_who_has_it(void **state)
{
    struct fixture *f = *state;
    struct store_agent first = make_agent(f, f->acme.id, "first"),
                       second = make_agent(f, f->acme.id, "second");
    struct store_service service, holder, found;

    assert_int_equal(put(f, first.id, "db", "localhost:1", NULL, NOW, &service), RC_OK);
    assert_int_equal(put(f, second.id, "db", "localhost:2", NULL, NOW + 1, &holder), RC_EXISTS);
    assert_string_equal(holder.agent, first.id);
    assert_string_equal(holder.label, "first");
    assert_int_equal(put(f, second.id, "db", "localhost:2", "ag_third", NOW + 1, &holder),
                     RC_EXISTS);
    assert_int_equal(store_service_find(f->s, f->acme.id, "db", &found), RC_OK);
    assert_string_equal(found.target, "localhost:1");
}

static void its_own_name_an_agent_may_give_a_new_target(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = make_agent(f, f->acme.id, "prod");
    struct store_service service;

    assert_int_equal(put(f, agent.id, "db", "localhost:1", NULL, NOW, &service), RC_OK);
    assert_int_equal(put(f, agent.id, "db", "localhost:2", NULL, NOW + 9, &service), RC_OK);
    assert_string_equal(service.target, "localhost:2");
    assert_int_equal(service.created, NOW);
}

static void a_name_can_be_taken_over_from_the_one_that_was_named(void **state)
{
    struct fixture *f = *state;
    struct store_agent first = make_agent(f, f->acme.id, "first"),
                       second = make_agent(f, f->acme.id, "second");
    struct store_service service, found;

    assert_int_equal(put(f, first.id, "db", "localhost:1", NULL, NOW, &service), RC_OK);
    assert_int_equal(put(f, second.id, "db", "localhost:2", first.id, NOW + 9, &service), RC_OK);
    assert_string_equal(service.agent, second.id);
    assert_int_equal(service.created, NOW + 9);
    assert_int_equal(put(f, first.id, "db", "localhost:1", NULL, NOW, &found), RC_EXISTS);
    assert_string_equal(found.agent, second.id);
}

static void a_service_is_removed_by_the_agent_that_has_it_only(void **state)
{
    struct fixture *f = *state;
    struct store_agent first = make_agent(f, f->acme.id, "first"),
                       second = make_agent(f, f->acme.id, "second");
    struct store_service service;

    assert_int_equal(put(f, first.id, "db", "localhost:1", NULL, NOW, &service), RC_OK);
    assert_int_equal(store_service_remove(f->s, f->acme.id, second.id, "db"), RC_ABSENT);
    assert_int_equal(store_service_remove(f->s, f->rival.id, first.id, "db"), RC_ABSENT);
    assert_int_equal(store_service_remove(f->s, f->acme.id, first.id, "web"), RC_ABSENT);
    assert_int_equal(store_service_find(f->s, f->acme.id, "db", &service), RC_OK);
    assert_int_equal(store_service_remove(f->s, f->acme.id, first.id, "db"), RC_OK);
    assert_int_equal(store_service_remove(f->s, f->acme.id, first.id, "db"), RC_ABSENT);
    assert_int_equal(put(f, second.id, "db", "localhost:2", NULL, NOW, &service), RC_OK);
}

static void check_list(struct fixture *f, const char *agent, struct store_page page,
                       const char *expected)
{
    struct store_service_list list;
    char names[256] = "";

    assert_int_equal(store_service_list(f->s, f->acme.id, agent, page, &list), RC_OK);
    for (size_t i = 0; i < list.count; i++) {
        assert_string_equal(list.items[i].workspace, f->acme.id);
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s ",
                       list.items[i].name);
    }
    store_service_list_done(&list);
    assert_string_equal(names, expected);
}

static void a_list_is_by_name_of_all_or_of_one_agent(void **state)
{
    static const char *const names[] = {"web", "api", "db", "cache"};
    struct fixture *f = *state;
    struct store_agent one = make_agent(f, f->acme.id, "one"),
                       two = make_agent(f, f->acme.id, "two");
    struct store_agent foreign = make_agent(f, f->rival.id, "foreign");
    struct store_service service;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(put(f, i % 2 ? one.id : two.id, names[i], "t:1", NULL, NOW, &service),
                         RC_OK);
    assert_int_equal(store_service_put(f->s, f->rival.id, foreign.id, "secret", "tcp", "t:1", NULL,
                                       NOW, &service),
                     RC_OK);
    check_list(f, NULL, (struct store_page){0}, "api cache db web ");
    check_list(f, NULL, (struct store_page){.limit = 3}, "api cache db ");
    check_list(f, NULL, (struct store_page){.after = "db", .limit = 3}, "web ");
    check_list(f, NULL, (struct store_page){.after = "b"}, "cache db web ");
    check_list(f, NULL, (struct store_page){.after = "web"}, "");
    check_list(f, one.id, (struct store_page){0}, "api cache ");
    check_list(f, two.id, (struct store_page){.after = "db"}, "web ");
    check_list(f, foreign.id, (struct store_page){0}, "");
}

static void two_workspaces_may_use_the_same_name(void **state)
{
    struct fixture *f = *state;
    struct store_agent ours = make_agent(f, f->acme.id, "web"),
                       theirs = make_agent(f, f->rival.id, "web");
    struct store_service service, found;

    assert_int_equal(put(f, ours.id, "db", "ours:1", NULL, NOW, &service), RC_OK);
    assert_int_equal(store_service_find(f->s, f->rival.id, "db", &found), RC_ABSENT);
    assert_int_equal(store_service_put(f->s, f->rival.id, theirs.id, "db", "tcp", "theirs:1",
                                       ours.id, NOW, &service),
                     RC_OK);
    assert_int_equal(store_service_find(f->s, f->acme.id, "db", &found), RC_OK);
    assert_string_equal(found.target, "ours:1");
    assert_int_equal(store_service_find(f->s, f->rival.id, "db", &found), RC_OK);
    assert_string_equal(found.target, "theirs:1");
}

static void an_agent_has_a_limit_of_services(void **state)
{
    struct fixture *f = *state;
    struct store_agent agent = make_agent(f, f->acme.id, "prod"),
                       other = make_agent(f, f->acme.id, "other");
    struct store_service service;
    char name[32];

    assert_int_equal(store_begin(f->s), RC_OK);
    for (int i = 0; i < STORE_AGENT_SERVICES_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        assert_int_equal(put(f, agent.id, name, "t:1", NULL, NOW, &service), RC_OK);
    }
    assert_int_equal(store_end(f->s, RC_OK), RC_OK);
    assert_int_equal(put(f, agent.id, "more", "t:1", NULL, NOW, &service), RC_LIMIT);
    assert_int_equal(store_service_find(f->s, f->acme.id, "more", &service), RC_ABSENT);
    assert_int_equal(put(f, agent.id, "s7", "t:2", NULL, NOW, &service), RC_OK);
    assert_int_equal(put(f, other.id, "more", "t:1", NULL, NOW, &service), RC_OK);
    assert_int_equal(put(f, agent.id, "more", "t:1", other.id, NOW, &service), RC_LIMIT);
    assert_int_equal(store_service_find(f->s, f->acme.id, "more", &service), RC_OK);
    assert_string_equal(service.agent, other.id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_service_is_found_with_who_has_it),
        STORE_TEST(what_cannot_be_a_service_is_refused),
        STORE_TEST(a_name_that_another_agent_has_is_refused_with_who_has_it),
        STORE_TEST(its_own_name_an_agent_may_give_a_new_target),
        STORE_TEST(a_name_can_be_taken_over_from_the_one_that_was_named),
        STORE_TEST(a_service_is_removed_by_the_agent_that_has_it_only),
        STORE_TEST(a_list_is_by_name_of_all_or_of_one_agent),
        STORE_TEST(two_workspaces_may_use_the_same_name),
        STORE_TEST(an_agent_has_a_limit_of_services),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
