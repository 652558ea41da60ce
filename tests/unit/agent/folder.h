#pragma once

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "test.h"

/* folder -- a folder of its own for each test, removed afterwards. */

static inline int folder_make(void **state)
{
    char *path = malloc(PATH_MAX);

    assert_non_null(path);
    (void)snprintf(path, PATH_MAX, "%s/connect-test-XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(path));
    *state = path;
    return 0;
}

static inline int folder_remove(void **state)
{
    DIR *d = opendir(*state);
    struct dirent *entry;

    assert_non_null(d);
    while ((entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    (void)closedir(d);
    (void)rmdir(*state);
    free(*state);
    return 0;
}

static inline const char *folder_file(const char *folder, const char *name, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%.3000s/%s", folder, name);
    return out;
}

static inline void folder_write(const char *folder, const char *name, const char *content)
{
    char path[PATH_MAX];

    assert_int_equal(file_replace(folder_file(folder, name, path), reader_of_text(content)), RC_OK);
}

/* The file is exactly `content`. */
static inline void folder_expect(const char *folder, const char *name, const char *content)
{
    char path[PATH_MAX];
    struct buf found;

    buf_init(&found, 1024 * 1024);
    assert_int_equal(file_read(folder_file(folder, name, path), &found), RC_OK);
    assert_true(reader_is(buf_view(&found), content));
    buf_done(&found);
}
