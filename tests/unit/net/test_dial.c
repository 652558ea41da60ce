#include "net/dial.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "loop_test.h"

enum { LONG_MS = 10 * 1000, SHORT_MS = 50 };

static const char socket_path[] = "dial-test.sock";

/* --- somebody to dial ----------------------------------------------------------------- */

static int listen_at(int family, uint16_t *port, int backlog)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *addr = family == AF_INET6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
    socklen_t len = family == AF_INET6 ? sizeof in6 : sizeof in;
    int fd = socket(family, SOCK_STREAM, 0), on = 1;

    in6.sin6_port = in.sin_port = htons(*port);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    if (family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    assert_int_equal(bind(fd, addr, len), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, addr, &len), 0);
    *port = ntohs(family == AF_INET6 ? in6.sin6_port : in.sin_port);
    return fd;
}

static struct address full_path(const char *path)
{
    struct address a = {.kind = ADDRESS_UNIX};
    char folder[128];

    assert_non_null(getcwd(folder, sizeof folder));
    assert_int_equal(text_format(a.path, sizeof a.path, "%s/%s", folder, path), RC_OK);
    return a;
}

static int listen_unix(int backlog)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)unlink(socket_path);
    memcpy(un.sun_path, socket_path, sizeof socket_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static struct address tcp(const char *host, uint16_t port)
{
    struct address a = {.kind = ADDRESS_TCP, .port = port};

    assert_int_equal(text_copy(a.host, sizeof a.host, host), RC_OK);
    return a;
}

/* Fills the queue of a listener with backlog 0, so that it answers nobody else. */
static int fill_queue(int listening)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    int first = -1;

    assert_int_equal(getsockname(listening, (struct sockaddr *)&addr, &len), 0);
    first = socket(addr.ss_family, SOCK_STREAM, 0);
    assert_int_equal(connect(first, (struct sockaddr *)&addr, len), 0);
    return first;
}

/* --- the outcome ---------------------------------------------------------------------- */

struct outcome {
    struct dial *dial;
    int fd, family;
    bool over;
    enum dial_failure failure;
    char addresses[256];
};

static void on_connected(void *owner, int fd)
{
    struct outcome *o = owner;
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;

    o->over = true;
    o->fd = fd;
    assert_int_equal(getpeername(fd, (struct sockaddr *)&addr, &len), 0);
    o->family = addr.ss_family;
    text_message(o->addresses, sizeof o->addresses, "%s", dial_addresses(o->dial));
    loop_stop(loop);
}

static void on_failed(void *owner, enum dial_failure why)
{
    struct outcome *o = owner;

    o->over = true;
    o->fd = -1;
    o->failure = why;
    text_message(o->addresses, sizeof o->addresses, "%s", dial_addresses(o->dial));
    loop_stop(loop);
}

static const struct dial_events events = {on_connected, on_failed};

static struct outcome dial_and_wait(struct address to, uint64_t timeout_ms)
{
    struct outcome o = {.fd = -1};

    o.dial = dial_start(loop, &to, timeout_ms, &events, &o);
    assert_false(o.over); /* never from within dial_start() */
    run_loop();
    assert_true(o.over);
    return o;
}

static void assert_ready(int fd, int family)
{
    int value = 0;
    socklen_t len = sizeof value;

    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    if (family != AF_UNIX) {
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        assert_int_equal(value, 1);
    }
}

/* --- tests ---------------------------------------------------------------------------- */

static void it_connects_to_both_families_and_to_unix_sockets(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        int family;
    } cases[] = {{"127.0.0.1", AF_INET}, {"::1", AF_INET6}, {"localhost", AF_INET6}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t port = 0;
        int listening = listen_at(cases[i].family, &port, 8);
        struct outcome o = dial_and_wait(tcp(cases[i].host, port), LONG_MS);
        assert_ready(o.fd, cases[i].family);
        assert_int_equal(o.family, cases[i].family);
        assert_int_equal(close(o.fd) | close(listening), 0);
    }
    int listening = listen_unix(8);
    struct outcome o = dial_and_wait(full_path(socket_path), LONG_MS);
    assert_ready(o.fd, AF_UNIX);
    assert_string_equal(o.addresses, "");
    assert_int_equal(close(o.fd) | close(listening) | unlink(socket_path), 0);
}

static void localhost_is_tried_on_ipv6_and_then_on_ipv4(void **state)
{
    (void)state;
    uint16_t port = 0;
    int listening = listen_at(AF_INET, &port, 8);

    struct outcome o = dial_and_wait(tcp("LocalHost", port), LONG_MS);
    assert_ready(o.fd, AF_INET);
    assert_int_equal(o.family, AF_INET);
    assert_string_equal(o.addresses, "::1, 127.0.0.1");
    assert_int_equal(close(o.fd) | close(listening), 0);
}

static void an_address_without_an_answer_does_not_hold_up_the_next(void **state)
{
    (void)state;
    uint16_t port = 0;
    int answering = listen_at(AF_INET, &port, 8);
    int silent = listen_at(AF_INET6, &port, 0);
    int filler = fill_queue(silent);

    struct outcome o = dial_and_wait(tcp("localhost", port), LONG_MS);
    assert_ready(o.fd, AF_INET);
    assert_int_equal(o.family, AF_INET);
    assert_int_equal(close(o.fd) | close(answering) | close(silent) | close(filler), 0);
}

static void every_failure_says_what_it_was(void **state)
{
    (void)state;
    uint16_t bound = 0, full = 0;
    int nobody = listen_at(AF_INET, &bound, -1); /* has the port, but does not listen */
    int silent = listen_at(AF_INET, &full, 0);
    int filler = fill_queue(silent);
    int dead = listen_unix(8);
    assert_int_equal(close(dead), 0); /* leaves its file behind */

    const struct {
        struct address to;
        enum dial_failure why;
    } cases[] = {
        {tcp("127.0.0.1", bound), DIAL_REFUSED},
        {tcp("localhost", bound), DIAL_REFUSED},
        {tcp("127.0.0.1", full), DIAL_TIMEOUT},
        {tcp("no-such-host.invalid", 80), DIAL_NO_NAME},
        {tcp("fe80::1%nosuchinterface", 80), DIAL_UNREACHABLE},
        {full_path(socket_path), DIAL_REFUSED},
        {full_path("dial-test.absent"), DIAL_ABSENT},
        {full_path("dial-test.absent/x"), DIAL_ABSENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_name = cases[i].why == DIAL_NO_NAME;
        struct outcome o = dial_and_wait(cases[i].to, is_name ? LONG_MS : SHORT_MS);
        assert_int_equal(o.fd, -1);
        assert_int_equal(o.failure, cases[i].why);
    }
    assert_int_equal(close(nobody) | close(silent) | close(filler) | unlink(socket_path), 0);
}

static void a_unix_socket_of_somebody_else_is_denied(void **state)
{
    (void)state;
    int listening = listen_unix(8);
    assert_int_equal(chmod(socket_path, 0), 0);
    bool root = geteuid() == 0;

    if (root) /* root may do anything: be nobody for the moment that counts */
        assert_int_equal(seteuid(65534), 0);
    struct address to = full_path(socket_path);
    struct outcome o = {.fd = -1};
    o.dial = dial_start(loop, &to, LONG_MS, &events, &o);
    if (root)
        assert_int_equal(seteuid(0), 0);
    run_loop();
    assert_int_equal(o.failure, DIAL_DENIED);
    assert_int_equal(close(listening) | unlink(socket_path), 0);
}

static void every_failure_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < DIAL_FAILURES_; i++)
        assert_true(strlen(dial_failure_text((enum dial_failure)i)) > 5);
}

static void a_unix_socket_with_a_full_queue_is_asked_again_until_the_time_is_over(void **state)
{
    (void)state;
    int listening = listen_unix(0);
    int filler = fill_queue(listening);

    struct outcome o = dial_and_wait(full_path(socket_path), SHORT_MS);
    assert_int_equal(o.failure, DIAL_TIMEOUT);

    struct address to = full_path(socket_path);
    o.dial = dial_start(loop, &to, LONG_MS, &events, &o);
    int taken = accept(listening, NULL, NULL); /* room again, after the first try */
    run_loop();
    assert_ready(o.fd, AF_UNIX);
    assert_int_equal(close(o.fd) | close(taken) | close(filler) | close(listening), 0);
    assert_int_equal(unlink(socket_path), 0);
}

static void without_descriptors_it_says_so(void **state)
{
    (void)state;
    uint16_t port = 0;
    int listening = listen_at(AF_INET, &port, 8), next = dup(listening);
    struct rlimit limit, tight;

    assert_int_equal(close(next), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    run_rounds(2); /* the loop has the descriptors that it needs */
    tight = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    struct outcome o = dial_and_wait(tcp("127.0.0.1", port), LONG_MS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(o.fd, -1);
    assert_int_equal(o.failure, DIAL_LIMIT);
    assert_int_equal(close(listening), 0);
}

static void after_cancel_comes_nothing_and_nothing_is_left(void **state)
{
    (void)state;
    uint16_t port = 0, full = 0;
    int listening = listen_at(AF_INET, &port, 8), silent = listen_at(AF_INET, &full, 0);
    int filler = fill_queue(silent);
    /* The name is the last: the resolver has descriptors of its own for a while. */
    const struct {
        struct address to;
        unsigned rounds; /* before it is cancelled */
    } cases[] = {
        {tcp("127.0.0.1", port), 0},        {tcp("127.0.0.1", 1), 0},
        {tcp("127.0.0.1", full), 0},        {tcp("127.0.0.1", full), 2},
        {full_path("dial-test.absent"), 0}, {tcp("no-such-host.invalid", 80), 0},
    };
    size_t before = count_descriptors();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outcome o = {.fd = -1};
        assert_int_equal(count_descriptors(), before);
        o.dial = dial_start(loop, &cases[i].to, LONG_MS, &events, &o);
        if (cases[i].rounds > 0)
            run_rounds(cases[i].rounds);
        dial_cancel(o.dial);
        run_rounds(3);
        assert_false(o.over);
    }
    assert_int_equal(close(listening) | close(silent) | close(filler), 0);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(it_connects_to_both_families_and_to_unix_sockets),
        LOOP_TEST(localhost_is_tried_on_ipv6_and_then_on_ipv4),
        LOOP_TEST(an_address_without_an_answer_does_not_hold_up_the_next),
        LOOP_TEST(every_failure_says_what_it_was),
        LOOP_TEST(a_unix_socket_of_somebody_else_is_denied),
        LOOP_TEST(every_failure_has_a_text),
        LOOP_TEST(a_unix_socket_with_a_full_queue_is_asked_again_until_the_time_is_over),
        LOOP_TEST(without_descriptors_it_says_so),
        LOOP_TEST(after_cancel_comes_nothing_and_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
