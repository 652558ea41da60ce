#include "net/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "loop_test.h"
#include "wire/http1.h"

/* The server on one loop with clients that send bytes as they like. */

enum { CLIENTS_MAX = 8, KEPT_MAX = 8, SHORT_MS = 60, LONG_MS = 10 * 1000 };

/* --- an owner with a few routes ------------------------------------------------------- */

static struct http_server *server;
static struct http_exchange *kept[KEPT_MAX]; /* requests to /later */
static size_t kept_count, requests;
static struct buf seen; /* "METHOD path?query body\n" of each request */
static struct channel *upgraded;
static bool upgraded_over, close_server_on_request;
static struct buf upgraded_bytes;

static void on_upgraded_bytes(void *owner, struct reader bytes)
{
    (void)owner;
    buf_put(&upgraded_bytes, bytes);
    channel_send(upgraded, bytes);
}

static void on_upgraded_closed(void *owner, enum rc why)
{
    (void)owner, (void)why;
    upgraded_over = true;
    upgraded = NULL;
    loop_stop(loop);
}

static const struct channel_events upgraded_events = {.on_bytes = on_upgraded_bytes,
                                                      .on_closed = on_upgraded_closed};

static void upgrade(struct http_exchange *x)
{
    struct reader rest;

    if (http_upgrade(x, "Upgrade: echo\r\n", &upgraded, &rest) != RC_OK)
        return;
    channel_own(upgraded, &upgraded_events, NULL);
    buf_put(&upgraded_bytes, rest);
    channel_send(upgraded, rest);
}

static void note_request(const struct http_exchange *x)
{
    requests++;
    buf_print(&seen, "%s %s?%s ", http_method(x), http_path(x), http_query(x));
    buf_put(&seen, http_body(x));
    buf_put_u8(&seen, '\n');
}

static void on_request(void *owner, struct http_exchange *x)
{
    assert_ptr_equal(owner, &seen);
    note_request(x);
    if (close_server_on_request) {
        http_server_close(server);
        server = NULL;
    }
    if (strcmp(http_path(x), "/later") == 0)
        kept[kept_count++] = x;
    else if (strcmp(http_path(x), "/upgrade") == 0)
        upgrade(x);
    else if (strcmp(http_path(x), "/big") == 0) {
        char *big = calloc(1, HTTP_BODY_MAX);
        http_respond(x, 200, "application/octet-stream", reader_of(big, HTTP_BODY_MAX), NULL);
        free(big);
    } else if (strcmp(http_path(x), "/empty") == 0)
        http_respond(x, 204, NULL, reader_of(NULL, 0), NULL);
    else
        http_respond(x, 200, "text/plain", http_body(x), "X-Extra: yes\r\n");
    loop_stop(loop);
}

static const struct http_server_events server_events = {on_request};

static int open_server(void **state)
{
    struct address at = {.kind = ADDRESS_TCP, .host = "127.0.0.1"};

    (void)make_loop(state);
    buf_init(&seen, 8 * 1024 * 1024);
    buf_init(&upgraded_bytes, 1024 * 1024);
    kept_count = requests = 0;
    upgraded = NULL;
    upgraded_over = close_server_on_request = false;
    assert_int_equal(http_server_open(loop, &at, NULL, &server_events, &seen, &server), RC_OK);
    return 0;
}

static int close_server(void **state)
{
    http_server_close(server);
    server = NULL;
    buf_done(&seen);
    buf_done(&upgraded_bytes);
    return free_loop(state);
}

static void answer_kept(size_t i, const char *body)
{
    http_respond(kept[i], 200, "text/plain", reader_of(body, strlen(body)), NULL);
}

/* --- a client ------------------------------------------------------------------------- */

struct client {
    struct channel *ch; /* NULL: over */
    struct buf got;
};

static void on_client_open(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

static void on_client_bytes(void *owner, struct reader bytes)
{
    struct client *c = owner;

    buf_put(&c->got, bytes);
    loop_stop(loop);
}

static void on_client_closed(void *owner, enum rc why)
{
    struct client *c = owner;

    (void)why;
    c->ch = NULL;
    loop_stop(loop);
}

static const struct channel_events client_events = {
    .on_open = on_client_open, .on_bytes = on_client_bytes, .on_closed = on_client_closed};

static int connect_raw(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void start_client(struct client *c)
{
    buf_init(&c->got, 16 * 1024 * 1024);
    c->ch = channel_new(loop, connect_raw(), NULL, &client_events, c);
    run_loop();
}

static void say(struct client *c, const char *text)
{
    channel_send(c->ch, reader_of(text, strlen(text)));
}

static void wait_until_closed(struct client *c)
{
    while (c->ch)
        run_loop();
}

static void end_client(struct client *c)
{
    if (c->ch)
        channel_close(c->ch, RC_CLOSED);
    wait_until_closed(c);
    buf_done(&c->got);
}

struct answer {
    unsigned status;
    struct http1_head head; /* borrowed from the client's bytes */
    char body[256];
    size_t body_len;
};

/* Takes one whole answer off the client's bytes; 0 as its status: not there yet. */
static struct answer take_answer(struct client *c, const char *method)
{
    struct answer a = {0};
    struct reader in = buf_view(&c->got), data;
    struct http1_body body;

    if (http1_response_decode(&in, &a.head) != RC_OK)
        return a;
    http1_body_of_response(&a.head, reader_of(method, strlen(method)), &body);
    while (!body.done) {
        if (http1_body_decode(&body, &in, &data) != RC_OK)
            return a;
        if (a.body_len + data.left < sizeof a.body) /* only short ones are looked at */
            memcpy(a.body + a.body_len, data.at, data.left);
        a.body_len += data.left;
    }
    a.status = a.head.status;
    buf_consume(&c->got, c->got.len - in.left);
    return a;
}

static struct answer wait_for_answer(struct client *c, const char *method)
{
    struct answer a = take_answer(c, method);

    while (a.status == 0 && c->ch) {
        run_loop();
        a = take_answer(c, method);
    }
    return a;
}

static void assert_seen(const char *text)
{
    if (!reader_is(buf_view(&seen), text))
        fail_msg("seen: %.*s", (int)seen.len, (const char *)buf_view(&seen).at);
}

/* --- tests: requests and answers ------------------------------------------------------ */

static void a_request_is_answered_with_length_date_and_the_owners_headers(void **state)
{
    (void)state;
    struct client c;

    start_client(&c);
    say(&c, "POST /echo?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    struct answer a = wait_for_answer(&c, "POST");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hello");
    assert_true(reader_is(http1_header(&a.head, "Content-Type"), "text/plain"));
    assert_true(reader_is(http1_header(&a.head, "X-Extra"), "yes"));
    assert_int_equal(http1_header_count(&a.head, "Connection"), 0);
    struct reader date = http1_header(&a.head, "Date");
    assert_int_equal(date.left, strlen("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_memory_equal(date.at + 25, " GMT", 4);
    assert_seen("POST /echo?a=b hello\n");
    assert_int_equal(http_server_connections(server), 1);
    end_client(&c);
    run_rounds(2);
    assert_int_equal(http_server_connections(server), 0);
}

static void pipelined_requests_are_answered_in_order_one_at_a_time(void **state)
{
    (void)state;
    struct client c;

    start_client(&c);
    say(&c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n"
            "POST /second HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ntwo"
            "GET /later?3 HTTP/1.1\r\nHost: h\r\n\r\n"
            "GET /fourth HTTP/1.1\r\nHost: h\r\n\r\n");
    run_rounds(4);
    assert_int_equal(requests, 1);
    assert_int_equal(c.got.len, 0);
    answer_kept(0, "one");
    assert_int_equal(requests, 1); /* never from within http_respond() */
    run_rounds(4);
    assert_int_equal(requests, 3);
    answer_kept(1, "three");
    run_rounds(4);
    assert_seen("GET /later? \nPOST /second? two\nGET /later?3 \nGET /fourth? \n");
    static const char *const bodies[] = {"one", "two", "three", ""};
    for (size_t i = 0; i < 4; i++) {
        struct answer a = wait_for_answer(&c, "GET");
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, bodies[i]);
    }
    end_client(&c);
}

static void a_request_cut_anywhere_is_the_same_request(void **state)
{
    (void)state;
    static const char wire[] =
        "POST /a%20b?q=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        "PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy";
    struct client c;

    start_client(&c);
    for (size_t cut = 1; cut < sizeof wire - 1; cut++) {
        buf_clear(&seen);
        channel_send(c.ch, reader_of(wire, cut));
        run_rounds(1);
        channel_send(c.ch, reader_of(wire + cut, sizeof wire - 1 - cut));
        assert_int_equal(wait_for_answer(&c, "POST").status, 200);
        assert_int_equal(wait_for_answer(&c, "PUT").status, 200);
        assert_seen("POST /a b?q=1 abcde\nPUT /c? xy\n");
    }
    /* Byte by byte. */
    buf_clear(&seen);
    for (size_t i = 0; i < sizeof wire - 1; i++) {
        channel_send(c.ch, reader_of(wire + i, 1));
        run_rounds(1);
    }
    assert_seen("POST /a b?q=1 abcde\nPUT /c? xy\n");
    end_client(&c);
}

static void the_answer_fits_method_and_version(void **state)
{
    (void)state;
    static const struct {
        const char *request, *method, *connection;
        unsigned status;
        size_t body_len;
        bool closes;
    } cases[] = {
        {"HEAD /big HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD", NULL, 200, 0, false},
        {"GET /empty HTTP/1.1\r\nHost: h\r\n\r\n", "GET", NULL, 204, 0, false},
        {"GET /big HTTP/1.1\r\nHost: h\r\n\r\n", "GET", NULL, 200, HTTP_BODY_MAX, false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET", "close", 200, 0, true},
        {"GET / HTTP/1.0\r\n\r\n", "GET", "close", 200, 0, true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET", "keep-alive", 200, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c;

        start_client(&c);
        say(&c, cases[i].request);
        struct answer a = wait_for_answer(&c, cases[i].method);
        assert_int_equal(a.status, cases[i].status);
        assert_int_equal(a.body_len, cases[i].body_len);
        assert_int_equal(a.head.has_length, cases[i].status != 204);
        if (cases[i].connection)
            assert_true(reader_is(http1_header(&a.head, "Connection"), cases[i].connection));
        else
            assert_int_equal(http1_header_count(&a.head, "Connection"), 0);
        if (cases[i].closes) {
            wait_until_closed(&c);
        } else { /* still good for another, and nothing was left between */
            say(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_int_equal(wait_for_answer(&c, "GET").status, 200);
        }
        assert_int_equal(c.got.len, 0);
        end_client(&c);
    }
}

static void who_expects_100_continue_gets_it_before_the_body(void **state)
{
    (void)state;
    static const char expecting[] =
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    struct client c;

    start_client(&c);
    say(&c, expecting);
    run_loop();
    run_rounds(2);
    assert_true(reader_is(buf_view(&c.got), "HTTP/1.1 100 Continue\r\n\r\n"));
    buf_clear(&c.got);
    say(&c, "hi");
    assert_string_equal(wait_for_answer(&c, "POST").body, "hi");

    say(&c,
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi");
    assert_int_equal(wait_for_answer(&c, "POST").status, 200); /* it is there: nothing to say */

    say(&c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: tea\r\n\r\n");
    assert_int_equal(wait_for_answer(&c, "POST").status, 417);
    wait_until_closed(&c);
    end_client(&c);
}

/* --- tests: what is refused ----------------------------------------------------------- */

static void what_is_not_http_is_refused_and_never_reaches_the_owner(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        unsigned status;
    } cases[] = {
        {"\x16\x03\x01\x02\x01\x01\r\n", 400},
        {"GET / HTTP/1.1\nHost: h\n\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400}, /* no Host */
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\n", 413},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c;

        start_client(&c);
        say(&c, cases[i].request);
        struct answer a = wait_for_answer(&c, "GET");
        if (a.status != cases[i].status)
            fail_msg("%u for: %s", a.status, cases[i].request);
        assert_true(reader_is(http1_header(&a.head, "Content-Type"), "application/json"));
        assert_true(reader_is(http1_header(&a.head, "Connection"), "close"));
        assert_memory_equal(a.body, "{\"error\":{\"code\":\"", 18);
        assert_non_null(strstr(a.body, "\"request_id\":\""));
        wait_until_closed(&c);
        assert_int_equal(c.got.len, 0);
        end_client(&c);
    }
    assert_int_equal(requests, 0);
}

static void a_head_has_a_limit(void **state)
{
    (void)state;
    struct client c;
    char line[1001];

    memset(line, 'a', sizeof line - 1);
    memcpy(line, "A: ", 3);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    start_client(&c);
    say(&c, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 17; i++)
        say(&c, line);
    assert_int_equal(wait_for_answer(&c, "GET").status, 431);
    wait_until_closed(&c);
    end_client(&c);

    /* One line without an end. */
    start_client(&c);
    say(&c, "GET /");
    line[sizeof line - 3] = line[sizeof line - 2] = 'a';
    for (int i = 0; i < 17; i++) {
        say(&c, line);
        run_rounds(1);
    }
    assert_int_equal(wait_for_answer(&c, "GET").status, 431);
    wait_until_closed(&c);
    end_client(&c);
    assert_int_equal(requests, 0);
}

static void a_body_has_a_limit_however_its_length_is_told(void **state)
{
    (void)state;
    struct client c;
    struct buf body;
    static const uint8_t zeros[1024];

    buf_init(&body, 2 * HTTP_BODY_MAX);
    buf_put_text(&body, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n");
    for (int i = 0; i < 1024; i++)
        buf_put(&body, reader_of(zeros, sizeof zeros));
    start_client(&c);
    channel_send(c.ch, buf_view(&body));
    struct answer a = wait_for_answer(&c, "POST");
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_len, HTTP_BODY_MAX);

    buf_clear(&body);
    buf_put_text(&body, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 1025; i++)
        http1_put_chunk(&body, reader_of(zeros, sizeof zeros));
    channel_send(c.ch, buf_view(&body));
    assert_int_equal(wait_for_answer(&c, "POST").status, 413);
    wait_until_closed(&c);
    assert_int_equal(requests, 1);
    buf_done(&body);
    end_client(&c);
}

static void a_slow_request_is_answered_408_and_silence_with_the_end(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        unsigned status; /* 0: just closed */
    } cases[] = {
        {"", 0},
        {"GET / HTTP/1.1\r\nHos", 408},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", 408},
    };
    http_server_set_deadlines(server, SHORT_MS, LONG_MS);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c;

        start_client(&c);
        say(&c, cases[i].request);
        assert_int_equal(wait_for_answer(&c, "GET").status, cases[i].status);
        wait_until_closed(&c);
        assert_int_equal(c.got.len, 0);
        end_client(&c);
    }
    assert_int_equal(requests, 0);
}

/* A byte now and then does not buy more time: the deadline is for the whole request. */
static void dripping_bytes_does_not_move_the_deadline(void **state)
{
    (void)state;
    struct client c;
    size_t sent = 0;

    http_server_set_deadlines(server, SHORT_MS, LONG_MS);
    start_client(&c);
    say(&c, "GET /");
    while (c.got.len == 0 && c.ch) {
        if (sent++ < 4000)
            say(&c, "a");
        run_rounds(1);
    }
    assert_int_equal(wait_for_answer(&c, "GET").status, 408);
    end_client(&c);
}

static void an_idle_connection_is_closed_without_a_word_but_not_one_that_waits_for_us(void **state)
{
    (void)state;
    struct client idle, waiting;

    http_server_set_deadlines(server, SHORT_MS, SHORT_MS);
    start_client(&waiting);
    say(&waiting, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    while (kept_count == 0)
        run_loop();
    start_client(&idle);
    say(&idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(wait_for_answer(&idle, "GET").status, 200);
    wait_until_closed(&idle);
    assert_int_equal(idle.got.len, 0);
    assert_non_null(waiting.ch);
    answer_kept(0, "done");
    assert_string_equal(wait_for_answer(&waiting, "GET").body, "done");
    end_client(&idle);
    end_client(&waiting);
}

static void a_client_that_does_not_read_its_answers_is_cut(void **state)
{
    (void)state;
    struct client c;

    http_server_set_deadlines(server, LONG_MS, SHORT_MS);
    start_client(&c);
    channel_pause(c.ch);
    for (int i = 0; i < 64; i++)
        say(&c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    while (http_server_connections(server) > 0)
        run_rounds(1);
    /* It stopped asking the owner when the queue was full. */
    assert_true(requests < 16);
    end_client(&c);
}

/* --- tests: lives that end apart
 * ------------------------------------------------------------------ */

static void an_upgrade_gives_the_channel_and_what_came_behind_the_request(void **state)
{
    (void)state;
    struct client c;

    start_client(&c);
    say(&c,
        "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ");
    while (upgraded == NULL)
        run_loop();
    assert_int_equal(http_server_connections(server), 0);
    say(&c, "late");
    run_rounds(4);
    assert_true(reader_is(buf_view(&upgraded_bytes), "early late"));
    struct reader in = buf_view(&c.got);
    struct http1_head head;
    assert_int_equal(http1_response_decode(&in, &head), RC_OK);
    assert_int_equal(head.status, 101);
    assert_true(reader_is(http1_header(&head, "Upgrade"), "echo"));
    assert_true(reader_is(http1_header(&head, "Connection"), "Upgrade"));
    assert_true(reader_is(in, "early late"));

    /* It lives on without the server. */
    http_server_close(server);
    server = NULL;
    say(&c, "r");
    run_rounds(3);
    assert_true(reader_is(buf_view(&upgraded_bytes), "early later"));
    channel_close(c.ch, RC_CLOSED);
    while (!upgraded_over || c.ch)
        run_loop();
    end_client(&c);
}

static void a_client_that_has_gone_can_still_be_answered(void **state)
{
    (void)state;
    struct client c;
    struct channel *ch = NULL;
    struct reader rest;
    uint8_t binding[32];

    for (int i = 0; i < 2; i++) {
        start_client(&c);
        say(&c, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
        while (kept_count <= (size_t)i)
            run_loop();
        end_client(&c);
    }
    /* It is noticed at the latest when the answer is written. */
    assert_true(reader_is(http_body(kept[0]), "hi"));
    assert_string_equal(http_method(kept[0]), "POST");
    assert_memory_equal(http_peer(kept[0]), "127.0.0.1:", 10);
    assert_int_equal(http_binding(kept[0], binding), RC_ABSENT);
    answer_kept(0, "nobody hears");
    http_server_close(server);
    server = NULL;
    run_rounds(4);
    assert_int_equal(http_upgrade(kept[1], "Upgrade: echo\r\n", &ch, &rest), RC_CLOSED);
    assert_null(ch);
}

static void a_server_that_closes_leaves_exchanges_that_can_be_answered(void **state)
{
    (void)state;
    struct client a, b;

    start_client(&a);
    start_client(&b);
    say(&a, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    while (kept_count == 0)
        run_loop();
    close_server_on_request = true;
    say(&b, "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_until_closed(&a);
    wait_until_closed(&b);
    assert_null(server);
    assert_int_equal(requests, 2);
    answer_kept(0, "x");
    answer_kept(1, "y");
    assert_int_equal(a.got.len + b.got.len, 0);
    end_client(&a);
    end_client(&b);
}

static void a_draining_server_answers_what_is_open_and_takes_nothing_new(void **state)
{
    (void)state;
    struct client open, half, idle;

    start_client(&open);
    start_client(&half);
    start_client(&idle);
    say(&open, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    say(&half, "GET /half HTTP/1.1\r\n");
    while (kept_count == 0)
        run_loop();
    run_rounds(2);
    uint16_t port = http_server_port(server);
    http_server_drain(server);
    assert_int_equal(http_server_port(server), port);
    wait_until_closed(&idle);
    assert_int_equal(idle.got.len, 0);
    answer_kept(0, "in time");
    struct answer a = wait_for_answer(&open, "GET");
    assert_string_equal(a.body, "in time");
    assert_true(reader_is(http1_header(&a.head, "Connection"), "close"));
    wait_until_closed(&open);
    say(&half, "Host: h\r\n\r\n");
    assert_int_equal(wait_for_answer(&half, "GET").status, 200);
    wait_until_closed(&half);
    end_client(&open);
    end_client(&half);
    end_client(&idle);
    run_rounds(2);
    assert_int_equal(http_server_connections(server), 0);
}

static void a_client_that_ends_its_side_still_gets_its_answers(void **state)
{
    (void)state;
    struct client c;
    int fd = connect_raw();
    static const char two[] =
        "GET /one HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n";

    assert_int_equal(write(fd, two, sizeof two - 1), sizeof two - 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    buf_init(&c.got, 64 * 1024);
    c.ch = channel_new(loop, fd, NULL, &client_events, &c);
    assert_int_equal(wait_for_answer(&c, "GET").status, 200);
    assert_int_equal(wait_for_answer(&c, "GET").status, 200);
    wait_until_closed(&c);
    assert_seen("GET /one? \nGET /two? \n");
    end_client(&c);
}

/* --- tests: what the owner asks
 * ---------------------------------------------------------------------- */

static void paths_are_decoded_once_and_never_ambiguous(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/", "/", ""},         {"/v1/agents?x=%20&y", "/v1/agents", "x=%20&y"},
        {"/a%20b", "/a b", ""}, {"/%61%2e", "/a.", ""},
        {"/%2561", "/%61", ""}, {"/%C3%B6", "/\xc3\xb6", ""},
        {"/a%2Fb", "", ""}, /* a slash in a name is not one between names */
        {"/a%00b", "", ""},     {"/a%0ab", "", ""},
        {"/%ff", "", ""}, /* not UTF-8 */
        {"/%C3", "", ""},       {"http://h/abs?q", "/abs", "q"},
    };
    struct client c;

    start_client(&c);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[256], expected[256];

        buf_clear(&seen);
        text_message(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n",
                     cases[i].target);
        text_message(expected, sizeof expected, "GET %s?%s \n", cases[i].path, cases[i].query);
        say(&c, request);
        assert_int_equal(wait_for_answer(&c, "GET").status, 200);
        assert_seen(expected);
    }
    end_client(&c);
}

static void a_header_is_a_string_only_when_it_is_one(void **state)
{
    (void)state;
    struct client c;

    start_client(&c);
    say(&c, "GET /later HTTP/1.1\r\nHost: h\r\nOne:  value \r\nTwice: a\r\nTwice: b\r\n"
            "Odd: \xff\r\nTab: a\tb\r\nEmpty:\r\n\r\n");
    while (kept_count == 0)
        run_loop();
    struct http_exchange *x = kept[0];
    assert_string_equal(http_header(x, "one"), "value");
    assert_string_equal(http_header(x, "Empty"), "");
    assert_null(http_header(x, "Twice"));
    assert_null(http_header(x, "Odd"));
    assert_null(http_header(x, "Tab"));
    assert_null(http_header(x, "Absent"));
    assert_null(http_bearer(x));
    assert_int_equal(http_head(x)->field_count, 7);
    answer_kept(0, "");
    assert_int_equal(wait_for_answer(&c, "GET").status, 200);
    end_client(&c);
}

static void a_bearer_token_is_one_word_behind_its_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *line, *token;
    } cases[] = {
        {"Authorization: Bearer pct_abc\r\n", "pct_abc"},
        {"authorization: bearer   x\r\n", "x"},
        {"Authorization: Bearer a b\r\n", NULL},
        {"Authorization: Bearer\r\n", NULL},
        {"Authorization: Bearerx\r\n", NULL},
        {"Authorization: Basic abc\r\n", NULL},
        {"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c;
        char request[256];

        kept_count = 0;
        start_client(&c);
        text_message(request, sizeof request, "GET /later HTTP/1.1\r\nHost: h\r\n%s\r\n",
                     cases[i].line);
        say(&c, request);
        while (kept_count == 0)
            run_loop();
        const char *token = http_bearer(kept[0]);
        assert_int_equal(token != NULL, cases[i].token != NULL);
        if (token)
            assert_string_equal(token, cases[i].token);
        answer_kept(0, "");
        end_client(&c);
    }
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, open_server, close_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(a_request_is_answered_with_length_date_and_the_owners_headers),
        SERVER_TEST(pipelined_requests_are_answered_in_order_one_at_a_time),
        SERVER_TEST(a_request_cut_anywhere_is_the_same_request),
        SERVER_TEST(the_answer_fits_method_and_version),
        SERVER_TEST(who_expects_100_continue_gets_it_before_the_body),
        SERVER_TEST(what_is_not_http_is_refused_and_never_reaches_the_owner),
        SERVER_TEST(a_head_has_a_limit),
        SERVER_TEST(a_body_has_a_limit_however_its_length_is_told),
        SERVER_TEST(a_slow_request_is_answered_408_and_silence_with_the_end),
        SERVER_TEST(dripping_bytes_does_not_move_the_deadline),
        SERVER_TEST(an_idle_connection_is_closed_without_a_word_but_not_one_that_waits_for_us),
        SERVER_TEST(a_client_that_does_not_read_its_answers_is_cut),
        SERVER_TEST(an_upgrade_gives_the_channel_and_what_came_behind_the_request),
        SERVER_TEST(a_client_that_has_gone_can_still_be_answered),
        SERVER_TEST(a_server_that_closes_leaves_exchanges_that_can_be_answered),
        SERVER_TEST(a_draining_server_answers_what_is_open_and_takes_nothing_new),
        SERVER_TEST(a_client_that_ends_its_side_still_gets_its_answers),
        SERVER_TEST(paths_are_decoded_once_and_never_ambiguous),
        SERVER_TEST(a_header_is_a_string_only_when_it_is_one),
        SERVER_TEST(a_bearer_token_is_one_word_behind_its_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
