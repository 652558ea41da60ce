#include "test.h"

#include "wire/frame.h"

struct head_case {
    const char *what;
    uint8_t wire[FRAME_HEAD];
    enum rc rc;
};

/* One line per thing that §6.1 allows or forbids. */
static const struct head_case heads[] = {
    {"HELLO, shortest", {1, 0, 0, 66, 0, 0, 0, 0}, RC_OK},
    {"HELLO, longest", {1, 0, 2, 64, 0, 0, 0, 0}, RC_OK},
    {"HELLO, too long", {1, 0, 2, 65, 0, 0, 0, 0}, RC_LIMIT},
    {"HELLO, too short", {1, 0, 0, 65, 0, 0, 0, 0}, RC_PROTO},
    {"HELLO of a stream", {1, 0, 0, 66, 0, 0, 0, 1}, RC_PROTO},
    {"OPEN", {2, 0, 0, 1, 0, 0, 0, 1}, RC_OK},
    {"OPEN without a kind", {2, 0, 0, 0, 0, 0, 0, 1}, RC_PROTO},
    {"OPEN, too long", {2, 0, 0, 2, 0, 0, 0, 1}, RC_LIMIT},
    {"OPEN of stream 0", {2, 0, 0, 1, 0, 0, 0, 0}, RC_PROTO},
    {"DATA, one byte", {3, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF}, RC_OK},
    {"DATA, 256 KiB", {3, 4, 0, 0, 0, 0, 0, 1}, RC_OK},
    {"DATA, 256 KiB and one", {3, 4, 0, 1, 0, 0, 0, 1}, RC_LIMIT},
    {"DATA, empty", {3, 0, 0, 0, 0, 0, 0, 1}, RC_PROTO},
    {"DATA of stream 0", {3, 0, 0, 1, 0, 0, 0, 0}, RC_PROTO},
    {"CREDIT", {4, 0, 0, 8, 0, 0, 0, 1}, RC_OK},
    {"CREDIT, short", {4, 0, 0, 7, 0, 0, 0, 1}, RC_PROTO},
    {"CREDIT of stream 0", {4, 0, 0, 8, 0, 0, 0, 0}, RC_PROTO},
    {"FIN", {5, 0, 0, 0, 0, 0, 0, 1}, RC_OK},
    {"FIN with a body", {5, 0, 0, 1, 0, 0, 0, 1}, RC_LIMIT},
    {"FIN of stream 0", {5, 0, 0, 0, 0, 0, 0, 0}, RC_PROTO},
    {"RESET", {6, 0, 0, 1, 0, 0, 0, 1}, RC_OK},
    {"RESET without a reason", {6, 0, 0, 0, 0, 0, 0, 1}, RC_PROTO},
    {"DATAGRAM, one byte", {7, 0, 0, 1, 0, 0, 0, 1}, RC_OK},
    {"DATAGRAM, longest", {7, 0, 0xFF, 0xE3, 0, 0, 0, 1}, RC_OK},
    {"DATAGRAM, too long", {7, 0, 0xFF, 0xE4, 0, 0, 0, 1}, RC_LIMIT},
    {"DATAGRAM, empty", {7, 0, 0, 0, 0, 0, 0, 1}, RC_PROTO},
    {"PING", {8, 0, 0, 9, 0, 0, 0, 0}, RC_OK},
    {"PING of a stream", {8, 0, 0, 9, 0, 0, 0, 1}, RC_PROTO},
    {"ACK", {9, 0, 0, 8, 0, 0, 0, 0}, RC_OK},
    {"ACK of a stream", {9, 0, 0, 8, 0, 0, 0, 1}, RC_PROTO},
    {"CLOSE", {10, 0, 0, 1, 0, 0, 0, 0}, RC_OK},
    {"CLOSE of a stream", {10, 0, 0, 1, 0, 0, 0, 1}, RC_PROTO},
    {"no type 0", {0, 0, 0, 0, 0, 0, 0, 0}, RC_PROTO},
    {"no type 11", {11, 0, 0, 0, 0, 0, 0, 0}, RC_PROTO},
    {"no type 255", {255, 0, 0, 0, 0, 0, 0, 0}, RC_PROTO},
};

static void tells_allowed_heads_from_forbidden_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct reader in = reader_of(heads[i].wire, FRAME_HEAD);
        struct frame_head h;
        enum rc rc = frame_head_decode(&in, &h);
        if (rc != heads[i].rc)
            fail_msg("%s: %s", heads[i].what, rc_text(rc));
        assert_int_equal(in.left, rc == RC_OK ? 0 : FRAME_HEAD);
    }
}

static void writes_a_head_as_it_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct reader in = reader_of(heads[i].wire, FRAME_HEAD);
        struct frame_head h;
        struct buf out;

        if (heads[i].rc != RC_OK || frame_head_decode(&in, &h) != RC_OK)
            continue;
        buf_init(&out, FRAME_HEAD);
        frame_head_encode(&out, &h);
        assert_true(buf_ok(&out));
        assert_int_equal(out.len, FRAME_HEAD);
        assert_memory_equal(buf_view(&out).at, heads[i].wire, FRAME_HEAD);
        frame_head_encode(&out, &h);
        assert_false(buf_ok(&out)); /* over the limit, and said so */
        buf_done(&out);
    }
}

/* However the network cuts a head, it decodes once it is whole, not before. */
static void decodes_a_head_only_when_whole(void **state)
{
    static const uint8_t wire[FRAME_HEAD] = {3, 0, 1, 2, 0, 0, 0, 7};

    (void)state;
    for (size_t cut = 0; cut <= sizeof wire; cut++) {
        uint8_t *bytes = exact_copy(wire, cut);
        struct reader in = reader_of(bytes, cut);
        struct frame_head h;

        assert_int_equal(frame_head_decode(&in, &h), cut < sizeof wire ? RC_AGAIN : RC_OK);
        assert_int_equal(in.left, cut < sizeof wire ? cut : 0);
        free(bytes);
    }
}

static void knows_what_travels_in_the_sequence(void **state)
{
    static const bool sequenced[] = {false, false, true,  true,  true,  true,
                                     true,  false, false, false, false, false};

    (void)state;
    for (unsigned type = 0; type < sizeof sequenced; type++)
        assert_int_equal(frame_is_sequenced((enum frame_type)type), sequenced[type]);
}

static void writes_small_frames(void **state)
{
    static const struct {
        size_t len;
        uint8_t wire[FRAME_SMALL_MAX];
    } want[] = {
        {9, {2, 0, 0, 1, 0, 0, 0, 7, 1}},
        {16, {4, 0, 0, 8, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8}},
        {8, {5, 0, 0, 0, 0, 0, 0, 7}},
        {9, {6, 0, 0, 1, 0, 0, 0, 7, 13}},
        {17, {8, 0, 0, 9, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8}},
        {16, {9, 0, 0, 8, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}},
        {9, {10, 0, 0, 1, 0, 0, 0, 0, 9}},
    };
    uint8_t out[7][FRAME_SMALL_MAX] = {{0}};
    size_t len[7];

    (void)state;
    len[0] = frame_open_write(out[0], 7, STREAM_UDP);
    len[1] = frame_credit_write(out[1], 7, 0x0102030405060708);
    len[2] = frame_fin_write(out[2], 7);
    len[3] = frame_reset_write(out[3], 7, RESET_HOLD_OVER);
    len[4] = frame_ping_write(out[4], true, 0x0102030405060708);
    len[5] = frame_ack_write(out[5], 0x0102030405060708);
    len[6] = frame_close_write(out[6], CLOSE_LIMIT);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(len[i], want[i].len);
        assert_memory_equal(out[i], want[i].wire, FRAME_SMALL_MAX);
    }
}

/* --- HELLO ---------------------------------------------------------------------- */

static struct frame_hello a_hello(void)
{
    struct frame_hello h = {.version_min = 1,
                            .version_max = 3,
                            .generation = 0x01020304,
                            .received = 0x1112131415161718,
                            .workspace = reader_of("acme", 4),
                            .service = reader_of("prod-db", 7)};

    memset(h.binding, 0xB1, sizeof h.binding);
    memset(h.session, 0x5E, sizeof h.session);
    return h;
}

static void put_hello(struct buf *wire)
{
    struct frame_hello h = a_hello();

    buf_init(wire, 1024);
    frame_hello_encode(wire, &h);
    assert_true(buf_ok(wire));
}

static void hello_comes_back_as_it_was(void **state)
{
    struct buf wire;
    struct frame_head head;
    struct frame_hello h, want = a_hello();

    (void)state;
    put_hello(&wire);
    struct reader in = buf_view(&wire);
    assert_int_equal(frame_head_decode(&in, &head), RC_OK);
    assert_int_equal(head.type, FRAME_HELLO);
    assert_int_equal(head.length, in.left);
    assert_int_equal(frame_hello_decode(in, &h), RC_OK);
    assert_int_equal(h.version_min, 1);
    assert_int_equal(h.version_max, 3);
    assert_int_equal(h.generation, want.generation);
    assert_int_equal(h.received, want.received);
    assert_memory_equal(h.binding, want.binding, sizeof h.binding);
    assert_memory_equal(h.session, want.session, sizeof h.session);
    assert_true(reader_is(h.workspace, "acme"));
    assert_true(reader_is(h.service, "prod-db"));
    buf_done(&wire);
}

static void hello_with_the_longest_names_fits_its_head(void **state)
{
    char name[FRAME_NAME_MAX];
    struct frame_hello h = a_hello();
    struct frame_head head;
    struct buf wire;

    (void)state;
    memset(name, 'n', sizeof name);
    h.workspace = h.service = reader_of(name, sizeof name);
    buf_init(&wire, 1024);
    frame_hello_encode(&wire, &h);
    struct reader in = buf_view(&wire);
    assert_int_equal(frame_head_decode(&in, &head), RC_OK);
    assert_int_equal(frame_hello_decode(in, &h), RC_OK);
    assert_int_equal(h.service.left, sizeof name);
    buf_done(&wire);
}

static void hello_cut_or_with_more_behind_is_refused(void **state)
{
    struct buf wire;
    struct frame_hello h;

    (void)state;
    put_hello(&wire);
    buf_consume(&wire, FRAME_HEAD);
    for (size_t cut = 0; cut < wire.len; cut++) {
        uint8_t *bytes = exact_copy(buf_view(&wire).at, cut);
        assert_int_equal(frame_hello_decode(reader_of(bytes, cut), &h), RC_PROTO);
        free(bytes);
    }
    buf_put_u8(&wire, 0);
    assert_int_equal(frame_hello_decode(buf_view(&wire), &h), RC_PROTO);
    buf_done(&wire);
}

static void hello_that_contradicts_itself_is_refused(void **state)
{
    struct frame_hello wrong[2] = {a_hello(), a_hello()}, h;

    (void)state;
    wrong[0].version_min = 4;
    wrong[1].generation = 0;
    for (size_t i = 0; i < 2; i++) {
        struct buf wire;
        buf_init(&wire, 1024);
        frame_hello_encode(&wire, &wrong[i]);
        buf_consume(&wire, FRAME_HEAD);
        assert_int_equal(frame_hello_decode(buf_view(&wire), &h), RC_PROTO);
        buf_done(&wire);
    }
}

static void every_reason_has_words(void **state)
{
    (void)state;
    for (unsigned why = 0; why < RESET_REASONS_; why++)
        assert_string_not_equal(reset_reason_text((enum reset_reason)why), "unknown reason");
    for (unsigned why = 0; why < CLOSE_REASONS_; why++)
        assert_string_not_equal(close_reason_text((enum close_reason)why), "unknown reason");
    assert_string_equal(reset_reason_text(RESET_REASONS_), "unknown reason");
    assert_string_equal(close_reason_text(CLOSE_REASONS_), "unknown reason");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_allowed_heads_from_forbidden_ones),
        cmocka_unit_test(writes_a_head_as_it_is_read),
        cmocka_unit_test(decodes_a_head_only_when_whole),
        cmocka_unit_test(knows_what_travels_in_the_sequence),
        cmocka_unit_test(writes_small_frames),
        cmocka_unit_test(hello_comes_back_as_it_was),
        cmocka_unit_test(hello_with_the_longest_names_fits_its_head),
        cmocka_unit_test(hello_cut_or_with_more_behind_is_refused),
        cmocka_unit_test(hello_that_contradicts_itself_is_refused),
        cmocka_unit_test(every_reason_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
