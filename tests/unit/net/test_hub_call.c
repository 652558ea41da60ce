#include "net/hub_call.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "crypto/outer_tls.h"
#include "loop_test.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "net/websocket.h"
#include "wire/http1.h"

/* Calls to our own server, plain and under TLS, and to hubs that are none. */

static char cert[] = "hub-call-test.crt", key[] = "hub-call-test.key";
static char other_cert[] = "hub-call-test-2.crt", other_key[] = "hub-call-test-2.key";
static struct ssl_ctx_st *hub_context;
static uint8_t hub_fingerprint[FINGERPRINT_LEN], other_fingerprint[FINGERPRINT_LEN];

static int make_certificates(void **state)
{
    (void)state;
    struct ssl_ctx_st *other;
    char why[256];

    assert_int_equal(outer_tls_make_certificate("localhost", cert, key), RC_OK);
    assert_int_equal(outer_tls_make_certificate("localhost", other_cert, other_key), RC_OK);
    assert_int_equal(outer_tls_server(cert, key, &hub_context, hub_fingerprint, why), RC_OK);
    assert_int_equal(outer_tls_server(other_cert, other_key, &other, other_fingerprint, why),
                     RC_OK);
    outer_tls_free(other);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    outer_tls_free(hub_context);
    return unlink(cert) | unlink(key) | unlink(other_cert) | unlink(other_key);
}

/* --- a hub ---------------------------------------------------------------------------- */

static struct http_server *server;
static char seen_head[4096]; /* of the last request, as it came, "Name: value\n" */
static uint8_t hub_binding[32];
static bool hub_has_binding;
static struct channel *hub_channel;

static void on_hub_bytes(void *owner, struct reader bytes)
{
    (void)owner;
    channel_send(hub_channel, bytes);
}

static void on_hub_closed(void *owner, enum rc why)
{
    (void)owner, (void)why;
    hub_channel = NULL;
}

static const struct channel_events hub_channel_events = {.on_bytes = on_hub_bytes,
                                                         .on_closed = on_hub_closed};

static void note_head(const struct http_exchange *x)
{
    const struct http1_head *head = http_head(x);
    size_t len = 0;

    seen_head[0] = '\0';
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http1_field *f = &head->fields[i];
        text_message(seen_head + len, sizeof seen_head - len, "%.*s: %.*s\n", (int)f->name.left,
                     (const char *)f->name.at, (int)f->value.left, (const char *)f->value.at);
        len += strlen(seen_head + len);
    }
}

static void upgrade(struct http_exchange *x)
{
    const char *client_key = http_header(x, "Sec-WebSocket-Key");
    char accept[29], headers[256];
    struct reader rest;

    assert_non_null(client_key);
    assert_int_equal(websocket_accept_value(reader_of(client_key, strlen(client_key)), accept),
                     RC_OK);
    text_message(headers, sizeof headers,
                 "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n"
                 "Sec-WebSocket-Protocol: pconnect.control.1\r\n",
                 accept);
    assert_int_equal(http_upgrade(x, headers, &hub_channel, &rest), RC_OK);
    channel_own(hub_channel, &hub_channel_events, NULL);
    /* At once: it lies right behind the head. */
    channel_send(hub_channel, reader_of("\x81\x02hi", 4));
}

static void on_request(void *owner, struct http_exchange *x)
{
    char text[64];

    (void)owner;
    note_head(x);
    hub_has_binding = http_binding(x, hub_binding) == RC_OK;
    if (strcmp(http_path(x), "/v1/control") == 0) {
        upgrade(x);
        return;
    }
    text_message(text, sizeof text, "%s %s %zu", http_method(x), http_path(x), http_body(x).left);
    http_respond(x, strcmp(http_path(x), "/absent") == 0 ? 404 : 200, "text/plain",
                 reader_of(text, strlen(text)), NULL);
}

static const struct http_server_events server_events = {on_request};

static void open_hub(struct hub_address *hub, bool tls)
{
    struct address at = {.kind = ADDRESS_TCP, .host = "127.0.0.1"};

    assert_int_equal(
        http_server_open(loop, &at, tls ? hub_context : NULL, &server_events, NULL, &server),
        RC_OK);
    *hub = (struct hub_address){.at = {.kind = ADDRESS_TCP, .host = "localhost"}, .tls = tls};
    hub->at.port = http_server_port(server);
}

static void close_hub(struct hub_address *hub)
{
    http_server_close(server);
    server = NULL;
    outer_tls_free(hub->context);
    if (hub_channel)
        channel_close(hub_channel, RC_CLOSED);
    run_rounds(4);
}

/* --- a call --------------------------------------------------------------------------- */

enum what { NOTHING, ANSWERED, UPGRADED, FAILED };

struct outcome {
    struct hub_call *call;
    enum what what;
    enum rc why;
    unsigned status;
    char text[512], rest[64];
    struct channel *ch;
    bool has_fingerprint, cancel;
    uint8_t fingerprint[32];
};

static void note(struct outcome *o, enum what what)
{
    assert_int_equal(o->what, NOTHING);
    o->what = what;
    o->has_fingerprint = hub_call_fingerprint(o->call, o->fingerprint) == RC_OK;
    if (o->cancel)
        hub_call_cancel(o->call); /* too late to do anything, or harm */
    loop_stop(loop);
}

static void copy_text(char *out, size_t size, struct reader in)
{
    assert_true(in.left < size);
    memcpy(out, in.at ? in.at : (const uint8_t *)"", in.left);
    out[in.left] = '\0';
}

static void on_answer(void *owner, unsigned status, struct reader body)
{
    struct outcome *o = owner;

    o->status = status;
    copy_text(o->text, sizeof o->text, body);
    note(o, ANSWERED);
}

static void on_channel_bytes(void *owner, struct reader bytes)
{
    struct outcome *o = owner;
    size_t len = strlen(o->rest);

    copy_text(o->rest + len, sizeof o->rest - len, bytes);
    loop_stop(loop);
}

static void on_channel_closed(void *owner, enum rc why)
{
    struct outcome *o = owner;

    (void)why;
    o->ch = NULL;
    loop_stop(loop);
}

static const struct channel_events channel_events = {.on_bytes = on_channel_bytes,
                                                     .on_closed = on_channel_closed};

static void on_upgrade(void *owner, struct channel *ch, const struct http1_head *head,
                       struct reader rest)
{
    struct outcome *o = owner;

    o->ch = ch;
    channel_own(ch, &channel_events, o);
    o->status = head->status;
    copy_text(o->rest, sizeof o->rest, rest);
    note(o, UPGRADED);
}

static void on_failed(void *owner, enum rc why, const char *text)
{
    struct outcome *o = owner;

    o->why = why;
    text_message(o->text, sizeof o->text, "%s", text);
    note(o, FAILED);
}

static const struct hub_call_events call_events = {on_answer, on_upgrade, on_failed};

static const struct hub_call_request question = {.method = "GET", .path = "/v1/whoami"};
static const struct hub_call_request control = {.method = "GET",
                                                .path = "/v1/control",
                                                .bearer = "pct_secret",
                                                .upgrade = "websocket",
                                                .subprotocol = "pconnect.control.1"};

static struct outcome call_and_wait(const struct hub_address *hub,
                                    const struct hub_call_request *request)
{
    static struct outcome o;

    o = (struct outcome){.cancel = true};
    o.call = hub_call_start(loop, hub, request, &call_events, &o);
    assert_int_equal(o.what, NOTHING); /* never from within the call */
    while (o.what == NOTHING)
        run_loop();
    return o;
}

static void trust(struct hub_address *hub, const struct outer_trust *trust)
{
    outer_tls_free(hub->context);
    assert_int_equal(outer_tls_client(trust, &hub->context), RC_OK);
}

static void assert_says(const struct outcome *o, const char *words)
{
    if (strstr(o->text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", o->text, words);
}

/* --- tests: a hub as it should be
 * ------------------------------------------------------------------ */

static void a_question_gets_its_answer(void **state)
{
    (void)state;
    struct hub_address hub;

    open_hub(&hub, false);
    struct outcome o = call_and_wait(&hub, &question);
    assert_int_equal(o.what, ANSWERED);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.text, "GET /v1/whoami 0");
    assert_false(o.has_fingerprint);
    assert_non_null(strstr(seen_head, "Host: localhost:"));
    assert_non_null(strstr(seen_head, "Connection: close\n"));
    assert_null(strstr(seen_head, "Authorization"));
    assert_null(strstr(seen_head, "Content-"));

    const struct hub_call_request post = {.method = "POST",
                                          .path = "/absent",
                                          .bearer = "pc_key",
                                          .binding = true,
                                          .body = reader_of("{\"a\":1}", 7)};
    o = call_and_wait(&hub, &post);
    assert_int_equal(o.status, 404);
    assert_string_equal(o.text, "POST /absent 7");
    assert_non_null(strstr(seen_head, "Authorization: Bearer pc_key\n"));
    assert_non_null(strstr(seen_head, "Content-Type: application/json\n"));
    assert_non_null(strstr(seen_head, "Content-Length: 7\n"));
    assert_non_null(strstr(seen_head, "Pconnect-Binding: none\n"));

    const struct hub_call_request delete = {.method = "DELETE", .path = "/x"};
    (void)call_and_wait(&hub, &delete);
    assert_non_null(strstr(seen_head, "Content-Length: 0\n"));
    close_hub(&hub);
}

/* Ports 80 and 443 cannot be had for a test; what is written for the others is. */
static void the_host_header_names_the_hub_as_a_url_does(void **state)
{
    (void)state;
    struct hub_address hub;
    char expected[64];

    open_hub(&hub, false);
    memcpy(hub.at.host, "127.0.0.1", sizeof "127.0.0.1");
    (void)call_and_wait(&hub, &question);
    text_message(expected, sizeof expected, "Host: 127.0.0.1:%u\n", hub.at.port);
    assert_non_null(strstr(seen_head, expected));
    close_hub(&hub);
}

static void under_tls_a_pin_or_a_first_contact_is_trusted_and_told(void **state)
{
    (void)state;
    struct hub_address hub;
    struct outer_trust first = {.first_contact = true}, pinned = {.pinned = true};

    memcpy(pinned.pin, hub_fingerprint, sizeof pinned.pin);
    open_hub(&hub, true);
    const struct outer_trust *const good[] = {&first, &pinned};
    for (size_t i = 0; i < 2; i++) {
        trust(&hub, good[i]);
        struct outcome o = call_and_wait(&hub, &question);
        assert_int_equal(o.what, ANSWERED);
        assert_int_equal(o.status, 200);
        assert_true(o.has_fingerprint);
        assert_memory_equal(o.fingerprint, hub_fingerprint, sizeof hub_fingerprint);
    }
    close_hub(&hub);
}

static void under_tls_another_certificate_is_not_trusted_and_told(void **state)
{
    (void)state;
    struct hub_address hub;
    struct outer_trust authorities = {0}, wrong = {.pinned = true, .first_contact = true};

    memcpy(wrong.pin, other_fingerprint, sizeof wrong.pin);
    open_hub(&hub, true);
    const struct outer_trust *const bad[] = {&authorities, &wrong};
    for (size_t i = 0; i < 2; i++) {
        trust(&hub, bad[i]);
        struct outcome o = call_and_wait(&hub, &question);
        assert_int_equal(o.what, FAILED);
        assert_int_equal(o.why, RC_AUTH);
        assert_says(&o, "the certificate of localhost:");
        assert_says(&o, "is not trusted");
        assert_true(o.has_fingerprint); /* so that a person can compare */
        assert_memory_equal(o.fingerprint, hub_fingerprint, sizeof hub_fingerprint);
    }
    close_hub(&hub);
}

static void both_sides_derive_the_same_binding(void **state)
{
    (void)state;
    struct hub_address hub;
    struct outer_trust first = {.first_contact = true};
    const struct hub_call_request request = {.method = "GET", .path = "/x", .binding = true};

    open_hub(&hub, true);
    trust(&hub, &first);
    (void)call_and_wait(&hub, &request);
    assert_true(hub_has_binding);
    const char *told = strstr(seen_head, "Pconnect-Binding: ");
    assert_non_null(told);
    told += strlen("Pconnect-Binding: ");
    assert_int_equal(strcspn(told, "\n"), 43);
    /* The first 30 bytes are 40 characters: enough to know it. */
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < 30; i += 3) {
        unsigned bits =
            (unsigned)(hub_binding[i] << 16 | hub_binding[i + 1] << 8 | hub_binding[i + 2]);
        for (int j = 0; j < 4; j++)
            assert_int_equal(told[i / 3 * 4 + j], alphabet[bits >> (18 - 6 * j) & 63]);
    }
    close_hub(&hub);
}

static void an_upgrade_gives_the_channel_and_what_lay_behind_the_head(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct hub_address hub;
        struct outer_trust first = {.first_contact = true};

        open_hub(&hub, tls == 1);
        if (tls)
            trust(&hub, &first);
        static struct outcome o;
        o = (struct outcome){.cancel = true};
        o.call = hub_call_start(loop, &hub, &control, &call_events, &o);
        while (o.what == NOTHING || strlen(o.rest) < 4)
            run_loop();
        assert_int_equal(o.what, UPGRADED);
        assert_int_equal(o.status, 101);
        assert_string_equal(o.rest, "\x81\x02hi");
        assert_non_null(strstr(seen_head, "Connection: Upgrade\n"));
        assert_non_null(strstr(seen_head, "Upgrade: websocket\n"));
        assert_non_null(strstr(seen_head, "Sec-WebSocket-Version: 13\n"));
        assert_non_null(strstr(seen_head, "Sec-WebSocket-Protocol: pconnect.control.1\n"));
        channel_send(o.ch, reader_of("echo", 4));
        while (strlen(o.rest) < 8)
            run_loop();
        assert_string_equal(o.rest + 4, "echo");
        channel_close(o.ch, RC_CLOSED);
        while (o.ch)
            run_loop();
        close_hub(&hub);
    }
}

static void a_refused_upgrade_is_an_answer(void **state)
{
    (void)state;
    struct hub_address hub;
    struct hub_call_request request = control;

    request.path = "/absent";
    open_hub(&hub, false);
    struct outcome o = call_and_wait(&hub, &request);
    assert_int_equal(o.what, ANSWERED);
    assert_int_equal(o.status, 404);
    close_hub(&hub);
}

static void after_cancel_comes_nothing(void **state)
{
    (void)state;
    struct hub_address hub;
    struct outer_trust first = {.first_contact = true};
    struct outcome o = {0};

    open_hub(&hub, true);
    trust(&hub, &first);
    /* At every stage there is. */
    for (unsigned rounds = 0; rounds < 12; rounds++) {
        o = (struct outcome){0};
        o.call = hub_call_start(loop, &hub, &question, &call_events, &o);
        if (rounds > 0)
            run_rounds(rounds);
        if (o.what == NOTHING)
            hub_call_cancel(o.call);
        else
            assert_int_equal(o.what, ANSWERED);
        enum what what = o.what;
        run_rounds(4);
        assert_int_equal(o.what, what);
    }
    close_hub(&hub);
}

/* --- tests: what is no hub
 * --------------------------------------------------------------------------- */

/* Sends fixed bytes to whoever connects, once it has heard something, and closes. */
struct impostor {
    struct listener *listener;
    const char *says;
    bool keep_open;
    struct channel *ch;
};

static void on_impostor_bytes(void *owner, struct reader bytes)
{
    struct impostor *im = owner;

    (void)bytes;
    channel_send(im->ch, reader_of(im->says, strlen(im->says)));
    if (!im->keep_open)
        channel_finish(im->ch, RC_CLOSED);
}

static void on_impostor_closed(void *owner, enum rc why)
{
    struct impostor *im = owner;

    (void)why;
    im->ch = NULL;
}

static void on_impostor_open(void *owner)
{
    (void)owner;
}

static const struct channel_events impostor_events = {
    .on_open = on_impostor_open, .on_bytes = on_impostor_bytes, .on_closed = on_impostor_closed};

static void on_accept(void *owner, int fd)
{
    struct impostor *im = owner;

    assert_null(im->ch);
    im->ch = channel_new(loop, fd, NULL, &impostor_events, im);
}

static void open_impostor(struct impostor *im, struct hub_address *hub)
{
    struct address at = {.kind = ADDRESS_TCP, .host = "127.0.0.1"};

    *im = (struct impostor){0};
    assert_int_equal(listener_open(loop, &at, on_accept, im, &im->listener), RC_OK);
    *hub = (struct hub_address){.at = at};
    hub->at.port = listener_port(im->listener);
}

static void wait_until_gone(struct impostor *im)
{
    while (im->ch)
        run_rounds(1);
}

static void close_impostor(struct impostor *im)
{
    if (im->ch)
        channel_close(im->ch, RC_CLOSED);
    wait_until_gone(im);
    listener_close(im->listener);
    run_rounds(2);
}

static void every_answer_is_either_whole_or_an_error_that_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *says, *text; /* the body, or words of the error */
        enum rc why;             /* RC_OK: answered */
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", RC_OK},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\noktrailing", "ok", RC_OK},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", RC_OK},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", RC_OK},
        {"HTTP/1.0 200 OK\r\n\r\nold", "old", RC_OK},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", RC_OK},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         "ok", RC_OK},
        {"", "closed the connection before it had answered; perhaps it wants https://", RC_SYSTEM},
        {"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection before it had answered",
         RC_SYSTEM},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ncut",
         "closed the connection before it had answered", RC_SYSTEM},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
         "closed the connection before it had answered", RC_SYSTEM},
        {"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP", RC_PROTO},
        {"\x15\x03\x01\x02\x02\x16", "it speaks TLS", RC_PROTO},
        {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "does not speak HTTP", RC_PROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
         "does not speak HTTP", RC_PROTO},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "its answer is broken",
         RC_PROTO},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", "closed", RC_SYSTEM},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
         "changed the protocol unasked", RC_PROTO},
    };
    struct impostor im;
    struct hub_address hub;

    open_impostor(&im, &hub);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        im.says = cases[i].says;
        struct outcome o = call_and_wait(&hub, &question);
        assert_int_equal(o.why, cases[i].why);
        if (cases[i].why == RC_OK)
            assert_string_equal(o.text, cases[i].text);
        else
            assert_says(&o, cases[i].text);
        wait_until_gone(&im);
    }
    close_impostor(&im);
}

static void answers_without_end_are_given_up(void **state)
{
    (void)state;
    struct impostor im;
    struct hub_address hub;
    char *flood = malloc(2 * HUB_CALL_BODY_MAX);
    static const struct {
        const char *begin, *text;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", "its answer is too long"},
        {"HTTP/1.1 200 OK\r\nX: ", "does not speak HTTP"},
    };

    assert_non_null(flood);
    open_impostor(&im, &hub);
    for (size_t i = 0; i < 2; i++) {
        memset(flood, 'a', 2 * HUB_CALL_BODY_MAX);
        flood[2 * HUB_CALL_BODY_MAX - 1] = '\0';
        memcpy(flood, cases[i].begin, strlen(cases[i].begin));
        im.says = flood;
        struct outcome o = call_and_wait(&hub, &question);
        assert_int_equal(o.why, RC_PROTO);
        assert_says(&o, cases[i].text);
        wait_until_gone(&im);
    }
    /* Heads that never become the real one. */
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    for (size_t i = 0; i < 20; i++)
        memcpy(flood + i * (sizeof interim - 1), interim, sizeof interim);
    struct outcome o = call_and_wait(&hub, &question);
    assert_int_equal(o.why, RC_PROTO);
    close_impostor(&im);
    free(flood);
}

static void a_101_that_does_not_fit_is_not_believed(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "Connection: Upgrade\r\nUpgrade: pconnect-pipe\r\n",
        "Connection: Upgrade\r\nUpgrade: socket\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, websocket\r\n",
    };
    struct impostor im;
    struct hub_address hub;

    open_impostor(&im, &hub);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char says[512];
        text_message(says, sizeof says, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", cases[i]);
        im.says = says;
        struct outcome o = call_and_wait(&hub, &control);
        assert_int_equal(o.what, FAILED);
        assert_int_equal(o.why, RC_PROTO);
        wait_until_gone(&im);
    }
    close_impostor(&im);
}

static void a_pipe_may_be_any_of_the_protocols_offered(void **state)
{
    (void)state;
    const struct hub_call_request request = {.method = "GET",
                                             .path = "/v1/pipe",
                                             .upgrade = "pconnect-pipe, websocket",
                                             .subprotocol = "pconnect-pipe",
                                             .binding = true};
    struct impostor im;
    struct hub_address hub;
    static struct outcome o;

    open_impostor(&im, &hub);
    im.keep_open = true;
    im.says = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
              "PConnect-Pipe\r\n\r\nraw";
    o = (struct outcome){.cancel = true};
    o.call = hub_call_start(loop, &hub, &request, &call_events, &o);
    while (o.what == NOTHING)
        run_loop();
    assert_int_equal(o.what, UPGRADED);
    assert_string_equal(o.rest, "raw");
    channel_close(o.ch, RC_CLOSED);
    while (o.ch)
        run_loop();
    close_impostor(&im);
}

static void a_hub_that_cannot_be_reached_is_told_by_kind(void **state)
{
    (void)state;
    struct hub_address hub = {.at = {.kind = ADDRESS_TCP, .host = "localhost", .port = 1}};

    struct outcome o = call_and_wait(&hub, &question);
    assert_int_equal(o.why, RC_SYSTEM);
    assert_string_equal(o.text, "nothing listens at localhost:1");

    hub.at = (struct address){.kind = ADDRESS_TCP, .host = "no-such-host.invalid", .port = 443};
    o = call_and_wait(&hub, &question);
    assert_int_equal(o.why, RC_ABSENT);
    assert_string_equal(o.text, "there is no host no-such-host.invalid");
}

static void a_hub_that_is_silent_is_given_up_and_told_where_it_stopped(void **state)
{
    (void)state;
    struct hub_call_request request = question;
    struct outer_trust first = {.first_contact = true};
    struct impostor im;
    struct hub_address hub;

    open_impostor(&im, &hub);
    im.keep_open = true;
    im.says = "";
    request.timeout_ms = 50;
    struct outcome o = call_and_wait(&hub, &request);
    assert_int_equal(o.why, RC_TIMEOUT);
    assert_says(&o, "has taken the request and does not answer");
    wait_until_gone(&im);

    im.says = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ncut";
    o = call_and_wait(&hub, &request);
    assert_int_equal(o.why, RC_TIMEOUT);
    wait_until_gone(&im);

    im.says = "";
    hub.tls = true;
    trust(&hub, &first);
    o = call_and_wait(&hub, &request);
    assert_int_equal(o.why, RC_TIMEOUT);
    assert_says(&o, "does not answer");
    outer_tls_free(hub.context);
    close_impostor(&im);
}

static void tls_where_there_is_none_is_told(void **state)
{
    (void)state;
    struct hub_address hub;
    struct impostor im;
    struct outer_trust first = {.first_contact = true};

    open_hub(&hub, false); /* answers a ClientHello with 400 */
    hub.tls = true;
    trust(&hub, &first);
    struct outcome o = call_and_wait(&hub, &question);
    assert_int_equal(o.why, RC_PROTO);
    assert_says(&o, "does not speak TLS");
    close_hub(&hub);

    open_impostor(&im, &hub);
    hub.tls = true;
    trust(&hub, &first);
    im.says = ""; /* hangs up on it */
    o = call_and_wait(&hub, &question);
    assert_int_equal(o.why, RC_SYSTEM);
    assert_says(&o, "during the TLS handshake");
    outer_tls_free(hub.context);
    close_impostor(&im);

    /* And the other way round: http:// to a hub that speaks TLS. */
    open_hub(&hub, true);
    hub.tls = false;
    o = call_and_wait(&hub, &question);
    assert_int_equal(o.what, FAILED);
    assert_says(&o, "https://");
    close_hub(&hub);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(a_question_gets_its_answer),
        LOOP_TEST(the_host_header_names_the_hub_as_a_url_does),
        LOOP_TEST(under_tls_a_pin_or_a_first_contact_is_trusted_and_told),
        LOOP_TEST(under_tls_another_certificate_is_not_trusted_and_told),
        LOOP_TEST(both_sides_derive_the_same_binding),
        LOOP_TEST(an_upgrade_gives_the_channel_and_what_lay_behind_the_head),
        LOOP_TEST(a_refused_upgrade_is_an_answer),
        LOOP_TEST(after_cancel_comes_nothing),
        LOOP_TEST(every_answer_is_either_whole_or_an_error_that_says_why),
        LOOP_TEST(answers_without_end_are_given_up),
        LOOP_TEST(a_101_that_does_not_fit_is_not_believed),
        LOOP_TEST(a_pipe_may_be_any_of_the_protocols_offered),
        LOOP_TEST(a_hub_that_cannot_be_reached_is_told_by_kind),
        LOOP_TEST(a_hub_that_is_silent_is_given_up_and_told_where_it_stopped),
        LOOP_TEST(tls_where_there_is_none_is_told),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
