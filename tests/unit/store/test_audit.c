#include "fixture.h"

static int64_t append(struct fixture *f, const char *workspace, const char *type, const char *actor,
                      int64_t now)
{
    const struct store_audit_entry entry = {.type = type, .actor = actor, .subject = "db"};
    int64_t seq = 0;

    assert_int_equal(store_audit_append(f->s, workspace, &entry, now, &seq), RC_OK);
    return seq;
}

static void a_row_comes_back_as_it_was_written(void **state)
{
    static const struct store_audit_entry entry = {.type = "service.exposed",
                                                   .actor = "ag_1",
                                                   .subject = "db",
                                                   .address = "2001:db8::1",
                                                   .detail = "{\"target\":\"localhost:5432\"}"};
    struct fixture *f = *state;
    struct store_audit_list list;
    int64_t seq = 0;

    assert_int_equal(store_audit_append(f->s, f->acme.id, &entry, NOW, &seq), RC_OK);
    assert_int_equal(seq, 1);
    assert_int_equal(
        store_audit_list(f->s, f->acme.id, &(struct store_audit_filter){0}, 0, 0, &list), RC_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].seq, 1);
    assert_int_equal(list.items[0].time, NOW);
    assert_string_equal(list.items[0].workspace, f->acme.id);
    assert_string_equal(list.items[0].type, entry.type);
    assert_string_equal(list.items[0].actor, entry.actor);
    assert_string_equal(list.items[0].subject, entry.subject);
    assert_string_equal(list.items[0].address, entry.address);
    assert_string_equal(list.items[0].detail, entry.detail);
    store_audit_list_done(&list);
    assert_int_equal(list.count, 0);
}

static void what_cannot_be_a_row_is_refused_and_takes_no_number(void **state)
{
    struct fixture *f = *state;
    char *much = long_text(STORE_DETAIL_SIZE), *most = long_text(STORE_DETAIL_SIZE - 1);
    const struct {
        const char *workspace;
        struct store_audit_entry entry;
        enum rc rc;
    } cases[] = {
        {f->acme.id, {.type = "t", .detail = most}, RC_OK},
        {f->acme.id, {.type = NULL}, RC_INPUT},
        {f->acme.id, {.type = ""}, RC_INPUT},
        {f->acme.id, {.type = much}, RC_INPUT},
        {f->acme.id, {.type = "t", .actor = much}, RC_INPUT},
        {f->acme.id, {.type = "t", .subject = much}, RC_INPUT},
        {f->acme.id, {.type = "t", .address = much}, RC_INPUT},
        {f->acme.id, {.type = "t", .detail = much}, RC_INPUT},
        {"ws_nobody", {.type = "t"}, RC_ABSENT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(store_audit_append(f->s, cases[i].workspace, &cases[i].entry, NOW, NULL),
                         cases[i].rc);
    assert_int_equal(append(f, f->acme.id, "t", NULL, NOW), 2);
    free(much);
    free(most);
}

static void each_workspace_counts_for_itself_and_sees_only_its_own(void **state)
{
    struct fixture *f = *state;
    struct store_audit_list list;

    for (int i = 1; i <= 3; i++) {
        assert_int_equal(append(f, f->acme.id, "ours", "ag_1", NOW), i);
        assert_int_equal(append(f, f->rival.id, "theirs", "ag_1", NOW), i);
    }
    assert_int_equal(store_audit_list(f->s, f->acme.id,
                                      &(struct store_audit_filter){.actor = "ag_1"}, 0, 0, &list),
                     RC_OK);
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(list.items[i].type, "ours");
    store_audit_list_done(&list);
    assert_int_equal(
        store_audit_list(f->s, "ws_nobody", &(struct store_audit_filter){0}, 0, 0, &list), RC_OK);
    assert_int_equal(list.count, 0);
}

static void a_number_that_was_undone_is_given_again(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(append(f, f->acme.id, "t", NULL, NOW), 1);
    assert_int_equal(store_begin(f->s), RC_OK);
    assert_int_equal(append(f, f->acme.id, "t", NULL, NOW), 2);
    assert_int_equal(store_end(f->s, RC_AUTH), RC_AUTH);
    assert_int_equal(append(f, f->acme.id, "t", NULL, NOW), 2);
}

static void filters_and_pages_choose_rows(void **state)
{
    struct fixture *f = *state;

    for (int i = 1; i <= 10; i++)
        (void)append(f, f->acme.id, i % 2 ? "odd" : "even", i % 3 ? "ag_1" : "ag_2", NOW + i);
    const struct {
        struct store_audit_filter filter;
        int64_t before;
        size_t limit;
        const char *expected;
    } cases[] = {
        {{0}, 0, 0, "10 9 8 7 6 5 4 3 2 1 "},
        {{0}, 0, 3, "10 9 8 "},
        {{0}, 8, 3, "7 6 5 "},
        {{0}, 2, 3, "1 "},
        {{0}, 1, 3, ""},
        {{.type = "odd"}, 0, 0, "9 7 5 3 1 "},
        {{.type = "odd"}, 7, 1, "5 "},
        {{.actor = "ag_2"}, 0, 0, "9 6 3 "},
        {{.actor = "ag_2", .type = "odd"}, 0, 0, "9 3 "},
        {{.subject = "db"}, 0, 2, "10 9 "},
        {{.subject = "other"}, 0, 0, ""},
        {{.from = NOW + 3, .until = NOW + 5}, 0, 0, "4 3 "},
        {{.from = NOW + 9}, 0, 0, "10 9 "},
        {{.until = NOW + 2}, 0, 0, "1 "},
        {{.type = "od"}, 0, 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_audit_list list;
        char seqs[128] = "";

        assert_int_equal(store_audit_list(f->s, f->acme.id, &cases[i].filter, cases[i].before,
                                          cases[i].limit, &list),
                         RC_OK);
        for (size_t k = 0; k < list.count; k++)
            (void)snprintf(seqs + strlen(seqs), sizeof seqs - strlen(seqs), "%d ",
                           (int)list.items[k].seq);
        store_audit_list_done(&list);
        assert_string_equal(seqs, cases[i].expected);
    }
}

static void no_statement_changes_or_removes_a_row(void **state)
{
    static const char *const statements[] = {
        "UPDATE audit SET detail = 'x'",
        "UPDATE audit SET seq = 7",
        "DELETE FROM audit",
        "REPLACE INTO audit SELECT workspace, seq, 1, 'x', '', '', '', '' FROM audit",
        "INSERT OR REPLACE INTO audit SELECT workspace, seq, 1, 'x', '', '', '', '' FROM audit",
        "DELETE FROM workspaces",
    };
    struct fixture *f = *state;
    struct store_audit_list list;

    (void)append(f, f->acme.id, "t", "ag_1", NOW);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        assert_int_not_equal(db_script(f->s->db, statements[i]), RC_OK);
    assert_int_equal(
        store_audit_list(f->s, f->acme.id, &(struct store_audit_filter){0}, 0, 0, &list), RC_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].seq, 1);
    assert_string_equal(list.items[0].type, "t");
    assert_string_equal(list.items[0].detail, "");
    store_audit_list_done(&list);
}

static void hostile_text_is_text(void **state)
{
    static const char *const texts[] = {"'; DROP TABLE audit; --", "$1", "%s%n", "\n\r\t\x1b[2J",
                                        "\xff\xfe"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct store_audit_entry entry = {
            .type = "t", .subject = texts[i], .detail = texts[i]};
        const struct store_audit_filter filter = {.subject = texts[i]};
        struct store_audit_list list;

        assert_int_equal(store_audit_append(f->s, f->acme.id, &entry, NOW, NULL), RC_OK);
        assert_int_equal(store_audit_list(f->s, f->acme.id, &filter, 0, 0, &list), RC_OK);
        assert_int_equal(list.count, 1);
        assert_string_equal(list.items[0].subject, texts[i]);
        assert_string_equal(list.items[0].detail, texts[i]);
        store_audit_list_done(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_row_comes_back_as_it_was_written),
        STORE_TEST(what_cannot_be_a_row_is_refused_and_takes_no_number),
        STORE_TEST(each_workspace_counts_for_itself_and_sees_only_its_own),
        STORE_TEST(a_number_that_was_undone_is_given_again),
        STORE_TEST(filters_and_pages_choose_rows),
        STORE_TEST(no_statement_changes_or_removes_a_row),
        STORE_TEST(hostile_text_is_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
