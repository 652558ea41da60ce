#include "wire/http1.h"

#include <stdio.h>

#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define TEXT(s) (s), sizeof(s) - 1

static const char simple[] = "GET /a/b?c=d HTTP/1.1\r\n"
                             "Host: hub.example:3001\r\n"
                             "X-Empty:\r\n"
                             "Accept: \t text/html \t\r\n"
                             "\r\n";

/* Whether `r` is exactly the bytes of `text`. */
static void assert_slice(struct reader r, const char *text)
{
    if (!reader_is(r, text))
        fail_msg("\"%.*s\" is not \"%s\"", (int)r.left, r.left ? (const char *)r.at : "", text);
}

static enum rc decode_request(const char *text, size_t len, struct http1_head *out)
{
    struct reader in = reader_of(text, len);

    return http1_request_decode(&in, out);
}

static enum rc decode_response(const char *text, size_t len, struct http1_head *out)
{
    struct reader in = reader_of(text, len);

    return http1_response_decode(&in, out);
}

static void a_request_decodes_only_when_whole(void **state)
{
    (void)state;
    size_t whole = sizeof simple - 1;

    for (size_t cut = 0; cut <= whole; cut++) {
        uint8_t *bytes = exact_copy(simple, cut);
        struct reader in = reader_of(bytes, cut);
        struct http1_head h;
        enum rc rc = http1_request_decode(&in, &h);
        assert_int_equal(rc, cut < whole ? RC_AGAIN : RC_OK);
        assert_int_equal(in.left, cut < whole ? cut : 0);
        free(bytes);
    }
}

static void a_request_gives_its_parts(void **state)
{
    (void)state;
    struct http1_head h;

    assert_int_equal(decode_request(TEXT(simple), &h), RC_OK);
    assert_slice(h.method, "GET");
    assert_slice(h.target, "/a/b?c=d");
    assert_int_equal(h.form, HTTP1_ORIGIN);
    assert_slice(h.path, "/a/b");
    assert_slice(h.query, "c=d");
    assert_slice(h.authority, "hub.example:3001");
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.field_count, 3);
    assert_slice(h.fields[1].name, "X-Empty");
    assert_slice(h.fields[1].value, "");
    assert_slice(http1_header(&h, "ACCEPT"), "text/html");
    assert_true(http1_keeps_alive(&h));
}

static void bytes_behind_a_head_are_left(void **state)
{
    (void)state;
    static const char two[] = "GET / HTTP/1.0\r\n\r\nGET /next HTTP/1.0\r\n\r\n";
    struct reader in = reader_of(TEXT(two));
    struct http1_head h;

    assert_int_equal(http1_request_decode(&in, &h), RC_OK);
    assert_int_equal(http1_request_decode(&in, &h), RC_OK);
    assert_slice(h.target, "/next");
    assert_int_equal(in.left, 0);
}

static void targets_come_apart_by_their_form(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum http1_form form;
        const char *authority, *path, *query; /* NULL: none */
    } cases[] = {
        {"GET /", HTTP1_ORIGIN, "h", "/", NULL},
        {"GET /?", HTTP1_ORIGIN, "h", "/", ""},
        {"GET /a%20b?x=%&y=a|b{c}^`[]\\?", HTTP1_ORIGIN, "h", "/a%20b", "x=%&y=a|b{c}^`[]\\?"},
        {"GET /a:b@c;d=e,f~(g)!*'[1]|", HTTP1_ORIGIN, "h", "/a:b@c;d=e,f~(g)!*'[1]|", NULL},
        {"GET //host/path", HTTP1_ORIGIN, "h", "//host/path", NULL},
        {"OPTIONS *", HTTP1_ASTERISK, "h", "", NULL},
        {"GET http://a.example", HTTP1_ABSOLUTE, "a.example", "", NULL},
        {"GET http://a.example?q", HTTP1_ABSOLUTE, "a.example", "", "q"},
        {"GET https://[2001:db8::1]:80/p?q", HTTP1_ABSOLUTE, "[2001:db8::1]:80", "/p", "q"},
        {"GET a+b-1.c://h", HTTP1_ABSOLUTE, "h", "", NULL},
        {"CONNECT db.example:5432", HTTP1_AUTHORITY, "db.example:5432", "", NULL},
        {"CONNECT [::1]:1", HTTP1_AUTHORITY, "[::1]:1", "", NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        struct http1_head h;
        int len = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].line);
        if (decode_request(text, (size_t)len, &h) != RC_OK)
            fail_msg("refused: %s", cases[i].line);
        assert_int_equal(h.form, cases[i].form);
        assert_slice(h.authority, cases[i].authority);
        assert_slice(h.path, cases[i].path);
        assert_int_equal(reader_ok(&h.query), cases[i].query != NULL);
        if (cases[i].query)
            assert_slice(h.query, cases[i].query);
    }
}

/* Each is a whole head but for one thing. */
static void a_request_that_could_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what, *text;
        size_t len;
    } cases[] = {
        {"bare LF behind the request line", TEXT("GET / HTTP/1.1\nHost: a\r\n\r\n")},
        {"bare LF behind a header", TEXT("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n")},
        {"bare LF as the empty line", TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n")},
        {"bare CR in a value", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n")},
        {"CR CR LF", TEXT("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n")},
        {"folded header", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n")},
        {"folded by a tab", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n")},
        {"space before the first header", TEXT("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
        {"space before a colon", TEXT("GET / HTTP/1.1\r\nHost : a\r\n\r\n")},
        {"tab before a colon", TEXT("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n")},
        {"header without a name", TEXT("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n")},
        {"header without a colon", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n")},
        {"name that is no token", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n")},
        {"name beyond ASCII", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n")},
        {"NUL in a value", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n")},
        {"NUL in a name", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n")},
        {"escape in a value", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n")},
        {"DEL in a value", TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n")},
        {"no Host", TEXT("GET / HTTP/1.1\r\nX: y\r\n\r\n")},
        {"two Hosts", TEXT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")},
        {"two Hosts in 1.0", TEXT("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n")},
        {"Host with a space", TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")},
        {"Host with a path", TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")},
        {"Host with a user", TEXT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n")},
        {"Host with a bad port", TEXT("GET / HTTP/1.1\r\nHost: a:8o\r\n\r\n")},
        {"Host with a port too high", TEXT("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n")},
        {"Host with two ports", TEXT("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n")},
        {"Host with an open bracket", TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n")},
        {"Host with text behind a bracket", TEXT("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n")},
        {"Host of brackets", TEXT("GET / HTTP/1.1\r\nHost: []\r\n\r\n")},
        {"Host with too short an address", TEXT("GET / HTTP/1.1\r\nHost: [:]\r\n\r\n")},
        {"Host with a zone", TEXT("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n")},
        {"Host with half an escape", TEXT("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n")},
        {"Host that is a list of quotes", TEXT("GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n")},
        {"no version", TEXT("GET /\r\n\r\n")},
        {"two spaces", TEXT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"tab for a space", TEXT("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"space behind the version", TEXT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n")},
        {"space before the method", TEXT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"version 0.9", TEXT("GET / HTTP/0.9\r\nHost: a\r\n\r\n")},
        {"version 1.2", TEXT("GET / HTTP/1.2\r\nHost: a\r\n\r\n")},
        {"version 2.0", TEXT("GET / HTTP/2.0\r\nHost: a\r\n\r\n")},
        {"lower-case version", TEXT("GET / http/1.1\r\nHost: a\r\n\r\n")},
        {"version with a zero in front", TEXT("GET / HTTP/1.01\r\nHost: a\r\n\r\n")},
        {"method that is no token", TEXT("G(T / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"no method", TEXT("/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"target without a slash", TEXT("GET index.html HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"target with a fragment", TEXT("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"fragment behind a query", TEXT("GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"target beyond ASCII", TEXT("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"half an escape in a path", TEXT("GET /%2 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"escape that is none", TEXT("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"backslash in a path", TEXT("GET /\\a HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"quotes in a query", TEXT("GET /?\"a\" HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"asterisk without OPTIONS", TEXT("GET * HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"absolute without a host", TEXT("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"absolute with only a port", TEXT("GET http://:80/a HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"absolute with a user", TEXT("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"absolute with one slash", TEXT("GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"absolute without a scheme", TEXT("GET ://a/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"scheme with another character", TEXT("GET a_b://a/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"scheme that starts with a digit", TEXT("GET 1a://a/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"CONNECT with a path", TEXT("CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"CONNECT without a port", TEXT("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"CONNECT with an empty port", TEXT("CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"CONNECT without a host", TEXT("CONNECT :1 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"bare CR in front", TEXT("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"bare LF in front", TEXT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t *bytes = exact_copy(cases[i].text, cases[i].len);
        struct reader in = reader_of(bytes, cases[i].len);
        struct http1_head h;
        if (http1_request_decode(&in, &h) != RC_PROTO)
            fail_msg("not refused: %s", cases[i].what);
        assert_int_equal(in.left, cases[i].len);
        free(bytes);
    }
}

static void what_a_request_may_leave_out_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *what, *text;
        size_t len;
    } cases[] = {
        {"no Host in 1.0", TEXT("GET / HTTP/1.0\r\n\r\n")},
        {"an empty Host", TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n")},
        {"the highest port", TEXT("GET / HTTP/1.1\r\nHost: a:65535\r\n\r\n")},
        {"the shortest address", TEXT("GET / HTTP/1.1\r\nHost: [::]\r\n\r\n")},
        {"an escape in a name", TEXT("GET / HTTP/1.1\r\nHost: a%C3%A4\r\n\r\n")},
        {"an empty port", TEXT("GET / HTTP/1.1\r\nHost: a:\r\n\r\n")},
        {"an empty line in front", TEXT("\r\nGET / HTTP/1.0\r\n\r\n")},
        {"some empty lines in front", TEXT("\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n")},
        {"a method nobody knows", TEXT("FR0B-NIC4TE / HTTP/1.0\r\n\r\n")},
        {"no space behind a colon", TEXT("GET / HTTP/1.1\r\nHost:a\r\n\r\n")},
        {"bytes over 127 in a value", TEXT("GET / HTTP/1.0\r\nX: D\xc3\xbcsseldorf\xff\r\n\r\n")},
        {"a colon and tabs in a value", TEXT("GET / HTTP/1.0\r\nX: a:\tb\r\n\r\n")},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_head h;
        if (decode_request(cases[i].text, cases[i].len, &h) != RC_OK)
            fail_msg("refused: %s", cases[i].what);
    }
}

/* A head of `lines` headers of `width` bytes each (with CRLF), behind a target of `target` bytes.
 */
static size_t make_head(char *to, size_t target, size_t lines, size_t width, bool ended)
{
    size_t at = 0;

    memcpy(to, "GET ", 4);
    at += 4;
    memset(to + at, '/', target);
    at += target;
    memcpy(to + at, " HTTP/1.0\r\n", 11);
    at += 11;
    for (size_t i = 0; i < lines; i++, at += width) {
        memset(to + at, 'x', width);
        to[at + 1] = ':';
        memcpy(to + at + width - 2, "\r\n", 2);
    }
    if (ended) {
        memcpy(to + at, "\r\n", 2);
        at += 2;
    }
    return at;
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    enum { LINE_REST = 15, FIRST = LINE_REST + 1 }; /* "GET  HTTP/1.0\r\n", with a target of "/" */
    static const struct {
        const char *what;
        size_t target, lines, width;
        bool ended;
        enum rc want;
    } cases[] = {
        {"longest line", HTTP1_LINE_MAX - LINE_REST, 0, 0, true, RC_OK},
        {"line too long", HTTP1_LINE_MAX - LINE_REST + 1, 0, 0, true, RC_LIMIT},
        {"most headers", 1, HTTP1_HEADERS_MAX, 5, true, RC_OK},
        {"a header too many", 1, HTTP1_HEADERS_MAX + 1, 5, true, RC_LIMIT},
        {"a header too many, without the end", 1, HTTP1_HEADERS_MAX + 1, 5, false, RC_LIMIT},
        {"largest head", 1, 1, HTTP1_HEAD_MAX - FIRST - 2, true, RC_OK},
        {"head too large", 1, 1, HTTP1_HEAD_MAX - FIRST - 1, true, RC_LIMIT},
        {"head too large, without the end", 1, 1, HTTP1_HEAD_MAX - FIRST, false, RC_LIMIT},
        {"head that cannot end in time", 1, 1, HTTP1_HEAD_MAX - FIRST - 1, false, RC_AGAIN},
    };
    char *text = malloc(2 * HTTP1_HEAD_MAX);

    assert_non_null(text);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_head h;
        size_t len =
            make_head(text, cases[i].target, cases[i].lines, cases[i].width, cases[i].ended);
        enum rc rc = decode_request(text, len, &h);
        if (rc != cases[i].want)
            fail_msg("%s: %s", cases[i].what, rc_text(rc));
    }
    free(text);
}

/* A peer that never ends its line learns it at the limit, and garbage is told from the first byte
 * on. */
static void what_cannot_become_a_head_is_not_waited_for(void **state)
{
    (void)state;
    static char a[HTTP1_LINE_MAX], crlf[HTTP1_HEAD_MAX];
    struct http1_head h;

    memset(a, 'a', sizeof a);
    assert_int_equal(decode_request(a, sizeof a - 1, &h), RC_AGAIN);
    assert_int_equal(decode_request(a, sizeof a, &h), RC_LIMIT);
    for (size_t i = 0; i < sizeof crlf; i++)
        crlf[i] = i % 2 == 0 ? '\r' : '\n';
    assert_int_equal(decode_request(crlf, sizeof crlf - 1, &h), RC_AGAIN);
    assert_int_equal(decode_request(crlf, sizeof crlf, &h), RC_LIMIT);
    assert_int_equal(decode_request(TEXT("\x16\x03\x01\x02"), &h), RC_PROTO); /* TLS */
    assert_int_equal(decode_request(TEXT("GET / HTTP/3\r\n"), &h), RC_PROTO);
    assert_int_equal(decode_response(TEXT("SSH-2.0-x\r\n"), &h), RC_PROTO);
}

static void a_response_gives_its_parts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        unsigned minor, status;
        const char *reason;
    } cases[] = {
        {TEXT("HTTP/1.1 200 OK\r\n\r\n"), 1, 200, "OK"},
        {TEXT("HTTP/1.0 404 Not Found\r\n\r\n"), 0, 404, "Not Found"},
        {TEXT("HTTP/1.1 101 \r\n\r\n"), 1, 101, ""},
        {TEXT("HTTP/1.1 204\r\n\r\n"), 1, 204, ""},
        {TEXT("HTTP/1.1 999 \tsehr \xc3\xbc"
              "bel\r\n\r\n"),
         1, 999,
         "\tsehr \xc3\xbc"
         "bel"},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t cut = 0; cut <= cases[i].len; cut++) {
            uint8_t *bytes = exact_copy(cases[i].text, cut);
            struct reader in = reader_of(bytes, cut);
            struct http1_head h;
            enum rc rc = http1_response_decode(&in, &h);
            assert_int_equal(rc, cut < cases[i].len ? RC_AGAIN : RC_OK);
            if (rc == RC_OK) {
                assert_int_equal(h.minor, cases[i].minor);
                assert_int_equal(h.status, cases[i].status);
                assert_slice(h.reason, cases[i].reason);
                assert_false(reader_ok(&h.query));
            }
            free(bytes);
        }
}

static void a_malformed_response_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {TEXT("HTTP/1.1 20 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 2000 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 099 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 2x0 OK\r\n\r\n")},
        {TEXT("HTTP/1.1  200 OK\r\n\r\n")},
        {TEXT("HTTP/1.1\r\n\r\n")},
        {TEXT("HTTP/1.2 200 OK\r\n\r\n")},
        {TEXT("HTTP/2 200 OK\r\n\r\n")},
        {TEXT("ICY 200 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 200 O\0K\r\n\r\n")},
        {TEXT("HTTP/1.1 200 OK\n\n")},
        {TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n")},
        {TEXT("HTTP/1.1 200\tOK\r\n\r\n")},
        {TEXT("HTTP/1.1 200 OK\r\nX : y\r\n\r\n")},
        {TEXT("HTTP/1.1 200 OK\r\n y\r\n\r\n")},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_head h;
        if (decode_response(cases[i].text, cases[i].len, &h) != RC_PROTO)
            fail_msg("not refused: %s", cases[i].text);
    }
}

static void headers_are_found_whatever_their_case_and_number(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n"
                               "Connection: keep-alive,, \tUpgrade\r\n"
                               "connection: foo ,\r\n"
                               "Upgrade: pconnect-pipe, websocket\r\n"
                               "X-List: \r\n"
                               "\r\n";
    struct http1_head h;

    assert_int_equal(decode_request(TEXT(text), &h), RC_OK);
    assert_int_equal(http1_header_count(&h, "CONNECTION"), 2);
    assert_int_equal(http1_header_count(&h, "connectio"), 0);
    assert_int_equal(http1_header_count(&h, "connections"), 0);
    assert_true(http1_header_has_token(&h, "Connection", "upgrade"));
    assert_true(http1_header_has_token(&h, "connection", "Keep-Alive"));
    assert_true(http1_header_has_token(&h, "connection", "foo"));
    assert_true(http1_header_has_token(&h, "upgrade", "websocket"));
    assert_true(http1_header_has_token(&h, "upgrade", "pconnect-pipe"));
    assert_false(http1_header_has_token(&h, "upgrade", "pconnect"));
    assert_false(http1_header_has_token(&h, "connection", "close"));
    assert_false(http1_header_has_token(&h, "x-list", "a"));
    assert_false(http1_header_has_token(&h, "x-none", "a"));
    struct reader none = http1_header(&h, "x-none"), empty = http1_header(&h, "x-list");
    assert_false(reader_ok(&none));
    assert_true(reader_ok(&empty));
}

static void a_connection_goes_on_as_the_version_and_the_header_say(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        bool want;
    } cases[] = {
        {TEXT("HTTP/1.1 200 OK\r\n\r\n"), true},
        {TEXT("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n"), false},
        {TEXT("HTTP/1.0 200 OK\r\n\r\n"), false},
        {TEXT("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n"), true},
        {TEXT("HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\n"), false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_head h;
        assert_int_equal(decode_response(cases[i].text, cases[i].len, &h), RC_OK);
        assert_int_equal(http1_keeps_alive(&h), cases[i].want);
    }
}

static struct reader text_of(const char *text)
{
    return text ? reader_of_text(text) : (struct reader){0};
}

static void what_is_encoded_decodes(void **state)
{
    (void)state;
    struct buf b;
    struct http1_head h;

    buf_init(&b, 1024);
    http1_put_request(&b, text_of("POST"), text_of("/v1/agents?x"));
    http1_put_header(&b, "Host", "hub.example");
    http1_put_header_u64(&b, "Content-Length", UINT32_MAX);
    http1_put_field(&b, text_of("X-Y"), text_of("a\tb"));
    http1_put_end(&b);
    struct reader in = buf_view(&b);
    assert_true(buf_ok(&b));
    assert_slice(in, "POST /v1/agents?x HTTP/1.1\r\nHost: hub.example\r\n"
                     "Content-Length: 4294967295\r\nX-Y: a\tb\r\n\r\n");
    assert_int_equal(http1_request_decode(&in, &h), RC_OK);
    assert_int_equal(h.length, UINT32_MAX);
    buf_clear(&b);

    http1_put_status(&b, 404, NULL);
    http1_put_end(&b);
    http1_put_status(&b, 299, "Fine, thanks");
    http1_put_status(&b, 100, NULL);
    http1_put_status(&b, 999, NULL);
    assert_slice(buf_view(&b), "HTTP/1.1 404 Not Found\r\n\r\nHTTP/1.1 299 Fine, thanks\r\n"
                               "HTTP/1.1 100 Continue\r\nHTTP/1.1 999 \r\n");
    buf_done(&b);
}

static void what_would_not_decode_is_not_written(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target, *name, *value, *reason;
        unsigned status;
    } cases[] = {
        {.name = "X", .value = "a\r\nEvil: b"},
        {.name = "X", .value = "a\nb"},
        {.name = "X", .value = "a\x7f"},
        {.name = "X: y\r\nZ", .value = "a"},
        {.name = "X ", .value = "a"},
        {.name = "", .value = "a"},
        {.method = "GET", .target = "/a b"},
        {.method = "GET", .target = "/a\r\n"},
        {.method = "GET", .target = ""},
        {.method = "GET", .target = "a"},
        {.method = "G T", .target = "/"},
        {.method = "", .target = "/"},
        {.status = 99, .reason = "x"},
        {.status = 1000, .reason = "x"},
        {.status = 200, .reason = "OK\r\nEvil: b"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 1024);
        if (cases[i].method)
            http1_put_request(&b, text_of(cases[i].method), text_of(cases[i].target));
        else if (cases[i].name)
            http1_put_header(&b, cases[i].name, cases[i].value);
        else
            http1_put_status(&b, cases[i].status, cases[i].reason);
        assert_false(buf_ok(&b));
        assert_int_equal(b.len, 0);
        buf_done(&b);
    }
    struct buf b;
    buf_init(&b, 1024);
    http1_put_field(&b, text_of("X"), reader_of(TEXT("a\0b")));
    assert_false(buf_ok(&b));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_decodes_only_when_whole),
        cmocka_unit_test(a_request_gives_its_parts),
        cmocka_unit_test(bytes_behind_a_head_are_left),
        cmocka_unit_test(targets_come_apart_by_their_form),
        cmocka_unit_test(a_request_that_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(what_a_request_may_leave_out_is_taken),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(what_cannot_become_a_head_is_not_waited_for),
        cmocka_unit_test(a_response_gives_its_parts),
        cmocka_unit_test(a_malformed_response_is_refused),
        cmocka_unit_test(headers_are_found_whatever_their_case_and_number),
        cmocka_unit_test(a_connection_goes_on_as_the_version_and_the_header_say),
        cmocka_unit_test(what_is_encoded_decodes),
        cmocka_unit_test(what_would_not_decode_is_not_written),
    };
    return cmocka_run_group_tests_name("http1", tests, NULL, NULL);
}
