#include "hub/control_message.h"

#include <jansson.h>
#include <stdio.h>

#include "test.h"

static enum rc parse(const char *text, struct control_message *m, char why[CONTROL_WHY_SIZE])
{
    uint8_t *copy = exact_copy(text, strlen(text));

    enum rc rc = control_message_parse(reader_of(copy, strlen(text)), m, why);
    free(copy);
    return rc;
}

static void reads_what_the_protocol_names(void **state)
{
    (void)state;
    char why[CONTROL_WHY_SIZE];
    struct control_message m;

    assert_int_equal(
        parse("{\"type\":\"hello\",\"id\":1,\"protocol\":{\"min\":1,\"max\":3},\"version\":\"0.1\","
              "\"label\":\"Büro\",\"services\":[{\"name\":\"db\",\"protocol\":\"tcp\","
              "\"target\":\"localhost:5432\"},{\"name\":\"w\",\"target\":\"80\"}],\"more\":[]}",
              &m, why),
        RC_OK);
    assert_int_equal(m.type, CONTROL_HELLO);
    assert_int_equal(m.hello.protocol_max, 3);
    assert_string_equal(m.hello.label, "Büro");
    assert_int_equal(m.hello.service_count, 2);
    assert_string_equal(m.hello.services[0].target, "localhost:5432");
    assert_string_equal(m.hello.services[1].protocol, "tcp");
    control_message_done(&m);

    assert_int_equal(parse("{\"type\":\"open\",\"id\":9007199254740993,\"service\":\"a-1\","
                           "\"purpose\":\"resume\",\"mode\":\"base64\"}",
                           &m, why),
                     RC_OK);
    assert_int_equal(m.type, CONTROL_OPEN);
    assert_true(m.id == 9007199254740993u);
    assert_true(m.open.resume);
    assert_string_equal(m.open.mode, "base64");

    assert_int_equal(parse("{\"type\":\"reply\",\"re\":7}", &m, why), RC_OK);
    assert_int_equal(m.type, CONTROL_REPLY);
    assert_int_equal(m.id, 7);
    assert_false(m.reply.refused);
    assert_int_equal(
        parse("{\"type\":\"reply\",\"re\":7,\"error\":{\"code\":\"limit\",\"message\":\"no\"}}", &m,
              why),
        RC_OK);
    assert_true(m.reply.refused);
    assert_string_equal(m.reply.code, "limit");

    assert_int_equal(parse("{\"type\":\"dance\",\"id\":0}", &m, why), RC_OK);
    assert_int_equal(m.type, CONTROL_UNKNOWN);
}

#define SERVICE(name) "{\"type\":\"expose\",\"id\":1,\"name\":" name ",\"target\":\"x\"}"
#define HELLO(rest) "{\"type\":\"hello\",\"id\":1," rest "}"
#define FINE "\"protocol\":{\"min\":1,\"max\":1},\"version\":\"1\""

static void refuses_what_is_wrong_and_says_which_member(void **state)
{
    (void)state;
    static const struct {
        const char *text, *member; /* NULL: nothing can be answered */
    } cases[] = {
        {"", NULL},
        {"{", NULL},
        {"[]", NULL},
        {"\"x\"", NULL},
        {"{}", NULL},
        {"{\"type\":1,\"id\":1}", NULL},
        {"{\"type\":\"list\",\"id\":1}x", NULL},
        {"{\"type\":\"list\",\"id\":1,\"id\":1}", NULL},
        {"{\"type\":\"li\xff\",\"id\":1}", NULL},
        {"{\"type\":\"list\"}", "id"},
        {"{\"type\":\"list\",\"id\":1.5}", "id"},
        {"{\"type\":\"list\",\"id\":-1}", "id"},
        {"{\"type\":\"reply\",\"id\":1}", "re"},
        {"{\"type\":\"reply\",\"re\":1,\"error\":[]}", "code"},
        {SERVICE("\"\""), "name"},
        {SERVICE("\"Db\""), "name"},
        {SERVICE("\"a b\""), "name"},
        {SERVICE("\"a\\u0000\""), NULL},
        {SERVICE("5"), "name"},
        {SERVICE("\"0123456789012345678901234567890123456789012345678901234567890123\""), "name"},
        {"{\"type\":\"expose\",\"id\":1,\"name\":\"a\"}", "target"},
        {"{\"type\":\"expose\",\"id\":1,\"name\":\"a\",\"target\":\"\\u001b\"}", "target"},
        {"{\"type\":\"expose\",\"id\":1,\"name\":\"a\",\"target\":\"\\u009b\"}", "target"},
        {"{\"type\":\"expose\",\"id\":1,\"name\":\"a\",\"target\":\"x\",\"protocol\":\"ip\"}",
         "protocol"},
        {"{\"type\":\"open\",\"id\":1,\"service\":\"a\"}", "purpose"},
        {"{\"type\":\"open\",\"id\":1,\"service\":\"a\",\"purpose\":\"reach\",\"mode\":\"bare\"}",
         "mode"},
        {"{\"type\":\"peer\",\"id\":1}", "agent"},
        {HELLO("\"protocol\":1"), "min"},
        {HELLO("\"protocol\":{\"min\":2,\"max\":1}"), "protocol"},
        {HELLO(FINE), "label"},
        {HELLO(FINE ",\"label\":\" x\""), "label"},
        {HELLO(FINE ",\"label\":\"a\\nb\""), "label"},
        {HELLO(FINE ",\"label\":\"x\",\"services\":{}"), "services"},
        {HELLO(FINE ",\"label\":\"x\",\"services\":[5]"), "name"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct control_message m;
        char why[CONTROL_WHY_SIZE];
        enum rc rc = parse(cases[i].text, &m, why);
        if (rc != (cases[i].member ? RC_INPUT : RC_PROTO))
            fail_msg("%s: %s", cases[i].text, rc_text(rc));
        if (cases[i].member && strncmp(why, cases[i].member, strlen(cases[i].member)) != 0)
            fail_msg("%s: says %s", cases[i].text, why);
    }
}

static void a_wrong_request_keeps_its_number_for_the_answer(void **state)
{
    (void)state;
    struct control_message m;
    char why[CONTROL_WHY_SIZE];

    assert_int_equal(parse("{\"type\":\"peer\",\"id\":77,\"agent\":5}", &m, why), RC_INPUT);
    assert_true(m.has_id);
    assert_int_equal(m.id, 77);
    assert_int_equal(parse("{\"type\":\"peer\",\"agent\":\"x\"}", &m, why), RC_INPUT);
    assert_false(m.has_id);
}

static void labels_are_counted_in_characters(void **state)
{
    (void)state;
    char label[256] = "";

    for (int i = 0; i < 63; i++)
        strcat(label, "ä");
    assert_true(control_is_label(label));
    strcat(label, "a");
    assert_false(control_is_label(label));
    assert_false(control_is_label(""));
    assert_false(control_is_label("a "));
    assert_true(control_is_label("a b"));
}

static void a_list_that_is_too_long_is_cut_and_says_so(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    struct control_listed *all = calloc(MANY, sizeof *all);

    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(all[i].service.name, sizeof all[i].service.name, "s%zu", i);
        memset(all[i].service.target, 'x', 300);
    }
    char *text = control_reply_list(5, all, MANY);
    assert_true(strlen(text) <= CONTROL_MESSAGE_MAX);
    json_t *object = json_loads(text, 0, NULL);
    size_t count = json_array_size(json_object_get(object, "services"));
    assert_true(json_is_true(json_object_get(object, "more")));
    assert_true(count > 100 && count < MANY);
    json_decref(object);
    free(text);

    text = control_reply_list(5, all, 3);
    assert_non_null(strstr(text, "\"more\":false"));
    free(text);
    free(all);
}

static void what_it_writes_is_what_the_protocol_says(void **state)
{
    (void)state;
    static const struct control_service service = {"db", "tcp", "localhost:5432"};
    const struct control_opened opened = {.pipe = "p_1",
                                          .ticket = "t",
                                          .mode = "auto",
                                          .service = &service,
                                          .peer = {"ag_1", "web", "00ff"}};
    const struct control_refused refused = {"x", "taken", "by \"web\""};
    const struct control_welcome welcome = {"ag_1",  "web",    "acme", "2026-01-31T12:00:00Z",
                                            "0.1.0", &refused, 1};
    const struct {
        char *got;
        const char *want;
    } cases[] = {
        {control_reply(3), "{\"type\":\"reply\",\"re\":3}"},
        {control_reply_error(4, "limit", "no"),
         "{\"type\":\"reply\",\"re\":4,\"error\":{\"code\":\"limit\",\"message\":\"no\"}}"},
        {control_reply_open(5, &opened), "{\"type\":\"reply\",\"re\":5,\"pipe\":\"p_1\",\"ticket\":"
                                         "\"t\",\"service\":\"db\",\"protocol\":\"tcp\","
                                         "\"target\":\"localhost:5432\",\"peer\":{\"agent_id\":"
                                         "\"ag_1\",\"label\":\"web\",\"public_key\":\"00ff\"}}"},
        {control_dial(6, &opened),
         "{\"type\":\"dial\",\"id\":6,\"pipe\":\"p_1\",\"ticket\":\"t\",\"service\":\"db\","
         "\"mode\":\"auto\","
         "\"peer\":{\"agent_id\":\"ag_1\",\"label\":\"web\",\"public_key\":\"00ff\"}}"},
        {control_reply_hello(7, &welcome), "{\"type\":\"reply\",\"re\":7,\"agent_id\":\"ag_1\","
                                           "\"label\":\"web\",\"workspace\":\"acme\","
                                           "\"token_expires\":\"2026-01-31T12:00:00Z\",\"hub_"
                                           "version\":\"0.1.0\",\"refused\":[{\"name\":\"x\","
                                           "\"code\":\"taken\",\"message\":\"by \\\"web\\\"\"}]}"},
        {control_revoked("over"), "{\"type\":\"revoked\",\"message\":\"over\"}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(cases[i].got, cases[i].want);
        free(cases[i].got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_protocol_names),
        cmocka_unit_test(refuses_what_is_wrong_and_says_which_member),
        cmocka_unit_test(a_wrong_request_keeps_its_number_for_the_answer),
        cmocka_unit_test(labels_are_counted_in_characters),
        cmocka_unit_test(a_list_that_is_too_long_is_cut_and_says_so),
        cmocka_unit_test(what_it_writes_is_what_the_protocol_says),
    };
    return cmocka_run_group_tests_name("control_message", tests, NULL, NULL);
}
