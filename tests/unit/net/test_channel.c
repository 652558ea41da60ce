#include "net/channel.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/outer_tls.h"
#include "test.h"

/*
 * The hub's side and the agent's side of one connection, on one loop, over a socket
 * pair; the outer TLS is dropped as docs/protocol.md §4.2 says.
 */

static const char request[] = "GET /v1/pipe HTTP/1.1\r\n\r\n";
static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
static const char raw[] = "these bytes travel as they are";

static char cert[] = "channel-test.crt", key[] = "channel-test.key";
static struct ssl_ctx_st *hub_context, *agent_context, *strict_context;
static struct loop *loop;

static int set_up(void **state)
{
    (void)state;
    uint8_t fingerprint[FINGERPRINT_LEN];
    struct outer_trust first = {.first_contact = true}, nobody = {0};
    char why[256];

    assert_int_equal(outer_tls_make_certificate("localhost", cert, key), RC_OK);
    assert_int_equal(outer_tls_server(cert, key, &hub_context, fingerprint, why), RC_OK);
    assert_int_equal(outer_tls_client(&first, &agent_context), RC_OK);
    assert_int_equal(outer_tls_client(&nobody, &strict_context), RC_OK);
    loop = loop_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    outer_tls_free(hub_context);
    outer_tls_free(agent_context);
    outer_tls_free(strict_context);
    return unlink(cert) | unlink(key);
}

struct side {
    struct channel *channel;
    struct side *other;
    char got[256];
    size_t got_len;
    bool opened, dropped, ended;
    uint8_t binding[32];
    int released; /* descriptor */
    enum rc why;
};

static void keep(struct side *s, struct reader bytes)
{
    assert_true(s->got_len + bytes.left < sizeof s->got);
    memcpy(s->got + s->got_len, bytes.at, bytes.left);
    s->got_len += bytes.left;
    s->got[s->got_len] = '\0';
}

static void on_closed(void *owner, enum rc why)
{
    struct side *s = owner;

    s->why = why;
    s->ended = true;
    s->channel = NULL;
}

static void on_agent_open(void *owner)
{
    struct side *s = owner;

    s->opened = true;
    assert_int_equal(channel_binding(s->channel, s->binding), RC_OK);
    channel_send(s->channel, reader_of(request, strlen(request)));
}

static void on_agent_bytes(void *owner, struct reader bytes)
{
    struct side *s = owner;

    keep(s, bytes);
    if (!s->dropped && strcmp(s->got, answer) == 0) {
        s->dropped = true;
        channel_drop_tls(s->channel);
    }
}

static void on_hub_open(void *owner)
{
    struct side *s = owner;

    s->opened = true;
    assert_int_equal(channel_binding(s->channel, s->binding), RC_OK);
}

static void on_hub_bytes(void *owner, struct reader bytes)
{
    struct side *s = owner;

    keep(s, bytes);
    if (strcmp(s->got, request) != 0)
        return;
    channel_send(s->channel, reader_of(answer, strlen(answer)));
    assert_int_equal(channel_release(s->channel, &s->released), RC_OK);
    s->channel = NULL;
    /* At once, so that it lies right behind the last record: in the agent's same read. */
    assert_int_equal(write(s->released, raw, strlen(raw)), strlen(raw));
}

static const struct channel_events agent_events = {
    .on_open = on_agent_open, .on_bytes = on_agent_bytes, .on_closed = on_closed};
static const struct channel_events hub_events = {
    .on_open = on_hub_open, .on_bytes = on_hub_bytes, .on_closed = on_closed};

static void on_plain_open(void *owner)
{
    struct side *s = owner;

    s->opened = true;
}

static const struct channel_events plain_events = {
    .on_open = on_plain_open, .on_bytes = on_agent_bytes, .on_closed = on_closed};

static void pair(struct side *agent, struct side *hub, struct ssl_ctx_st *context)
{
    int fds[2];

    *agent = (struct side){.other = hub, .released = -1};
    *hub = (struct side){.other = agent, .released = -1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    agent->channel = channel_new(loop, fds[0], outer_tls_connection(context, "localhost"),
                                 &agent_events, agent);
    hub->channel = channel_new(loop, fds[1], outer_tls_connection(hub_context, NULL), &hub_events, hub);
}

static void stop(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

static void run_a_moment(void)
{
    struct timer t;

    timer_init(&t, loop, stop, NULL);
    timer_start(&t, 1);
    loop_run(loop);
    timer_stop(&t);
}

static void drops_the_outer_tls_at_the_exact_byte_1000_times(void **state)
{
    (void)state;
    char want[128], back[64];

    (void)snprintf(want, sizeof want, "%s%s", answer, raw);
    for (int round = 0; round < 1000; round++) {
        struct side agent, hub;

        pair(&agent, &hub, agent_context);
        for (int i = 0; i < 5000 && agent.got_len < strlen(want); i++)
            run_a_moment();
        assert_string_equal(agent.got, want);
        assert_true(agent.dropped);
        assert_false(channel_is_tls(agent.channel));

        /* And the other way: what the agent sends now arrives as it is. */
        channel_send(agent.channel, reader_of(raw, strlen(raw)));
        assert_int_equal(read(hub.released, back, sizeof back), strlen(raw));
        assert_memory_equal(back, raw, strlen(raw));

        assert_int_equal(close(hub.released), 0);
        while (!agent.ended)
            run_a_moment();
        assert_int_equal(agent.why, RC_EOF);
    }
}

static void a_certificate_nobody_vouches_for_closes_with_the_reason(void **state)
{
    (void)state;
    struct side agent, hub;

    pair(&agent, &hub, strict_context);
    while (!agent.ended || !hub.ended)
        run_a_moment();
    assert_int_equal(agent.why, RC_AUTH);
    assert_false(agent.opened);
    assert_int_equal(agent.got_len + hub.got_len, 0);
}

static void bindings_are_equal_at_both_ends_and_differ_between_connections(void **state)
{
    (void)state;
    uint8_t first[32] = {0};

    for (int i = 0; i < 2; i++) {
        struct side agent, hub;

        pair(&agent, &hub, agent_context);
        while (hub.released < 0)
            run_a_moment();
        assert_memory_equal(agent.binding, hub.binding, sizeof agent.binding);
        assert_memory_not_equal(agent.binding, first, sizeof first);
        memcpy(first, agent.binding, sizeof first);
        channel_close(agent.channel, RC_CLOSED);
        while (!agent.ended)
            run_a_moment();
        (void)close(hub.released);
    }
}

static void garbage_instead_of_a_handshake_closes(void **state)
{
    (void)state;
    int fds[2];
    struct side hub = {.released = -1};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    hub.channel = channel_new(loop, fds[0], outer_tls_connection(hub_context, NULL), &hub_events, &hub);
    assert_int_equal(write(fds[1], request, strlen(request)), strlen(request));
    while (!hub.ended)
        run_a_moment();
    assert_int_equal(hub.why, RC_PROTO);
    (void)close(fds[1]);
}

/* The peer may go at any moment: also between its request and our answer. */
static void what_the_last_send_has_broken_is_not_released(void **state)
{
    (void)state;
    int fds[2];
    struct side hub = {.released = -1};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    hub.channel = channel_new(loop, fds[0], NULL, &plain_events, &hub);
    while (!hub.opened)
        run_a_moment();
    (void)close(fds[1]);
    channel_send(hub.channel, reader_of(answer, strlen(answer)));
    assert_int_equal(channel_release(hub.channel, &hub.released), RC_CLOSED);
    assert_int_equal(hub.released, -1);
    while (!hub.ended)
        run_a_moment();
    assert_int_equal(hub.why, RC_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_the_outer_tls_at_the_exact_byte_1000_times),
        cmocka_unit_test(a_certificate_nobody_vouches_for_closes_with_the_reason),
        cmocka_unit_test(bindings_are_equal_at_both_ends_and_differ_between_connections),
        cmocka_unit_test(garbage_instead_of_a_handshake_closes),
        cmocka_unit_test(what_the_last_send_has_broken_is_not_released),
    };
    return cmocka_run_group_tests_name("channel", tests, set_up, tear_down);
}
