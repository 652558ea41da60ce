/* The control link, with hub_call and websocket replaced by fakes that the tests speak through. */
#include "agent/uplink.h"

#include <string.h>

#include "agent/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/websocket.h"
#include "test.h"
#include "wire/http1.h"

/*
 * --- the fakes -----------------------------------------------------------------------------------
 */

struct hub_call {
    const struct hub_call_events *events;
    void *owner;
};

struct websocket {
    const struct websocket_events *events;
    void *owner;
};

static struct {
    struct hub_call call;
    bool calling;
    unsigned calls;
    char bearer[128];
    struct websocket ws;
    bool open; /* and not closed by the uplink */
    uint16_t closed_with;
    const char *reason;
    json_t *sent; /* array of what the uplink has said since the last look */
} fake;

struct hub_call *hub_call_start(struct loop *l, const struct hub_address *hub,
                                const struct hub_call_request *request,
                                const struct hub_call_events *events, void *owner)
{
    (void)l, (void)hub;
    assert_string_equal(request->path, "/v1/control");
    assert_string_equal(request->subprotocol, "pconnect.control.1");
    text_message(fake.bearer, sizeof fake.bearer, "%s", request->bearer);
    fake.call = (struct hub_call){events, owner};
    fake.calling = true;
    fake.calls++;
    return &fake.call;
}

void hub_call_cancel(struct hub_call *call)
{
    if (call)
        fake.calling = false;
}

enum rc hub_call_fingerprint(const struct hub_call *call, uint8_t out[32])
{
    (void)call;
    memset(out, 0xab, 32);
    return RC_OK;
}

struct websocket *websocket_new(struct channel *ch, enum websocket_role role, size_t message_max,
                                struct reader rest, const struct websocket_events *events,
                                void *owner)
{
    (void)ch, (void)rest;
    assert_int_equal(role, WEBSOCKET_CLIENT);
    assert_int_equal(message_max, UPLINK_MESSAGE_MAX);
    fake.ws = (struct websocket){events, owner};
    fake.open = true;
    fake.reason = "";
    return &fake.ws;
}

void websocket_own(struct websocket *ws, const struct websocket_events *events, void *owner)
{
    *ws = (struct websocket){events, owner};
}

void websocket_send(struct websocket *ws, struct reader text)
{
    (void)ws;
    json_t *message = json_loadb((const char *)text.at, text.left, 0, NULL);
    assert_non_null(message);
    (void)json_array_append_new(fake.sent, message);
}

void websocket_ping(struct websocket *ws)
{
    (void)ws;
}

void websocket_close(struct websocket *ws, enum rc why, uint16_t code, const char *reason)
{
    (void)ws, (void)why, (void)reason;
    fake.open = false;
    fake.closed_with = code;
}

const char *websocket_reason(const struct websocket *ws)
{
    (void)ws;
    return fake.reason;
}

const char *websocket_peer(const struct websocket *ws)
{
    (void)ws;
    return "fake";
}

/* --- an uplink and what it tells ------------------------------------------------------------- */

struct world {
    struct loop *loop;
    struct uplink *uplink;
    struct hub_address hub;
    struct token token;
    unsigned connected, lost, ended, dials;
    uint64_t dial_id;
    struct failure why;
    /* of asks */
    unsigned answered, failed;
    char code[32];
};

static json_t *make_hello(void *owner)
{
    (void)owner;
    return json_pack("{s:s, s:[]}", "label", "prod", "services");
}

static void on_connected(void *owner, const json_t *welcome)
{
    struct world *w = owner;

    (void)welcome;
    w->connected++;
}

static void on_lost(void *owner, const struct failure *why)
{
    struct world *w = owner;

    w->lost++;
    w->why = *why;
}

static void on_ended(void *owner, const struct failure *why)
{
    struct world *w = owner;

    w->ended++;
    w->why = *why;
}

static void on_dial(void *owner, uint64_t id, const json_t *dial)
{
    struct world *w = owner;

    (void)dial;
    w->dials++;
    w->dial_id = id;
}

static const struct uplink_events events = {make_hello, on_connected, on_lost, on_ended, on_dial};

static void on_told(void *owner, const json_t *reply, const struct failure *why)
{
    struct world *w = owner;

    if (reply)
        w->answered++;
    else
        w->failed++;
    text_message(w->code, sizeof w->code, "%s", why ? why->code : "");
}

static int set_up(void **state)
{
    struct world *w = mem_zalloc(sizeof *w);

    memset(&fake, 0, sizeof fake);
    fake.sent = json_array();
    text_message(w->token.text, sizeof w->token.text, "pct_secret");
    w->loop = loop_new();
    struct uplink_setup setup = {.loop = w->loop,
                                 .hub = &w->hub,
                                 .token = &w->token,
                                 .pinned = "",
                                 .events = &events,
                                 .owner = w};
    w->uplink = uplink_new(&setup);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    uplink_free(w->uplink);
    loop_run(w->loop);
    loop_free(w->loop);
    json_decref(fake.sent);
    free(w);
    return 0;
}

static void stop_loop(void *owner)
{
    loop_stop(owner);
}

static void run_for(struct world *w, uint64_t ms)
{
    struct timer t;

    timer_init(&t, w->loop, stop_loop, w->loop);
    timer_start(&t, ms);
    loop_run(w->loop);
    timer_stop(&t);
}

static void upgrade(const char *chosen)
{
    struct http1_head head;
    char text[256];

    text_message(text, sizeof text,
                 "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n%s\r\n",
                 chosen);
    struct reader in = reader_of_text(text);
    assert_int_equal(http1_response_decode(&in, &head), RC_OK);
    fake.calling = false;
    fake.call.events->on_upgrade(fake.call.owner, NULL, &head, reader_of(NULL, 0));
}

static void hub_says(const char *text)
{
    fake.ws.events->on_message(fake.ws.owner, reader_of_text(text));
}

/* The last thing the uplink has said; forgotten with the others. */
static void expect_said(const char *type, const char *member, const char *value)
{
    json_t *last = json_array_get(fake.sent, json_array_size(fake.sent) - 1);

    assert_non_null(last);
    assert_string_equal(json_string_value(json_object_get(last, "type")), type);
    if (member)
        assert_string_equal(json_string_value(json_object_get(last, member)), value);
    (void)json_array_clear(fake.sent);
}

static void connect_it(struct world *w)
{
    upgrade("Sec-WebSocket-Protocol: pconnect.control.1\r\n");
    uint64_t id = (uint64_t)json_integer_value(json_object_get(json_array_get(fake.sent, 0), "id"));
    expect_said("hello", "label", "prod");
    char reply[128];
    text_message(reply, sizeof reply, "{\"type\":\"reply\",\"re\":%llu,\"workspace\":\"acme\"}",
                 (unsigned long long)id);
    hub_says(reply);
    assert_int_equal(uplink_state(w->uplink), UPLINK_CONNECTED);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void hello_comes_first_and_its_reply_means_connected(void **state)
{
    struct world *w = *state;

    assert_string_equal(fake.bearer, "pct_secret");
    assert_int_equal(uplink_state(w->uplink), UPLINK_CONNECTING);
    connect_it(w);
    assert_int_equal(w->connected, 1);
    assert_null(uplink_failure(w->uplink)->code);
}

/* What the hub may answer instead of the link, and whether it is worth trying again. */
static void answers_that_are_no_link(void **state)
{
    static const struct {
        unsigned status;
        const char *code;
        bool ends;
    } cases[] = {
        {401, "not_logged_in", true},    {426, "incompatible", true},
        {403, "denied", false},          {404, "hub_unavailable", false},
        {429, "other", false},           {503, "hub_unavailable", false},
        {200, "hub_unavailable", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w;
        assert_int_equal(set_up((void **)&w), 0);
        fake.calling = false;
        fake.call.events->on_answer(fake.call.owner, cases[i].status, reader_of(NULL, 0));
        assert_string_equal(w->why.code, cases[i].code);
        assert_int_equal(w->ended, cases[i].ends);
        assert_int_equal(w->lost, !cases[i].ends);
        run_for(w, 5);
        assert_int_equal(fake.calls, cases[i].ends ? 1 : 2); /* the first retry comes at once */
        assert_int_equal(tear_down((void **)&w), 0);
    }
}

static void a_certificate_that_changed_is_told_with_its_fingerprint(void **state)
{
    struct world *w = *state;

    fake.call.events->on_failed(fake.call.owner, RC_AUTH, "not trusted");
    assert_string_equal(w->why.code, "hub_changed");
    assert_non_null(strstr(w->why.message, "sha256:abab"));
}

static void a_link_without_our_subprotocol_is_none(void **state)
{
    struct world *w = *state;

    upgrade("");
    assert_false(fake.open);
    assert_int_equal(w->lost, 1);
    assert_int_equal(w->connected, 0);
}

static void close_codes_end_it_or_not(void **state)
{
    static const struct {
        uint16_t code;
        const char *failure;
        bool ends;
    } cases[] = {
        {4001, "replaced", true},         {4003, "not_logged_in", true},
        {4008, "hub_unavailable", false}, {1012, "hub_unavailable", false},
        {1013, "hub_unavailable", false}, {0, "hub_unavailable", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w;
        assert_int_equal(set_up((void **)&w), 0);
        connect_it(w);
        fake.ws.events->on_closed(fake.ws.owner, RC_EOF, cases[i].code);
        assert_string_equal(w->why.code, cases[i].failure);
        assert_int_equal(w->ended, cases[i].ends);
        assert_int_equal(w->lost, !cases[i].ends);
        assert_int_equal(uplink_state(w->uplink), cases[i].ends ? UPLINK_ENDED : UPLINK_WAITING);
        assert_int_equal(tear_down((void **)&w), 0);
    }
}

static void what_the_hub_says_before_it_revokes_is_told(void **state)
{
    struct world *w = *state;

    connect_it(w);
    hub_says("{\"type\":\"revoked\",\"message\":\"by alice\"}");
    fake.ws.events->on_closed(fake.ws.owner, RC_EOF, 4003);
    assert_non_null(strstr(w->why.message, "by alice"));
}

static void a_reply_reaches_its_asker_and_no_other(void **state)
{
    struct world *w = *state;

    connect_it(w);
    (void)uplink_ask(w->uplink, json_pack("{s:s}", "type", "list"), on_told, w);
    json_int_t id = json_integer_value(json_object_get(json_array_get(fake.sent, 0), "id"));
    expect_said("list", NULL, NULL);
    char text[128];
    text_message(text, sizeof text, "{\"type\":\"reply\",\"re\":%lld}", (long long)id + 1);
    hub_says(text);
    hub_says("{\"type\":\"reply\"}");
    hub_says("{\"type\":\"reply\",\"re\":\"x\"}");
    assert_int_equal(w->answered + w->failed, 0);
    text_message(text, sizeof text, "{\"type\":\"reply\",\"re\":%lld}", (long long)id);
    hub_says(text);
    hub_says(text); /* once is enough */
    assert_int_equal(w->answered, 1);
}

static void an_error_reply_becomes_a_failure(void **state)
{
    struct world *w = *state;

    connect_it(w);
    (void)uplink_ask(w->uplink, json_pack("{s:s}", "type", "open"), on_told, w);
    json_int_t id = json_integer_value(json_object_get(json_array_get(fake.sent, 0), "id"));
    char text[160];
    text_message(
        text, sizeof text,
        "{\"type\":\"reply\",\"re\":%lld,\"error\":{\"code\":\"offline\",\"message\":\"gone\"}}",
        (long long)id);
    hub_says(text);
    assert_int_equal(w->failed, 1);
    assert_string_equal(w->code, "not_reachable");
}

static void asks_end_with_the_link(void **state)
{
    struct world *w = *state;

    connect_it(w);
    (void)uplink_ask(w->uplink, json_pack("{s:s}", "type", "list"), on_told, w);
    struct ask *forgotten = uplink_ask(w->uplink, json_pack("{s:s}", "type", "list"), on_told, w);
    ask_cancel(forgotten);
    fake.ws.events->on_closed(fake.ws.owner, RC_EOF, 0);
    assert_int_equal(w->failed, 1);
    assert_string_equal(w->code, "hub_unavailable");
}

static void without_a_link_an_ask_fails_but_not_from_within(void **state)
{
    struct world *w = *state;

    (void)uplink_ask(w->uplink, json_pack("{s:s}", "type", "list"), on_told, w);
    assert_int_equal(w->failed, 0);
    run_for(w, 1);
    assert_int_equal(w->failed, 1);
    assert_string_equal(w->code, "hub_unavailable");
}

static void dials_are_handed_up_and_answered(void **state)
{
    struct world *w = *state;

    upgrade("Sec-WebSocket-Protocol: pconnect.control.1\r\n");
    hub_says("{\"type\":\"dial\",\"id\":3}"); /* before the welcome */
    expect_said("reply", NULL, NULL);
    assert_int_equal(w->dials, 0);
    assert_int_equal(tear_down(state), 0);

    assert_int_equal(set_up(state), 0);
    w = *state;
    connect_it(w);
    hub_says("{\"type\":\"dial\",\"id\":7}");
    assert_int_equal(w->dials, 1);
    assert_int_equal(w->dial_id, 7);
    uplink_agree(w->uplink, 7);
    json_t *reply = json_array_get(fake.sent, 0);
    assert_int_equal(json_integer_value(json_object_get(reply, "re")), 7);
    assert_null(json_object_get(reply, "error"));
    (void)json_array_clear(fake.sent);
    uplink_refuse(w->uplink, 8, "limit", "too many");
    reply = json_object_get(json_array_get(fake.sent, 0), "error");
    assert_string_equal(json_string_value(json_object_get(reply, "code")), "limit");
}

/* docs/protocol.md §2: answered with an error, not with a close; without an id: not at all. */
static void types_that_are_not_known_are_answered(void **state)
{
    struct world *w = *state;

    connect_it(w);
    hub_says("{\"type\":\"from-the-future\",\"id\":9}");
    json_t *reply = json_array_get(fake.sent, 0);
    assert_int_equal(json_integer_value(json_object_get(reply, "re")), 9);
    assert_non_null(json_object_get(reply, "error"));
    (void)json_array_clear(fake.sent);
    hub_says("{\"type\":\"from-the-future\"}");
    hub_says("{\"type\":7}");
    hub_says("{}");
    assert_int_equal(json_array_size(fake.sent), 0);
    assert_int_equal(uplink_state(w->uplink), UPLINK_CONNECTED);
}

static void what_is_no_json_object_ends_the_link(void **state)
{
    static const char *const cases[] = {
        "", "nonsense", "[]", "7", "{\"type\":\"reply\"} x", "{\"type\":\"a\",\"type\":\"b\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w;
        assert_int_equal(set_up((void **)&w), 0);
        connect_it(w);
        hub_says(cases[i]);
        assert_int_equal(fake.closed_with, 4008);
        assert_int_equal(w->lost, 1);
        assert_int_equal(tear_down((void **)&w), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hello_comes_first_and_its_reply_means_connected, set_up,
                                        tear_down),
        cmocka_unit_test(answers_that_are_no_link),
        cmocka_unit_test_setup_teardown(a_certificate_that_changed_is_told_with_its_fingerprint,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_without_our_subprotocol_is_none, set_up, tear_down),
        cmocka_unit_test(close_codes_end_it_or_not),
        cmocka_unit_test_setup_teardown(what_the_hub_says_before_it_revokes_is_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_reply_reaches_its_asker_and_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_error_reply_becomes_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asks_end_with_the_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_link_an_ask_fails_but_not_from_within, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(dials_are_handed_up_and_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types_that_are_not_known_are_answered, set_up, tear_down),
        cmocka_unit_test(what_is_no_json_object_ends_the_link),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
