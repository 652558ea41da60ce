/* The small pure decisions: how long to wait, which port, what an offer must be. */
#include "agent/backoff.h"
#include "agent/diagnose.h"
#include "agent/hub_error.h"
#include "agent/json.h"
#include "agent/offer.h"
#include "agent/port_choice.h"
#include "test.h"

static void the_first_retry_comes_at_once_and_the_others_within_their_bounds(void **state)
{
    static const uint64_t most[] = {0,    250,   500,   1000,  2000, 4000,
                                    8000, 16000, 30000, 30000, 30000};

    (void)state;
    for (unsigned failed = 0; failed < sizeof most / sizeof most[0]; failed++) {
        assert_int_equal(backoff_ms(failed, 0), 0);
        assert_int_equal(backoff_ms(failed, (uint32_t)most[failed]), most[failed]);
        for (uint32_t random = 1; random < 2000000000; random += 77777777)
            assert_true(backoff_ms(failed, random) <= most[failed]);
    }
    assert_int_equal(backoff_ms(UINT32_MAX, 30000), 30000);
}

static void the_wanted_port_is_the_services_own(void **state)
{
    static const struct {
        struct address target;
        uint16_t port;
    } cases[] = {
        {{.kind = ADDRESS_TCP, .port = 5432}, 5432},
        {{.kind = ADDRESS_TCP, .port = 80}, 80},
        {{.kind = ADDRESS_UNIX, .path = "/run/postgresql/.s.PGSQL.5432"}, 5432},
        {{.kind = ADDRESS_UNIX, .path = "/run/docker.sock"}, PORT_CHOICE_UNIX},
        {{.kind = ADDRESS_UNIX, .path = "/run/x.80"}, PORT_CHOICE_UNIX},
        {{.kind = ADDRESS_UNIX, .path = "/run/x.99999999999999999999999"}, PORT_CHOICE_UNIX},
        {{.kind = ADDRESS_UNIX, .path = ""}, PORT_CHOICE_UNIX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(port_choice_wanted(&cases[i].target), cases[i].port);
}

static void a_port_that_cannot_be_had_has_a_next_one(void **state)
{
    static const struct {
        uint16_t port;
        enum rc why;
        uint16_t next;
    } cases[] = {
        {5432, RC_EXISTS, 5433}, {80, RC_AUTH, 8080},   {443, RC_AUTH, 8443},  {80, RC_EXISTS, 81},
        {1023, RC_AUTH, 9023},   {65535, RC_EXISTS, 0}, {5000, RC_AUTH, 5001},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(port_choice_next(cases[i].port, cases[i].why), cases[i].next);
}

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define PEER "\"peer\":{\"agent_id\":\"ag_1\",\"label\":\"prod\",\"public_key\":\"" KEY "\"}"

static enum rc read(const char *text, struct pipe_offer *offer, struct pins_peer *peer)
{
    json_t *message = json_loads(text, 0, NULL);

    assert_non_null(message);
    enum rc rc = offer_read(message, offer, peer);
    json_decref(message);
    return rc;
}

static void an_offer_is_read_whole(void **state)
{
    struct pipe_offer offer;
    struct pins_peer peer;

    (void)state;
    assert_int_equal(read("{\"ticket\":\"" KEY "\",\"service\":\"db\",\"mode\":\"wrapped\"," PEER
                          "}",
                          &offer, &peer),
                     RC_OK);
    assert_string_equal(offer.ticket, KEY);
    assert_string_equal(offer.service, "db");
    assert_string_equal(offer.peer_id, "ag_1");
    assert_int_equal(offer.mode, PIPE_WRAPPED);
    assert_int_equal(offer.peer_key[1], 0x11);
    assert_memory_equal(offer.peer_key, peer.key, IDENTITY_KEY_LEN);
    assert_string_equal(peer.label, "prod");
}

static void an_offer_that_is_not_right_is_refused(void **state)
{
    static const char *const cases[] = {
        "{}",
        "[]",
        "{\"service\":\"db\"," PEER "}",
        "{\"ticket\":\"short\",\"service\":\"db\"," PEER "}",
        "{\"ticket\":\"" KEY KEY "\",\"service\":\"db\"," PEER "}",
        "{\"ticket\":\"" KEY "\",\"service\":\"../db\"," PEER "}",
        "{\"ticket\":\"" KEY "\",\"service\":7," PEER "}",
        "{\"ticket\":\"" KEY "\",\"service\":\"db\",\"mode\":\"rubber\"," PEER "}",
        "{\"ticket\":\"" KEY "\",\"service\":\"db\"}",
        "{\"ticket\":\"" KEY
        "\",\"service\":\"db\",\"peer\":{\"agent_id\":\"\",\"public_key\":\"" KEY "\"}}",
        "{\"ticket\":\"" KEY
        "\",\"service\":\"db\",\"peer\":{\"agent_id\":\"a\",\"public_key\":\"00\"}}",
        "{\"ticket\":\"" KEY "\",\"service\":\"db\",\"peer\":{\"agent_id\":\"" KEY
        "\",\"public_key\":\"" KEY "\"}}",
    };
    struct pipe_offer offer;
    struct pins_peer peer;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(read(cases[i], &offer, &peer), RC_INPUT);
}

/* What another agent says of its target goes to a person's terminal: nothing but what we know. */
static void a_check_from_elsewhere_keeps_only_what_we_know(void **state)
{
    static const struct {
        const char *from, *kept;
    } cases[] = {
        {"{\"tcp\":{\"ok\":true,\"ms\":1.5}}", "{\"tcp\":{\"ok\":true,\"ms\":1.5}}"},
        {"{\"tcp\":{\"ok\":\"yes\",\"ms\":{},\"error\":[]}}", "{\"tcp\":{}}"},
        {"{\"tcp\":7,\"evil\":{\"ok\":true}}", "{}"},
        {"{\"dns\":{\"addresses\":[\"::1\",7,\"a\\u0007b\"]}}",
         "{\"dns\":{\"addresses\":[\"::1\"]}}"},
        {"{\"http\":{\"ok\":true,\"status\":200,\"body\":\"x\"}}",
         "{\"http\":{\"ok\":true,\"status\":200}}"},
        {"{\"tls\":{\"issuer\":\"a\\u001bb\",\"subject\":\"s\",\"days_left\":-3,\"self_signed\":"
         "true}}",
         "{\"tls\":{\"subject\":\"s\",\"days_left\":-3,\"self_signed\":true}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *from = json_loads(cases[i].from, 0, NULL),
               *kept = json_loads(cases[i].kept, 0, NULL);
        json_t *clean = diagnose_clean(from);
        assert_true(json_equal(clean, kept));
        json_decref(from);
        json_decref(kept);
        json_decref(clean);
    }
    json_t *list = json_array();
    assert_null(diagnose_clean(list));
    json_decref(list);
}

static void the_hubs_refusals_become_codes_of_ours(void **state)
{
    static const struct {
        const char *error, *code;
    } cases[] = {
        {"{\"code\":\"not_found\",\"message\":\"Service not found\"}", "not_found"},
        {"{\"code\":\"offline\",\"message\":\"x\"}", "not_reachable"},
        {"{\"code\":\"taken\",\"message\":\"x\"}", "denied"},
        {"{\"code\":\"refused\",\"message\":\"key_changed: x\"}", "peer_refused"},
        {"{\"code\":\"refused\",\"message\":\"no_such_service: x\"}", "not_found"},
        {"{\"code\":\"refused\",\"message\":\"whatever\"}", "denied"},
        {"{\"code\":\"unavailable\"}", "hub_unavailable"},
        {"{\"code\":\"incompatible\"}", "incompatible"},
        {"{\"code\":7}", "other"},
        {"[]", "other"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct failure why = {0};
        json_t *error = json_loads(cases[i].error, 0, NULL);
        hub_error_of_reply(error, &why);
        assert_string_equal(why.code, cases[i].code);
        assert_true(why.message[0] != '\0');
        json_decref(error);
    }
}

static void text_that_was_cut_is_still_json(void **state)
{
    (void)state;
    json_t *whole = json_text("büro"), *cut = json_text("b\xc3");
    assert_string_equal(json_string_value(whole), "büro");
    assert_string_equal(json_string_value(cut), "b?");
    json_decref(whole);
    json_decref(cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_retry_comes_at_once_and_the_others_within_their_bounds),
        cmocka_unit_test(the_wanted_port_is_the_services_own),
        cmocka_unit_test(a_port_that_cannot_be_had_has_a_next_one),
        cmocka_unit_test(an_offer_is_read_whole),
        cmocka_unit_test(an_offer_that_is_not_right_is_refused),
        cmocka_unit_test(a_check_from_elsewhere_keeps_only_what_we_know),
        cmocka_unit_test(the_hubs_refusals_become_codes_of_ours),
        cmocka_unit_test(text_that_was_cut_is_still_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
