#include "fixture.h"

static void a_name_is_made_once_and_found_afterwards(void **state)
{
    struct fixture *f = *state;
    struct store_workspace again, found;

    assert_int_equal(store_workspace_find_or_create(f->s, "acme", NOW + 5, &again), RC_OK);
    assert_string_equal(again.id, f->acme.id);
    assert_int_equal(again.created, NOW);
    assert_string_not_equal(f->acme.id, f->rival.id);

    assert_int_equal(store_workspace_find(f->s, f->acme.id, &found), RC_OK);
    assert_string_equal(found.name, "acme");
    assert_int_equal(store_workspace_find_name(f->s, "rival", &found), RC_OK);
    assert_string_equal(found.id, f->rival.id);
}

static void what_is_not_there_is_absent(void **state)
{
    struct fixture *f = *state;
    struct store_workspace found = {.name = "untouched"};

    assert_int_equal(store_workspace_find(f->s, "ws_00000000000000000000000000", &found),
                     RC_ABSENT);
    assert_int_equal(store_workspace_find(f->s, "", &found), RC_ABSENT);
    assert_int_equal(store_workspace_find_name(f->s, "nobody", &found), RC_ABSENT);
    assert_int_equal(store_workspace_find_name(f->s, "' OR 1=1 --", &found), RC_ABSENT);
    assert_string_equal(found.name, "untouched");
}

#define NAME63 "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz"

static void names_follow_the_rule_of_service_names(void **state)
{
    static const struct {
        const char *name;
        enum rc rc;
    } cases[] = {
        {"a", RC_OK},      {"0-9", RC_OK},     {NAME63, RC_OK},           {NAME63 "x", RC_INPUT},
        {"", RC_INPUT},    {"Acme", RC_INPUT}, {"a b", RC_INPUT},         {"a_b", RC_INPUT},
        {"a.b", RC_INPUT}, {"a\nb", RC_INPUT}, {"caf\xc3\xa9", RC_INPUT}, {"a'b", RC_INPUT},
    };
    struct fixture *f = *state;
    struct store_workspace made;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(store_workspace_find_or_create(f->s, cases[i].name, NOW, &made),
                         cases[i].rc);
}

static void an_id_is_its_prefix_and_26_characters_that_can_be_read_out(void **state)
{
    enum { MANY = 400 };
    static char ids[MANY][STORE_ID_SIZE];
    unsigned seen[256] = {0}, different = 0;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        id_make("key_", ids[i]);
        assert_int_equal(strlen(ids[i]), 30);
        assert_memory_equal(ids[i], "key_", 4);
        assert_int_equal(strspn(ids[i] + 4, "0123456789abcdefghjkmnpqrstvwxyz"), 26);
        assert_true(ids[i][4] >= '0' && ids[i][4] <= '7'); /* 128 bits in 130 */
        for (const char *c = ids[i] + 5; *c; c++)
            seen[(unsigned char)*c]++;
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
    for (int c = 0; c < 256; c++)
        different += seen[c] > 0;
    assert_int_equal(different, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_name_is_made_once_and_found_afterwards),
        STORE_TEST(what_is_not_there_is_absent),
        STORE_TEST(names_follow_the_rule_of_service_names),
        cmocka_unit_test(an_id_is_its_prefix_and_26_characters_that_can_be_read_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
