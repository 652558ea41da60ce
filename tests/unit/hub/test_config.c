#include "hub/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "test.h"

static char file[64];
static char why[CONFIG_WHY_SIZE];

static void write_file(const char *text)
{
    (void)snprintf(file, sizeof file, "/tmp/test_config.XXXXXX");
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static enum rc load(const char *text, const struct config_given *given, size_t count,
                    struct config **out)
{
    struct config_source from = {.given = given, .given_count = count};

    if (text) {
        write_file(text);
        from.file = file;
    }
    enum rc rc = config_load(&from, out, why);
    if (text)
        (void)unlink(file);
    return rc;
}

static void has_defaults(void **state)
{
    (void)state;
    struct config *c;

    assert_int_equal(load(NULL, NULL, 0, &c), RC_OK);
    assert_string_equal(c->listen, "[::]:3001");
    assert_int_equal(c->listen_at.port, 3001);
    assert_int_equal(c->level, LOG_LEVEL_INFO);
    assert_int_equal(c->token_days, 30);
    assert_true(c->data[0] == '/');
    assert_false(c->plain_http);
    config_free(c);
}

static void the_command_line_wins_over_the_file(void **state)
{
    (void)state;
    static const struct config_given given[] = {{"log_level", "error"}, {"listen", "127.0.0.1:0"}};
    struct config *c;

    assert_int_equal(load("{\"log_level\":\"debug\",\"plain_http\":true,\"token_days\":7,"
                          "\"trusted_proxies\":[\"10.0.0.0/8\",\"::1\"]}",
                          given, 2, &c),
                     RC_OK);
    assert_int_equal(c->level, LOG_LEVEL_ERROR);
    assert_int_equal(c->listen_at.port, 0);
    assert_true(c->plain_http);
    assert_int_equal(c->token_days, 7);
    assert_int_equal(c->proxy_count, 2);
    config_free(c);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "test_config"},
        {"[]", "is wanted"},
        {"{\"a\":1\n\"b\":2}", ":2:"},
        {"{\"listn\":\"x\"}", "\"listn\" is not a setting"},
        {"{\"listen\":\"x\"}", "listen: an address and a port"},
        {"{\"listen\":\"unix:/x\"}", "listen"},
        {"{\"listen\":{}}", "listen: a text"},
        {"{\"listen\":\"a\\u0000b\"}", "test_config"},
        {"{\"log_level\":\"info\",\"log_level\":\"info\"}", "duplicate"},
        {"{\"token_days\":0}", "1 to 365"},
        {"{\"token_days\":-1}", "1 to 365"},
        {"{\"token_days\":1.5}", "token_days"},
        {"{\"relay_threads\":18446744073709551615}", "test_config"},
        {"{\"plain_http\":\"yes\"}", "true or false"},
        {"{\"public_url\":\"ftp://x\"}", "public_url"},
        {"{\"data\":\"\"}", "data: it must not be empty"},
        {"{\"trusted_proxies\":\"10.0.0.0/8, nonsense\"}", "\"nonsense\""},
        {"{\"tls_cert\":\"x\"}", "belong together"},
        {"{\"plain_http\":true}", "trusted_proxies"},
        {"{\"plain_http\":true,\"tls_cert\":\"x\",\"tls_key\":\"y\"}", "exclude"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *c = NULL;
        if (load(cases[i].text, NULL, 0, &c) != RC_INPUT)
            fail_msg("%s: accepted", cases[i].text);
        if (strstr(why, cases[i].says) == NULL)
            fail_msg("%s: says %s", cases[i].text, why);
    }
    struct config_source absent = {.file = "/nonexistent/hub.json"};
    struct config *c;
    assert_int_equal(config_load(&absent, &c, why), RC_INPUT);
    assert_non_null(strstr(why, "No such file"));
}

static void plain_http_needs_loopback_or_a_proxy(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *proxies;
        enum rc want;
    } cases[] = {
        {"127.0.0.1:80", "", RC_OK}, {"[::1]:80", "", RC_OK},        {"0.0.0.0:80", "", RC_INPUT},
        {"[::]:80", "", RC_INPUT},   {"[::]:80", "10.0.0.1", RC_OK}, {"192.0.2.1:80", "", RC_INPUT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct config_given given[] = {{"plain_http", "true"},
                                             {"listen", cases[i].listen},
                                             {"trusted_proxies", cases[i].proxies}};
        struct config *c = NULL;
        if (load(NULL, given, 3, &c) != cases[i].want)
            fail_msg("%s", cases[i].listen);
        config_free(c);
    }
}

static void a_reload_keeps_what_cannot_change(void **state)
{
    (void)state;
    struct config *running, *fresh;

    assert_int_equal(load("{\"listen\":\"[::]:1\",\"relay_threads\":2,\"log_level\":\"info\"}",
                          NULL, 0, &running),
                     RC_OK);
    assert_int_equal(load("{\"listen\":\"[::]:2\",\"relay_threads\":2,\"log_level\":\"debug\"}",
                          NULL, 0, &fresh),
                     RC_OK);
    assert_string_equal(config_keep_fixed(fresh, running), "listen");
    assert_string_equal(fresh->listen, "[::]:1");
    assert_int_equal(fresh->listen_at.port, 1);
    assert_int_equal(fresh->level, LOG_LEVEL_DEBUG);
    assert_null(config_keep_fixed(fresh, running));
    config_free(running);
    config_free(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(the_command_line_wins_over_the_file),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(plain_http_needs_loopback_or_a_proxy),
        cmocka_unit_test(a_reload_keeps_what_cannot_change),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
