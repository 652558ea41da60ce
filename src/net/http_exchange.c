#include "net/http_exchange.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "wire/websocket.h"

enum { DATE_SIZE = 40, REQUEST_ID_LEN = 8 };

/* A C string that lives as long as the exchange. */
struct http_copy {
    struct http_copy *next;
    size_t len;
    char text[];
};

static char *copy(struct http_exchange *x, struct reader from)
{
    struct http_copy *c = mem_zalloc(sizeof *c + from.left + 1);

    c->len = from.left;
    reader_copy(&from, c->text, c->len);
    c->next = x->copies;
    x->copies = c;
    return c->text;
}

/* --- the path ------------------------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a path. -1: not valid, or one that would be mistaken for what it is not. */
static int decode_char(struct reader *in)
{
    int c = reader_u8(in);

    if (c != '%')
        return c;
    int high = hex_digit(reader_u8(in)), low = hex_digit(reader_u8(in));
    if (!reader_ok(in) || high < 0 || low < 0)
        return -1;
    c = high << 4 | low;
    return c < ' ' || c == 0x7f || c == '/' ? -1 : c;
}

/* "" when it is not valid: no route has that name. */
static const char *decode_path(struct http_exchange *x, struct reader path)
{
    struct reader in = path;
    char *out = copy(x, path);
    size_t len = 0;
    struct ws_utf8 utf8 = {0};

    while (in.left > 0) {
        int c = decode_char(&in);
        if (c < 0)
            return "";
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return ws_utf8_step(&utf8, reader_of(out, len)) && utf8.more == 0 ? out : "";
}

/* --- life ----------------------------------------------------------------------------- */

struct http_exchange *http_exchange_new(struct http_connection *from, const struct http1_head *head,
                                        struct buf *bytes, struct reader rest, const char *peer)
{
    struct http_exchange *x = mem_zalloc(sizeof *x);
    struct buf whole = *bytes;

    buf_init(bytes, whole.limit);
    buf_put(bytes, rest);
    x->from = from;
    x->bytes = whole; /* moved, not copied: the head's slices stay where they are */
    x->head = *head;
    x->method = copy(x, head->method);
    x->path = decode_path(x, head->path);
    x->query = reader_ok(&head->query) ? copy(x, head->query) : "";
    x->peer = text_dup(peer);
    buf_init(&x->body, HTTP_BODY_MAX);
    http1_body_of_request(head, &x->framing);
    return x;
}

void http_exchange_free(struct http_exchange *x)
{
    if (x == NULL)
        return;
    while (x->copies) {
        struct http_copy *c = x->copies;
        x->copies = c->next;
        mem_wipe(c->text, c->len);
        free(c);
    }
    buf_done(&x->bytes);
    buf_done(&x->body);
    free(x->peer);
    free(x);
}

/* --- questions ------------------------------------------------------------------------ */

const struct http1_head *http_head(const struct http_exchange *x)
{
    return &x->head;
}

const char *http_method(const struct http_exchange *x)
{
    return x->method;
}

const char *http_path(const struct http_exchange *x)
{
    return x->path;
}

const char *http_query(const struct http_exchange *x)
{
    return x->query;
}

const char *http_header(struct http_exchange *x, const char *name)
{
    if (http1_header_count(&x->head, name) != 1)
        return NULL;
    struct reader value = http1_header(&x->head, name), at = value;
    while (at.left > 0) {
        uint8_t c = reader_u8(&at);
        if (c < ' ' || c > '~')
            return NULL;
    }
    return copy(x, value);
}

const char *http_bearer(struct http_exchange *x)
{
    static const char scheme[] = "Bearer ";
    const char *value = http_header(x, "Authorization");

    if (value == NULL || strncasecmp(value, scheme, sizeof scheme - 1) != 0)
        return NULL;
    value += sizeof scheme - 1;
    value += strspn(value, " ");
    return value[0] != '\0' && strchr(value, ' ') == NULL ? value : NULL;
}

struct reader http_body(const struct http_exchange *x)
{
    return buf_view(&x->body);
}

const char *http_peer(const struct http_exchange *x)
{
    return x->peer;
}

/* --- answers -------------------------------------------------------------------------- */

/* RFC 9110 §5.6.7, whatever the locale. */
static void put_date(struct buf *out, int64_t unix_seconds)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[DATE_SIZE];
    time_t seconds = (time_t)unix_seconds;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    text_message(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
    http1_put_header(out, "Date", text);
}

void http_answer_put(struct buf *out, const struct http_answer *a, int64_t unix_seconds)
{
    bool has_body = a->status >= 200 && a->status != 204 && a->status != 304;

    http1_put_status(out, a->status, NULL);
    put_date(out, unix_seconds);
    if (has_body && a->content_type)
        http1_put_header(out, "Content-Type", a->content_type);
    if (has_body)
        http1_put_header_u64(out, "Content-Length", a->body.left);
    if (!a->keep_alive)
        http1_put_header(out, "Connection", "close");
    else if (a->old)
        http1_put_header(out, "Connection", "keep-alive");
    if (a->headers)
        buf_put_text(out, a->headers);
    http1_put_end(out);
    if (has_body && !a->head_only)
        buf_put(out, a->body);
}

void http_answer_put_upgrade(struct buf *out, const char *headers)
{
    http1_put_status(out, 101, NULL);
    http1_put_header(out, "Connection", "Upgrade");
    buf_put_text(out, headers);
    http1_put_end(out);
}

void http_answer_put_error(struct buf *out, const char *code, const char *message)
{
    uint8_t id[REQUEST_ID_LEN];
    char text[2 * REQUEST_ID_LEN + 1];

    platform_random(id, sizeof id);
    text_hex(reader_of(id, sizeof id), text);
    buf_print(out, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"},\"request_id\":\"%s\"}", code,
              message, text);
}
