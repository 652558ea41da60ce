#include "fixture.h"

static struct store_key make_key(struct fixture *f, const char *workspace, unsigned number)
{
    struct store_key key;

    assert_int_equal(
        store_key_create(f->s, workspace, bytes_of(number), "pc_12345678", "full", NOW, 0, &key),
        RC_OK);
    return key;
}

static void a_key_is_found_by_its_hash_alone(void **state)
{
    struct fixture *f = *state;
    struct store_key key, found;

    assert_int_equal(store_key_create(f->s, f->acme.id, bytes_of(7), "pc_abcdefgh", "read", NOW,
                                      NOW + DAY, &key),
                     RC_OK);
    assert_memory_equal(key.id, "key_", 4);
    assert_int_equal(store_key_find(f->s, bytes_of(7), NOW + 1, &found), RC_OK);
    assert_string_equal(found.id, key.id);
    assert_string_equal(found.workspace, f->acme.id);
    assert_string_equal(found.prefix, "pc_abcdefgh");
    assert_string_equal(found.scope, "read");
    assert_int_equal(found.created, NOW);
    assert_int_equal(found.expires, NOW + DAY);
    assert_int_equal(found.revoked, 0);
    assert_int_equal(store_key_find(f->s, bytes_of(8), NOW, &found), RC_ABSENT);
}

static void what_cannot_be_a_key_is_refused(void **state)
{
    struct fixture *f = *state;
    char *much = long_text(STORE_SCOPE_SIZE);
    const struct {
        const char *workspace, *prefix, *scope;
        int64_t expires;
        unsigned hash;
        enum rc rc;
    } cases[] = {
        {f->acme.id, "pc_1", "full", 0, 100, RC_OK},
        {f->acme.id, "pc_1", "full", 0, 100, RC_EXISTS},
        {f->rival.id, "pc_1", "full", 0, 100, RC_EXISTS},
        {"ws_nobody", "pc_1", "full", 0, 101, RC_ABSENT},
        {much, "pc_1", "full", 0, 102, RC_ABSENT},
        {f->acme.id, "", "full", 0, 103, RC_INPUT},
        {f->acme.id, NULL, "full", 0, 103, RC_INPUT},
        {f->acme.id, much, "full", 0, 103, RC_INPUT},
        {f->acme.id, "pc_1", "", 0, 103, RC_INPUT},
        {f->acme.id, "pc_1", much, 0, 103, RC_INPUT},
        {f->acme.id, "pc_1", "full", NOW, 103, RC_INPUT},
        {f->acme.id, "pc_1", "full", NOW + 1, 103, RC_OK},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_key key = {.scope = "untouched"};

        assert_int_equal(store_key_create(f->s, cases[i].workspace, bytes_of(cases[i].hash),
                                          cases[i].prefix, cases[i].scope, NOW, cases[i].expires,
                                          &key),
                         cases[i].rc);
        assert_string_equal(key.scope, cases[i].rc == RC_OK ? "full" : "untouched");
    }
    free(much);
}

static void a_key_expires_to_the_second(void **state)
{
    struct fixture *f = *state;
    struct store_key key, found;

    assert_int_equal(
        store_key_create(f->s, f->acme.id, bytes_of(1), "pc_1", "full", NOW, NOW + 10, &key),
        RC_OK);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + 9, &found), RC_OK);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + 10, &found), RC_AUTH);
    assert_string_equal(found.id, key.id);
    assert_int_equal(found.revoked, 0);
    assert_int_equal(found.expires, NOW + 10);
}

static void a_revoked_key_is_refused_from_then_on(void **state)
{
    struct fixture *f = *state;
    struct store_key key = make_key(f, f->acme.id, 1), other = make_key(f, f->acme.id, 2), found;

    assert_int_equal(store_key_revoke(f->s, f->acme.id, key.id, NOW + 5), RC_OK);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + 5, &found), RC_AUTH);
    assert_string_equal(found.id, key.id);
    assert_int_equal(found.revoked, NOW + 5);
    assert_int_equal(store_key_find(f->s, bytes_of(2), NOW + 5, &found), RC_OK);
    assert_string_equal(found.id, other.id);

    assert_int_equal(store_key_revoke(f->s, f->acme.id, key.id, NOW + 50), RC_OK);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + 60, &found), RC_AUTH);
    assert_int_equal(found.revoked, NOW + 5);
    reopen(f);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + 60, &found), RC_AUTH);
    assert_int_equal(store_key_revoke(f->s, f->acme.id, "key_nobody", NOW), RC_ABSENT);
}

static int64_t last_used(struct fixture *f)
{
    struct store_key_list list;

    assert_int_equal(store_key_list(f->s, f->acme.id, (struct store_page){0}, &list), RC_OK);
    assert_int_equal(list.count, 1);
    int64_t time = list.items[0].last_used;
    store_key_list_done(&list);
    return time;
}

static void use_is_noted_once_a_minute_and_refusal_is_not_use(void **state)
{
    struct fixture *f = *state;
    struct store_key key = make_key(f, f->acme.id, 1), found;

    assert_int_equal(last_used(f), 0);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW, &found), RC_OK);
    assert_int_equal(found.last_used, NOW);
    assert_int_equal(last_used(f), NOW);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + STORE_SEEN_GRAIN_S - 1, &found),
                     RC_OK);
    assert_int_equal(last_used(f), NOW);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + STORE_SEEN_GRAIN_S, &found), RC_OK);
    assert_int_equal(last_used(f), NOW + STORE_SEEN_GRAIN_S);
    assert_int_equal(store_key_revoke(f->s, f->acme.id, key.id, NOW), RC_OK);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW + DAY, &found), RC_AUTH);
    assert_int_equal(last_used(f), NOW + STORE_SEEN_GRAIN_S);
}

static void a_full_disk_keeps_nobody_out(void **state)
{
    struct fixture *f = *state;
    struct store_key found;
    struct store_audit_entry entry = {.type = "test.row"};
    enum rc rc;

    (void)make_key(f, f->acme.id, 1);
    assert_int_equal(db_script(f->s->db, "PRAGMA query_only = ON"), RC_OK);
    rc = store_audit_append(f->s, f->acme.id, &entry, NOW, NULL);
    assert_int_equal(rc, RC_SYSTEM);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW, &found), RC_OK);
    assert_int_equal(found.last_used, 0);
}

static void a_list_goes_page_by_page_in_the_order_of_making(void **state)
{
    enum { MANY = 7 };
    struct fixture *f = *state;
    char ids[MANY][STORE_ID_SIZE];

    for (unsigned i = 0; i < MANY; i++) {
        struct store_key key;
        /* Two of each second: ties are passed over neither twice nor never. */
        assert_int_equal(
            store_key_create(f->s, f->acme.id, bytes_of(i), "pc_1", "full", NOW + i / 2, 0, &key),
            RC_OK);
        memcpy(ids[i], key.id, sizeof ids[i]);
        (void)make_key(f, f->rival.id, 100 + i);
    }
    for (size_t limit = 1; limit <= MANY + 1; limit++) {
        char after[STORE_ID_SIZE] = "";
        unsigned seen[MANY] = {0}, total = 0;
        int64_t before = 0;
        bool last = false;

        while (!last) {
            struct store_key_list list;
            struct store_page page = {.after = after[0] ? after : NULL, .limit = limit};
            assert_int_equal(store_key_list(f->s, f->acme.id, page, &list), RC_OK);
            assert_true(list.count <= limit);
            for (size_t i = 0; i < list.count; i++) {
                assert_true(list.items[i].created >= before);
                before = list.items[i].created;
                for (int k = 0; k < MANY; k++)
                    if (strcmp(ids[k], list.items[i].id) == 0)
                        seen[k]++;
                total++;
                memcpy(after, list.items[i].id, sizeof after);
            }
            last = list.count < limit;
            store_key_list_done(&list);
        }
        assert_int_equal(total, MANY);
        for (int k = 0; k < MANY; k++)
            assert_int_equal(seen[k], 1);
    }
}

static void workspaces_do_not_see_each_others_keys(void **state)
{
    struct fixture *f = *state;
    struct store_key ours = make_key(f, f->acme.id, 1), found;
    struct store_key_list list;
    struct store_page after = {.after = ours.id};

    assert_int_equal(store_key_revoke(f->s, f->rival.id, ours.id, NOW), RC_ABSENT);
    assert_int_equal(store_key_find(f->s, bytes_of(1), NOW, &found), RC_OK);
    assert_int_equal(store_key_list(f->s, f->rival.id, (struct store_page){0}, &list), RC_OK);
    assert_int_equal(list.count, 0);
    (void)make_key(f, f->rival.id, 2);
    assert_int_equal(store_key_list(f->s, f->rival.id, after, &list), RC_OK);
    assert_int_equal(list.count, 0); /* a foreign id is no place in the list */
}

static void a_workspace_has_a_limit_of_keys_that_count(void **state)
{
    struct fixture *f = *state;
    struct store_key key;

    assert_int_equal(store_begin(f->s), RC_OK);
    for (unsigned i = 0; i < STORE_WORKSPACE_KEYS_MAX; i++)
        key = make_key(f, f->acme.id, i);
    assert_int_equal(store_end(f->s, RC_OK), RC_OK);
    assert_int_equal(
        store_key_create(f->s, f->acme.id, bytes_of(5000), "pc_1", "full", NOW, 0, &key), RC_LIMIT);
    (void)make_key(f, f->rival.id, 5001);
    assert_int_equal(store_key_revoke(f->s, f->acme.id, key.id, NOW), RC_OK);
    (void)make_key(f, f->acme.id, 5002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_key_is_found_by_its_hash_alone),
        STORE_TEST(what_cannot_be_a_key_is_refused),
        STORE_TEST(a_key_expires_to_the_second),
        STORE_TEST(a_revoked_key_is_refused_from_then_on),
        STORE_TEST(use_is_noted_once_a_minute_and_refusal_is_not_use),
        STORE_TEST(a_full_disk_keeps_nobody_out),
        STORE_TEST(a_list_goes_page_by_page_in_the_order_of_making),
        STORE_TEST(workspaces_do_not_see_each_others_keys),
        STORE_TEST(a_workspace_has_a_limit_of_keys_that_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
