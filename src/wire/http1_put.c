#include "wire/http1.h"

#include <inttypes.h>

#include "base/text.h"
#include "wire/http1_text.h"

/* Appends CRLF-ended text made of three parts, or fails the buffer. */
static void put_line(struct buf *b, bool legal, struct reader first, const char *between,
                     struct reader second, const char *end)
{
    if (!legal) {
        b->failed = true;
        return;
    }
    buf_put(b, first);
    buf_put_text(b, between);
    buf_put(b, second);
    buf_put_text(b, end);
}

void http1_put_request(struct buf *b, struct reader method, struct reader target)
{
    struct http1_head h = {.method = method, .target = target};

    put_line(b, is_name(method) && http1_split_target(&h), method, " ", target, " HTTP/1.1\r\n");
}

void http1_put_status(struct buf *b, unsigned status, const char *reason)
{
    struct reader text = reader_of_text(reason ? reason : http1_reason(status));
    char start[16];

    text_message(start, sizeof start, "HTTP/1.1 %u", status);
    put_line(b, status >= 100 && status <= 999 && all(text, is_text), reader_of_text(start), " ",
             text, "\r\n");
}

void http1_put_field(struct buf *b, struct reader name, struct reader value)
{
    put_line(b, is_name(name) && all(value, is_text), name, ": ", value, "\r\n");
}

void http1_put_header(struct buf *b, const char *name, const char *value)
{
    http1_put_field(b, reader_of_text(name), reader_of_text(value));
}

void http1_put_header_u64(struct buf *b, const char *name, uint64_t value)
{
    char text[24];

    text_message(text, sizeof text, "%" PRIu64, value);
    http1_put_header(b, name, text);
}

void http1_put_end(struct buf *b)
{
    buf_put_text(b, "\r\n");
}

void http1_put_chunk(struct buf *b, struct reader data)
{
    if (data.left == 0)
        return;
    http1_put_chunk_size(b, data.left);
    buf_put(b, data);
    buf_put_text(b, "\r\n");
}

void http1_put_chunk_size(struct buf *b, size_t len)
{
    char text[24];

    text_message(text, sizeof text, "%zx\r\n", len);
    buf_put_text(b, text);
}

void http1_put_chunk_end(struct buf *b)
{
    buf_put_text(b, "0\r\n\r\n");
}

/* RFC 9110 §15 and those that are in use beside it. */
const char *http1_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } phrases[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].status == status)
            return phrases[i].text;
    return "";
}
