#include "wire/websocket.h"

#include <assert.h>
#include <string.h>

#include "wire/base64.h"

enum {
    FINAL = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    CONTROL = 0x08, /* the opcode bit that control frames have in common */
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126, /* what stands in the 7 bits when 16 or 64 follow */
    LENGTH_64 = 127,
};

/* Masks */

void ws_mask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t mask[WS_MASK_LEN])
{
    uint64_t twice, word;
    size_t i = 0;

    memcpy(&twice, mask, WS_MASK_LEN);
    memcpy((uint8_t *)&twice + WS_MASK_LEN, mask, WS_MASK_LEN);
    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, from + i, sizeof word);
        word ^= twice;
        memcpy(to + i, &word, sizeof word);
    }
    for (; i < len; i++)
        to[i] = from[i] ^ mask[i % WS_MASK_LEN];
}

void ws_mask_turn(uint8_t mask[WS_MASK_LEN], uint64_t offset)
{
    uint8_t old[WS_MASK_LEN];

    memcpy(old, mask, sizeof old);
    for (size_t i = 0; i < WS_MASK_LEN; i++)
        mask[i] = old[(i + offset) % WS_MASK_LEN];
}

/* UTF-8 (RFC 3629 §4) */

/* The first byte of a character says how many follow and what the second may be. */
static bool utf8_begin(struct ws_utf8 *u, uint8_t c)
{
    *u = (struct ws_utf8){.low = 0x80, .high = 0xbf};
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4) /* a continuation, a longer form of ASCII, over U+10FFFF */
        return false;
    u->more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0xe0)
        u->low = 0xa0; /* else a longer form */
    if (c == 0xed)
        u->high = 0x9f; /* else a surrogate */
    if (c == 0xf0)
        u->low = 0x90;
    if (c == 0xf4)
        u->high = 0x8f;
    return true;
}

static bool utf8_byte(struct ws_utf8 *u, uint8_t c)
{
    if (u->more == 0)
        return utf8_begin(u, c);
    if (c < u->low || c > u->high)
        return false;
    *u = (struct ws_utf8){.more = (uint8_t)(u->more - 1), .low = 0x80, .high = 0xbf};
    return true;
}

/* Bytes of ASCII at the front, in steps of eight; `mask` as for the first of them. */
static size_t ascii_ahead(const uint8_t *at, size_t len, const uint8_t mask[WS_MASK_LEN])
{
    static const uint8_t high_bits[8] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    uint8_t clear[8];
    uint64_t word, high;
    size_t i = 0;

    memcpy(&high, high_bits, sizeof high);
    for (; len - i >= sizeof word; i += sizeof word) {
        ws_mask(clear, at + i, sizeof clear, mask);
        memcpy(&word, clear, sizeof word);
        if ((word & high) != 0)
            break;
    }
    return i;
}

/* The same as ws_utf8_step() for bytes that are masked. */
static bool utf8_masked(struct ws_utf8 *u, struct reader bytes, const uint8_t mask[WS_MASK_LEN])
{
    size_t i = 0;

    while (i < bytes.left) {
        if (u->more == 0 && i % WS_MASK_LEN == 0)
            i += ascii_ahead(bytes.at + i, bytes.left - i, mask);
        if (i < bytes.left && !utf8_byte(u, bytes.at[i] ^ mask[i % WS_MASK_LEN]))
            return false;
        i++;
    }
    return true;
}

bool ws_utf8_step(struct ws_utf8 *utf8, struct reader bytes)
{
    static const uint8_t none[WS_MASK_LEN];

    return utf8_masked(utf8, bytes, none);
}

/* Decoding */

void ws_decoder_init(struct ws_decoder *d, enum ws_role role, uint64_t message_max)
{
    *d = (struct ws_decoder){.role = role, .message_max = message_max};
}

uint16_t ws_refusal(const struct ws_decoder *d)
{
    return d->refusal;
}

static enum rc refuse(struct ws_decoder *d, enum rc why, enum ws_code code)
{
    d->failure = why;
    d->refusal = (uint16_t)code;
    return why;
}

/* Collects the head up to `len` bytes; false: not all there yet. */
static bool gather_head(struct ws_decoder *d, struct reader *in, size_t len)
{
    size_t part = len > d->head_len ? len - d->head_len : 0;

    if (part > in->left)
        part = in->left;
    reader_copy(in, d->head + d->head_len, part);
    d->head_len = (uint8_t)(d->head_len + part);
    return d->head_len >= len;
}

static bool is_control(uint8_t opcode)
{
    return (opcode & CONTROL) != 0;
}

/* Whether a frame may begin with these two bytes here. */
static bool head_is_legal(const struct ws_decoder *d)
{
    bool final = (d->head[0] & FINAL) != 0, masked = (d->head[1] & MASKED) != 0;
    uint8_t opcode = d->head[0] & OPCODE, length = d->head[1] & LENGTH;

    if ((d->head[0] & RESERVED) != 0 || masked != (d->role == WS_SERVER))
        return false;
    switch (opcode) {
    case WS_OP_CONTINUATION:
        return d->in_message;
    case WS_OP_TEXT:
    case WS_OP_BINARY:
        return !d->in_message;
    case WS_OP_CLOSE:
    case WS_OP_PING:
    case WS_OP_PONG:
        return final && length <= WS_CONTROL_MAX;
    default:
        return false;
    }
}

static size_t head_len(uint8_t length_7, bool masked)
{
    return 2 +
           (length_7 == LENGTH_64   ? 8u
            : length_7 == LENGTH_16 ? 2u
                                    : 0u) +
           (masked ? (size_t)WS_MASK_LEN : 0);
}

size_t ws_head_len(uint64_t len, bool masked)
{
    return head_len(len > UINT16_MAX ? LENGTH_64 : len > WS_CONTROL_MAX ? LENGTH_16 : 0, masked);
}

/* A frame that carries message bytes: what it means for the message. */
static enum rc begin_data(struct ws_decoder *d)
{
    if (!d->in_message) {
        d->in_message = true;
        d->text = d->opcode == WS_OP_TEXT;
        d->begun = false;
        d->message_len = 0;
        d->utf8 = (struct ws_utf8){0};
    }
    if (d->left > d->message_max - d->message_len)
        return refuse(d, RC_LIMIT, WS_CODE_TOO_BIG);
    d->message_len += d->left;
    return RC_OK;
}

static enum rc take_head(struct ws_decoder *d, struct reader *in)
{
    if (!gather_head(d, in, 2))
        return RC_AGAIN;
    if (!head_is_legal(d))
        return refuse(d, RC_PROTO, WS_CODE_PROTOCOL);
    bool masked = d->role == WS_SERVER;
    if (!gather_head(d, in, head_len(d->head[1] & LENGTH, masked)))
        return RC_AGAIN;

    struct reader head = reader_of(d->head, d->head_len);
    uint8_t first = reader_u8(&head);
    uint8_t length = reader_u8(&head) & LENGTH;
    d->final = (first & FINAL) != 0;
    d->opcode = first & OPCODE;
    d->left = length == LENGTH_64   ? reader_u64(&head)
              : length == LENGTH_16 ? reader_u16(&head)
                                    : length;
    if (masked)
        reader_copy(&head, d->mask, sizeof d->mask);
    /* §5.2: the shortest form, and the highest bit of 64 is 0. */
    if (ws_head_len(d->left, masked) != d->head_len || d->left > INT64_MAX)
        return refuse(d, RC_PROTO, WS_CODE_PROTOCOL);
    d->head_len = 0;
    d->control_len = 0;
    return is_control(d->opcode) ? RC_OK : begin_data(d);
}

/* The next bytes of the frame, as far as they are there. */
static struct reader take_payload(struct ws_decoder *d, struct reader *in)
{
    struct reader part = reader_slice(in, d->left < in->left ? (size_t)d->left : in->left);

    d->left -= part.left;
    d->in_payload = d->left > 0;
    return part;
}

static enum rc close_event(struct ws_decoder *d, struct ws_event *out)
{
    struct reader payload = reader_of(d->control, d->control_len);
    struct ws_utf8 utf8 = {0};

    d->failure = RC_EOF;
    *out = (struct ws_event){.kind = WS_CLOSE, .code = WS_CODE_NONE, .bytes = payload};
    if (payload.left == 0)
        return RC_OK;
    out->code = reader_u16(&payload);
    out->bytes = payload;
    if (!reader_ok(&payload) || !ws_code_is_valid(out->code))
        return refuse(d, RC_PROTO, WS_CODE_PROTOCOL);
    if (!ws_utf8_step(&utf8, payload) || utf8.more > 0)
        return refuse(d, RC_PROTO, WS_CODE_NOT_TEXT);
    return RC_OK;
}

static enum rc take_control(struct ws_decoder *d, struct reader *in, struct ws_event *out)
{
    struct reader part = take_payload(d, in);

    ws_mask(d->control + d->control_len, part.at, part.left, d->mask);
    ws_mask_turn(d->mask, part.left);
    d->control_len = (uint8_t)(d->control_len + part.left);
    if (d->in_payload)
        return RC_AGAIN;
    if (d->opcode == WS_OP_CLOSE)
        return close_event(d, out);
    *out = (struct ws_event){.kind = d->opcode == WS_OP_PING ? WS_PING : WS_PONG,
                             .bytes = reader_of(d->control, d->control_len)};
    return RC_OK;
}

/* RC_AGAIN: nothing to hand up yet, or (an empty fragment) nothing at all. */
static enum rc take_data(struct ws_decoder *d, struct reader *in, struct ws_event *out)
{
    struct reader part = take_payload(d, in);
    bool last = d->final && !d->in_payload;

    if (d->text && (!utf8_masked(&d->utf8, part, d->mask) || (last && d->utf8.more > 0)))
        return refuse(d, RC_PROTO, WS_CODE_NOT_TEXT);
    if (part.left == 0 && !last)
        return RC_AGAIN;
    *out = (struct ws_event){.kind = WS_DATA,
                             .bytes = part,
                             .masked = d->role == WS_SERVER,
                             .text = d->text,
                             .first = !d->begun,
                             .last = last};
    memcpy(out->mask, d->mask, sizeof out->mask);
    ws_mask_turn(d->mask, part.left);
    d->begun = true;
    d->in_message = !last;
    return RC_OK;
}

enum rc ws_decode(struct ws_decoder *d, struct reader *in, struct ws_event *out)
{
    enum rc rc = d->failure;

    while (rc == RC_OK) {
        if (!d->in_payload)
            rc = take_head(d, in);
        if (rc != RC_OK)
            return rc;
        rc = is_control(d->opcode) ? take_control(d, in, out) : take_data(d, in, out);
        if (rc != RC_AGAIN || d->in_payload)
            return rc;
        rc = RC_OK; /* an empty fragment: on to the next frame */
    }
    return rc;
}

void ws_event_copy(const struct ws_event *e, uint8_t *to)
{
    struct reader bytes = e->bytes;

    if (e->masked)
        ws_mask(to, bytes.at, bytes.left, e->mask);
    else
        reader_copy(&bytes, to, bytes.left);
}

void ws_event_put(const struct ws_event *e, struct buf *out)
{
    uint8_t *to = e->bytes.left > 0 ? buf_reserve(out, e->bytes.left) : NULL;

    if (to == NULL)
        return;
    ws_event_copy(e, to);
    buf_grow(out, e->bytes.left);
}

/* Encoding */

size_t ws_head_write(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode, bool final, uint64_t len,
                     const uint8_t *mask)
{
    size_t head = ws_head_len(len, mask != NULL);
    size_t bytes = len > UINT16_MAX ? 8 : len > WS_CONTROL_MAX ? 2 : 0; /* of the long length */

    out[0] = (uint8_t)((final ? FINAL : 0) | (int)opcode);
    out[1] = (uint8_t)((mask ? MASKED : 0) | (bytes == 8   ? (int)LENGTH_64
                                              : bytes == 2 ? (int)LENGTH_16
                                                           : (int)len));
    for (size_t i = 0; i < bytes; i++)
        out[2 + i] = (uint8_t)(len >> 8 * (bytes - 1 - i));
    if (mask)
        memcpy(out + 2 + bytes, mask, WS_MASK_LEN);
    return head;
}

void ws_put_head(struct buf *b, enum ws_opcode opcode, bool final, uint64_t len,
                 const uint8_t *mask)
{
    uint8_t head[WS_HEAD_MAX];

    if (is_control((uint8_t)opcode) && (!final || len > WS_CONTROL_MAX)) {
        b->failed = true;
        return;
    }
    buf_put(b, reader_of(head, ws_head_write(head, opcode, final, len, mask)));
}

void ws_put_frame(struct buf *b, enum ws_opcode opcode, struct reader payload, const uint8_t *mask)
{
    ws_put_head(b, opcode, true, payload.left, mask);
    uint8_t *to = payload.left > 0 ? buf_reserve(b, payload.left) : NULL;
    if (to == NULL)
        return;
    if (mask)
        ws_mask(to, payload.at, payload.left, mask);
    else
        memcpy(to, payload.at, payload.left);
    buf_grow(b, payload.left);
}

void ws_put_close(struct buf *b, uint16_t code, const char *reason, const uint8_t *mask)
{
    uint8_t payload[WS_CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t len = strlen(reason);

    if (code == WS_CODE_NONE) {
        ws_put_frame(b, WS_OP_CLOSE, reader_of(payload, 0), mask);
        return;
    }
    assert(ws_code_is_valid(code));
    if (len > WS_REASON_MAX) {
        len = WS_REASON_MAX;
        while (len > 0 && ((uint8_t)reason[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(payload + 2, reason, len);
    ws_put_frame(b, WS_OP_CLOSE, reader_of(payload, 2 + len), mask);
}

bool ws_code_is_valid(uint16_t code)
{
    if (code < 1000 || code > 4999)
        return false;
    if (code >= 3000) /* for libraries and applications */
        return true;
    /* Up to 1014 registered, but for those that stand for the absence of a code. */
    return code <= 1014 && code != 1004 && code != WS_CODE_NONE && code != 1006;
}

/* Opening handshake */

enum rc ws_accept_input(struct reader key, uint8_t out[WS_ACCEPT_INPUT_LEN])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* §1.3 */
    struct buf nonce;

    if (key.left != WS_KEY_LEN)
        return RC_INPUT;
    buf_init(&nonce, 18);
    enum rc rc = base64_decode(&nonce, key);
    if (rc == RC_OK && nonce.len != 16)
        rc = RC_INPUT;
    buf_done(&nonce);
    if (rc != RC_OK)
        return rc;
    reader_copy(&key, out, WS_KEY_LEN);
    memcpy(out + WS_KEY_LEN, guid, sizeof guid - 1);
    return RC_OK;
}
