/*
 * The published cases of llhttp (tests/vectors/http1) against our codec.
 *
 * Each case is played as one side of a connection. Both sides' events become a transcript (heads,
 * bodies, ends), and the transcripts must be equal; where llhttp ends with an error, we must
 * refuse. Cases that switch a leniency of llhttp on must be refused. `exceptions` below lists all
 * that is treated otherwise.
 *
 * Some things hold for all cases and are handled in general:
 * - most requests have no Host, which RFC 9112 §3.2 forbids: they must be refused as they are, and
 * are then played with a Host put in;
 * - the cases were published without the last CRLF, which the offsets of their events count;
 * - llhttp stops for its user at an upgrade (errors 22, 23); our user stops by itself.
 */
#include "wire/http1.h"

#include <jansson.h>
#include <stdio.h>

#include "base/text.h"

#include "test.h"

enum { TRANSCRIPT_MAX = 64 * 1024, INPUT_MAX = 64 * 1024 };

enum verdict {
    AS_PUBLISHED,
    REFUSED, /* llhttp takes it */
    TAKEN,   /* llhttp refuses it */
    SKIPPED, /* about llhttp's own interface */
};

static const struct exception {
    enum verdict verdict;
    const char *name, *why;
} exceptions[] = {
    {SKIPPED, "request/content-length.md: Content-Length reset when no body is received",
     "its user tells llhttp to skip the body of a request; ours does not lie about bodies"},
    {TAKEN, "request/invalid.md: Invalid method",
     "any token is a method (RFC 9110 §9.1); who does not know it answers 501"},
    {TAKEN, "request/invalid.md: HTTP protocol and ANNOUNCE method", "the same"},
    {REFUSED, "request/method.md: M-SEARCH request",
     "the asterisk is for OPTIONS alone (RFC 9112 §3.2.4)"},
    {REFUSED, "request/method.md: PRI request HTTP2", "the same; we do not speak HTTP/2"},
    {REFUSED, "request/method.md: SOURCE request with ICE", "not HTTP"},
    {REFUSED, "request/method.md: OPTIONS request with RTSP", "not HTTP"},
    {REFUSED, "request/method.md: ANNOUNCE request with RTSP", "not HTTP"},
    {REFUSED, "request/sample.md: No HTTP version", "HTTP/0.9 is not HTTP/1 (RFC 9112 §2.3)"},
    {REFUSED, "request/transfer-encoding.md: POST with `chunked` as last transfer-encoding",
     "we know no coding but chunked (RFC 9112 §6.1 lets a server refuse it)"},
    {REFUSED,
     "request/transfer-encoding.md: POST with `chunked` as last transfer-encoding (multiple "
     "headers)",
     "the same"},
    {REFUSED, "request/uri.md: Quotes in URI", "no character of a URI (RFC 3986 §2)"},
    {REFUSED, "request/uri.md: Fragment in URI", "a target has no fragment (RFC 9112 §3.2)"},
    {REFUSED, "request/uri.md: `host:port` and basic auth",
     "user names from strangers are an error (RFC 9110 §4.2.4)"},
    {REFUSED, "response/connection.md: HTTP 304 with Content-Length",
     "empty lines are skipped before requests only (RFC 9112 §2.2)"},
    {REFUSED, "response/connection.md: HTTP 100 first, then 400", "the same"},
    {REFUSED, "response/pipelining.md: Should parse multiple events", "the same"},
    {REFUSED, "response/sample.md: Response starting with CRLF", "the same"},
    {REFUSED, "response/sample.md: RTSP response", "not HTTP"},
    {REFUSED, "response/sample.md: ICE response", "not HTTP"},
    {REFUSED, "response/sample.md: HTTP version 0.9", "HTTP/0.9 has no status line"},
    {REFUSED, "response/transfer-encoding.md: `chunked` before other transfer-encoding",
     "we know no coding but chunked, so its content could not be read"},
    {REFUSED,
     "response/transfer-encoding.md: multiple transfer-encoding where chunked is not the last one",
     "the same"},
    {REFUSED,
     "response/transfer-encoding.md: `chunkedchunked` transfer-encoding does not enable chunked "
     "enconding",
     "the same"},
    {REFUSED, "url.md: URL tests / Complex URL with basic auth from node.js url parser doc",
     "user names from strangers are an error (RFC 9110 §4.2.4)"},
    {REFUSED, "url.md: URL tests / Proxy basic auth with url encoded space", "the same"},
    {REFUSED, "url.md: URL tests / Proxy basic auth with unreserved chars", "the same"},
    {REFUSED, "url.md: URL tests / IPv6 address with Zone ID",
     "a zone means nothing to another host (RFC 3986 §3.2.2 has none)"},
    {REFUSED, "url.md: URL tests / IPv6 address with Zone ID, but `%` is not percent-encoded",
     "the same"},
};

/* Names begin with "test/" in the file. */
static size_t exceptions_met;

static enum verdict verdict_of(const char *name)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
        if (strcmp(exceptions[i].name, name + strlen("test/")) == 0) {
            exceptions_met++;
            return exceptions[i].verdict;
        }
    return AS_PUBLISHED;
}

/* Transcripts */

struct transcript {
    struct buf text, body;
};

static bool is_same(struct reader a, struct reader b)
{
    return a.left == b.left && (a.left == 0 || memcmp(a.at, b.at, a.left) == 0);
}

static void transcript_init(struct transcript *t)
{
    buf_init(&t->text, TRANSCRIPT_MAX);
    buf_init(&t->body, TRANSCRIPT_MAX);
}

static void transcript_done(struct transcript *t)
{
    assert_true(buf_ok(&t->text) && buf_ok(&t->body));
    buf_done(&t->text);
    buf_done(&t->body);
}

static void put_first_line(struct transcript *t, struct reader method, struct reader target,
                           struct reader reason)
{
    buf_put_text(&t->text, "HEAD ");
    buf_put(&t->text, method);
    buf_put_text(&t->text, " ");
    buf_put(&t->text, target);
    buf_put(&t->text, reason);
    buf_put_text(&t->text, "\n");
}

static void put_field(struct transcript *t, struct reader name, struct reader value)
{
    while (value.left > 0 && strchr(" \t", value.at[value.left - 1]))
        value.left--; /* llhttp leaves white space behind a value */
    buf_put(&t->text, name);
    buf_put_text(&t->text, "=");
    buf_put(&t->text, value);
    buf_put_text(&t->text, "\n");
}

static void put_body(struct transcript *t, bool complete)
{
    if (t->body.len > 0) {
        buf_put_text(&t->text, "BODY ");
        buf_put(&t->text, buf_view(&t->body));
        buf_put_text(&t->text, "\n");
    }
    if (complete)
        buf_put_text(&t->text, "END\n");
    buf_clear(&t->body);
}

/* Ours */

struct play {
    bool response, skip_body;
};

/* The head at the front of `in`, with a Host where it has none. */
static enum rc decode_head(const struct play *p, struct reader *in, struct buf *with_host,
                           struct http1_head *h)
{
    static const char host[] = "Host: inserted\r\n";

    if (p->response)
        return http1_response_decode(in, h);
    enum rc rc = http1_request_decode(in, h);
    if (rc == RC_OK && h->minor > 0)
        assert_int_equal(http1_header_count(h, "host"), 1);
    if (rc != RC_PROTO)
        return rc;
    size_t skip = in->left > 1 && in->at[0] == '\r' && in->at[1] == '\n' ? 2 : 0;
    const uint8_t *line_end = memmem(in->at + skip, in->left - skip, "\r\n", 2);
    if (line_end == NULL)
        return rc;
    size_t line = (size_t)(line_end + 2 - in->at);
    buf_put(with_host, reader_of(in->at, line));
    buf_put_text(with_host, host);
    buf_put(with_host, reader_of(in->at + line, in->left - line));
    struct reader changed = buf_view(with_host);
    size_t before = changed.left;
    rc = http1_request_decode(&changed, h);
    if (rc == RC_OK)
        (void)reader_slice(in, before - changed.left - (sizeof host - 1));
    return rc;
}

static void put_head(struct transcript *t, const struct http1_head *h)
{
    put_first_line(t, h->method, h->target, h->reason);
    for (size_t i = 0; i < h->field_count; i++)
        if (!reader_is(h->fields[i].value, "inserted"))
            put_field(t, h->fields[i].name, h->fields[i].value);
}

/* What comes behind this message, if anything, is not HTTP. */
static bool is_upgrade(const struct play *p, const struct http1_head *h)
{
    if (p->response)
        return h->status == 101;
    return reader_is(h->method, "CONNECT") || reader_is(h->method, "PRI") ||
           (http1_header_has_token(h, "connection", "upgrade") &&
            http1_header_count(h, "upgrade") > 0);
}

/* One message. RC_CLOSED: the connection carries no other. */
static enum rc play_message(const struct play *p, struct reader *in, struct transcript *t)
{
    struct http1_head h;
    struct http1_body body;
    struct reader data;
    struct buf with_host;

    buf_init(&with_host, 2 * INPUT_MAX);
    enum rc rc = decode_head(p, in, &with_host, &h);
    if (rc != RC_OK)
        goto out;
    put_head(t, &h);
    if (p->response)
        http1_body_of_response(&h, reader_of_text(p->skip_body ? "HEAD" : "GET"), &body);
    else
        http1_body_of_request(&h, &body);
    if (reader_is(h.method, "CONNECT"))
        body.done = true;
    while (!body.done && (rc = http1_body_decode(&body, in, &data)) == RC_OK)
        buf_put(&t->body, data);
    put_body(t, body.done);
    if (rc == RC_OK && is_upgrade(p, &h))
        rc = RC_CLOSED;
    else if (rc == RC_OK && !http1_keeps_alive(&h))
        rc = in->left > 0 ? RC_PROTO : RC_CLOSED;
out:
    buf_done(&with_host);
    return rc;
}

static enum rc play(const struct play *p, struct reader in, struct transcript *t)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK && in.left > 0)
        rc = play_message(p, &in, t);
    return rc;
}

/* llhttp's */

struct their_message {
    struct buf method, target, reason, name, value, fields;
    bool in_body;
};

static void their_span(struct their_message *m, struct transcript *t, const char *kind,
                       struct reader bytes)
{
    static const char *const ignored[] = {"protocol", "version", "chunk_extension_name",
                                          "chunk_extension_value"};
    const struct {
        const char *kind;
        struct buf *to;
    } known[] = {{"method", &m->method},     {"url", &m->target},         {"status", &m->reason},
                 {"header_field", &m->name}, {"header_value", &m->value}, {"body", &t->body}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].kind, kind) == 0) {
            buf_put(known[i].to, bytes);
            return;
        }
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        if (strcmp(ignored[i], kind) == 0)
            return;
    fail_msg("unknown span %s", kind);
}

static void their_event(struct their_message *m, struct transcript *t, const char *what)
{
    if (strcmp(what, "message begin") == 0) {
        put_body(t, false);
        m->in_body = false;
        buf_clear(&m->method);
        buf_clear(&m->target);
        buf_clear(&m->reason);
        buf_clear(&m->fields);
    } else if (strcmp(what, "header_value complete") == 0) {
        struct transcript fields = {.text = m->fields};
        if (!m->in_body) /* else a trailer, which we drop */
            put_field(&fields, buf_view(&m->name), buf_view(&m->value));
        m->fields = fields.text;
        buf_clear(&m->name);
        buf_clear(&m->value);
    } else if (strncmp(what, "headers complete", 16) == 0) {
        put_first_line(t, buf_view(&m->method), buf_view(&m->target), buf_view(&m->reason));
        buf_put(&t->text, buf_view(&m->fields));
        m->in_body = true;
    } else if (strcmp(what, "message complete") == 0) {
        put_body(t, true);
    }
}

static void their_transcript(const json_t *events, struct reader input, struct transcript *t)
{
    struct their_message m = {.in_body = false};
    struct buf *const all[] = {&m.method, &m.target, &m.reason, &m.name, &m.value, &m.fields};
    size_t i;
    const json_t *event;

    for (i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_init(all[i], TRANSCRIPT_MAX);
    json_array_foreach(events, i, event)
    {
        const char *text = json_string_value(event);
        unsigned off, len;
        int told = 0;
        char kind[64];
        if (sscanf(text, "off=%u len=%u span[%63[^]]]", &off, &len, kind) == 3) {
            struct reader at = input;
            (void)reader_slice(&at, off);
            their_span(&m, t, kind, reader_slice(&at, len));
            assert_true(reader_ok(&at));
        } else if (sscanf(text, "off=%u %n", &off, &told) == 1) {
            their_event(&m, t, text + told);
        }
    }
    put_body(t, false);
    for (i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_done(all[i]);
}

/* Cases */

static json_t *load(void)
{
    json_error_t error;
    json_t *file = json_load_file(VECTORS "/http1/llhttp-cases.json", 0, &error);

    if (file == NULL)
        fail_msg("%s", error.text);
    return file;
}

/* Where the events end: the published bytes lack what is missing until there. */
static size_t end_of(const json_t *events)
{
    size_t i, end = 0;
    const json_t *event;

    json_array_foreach(events, i, event)
    {
        size_t off = 0, len = 0;
        if (sscanf(json_string_value(event), "off=%zu len=%zu", &off, &len) >= 1 && off + len > end)
            end = off + len;
    }
    return end;
}

static void read_input(const json_t *one, struct buf *out)
{
    const char *hex = json_string_value(json_object_get(one, "input_hex"));
    size_t len = strlen(hex) / 2, end = end_of(json_object_get(one, "events"));
    uint8_t *bytes = malloc(len + 1);

    assert_non_null(bytes);
    assert_int_equal(text_unhex(hex, bytes, len), RC_OK);
    for (size_t i = 0; i < len; i++)
        if (end == len + 3 && bytes[i] >= 0x80) { /* its offsets count UTF-8 */
            buf_put_u8(out, (uint8_t)(0xc0 | bytes[i] >> 6));
            buf_put_u8(out, (uint8_t)(0x80 | (bytes[i] & 0x3f)));
        } else {
            buf_put_u8(out, bytes[i]);
        }
    if (end > out->len)
        buf_put_text(out, "\r\n");
    assert_true(end <= out->len);
    free(bytes);
}

static bool is_lenient(const json_t *one)
{
    const char *type = json_string_value(json_object_get(json_object_get(one, "meta"), "type"));

    return strstr(type, "lenient") != NULL;
}

/* Errors 22 and 23 are how llhttp tells its user of an upgrade. */
static bool they_refuse(const json_t *one)
{
    const char *code = json_string_value(json_array_get(json_object_get(one, "error"), 0));

    return code != NULL && strcmp(code, "22") != 0 && strcmp(code, "23") != 0;
}

static bool is_refusal(enum rc rc)
{
    return rc == RC_PROTO || rc == RC_LIMIT;
}

/* Plays the case; where it must be refused, with the ends of lines that it was published without.
 */
static enum rc play_case(const struct play *p, struct buf *input, bool refuse, struct transcript *t)
{
    enum rc rc = play(p, buf_view(input), t);

    for (int i = 0; i < 2 && refuse && rc == RC_AGAIN; i++) {
        buf_put_text(input, "\r\n");
        buf_clear(&t->text);
        rc = play(p, buf_view(input), t);
    }
    return rc;
}

static bool run_http(const json_t *one, const char *name)
{
    const json_t *meta = json_object_get(one, "meta");
    struct play p = {
        .response = strncmp(json_string_value(json_object_get(meta, "type")), "response", 8) == 0,
        .skip_body = json_object_get(meta, "skipBody") != NULL,
    };
    enum verdict verdict = verdict_of(name);
    struct transcript ours, theirs;
    struct buf input;

    transcript_init(&ours);
    transcript_init(&theirs);
    buf_init(&input, INPUT_MAX);
    read_input(one, &input);
    their_transcript(json_object_get(one, "events"), buf_view(&input), &theirs);
    bool refuse =
        verdict == REFUSED || (verdict == AS_PUBLISHED && (they_refuse(one) || is_lenient(one)));
    enum rc rc = play_case(&p, &input, refuse, &ours);
    struct reader a = buf_view(&ours.text), b = buf_view(&theirs.text);
    bool same = is_same(a, b);
    bool passed = verdict == SKIPPED || (refuse             ? is_refusal(rc)
                                         : verdict == TAKEN ? !is_refusal(rc)
                                                            : same && !is_refusal(rc));
    if (!passed)
        print_error("%s\n  %s, should be %s\n  ours:\n%.*s  theirs:\n%.*s\n", name, rc_text(rc),
                    refuse ? "refused" : "taken", (int)a.left, (const char *)a.at, (int)b.left,
                    (const char *)b.at);
    transcript_done(&ours);
    transcript_done(&theirs);
    buf_done(&input);
    return passed;
}

/* A case of one target alone. A fragment is no part of one: refused with it, played without. */

static void put_part(struct buf *out, const char *kind, struct reader part)
{
    if (part.left == 0)
        return;
    buf_put_text(out, kind);
    buf_put_text(out, " ");
    buf_put(out, part);
    buf_put_text(out, "\n");
}

static void their_parts(const json_t *events, struct reader url, struct buf *out)
{
    size_t i;
    const json_t *event;

    json_array_foreach(events, i, event)
    {
        unsigned off, len;
        char kind[64];
        struct reader at = url;
        if (sscanf(json_string_value(event), "off=%u len=%u span[url.%63[^]]]", &off, &len, kind) <
                3 ||
            strcmp(kind, "fragment") == 0)
            continue;
        (void)reader_slice(&at, off);
        put_part(out, kind, reader_slice(&at, len));
    }
}

static enum rc our_parts(struct reader url, struct buf *out)
{
    struct http1_head h;
    struct buf request;

    buf_init(&request, INPUT_MAX);
    buf_put_text(&request, "GET ");
    buf_put(&request, url);
    buf_put_text(&request, " HTTP/1.1\r\nHost:\r\n\r\n");
    struct reader in = buf_view(&request);
    enum rc rc = http1_request_decode(&in, &h);
    if (rc == RC_OK) {
        put_part(out, "schema", h.scheme);
        put_part(out, "host", h.authority);
        put_part(out, "path", h.path);
        put_part(out, "query", h.query);
    }
    buf_done(&request);
    return rc;
}

static bool run_url(const json_t *one, const char *name)
{
    struct buf input, ours, theirs;

    buf_init(&input, INPUT_MAX);
    buf_init(&ours, TRANSCRIPT_MAX);
    buf_init(&theirs, TRANSCRIPT_MAX);
    read_input(one, &input);
    struct reader url = buf_view(&input);
    their_parts(json_object_get(one, "events"), url, &theirs);
    bool refuse = verdict_of(name) == REFUSED || they_refuse(one);
    const uint8_t *fragment = memchr(url.at, '#', url.left);
    if (fragment && !refuse) {
        assert_int_equal(our_parts(url, &ours), RC_PROTO);
        url.left = (size_t)(fragment - url.at);
    }
    enum rc rc = our_parts(url, &ours);
    bool same = is_same(buf_view(&ours), buf_view(&theirs));
    bool passed = refuse ? rc == RC_PROTO : rc == RC_OK && same;
    if (!passed)
        print_error("%s: %s\n", name, rc_text(rc));
    buf_done(&input);
    buf_done(&ours);
    buf_done(&theirs);
    return passed;
}

static void every_case_of_llhttp_comes_to_the_same_end(void **state)
{
    (void)state;
    json_t *file = load();
    const json_t *cases = json_object_get(file, "cases"), *one;
    size_t i, failed = 0;

    json_array_foreach(cases, i, one)
    {
        bool url = strcmp(json_string_value(json_object_get(one, "kind")), "url") == 0;
        char name[512];
        assert_int_equal(text_format(name, sizeof name, "%s: %s",
                                     json_string_value(json_object_get(one, "file")),
                                     json_string_value(json_object_get(one, "name"))),
                         RC_OK);
        failed += !(url ? run_url(one, name) : run_http(one, name));
    }
    assert_int_equal(i, json_integer_value(json_object_get(file, "count")));
    assert_int_equal(i, 272);
    json_decref(file);
    assert_int_equal(failed, 0);
    assert_int_equal(exceptions_met, sizeof exceptions / sizeof exceptions[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_llhttp_comes_to_the_same_end),
    };
    return cmocka_run_group_tests_name("http1 vectors", tests, NULL, NULL);
}
