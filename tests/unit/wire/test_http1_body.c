#include "wire/http1.h"

#include <stdio.h>

#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define TEXT(s) (s), sizeof(s) - 1

static enum rc framing_of_request(const char *headers, struct http1_body *out)
{
    char text[512];
    struct http1_head h;
    int len = snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", headers);
    struct reader in = reader_of(text, (size_t)len);

    enum rc rc = http1_request_decode(&in, &h);
    if (rc == RC_OK)
        http1_body_of_request(&h, out);
    return rc;
}

static void a_request_says_how_long_its_body_is(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        enum http1_framing framing;
        uint64_t length;
        bool done;
    } cases[] = {
        {"", HTTP1_NONE, 0, true},
        {"Content-Length: 0\r\n", HTTP1_LENGTH, 0, true},
        {"content-length:  0042 \r\n", HTTP1_LENGTH, 42, false},
        {"Content-Length: 9223372036854775807\r\n", HTTP1_LENGTH, INT64_MAX, false},
        {"Transfer-Encoding: Chunked\r\n", HTTP1_CHUNKED, 0, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_body b;
        assert_int_equal(framing_of_request(cases[i].headers, &b), RC_OK);
        assert_int_equal(b.framing, cases[i].framing);
        assert_int_equal(b.left, cases[i].length);
        assert_int_equal(b.done, cases[i].done);
    }
}

static void an_ambiguous_length_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length: 1.0\r\n",
        "Content-Length:\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551617\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_body b;
        if (framing_of_request(cases[i], &b) != RC_PROTO)
            fail_msg("not refused: %s", cases[i]);
    }

    static const char old[] = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct reader in = reader_of(TEXT(old));
    struct http1_head h;
    assert_int_equal(http1_request_decode(&in, &h), RC_PROTO);
}

static void a_response_says_it_with_the_method_and_the_status(void **state)
{
    (void)state;
    static const struct {
        const char *method, *status, *headers;
        enum http1_framing want;
    } cases[] = {
        {"GET", "200", "", HTTP1_UNTIL_CLOSE},
        {"GET", "200", "Content-Length: 3\r\n", HTTP1_LENGTH},
        {"GET", "200", "Transfer-Encoding: chunked\r\n", HTTP1_CHUNKED},
        {"HEAD", "200", "Content-Length: 3\r\n", HTTP1_NONE},
        {"head", "200", "Content-Length: 3\r\n", HTTP1_LENGTH}, /* methods have case */
        {"GET", "100", "", HTTP1_NONE},
        {"GET", "101", "Content-Length: 3\r\n", HTTP1_NONE},
        {"GET", "204", "Transfer-Encoding: chunked\r\n", HTTP1_NONE},
        {"GET", "304", "Content-Length: 3\r\n", HTTP1_NONE},
        {"GET", "205", "", HTTP1_UNTIL_CLOSE},
        {"CONNECT", "200", "Content-Length: 3\r\n", HTTP1_NONE},
        {"CONNECT", "299", "Content-Length: 3\r\n", HTTP1_NONE},
        {"CONNECT", "300", "Content-Length: 3\r\n", HTTP1_LENGTH},
        {"CONNECT", "403", "Content-Length: 3\r\n", HTTP1_LENGTH},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        struct http1_head h;
        struct http1_body b;
        int len = snprintf(text, sizeof text, "HTTP/1.1 %s x\r\n%s\r\n", cases[i].status,
                           cases[i].headers);
        struct reader in = reader_of(text, (size_t)len);
        assert_int_equal(http1_response_decode(&in, &h), RC_OK);
        http1_body_of_response(&h, reader_of_text(cases[i].method), &b);
        if (b.framing != cases[i].want)
            fail_msg("%s %s %s", cases[i].method, cases[i].status, cases[i].headers);
        assert_int_equal(b.done, cases[i].want == HTTP1_NONE);
    }
}

/* Feeds `text` cut at two places, each part from a heap copy of its own; the body goes to `out`. */
static enum rc feed(struct http1_body *body, const char *text, size_t len, const size_t cuts[2],
                    struct buf *out, size_t *rest)
{
    size_t from = 0;
    enum rc rc = RC_AGAIN;

    *rest = 0;
    for (size_t i = 0; i < 3 && (rc == RC_AGAIN || rc == RC_OK); i++) {
        size_t to = i < 2 ? cuts[i] : len;
        uint8_t *bytes = exact_copy(text + from, to - from);
        struct reader in = reader_of(bytes, to - from), data;
        while ((rc = http1_body_decode(body, &in, &data)) == RC_OK && !body->done)
            buf_put(out, data);
        if (rc == RC_OK) {
            buf_put(out, data);
            *rest += in.left;
        }
        from = to;
        free(bytes);
    }
    return rc;
}

static const char chunked[] = "5\r\nhello\r\n"
                              "6;a ;b = c ; d=\"e;\\\"\t\\\\f\" ; g\r\n world\r\n"
                              "0000;z\r\nX-Sum: 1\r\nY:\r\n\r\nNEXT";

static void a_chunked_body_comes_out_whole_wherever_it_is_cut(void **state)
{
    (void)state;
    size_t len = sizeof chunked - 1;

    for (size_t a = 0; a <= len; a++)
        for (size_t b = a; b <= len; b++) {
            struct http1_body body = {.framing = HTTP1_CHUNKED};
            struct buf out;
            size_t rest;
            buf_init(&out, 64);
            enum rc rc = feed(&body, chunked, len, (size_t[]){a, b}, &out, &rest);
            assert_int_equal(rc, RC_OK);
            assert_true(body.done);
            assert_int_equal(rest, 4);
            assert_true(reader_is(buf_view(&out), "hello world"));
            assert_int_equal(http1_body_end(&body), RC_OK);
            buf_done(&out);
        }
}

static void a_broken_chunked_body_is_refused_wherever_it_is_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {TEXT("\r\n")},
        {TEXT(";a\r\n")},
        {TEXT(" 5\r\n")},
        {TEXT("g\r\n")},
        {TEXT("-1\r\n")},
        {TEXT("+1\r\n")},
        {TEXT("0x1\r\n")},
        {TEXT("5 \r\nhello\r\n")},
        {TEXT("5\nhello\r\n")},
        {TEXT("5\rhello\r\n")},
        {TEXT("5\r\r\nhello\r\n")},
        {TEXT("5\r\nhello\n")},
        {TEXT("5\r\nhello0\r\n")},
        {TEXT("5\r\nhello\r0")},
        {TEXT("5;\r\nhello\r\n")},
        {TEXT("5;=b\r\nhello\r\n")},
        {TEXT("5;a=\r\nhello\r\n")},
        {TEXT("5;a bc\r\nhello\r\n")},
        {TEXT("5;a=(\r\nhello\r\n")},
        {TEXT("5;a=\"\x01\r\nhello\r\n0\r\n\r\n")},
        {TEXT("5;a=\"\\\x01\r\nhello\r\n0\r\n\r\n")},
        {TEXT("5;a=b c\r\nhello\r\n")},
        {TEXT("5;a=\"b\r\nhello\r\n")},
        {TEXT("5;a=\"b\"c\r\nhello\r\n")},
        {TEXT("5;a=\"\\\x01\"\r\nhello\r\n")},
        {TEXT("5;a\0\r\nhello\r\n")},
        {TEXT("5;a\nb\r\nhello\r\n")},
        {TEXT("8000000000000000\r\n")},
        {TEXT("ffffffffffffffff\r\n")},
        {TEXT("10000000000000000\r\n")},
        {TEXT("00000000000000001\r\n")},
        {TEXT("0\r\nX-Y : z\r\n\r\n")},
        {TEXT("0\r\n folded\r\n\r\n")},
        {TEXT("0\r\nX: y\n\r\n")},
        {TEXT("0\r\nX: \x01\r\n\r\n")},
        {TEXT("0\r\nX\r\n\r\n")},
        {TEXT("0\r\n: y\r\n\r\n")},
        {TEXT("0\r\n(\r\n\r\n")},
        {TEXT("0\r\nX(\r\n\r\n")},
        {TEXT("0\r\nX: y\rZ\r\n\r\n")},
        {TEXT("0\r\n\rX")},
        {TEXT("0\n\n")},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t cut = 0; cut <= cases[i].len; cut++) {
            struct http1_body body = {.framing = HTTP1_CHUNKED};
            struct buf out;
            size_t rest;
            buf_init(&out, 64);
            if (feed(&body, cases[i].text, cases[i].len, (size_t[]){cut, cut}, &out, &rest) !=
                RC_PROTO)
                fail_msg("not refused: %s", cases[i].text);
            struct reader more = reader_of(TEXT("0\r\n\r\n")), data;
            assert_int_equal(http1_body_decode(&body, &more, &data), RC_PROTO);
            assert_int_equal(http1_body_end(&body), RC_PROTO);
            buf_done(&out);
        }
}

/* `count` times `what`, between `before` and `after`. */
static enum rc decode_repeated(const char *before, const char *what, size_t count,
                               const char *after)
{
    struct http1_body body = {.framing = HTTP1_CHUNKED};
    struct buf text;
    struct reader data;

    buf_init(&text, 1024 * 1024);
    buf_put_text(&text, before);
    for (size_t i = 0; i < count; i++)
        buf_put_text(&text, what);
    buf_put_text(&text, after);
    assert_true(buf_ok(&text));
    struct reader in = buf_view(&text);
    enum rc rc = http1_body_decode(&body, &in, &data);
    buf_done(&text);
    return rc;
}

static void what_stands_around_chunks_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *before, *what;
        size_t count;
        const char *after;
        enum rc want;
    } cases[] = {
        {"0;", "a", HTTP1_CHUNK_LINE_MAX - 4, "\r\n\r\n", RC_OK},
        {"0;", "a", HTTP1_CHUNK_LINE_MAX - 3, "\r\n\r\n", RC_LIMIT},
        {"0;", "a", HTTP1_CHUNK_LINE_MAX - 1, "", RC_LIMIT},
        {"", "0", HTTP1_CHUNK_DIGITS_MAX, "\r\n\r\n", RC_OK},
        {"0\r\n", "a:\r\n", HTTP1_HEADERS_MAX, "\r\n", RC_OK},
        {"0\r\n", "a:\r\n", HTTP1_HEADERS_MAX + 1, "\r\n", RC_LIMIT},
        {"0\r\na:", "b", HTTP1_TRAILERS_MAX - 6, "\r\n\r\n", RC_OK},
        {"0\r\na:", "b", HTTP1_TRAILERS_MAX - 5, "\r\n\r\n", RC_LIMIT},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum rc rc =
            decode_repeated(cases[i].before, cases[i].what, cases[i].count, cases[i].after);
        if (rc != cases[i].want)
            fail_msg("case %zu: %s", i, rc_text(rc));
    }
}

static void the_largest_chunk_is_taken(void **state)
{
    (void)state;
    struct http1_body body = {.framing = HTTP1_CHUNKED};
    struct reader in = reader_of(TEXT("7fffffffffffffff\r\nabc")), data;

    assert_int_equal(http1_body_decode(&body, &in, &data), RC_OK);
    assert_true(reader_is(data, "abc"));
    assert_int_equal(body.left, INT64_MAX - 3);
}

static void a_body_of_known_length_takes_no_byte_more(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 9; cut++) {
        struct http1_body body = {.framing = HTTP1_LENGTH, .left = 5};
        struct buf out;
        size_t rest;
        buf_init(&out, 64);
        assert_int_equal(feed(&body, "helloNEXT", 9, (size_t[]){cut, cut}, &out, &rest), RC_OK);
        assert_true(reader_is(buf_view(&out), "hello"));
        assert_int_equal(rest, 4);
        buf_done(&out);
    }
}

static void a_stream_that_ends_early_is_told(void **state)
{
    (void)state;
    struct http1_body length = {.framing = HTTP1_LENGTH, .left = 5};
    struct http1_body chunks = {.framing = HTTP1_CHUNKED};
    struct http1_body open = {.framing = HTTP1_UNTIL_CLOSE};
    struct http1_body none = {.framing = HTTP1_NONE, .done = true};
    struct reader in = reader_of(TEXT("hell")), data;

    assert_int_equal(http1_body_decode(&length, &in, &data), RC_OK);
    assert_int_equal(http1_body_end(&length), RC_PROTO);
    in = reader_of(TEXT("5\r\nhello\r\n"));
    assert_int_equal(http1_body_decode(&chunks, &in, &data), RC_OK);
    assert_int_equal(http1_body_decode(&chunks, &in, &data), RC_AGAIN);
    assert_int_equal(http1_body_end(&chunks), RC_PROTO);
    in = reader_of(TEXT("anything"));
    assert_int_equal(http1_body_decode(&open, &in, &data), RC_OK);
    assert_int_equal(data.left, 8);
    assert_int_equal(http1_body_decode(&open, &in, &data), RC_AGAIN);
    assert_false(open.done);
    assert_int_equal(http1_body_end(&open), RC_OK);
    assert_true(open.done);
    in = reader_of(TEXT("NEXT"));
    assert_int_equal(http1_body_decode(&none, &in, &data), RC_OK);
    assert_int_equal(in.left, 4);
    assert_int_equal(http1_body_end(&none), RC_OK);
}

static void chunks_that_are_encoded_decode(void **state)
{
    (void)state;
    struct http1_body body = {.framing = HTTP1_CHUNKED};
    struct buf wire, out;
    size_t rest;

    buf_init(&wire, 1024);
    buf_init(&out, 64);
    http1_put_chunk(&wire, reader_of(TEXT("hello, this is a")));
    http1_put_chunk(&wire, reader_of(TEXT(""))); /* would be the end */
    http1_put_chunk_size(&wire, 8);
    buf_put_text(&wire, " message\r\n");
    http1_put_chunk_end(&wire);
    struct reader text = buf_view(&wire);
    assert_int_equal(feed(&body, (const char *)text.at, text.left, (size_t[]){7, 9}, &out, &rest),
                     RC_OK);
    assert_true(reader_is(buf_view(&out), "hello, this is a message"));
    buf_done(&wire);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_says_how_long_its_body_is),
        cmocka_unit_test(an_ambiguous_length_is_refused),
        cmocka_unit_test(a_response_says_it_with_the_method_and_the_status),
        cmocka_unit_test(a_chunked_body_comes_out_whole_wherever_it_is_cut),
        cmocka_unit_test(a_broken_chunked_body_is_refused_wherever_it_is_cut),
        cmocka_unit_test(what_stands_around_chunks_is_bounded),
        cmocka_unit_test(the_largest_chunk_is_taken),
        cmocka_unit_test(a_body_of_known_length_takes_no_byte_more),
        cmocka_unit_test(a_stream_that_ends_early_is_told),
        cmocka_unit_test(chunks_that_are_encoded_decode),
    };
    return cmocka_run_group_tests_name("http1 body", tests, NULL, NULL);
}
