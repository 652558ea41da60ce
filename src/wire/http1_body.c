#include "wire/http1.h"

#include "wire/http1_text.h"

/* Where a chunked body stands (RFC 9112 §7.1); what the next byte may be. */
enum step {
    SIZE,        /* a hex digit, or what ends the size */
    BEFORE_NEXT, /* blank behind a size or a value: only a `;` may follow */
    EXT_BEGIN,   /* behind `;` */
    EXT_NAME,
    EXT_EQUALS, /* blank behind a name: `=` or `;` */
    EXT_VALUE_BEGIN,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,  /* behind a backslash */
    EXT_UNQUOTED, /* behind the closing quote */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE_BEGIN, /* of a trailer, or the empty line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END,
    BROKEN,
};

static void set_framing(struct http1_body *b, enum http1_framing framing, uint64_t length)
{
    *b = (struct http1_body){.framing = framing, .left = length};
    b->done = framing == HTTP1_NONE || (framing == HTTP1_LENGTH && length == 0);
}

void http1_body_of_request(const struct http1_head *request, struct http1_body *out)
{
    set_framing(out,
                request->chunked      ? HTTP1_CHUNKED
                : request->has_length ? HTTP1_LENGTH
                                      : HTTP1_NONE,
                request->length);
}

void http1_body_of_response(const struct http1_head *response, struct reader method,
                            struct http1_body *out)
{
    unsigned status = response->status;
    bool none = status < 200 || status == 204 || status == 304 || reader_is(method, "HEAD") ||
                (reader_is(method, "CONNECT") && status < 300);

    set_framing(out,
                none                   ? HTTP1_NONE
                : response->chunked    ? HTTP1_CHUNKED
                : response->has_length ? HTTP1_LENGTH
                                       : HTTP1_UNTIL_CLOSE,
                response->length);
}

static unsigned hex_value(uint8_t c)
{
    return is_digit(c) ? (unsigned)(c - '0') : (unsigned)(lower(c) - 'a' + 10);
}

static enum step add_digit(struct http1_body *b, uint8_t c)
{
    if (b->digits++ == HTTP1_CHUNK_DIGITS_MAX || b->left > INT64_MAX >> 4)
        return BROKEN;
    b->left = b->left << 4 | hex_value(c);
    return SIZE;
}

/* What may follow a size, a name or a value. */
static enum step after_item(uint8_t c, enum step blank)
{
    return c == ';' ? EXT_BEGIN : c == '\r' ? SIZE_LF : is_blank(c) ? blank : BROKEN;
}

static enum step in_size_line(struct http1_body *b, uint8_t c)
{
    switch (b->step) {
    case SIZE:
        return is_hex(c) ? add_digit(b, c) : b->digits > 0 ? after_item(c, BEFORE_NEXT) : BROKEN;
    case BEFORE_NEXT:
        return is_blank(c) ? BEFORE_NEXT : c == ';' ? EXT_BEGIN : BROKEN;
    case EXT_BEGIN:
        return is_blank(c) ? EXT_BEGIN : is_token(c) ? EXT_NAME : BROKEN;
    case EXT_NAME:
        return is_token(c) ? EXT_NAME : c == '=' ? EXT_VALUE_BEGIN : after_item(c, EXT_EQUALS);
    case EXT_EQUALS:
        return is_blank(c) ? EXT_EQUALS
               : c == '='  ? EXT_VALUE_BEGIN
               : c == ';'  ? EXT_BEGIN
                           : BROKEN;
    case EXT_VALUE_BEGIN:
        return is_blank(c)   ? EXT_VALUE_BEGIN
               : c == '"'    ? EXT_QUOTED
               : is_token(c) ? EXT_VALUE
                             : BROKEN;
    case EXT_VALUE:
        return is_token(c) ? EXT_VALUE : after_item(c, BEFORE_NEXT);
    case EXT_QUOTED:
        return c == '"' ? EXT_UNQUOTED : c == '\\' ? EXT_ESCAPED : is_text(c) ? EXT_QUOTED : BROKEN;
    case EXT_ESCAPED:
        return is_text(c) ? EXT_QUOTED : BROKEN;
    case EXT_UNQUOTED:
        return after_item(c, BEFORE_NEXT);
    case SIZE_LF:
        return c != '\n' ? BROKEN : b->left > 0 ? DATA : LINE_BEGIN;
    default:
        return BROKEN;
    }
}

static enum step behind_data(struct http1_body *b, uint8_t c)
{
    if (b->step == DATA_CR)
        return c == '\r' ? DATA_LF : BROKEN;
    b->digits = b->line = 0;
    return c == '\n' ? SIZE : BROKEN;
}

static enum step in_trailers(struct http1_body *b, uint8_t c)
{
    switch (b->step) {
    case LINE_BEGIN:
        b->trailer_lines++;
        return c == '\r' ? END_LF : is_token(c) ? TRAILER_NAME : BROKEN;
    case TRAILER_NAME:
        return is_token(c) ? TRAILER_NAME : c == ':' ? TRAILER_VALUE : BROKEN;
    case TRAILER_VALUE:
        return is_text(c) ? TRAILER_VALUE : c == '\r' ? TRAILER_LF : BROKEN;
    case TRAILER_LF:
        return c == '\n' ? LINE_BEGIN : BROKEN;
    case END_LF:
        return c == '\n' ? END : BROKEN;
    default:
        return BROKEN;
    }
}

/* A byte of a chunked body that is not data. */
static enum rc take_byte(struct http1_body *b, uint8_t c)
{
    if (b->step <= SIZE_LF) {
        b->step = in_size_line(b, c);
        b->line++;
    } else if (b->step <= DATA_LF) {
        b->step = behind_data(b, c);
    } else {
        b->step = in_trailers(b, c);
        b->trailer_bytes++;
    }
    if (b->step == BROKEN)
        return RC_PROTO;
    /* The empty line is counted with the trailers. */
    if (b->line > HTTP1_CHUNK_LINE_MAX || b->trailer_bytes > HTTP1_TRAILERS_MAX ||
        b->trailer_lines > HTTP1_HEADERS_MAX + 1)
        return RC_LIMIT;
    b->done = b->step == END;
    return RC_OK;
}

/* The next piece of the bytes that `left` counts. */
static struct reader take_counted(struct http1_body *b, struct reader *in)
{
    struct reader part = reader_slice(in, b->left < in->left ? (size_t)b->left : in->left);

    b->left -= part.left;
    return part;
}

static enum rc decode_chunked(struct http1_body *b, struct reader *in, struct reader *data)
{
    while (in->left > 0) {
        if (b->step == DATA) {
            *data = take_counted(b, in);
            if (b->left == 0)
                b->step = DATA_CR;
            return RC_OK;
        }
        b->failure = take_byte(b, reader_u8(in));
        if (b->failure != RC_OK || b->done)
            return b->failure;
    }
    return RC_AGAIN;
}

enum rc http1_body_decode(struct http1_body *b, struct reader *in, struct reader *data)
{
    *data = (struct reader){0};
    if (b->failure != RC_OK || b->done)
        return b->failure;
    if (b->framing == HTTP1_CHUNKED)
        return decode_chunked(b, in, data);
    if (in->left == 0)
        return RC_AGAIN;
    if (b->framing == HTTP1_UNTIL_CLOSE) {
        *data = reader_slice(in, in->left);
        return RC_OK;
    }
    *data = take_counted(b, in);
    b->done = b->left == 0;
    return RC_OK;
}

enum rc http1_body_end(struct http1_body *b)
{
    if (b->failure == RC_OK && b->framing == HTTP1_UNTIL_CLOSE)
        b->done = true;
    return b->done ? RC_OK : RC_PROTO;
}
