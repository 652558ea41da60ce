#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * http1 -- HTTP/1.1 heads and bodies, bytes to values and back (RFC 9112, RFC 9110).
 *
 * Strict where two readers of the same bytes could come to different ends: lines end in CRLF and
 * nothing else, no folded lines, no space before a colon, no control characters, one valid Host,
 * one length and one way to tell it, `chunked` the only transfer coding. What is refused here is
 * not repaired anywhere. Versions 1.0 and 1.1.
 *
 * A head must lie in memory as a whole, a body may come in pieces of any size.
 */
enum {
    HTTP1_LINE_MAX = 8 * 1024,     /* request or status line with its CRLF */
    HTTP1_HEAD_MAX = 16 * 1024,    /* all lines up to and with the empty one */
    HTTP1_HEADERS_MAX = 100,       /* header lines of a head, and of a trailer section */
    HTTP1_CHUNK_LINE_MAX = 1024,   /* size and extensions of a chunk with the CRLF */
    HTTP1_CHUNK_DIGITS_MAX = 16,   /* of a chunk size */
    HTTP1_TRAILERS_MAX = 8 * 1024, /* all lines behind the last chunk */
};

struct http1_field {
    struct reader name, value; /* value without the white space around it */
};

/* RFC 9112 §3.2 */
enum http1_form { HTTP1_ORIGIN, HTTP1_ABSOLUTE, HTTP1_AUTHORITY, HTTP1_ASTERISK };

/* How the end of a body is known (RFC 9112 §6.3). */
enum http1_framing { HTTP1_NONE, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

/* Every slice is borrowed from the bytes that were decoded. */
struct http1_head {
    unsigned minor; /* HTTP/1.minor: 0 or 1 */

    /* Of a request. */
    struct reader method;
    struct reader target; /* as it stood there */
    enum http1_form form;
    struct reader scheme; /* absolute form: "http" */
    /* "host:port": of the target in absolute and authority form, else the Host header. */
    struct reader authority;
    /* Origin and absolute form, not decoded; empty after an absolute target without one. */
    struct reader path;
    struct reader query; /* behind the '?'; a failed reader when there is no '?' */

    /* Of a response. */
    unsigned status; /* 100 to 999 */
    struct reader reason;

    size_t field_count;
    struct http1_field fields[HTTP1_HEADERS_MAX];

    /* What the headers say about a body. At most one of the two. */
    bool chunked, has_length;
    uint64_t length;
};

/*
 * Takes one head off the front. RC_AGAIN: not complete, `in` unchanged; the caller keeps the bytes
 * and comes again with more. RC_LIMIT: it would be too large, told as soon as that is certain.
 * RC_PROTO: no head could go on like this. The outcome does not depend on how the bytes were cut.
 * Empty lines before a request are skipped (RFC 9112 §2.2). `out` may be overwritten when this
 * fails.
 */
MUST_CHECK enum rc http1_request_decode(struct reader *in, struct http1_head *out);
MUST_CHECK enum rc http1_response_decode(struct reader *in, struct http1_head *out);

/* The first value of a header, any case of its name; a failed reader when there is none. */
struct reader http1_header(const struct http1_head *h, const char *name);
/* How many lines of that name there are. Who decides by a header asks whether it is the only one.
 */
size_t http1_header_count(const struct http1_head *h, const char *name);
/* Whether `token` is an element of the comma-separated list that all lines of that name make, any
 * case. */
bool http1_header_has_token(const struct http1_head *h, const char *name, const char *token);
/* Whether the connection may carry another message after this one (RFC 9112 §9.3). */
bool http1_keeps_alive(const struct http1_head *h);

/* Where a decoder stands in a body. A plain value; nothing to free. */
struct http1_body {
    enum http1_framing framing;
    bool done;       /* the last byte has been taken */
    enum rc failure; /* RC_OK until the body was refused */
    uint64_t left;   /* bytes to come of the length or of the chunk */
    /* Chunked only. */
    unsigned step;
    unsigned digits;        /* of this chunk's size */
    unsigned line;          /* bytes of this chunk's size line */
    unsigned trailer_bytes; /* of all trailers */
    unsigned trailer_lines;
};

/* The body behind a request's head. Nothing announced: none. */
void http1_body_of_request(const struct http1_head *request, struct http1_body *out);
/*
 * The body behind a response's head, given the method it answers. After 1xx, 204, 304, HEAD and a
 * CONNECT that was taken there is none, whatever the headers say; after 101 and such a CONNECT the
 * bytes behind are another protocol's.
 */
void http1_body_of_response(const struct http1_head *response, struct reader method,
                            struct http1_body *out);

/*
 * Takes bytes off the front. RC_OK: `data` is a piece of the body, borrowed from `in`; it is
 * empty only together with b->done. RC_AGAIN: all of `in` is taken, more is needed. RC_PROTO,
 * RC_LIMIT: the body is broken, and stays so. Once b->done nothing is taken (RC_OK): what is left
 * in `in` is the next message. Trailers are checked and dropped.
 */
MUST_CHECK enum rc http1_body_decode(struct http1_body *b, struct reader *in, struct reader *data);
/* The peer has ended the stream. RC_PROTO: the body was not complete. */
MUST_CHECK enum rc http1_body_end(struct http1_body *b);

/*
 * Encoders. What could not be decoded again (control characters, an empty name, a target with a
 * space) is not written and fails the buffer, so a value from elsewhere cannot become a line of its
 * own.
 */
void http1_put_request(struct buf *b, struct reader method, struct reader target);
/* `reason` NULL: the usual one. */
void http1_put_status(struct buf *b, unsigned status, const char *reason);
void http1_put_header(struct buf *b, const char *name, const char *value);
void http1_put_header_u64(struct buf *b, const char *name, uint64_t value);
/* The same for slices, e.g. to pass on a header that was decoded. */
void http1_put_field(struct buf *b, struct reader name, struct reader value);
/* The empty line behind the headers. */
void http1_put_end(struct buf *b);

/* One chunk; nothing when `data` is empty, since that would end the body. */
void http1_put_chunk(struct buf *b, struct reader data);
/* The same around data that goes another way: the line before it; CRLF must follow it. */
void http1_put_chunk_size(struct buf *b, size_t len);
/* The last chunk, no trailers. */
void http1_put_chunk_end(struct buf *b);

/* "Not Found" for 404; "" when there is no usual phrase. */
const char *http1_reason(unsigned status);
