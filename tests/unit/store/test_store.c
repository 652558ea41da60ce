#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void the_file_and_its_folder_are_for_the_owner_only(void **state)
{
    struct fixture f = {0};
    char deeper[150], file[300], why[STORE_WHY_SIZE];
    struct store *s = NULL;

    (void)state;
    mode_t before = umask(0);
    make_folder(&f);
    (void)snprintf(deeper, sizeof deeper, "%s/state", f.folder);
    (void)snprintf(f.path, sizeof f.path, "%s/hub.db", deeper);
    s = open_store(&f);
    assert_int_equal(mode_of(deeper), 0700);
    assert_int_equal(mode_of(f.path), 0600);
    (void)snprintf(file, sizeof file, "%s-wal", f.path);
    assert_int_equal(mode_of(file), 0600);
    store_close(s);

    assert_int_equal(chmod(f.path, 0644), 0);
    assert_int_equal(store_open(f.path, why, &s), RC_OK);
    assert_int_equal(mode_of(f.path), 0600);
    store_close(s);
    umask(before);
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(rmdir(deeper), 0);
    remove_folder(&f);
}

static void a_url_with_sqlite_is_the_same_as_a_path(void **state)
{
    struct fixture *f = *state;
    char url[256], why[STORE_WHY_SIZE];
    struct store_workspace found;
    struct store *s = NULL;

    (void)snprintf(url, sizeof url, "sqlite:%s", f->path);
    assert_int_equal(store_open(url, why, &s), RC_OK);
    assert_int_equal(store_workspace_find(s, f->acme.id, &found), RC_OK);
    assert_string_equal(found.name, "acme");
    store_close(s);
}

static void what_cannot_be_opened_is_explained(void **state)
{
    struct fixture *f = *state;
    char folder[256], below[300];
    const struct {
        const char *url;
        enum rc rc;
        const char *why;
    } cases[] = {
        {"postgresql://user:secret@db/hub", RC_INPUT, "a database is a path"},
        {"", RC_INPUT, "not a file name"},
        {"sqlite:", RC_INPUT, "not a file name"},
        {f->folder, RC_INPUT, "not a file"},
        {below, RC_INPUT, "there is a file of this name"},
        {"/dev/null", RC_INPUT, "not a file"},
    };

    (void)snprintf(folder, sizeof folder, "%s", f->folder);
    (void)snprintf(below, sizeof below, "%s/x", f->path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[STORE_WHY_SIZE];
        struct store *s = NULL;

        assert_int_equal(store_open(cases[i].url, why, &s), cases[i].rc);
        assert_non_null(strstr(why, cases[i].why));
        assert_null(strstr(why, "secret"));
        assert_null(s);
    }
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void a_file_that_is_no_database_is_refused_and_left_alone(void **state)
{
    struct fixture f = {0};
    char junk[8192], after[8192], why[STORE_WHY_SIZE];
    struct store *s = NULL;

    (void)state;
    make_folder(&f);
    memset(junk, 'j', sizeof junk);
    write_file(f.path, junk, sizeof junk);
    assert_int_equal(store_open(f.path, why, &s), RC_INPUT);
    assert_non_null(strstr(why, "not a database of this program"));
    FILE *file = fopen(f.path, "r");
    assert_non_null(file);
    assert_int_equal(fread(after, 1, sizeof after, file), sizeof after);
    (void)fclose(file);
    assert_memory_equal(junk, after, sizeof junk);
    remove_folder(&f);
}

static void a_database_of_another_program_is_refused(void **state)
{
    struct fixture f = {0};
    char why[STORE_WHY_SIZE];
    struct db *db = NULL;
    struct store *s = NULL;

    (void)state;
    make_folder(&f);
    assert_int_equal(db_open(f.path, why, &db), RC_OK);
    assert_int_equal(db_script(db, "CREATE TABLE theirs (x TEXT); PRAGMA application_id = 0"),
                     RC_OK);
    db_close(db);
    assert_int_equal(store_open(f.path, why, &s), RC_INPUT);
    assert_non_null(strstr(why, "not a database of this program"));
    remove_folder(&f);
}

/* ---- transactions ---------------------------------------------------------------- */

static bool has_workspace(struct store *s, const char *name)
{
    struct store_workspace found;
    enum rc rc = store_workspace_find_name(s, name, &found);

    assert_true(rc == RC_OK || rc == RC_ABSENT);
    return rc == RC_OK;
}

static void create_workspace(struct store *s, const char *name)
{
    struct store_workspace made;

    assert_int_equal(store_workspace_find_or_create(s, name, NOW, &made), RC_OK);
}

static void a_transaction_is_kept_or_undone_whole(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(store_begin(f->s), RC_OK);
    create_workspace(f->s, "one");
    create_workspace(f->s, "two");
    assert_int_equal(store_end(f->s, RC_LIMIT), RC_LIMIT);
    assert_false(has_workspace(f->s, "one"));
    assert_false(has_workspace(f->s, "two"));

    assert_int_equal(store_begin(f->s), RC_OK);
    create_workspace(f->s, "one");
    create_workspace(f->s, "two");
    assert_int_equal(store_end(f->s, RC_OK), RC_OK);
    reopen(f);
    assert_true(has_workspace(f->s, "one"));
    assert_true(has_workspace(f->s, "two"));
}

static void an_inner_transaction_can_be_undone_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(store_begin(f->s), RC_OK);
    create_workspace(f->s, "outer");
    assert_int_equal(store_begin(f->s), RC_OK);
    create_workspace(f->s, "inner");
    assert_int_equal(store_end(f->s, RC_AUTH), RC_AUTH);
    assert_int_equal(store_begin(f->s), RC_OK);
    create_workspace(f->s, "kept");
    assert_int_equal(store_end(f->s, RC_OK), RC_OK);
    assert_int_equal(store_end(f->s, RC_OK), RC_OK);
    assert_true(has_workspace(f->s, "outer"));
    assert_false(has_workspace(f->s, "inner"));
    assert_true(has_workspace(f->s, "kept"));
}

static void the_outer_transaction_takes_the_inner_with_it(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(store_begin(f->s), RC_OK);
    assert_int_equal(store_begin(f->s), RC_OK);
    create_workspace(f->s, "inner");
    assert_int_equal(store_end(f->s, RC_OK), RC_OK);
    assert_int_equal(store_end(f->s, RC_AUTH), RC_AUTH);
    assert_false(has_workspace(f->s, "inner"));
}

static void what_is_not_committed_dies_with_the_process(void **state)
{
    struct fixture *f = *state;
    int status = 0;

    store_close(f->s);
    f->s = NULL;
    pid_t child = fork();
    if (child == 0) {
        struct store *s = open_store(f);
        create_workspace(s, "kept");
        assert_int_equal(store_begin(s), RC_OK);
        create_workspace(s, "lost");
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    f->s = open_store(f);
    assert_true(has_workspace(f->s, "kept"));
    assert_false(has_workspace(f->s, "lost"));
}

/* Appends without end and tells each number only after it was acknowledged. */
static void append_and_tell(const struct fixture *f, int fd)
{
    struct store *s = open_store(f);
    struct store_audit_entry entry = {.type = "test.row"};
    int64_t seq = 0;

    while (store_audit_append(s, f->acme.id, &entry, NOW, &seq) == RC_OK)
        if (write(fd, &seq, sizeof seq) != (ssize_t)sizeof seq)
            break;
    _exit(1);
}

static void what_was_acknowledged_survives_a_kill_in_the_middle_of_writing(void **state)
{
    struct fixture *f = *state;
    int64_t acknowledged = 0;

    store_close(f->s);
    f->s = NULL;
    for (int round = 0; round < 10; round++) {
        int fds[2], status = 0;
        int64_t seq = 0;

        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0)
            append_and_tell(f, fds[1]);
        (void)close(fds[1]);
        for (int i = 0; i < 3 + round; i++) {
            assert_int_equal(read(fds[0], &seq, sizeof seq), sizeof seq);
            assert_true(seq > acknowledged);
            acknowledged = seq;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        while (read(fds[0], &seq, sizeof seq) == (ssize_t)sizeof seq)
            acknowledged = seq;
        (void)close(fds[0]);
    }
    f->s = open_store(f);
    struct store_audit_list list;
    assert_int_equal(
        store_audit_list(f->s, f->acme.id, &(struct store_audit_filter){0}, 0, 0, &list), RC_OK);
    assert_true(list.items[0].seq >= acknowledged);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(list.items[i].seq, list.count - i);
    store_audit_list_done(&list);
}

/* ---- failures of the system ------------------------------------------------------ */

/* Appends until it fails; returns the last number that was acknowledged. */
static int64_t fill(struct fixture *f, enum rc *why)
{
    char *detail = long_text(STORE_DETAIL_SIZE - 1);
    struct store_audit_entry entry = {.type = "test.row", .detail = detail};
    int64_t seq = 0;

    for (int i = 0; i < 1000; i++) {
        *why = store_audit_append(f->s, f->acme.id, &entry, NOW, &seq);
        if (*why != RC_OK)
            break;
    }
    free(detail);
    return seq;
}

static int64_t newest_seq(struct fixture *f)
{
    struct store_audit_list list;
    const struct store_audit_filter all = {0};

    assert_int_equal(store_audit_list(f->s, f->acme.id, &all, 0, 1, &list), RC_OK);
    int64_t seq = list.count == 1 ? list.items[0].seq : 0;
    store_audit_list_done(&list);
    return seq;
}

static void a_full_disk_is_said_and_loses_nothing_acknowledged(void **state)
{
    struct fixture *f = *state;
    enum rc why = RC_OK;

    assert_int_equal(db_script(f->s->db, "PRAGMA max_page_count = 100"), RC_OK);
    int64_t acknowledged = fill(f, &why);
    assert_int_equal(why, RC_SYSTEM);
    assert_non_null(strstr(store_why(f->s), "disk full"));
    assert_non_null(strstr(store_why(f->s), f->path));
    assert_true(acknowledged > 0);
    assert_int_equal(newest_seq(f), acknowledged);

    assert_int_equal(db_script(f->s->db, "PRAGMA max_page_count = 100000"), RC_OK);
    struct store_audit_entry entry = {.type = "test.row"};
    int64_t seq = 0;
    assert_int_equal(store_audit_append(f->s, f->acme.id, &entry, NOW, &seq), RC_OK);
    assert_int_equal(seq, acknowledged + 1);
}

static void nothing_of_a_transaction_that_hit_a_full_disk_is_kept(void **state)
{
    struct fixture *f = *state;
    struct store_workspace made;
    enum rc why = RC_OK;

    assert_int_equal(db_script(f->s->db, "PRAGMA max_page_count = 100"), RC_OK);
    assert_int_equal(store_begin(f->s), RC_OK);
    create_workspace(f->s, "early");
    (void)fill(f, &why);
    assert_int_equal(why, RC_SYSTEM);
    /* Here SQLite has undone the whole transaction by itself: a later write must not slip through
     * alone. */
    enum rc late = store_workspace_find_or_create(f->s, "late", NOW, &made);
    assert_int_equal(late, RC_SYSTEM);
    assert_int_equal(store_begin(f->s), RC_SYSTEM);
    assert_int_equal(store_end(f->s, RC_OK), RC_SYSTEM);

    assert_int_equal(db_script(f->s->db, "PRAGMA max_page_count = 100000"), RC_OK);
    assert_false(has_workspace(f->s, "early"));
    assert_false(has_workspace(f->s, "late"));
    assert_int_equal(newest_seq(f), 0);
    create_workspace(f->s, "after");
}

static void a_file_that_may_not_grow_is_said_and_loses_nothing_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small;
    enum rc why = RC_OK;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 512 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int64_t acknowledged = fill(f, &why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(why, RC_SYSTEM);
    assert_non_null(strstr(store_why(f->s), "cannot read or write"));
    assert_non_null(strstr(store_why(f->s), "File too large"));
    assert_int_equal(newest_seq(f), acknowledged);
    reopen(f);
    assert_int_equal(newest_seq(f), acknowledged);
    create_workspace(f->s, "after");
}

static void a_lock_held_by_another_is_try_again_and_reading_goes_on(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_store(f);
    struct store_workspace made;

    assert_int_equal(db_script(f->s->db, "PRAGMA busy_timeout = 20"), RC_OK);
    assert_int_equal(store_begin(other), RC_OK);
    create_workspace(other, "theirs");
    assert_int_equal(store_workspace_find_or_create(f->s, "ours", NOW, &made), RC_AGAIN);
    assert_non_null(strstr(store_why(f->s), "locked"));
    assert_int_equal(store_ping(f->s), RC_AGAIN);
    assert_true(has_workspace(f->s, "acme"));
    assert_false(has_workspace(f->s, "theirs"));
    assert_int_equal(store_end(other, RC_OK), RC_OK);
    assert_int_equal(store_ping(f->s), RC_OK);
    create_workspace(f->s, "ours");
    store_close(other);
}

/* ---- several at once ------------------------------------------------------------- */

static int open_and_close(const struct fixture *f)
{
    char why[STORE_WHY_SIZE];
    struct store *s = NULL;

    enum rc rc = store_open(f->path, why, &s);
    store_close(s);
    return rc == RC_OK ? 0 : 1;
}

static void many_processes_may_make_the_same_database(void **state)
{
    enum { MANY = 8 };
    struct fixture f = {0};
    pid_t children[MANY];

    (void)state;
    make_folder(&f);
    for (int i = 0; i < MANY; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(open_and_close(&f));
    }
    for (int i = 0; i < MANY; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    struct store *s = open_store(&f);
    create_workspace(s, "acme");
    store_close(s);
    remove_folder(&f);
}

static void *create_same(void *arg)
{
    const struct fixture *f = arg;
    struct store_workspace *made = calloc(1, sizeof *made);
    struct store *s = open_store(f);

    enum rc rc = store_workspace_find_or_create(s, "shared", NOW, made);
    store_close(s);
    if (rc != RC_OK)
        made->id[0] = '\0';
    return made;
}

static void one_name_is_one_workspace_whoever_asks_first(void **state)
{
    enum { MANY = 4 };
    struct fixture *f = *state;
    struct store_workspace found;
    pthread_t threads[MANY];

    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, create_same, f), 0);
    for (int i = 0; i < MANY; i++) {
        void *made = NULL;
        assert_int_equal(pthread_join(threads[i], &made), 0);
        assert_int_equal(store_workspace_find_name(f->s, "shared", &found), RC_OK);
        assert_string_equal(((struct store_workspace *)made)->id, found.id);
        free(made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_and_its_folder_are_for_the_owner_only),
        STORE_TEST(a_url_with_sqlite_is_the_same_as_a_path),
        STORE_TEST(what_cannot_be_opened_is_explained),
        cmocka_unit_test(a_file_that_is_no_database_is_refused_and_left_alone),
        cmocka_unit_test(a_database_of_another_program_is_refused),
        STORE_TEST(a_transaction_is_kept_or_undone_whole),
        STORE_TEST(an_inner_transaction_can_be_undone_alone),
        STORE_TEST(the_outer_transaction_takes_the_inner_with_it),
        STORE_TEST(what_is_not_committed_dies_with_the_process),
        STORE_TEST(what_was_acknowledged_survives_a_kill_in_the_middle_of_writing),
        STORE_TEST(a_full_disk_is_said_and_loses_nothing_acknowledged),
        STORE_TEST(nothing_of_a_transaction_that_hit_a_full_disk_is_kept),
        STORE_TEST(a_file_that_may_not_grow_is_said_and_loses_nothing_acknowledged),
        STORE_TEST(a_lock_held_by_another_is_try_again_and_reading_goes_on),
        cmocka_unit_test(many_processes_may_make_the_same_database),
        STORE_TEST(one_name_is_one_workspace_whoever_asks_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
