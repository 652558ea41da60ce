#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * frame -- the unit of a session (docs/protocol.md §6.1).
 *
 *   0        1                 4                       8              8 + length
 *   | type   |     length      |        stream         |  body ...    |
 */
enum frame_type {
    FRAME_HELLO = 1,
    FRAME_OPEN,
    FRAME_DATA,
    FRAME_CREDIT,
    FRAME_FIN,
    FRAME_RESET,
    FRAME_DATAGRAM,
    FRAME_PING,
    FRAME_ACK,
    FRAME_CLOSE,
    FRAME_TYPES_
};

enum {
    FRAME_HEAD = 8,
    FRAME_DATA_MAX = 256 * 1024, /* body of DATA, bytes */
    FRAME_DATAGRAM_MAX = 65507,
    FRAME_NAME_MAX = 255, /* workspace and service in HELLO */
    FRAME_BINDING_LEN = 32,
    FRAME_SESSION_ID_LEN = 16,
    FRAME_VERSION = 1,
    FRAME_SMALL_MAX = FRAME_HEAD + 9, /* the longest frame of a type with a fixed body */
};

enum stream_kind { STREAM_TCP = 0, STREAM_UDP = 1, STREAM_CHECK = 2, STREAM_KINDS_ };

/* docs/protocol.md §7.4 */
enum reset_reason {
    RESET_NONE = 0,
    RESET_REFUSED,
    RESET_TIMEOUT,
    RESET_UNREACHABLE,
    RESET_NO_NAME,
    RESET_BROKEN,
    RESET_LIMIT,
    RESET_NO_SERVICE,
    RESET_SHUTDOWN,
    RESET_VIOLATION,
    RESET_SESSION_LOST,
    RESET_NOT_PERMITTED,
    RESET_TARGET_DENIED,
    RESET_HOLD_OVER,
    RESET_REASONS_
};
const char *reset_reason_text(enum reset_reason why);

/* docs/protocol.md §6.5 */
enum close_reason {
    CLOSE_NONE = 0, /* not on the wire */
    CLOSE_DONE,
    CLOSE_UNKNOWN_SESSION,
    CLOSE_OFFSET_LOST,
    CLOSE_OLD_GENERATION,
    CLOSE_VIOLATION,
    CLOSE_NO_SERVICE,
    CLOSE_VERSION,
    CLOSE_SHUTDOWN,
    CLOSE_LIMIT,
    CLOSE_REASONS_
};
const char *close_reason_text(enum close_reason why);

struct frame_head {
    enum frame_type type;
    uint32_t length; /* of the body */
    uint32_t stream;
};

/*
 * Takes one head off the front. RC_AGAIN: not complete, `in` unchanged. RC_PROTO, RC_LIMIT: no
 * frame could begin so (unknown type, a length its type cannot have, stream 0 or not 0 against
 * §6.1).
 */
MUST_CHECK enum rc frame_head_decode(struct reader *in, struct frame_head *out);
void frame_head_encode(struct buf *out, const struct frame_head *h);
/* The same into exactly FRAME_HEAD bytes of the caller's. */
void frame_head_write(uint8_t out[FRAME_HEAD], const struct frame_head *h);
bool frame_is_sequenced(enum frame_type type);

/* Whole frames of fixed length into the caller's FRAME_SMALL_MAX bytes; they return the length. */
size_t frame_open_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream, enum stream_kind kind);
size_t frame_credit_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream, uint64_t limit);
size_t frame_fin_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream);
size_t frame_reset_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream, enum reset_reason why);
size_t frame_ping_write(uint8_t out[FRAME_SMALL_MAX], bool answer, uint64_t token);
size_t frame_ack_write(uint8_t out[FRAME_SMALL_MAX], uint64_t offset);
size_t frame_close_write(uint8_t out[FRAME_SMALL_MAX], enum close_reason why);

/* docs/protocol.md §6.2. Names are borrowed. */
struct frame_hello {
    uint16_t version_min, version_max;
    uint8_t binding[FRAME_BINDING_LEN];
    uint8_t session[FRAME_SESSION_ID_LEN];
    uint32_t generation;
    uint64_t received;
    struct reader workspace, service;
};
/* `body` is the whole body. RC_PROTO: short, trailing bytes, min > max, generation 0. */
MUST_CHECK enum rc frame_hello_decode(struct reader body, struct frame_hello *out);
/* Head and body. */
void frame_hello_encode(struct buf *out, const struct frame_hello *h);
/* Head and body of CLOSE. */
void frame_close_encode(struct buf *out, enum close_reason why);
