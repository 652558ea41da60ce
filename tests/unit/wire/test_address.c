#include "wire/address.h"

#include <stdio.h>

#include "test.h"

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PATH_105                                                                                   \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaa"

static void an_address_has_a_host_and_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } cases[] = {
        {"localhost:5432", "localhost", 5432},
        {"192.0.2.1:80", "192.0.2.1", 80},
        {"[2001:db8::1]:80", "2001:db8::1", 80},
        {"[::1]:1", "::1", 1},
        {"[::]:3001", "::", 3001},
        {"[::ffff:192.0.2.1]:65535", "::ffff:192.0.2.1", 65535},
        {"[fe80::1%eth0]:80", "fe80::1%eth0", 80},
        {"db-1.internal_net.example.:5432", "db-1.internal_net.example.", 5432},
        {LABEL_63 ".b:1", LABEL_63 ".b", 1},
        {"1.example:1", "1.example", 1},
        {"3com:1", "3com", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address a;
        char text[ADDRESS_TEXT_SIZE];

        assert_int_equal(address_parse(cases[i].text, false, &a), RC_OK);
        assert_int_equal(a.kind, ADDRESS_TCP);
        assert_string_equal(a.host, cases[i].host);
        assert_int_equal(a.port, cases[i].port);
        address_text(&a, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void a_unix_address_has_an_absolute_path_of_at_most_107_characters(void **state)
{
    (void)state;
    struct address a;
    char text[ADDRESS_TEXT_SIZE];

    assert_int_equal(address_parse("unix:/run/x.sock", false, &a), RC_OK);
    assert_int_equal(a.kind, ADDRESS_UNIX);
    assert_string_equal(a.path, "/run/x.sock");
    address_text(&a, text);
    assert_string_equal(text, "unix:/run/x.sock");
    assert_int_equal(address_parse("unix:/" PATH_105 "b", false, &a), RC_OK);
    assert_int_equal(address_parse("unix:/" PATH_105 "bc", false, &a), RC_INPUT);
    assert_int_equal(address_parse("unix:run/x.sock", false, &a), RC_INPUT);
    assert_int_equal(address_parse("unix:", false, &a), RC_INPUT);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        ":",
        ":80",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:+1",
        "host: 1",
        "host:1 ",
        " host:1",
        "host:99999999999999999999",
        "host:80:80",
        "host:80/",
        "ho st:1",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1:80",
        "[]:80",
        "[192.0.2.1]:80",
        "[1::2::3]:80",
        "[fe80::1%]:80",
        "[fe80::1%eth0/x]:80",
        "[fe80::1%aaaaaaaaaaaaaaaa]:80",
        "[localhost]:80",
        "256.0.0.1:80",
        "1.2.3:80",
        "127.1:80",
        "2130706433:80",
        "1.2.3.4.:80",
        "1.2.3.4.5:80",
        ".host:80",
        "a..b:80",
        "-host:80",
        "host-:80",
        "a.-b:80",
        "host..:80",
        ".:80",
        LABEL_63 "a:80",
        "ho\tst:80",
        "user@host:80",
        "http://host:80",
        "h\xc3\xb6st:80",
        "*:80",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address a;
        char *copy = (char *)exact_copy(cases[i], strlen(cases[i]) + 1);

        if (address_parse(copy, false, &a) != RC_INPUT)
            fail_msg("accepted: %s", copy);
        free(copy);
    }
}

static void port_0_is_for_listening_only(void **state)
{
    (void)state;
    struct address a;

    assert_int_equal(address_parse("[::]:0", true, &a), RC_OK);
    assert_int_equal(a.port, 0);
    assert_int_equal(address_parse("[::]:0", false, &a), RC_INPUT);
}

static void a_name_of_more_than_253_characters_is_refused(void **state)
{
    (void)state;
    static const char longest[] = LABEL_63 "." LABEL_63 "." LABEL_63 ".";
    char text[300] = "";
    struct address a;

    /* 192 and 61 characters make 253. */
    (void)snprintf(text, sizeof text, "%s%.61s:80", longest, LABEL_63);
    assert_int_equal(address_parse(text, false, &a), RC_OK);
    (void)snprintf(text, sizeof text, "%s%.62s:80", longest, LABEL_63);
    assert_int_equal(address_parse(text, false, &a), RC_INPUT);
}

static void a_target_may_be_a_port_or_have_a_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address, *protocol;
    } cases[] = {
        {"5432", "localhost:5432", "tcp"},
        {"db:5432", "db:5432", "tcp"},
        {"[::1]:80", "[::1]:80", "tcp"},
        {"unix:/run/x.sock", "unix:/run/x.sock", "tcp"},
        {"http://web", "web:80", "http"},
        {"http://web/", "web:80", "http"},
        {"HTTP://web:8080", "web:8080", "http"},
        {"http://[::1]:8080/", "[::1]:8080", "http"},
        {"https://web", "web:443", "https"},
        {"https://[2001:db8::1]", "[2001:db8::1]:443", "https"},
        {"tcp://db:5432", "db:5432", "tcp"},
        {"udp://127.0.0.1:53", "127.0.0.1:53", "udp"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address a;
        const char *protocol;
        char text[ADDRESS_TEXT_SIZE];

        assert_int_equal(address_parse_target(cases[i].text, &a, &protocol), RC_OK);
        address_text(&a, text);
        assert_string_equal(text, cases[i].address);
        assert_string_equal(protocol, cases[i].protocol);
    }
}

static void a_target_that_means_more_than_an_address_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "0",
        "65536",
        "db",
        "http://",
        "http:///",
        "http://web/path",
        "http://web//",
        "http://web:80/?q",
        "http://web?q",
        "http://web#x",
        "http://user@web",
        "http://web:",
        "http://web:0",
        "tcp://db",
        "udp://dns",
        "ftp://x:21",
        "postgres://db:5432",
        "http:/web",
        "unix:x",
        "http://unix:/x",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address a;
        const char *protocol;

        if (address_parse_target(cases[i], &a, &protocol) != RC_INPUT)
            fail_msg("accepted: %s", cases[i]);
    }
}

static void a_hub_is_named_by_a_url(void **state)
{
    (void)state;
    static const struct {
        const char *url, *address;
        bool tls;
    } cases[] = {
        {"https://hub", "hub:443", true},
        {"https://hub:3001/", "hub:3001", true},
        {"http://127.0.0.1", "127.0.0.1:80", false},
        {"http://[::1]:3001", "[::1]:3001", false},
        {"HTTPS://Hub.Example", "Hub.Example:443", true},
    };
    static const char *const wrong[] = {"",
                                        "hub",
                                        "hub:3001",
                                        "tcp://hub:1",
                                        "https://",
                                        "https://hub/v1",
                                        "https://hub:0",
                                        "https:/hub",
                                        "unix:/x"};
    struct address a;
    bool tls;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[ADDRESS_TEXT_SIZE];
        assert_int_equal(address_parse_url(cases[i].url, &a, &tls), RC_OK);
        address_text(&a, text);
        assert_string_equal(text, cases[i].address);
        assert_int_equal(tls, cases[i].tls);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(address_parse_url(wrong[i], &a, &tls), RC_INPUT);
}

static void loopback_is_this_machine_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:1", true},
        {"127.255.255.254:1", true},
        {"[::1]:1", true},
        {"localhost:1", true},
        {"LocalHost:1", true},
        {"unix:/x", true},
        {"[::ffff:127.0.0.1]:1", true},
        {"[::ffff:192.0.2.1]:1", false},
        {"128.0.0.1:1", false},
        {"[::]:1", false},
        {"0.0.0.0:1", false},
        {"[::2]:1", false},
        {"localhost.example:1", false},
        {"127.0.0.1.example:1", false},
        {"hub:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address a;

        assert_int_equal(address_parse(cases[i].text, false, &a), RC_OK);
        assert_int_equal(address_is_loopback(&a), cases[i].loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_a_host_and_a_port),
        cmocka_unit_test(a_unix_address_has_an_absolute_path_of_at_most_107_characters),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(port_0_is_for_listening_only),
        cmocka_unit_test(a_name_of_more_than_253_characters_is_refused),
        cmocka_unit_test(a_target_may_be_a_port_or_have_a_scheme),
        cmocka_unit_test(a_target_that_means_more_than_an_address_is_refused),
        cmocka_unit_test(a_hub_is_named_by_a_url),
        cmocka_unit_test(loopback_is_this_machine_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
