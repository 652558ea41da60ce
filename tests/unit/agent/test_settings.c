#include "agent/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "folder.h"

static const char token_text[] =
    "pct_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static const char other_token[] =
    "pct_ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

static void log_in(struct settings *s, const char *folder, const char *token)
{
    struct failure why;

    assert_int_equal(settings_load(folder, s, &why), RC_OK);
    strcpy(s->hub, "https://hub:3001");
    strcpy(s->label, "prod");
    strcpy(s->agent_id, "ag_1");
    strcpy(s->workspace, "acme");
    s->hold_ms = 30 * 1000;
    assert_int_equal(token_read(TOKEN_AGENT, reader_of_text(token), &s->token), RC_OK);
    s->has_key_hash = true;
    s->key_hash = token_hash(&s->token);
    assert_int_equal(settings_save_login(s, &why), RC_OK);
}

static void an_empty_folder_has_no_login(void **state)
{
    struct settings s;
    struct failure why;

    assert_int_equal(settings_load(*state, &s, &why), RC_OK);
    assert_string_equal(s.hub, "");
    assert_string_equal(s.token.text, "");
    assert_int_equal(s.hold_ms, 600000);
    settings_done(&s);
}

static void what_was_saved_comes_back(void **state)
{
    struct settings s, again;
    struct failure why;
    char path[PATH_MAX];
    struct stat st;

    log_in(&s, *state, token_text);
    assert_int_equal(settings_load(*state, &again, &why), RC_OK);
    assert_string_equal(again.hub, s.hub);
    assert_string_equal(again.agent_id, "ag_1");
    assert_string_equal(again.token.text, token_text);
    assert_int_equal(again.hold_ms, 30000);
    assert_true(again.has_key_hash && token_hash_equal(&again.key_hash, &s.key_hash));
    assert_int_equal(stat(folder_file(*state, "token", path), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    settings_done(&s);
    settings_done(&again);
}

static void members_that_are_not_known_are_kept(void **state)
{
    struct settings s;
    struct failure why;
    json_t *file = NULL;
    char path[PATH_MAX];

    folder_write(*state, "config.json",
                 "{\"v\":1,\"hub\":\"https://hub\",\"from_the_future\":{\"a\":[1]}}");
    log_in(&s, *state, token_text);
    settings_done(&s);
    assert_int_equal(json_file_load(folder_file(*state, "config.json", path), &file, &why), RC_OK);
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(file, "from_the_future"), "a")), 1);
    json_decref(file);
}

/* Whatever stands there: an error that names the file, and the file stays as it is. */
static void a_broken_file_is_named_and_left_alone(void **state)
{
    static const struct {
        const char *content, *says;
    } cases[] = {
        {"", "is empty"},
        {"{\"hub\": \"https://exam", "line 1"},
        {"{\n\n\"hub\": }", "line 3"},
        {"[]", "one JSON object"},
        {"{} {}", "line 1"},
        {"{\"v\":2}", "newer version"},
        {"{\"v\":\"1\"}", "\"v\""},
        {"{\"hub\":7}", "\"hub\""},
        {"{\"hub\":\"ftp://x\"}", "\"hub\""},
        {"{\"hub\":\"https://x\\u0000y\"}", "config.json"},
        {"{\"hub_fingerprint\":\"sha256:12\"}", "\"hub_fingerprint\""},
        {"{\"label\":\" x\"}", "\"label\""},
        {"{\"label\":\"a\\nb\"}", "\"label\""},
        {"{\"hold_seconds\":-1}", "\"hold_seconds\""},
        {"{\"hold_seconds\":86401}", "\"hold_seconds\""},
        {"{\"token_sha256\":\"zz\"}", "\"token_sha256\""},
        {"{\"api_key_sha256\":1}", "\"api_key_sha256\""},
        {"{\"label\":\"a\",\"label\":\"b\"}", "duplicate"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings s;
        struct failure why = {0};
        folder_write(*state, "config.json", cases[i].content);
        assert_int_equal(settings_load(*state, &s, &why), RC_INPUT);
        assert_non_null(strstr(why.message, "config.json"));
        assert_non_null(strstr(why.message, cases[i].says));
        folder_expect(*state, "config.json", cases[i].content);
    }
}

static void a_token_of_another_login_is_none(void **state)
{
    struct settings s;
    struct failure why;

    log_in(&s, *state, token_text);
    settings_done(&s);
    folder_write(*state, "token", other_token);
    assert_int_equal(settings_load(*state, &s, &why), RC_OK);
    assert_string_equal(s.token.text, "");
    settings_done(&s);
}

/* The process died between the two files. */
static void a_crash_before_the_last_rename_loses_nothing(void **state)
{
    struct settings s;
    struct failure why;
    char from[PATH_MAX], to[PATH_MAX];

    log_in(&s, *state, token_text);
    settings_done(&s);
    assert_int_equal(
        rename(folder_file(*state, "token", from), folder_file(*state, "token.next", to)), 0);
    folder_write(*state, "token", other_token);
    assert_int_equal(settings_load(*state, &s, &why), RC_OK);
    assert_string_equal(s.token.text, token_text);
    settings_done(&s);
    folder_expect(*state, "token",
                  "pct_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
}

/* Beneath a folder that cannot be written in, as with a full disk: the reason is told, memory and
 * file are the old. */
static void what_cannot_be_written_changes_nothing(void **state)
{
    struct settings s, again;
    struct failure why = {0};

    if (geteuid() != 0) {
        skip(); /* only root can mount a small disk */
        return;
    }
    if (mount("tmpfs", *state, "tmpfs", 0, "size=16k") != 0) {
        skip(); /* nor every root */
        return;
    }
    log_in(&s, *state, token_text);
    char path[PATH_MAX], block[4096] = {0};
    int fd = open(folder_file(*state, "filler", path), O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    (void)close(fd);
    strcpy(s.workspace, "globex");
    assert_int_equal(token_read(TOKEN_AGENT, reader_of_text(other_token), &s.token), RC_OK);
    assert_int_equal(settings_save_login(&s, &why), RC_SYSTEM);
    assert_non_null(strstr(why.message, "No space left on device"));
    assert_int_equal(settings_save(&s, &why), RC_SYSTEM);
    assert_int_equal(settings_load(*state, &again, &why), RC_OK);
    assert_string_equal(again.workspace, "acme");
    assert_string_equal(again.token.text, token_text);
    /* What has not changed need not be written. */
    assert_int_equal(settings_save(&again, &why), RC_OK);
    settings_done(&again);
    settings_done(&s);
    assert_int_equal(umount2(*state, MNT_DETACH), 0);
}

static void the_lock_names_the_process_that_has_it(void **state)
{
    struct failure why = {0};
    int fd, second = -1;
    char pid[32];

    assert_int_equal(settings_lock(*state, &fd, &why), RC_OK);
    assert_int_equal(settings_lock(*state, &second, &why), RC_EXISTS);
    (void)snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(why.message, pid));
    (void)close(fd);
    assert_int_equal(settings_lock(*state, &fd, &why), RC_OK);
    (void)close(fd);
}

static void labels_are_what_a_person_can_read(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"prod", true},
        {"My laptop", true},
        {"büro", true},
        {"123456789012345678901234567890123456789012345678901234567890123", true},
        {"1234567890123456789012345678901234567890123456789012345678901234", false},
        {"", false},
        {" x", false},
        {"x ", false},
        {"a\nb", false},
        {"\xff", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(settings_is_label(cases[i].text), cases[i].good);
    char label[SETTINGS_LABEL_SIZE];
    settings_default_label(label);
    assert_true(settings_is_label(label));
}

static void hubs_are_the_same_when_they_are_in_the_same_place(void **state)
{
    (void)state;
    assert_true(settings_is_same_hub("https://Hub.example", "https://hub.example:443/"));
    assert_false(settings_is_same_hub("https://hub.example", "http://hub.example:443"));
    assert_false(settings_is_same_hub("https://hub.example", "https://hub.example:444"));
    assert_false(settings_is_same_hub("https://hub.example", "https://other.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_folder_has_no_login, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(what_was_saved_comes_back, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(members_that_are_not_known_are_kept, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_broken_file_is_named_and_left_alone, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_token_of_another_login_is_none, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(a_crash_before_the_last_rename_loses_nothing, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_changes_nothing, folder_make,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(the_lock_names_the_process_that_has_it, folder_make,
                                        folder_remove),
        cmocka_unit_test(labels_are_what_a_person_can_read),
        cmocka_unit_test(hubs_are_the_same_when_they_are_in_the_same_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
