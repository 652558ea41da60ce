#include "net/websocket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "loop_test.h"
#include "wire/websocket.h"

/* Two ends on one loop over a socket pair: two websockets, or one and a peer that sends what it
 * likes. */

enum { MESSAGE_MAX = 64 * 1024 };

struct end {
    struct websocket *ws;
    struct channel *ch; /* of a peer without a websocket */
    bool echo, close_on_message, stop_on_message, stop_on_bytes, over;
    struct buf got; /* messages with '\n' behind each; bytes of a peer */
    size_t messages, signs_of_life;
    enum rc why;
    uint16_t code;
    char reason[128];
};

static void init_end(struct end *e)
{
    *e = (struct end){0};
    buf_init(&e->got, 4 * 1024 * 1024);
}

static void on_message(void *owner, struct reader text)
{
    struct end *e = owner;

    e->messages++;
    buf_put(&e->got, text);
    buf_put_u8(&e->got, '\n');
    if (e->echo)
        websocket_send(e->ws, text);
    if (e->stop_on_message)
        loop_stop(loop);
    if (e->close_on_message)
        websocket_close(e->ws, RC_CLOSED, 4003, "revoked");
}

static void on_alive(void *owner)
{
    struct end *e = owner;

    e->signs_of_life++;
}

static void on_closed(void *owner, enum rc why, uint16_t code)
{
    struct end *e = owner;

    e->over = true;
    e->why = why;
    e->code = code;
    text_message(e->reason, sizeof e->reason, "%s", websocket_reason(e->ws));
    e->ws = NULL;
    loop_stop(loop);
}

static const struct websocket_events events = {on_message, on_alive, on_closed};

static void on_peer_bytes(void *owner, struct reader bytes)
{
    struct end *e = owner;

    buf_put(&e->got, bytes);
    if (e->stop_on_bytes)
        loop_stop(loop);
}

static void on_peer_open(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

static void on_peer_closed(void *owner, enum rc why)
{
    struct end *e = owner;

    e->over = true;
    e->why = why;
    loop_stop(loop);
}

static const struct channel_events peer_events = {
    .on_open = on_peer_open, .on_bytes = on_peer_bytes, .on_closed = on_peer_closed};

static void make_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static struct channel *make_channel(int fd, struct end *e)
{
    struct channel *ch = channel_new(loop, fd, NULL, &peer_events, e);

    run_loop(); /* until it is open */
    return ch;
}

static void make_both(struct end *client, struct end *server)
{
    int fds[2];

    make_pair(fds);
    init_end(client);
    init_end(server);
    struct channel *a = make_channel(fds[0], client), *b = make_channel(fds[1], server);
    client->ws =
        websocket_new(a, WEBSOCKET_CLIENT, MESSAGE_MAX, reader_of(NULL, 0), &events, client);
    server->ws =
        websocket_new(b, WEBSOCKET_SERVER, MESSAGE_MAX, reader_of(NULL, 0), &events, server);
}

/* A websocket and a peer that is none. */
static void make_one(struct end *peer, struct end *end, enum websocket_role role,
                     struct reader rest)
{
    int fds[2];

    make_pair(fds);
    init_end(peer);
    init_end(end);
    peer->ch = make_channel(fds[0], peer);
    end->ws = websocket_new(make_channel(fds[1], end), role, MESSAGE_MAX, rest, &events, end);
}

static void wait_until_over(struct end *e)
{
    while (!e->over)
        run_loop();
    buf_done(&e->got);
}

static void close_both(struct end *a, struct end *b)
{
    if (a->ws)
        websocket_close(a->ws, RC_CLOSED, 1000, "");
    wait_until_over(a);
    wait_until_over(b);
}

static void close_peer(struct end *peer)
{
    channel_close(peer->ch, RC_CLOSED);
    wait_until_over(peer);
}

static void assert_got(const struct end *e, const char *text)
{
    assert_true(reader_is(buf_view(&e->got), text));
}

/* --- messages ------------------------------------------------------------------------- */

static void messages_of_every_size_come_back_as_they_went(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, MESSAGE_MAX};
    struct end client, server;
    char *text = malloc(MESSAGE_MAX);

    assert_non_null(text);
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        text[i] = (char)('a' + i % 26);
    make_both(&client, &server);
    server.echo = true;
    client.stop_on_message = true;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        buf_clear(&client.got);
        websocket_send(client.ws, reader_of(text, sizes[i]));
        run_loop();
        assert_int_equal(client.got.len, sizes[i] + 1);
        assert_memory_equal(buf_view(&client.got).at, text, sizes[i]);
    }
    assert_int_equal(server.messages, client.messages);
    assert_int_equal(server.messages, sizeof sizes / sizeof sizes[0]);
    free(text);
    close_both(&client, &server);
}

static void a_frame_is_masked_by_the_client_only_and_never_twice_alike(void **state)
{
    (void)state;
    struct end peer, end;
    static const uint8_t zeros[100] = {0};

    make_one(&peer, &end, WEBSOCKET_SERVER, reader_of(NULL, 0));
    peer.stop_on_bytes = true;
    websocket_send(end.ws, reader_of("hi", 2));
    run_loop();
    assert_int_equal(peer.got.len, 4);
    assert_memory_equal(buf_view(&peer.got).at, "\x81\x02hi", 4);
    websocket_close(end.ws, RC_CLOSED, 0, NULL);
    wait_until_over(&end);
    wait_until_over(&peer);

    make_one(&peer, &end, WEBSOCKET_CLIENT, reader_of(NULL, 0));
    /* More frames than one call for random bytes serves; zeros show the mask itself. */
    for (int i = 0; i < 100; i++)
        websocket_send(end.ws, reader_of(zeros, sizeof zeros));
    run_rounds(3);
    struct reader in = buf_view(&peer.got);
    uint32_t masks[100];
    for (int i = 0; i < 100; i++) {
        assert_int_equal(reader_u16(&in), 0x8100 | 0x80 | sizeof zeros);
        masks[i] = reader_u32(&in);
        struct reader payload = reader_slice(&in, sizeof zeros);
        assert_int_equal(reader_u32(&payload), masks[i]);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(masks[j], masks[i]);
    }
    assert_true(reader_done(&in));
    websocket_close(end.ws, RC_CLOSED, 0, NULL);
    wait_until_over(&end);
    wait_until_over(&peer);
}

static void fragments_and_control_frames_between_them_make_one_message(void **state)
{
    (void)state;
    /* As a server: "Hel", a ping "?", "lo" in two fragments, all masked with zeros; then a pong. */
    static const uint8_t wire[] = {
        0x01, 0x83, 0, 0, 0, 0, 'H', 'e', 'l', /* text, not the last */
        0x89, 0x81, 0, 0, 0, 0, '?',           /* ping */
        0x00, 0x80, 0, 0, 0, 0,                /* an empty continuation */
        0x80, 0x82, 0, 0, 0, 0, 'l', 'o',      /* the last */
        0x8a, 0x80, 0, 0, 0, 0,                /* a pong nobody asked for */
    };
    for (size_t cut = 0; cut <= sizeof wire; cut++) {
        struct end peer, end;
        make_one(&peer, &end, WEBSOCKET_SERVER, reader_of(NULL, 0));
        channel_send(peer.ch, reader_of(wire, cut));
        run_rounds(2);
        channel_send(peer.ch, reader_of(wire + cut, sizeof wire - cut));
        run_rounds(4);
        assert_got(&end, "Hello\n");
        assert_true(end.signs_of_life >= 4); /* two parts, a ping, a pong */
        assert_int_equal(peer.got.len, 3);   /* the pong */
        assert_memory_equal(buf_view(&peer.got).at, "\x8a\x01?", 3);
        close_peer(&peer);
        wait_until_over(&end);
        assert_int_equal(end.why, RC_EOF);
        assert_int_equal(end.code, 0);
    }
}

static void what_came_behind_the_upgrade_is_handled_first_and_not_within_the_call(void **state)
{
    (void)state;
    static const char rest[] = "\x81\x05"
                               "first\x81",
                      more[] = "\x06"
                               "second";
    struct end peer, end;

    make_one(&peer, &end, WEBSOCKET_CLIENT, reader_of(rest, sizeof rest - 1));
    assert_int_equal(end.messages, 0);
    channel_send(peer.ch, reader_of(more, sizeof more - 1));
    run_rounds(3);
    assert_got(&end, "first\nsecond\n");
    close_peer(&peer);
    wait_until_over(&end);
}

static void a_ping_is_answered_and_both_see_that_the_other_lives(void **state)
{
    (void)state;
    struct end client, server;

    make_both(&client, &server);
    websocket_ping(client.ws);
    run_rounds(4);
    assert_int_equal(server.signs_of_life, 1);
    assert_int_equal(client.signs_of_life, 1);
    assert_int_equal(server.messages + client.messages, 0);
    close_both(&client, &server);
}

static void another_owner_hears_what_comes_later(void **state)
{
    (void)state;
    struct end client, server, heir;

    make_both(&client, &server);
    init_end(&heir);
    heir.ws = server.ws;
    websocket_own(server.ws, &events, &heir);
    websocket_send(client.ws, reader_of("hi", 2));
    run_rounds(3);
    assert_int_equal(server.messages, 0);
    assert_got(&heir, "hi\n");
    assert_string_equal(websocket_peer(heir.ws), "unix");
    close_both(&client, &heir);
    buf_done(&server.got);
}

/* --- ends ----------------------------------------------------------------------------- */

static void a_close_code_and_its_reason_arrive(void **state)
{
    (void)state;
    struct end client, server;

    make_both(&client, &server);
    websocket_send(server.ws, reader_of("last words", 10));
    websocket_close(server.ws, RC_EXISTS, 4001, "replaced");
    websocket_close(server.ws, RC_PROTO, 1002, "does not count");
    websocket_send(server.ws, reader_of("too late", 8));
    while (!client.over || !server.over)
        run_loop();
    assert_got(&client, "last words\n");
    assert_int_equal(client.why, RC_EOF);
    assert_int_equal(client.code, 4001);
    assert_string_equal(client.reason, "replaced");
    assert_int_equal(server.why, RC_EXISTS);
    assert_int_equal(server.code, 0);
    wait_until_over(&client);
    wait_until_over(&server);
}

static void closing_within_a_message_ends_everything_at_once(void **state)
{
    (void)state;
    struct end client, server;

    make_both(&client, &server);
    server.close_on_message = true;
    websocket_send(client.ws, reader_of("one", 3));
    websocket_send(client.ws, reader_of("two", 3));
    while (!client.over || !server.over)
        run_loop();
    assert_got(&server, "one\n");
    assert_int_equal(client.code, 4003);
    wait_until_over(&client);
    wait_until_over(&server);
}

static void what_breaks_the_rules_is_told_by_its_close_code(void **state)
{
    (void)state;
    static const struct {
        const char *wire;
        size_t len;
        enum websocket_role role;
        enum rc why;
        uint16_t code;
    } cases[] = {
        {"\x82\x80\0\0\0\0", 6, WEBSOCKET_SERVER, RC_PROTO, WS_CODE_UNSUPPORTED}, /* binary */
        {"\x81\x81\0\0\0\0\xff", 7, WEBSOCKET_SERVER, RC_PROTO, WS_CODE_NOT_TEXT},
        {"\x81\x02hi", 4, WEBSOCKET_SERVER, RC_PROTO, WS_CODE_PROTOCOL},         /* not masked */
        {"\x81\x82\0\0\0\0hi", 8, WEBSOCKET_CLIENT, RC_PROTO, WS_CODE_PROTOCOL}, /* masked */
        {"\xc1\x80\0\0\0\0", 6, WEBSOCKET_SERVER, RC_PROTO, WS_CODE_PROTOCOL},   /* reserved bit */
        {"\x80\x80\0\0\0\0", 6, WEBSOCKET_SERVER, RC_PROTO,
         WS_CODE_PROTOCOL}, /* continues nothing */
        {"\x09\x80\0\0\0\0", 6, WEBSOCKET_SERVER, RC_PROTO, WS_CODE_PROTOCOL}, /* half a ping */
        {"\x81\xff\0\0\0\0\0\1\0\1\0\0\0\0", 14, WEBSOCKET_SERVER, RC_LIMIT, WS_CODE_TOO_BIG},
        {"\x88\x82\0\0\0\0\x03\xed", 8, WEBSOCKET_SERVER, RC_PROTO,
         WS_CODE_PROTOCOL}, /* code 1005 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct end peer, end;

        make_one(&peer, &end, cases[i].role, reader_of(NULL, 0));
        channel_send(peer.ch, reader_of(cases[i].wire, cases[i].len));
        while (!end.over || !peer.over)
            run_loop();
        assert_int_equal(end.why, cases[i].why);
        assert_int_equal(end.messages, 0);

        struct ws_decoder d;
        struct ws_event e;
        struct reader in = buf_view(&peer.got);
        ws_decoder_init(&d, cases[i].role == WEBSOCKET_SERVER ? WS_CLIENT : WS_SERVER, MESSAGE_MAX);
        assert_int_equal(ws_decode(&d, &in, &e), RC_OK);
        assert_int_equal(e.kind, WS_CLOSE);
        assert_int_equal(e.code, cases[i].code);
        wait_until_over(&peer);
        wait_until_over(&end);
    }
}

static void a_close_frame_is_answered_with_its_code(void **state)
{
    (void)state;
    static const struct {
        const char *wire;
        size_t len;
        uint16_t told, answered;
    } cases[] = {
        {"\x88\x82\0\0\0\0\x03\xe8", 8, 1000, 1000},
        {"\x88\x80\0\0\0\0", 6, 0, 1000},
        {"\x88\x84\0\0\0\0\x0f\xa3no", 10, 4003, 4003},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct end peer, end;

        make_one(&peer, &end, WEBSOCKET_SERVER, reader_of(NULL, 0));
        channel_send(peer.ch, reader_of(cases[i].wire, cases[i].len));
        while (!end.over || !peer.over)
            run_loop();
        assert_int_equal(end.why, RC_EOF);
        assert_int_equal(end.code, cases[i].told);
        struct reader in = buf_view(&peer.got);
        assert_int_equal(reader_u16(&in), 0x8802);
        assert_int_equal(reader_u16(&in), cases[i].answered);
        assert_true(reader_done(&in));
        wait_until_over(&peer);
        wait_until_over(&end);
    }
}

static void a_reader_that_is_too_slow_is_given_up(void **state)
{
    (void)state;
    struct end peer, end;
    char text[32 * 1024];
    size_t sent = 0;

    memset(text, 'x', sizeof text);
    make_one(&peer, &end, WEBSOCKET_SERVER, reader_of(NULL, 0));
    channel_pause(peer.ch);
    while (!end.over && sent < 100) {
        websocket_send(end.ws, reader_of(text, sizeof text));
        sent++;
        run_rounds(1);
    }
    assert_true(end.over);
    assert_int_equal(end.why, RC_LIMIT);
    assert_true(sent * sizeof text > WEBSOCKET_QUEUE_MAX);
    close_peer(&peer);
    wait_until_over(&end);
}

static void a_peer_that_pings_and_never_reads_is_given_up(void **state)
{
    (void)state;
    static const uint8_t ping[] = {0x89, 0xfd, 0, 0, 0, 0, [6 + 124] = 0};
    struct end peer, end;
    struct buf flood;

    make_one(&peer, &end, WEBSOCKET_SERVER, reader_of(NULL, 0));
    channel_pause(peer.ch);
    buf_init(&flood, 64 * 1024);
    while (flood.len + sizeof ping < flood.limit)
        buf_put(&flood, reader_of(ping, sizeof ping));
    for (int i = 0; i < 200 && !end.over; i++) {
        channel_send(peer.ch, buf_view(&flood));
        run_rounds(2);
    }
    assert_true(end.over);
    assert_int_equal(end.why, RC_LIMIT);
    buf_done(&flood);
    close_peer(&peer);
    wait_until_over(&end);
}

/* --- the key -------------------------------------------------------------------------- */

static void the_accept_value_is_that_of_the_rfc(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ===",
                                        "dGhlIHNhbXBsZSBub25jZ!==", "dGhlIHNhbXBsZSBub25jZR=="};
    char out[29];

    assert_int_equal(websocket_accept_value(reader_of("dGhlIHNhbXBsZSBub25jZQ==", 24), out), RC_OK);
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(websocket_accept_value(reader_of(wrong[i], strlen(wrong[i])), out),
                         RC_INPUT);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(messages_of_every_size_come_back_as_they_went),
        LOOP_TEST(a_frame_is_masked_by_the_client_only_and_never_twice_alike),
        LOOP_TEST(fragments_and_control_frames_between_them_make_one_message),
        LOOP_TEST(what_came_behind_the_upgrade_is_handled_first_and_not_within_the_call),
        LOOP_TEST(a_ping_is_answered_and_both_see_that_the_other_lives),
        LOOP_TEST(another_owner_hears_what_comes_later),
        LOOP_TEST(a_close_code_and_its_reason_arrive),
        LOOP_TEST(closing_within_a_message_ends_everything_at_once),
        LOOP_TEST(what_breaks_the_rules_is_told_by_its_close_code),
        LOOP_TEST(a_close_frame_is_answered_with_its_code),
        LOOP_TEST(a_reader_that_is_too_slow_is_given_up),
        LOOP_TEST(a_peer_that_pings_and_never_reads_is_given_up),
        LOOP_TEST(the_accept_value_is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
