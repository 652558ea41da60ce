#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * websocket -- the frames of RFC 6455 without extensions, bytes to values and back.
 *
 * The decoder takes bytes as they come, in pieces of any size, and hands message payload up in
 * parts borrowed from them. It keeps nothing but a frame's head and a control frame (125 bytes), so
 * a message of any size costs no memory here. Input is only read: a masked part is unmasked by the
 * copy that its user makes anyway.
 *
 *     while ((rc = ws_decode(&d, &in, &e)) == RC_OK)
 *         switch (e.kind) {
 *         case WS_DATA:  one message user: ws_event_put(&e, &message); if (e.last) take it,
 * buf_clear() byte-stream user: ws_event_put(&e, &out), boundaries do not matter case WS_PING:
 * ws_put_frame(&out, WS_OP_PONG, e.bytes, mask) case WS_CLOSE: …
 *         }
 *
 * Text is UTF-8 or refused, by the part, before it is handed up.
 */

/* Who we are: a server's peer must mask, a client's peer must not (§5.1). */
enum ws_role { WS_CLIENT, WS_SERVER };

enum ws_opcode {
    WS_OP_CONTINUATION = 0,
    WS_OP_TEXT = 1,
    WS_OP_BINARY = 2,
    WS_OP_CLOSE = 8,
    WS_OP_PING = 9,
    WS_OP_PONG = 10,
};

/* §7.4.1 */
enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_UNSUPPORTED = 1003,
    WS_CODE_NONE = 1005, /* never on the wire: a close frame without a code */
    WS_CODE_NOT_TEXT = 1007,
    WS_CODE_POLICY = 1008,
    WS_CODE_TOO_BIG = 1009,
    WS_CODE_INTERNAL = 1011,
};

enum {
    WS_CONTROL_MAX = 125, /* payload of ping, pong, close (§5.5) */
    WS_REASON_MAX = WS_CONTROL_MAX - 2,
    WS_HEAD_MAX = 14,
    WS_MASK_LEN = 4,
};

/* A validator of UTF-8 that may be stopped anywhere. All zero: at the start of a text. */
struct ws_utf8 {
    uint8_t more;      /* continuation bytes to come */
    uint8_t low, high; /* what the next one may be */
};

struct ws_decoder {
    uint64_t message_max;
    uint64_t message_len; /* of the message so far, by the heads */
    uint64_t left;        /* payload bytes to come of the frame */
    enum ws_role role;
    enum rc failure;  /* RC_OK until something was refused; RC_EOF after a close frame */
    uint16_t refusal; /* the close code for it */
    uint8_t head[WS_HEAD_MAX], head_len;
    uint8_t opcode;
    bool final, in_payload;
    bool in_message, text, begun; /* begun: a part of the message has been handed up */
    uint8_t mask[WS_MASK_LEN]; /* turned so that [0] is for the next byte; zero when not masked */
    struct ws_utf8 utf8;
    uint8_t control[WS_CONTROL_MAX], control_len;
};

enum ws_kind { WS_DATA, WS_PING, WS_PONG, WS_CLOSE };

struct ws_event {
    enum ws_kind kind;
    /*
     * WS_DATA: a part of a message, borrowed from the input and still masked with `mask`; empty
     * only when `last`. Else: the payload (WS_CLOSE: the reason), in the clear, borrowed from the
     * decoder until the next call.
     */
    struct reader bytes;
    uint8_t mask[WS_MASK_LEN]; /* [0] is for bytes.at[0] */
    bool masked;
    bool text;        /* WS_DATA: the message is text, else binary */
    bool first, last; /* WS_DATA: of its message; both: `bytes` is the whole message */
    uint16_t code;    /* WS_CLOSE: WS_CODE_NONE when the frame had none */
};

/* A message of more than `message_max` bytes is refused by the head of the frame that makes it so.
 */
void ws_decoder_init(struct ws_decoder *d, enum ws_role role, uint64_t message_max);

/*
 * Takes bytes off the front. RC_OK: an event. RC_AGAIN: all of `in` is taken, more is needed.
 * RC_PROTO: against RFC 6455. RC_LIMIT: message too long. RC_EOF: a close frame has come, nothing
 * behind it counts. The last three stay. Events and outcome do not depend on how the bytes were
 * cut, but for where the parts of a message lie.
 */
MUST_CHECK enum rc ws_decode(struct ws_decoder *d, struct reader *in, struct ws_event *out);
/* After RC_PROTO or RC_LIMIT: the close code that tells the peer. */
uint16_t ws_refusal(const struct ws_decoder *d);

/* Copies the bytes of an event in the clear: to the end of `out`; to `to`, of e->bytes.left bytes.
 */
void ws_event_put(const struct ws_event *e, struct buf *out);
void ws_event_copy(const struct ws_event *e, uint8_t *to);

/*
 * Copies `len` bytes, masking or unmasking (§5.3). `mask[0]` is for the first byte: see
 * ws_mask_turn(). `to` and `from` are the same place or do not overlap.
 */
void ws_mask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t mask[WS_MASK_LEN]);
/* Turns `mask` so that it fits the byte `offset` bytes later. */
void ws_mask_turn(uint8_t mask[WS_MASK_LEN], uint64_t offset);

/*
 * Encoders. `mask` is NULL for a server; a client gives four fresh random bytes for each frame.
 * Control payload over WS_CONTROL_MAX fails the buffer.
 */
/* A whole frame with FIN. */
void ws_put_frame(struct buf *b, enum ws_opcode opcode, struct reader payload, const uint8_t *mask);
/* Only the head; `len` bytes of payload, masked by the caller with ws_mask(), must follow. */
void ws_put_head(struct buf *b, enum ws_opcode opcode, bool final, uint64_t len,
                 const uint8_t *mask);
/* The same into the caller's memory, e.g. room left before the payload; returns the head's length.
 */
size_t ws_head_write(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode, bool final, uint64_t len,
                     const uint8_t *mask);
size_t ws_head_len(uint64_t len, bool masked);
/* code WS_CODE_NONE: without a code. A reason over WS_REASON_MAX is cut before the character that
 * does not fit. */
void ws_put_close(struct buf *b, uint16_t code, const char *reason, const uint8_t *mask);

/* Whether a close frame may carry it (§7.4). */
bool ws_code_is_valid(uint16_t code);

/* Goes on with `bytes`. False: not UTF-8. A text may end where utf8->more is 0. */
MUST_CHECK bool ws_utf8_step(struct ws_utf8 *utf8, struct reader bytes);

/*
 * Sec-WebSocket-Accept is base64(SHA-1(input)) (§4.2.2); SHA-1 is the caller's, this layer has no
 * cryptography. Writes the input for a Sec-WebSocket-Key. RC_INPUT: not 16 bytes in base64.
 */
enum { WS_KEY_LEN = 24, WS_ACCEPT_INPUT_LEN = WS_KEY_LEN + 36 };
MUST_CHECK enum rc ws_accept_input(struct reader key, uint8_t out[WS_ACCEPT_INPUT_LEN]);
