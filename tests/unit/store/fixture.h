#pragma once

#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/inside.h"
#include "store/store.h"

/* A store on a real file in a folder of its own, with two workspaces that have nothing to do with
 * each other. */
struct fixture {
    char folder[128];
    char path[192];
    struct store *s;
    struct store_workspace acme, rival;
};

enum { NOW = 1700000000, DAY = 24 * 3600 };

static inline void make_folder(struct fixture *f)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(f->folder, sizeof f->folder, "%s/store-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/hub.db", f->folder);
}

static inline void remove_folder(struct fixture *f)
{
    char path[512];
    DIR *dir = opendir(f->folder);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", f->folder, entry->d_name);
        (void)unlink(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(f->folder);
}

static inline struct store *open_store(const struct fixture *f)
{
    char why[STORE_WHY_SIZE];
    struct store *s = NULL;

    assert_int_equal(store_open(f->path, why, &s), RC_OK);
    assert_string_equal(why, "");
    return s;
}

static inline void reopen(struct fixture *f)
{
    store_close(f->s);
    f->s = open_store(f);
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    make_folder(f);
    f->s = open_store(f);
    assert_int_equal(store_workspace_find_or_create(f->s, "acme", NOW, &f->acme), RC_OK);
    assert_int_equal(store_workspace_find_or_create(f->s, "rival", NOW, &f->rival), RC_OK);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    store_close(f->s);
    remove_folder(f);
    free(f);
    return 0;
}

#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/* 32 bytes that differ for different numbers. */
static inline const uint8_t *bytes_of(unsigned number)
{
    static _Thread_local uint8_t ring[8][STORE_HASH_LEN];
    static _Thread_local unsigned next;
    uint8_t *bytes = ring[next++ % 8];

    memset(bytes, 0xa5, STORE_HASH_LEN);
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
    return bytes;
}

/* `count` characters, and a NUL, on the heap. */
static inline char *long_text(size_t count)
{
    char *text = malloc(count + 1);

    assert_non_null(text);
    memset(text, 'x', count);
    text[count] = '\0';
    return text;
}

static inline struct store_agent make_agent(struct fixture *f, const char *workspace,
                                            const char *label)
{
    struct store_agent agent;

    assert_int_equal(store_agent_create(f->s, workspace, label, bytes_of(1), "", NOW, &agent),
                     RC_OK);
    return agent;
}
