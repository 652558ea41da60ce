#include "fuzz.h"
#include "wire/websocket.h"

/*
 * Input: a byte for role and limit, a byte for the cuts, the stream. In pieces the same events must
 * come as in one go, and the same end. Text that is handed up is UTF-8 by a second opinion.
 */
struct outcome {
    enum rc rc;
    uint16_t refusal;
    struct buf log, message;
};

/* RFC 3629 by values instead of by bytes. */
static bool is_utf8(struct reader r)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    while (r.left > 0) {
        uint8_t c = reader_u8(&r);
        unsigned more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : 4;
        if (more == 4)
            return false;
        uint32_t value = more == 0 ? c : c & (0x3fu >> more);
        for (unsigned i = 0; i < more; i++) {
            uint8_t next = reader_u8(&r);
            if (next >> 6 != 2)
                return false;
            value = value << 6 | (next & 0x3f);
        }
        if (!reader_ok(&r) || value < least[more] || value > 0x10ffff || value >> 11 == 0x1b)
            return false;
    }
    return true;
}

static void note(struct outcome *o, const struct ws_event *e)
{
    static const char *const names[] = {
        [WS_DATA] = "data", [WS_PING] = "ping", [WS_PONG] = "pong", [WS_CLOSE] = "close"};

    assert(e->kind != WS_DATA || e->last || e->bytes.left > 0);
    assert(e->kind != WS_DATA || e->first == (o->message.len == 0));
    assert(e->kind == WS_DATA || e->bytes.left <= WS_CONTROL_MAX);
    ws_event_put(e, e->kind == WS_DATA ? &o->message : &o->log);
    if (e->kind == WS_DATA && !e->last)
        return;
    assert(e->kind != WS_DATA || !e->text || is_utf8(buf_view(&o->message)));
    buf_put(&o->log, buf_view(&o->message));
    buf_put_text(&o->log, names[e->kind]);
    buf_put_u8(&o->log, e->kind == WS_DATA && e->text);
    buf_put_u16(&o->log, e->code);
    if (e->kind == WS_DATA)
        buf_clear(&o->message);
}

static void decode_in_pieces(struct ws_decoder d, struct reader input, uint32_t seed,
                             struct outcome *o)
{
    buf_init(&o->log, 16 * input.left + 64);
    buf_init(&o->message, d.message_max);
    o->rc = RC_AGAIN;
    while (o->rc == RC_AGAIN && input.left > 0) {
        size_t len = seed ? fuzz_piece(&seed, input.left) : input.left;
        uint8_t *copy = fuzz_copy(reader_slice(&input, len));
        struct reader in = reader_of(copy, len);
        struct ws_event e;
        while ((o->rc = ws_decode(&d, &in, &e)) == RC_OK)
            note(o, &e);
        assert(o->rc != RC_AGAIN || in.left == 0);
        free(copy);
    }
    o->refusal = ws_refusal(&d);
    assert((o->refusal != 0) == (o->rc == RC_PROTO || o->rc == RC_LIMIT));
    assert(buf_ok(&o->log) && buf_ok(&o->message));
}

static void outcome_done(struct outcome *o)
{
    buf_done(&o->log);
    buf_done(&o->message);
}

static void check_cuts(const struct ws_decoder *d, struct reader input, uint32_t seed)
{
    struct outcome one = {0}, many = {0};

    decode_in_pieces(*d, input, 0, &one);
    decode_in_pieces(*d, input, seed | 1, &many);
    assert(one.rc == many.rc && one.refusal == many.refusal);
    assert(fuzz_same(buf_view(&one.log), buf_view(&many.log)));
    /* Text is refused by its first bad byte, so what came of a message before that may differ by
     * cuts. */
    assert(one.rc != RC_AGAIN || fuzz_same(buf_view(&one.message), buf_view(&many.message)));
    outcome_done(&one);
    outcome_done(&many);
}

/* Any bytes come back as the binary message they were sent as, and as text just when they are
 * UTF-8. */
static void check_round(enum ws_role role, struct reader input, uint8_t seed)
{
    const uint8_t mask[WS_MASK_LEN] = {seed, (uint8_t)~seed, 0x5a, 0};
    const enum ws_opcode opcodes[] = {WS_OP_BINARY, WS_OP_TEXT};

    for (int i = 0; i < 2; i++) {
        struct ws_decoder d;
        struct ws_event e;
        struct buf wire, back;
        buf_init(&wire, input.left + WS_HEAD_MAX);
        buf_init(&back, input.left);
        ws_put_frame(&wire, opcodes[i], input, role == WS_SERVER ? mask : NULL);
        assert(buf_ok(&wire));
        ws_decoder_init(&d, role, input.left);
        struct reader in = buf_view(&wire);
        enum rc rc = ws_decode(&d, &in, &e);
        if (opcodes[i] == WS_OP_TEXT && !is_utf8(input)) {
            assert(rc == RC_PROTO && ws_refusal(&d) == WS_CODE_NOT_TEXT);
        } else {
            assert(rc == RC_OK && e.kind == WS_DATA && e.first && e.last && in.left == 0);
            ws_event_put(&e, &back);
            assert(fuzz_same(buf_view(&back), input));
        }
        buf_done(&wire);
        buf_done(&back);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader input = reader_of(data, len);
    uint8_t choice = reader_u8(&input), seed = reader_u8(&input);
    enum ws_role role = choice & 1 ? WS_SERVER : WS_CLIENT;
    struct ws_decoder d;

    if (!reader_ok(&input))
        return 0;
    ws_decoder_init(&d, role, choice & 2 ? 16 : 1024 * 1024);
    check_cuts(&d, input, seed);
    check_round(role, input, seed);
    return 0;
}
