#include "hub/client_ip.h"

#include "test.h"

static void takes_the_address_out_of_a_peer(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"192.0.2.1:80", "192.0.2.1"},
        {"[2001:db8::1]:80", "2001:db8::1"},
        {"[::ffff:192.0.2.1]:80", "192.0.2.1"},
        {"::1", "::1"},
        {"unix", "unknown"},
        {"", "unknown"},
        {"999.1.1.1:5", "unknown"},
        {"[::1", "unknown"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[CLIENT_IP_SIZE];
        client_ip_of_peer(cases[i][0], got);
        assert_string_equal(got, cases[i][1]);
    }
}

static void masks_addresses_for_logs(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"192.168.7.9", "192.168.x.x"},
        {"2001:db8:1:2:3::4", "2001:db8:1::x"},
        {"::1", "0:0:0::x"},
        {"nonsense", "unknown"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[CLIENT_IP_SIZE];
        client_ip_mask(cases[i][0], got);
        assert_string_equal(got, cases[i][1]);
    }
}

static void ranges_hold_what_lies_in_them(void **state)
{
    (void)state;
    static const struct {
        const char *range, *ip;
        bool want;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::/0", "1.2.3.4", true},
    };
    static const char *const wrong[] = {"",       "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/",
                                        "::/129", "10.0.0.0/x",  "host/8",     "10.0.0/8",
                                        "::1/64", "10.0.0.0/-1"};
    struct ip_range range;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ip_range_parse(cases[i].range, &range), RC_OK);
        if (ip_range_has(&range, cases[i].ip) != cases[i].want)
            fail_msg("%s has %s", cases[i].range, cases[i].ip);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (ip_range_parse(wrong[i], &range) != RC_INPUT)
            fail_msg("%s", wrong[i]);
}

static void only_trusted_proxies_are_believed(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *forwarded, *want;
    } cases[] = {
        {"10.0.0.1:5", "203.0.113.9", "203.0.113.9"},
        {"10.0.0.1:5", "6.6.6.6, 203.0.113.9", "203.0.113.9"},
        {"10.0.0.1:5", "203.0.113.9,10.0.0.2", "203.0.113.9"},
        {"10.0.0.1:5", "203.0.113.9:4711", "203.0.113.9"},
        {"10.0.0.1:5", "[2001:db8::5]:1", "2001:db8::5"},
        {"10.0.0.1:5", "203.0.113.9, nonsense", "10.0.0.1"},
        {"10.0.0.1:5", "10.0.0.3", "10.0.0.3"},
        {"10.0.0.1:5", "", "10.0.0.1"},
        {"10.0.0.1:5", NULL, "10.0.0.1"},
        {"192.0.2.7:5", "203.0.113.9", "192.0.2.7"},
    };
    struct ip_range trusted;

    assert_int_equal(ip_range_parse("10.0.0.0/8", &trusted), RC_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[CLIENT_IP_SIZE];
        client_ip_forwarded(cases[i].peer, cases[i].forwarded, &trusted, 1, got);
        assert_string_equal(got, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_address_out_of_a_peer),
        cmocka_unit_test(masks_addresses_for_logs),
        cmocka_unit_test(ranges_hold_what_lies_in_them),
        cmocka_unit_test(only_trusted_proxies_are_believed),
    };
    return cmocka_run_group_tests_name("client_ip", tests, NULL, NULL);
}
