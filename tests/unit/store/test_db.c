#include "fixture.h"

static int open_db(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char why[DB_WHY_SIZE];
    struct db *db = NULL;

    assert_non_null(f);
    make_folder(f);
    assert_int_equal(db_open(f->path, why, &db), RC_OK);
    f->s = calloc(1, sizeof *f->s);
    assert_non_null(f->s);
    f->s->db = db;
    assert_int_equal(
        db_script(db, "CREATE TABLE parents (id TEXT NOT NULL PRIMARY KEY);"
                      "CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY, name TEXT UNIQUE,"
                      " size BIGINT CHECK (size < 10), parent TEXT REFERENCES parents (id))"),
        RC_OK);
    *state = f;
    return 0;
}

static int close_db(void **state)
{
    return tear_down(state);
}

static enum rc insert(struct db *db, int64_t id, const char *name, int64_t size, const char *parent)
{
    struct db_query *q =
        db_query(db, "INSERT INTO things (parent, size, name, id) VALUES ($4, $3, $2, $1)");

    db_bind_int(q, 1, id);
    db_bind_text(q, 2, name);
    db_bind_int(q, 3, size);
    db_bind_text(q, 4, parent);
    return db_run(q);
}

static void parameters_are_meant_by_their_number(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;
    char name[16] = "?";

    assert_int_equal(insert(db, 1, "one", 5, NULL), RC_OK);
    struct db_query *q =
        db_query(db, "SELECT name FROM things WHERE size = $2 AND id = $1 AND $2 > $1");
    db_bind_int(q, 1, 1);
    db_bind_int(q, 2, 5);
    enum rc rc = db_next(q);
    assert_int_equal(rc, RC_OK);
    db_text(q, 0, name, sizeof name);
    assert_int_equal(db_finish(q, rc), RC_OK);
    assert_string_equal(name, "one");
}

static void a_broken_rule_of_the_schema_is_told_apart(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;
    static const struct {
        int64_t id;
        const char *name;
        int64_t size;
        const char *parent;
        enum rc rc;
    } cases[] = {
        {1, "one", 1, NULL, RC_OK},     {1, "two", 1, NULL, RC_EXISTS},
        {2, "one", 1, NULL, RC_EXISTS}, {2, "two", 10, NULL, RC_INPUT},
        {2, "two", 1, "p", RC_ABSENT},  {2, NULL, 1, NULL, RC_OK},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(insert(db, cases[i].id, cases[i].name, cases[i].size, cases[i].parent),
                         cases[i].rc);
}

static void a_mistake_in_sql_fails_where_it_is_asked(void **state)
{
    struct fixture *f = *state;
    struct db_query *q = db_query(f->s->db, "SELECT x FROM nowhere WHERE id = $1");

    db_bind_text(q, 1, "x");
    assert_int_equal(db_next(q), RC_SYSTEM);
    assert_int_equal(db_next(q), RC_SYSTEM);
    assert_int_equal(db_finish(q, RC_OK), RC_SYSTEM);
    assert_non_null(strstr(db_why(f->s->db), "nowhere"));
}

static void a_value_that_does_not_fit_is_not_cut_off(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;
    uint8_t bytes[4];
    char small[4];

    assert_int_equal(insert(db, 1, "long", 1, NULL), RC_OK);
    for (int pass = 0; pass < 3; pass++) {
        struct db_query *q = db_query(db, "SELECT name FROM things");
        enum rc rc = db_next(q);
        assert_int_equal(rc, RC_OK);
        if (pass == 0)
            db_text(q, 0, small, sizeof small);
        if (pass == 1)
            db_hex(q, 0, bytes, sizeof bytes);
        assert_int_equal(db_finish(q, rc), pass < 2 ? RC_SYSTEM : RC_OK);
    }
}

static void null_is_zero_and_empty_both_ways(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;
    uint8_t bytes[2] = {1, 1};
    char text[4] = "x";

    struct db_query *q = db_query(db, "INSERT INTO things (id, name, size) VALUES (1, $1, $2)");
    db_bind_text(q, 1, NULL);
    db_bind_time(q, 2, 0);
    assert_int_equal(db_run(q), RC_OK);
    q = db_query(db, "SELECT name, size FROM things WHERE name IS NULL AND size IS NULL");
    enum rc rc = db_next(q);
    assert_int_equal(rc, RC_OK);
    db_text(q, 0, text, sizeof text);
    db_hex(q, 0, bytes, sizeof bytes);
    char *copy = db_text_dup(q, 0);
    assert_string_equal(text, "");
    assert_string_equal(copy, "");
    assert_int_equal(bytes[0] + bytes[1], 0);
    assert_int_equal(db_int(q, 1), 0);
    assert_int_equal(db_finish(q, rc), RC_OK);
    free(copy);
}

static void a_query_given_up_early_holds_nothing(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;

    for (int i = 0; i < 3; i++)
        assert_int_equal(insert(db, i, NULL, 1, NULL), RC_OK);
    struct db_query *q = db_query(db, "SELECT id FROM things");
    assert_int_equal(db_next(q), RC_OK);
    assert_int_equal(db_finish(q, RC_LIMIT), RC_LIMIT);
    assert_int_equal(db_script(db, "DROP TABLE things"), RC_OK); /* refused while a query runs */
}

/* A row that comes back does not yet mean that it is on the disk. */
static void a_commit_that_fails_is_not_taken_for_success(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->s->db;

    assert_int_equal(db_script(db, "CREATE TABLE late (p TEXT REFERENCES parents (id)"
                                   " DEFERRABLE INITIALLY DEFERRED)"),
                     RC_OK);
    struct db_query *q = db_query(db, "INSERT INTO late VALUES ('none') RETURNING p");
    enum rc rc = db_next(q);
    assert_int_equal(rc, RC_OK);
    assert_int_equal(db_finish(q, rc), RC_ABSENT);

    assert_int_equal(db_begin(db), RC_OK);
    assert_int_equal(db_script(db, "INSERT INTO late VALUES ('none')"), RC_OK);
    assert_int_equal(db_end(db, RC_OK), RC_ABSENT);
    assert_int_equal(db_nesting(db), 0);
    q = db_query(db, "SELECT count(*) FROM late");
    rc = db_next(q);
    assert_int_equal(db_int(q, 0), 0);
    assert_int_equal(db_finish(q, rc), RC_OK);
}

static void commits_are_written_through(void **state)
{
    static const struct {
        const char *sql;
        int64_t value;
    } settings[] = {
        {"PRAGMA synchronous", 2},
        {"PRAGMA foreign_keys", 1},
        {"PRAGMA trusted_schema", 0},
        {"SELECT 1 FROM pragma_journal_mode WHERE journal_mode = 'wal'", 1},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct db_query *q = db_query(f->s->db, settings[i].sql);
        enum rc rc = db_next(q);
        assert_int_equal(rc, RC_OK);
        assert_int_equal(db_int(q, 0), settings[i].value);
        assert_int_equal(db_finish(q, rc), RC_OK);
    }
}

#define DB_TEST(function) cmocka_unit_test_setup_teardown(function, open_db, close_db)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DB_TEST(parameters_are_meant_by_their_number),
        DB_TEST(a_broken_rule_of_the_schema_is_told_apart),
        DB_TEST(a_mistake_in_sql_fails_where_it_is_asked),
        DB_TEST(a_value_that_does_not_fit_is_not_cut_off),
        DB_TEST(null_is_zero_and_empty_both_ways),
        DB_TEST(a_query_given_up_early_holds_nothing),
        DB_TEST(a_commit_that_fails_is_not_taken_for_success),
        DB_TEST(commits_are_written_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
