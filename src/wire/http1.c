#include "wire/http1.h"

#include <string.h>

#include "wire/http1_text.h"

/* Kinds of characters in a target (RFC 3986 §2, appendix A). */

/* Of a registered name, `%` apart: unreserved and sub-delims. */
static bool is_host(uint8_t c)
{
    static const char marks[] = "-._~!$&'()*+,;=";

    return is_digit(c) || is_alpha(c) || memchr(marks, c, sizeof marks - 1) != NULL;
}

static bool is_ipv6(uint8_t c)
{
    return is_hex(c) || c == ':' || c == '.';
}

static bool is_scheme(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
}

/* Of a path, `%` apart. Browsers leave [ ] and | as they are, so they pass although RFC 3986 has
 * none. */
static bool is_path(uint8_t c)
{
    return is_host(c) || c == '/' || c == ':' || c == '@' || c == '[' || c == ']' || c == '|';
}

/* Browsers encode nothing else in a query; a `%` may mean itself there. */
static bool is_query(uint8_t c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '#' && c != '<' && c != '>';
}

/* Looking into slices */

static bool starts_with(struct reader r, uint8_t c)
{
    return r.left > 0 && r.at[0] == c;
}

static bool ends_with_blank(struct reader r)
{
    return r.left > 0 && is_blank(r.at[r.left - 1]);
}

/* Takes what stands before the first `stop` and `stop` itself. No `stop`: `r` has failed. */
static struct reader take_until(struct reader *r, uint8_t stop)
{
    const uint8_t *found = r->left > 0 ? memchr(r->at, stop, r->left) : NULL;
    struct reader part = reader_slice(r, found ? (size_t)(found - r->at) : SIZE_MAX);

    if (found)
        (void)reader_u8(r);
    return part;
}

static struct reader trimmed(struct reader r)
{
    (void)reader_slice(&r, span(r, is_blank));
    while (ends_with_blank(r))
        r.left--;
    return r;
}

/* Whether it is `text`, any case. */
static bool is_like(struct reader r, const char *text)
{
    for (; *text && r.left > 0; text++)
        if (lower(reader_u8(&r)) != lower((uint8_t)*text))
            return false;
    return *text == '\0' && reader_done(&r);
}

/* Characters of a kind, or `%` and two hex digits. */
static bool all_or_escaped(struct reader r, char_kind *is)
{
    for (;;) {
        (void)reader_slice(&r, span(r, is));
        if (r.left == 0)
            return true;
        if (reader_u8(&r) != '%' || !all(reader_slice(&r, 2), is_hex) || !reader_ok(&r))
            return false;
    }
}

/* Lines */

/*
 * Takes a line without its CRLF; both must fit in `max` bytes. The first byte that decides,
 * decides: so the outcome is the same however much has arrived behind it.
 */
static enum rc take_line(struct reader *in, size_t max, struct reader *line)
{
    struct reader seen = *in;

    if (seen.left > max)
        seen.left = max;
    enum rc short_of = seen.left == max ? RC_LIMIT : RC_AGAIN;
    struct reader text = reader_slice(&seen, span(seen, is_text));
    if (seen.left == 0)
        return short_of;
    if (reader_u8(&seen) != '\r')
        return RC_PROTO;
    if (seen.left == 0)
        return short_of;
    if (reader_u8(&seen) != '\n')
        return RC_PROTO;
    *line = text;
    (void)reader_slice(in, text.left + 2);
    return RC_OK;
}

/* Targets and hosts (RFC 9112 §3.2, RFC 3986 §3.2) */

static bool is_port(struct reader r)
{
    unsigned value = 0;

    if (r.left > 5 || !all(r, is_digit))
        return false;
    while (r.left > 0)
        value = value * 10 + (unsigned)(reader_u8(&r) - '0');
    return value <= UINT16_MAX;
}

/* host [":" port]. User names are refused: RFC 9110 §4.2.4. */
static bool is_authority(struct reader r, bool with_port)
{
    struct reader host = r;

    if (starts_with(r, '[')) {
        (void)reader_u8(&r);
        host = take_until(&r, ']');
        if (!reader_ok(&r) || host.left < 2 || !all(host, is_ipv6))
            return false;
    } else {
        const uint8_t *colon = r.left > 0 ? memchr(r.at, ':', r.left) : NULL;
        host = reader_slice(&r, colon ? (size_t)(colon - r.at) : r.left);
        if (!all_or_escaped(host, is_host))
            return false;
    }
    if (r.left == 0)
        return !with_port;
    return reader_u8(&r) == ':' && is_port(r) && (!with_port || (host.left > 0 && r.left > 0));
}

/* path ["?" query] */
static bool split_path(struct reader r, struct http1_head *out)
{
    struct reader rest = r;

    out->path = take_until(&rest, '?');
    out->query = rest;
    if (!reader_ok(&rest))
        out->path = r;
    return all_or_escaped(out->path, is_path) && all(out->query, is_query);
}

static bool is_before_path(uint8_t c)
{
    return c != '/' && c != '?';
}

/* scheme "://" authority path ["?" query] */
static bool split_absolute(struct reader r, struct http1_head *out)
{
    out->scheme = take_until(&r, ':');
    bool slashes = reader_u16(&r) == ('/' << 8 | '/');
    out->authority = reader_slice(&r, span(r, is_before_path));
    return reader_ok(&r) && slashes && all(out->scheme, is_scheme) &&
           span(out->scheme, is_alpha) > 0 && out->authority.left > 0 &&
           !starts_with(out->authority, ':') && is_authority(out->authority, false) &&
           split_path(r, out);
}

bool http1_split_target(struct http1_head *out)
{
    const struct reader absent = {.failed = true};

    out->scheme = out->authority = out->path = (struct reader){0};
    out->query = absent;
    if (reader_is(out->method, "CONNECT")) {
        out->form = HTTP1_AUTHORITY;
        out->authority = out->target;
        return is_authority(out->target, true);
    }
    if (reader_is(out->target, "*")) {
        out->form = HTTP1_ASTERISK;
        return reader_is(out->method, "OPTIONS");
    }
    if (starts_with(out->target, '/')) {
        out->form = HTTP1_ORIGIN;
        return split_path(out->target, out);
    }
    out->form = HTTP1_ABSOLUTE;
    return split_absolute(out->target, out);
}

/* Heads */

static bool parse_version(struct reader r, unsigned *minor)
{
    *minor = reader_is(r, "HTTP/1.1");
    return *minor == 1 || reader_is(r, "HTTP/1.0");
}

/* method SP target SP version */
static bool parse_request_line(struct reader line, struct http1_head *out)
{
    out->method = take_until(&line, ' ');
    out->target = take_until(&line, ' ');
    return reader_ok(&line) && is_name(out->method) && parse_version(line, &out->minor) &&
           http1_split_target(out);
}

/* version SP status [SP reason]. The second space is often left out with the reason; nothing hangs
 * on it. */
static bool parse_status_line(struct reader line, struct http1_head *out)
{
    if (!parse_version(take_until(&line, ' '), &out->minor))
        return false;
    struct reader digits = reader_slice(&line, 3);
    if (!reader_ok(&line) || !all(digits, is_digit) || starts_with(digits, '0'))
        return false;
    out->status = 0;
    while (digits.left > 0)
        out->status = out->status * 10 + (unsigned)(reader_u8(&digits) - '0');
    bool ended = line.left == 0;
    if (!ended && reader_u8(&line) != ' ')
        return false;
    out->reason = line;
    return true;
}

/* name ":" value. A folded line or a space before the colon makes a name that is none. */
static bool parse_field(struct reader line, struct http1_field *out)
{
    out->name = take_until(&line, ':');
    out->value = trimmed(line);
    return reader_ok(&line) && is_name(out->name);
}

static bool parse_length(struct reader value, uint64_t *out)
{
    uint64_t length = 0;

    if (value.left == 0 || !all(value, is_digit))
        return false;
    while (value.left > 0) {
        uint64_t digit = (uint64_t)(reader_u8(&value) - '0');
        if (length > (INT64_MAX - digit) / 10)
            return false;
        length = length * 10 + digit;
    }
    *out = length;
    return true;
}

/*
 * RFC 9112 §6. Stricter in three points, so that nobody in between can see another end: a
 * Content-Length said twice is refused even when equal, one beside Transfer-Encoding is refused,
 * and no coding but `chunked` is known.
 */
static bool read_framing(struct http1_head *out)
{
    out->chunked = out->has_length = false;
    out->length = 0;
    for (size_t i = 0; i < out->field_count; i++) {
        const struct http1_field *f = &out->fields[i];
        bool length = is_like(f->name, "content-length");
        bool coding = is_like(f->name, "transfer-encoding");
        if ((length || coding) && (out->has_length || out->chunked))
            return false;
        if (length && !parse_length(f->value, &out->length))
            return false;
        if (coding && (out->minor == 0 || !is_like(f->value, "chunked")))
            return false;
        out->has_length |= length;
        out->chunked |= coding;
    }
    return true;
}

/* RFC 9112 §3.2: one Host, and valid; HTTP/1.0 did without. A host in the target goes before it. */
static bool read_host(struct http1_head *out)
{
    size_t count = http1_header_count(out, "host");
    struct reader host = http1_header(out, "host");

    if (count > 1 || (count == 0 && out->minor > 0))
        return false;
    if (count == 1 && !is_authority(host, false))
        return false;
    if (out->form != HTTP1_ABSOLUTE && out->form != HTTP1_AUTHORITY)
        out->authority = host;
    return true;
}

static size_t room(const struct reader *from, const struct reader *at)
{
    return HTTP1_HEAD_MAX - (from->left - at->left);
}

/* The lines behind the first, with the empty one. `from`: where the head began. */
static enum rc take_fields(const struct reader *from, struct reader *at, struct http1_head *out)
{
    struct reader line;

    out->field_count = 0;
    for (;;) {
        enum rc rc = take_line(at, room(from, at), &line);
        if (rc != RC_OK)
            return rc;
        if (line.left == 0)
            return RC_OK;
        if (out->field_count == HTTP1_HEADERS_MAX)
            return RC_LIMIT;
        if (!parse_field(line, &out->fields[out->field_count++]))
            return RC_PROTO;
    }
}

enum rc http1_request_decode(struct reader *in, struct http1_head *out)
{
    struct reader at = *in, line = {0};

    while (line.left == 0) { /* RFC 9112 §2.2: empty lines before it are skipped */
        size_t max = room(in, &at);
        enum rc rc = take_line(&at, max < HTTP1_LINE_MAX ? max : HTTP1_LINE_MAX, &line);
        if (rc != RC_OK)
            return rc;
    }
    if (!parse_request_line(line, out))
        return RC_PROTO;
    enum rc rc = take_fields(in, &at, out);
    if (rc != RC_OK)
        return rc;
    if (!read_host(out) || !read_framing(out))
        return RC_PROTO;
    out->status = 0;
    out->reason = (struct reader){0};
    *in = at;
    return RC_OK;
}

enum rc http1_response_decode(struct reader *in, struct http1_head *out)
{
    struct reader at = *in, line;

    enum rc rc = take_line(&at, HTTP1_LINE_MAX, &line);
    if (rc != RC_OK)
        return rc;
    if (!parse_status_line(line, out))
        return RC_PROTO;
    rc = take_fields(in, &at, out);
    if (rc != RC_OK)
        return rc;
    if (!read_framing(out))
        return RC_PROTO;
    out->method = out->target = out->scheme = out->authority = out->path = (struct reader){0};
    out->query = (struct reader){.failed = true};
    out->form = HTTP1_ORIGIN;
    *in = at;
    return RC_OK;
}

struct reader http1_header(const struct http1_head *h, const char *name)
{
    for (size_t i = 0; i < h->field_count; i++)
        if (is_like(h->fields[i].name, name))
            return h->fields[i].value;
    return (struct reader){.failed = true};
}

size_t http1_header_count(const struct http1_head *h, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < h->field_count; i++)
        count += is_like(h->fields[i].name, name);
    return count;
}

static bool list_has(struct reader list, const char *token)
{
    while (list.left > 0) {
        struct reader rest = list;
        struct reader element = take_until(&rest, ',');
        if (!reader_ok(&rest))
            element = list;
        if (is_like(trimmed(element), token))
            return true;
        list = rest;
    }
    return false;
}

bool http1_header_has_token(const struct http1_head *h, const char *name, const char *token)
{
    for (size_t i = 0; i < h->field_count; i++)
        if (is_like(h->fields[i].name, name) && list_has(h->fields[i].value, token))
            return true;
    return false;
}

bool http1_keeps_alive(const struct http1_head *h)
{
    if (http1_header_has_token(h, "connection", "close"))
        return false;
    return h->minor > 0 || http1_header_has_token(h, "connection", "keep-alive");
}
