#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/reader.h"
#include "net/http_server.h"
#include "wire/http1.h"

/*
 * http_exchange -- one request as http_server receives it and its owner reads it, and
 * the answer as bytes. For http_server.c alone; the owner's side is in http_server.h.
 */
struct http_connection;
struct http_copy;

struct http_exchange {
    struct http_connection *from; /* NULL: the client has gone */
    struct http1_head head;       /* slices of `bytes` */
    struct buf bytes;             /* the head as it came: holds bearer tokens, wiped at the end */
    struct http1_body framing;
    struct buf body;
    const char *method, *path, *query; /* among `copies` */
    struct http_copy *copies;          /* C strings for the owner, wiped at the end */
    char *peer;
};

/*
 * Takes `bytes`, which `head` was decoded from and which go on as `rest`; `bytes` is given back
 * holding only `rest`.
 */
struct http_exchange *http_exchange_new(struct http_connection *from, const struct http1_head *head,
                                        struct buf *bytes, struct reader rest, const char *peer);
void http_exchange_free(struct http_exchange *x); /* NULL is fine */

struct http_answer {
    unsigned status;
    const char *content_type; /* NULL: none */
    struct reader body;
    const char *headers; /* more lines, or NULL */
    bool head_only;      /* answers HEAD: tells the body's length, not the body */
    bool keep_alive;
    bool old; /* to HTTP/1.0: keeping alive must be said */
};

/* The whole answer, dated `unix_seconds`. */
void http_answer_put(struct buf *out, const struct http_answer *a, int64_t unix_seconds);
/* The 101 head with `headers`. */
void http_answer_put_upgrade(struct buf *out, const char *headers);
/* The body of an error (docs/protocol.md §1.3) with a request id of its own. */
void http_answer_put_error(struct buf *out, const char *code, const char *message);
