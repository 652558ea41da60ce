#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#include "test.h"

static char folder[PATH_MAX];

/* A path in the folder of this run. Valid until the fourth next call. */
static const char *in_folder(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];

    assert_int_equal(text_format(path, PATH_MAX, "%s/%s", folder, name), RC_OK);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");

    if (text_format(folder, sizeof folder, "%s/test_file.XXXXXX", tmp ? tmp : "/tmp") != RC_OK)
        return -1;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "file", "exact", "deep/er/still", "deep/er", "deep"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)remove(in_folder(names[i]));
    return rmdir(folder); /* fails the run when a test left something behind */
}

static void put(const char *path, const char *text)
{
    assert_int_equal(file_replace(path, reader_of_text(text)), RC_OK);
}

static void assert_content(const char *path, const char *text)
{
    struct buf b;

    buf_init(&b, 1024 * 1024);
    assert_int_equal(file_read(path, &b), RC_OK);
    assert_true(reader_is(buf_view(&b), text));
    buf_done(&b);
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void replacing_puts_the_whole_content_in_place(void **state)
{
    (void)state;
    const char *path = in_folder("file");

    put(path, "first, and longer");
    assert_content(path, "first, and longer");
    put(path, "second");
    assert_content(path, "second");
    put(path, "");
    assert_content(path, "");
    assert_int_equal(mode_of(path), 0600);
}

/* Nothing of the old file is touched when the new one cannot be made. */
static void a_failed_replacement_leaves_the_old_file_alone(void **state)
{
    (void)state;
    const char *inside = in_folder("deep/er/still");

    assert_int_equal(file_make_folder(in_folder("deep/er")), RC_OK);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(file_replace(inside, reader_of_text("x")), RC_SYSTEM); /* it is a folder */
    assert_int_equal(rmdir(inside), 0);
    assert_int_equal(rmdir(in_folder("deep/er")), 0); /* and no temporary file stayed behind */
    assert_int_equal(file_replace(in_folder("none/file"), reader_of_text("x")), RC_SYSTEM);
    assert_int_equal(errno, ENOENT);
}

static void reading_says_absent_too_large_and_broken_apart(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 5);
    assert_int_equal(file_read(in_folder("none"), &b), RC_ABSENT);
    put(in_folder("a"), "12345");
    assert_int_equal(file_read(in_folder("a"), &b), RC_OK);
    assert_true(reader_is(buf_view(&b), "12345"));
    assert_int_equal(file_read(in_folder("a"), &b), RC_LIMIT);
    buf_clear(&b);
    assert_int_equal(file_read(folder, &b), RC_SYSTEM);
    assert_int_equal(errno, EISDIR);
    buf_done(&b);
}

static void a_large_file_is_read_whole(void **state)
{
    (void)state;
    enum { LARGE = 100000 };
    char *text = malloc(LARGE + 1);

    assert_non_null(text);
    for (size_t i = 0; i < LARGE; i++)
        text[i] = (char)('a' + i % 23);
    text[LARGE] = '\0';
    put(in_folder("a"), text);
    assert_content(in_folder("a"), text);
    free(text);
}

static void reading_exactly_takes_that_size_and_no_other(void **state)
{
    (void)state;
    char out[4] = {0};
    const char *path = in_folder("exact");

    assert_int_equal(file_read_exact(path, out, 4), RC_ABSENT);
    put(path, "abcd");
    assert_int_equal(file_read_exact(path, out, 4), RC_OK);
    assert_memory_equal(out, "abcd", 4);
    put(path, "abc");
    assert_int_equal(file_read_exact(path, out, 4), RC_INPUT);
    put(path, "abcde");
    assert_int_equal(file_read_exact(path, out, 4), RC_INPUT);
    assert_int_equal(file_read_exact(folder, out, 4), RC_SYSTEM);
    assert_int_equal(errno, EISDIR);
}

static void folders_are_made_with_their_parents_for_the_owner_alone(void **state)
{
    (void)state;
    assert_int_equal(file_make_folder(in_folder("deep/er/still")), RC_OK);
    assert_int_equal(mode_of(in_folder("deep")), 0700);
    assert_int_equal(mode_of(in_folder("deep/er/still")), 0700);
    assert_int_equal(file_make_folder(in_folder("deep/er/still/")), RC_OK);
    put(in_folder("file"), "x");
    assert_int_equal(file_make_folder(in_folder("file")), RC_INPUT);
    assert_int_equal(file_make_folder(in_folder("file/below")), RC_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replacing_puts_the_whole_content_in_place),
        cmocka_unit_test(a_failed_replacement_leaves_the_old_file_alone),
        cmocka_unit_test(reading_says_absent_too_large_and_broken_apart),
        cmocka_unit_test(a_large_file_is_read_whole),
        cmocka_unit_test(reading_exactly_takes_that_size_and_no_other),
        cmocka_unit_test(folders_are_made_with_their_parents_for_the_owner_alone),
    };
    return cmocka_run_group_tests_name("file", tests, make_folder, remove_folder);
}
