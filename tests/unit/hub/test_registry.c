#include "hub/registry.h"

#include <stdio.h>

#include "hub/rate.h"
#include "test.h"

enum { AGENTS_MOST = 3 };

static struct registry *registry;
static struct identity who[8];
static struct member *members[8];
/* The registry only passes links through: any address will do. */
static char links[8];

static struct link *link_of(size_t i)
{
    return (struct link *)(void *)&links[i];
}

static void join(size_t i, const char *workspace)
{
    struct link *replaced;

    (void)snprintf(who[i].agent, sizeof who[i].agent, "ag_%zu", i);
    (void)snprintf(who[i].workspace, sizeof who[i].workspace, "%s", workspace);
    assert_int_equal(
        registry_join(registry, &who[i], link_of(i), AGENTS_MOST, &members[i], &replaced), RC_OK);
}

static enum rc expose(size_t i, const char *name, const char *target, bool *had)
{
    struct control_service service = {.protocol = "tcp"}, before;
    const struct identity *holder;

    (void)snprintf(service.name, sizeof service.name, "%s", name);
    (void)snprintf(service.target, sizeof service.target, "%s", target);
    return registry_expose(members[i], &service, had, &before, &holder);
}

static int begin(void **state)
{
    (void)state;
    memset(members, 0, sizeof members);
    registry = registry_new();
    return 0;
}

static int finish(void **state)
{
    (void)state;
    for (size_t i = 0; i < 8; i++)
        if (members[i])
            registry_leave(members[i]);
    assert_int_equal(registry_count(registry), 0);
    registry_free(registry);
    return 0;
}

static void names_are_found_in_their_workspace_only(void **state)
{
    (void)state;
    struct link *link;
    bool had;

    join(0, "ws_a");
    join(1, "ws_a");
    join(2, "ws_b");
    assert_int_equal(expose(0, "db", "one", &had), RC_OK);
    const struct control_service *found = registry_find(members[1], "db", &link);
    assert_string_equal(found->target, "one");
    assert_ptr_equal(link, link_of(0));
    assert_null(registry_find(members[2], "db", &link));
    assert_int_equal(expose(2, "db", "two", &had), RC_OK);
    assert_string_equal(registry_find(members[2], "db", &link)->target, "two");
    assert_true(registry_is_online(members[1], "ag_0"));
    assert_false(registry_is_online(members[2], "ag_0"));
}

static void a_name_has_one_holder(void **state)
{
    (void)state;
    struct control_service service = {.name = "db", .target = "mine"}, before;
    const struct identity *holder;
    struct link *link;
    bool had;

    join(0, "ws_a");
    join(1, "ws_a");
    assert_int_equal(expose(0, "db", "one", &had), RC_OK);
    assert_false(had);
    assert_int_equal(registry_expose(members[1], &service, &had, &before, &holder), RC_EXISTS);
    assert_string_equal(holder->agent, "ag_0");
    assert_int_equal(registry_expose(members[0], &service, &had, &before, &holder), RC_OK);
    assert_true(had);
    assert_string_equal(before.target, "one");
    registry_unexpose(members[1], "db"); /* not its own */
    assert_non_null(registry_find(members[1], "db", &link));
    registry_unexpose(members[0], "db");
    assert_null(registry_find(members[1], "db", &link));
    assert_int_equal(expose(1, "db", "two", &had), RC_OK);
}

static void names_go_with_their_agent(void **state)
{
    (void)state;
    struct link *link;
    bool had;

    join(0, "ws_a");
    join(1, "ws_a");
    assert_int_equal(expose(0, "a", "", &had), RC_OK);
    assert_int_equal(expose(0, "b", "", &had), RC_OK);
    registry_leave(members[0]);
    members[0] = NULL;
    assert_null(registry_find(members[1], "a", &link));
    assert_null(registry_find(members[1], "b", &link));
    assert_int_equal(registry_count(registry), 1);
}

static void an_agent_is_there_once(void **state)
{
    (void)state;
    struct member *again;
    struct link *replaced = NULL;

    join(0, "ws_a");
    assert_int_equal(registry_join(registry, &who[0], link_of(5), AGENTS_MOST, &again, &replaced),
                     RC_EXISTS);
    assert_ptr_equal(replaced, link_of(0));
    registry_leave(members[0]);
    assert_int_equal(
        registry_join(registry, &who[0], link_of(5), AGENTS_MOST, &members[0], &replaced), RC_OK);
}

static void a_workspace_has_room_for_so_many(void **state)
{
    (void)state;
    struct identity one_more = {.agent = "ag_x", .workspace = "ws_a"};
    struct link *replaced;

    for (size_t i = 0; i < AGENTS_MOST; i++)
        join(i, "ws_a");
    join(7, "ws_b");
    assert_int_equal(
        registry_join(registry, &one_more, link_of(6), AGENTS_MOST, &members[6], &replaced),
        RC_LIMIT);
    /* Who is there already is replaced, not refused. */
    assert_int_equal(
        registry_join(registry, &who[1], link_of(6), AGENTS_MOST, &members[6], &replaced),
        RC_EXISTS);
}

static void an_agent_has_so_many_names(void **state)
{
    (void)state;
    char name[16];
    bool had;

    join(0, "ws_a");
    for (int i = 0; i < CONTROL_SERVICES_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        assert_int_equal(expose(0, name, "", &had), RC_OK);
    }
    assert_int_equal(expose(0, "one-more", "", &had), RC_LIMIT);
    assert_int_equal(expose(0, "s7", "another target", &had), RC_OK);
}

static void a_bucket_gives_its_rate_and_no_more(void **state)
{
    (void)state;
    struct rate rate = rate_full(10, 1000);
    int taken = 0;

    while (rate_take(&rate, 10, 1000))
        taken++;
    assert_int_equal(taken, 10 * RATE_BURST);
    assert_false(rate_take(&rate, 10, 1099));
    assert_true(rate_take(&rate, 10, 1100));
    assert_false(rate_take(&rate, 10, 1100));
    for (taken = 0; rate_take(&rate, 10, UINT64_MAX - 1);)
        taken++;
    assert_int_equal(taken, 10 * RATE_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_found_in_their_workspace_only, begin, finish),
        cmocka_unit_test_setup_teardown(a_name_has_one_holder, begin, finish),
        cmocka_unit_test_setup_teardown(names_go_with_their_agent, begin, finish),
        cmocka_unit_test_setup_teardown(an_agent_is_there_once, begin, finish),
        cmocka_unit_test_setup_teardown(a_workspace_has_room_for_so_many, begin, finish),
        cmocka_unit_test_setup_teardown(an_agent_has_so_many_names, begin, finish),
        cmocka_unit_test(a_bucket_gives_its_rate_and_no_more),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
