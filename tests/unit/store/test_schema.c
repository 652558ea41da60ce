#include "fixture.h"

#include "base/embed.h"

extern const struct embed schema_files[];
extern const size_t schema_files_count;

static int64_t count_of(struct db *db, struct db_query *q)
{
    int64_t count = -1;

    (void)db;
    enum rc rc = db_next(q);
    if (rc == RC_OK)
        count = db_int(q, 0);
    assert_int_equal(db_finish(q, rc), RC_OK);
    return count;
}

static int64_t newest_version(struct db *db)
{
    return count_of(db, db_query(db, "SELECT max(version) FROM schema_versions"));
}

static void an_empty_file_gets_every_version_once(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;
    const struct embed *last = &schema_files[schema_files_count - 1];
    int64_t versions = count_of(db, db_query(db, "SELECT count(*) FROM schema_versions"));

    assert_int_equal(newest_version(db), strtol(last->name, NULL, 10));
    assert_int_equal(versions, newest_version(db));
}

static void opening_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_workspace found;
    char why[STORE_WHY_SIZE] = "";

    int64_t before = newest_version(f->s->db);
    reopen(f);
    reopen(f);
    assert_int_equal(newest_version(f->s->db), before);
    assert_int_equal(schema_update(f->s->db, why), RC_OK);
    assert_int_equal(store_workspace_find(f->s, f->acme.id, &found), RC_OK);
}

static void a_database_from_a_newer_program_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    char why[STORE_WHY_SIZE];
    struct store *s = NULL;

    assert_int_equal(
        db_script(f->s->db, "INSERT INTO schema_versions VALUES (9999, '9999_future.sql')"), RC_OK);
    assert_int_equal(store_open(f->path, why, &s), RC_INPUT);
    assert_null(s);
    assert_non_null(strstr(why, "newer program"));
    assert_non_null(strstr(why, "9999"));
    assert_int_equal(newest_version(f->s->db), 9999);
}

static void an_update_that_fails_leaves_nothing_behind(void **state)
{
    struct fixture f = {0};
    char why[STORE_WHY_SIZE];
    struct db *db = NULL;
    struct store *s = NULL;
    bool there = true;

    (void)state;
    make_folder(&f);
    assert_int_equal(db_open(f.path, why, &db), RC_OK);
    /* The last table of the first version is in the way. */
    assert_int_equal(db_script(db, "CREATE TABLE audit (x TEXT)"), RC_OK);
    assert_int_equal(store_open(f.path, why, &s), RC_SYSTEM);
    assert_non_null(strstr(why, "audit"));
    assert_int_equal(db_has_table(db, "workspaces", &there), RC_OK);
    assert_false(there);
    assert_int_equal(db_has_table(db, "schema_versions", &there), RC_OK);
    assert_false(there);

    assert_int_equal(db_script(db, "DROP TABLE audit"), RC_OK);
    db_close(db);
    s = open_store(&f);
    store_close(s);
    remove_folder(&f);
}

static void files_are_numbered_in_order_and_whole(void **state)
{
    long before = 0;

    (void)state;
    assert_true(schema_files_count > 0);
    for (size_t i = 0; i < schema_files_count; i++) {
        long number = strtol(schema_files[i].name, NULL, 10);

        assert_true(number == before || number == before + 1);
        before = number;
        assert_int_equal(strlen(schema_files[i].bytes), schema_files[i].len);
        assert_int_equal(schema_files[i].bytes[schema_files[i].len - 1], '\n');
    }
}

/* Every table but the schema's own says whose its rows are. */
static void every_row_names_its_workspace(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;

    int64_t tables =
        count_of(db, db_query(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
                                  " AND name NOT IN ('workspaces', 'schema_versions')"));
    int64_t scoped =
        count_of(db, db_query(db, "SELECT count(*) FROM sqlite_master m WHERE m.type = 'table'"
                                  " AND m.name NOT IN ('workspaces', 'schema_versions') AND EXISTS"
                                  " (SELECT 1 FROM pragma_table_info(m.name) WHERE name = "
                                  "'workspace' AND \"notnull\" = 1)"));
    assert_true(tables >= 5);
    assert_int_equal(scoped, tables);
}

/* Even a mistake in a query above cannot join what is two workspaces'. */
static void the_schema_itself_keeps_workspaces_apart(void **state)
{
    struct fixture *f = *state;
    struct store_agent ours = make_agent(f, f->acme.id, "web");
    static const char *const statements[] = {
        "INSERT INTO services SELECT (SELECT id FROM workspaces WHERE name = 'rival'), 'db', id, "
        "'tcp', 't', 1 FROM agents",
        "INSERT INTO agent_tokens (hash, workspace, agent, created, expires) SELECT public_key,"
        " (SELECT id FROM workspaces WHERE name = 'rival'), id, 1, 2 FROM agents",
    };

    (void)ours;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        assert_int_equal(db_script(f->s->db, statements[i]), RC_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_empty_file_gets_every_version_once),
        STORE_TEST(opening_again_changes_nothing),
        STORE_TEST(a_database_from_a_newer_program_is_refused_and_left_alone),
        cmocka_unit_test(an_update_that_fails_leaves_nothing_behind),
        cmocka_unit_test(files_are_numbered_in_order_and_whole),
        STORE_TEST(every_row_names_its_workspace),
        STORE_TEST(the_schema_itself_keeps_workspaces_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
