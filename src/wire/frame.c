#include "wire/frame.h"

#include <assert.h>
#include <stddef.h>

enum {
    HELLO_FIXED = 2 + 2 + FRAME_BINDING_LEN + FRAME_SESSION_ID_LEN + 4 + 8 + 1 + 1,
    HELLO_MAX = HELLO_FIXED + 2 * FRAME_NAME_MAX,
};

/* What §6.1 says about each type: how long a body can be, whose it is, and where it travels. */
struct shape {
    uint32_t least, most;
    bool of_stream; /* stream is not 0 */
    bool sequenced;
};

static const struct shape shapes[FRAME_TYPES_] = {
    [FRAME_HELLO] = {HELLO_FIXED, HELLO_MAX, false, false},
    [FRAME_OPEN] = {1, 1, true, true},
    [FRAME_DATA] = {1, FRAME_DATA_MAX, true, true},
    [FRAME_CREDIT] = {8, 8, true, true},
    [FRAME_FIN] = {0, 0, true, true},
    [FRAME_RESET] = {1, 1, true, true},
    [FRAME_DATAGRAM] = {1, FRAME_DATAGRAM_MAX, true, false},
    [FRAME_PING] = {9, 9, false, false},
    [FRAME_ACK] = {8, 8, false, false},
    [FRAME_CLOSE] = {1, 1, false, false},
};

static bool is_type(uint8_t type)
{
    return type >= FRAME_HELLO && type < FRAME_TYPES_;
}

bool frame_is_sequenced(enum frame_type type)
{
    return (unsigned)type < FRAME_TYPES_ && shapes[type].sequenced;
}

enum rc frame_head_decode(struct reader *in, struct frame_head *out)
{
    struct reader at = *in;
    uint8_t type = reader_u8(&at);
    uint32_t length = reader_u24(&at);
    uint32_t stream = reader_u32(&at);

    if (!reader_ok(&at))
        return RC_AGAIN;
    if (!is_type(type))
        return RC_PROTO;
    if (length > shapes[type].most)
        return RC_LIMIT;
    if (length < shapes[type].least || (stream != 0) != shapes[type].of_stream)
        return RC_PROTO;

    *out = (struct frame_head){.type = (enum frame_type)type, .length = length, .stream = stream};
    *in = at;
    return RC_OK;
}

/* --- writing ------------------------------------------------------------------ */

static uint8_t *put_uint(uint8_t *out, uint64_t value, size_t len)
{
    for (size_t i = len; i-- > 0; value >>= 8)
        out[i] = (uint8_t)value;
    return out + len;
}

void frame_head_write(uint8_t out[FRAME_HEAD], const struct frame_head *h)
{
    out = put_uint(out, h->type, 1);
    out = put_uint(out, h->length, 3);
    put_uint(out, h->stream, 4);
}

void frame_head_encode(struct buf *out, const struct frame_head *h)
{
    uint8_t *back = buf_reserve(out, FRAME_HEAD);

    if (back == NULL)
        return;
    frame_head_write(back, h);
    buf_grow(out, FRAME_HEAD);
}

/* The head of a frame whose length its type alone decides; returns where the body goes. */
static uint8_t *begin(uint8_t *out, enum frame_type type, uint32_t stream)
{
    struct frame_head h = {.type = type, .length = shapes[type].least, .stream = stream};

    frame_head_write(out, &h);
    return out + FRAME_HEAD;
}

size_t frame_open_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream, enum stream_kind kind)
{
    return (size_t)(put_uint(begin(out, FRAME_OPEN, stream), kind, 1) - out);
}

size_t frame_credit_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream, uint64_t limit)
{
    return (size_t)(put_uint(begin(out, FRAME_CREDIT, stream), limit, 8) - out);
}

size_t frame_fin_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream)
{
    return (size_t)(begin(out, FRAME_FIN, stream) - out);
}

size_t frame_reset_write(uint8_t out[FRAME_SMALL_MAX], uint32_t stream, enum reset_reason why)
{
    return (size_t)(put_uint(begin(out, FRAME_RESET, stream), why, 1) - out);
}

size_t frame_ping_write(uint8_t out[FRAME_SMALL_MAX], bool answer, uint64_t token)
{
    uint8_t *body = put_uint(begin(out, FRAME_PING, 0), answer, 1);

    return (size_t)(put_uint(body, token, 8) - out);
}

size_t frame_ack_write(uint8_t out[FRAME_SMALL_MAX], uint64_t offset)
{
    return (size_t)(put_uint(begin(out, FRAME_ACK, 0), offset, 8) - out);
}

size_t frame_close_write(uint8_t out[FRAME_SMALL_MAX], enum close_reason why)
{
    return (size_t)(put_uint(begin(out, FRAME_CLOSE, 0), why, 1) - out);
}

void frame_close_encode(struct buf *out, enum close_reason why)
{
    uint8_t frame[FRAME_SMALL_MAX];

    buf_put(out, reader_of(frame, frame_close_write(frame, why)));
}

/* --- HELLO (§6.2) --------------------------------------------------------------- */

enum rc frame_hello_decode(struct reader body, struct frame_hello *out)
{
    struct frame_hello h;

    h.version_min = reader_u16(&body);
    h.version_max = reader_u16(&body);
    reader_copy(&body, h.binding, sizeof h.binding);
    reader_copy(&body, h.session, sizeof h.session);
    h.generation = reader_u32(&body);
    h.received = reader_u64(&body);
    h.workspace = reader_vec8(&body);
    h.service = reader_vec8(&body);
    if (!reader_done(&body) || h.version_min > h.version_max || h.generation == 0)
        return RC_PROTO;
    *out = h;
    return RC_OK;
}

static void put_name(struct buf *out, struct reader name)
{
    buf_put_u8(out, (uint8_t)name.left);
    buf_put(out, name);
}

void frame_hello_encode(struct buf *out, const struct frame_hello *h)
{
    assert(h->workspace.left <= FRAME_NAME_MAX && h->service.left <= FRAME_NAME_MAX);
    size_t length = HELLO_FIXED + h->workspace.left + h->service.left;

    frame_head_encode(out, &(struct frame_head){.type = FRAME_HELLO, .length = (uint32_t)length});
    buf_put_u16(out, h->version_min);
    buf_put_u16(out, h->version_max);
    buf_put(out, reader_of(h->binding, sizeof h->binding));
    buf_put(out, reader_of(h->session, sizeof h->session));
    buf_put_u32(out, h->generation);
    buf_put_u64(out, h->received);
    put_name(out, h->workspace);
    put_name(out, h->service);
}

/* --- reasons --------------------------------------------------------------------- */

const char *reset_reason_text(enum reset_reason why)
{
    static const char *const text[RESET_REASONS_] = {
        [RESET_NONE] = "no reason given",
        [RESET_REFUSED] = "connection refused",
        [RESET_TIMEOUT] = "timed out",
        [RESET_UNREACHABLE] = "unreachable",
        [RESET_NO_NAME] = "name not found",
        [RESET_BROKEN] = "connection reset",
        [RESET_LIMIT] = "a limit was reached",
        [RESET_NO_SERVICE] = "no such service",
        [RESET_SHUTDOWN] = "shutting down",
        [RESET_VIOLATION] = "protocol violation",
        [RESET_SESSION_LOST] = "session lost",
        [RESET_NOT_PERMITTED] = "not permitted",
        [RESET_TARGET_DENIED] = "permission denied on the target",
        [RESET_HOLD_OVER] = "the other agent did not come back in time",
    };

    return (unsigned)why < RESET_REASONS_ ? text[why] : "unknown reason";
}

const char *close_reason_text(enum close_reason why)
{
    static const char *const text[CLOSE_REASONS_] = {
        [CLOSE_NONE] = "not closed",
        [CLOSE_DONE] = "done",
        [CLOSE_UNKNOWN_SESSION] = "the other agent does not know this session",
        [CLOSE_OFFSET_LOST] = "the other agent no longer keeps the bytes to continue from",
        [CLOSE_OLD_GENERATION] = "a newer pipe has taken over",
        [CLOSE_VIOLATION] = "protocol violation",
        [CLOSE_NO_SERVICE] = "no such service",
        [CLOSE_VERSION] = "no common protocol version",
        [CLOSE_SHUTDOWN] = "the other agent is shutting down",
        [CLOSE_LIMIT] = "a limit was reached",
    };

    return (unsigned)why < CLOSE_REASONS_ ? text[why] : "unknown reason";
}
