#include "hub/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "test.h"

enum { DEADLINE_MS = 30 * 1000, PAIRS_MANY = 200, SIDES = 2 * PAIRS_MANY };

/* One end user: sends `to_send` bytes of a stream that its seed gives, checks what arrives the same
 * way. */
struct side {
    int fd;
    uint64_t send_state, receive_state;
    size_t to_send, to_receive, sent, received;
    bool end_when_sent, write_ended, read_ended, stalled;
};

static struct loop *loop;
static struct relay *relay;
static struct side sides[SIDES];
static size_t ended_count;
static struct relay_end ended[PAIRS_MANY];
static void *ended_tag;
static struct timer deadline;

static uint8_t next_byte(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(*state >> 56);
}

static void on_ended(void *tag, const struct relay_end *end)
{
    ended_tag = tag;
    ended[ended_count++] = *end;
    if (timer_is_running(&deadline)) /* somebody waits in loop_run() */
        loop_stop(loop);
}

static void on_deadline(void *owner)
{
    (void)owner;
    fail_msg("%s", "the relay did not tell the end in time");
}

static void wait_for_ends(size_t count)
{
    timer_start(&deadline, DEADLINE_MS);
    while (ended_count < count)
        loop_run(loop);
    timer_stop(&deadline);
    assert_int_equal(ended_count, count);
}

static void nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

/* A connected TCP pair: [0] is the user's end, [1] the hub's. */
static void connect_pair(int out[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    out[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(out[0], (struct sockaddr *)&at, sizeof at), 0);
    out[1] = accept(listener, NULL, NULL);
    assert_true(out[1] >= 0);
    (void)close(listener);
    nonblocking(out[0]);
    nonblocking(out[1]);
}

/* sides[2i] and sides[2i + 1] talk to each other through the relay; each may send `bytes`. */
static void join(size_t i, size_t bytes)
{
    int hub[2];

    for (size_t j = 0; j < 2; j++) {
        int pair[2];
        connect_pair(pair);
        hub[j] = pair[1];
        sides[2 * i + j] = (struct side){.fd = pair[0],
                                         .send_state = 2 * i + j,
                                         .receive_state = 2 * i + (1 - j),
                                         .to_send = bytes,
                                         .to_receive = bytes,
                                         .end_when_sent = true};
    }
    relay_join(relay, &sides[2 * i], hub[0], hub[1]);
}

static void send_some(struct side *s)
{
    uint8_t part[16 * 1024];
    uint64_t state = s->send_state;
    size_t len = s->to_send - s->sent < sizeof part ? s->to_send - s->sent : sizeof part;

    for (size_t i = 0; i < len; i++)
        part[i] = next_byte(&state);
    ssize_t put = send(s->fd, part, len, MSG_NOSIGNAL);
    if (put < 0) {
        assert_int_equal(errno, EAGAIN);
        return;
    }
    for (ssize_t i = 0; i < put; i++)
        (void)next_byte(&s->send_state);
    s->sent += (size_t)put;
}

static void receive_some(struct side *s)
{
    uint8_t part[64 * 1024];

    ssize_t got = recv(s->fd, part, sizeof part, 0);
    if (got < 0) {
        assert_int_equal(errno, EAGAIN);
        return;
    }
    s->read_ended = got == 0;
    for (ssize_t i = 0; i < got; i++)
        if (part[i] != next_byte(&s->receive_state))
            fail_msg("byte %zu differs", s->received + (size_t)i);
    s->received += (size_t)got;
}

static bool wants_to_send(const struct side *s)
{
    return s->sent < s->to_send;
}

static bool wants_to_receive(const struct side *s)
{
    return !s->stalled && !s->read_ended && (s->received < s->to_receive || s->end_when_sent);
}

/* Lets sides first … last - 1 talk until none of them wants anything any more. */
static void talk(size_t first, size_t last)
{
    uint64_t until = clock_ms() + DEADLINE_MS;

    for (;;) {
        struct pollfd polls[SIDES];
        bool busy = false;

        for (size_t i = first; i < last; i++) {
            struct side *s = &sides[i];
            if (!wants_to_send(s) && s->end_when_sent && !s->write_ended)
                s->write_ended = shutdown(s->fd, SHUT_WR) == 0;
            short events =
                (short)((wants_to_send(s) ? POLLOUT : 0) | (wants_to_receive(s) ? POLLIN : 0));
            polls[i - first] = (struct pollfd){.fd = events ? s->fd : -1, .events = events};
            busy = busy || events;
        }
        if (!busy)
            return;
        assert_true(clock_ms() < until);
        assert_true(poll(polls, (nfds_t)(last - first), DEADLINE_MS) > 0);
        for (size_t i = first; i < last; i++) {
            if (polls[i - first].revents & POLLOUT)
                send_some(&sides[i]);
            if (polls[i - first].revents & (POLLIN | POLLHUP | POLLERR) &&
                wants_to_receive(&sides[i]))
                receive_some(&sides[i]);
        }
    }
}

static void close_sides(size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)close(sides[i].fd);
}

static int begin(void **state)
{
    (void)state;
    ended_count = 0;
    loop = loop_new();
    timer_init(&deadline, loop, on_deadline, NULL);
    return relay_new(loop, 2, on_ended, &relay) == RC_OK ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    relay_free(relay);
    loop_free(loop);
    return 0;
}

static void copies_both_ways_at_once(void **state)
{
    (void)state;
    enum { BYTES = 8 * 1000 * 1000 + 7 };

    join(0, BYTES);
    talk(0, 2);
    assert_int_equal(sides[0].received, BYTES);
    assert_int_equal(sides[1].received, BYTES);
    assert_true(sides[0].read_ended && sides[1].read_ended);
    wait_for_ends(1);
    assert_int_equal(ended[0].why, RC_EOF);
    assert_int_equal(ended[0].bytes[0], BYTES);
    assert_int_equal(ended[0].bytes[1], BYTES);
    assert_ptr_equal(ended_tag, &sides[0]);
    assert_int_equal(relay_count(relay), 0);
    close_sides(2);
}

static void passes_on_what_came_before_the_join(void **state)
{
    (void)state;
    int a[2], b[2];
    char got[6] = "";

    connect_pair(a);
    connect_pair(b);
    assert_int_equal(send(a[0], "early", 5, 0), 5);
    assert_int_equal(shutdown(a[0], SHUT_WR), 0);
    relay_join(relay, NULL, a[1], b[1]);
    assert_int_equal(fcntl(b[0], F_SETFL, 0), 0);
    assert_int_equal(recv(b[0], got, 5, MSG_WAITALL), 5);
    assert_string_equal(got, "early");
    assert_int_equal(recv(b[0], got, 1, 0), 0);
    (void)close(a[0]);
    (void)close(b[0]);
    wait_for_ends(1);
}

static void the_answer_comes_after_the_asker_has_ended_its_side(void **state)
{
    (void)state;
    join(0, 100000);
    sides[1].stalled = true; /* the answerer waits with everything … */
    sides[1].to_send = 0;
    sides[1].end_when_sent = false;
    sides[0].to_receive = 0;
    sides[0].end_when_sent = false;
    talk(0, 2);
    assert_int_equal(shutdown(sides[0].fd, SHUT_WR), 0);

    sides[1].stalled = false; /* … until the asker's end is on its way */
    sides[1].end_when_sent = true;
    sides[1].write_ended = true;
    talk(0, 2);
    assert_true(sides[1].read_ended);
    assert_int_equal(sides[1].received, 100000);

    sides[1].to_send = 300000;
    sides[1].write_ended = false;
    sides[0].to_receive = 300000;
    sides[0].end_when_sent = true;
    sides[0].write_ended = true;
    talk(0, 2);
    assert_int_equal(sides[0].received, 300000);
    assert_true(sides[0].read_ended);
    wait_for_ends(1);
    assert_int_equal(ended[0].why, RC_EOF);
    close_sides(2);
}

static void an_abort_at_one_side_resets_the_other(void **state)
{
    (void)state;
    struct linger at_once = {.l_onoff = 1};
    struct pollfd wait;
    char byte;

    join(0, 1000);
    sides[0].end_when_sent = sides[1].end_when_sent = false;
    talk(0, 2);
    assert_int_equal(setsockopt(sides[0].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    (void)close(sides[0].fd);
    wait = (struct pollfd){.fd = sides[1].fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
    assert_int_equal(recv(sides[1].fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    wait_for_ends(1);
    assert_int_equal(ended[0].why, RC_SYSTEM);
    assert_int_equal(ended[0].bytes[0], 1000);
    (void)close(sides[1].fd);
}

static void two_hundred_pairs_talk_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAIRS_MANY; i++)
        join(i, 100000 + i);
    assert_int_equal(relay_count(relay), PAIRS_MANY);
    talk(0, SIDES);
    wait_for_ends(PAIRS_MANY);
    for (size_t i = 0; i < SIDES; i++)
        assert_int_equal(sides[i].received, 100000 + i / 2);
    for (size_t i = 0; i < PAIRS_MANY; i++)
        assert_int_equal(ended[i].why, RC_EOF);
    close_sides(SIDES);
}

/* Two stalled readers keep both threads' pipes full; the others do not notice. */
static void a_stalled_reader_holds_up_nobody_else(void **state)
{
    (void)state;
    enum { BYTES = 4 * 1000 * 1000 };

    for (size_t i = 0; i < 4; i++)
        join(i, BYTES);
    sides[1].stalled = sides[3].stalled = true;
    talk(4, 8);
    for (size_t i = 4; i < 8; i++)
        assert_int_equal(sides[i].received, BYTES);
    sides[1].stalled = sides[3].stalled = false;
    talk(0, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(sides[i].received, BYTES);
    wait_for_ends(4);
    close_sides(8);
}

static void goes_on_when_descriptors_are_to_be_had_again(void **state)
{
    (void)state;
    struct rlimit before, none;
    struct pollfd wait;

    join(0, 1000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    send_some(&sides[0]);
    wait = (struct pollfd){.fd = sides[1].fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 50), 0); /* nothing can be lent to move it */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    talk(0, 2);
    assert_int_equal(sides[1].received, 1000);
    wait_for_ends(1);
    close_sides(2);
}

static void freeing_ends_every_pair_and_tells_so(void **state)
{
    char byte;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        join(i, 10);
    for (size_t i = 0; i < 6; i++)
        sides[i].end_when_sent = false;
    talk(0, 6);
    relay_free(relay);
    relay = NULL;
    assert_int_equal(ended_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ended[i].why, RC_CLOSED);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(recv(sides[i].fd, &byte, 1, 0), 0);
    close_sides(6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copies_both_ways_at_once, begin, finish),
        cmocka_unit_test_setup_teardown(passes_on_what_came_before_the_join, begin, finish),
        cmocka_unit_test_setup_teardown(the_answer_comes_after_the_asker_has_ended_its_side, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(an_abort_at_one_side_resets_the_other, begin, finish),
        cmocka_unit_test_setup_teardown(two_hundred_pairs_talk_at_once, begin, finish),
        cmocka_unit_test_setup_teardown(a_stalled_reader_holds_up_nobody_else, begin, finish),
        cmocka_unit_test_setup_teardown(goes_on_when_descriptors_are_to_be_had_again, begin,
                                        finish),
        cmocka_unit_test_setup_teardown(freeing_ends_every_pair_and_tells_so, begin, finish),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
