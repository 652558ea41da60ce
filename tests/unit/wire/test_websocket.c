#include "wire/websocket.h"

#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})
#define ASCII(s) (const uint8_t *)(s), sizeof(s) - 1

static const uint8_t key[WS_MASK_LEN] = {0x37, 0xfa, 0x21, 0x3d};

enum { MESSAGE_MAX = 70000 };

/* What a user of the decoder sees, as text: parts joined, one line per message or control frame. */
struct seen {
    struct buf log, message;
};

static void seen_init(struct seen *s)
{
    buf_init(&s->log, 1024 * 1024);
    buf_init(&s->message, MESSAGE_MAX);
}

static void seen_done(struct seen *s)
{
    buf_done(&s->log);
    buf_done(&s->message);
}

static void see(struct seen *s, const struct ws_event *e)
{
    static const char *const names[] = {
        [WS_DATA] = "data ", [WS_PING] = "ping ", [WS_PONG] = "pong ", [WS_CLOSE] = "close "};

    if (e->kind == WS_DATA) {
        assert_int_equal(e->first, s->message.len == 0);
        ws_event_put(e, &s->message);
        assert_true(buf_ok(&s->message));
        if (!e->last)
            return;
        buf_put_text(&s->log, e->text ? "text " : "binary ");
        buf_put(&s->log, buf_view(&s->message));
        buf_clear(&s->message);
    } else {
        buf_put_text(&s->log, names[e->kind]);
        if (e->kind == WS_CLOSE)
            buf_print(&s->log, "%u ", e->code);
        ws_event_put(e, &s->log);
    }
    buf_put_text(&s->log, "\n");
}

/* Decodes `bytes` cut at `a` and `b`, each part from an exact heap copy. */
static enum rc decode_cut(struct ws_decoder *d, struct reader bytes, size_t a, size_t b,
                          struct seen *s)
{
    size_t cuts[] = {a, b - a, bytes.left - b};
    enum rc rc = RC_AGAIN;

    for (size_t i = 0; i < COUNT(cuts) && rc == RC_AGAIN; i++) {
        struct reader part = reader_slice(&bytes, cuts[i]);
        uint8_t *copy = exact_copy(part.at, part.left);
        struct reader in = reader_of(copy, part.left);
        struct ws_event e;
        while ((rc = ws_decode(d, &in, &e)) == RC_OK)
            see(s, &e);
        assert_true(rc != RC_AGAIN || in.left == 0);
        free(copy);
    }
    return rc;
}

static void examples_of_the_rfc_decode_and_encode(void **state)
{
    (void)state;
    const struct {
        enum ws_role role;
        const uint8_t *bytes;
        size_t len;
        const char *seen;
    } cases[] = {
        {WS_CLIENT, BYTES(0x81, 0x05, 'H', 'e', 'l', 'l', 'o'), "text Hello\n"},
        {WS_SERVER, BYTES(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58),
         "text Hello\n"},
        {WS_CLIENT, BYTES(0x01, 0x03, 'H', 'e', 'l', 0x80, 0x02, 'l', 'o'), "text Hello\n"},
        {WS_CLIENT, BYTES(0x89, 0x05, 'H', 'e', 'l', 'l', 'o'), "ping Hello\n"},
        {WS_SERVER, BYTES(0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58),
         "pong Hello\n"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) { /* RFC 6455 §5.7 */
        struct ws_decoder d;
        struct seen s;
        seen_init(&s);
        ws_decoder_init(&d, cases[i].role, MESSAGE_MAX);
        struct reader in = reader_of(cases[i].bytes, cases[i].len);
        assert_int_equal(decode_cut(&d, in, 0, 0, &s), RC_AGAIN);
        assert_true(reader_is(buf_view(&s.log), cases[i].seen));
        seen_done(&s);
    }

    struct buf out;
    buf_init(&out, 64);
    ws_put_frame(&out, WS_OP_TEXT, reader_of_text("Hello"), NULL);
    assert_int_equal(out.len, cases[0].len);
    assert_memory_equal(out.data, cases[0].bytes, out.len);
    buf_clear(&out);
    ws_put_frame(&out, WS_OP_TEXT, reader_of_text("Hello"), key);
    assert_int_equal(out.len, cases[1].len);
    assert_memory_equal(out.data, cases[1].bytes, out.len);
    buf_done(&out);
}

/* A fragment of a message: the head by hand, since ws_put_frame() only makes whole ones. */
static void put_fragment(struct buf *out, enum ws_opcode opcode, bool final, const char *text,
                         const uint8_t *mask)
{
    uint8_t masked[64];
    static const uint8_t none[WS_MASK_LEN];

    ws_put_head(out, opcode, final, strlen(text), mask);
    ws_mask(masked, (const uint8_t *)text, strlen(text), mask ? mask : none);
    buf_put(out, reader_of(masked, strlen(text)));
}

static void a_conversation_is_the_same_wherever_it_is_cut(void **state)
{
    (void)state;
    for (int role = WS_CLIENT; role <= WS_SERVER; role++) {
        const uint8_t *mask = role == WS_SERVER ? key : NULL;
        struct buf wire;
        buf_init(&wire, 1024);
        put_fragment(&wire, WS_OP_TEXT, false, "", mask);
        put_fragment(&wire, WS_OP_CONTINUATION, false, "\xce\xba\xe1\xbd", mask);
        put_fragment(&wire, WS_OP_PING, true, "in between", mask);
        put_fragment(&wire, WS_OP_CONTINUATION, false, "", mask);
        put_fragment(&wire, WS_OP_CONTINUATION, true, "\xb9\xcf\x83 plain text", mask);
        put_fragment(&wire, WS_OP_BINARY, true, "", mask);
        put_fragment(&wire, WS_OP_PONG, true, "", mask);
        put_fragment(&wire, WS_OP_BINARY, false, "\xff\xfe", mask);
        put_fragment(&wire, WS_OP_CONTINUATION, true, "", mask);
        ws_put_close(&wire, 4001, "replaced", mask);
        ws_put_frame(&wire, WS_OP_TEXT, reader_of_text("ignored"), mask);
        assert_true(buf_ok(&wire));
        for (size_t a = 0; a <= wire.len; a++)
            for (size_t b = a; b <= wire.len; b++) {
                struct ws_decoder d;
                struct seen s;
                seen_init(&s);
                ws_decoder_init(&d, (enum ws_role)role, MESSAGE_MAX);
                assert_int_equal(decode_cut(&d, buf_view(&wire), a, b, &s), RC_EOF);
                assert_true(reader_is(buf_view(&s.log),
                                      "ping in between\n"
                                      "text \xce\xba\xe1\xbd\xb9\xcf\x83 plain text\n"
                                      "binary \n"
                                      "pong \n"
                                      "binary \xff\xfe\n"
                                      "close 4001 replaced\n"));
                seen_done(&s);
            }
        buf_done(&wire);
    }
}

/* What the first bytes must not be, unmasked, to a client. */
static void a_frame_against_the_rfc_is_refused_wherever_it_is_cut(void **state)
{
    (void)state;
    const struct {
        const char *what;
        const uint8_t *bytes;
        size_t len;
        uint16_t code;
    } cases[] = {
        {"reserved bit 1", BYTES(0xc1, 0x00), 1002},
        {"reserved bit 2", BYTES(0xa1, 0x00), 1002},
        {"reserved bit 3", BYTES(0x91, 0x00), 1002},
        {"opcode 3", BYTES(0x83, 0x00), 1002},
        {"opcode 7", BYTES(0x87, 0x00), 1002},
        {"opcode 11", BYTES(0x8b, 0x00), 1002},
        {"opcode 15", BYTES(0x8f, 0x00), 1002},
        {"masked to a client", BYTES(0x81, 0x80, 0, 0, 0, 0), 1002},
        {"continuation of nothing", BYTES(0x80, 0x00), 1002},
        {"message within a message", BYTES(0x01, 0x00, 0x81, 0x00), 1002},
        {"fragmented ping", BYTES(0x09, 0x00), 1002},
        {"fragmented close", BYTES(0x08, 0x00), 1002},
        {"ping of 126", BYTES(0x89, 0x7e, 0x00, 0x7e), 1002},
        {"close of 64-bit length", BYTES(0x88, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0), 1002},
        {"125 in 16 bits", BYTES(0x82, 0x7e, 0x00, 0x7d), 1002},
        {"65535 in 64 bits", BYTES(0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 1002},
        {"64 bits with the highest", BYTES(0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0), 1002},
        {"close with half a code", BYTES(0x88, 0x01, 0x03), 1002},
        {"close with 999", BYTES(0x88, 0x02, 0x03, 0xe7), 1002},
        {"close with 1005", BYTES(0x88, 0x02, 0x03, 0xed), 1002},
        {"close with 5000", BYTES(0x88, 0x02, 0x13, 0x88), 1002},
        {"reason that is not text", BYTES(0x88, 0x03, 0x03, 0xe8, 0xff), 1007},
        {"reason cut in a character", BYTES(0x88, 0x03, 0x03, 0xe8, 0xc3), 1007},
        {"text that is not text", BYTES(0x81, 0x02, 'a', 0xff), 1007},
        {"text cut in a character", BYTES(0x81, 0x01, 0xc3), 1007},
        {"text cut in a character, in fragments", BYTES(0x01, 0x01, 0xc3, 0x80, 0x00), 1007},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t a = 0; a <= cases[i].len; a++) {
            struct ws_decoder d;
            struct seen s;
            seen_init(&s);
            ws_decoder_init(&d, WS_CLIENT, MESSAGE_MAX);
            struct reader in = reader_of(cases[i].bytes, cases[i].len);
            if (decode_cut(&d, in, a, a, &s) != RC_PROTO || ws_refusal(&d) != cases[i].code)
                fail_msg("%s: code %u", cases[i].what, ws_refusal(&d));
            struct reader more = reader_of(BYTES(0x81, 0x00));
            struct ws_event e;
            assert_int_equal(ws_decode(&d, &more, &e), RC_PROTO);
            seen_done(&s);
        }
}

static void a_server_refuses_what_is_not_masked(void **state)
{
    (void)state;
    struct ws_decoder d;
    struct ws_event e;
    struct reader in = reader_of(BYTES(0x81, 0x00));

    ws_decoder_init(&d, WS_SERVER, MESSAGE_MAX);
    assert_int_equal(ws_decode(&d, &in, &e), RC_PROTO);
    assert_int_equal(ws_refusal(&d), WS_CODE_PROTOCOL);
}

static void invalid_text_is_refused_by_the_first_bad_byte(void **state)
{
    (void)state;
    struct ws_decoder d;
    struct ws_event e;
    struct reader in = reader_of(BYTES(0x81, 0x05, 'a', 0xc0)); /* three bytes are not there yet */

    ws_decoder_init(&d, WS_CLIENT, MESSAGE_MAX);
    assert_int_equal(ws_decode(&d, &in, &e), RC_PROTO);
}

static void a_message_over_the_limit_is_refused_by_its_head(void **state)
{
    (void)state;
    const struct {
        const uint8_t *bytes;
        size_t len;
        enum rc want;
    } cases[] = {
        {BYTES(0x82, 0x05), RC_AGAIN},
        {BYTES(0x82, 0x06), RC_LIMIT},
        {BYTES(0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), RC_LIMIT},
        {BYTES(0x02, 0x03, 1, 2, 3, 0x80, 0x02), RC_AGAIN},
        {BYTES(0x02, 0x03, 1, 2, 3, 0x80, 0x03), RC_LIMIT},
        {BYTES(0x02, 0x03, 1, 2, 3, 0x80, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
         RC_LIMIT},
        /* Control frames do not count, and the next message begins anew. */
        {BYTES(0x02, 0x03, 1, 2, 3, 0x89, 0x06, 1, 2, 3, 4, 5, 6, 0x80, 0x02, 1, 2, 0x82, 0x05),
         RC_AGAIN},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ws_decoder d;
        struct seen s;
        seen_init(&s);
        ws_decoder_init(&d, WS_CLIENT, 5);
        struct reader in = reader_of(cases[i].bytes, cases[i].len);
        assert_int_equal(decode_cut(&d, in, 0, 0, &s), cases[i].want);
        assert_int_equal(ws_refusal(&d), cases[i].want == RC_LIMIT ? WS_CODE_TOO_BIG : 0);
        seen_done(&s);
    }
}

static void heads_take_the_shortest_form(void **state)
{
    (void)state;
    static const struct {
        uint64_t len;
        size_t head;
    } cases[] = {{0, 2},      {125, 2},       {126, 4},       {65535, 4},
                 {65536, 10}, {1u << 20, 10}, {INT64_MAX, 10}};

    for (size_t i = 0; i < COUNT(cases); i++)
        for (int masked = 0; masked <= 1; masked++) {
            uint8_t head[WS_HEAD_MAX];
            struct ws_decoder d;
            struct ws_event e;
            size_t want = cases[i].head + (masked ? WS_MASK_LEN : 0);
            size_t len = ws_head_write(head, WS_OP_BINARY, true, cases[i].len, masked ? key : NULL);
            assert_int_equal(len, want);
            assert_int_equal(ws_head_len(cases[i].len, masked), want);
            struct reader in = reader_of(head, len);
            ws_decoder_init(&d, masked ? WS_SERVER : WS_CLIENT, INT64_MAX);
            enum rc rc = ws_decode(&d, &in, &e);
            assert_int_equal(rc, cases[i].len > 0 ? RC_AGAIN : RC_OK);
            assert_int_equal(d.left, cases[i].len);
        }
}

/* Parts of a large masked message, cut unevenly, come out as they went in. */
static void a_large_message_needs_no_buffer(void **state)
{
    (void)state;
    enum { LARGE = 66000, STEP = 1019 };
    uint8_t *payload = malloc(LARGE), *back = malloc(LARGE);
    struct buf wire;
    struct ws_decoder d;
    struct ws_event e;
    size_t at = 0;
    bool last = false;

    assert_true(payload && back);
    for (size_t i = 0; i < LARGE; i++)
        payload[i] = (uint8_t)(i * 31 >> 3);
    buf_init(&wire, 2 * LARGE);
    ws_put_frame(&wire, WS_OP_BINARY, reader_of(payload, LARGE), key);
    ws_decoder_init(&d, WS_SERVER, LARGE);
    for (struct reader all = buf_view(&wire); all.left > 0;) {
        struct reader in = reader_slice(&all, all.left < STEP ? all.left : STEP);
        while (ws_decode(&d, &in, &e) == RC_OK) {
            assert_true(e.kind == WS_DATA && !e.text && e.masked);
            assert_int_equal(e.first, at == 0);
            ws_event_copy(&e, back + at);
            at += e.bytes.left;
            last = e.last;
        }
    }
    assert_true(last);
    assert_int_equal(at, LARGE);
    assert_memory_equal(back, payload, LARGE);
    buf_done(&wire);
    free(payload);
    free(back);
}

static void masking_is_by_the_byte_from_any_offset(void **state)
{
    (void)state;
    uint8_t from[67], once[67], parts[67];

    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i * 3);
    for (size_t len = 0; len <= sizeof from; len++)
        for (size_t cut = 0; cut <= len; cut++) {
            uint8_t turned[WS_MASK_LEN];
            ws_mask(once, from, len, key);
            for (size_t i = 0; i < len; i++)
                assert_int_equal(once[i], from[i] ^ key[i % 4]);
            memcpy(turned, key, sizeof turned);
            ws_mask(parts, from, cut, turned);
            ws_mask_turn(turned, cut);
            ws_mask(parts + cut, from + cut, len - cut, turned);
            assert_memory_equal(parts, once, len);
            ws_mask(parts, parts, len, key); /* in place, and back */
            assert_memory_equal(parts, from, len);
        }
}

static void utf8_is_told_from_what_looks_like_it(void **state)
{
    (void)state;
    const struct {
        const uint8_t *bytes;
        size_t len;
        bool valid;
    } cases[] = {
        {ASCII(""), true},
        {ASCII("plain text that is longer than a word of the machine"), true},
        {BYTES(0xc2, 0x80), true},
        {BYTES(0xdf, 0xbf), true},
        {BYTES(0xe0, 0xa0, 0x80), true},
        {BYTES(0xed, 0x9f, 0xbf), true},
        {BYTES(0xee, 0x80, 0x80), true},
        {BYTES(0xef, 0xbf, 0xbf), true},
        {BYTES(0xf0, 0x90, 0x80, 0x80), true},
        {BYTES(0xf4, 0x8f, 0xbf, 0xbf), true},
        {BYTES(0), true},
        {BYTES(0x80), false},
        {BYTES(0xbf), false},
        {BYTES(0xc0, 0x80), false},       /* a longer form of U+0000 */
        {BYTES(0xc1, 0xbf), false},       /* of U+007F */
        {BYTES(0xe0, 0x9f, 0xbf), false}, /* of U+07FF */
        {BYTES(0xf0, 0x8f, 0xbf, 0xbf), false},
        {BYTES(0xed, 0xa0, 0x80), false}, /* surrogates */
        {BYTES(0xed, 0xbf, 0xbf), false},
        {BYTES(0xf4, 0x90, 0x80, 0x80), false}, /* over U+10FFFF */
        {BYTES(0xf5, 0x80, 0x80, 0x80), false},
        {BYTES(0xfe), false},
        {BYTES(0xff), false},
        {BYTES(0xc3), false},
        {BYTES(0xe2, 0x82), false},
        {BYTES(0xf0, 0x9f, 0x98), false},
        {BYTES(0xe2, 0x28, 0xa1), false},
        {ASCII("exactly8\xff"), false},
        {ASCII("exactly8exactly8exactly\xc3"), false},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t cut = 0; cut <= cases[i].len; cut++) {
            uint8_t *bytes = exact_copy(cases[i].bytes, cases[i].len);
            struct ws_utf8 u = {0};
            bool valid = ws_utf8_step(&u, reader_of(bytes, cut)) &&
                         ws_utf8_step(&u, reader_of(bytes + cut, cases[i].len - cut)) &&
                         u.more == 0;
            if (valid != cases[i].valid)
                fail_msg("case %zu cut at %zu", i, cut);
            free(bytes);
        }
}

/* All texts of up to three bytes against the table of RFC 3629 §4, written the other way round. */
static void utf8_of_every_code_point_is_valid_and_nothing_else(void **state)
{
    (void)state;
    size_t valid = 0;

    for (uint32_t v = 0; v <= 0xffffff; v++) {
        const uint8_t bytes[] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        struct ws_utf8 u = {0};
        valid += ws_utf8_step(&u, reader_of(bytes, 3)) && u.more == 0;
    }
    /* Three of one byte, one of each in either order, one of three without the surrogates. */
    assert_int_equal(valid, 128 * 128 * 128 + 2 * 128 * (0x800 - 0x80) + (0x10000 - 0x800 - 0x800));
}

/* The validator looks at masked text, eight bytes at a time where it can. */
static void masked_text_is_validated_at_every_offset(void **state)
{
    (void)state;
    static const uint8_t high[WS_MASK_LEN] = {0x80, 0x7f, 0x00, 0xff};
    static const struct {
        const char *bytes;
        size_t len;
        bool valid;
    } cases[] = {
        {"\xc3\xa9", 2, true},
        {"\xff", 1, false},
        {"\xc3"
         "aaaaaaaa"
         "\xa9",
         10, false}, /* a character that ASCII stands in the middle of */
        {"\xf0\x9f\x98\x80", 4, true},
        {"\xf0\x9f\x98"
         "aaaaaaaa"
         "\x80",
         12, false},
    };
    char text[64];

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t at = 0; at < 32; at++) {
            struct buf wire;
            struct ws_decoder d;
            struct ws_event e;
            memset(text, 'a', sizeof text);
            memcpy(text + at, cases[i].bytes, cases[i].len);
            buf_init(&wire, 128);
            ws_put_frame(&wire, WS_OP_TEXT, reader_of(text, sizeof text), high);
            struct reader in = buf_view(&wire);
            ws_decoder_init(&d, WS_SERVER, sizeof text);
            if ((ws_decode(&d, &in, &e) == RC_OK) != cases[i].valid)
                fail_msg("case %zu at %zu", i, at);
            buf_done(&wire);
        }
}

static void a_close_frame_says_no_more_than_fits(void **state)
{
    (void)state;
    char reason[200];
    struct buf out;
    struct ws_decoder d;
    struct ws_event e;

    memset(reason, 'x', sizeof reason);
    memcpy(reason + WS_REASON_MAX - 1, "\xc3\xa9", 3); /* a character over the limit */
    buf_init(&out, 256);
    ws_put_close(&out, WS_CODE_POLICY, reason, NULL);
    struct reader in = buf_view(&out);
    ws_decoder_init(&d, WS_CLIENT, 0);
    assert_int_equal(ws_decode(&d, &in, &e), RC_OK);
    assert_int_equal(e.code, WS_CODE_POLICY);
    assert_int_equal(e.bytes.left, WS_REASON_MAX - 1);
    buf_clear(&out);

    ws_put_close(&out, WS_CODE_NONE, "not sent", key);
    in = buf_view(&out);
    ws_decoder_init(&d, WS_SERVER, 0);
    assert_int_equal(ws_decode(&d, &in, &e), RC_OK);
    assert_int_equal(e.kind, WS_CLOSE);
    assert_int_equal(e.code, WS_CODE_NONE);
    assert_int_equal(ws_decode(&d, &in, &e), RC_EOF);
    buf_done(&out);
}

static void a_control_frame_that_is_too_long_is_not_written(void **state)
{
    (void)state;
    uint8_t payload[WS_CONTROL_MAX + 1] = {0};
    struct buf out;

    buf_init(&out, 256);
    ws_put_frame(&out, WS_OP_PING, reader_of(payload, WS_CONTROL_MAX), NULL);
    assert_true(buf_ok(&out));
    ws_put_frame(&out, WS_OP_PING, reader_of(payload, WS_CONTROL_MAX + 1), NULL);
    assert_false(buf_ok(&out));
    assert_int_equal(out.len, 2 + WS_CONTROL_MAX);
    buf_done(&out);
}

static void the_accept_input_is_the_key_and_the_guid(void **state)
{
    (void)state;
    uint8_t out[WS_ACCEPT_INPUT_LEN];
    static const char *const bad[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQQQ",
        "dGhlIHNhbXBsZSBub25jZQQ=",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25j\n===",
    };

    assert_int_equal(ws_accept_input(reader_of_text("dGhlIHNhbXBsZSBub25jZQ=="), out), RC_OK);
    assert_memory_equal(out, "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                        sizeof out);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(ws_accept_input(reader_of_text(bad[i]), out), RC_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc_decode_and_encode),
        cmocka_unit_test(a_conversation_is_the_same_wherever_it_is_cut),
        cmocka_unit_test(a_frame_against_the_rfc_is_refused_wherever_it_is_cut),
        cmocka_unit_test(a_server_refuses_what_is_not_masked),
        cmocka_unit_test(invalid_text_is_refused_by_the_first_bad_byte),
        cmocka_unit_test(a_message_over_the_limit_is_refused_by_its_head),
        cmocka_unit_test(heads_take_the_shortest_form),
        cmocka_unit_test(a_large_message_needs_no_buffer),
        cmocka_unit_test(masking_is_by_the_byte_from_any_offset),
        cmocka_unit_test(utf8_is_told_from_what_looks_like_it),
        cmocka_unit_test(utf8_of_every_code_point_is_valid_and_nothing_else),
        cmocka_unit_test(masked_text_is_validated_at_every_offset),
        cmocka_unit_test(a_close_frame_says_no_more_than_fits),
        cmocka_unit_test(a_control_frame_that_is_too_long_is_not_written),
        cmocka_unit_test(the_accept_input_is_the_key_and_the_guid),
    };
    return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
