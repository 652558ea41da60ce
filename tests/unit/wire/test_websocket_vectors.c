/*
 * The published cases of RFC 6455 (tests/vectors/websocket) against our codec, in both roles, whole
 * and byte by byte: an echo server made of the decoder must answer what each case expects, and
 * refuse with a close code that it names.
 */
#include "wire/websocket.h"

#include <jansson.h>

#include "base/text.h"

#include "test.h"

enum { MESSAGE_MAX = 1024 * 1024 };

static const uint8_t mask[WS_MASK_LEN] = {0xa5, 0x00, 0xff, 0x13};

/* Bytes as the cases write them: {"hex": "…"}, a string, or null. */
static void put_bytes(struct buf *out, const json_t *value)
{
    const json_t *hex = json_object_get(value, "hex");

    if (json_is_string(value))
        buf_put_text(out, json_string_value(value));
    if (hex == NULL)
        return;
    const char *text = json_string_value(hex);
    size_t len = strlen(text) / 2;
    uint8_t *to = len > 0 ? buf_reserve(out, len) : NULL;
    if (to == NULL)
        return;
    assert_int_equal(text_unhex(text, to, len), RC_OK);
    buf_grow(out, len);
}

/* One frame as the case says, legal or not. */
static void put_frame(struct buf *out, enum ws_role to, unsigned first, struct reader payload)
{
    uint8_t head[WS_HEAD_MAX];
    const uint8_t *key = to == WS_SERVER ? mask : NULL;
    static const uint8_t none[WS_MASK_LEN];

    size_t len = ws_head_write(head, WS_OP_BINARY, true, payload.left, key);
    head[0] = (uint8_t)first;
    buf_put(out, reader_of(head, len));
    uint8_t *at = payload.left > 0 ? buf_reserve(out, payload.left) : NULL;
    if (at == NULL)
        return;
    ws_mask(at, payload.at, payload.left, key ? key : none);
    buf_grow(out, payload.left);
}

/* Some payloads are given by their first bytes and a length to repeat them to. */
static void repeat(struct buf *payload, const json_t *len)
{
    size_t want = (size_t)json_integer_value(len), have = payload->len;
    uint8_t *more = want > have ? buf_reserve(payload, want - have) : NULL;

    if (more == NULL)
        return;
    for (size_t i = 0; i < want - have; i++)
        more[i] = payload->data[i % have];
    buf_grow(payload, want - have);
}

/* What the case sends, as bytes on the wire. */
static void put_sent(struct buf *out, enum ws_role to, const json_t *steps)
{
    size_t i;
    const json_t *step;

    json_array_foreach(steps, i, step)
    {
        const char *op = json_string_value(json_object_get(step, "op"));
        struct buf payload;
        buf_init(&payload, MESSAGE_MAX);
        if (strcmp(op, "frame") == 0) {
            put_bytes(&payload, json_object_get(step, "payload"));
            repeat(&payload, json_object_get(step, "payload_len"));
            unsigned first = (unsigned)json_integer_value(json_object_get(step, "opcode")) |
                             (unsigned)json_integer_value(json_object_get(step, "rsv")) << 4 |
                             (json_is_true(json_object_get(step, "fin")) ? 0x80u : 0);
            put_frame(out, to, first, buf_view(&payload));
        } else if (strcmp(op, "close") == 0 || strcmp(op, "close_frame") == 0) {
            if (json_is_integer(json_object_get(step, "code")))
                buf_put_u16(&payload, (uint16_t)json_integer_value(json_object_get(step, "code")));
            put_bytes(&payload, json_object_get(step, "reason"));
            put_frame(out, to, 0x80 | WS_OP_CLOSE, buf_view(&payload));
        }
        buf_done(&payload);
    }
    assert_true(buf_ok(out));
}

/* The expected answers as the log that echo() writes. */
static void put_expected(struct buf *out, const json_t *answers)
{
    size_t i;
    const json_t *answer;

    json_array_foreach(answers, i, answer)
    {
        buf_put_text(out, json_string_value(json_array_get(answer, 0)));
        if (json_is_true(json_array_get(answer, 2)))
            buf_put_text(out, " binary");
        buf_put_text(out, " ");
        put_bytes(out, json_array_get(answer, 1));
        buf_put_text(out, "\n");
    }
}

/* Answers messages and pings into `log`. */
static void echo(const struct ws_event *e, struct buf *message, struct buf *log)
{
    if (e->kind == WS_PING) {
        buf_put_text(log, "pong ");
        ws_event_put(e, log);
        buf_put_text(log, "\n");
    }
    if (e->kind != WS_DATA)
        return;
    ws_event_put(e, message);
    if (!e->last)
        return;
    buf_put_text(log, e->text ? "message " : "message binary ");
    buf_put(log, buf_view(message));
    buf_put_text(log, "\n");
    buf_clear(message);
}

static enum rc play(struct ws_decoder *d, struct reader bytes, size_t step, struct buf *log)
{
    struct buf message;
    enum rc rc = RC_AGAIN;

    buf_init(&message, MESSAGE_MAX);
    while (bytes.left > 0 && rc == RC_AGAIN) {
        struct reader in = reader_slice(&bytes, step < bytes.left ? step : bytes.left);
        struct ws_event e;
        while ((rc = ws_decode(d, &in, &e)) == RC_OK)
            echo(&e, &message, log);
    }
    assert_true(buf_ok(&message) && buf_ok(log));
    buf_done(&message);
    return rc;
}

/* Refused with an expected code; or, where 1000 is expected, not at all. */
static bool ends_as_expected(const json_t *close, enum rc rc, uint16_t refusal)
{
    size_t i;
    const json_t *code;

    json_array_foreach(json_object_get(close, "closeCode"), i, code)
    {
        json_int_t want = json_integer_value(code);
        if (rc == RC_PROTO ? want == refusal : want == WS_CODE_NORMAL)
            return true;
    }
    return false;
}

/* Of its two messages this case lists only the second as certain; we answer the first, too. */
static const char tail_only[] = "7.1.6";

static bool ends_with(struct reader whole, struct reader end)
{
    if (end.left > whole.left)
        return false;
    (void)reader_slice(&whole, whole.left - end.left);
    return end.left == 0 || memcmp(whole.at, end.at, end.left) == 0;
}

static void run(const json_t *one, enum ws_role role, bool by_byte)
{
    const char *id = json_string_value(json_object_get(one, "id"));
    struct buf sent, ours, theirs;
    struct ws_decoder d;

    buf_init(&sent, 4 * MESSAGE_MAX);
    buf_init(&ours, 4 * MESSAGE_MAX);
    buf_init(&theirs, 4 * MESSAGE_MAX);
    put_sent(&sent, role, json_object_get(one, "send"));
    const json_t *expected = json_object_get(one, "expected_received");
    put_expected(&theirs, json_object_get(expected, "OK"));
    ws_decoder_init(&d, role, MESSAGE_MAX);
    enum rc rc = play(&d, buf_view(&sent), by_byte ? 1 : sent.len, &ours);
    bool same = ends_with(buf_view(&ours), buf_view(&theirs)) &&
                (ours.len == theirs.len || strcmp(id, tail_only) == 0);
    if (!same || !ends_as_expected(json_object_get(one, "expected_close"), rc, ws_refusal(&d)))
        fail_msg("%s (%s): %s, code %u, answers %s", id, role == WS_SERVER ? "server" : "client",
                 rc_text(rc), ws_refusal(&d), same ? "right" : "wrong");
    buf_done(&sent);
    buf_done(&ours);
    buf_done(&theirs);
}

static void every_case_gets_the_answers_and_the_end_that_it_expects(void **state)
{
    (void)state;
    json_error_t error;
    json_t *file = json_load_file(VECTORS "/websocket/rfc6455-cases.json", 0, &error);
    const json_t *one;
    size_t i;

    if (file == NULL)
        fail_msg("%s", error.text);
    json_array_foreach(json_object_get(file, "cases"), i, one)
    {
        for (int role = WS_CLIENT; role <= WS_SERVER; role++)
            for (int by_byte = 0; by_byte <= 1; by_byte++)
                run(one, (enum ws_role)role, by_byte);
    }
    assert_int_equal(i, 101);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_gets_the_answers_and_the_end_that_it_expects),
    };
    return cmocka_run_group_tests_name("websocket vectors", tests, NULL, NULL);
}
