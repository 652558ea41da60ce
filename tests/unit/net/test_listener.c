#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
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

enum { MANY = 200 };

static const char socket_path[] = "listener-test.sock";

static struct address tcp(const char *host, uint16_t port)
{
    struct address a = {.kind = ADDRESS_TCP, .port = port};

    assert_int_equal(text_copy(a.host, sizeof a.host, host), RC_OK);
    return a;
}

static struct address full_path(const char *path)
{
    struct address a = {.kind = ADDRESS_UNIX};
    char folder[128];

    assert_non_null(getcwd(folder, sizeof folder));
    assert_int_equal(text_format(a.path, sizeof a.path, "%s/%s", folder, path), RC_OK);
    return a;
}

/* What was accepted. */
struct door {
    struct listener *listener;
    int fds[MANY];
    size_t count, stop_at;
    bool pause, close;
};

static void on_accept(void *owner, int fd)
{
    struct door *d = owner;

    assert_true(d->count < MANY);
    d->fds[d->count++] = fd;
    if (d->pause)
        listener_pause(d->listener);
    if (d->close)
        listener_close(d->listener);
    if (d->count == d->stop_at)
        loop_stop(loop);
}

static void open_door(struct door *d, struct address at)
{
    *d = (struct door){0};
    assert_int_equal(listener_open(loop, &at, on_accept, d, &d->listener), RC_OK);
}

static void wait_for(struct door *d, size_t count)
{
    d->stop_at = count;
    if (d->count < count)
        run_loop();
    assert_int_equal(d->count, count);
}

static void close_accepted(struct door *d)
{
    for (size_t i = 0; i < d->count; i++)
        assert_int_equal(close(d->fds[i]), 0);
    d->count = 0;
}

static int connect_tcp(const char *host, uint16_t port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    bool ipv6 = strchr(host, ':') != NULL;
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(inet_pton(ipv6 ? AF_INET6 : AF_INET, host,
                               ipv6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr),
                     1);
    assert_int_equal(connect(fd, ipv6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
                             ipv6 ? sizeof in6 : sizeof in),
                     0);
    return fd;
}

static int connect_unix(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(un.sun_path, socket_path, sizeof socket_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    return fd;
}

/* --- tests ---------------------------------------------------------------------------- */

static void what_is_accepted_is_ready_for_use(void **state)
{
    (void)state;
    struct door d;
    int clients[MANY];

    open_door(&d, tcp("127.0.0.1", 0));
    assert_int_not_equal(listener_port(d.listener), 0);
    for (int i = 0; i < MANY; i++)
        clients[i] = connect_tcp("127.0.0.1", listener_port(d.listener));
    wait_for(&d, MANY);
    for (int i = 0; i < MANY; i++) {
        int value = 0;
        socklen_t len = sizeof value;
        assert_true(fcntl(d.fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(d.fds[i], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(getsockopt(d.fds[i], IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        assert_int_equal(value, 1);
        assert_int_equal(close(clients[i]), 0);
    }
    close_accepted(&d);
    listener_close(d.listener);
}

static void the_unspecified_ipv6_address_takes_ipv4_as_well(void **state)
{
    (void)state;
    struct door d;

    open_door(&d, tcp("::", 0));
    int four = connect_tcp("127.0.0.1", listener_port(d.listener));
    int six = connect_tcp("::1", listener_port(d.listener));
    wait_for(&d, 2);
    assert_int_equal(close(four) | close(six), 0);
    close_accepted(&d);
    listener_close(d.listener);
}

static void localhost_is_127_0_0_1(void **state)
{
    (void)state;
    struct door d;

    open_door(&d, tcp("localhost", 0));
    int fd = connect_tcp("127.0.0.1", listener_port(d.listener));
    wait_for(&d, 1);
    assert_int_equal(close(fd), 0);
    close_accepted(&d);
    listener_close(d.listener);
}

static void an_address_it_cannot_have_is_refused_by_kind(void **state)
{
    (void)state;
    struct door d;
    struct listener *none = NULL;

    open_door(&d, tcp("127.0.0.1", 0));
    const struct {
        struct address at;
        enum rc rc;
    } cases[] = {
        {tcp("127.0.0.1", listener_port(d.listener)), RC_EXISTS},
        {tcp("::", listener_port(d.listener)), RC_EXISTS}, /* it would take IPv4 as well */
        {tcp("192.0.2.1", 0), RC_INPUT},
        {tcp("2001:db8::1", 0), RC_INPUT},
        {tcp("db.example", 0), RC_INPUT},
        {full_path("listener-test.absent/x"), RC_INPUT},
    };
    size_t before = count_descriptors();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(listener_open(loop, &cases[i].at, on_accept, &d, &none), cases[i].rc);
        assert_null(none);
    }
    assert_int_equal(count_descriptors(), before);
    listener_close(d.listener);
}

static void a_port_is_free_again_after_close_although_connections_live_on(void **state)
{
    (void)state;
    struct door d;

    open_door(&d, tcp("127.0.0.1", 0));
    uint16_t port = listener_port(d.listener);
    int client = connect_tcp("127.0.0.1", port);
    wait_for(&d, 1);
    close_accepted(&d); /* our side first: the system remembers the connection for a while */
    assert_int_equal(close(client), 0);
    listener_close(d.listener);
    open_door(&d, tcp("127.0.0.1", port));
    assert_int_equal(listener_port(d.listener), port);
    listener_close(d.listener);
}

static void a_unix_socket_is_for_its_owner_only_and_goes_with_the_listener(void **state)
{
    (void)state;
    struct door d;
    struct stat st;

    (void)unlink(socket_path);
    open_door(&d, full_path(socket_path));
    assert_int_equal(listener_port(d.listener), 0);
    assert_int_equal(stat(socket_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int client = connect_unix();
    wait_for(&d, 1);
    close_accepted(&d);
    assert_int_equal(close(client), 0);
    listener_close(d.listener);
    assert_int_not_equal(stat(socket_path, &st), 0);
}

static void a_stale_unix_socket_is_replaced_a_live_one_and_a_file_are_not(void **state)
{
    (void)state;
    struct door d, second;
    struct listener *none = NULL;
    struct address at = full_path(socket_path);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct stat st;

    (void)unlink(socket_path);
    memcpy(un.sun_path, socket_path, sizeof socket_path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(close(dead), 0);

    open_door(&d, at); /* replaces it */
    assert_int_equal(listener_open(loop, &at, on_accept, &d, &none), RC_EXISTS);

    /* A socket file that another one has put in the place is not ours to remove. */
    assert_int_equal(unlink(socket_path), 0);
    open_door(&second, at);
    listener_close(d.listener);
    assert_int_equal(stat(socket_path, &st), 0);
    listener_close(second.listener);
    assert_int_not_equal(stat(socket_path, &st), 0);

    int file = open(socket_path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(close(file), 0);
    assert_int_equal(listener_open(loop, &at, on_accept, &d, &none), RC_EXISTS);
    assert_int_equal(stat(socket_path, &st), 0);
    assert_int_equal(unlink(socket_path), 0);
}

static void paused_connections_wait_in_the_kernel(void **state)
{
    (void)state;
    struct door d;

    open_door(&d, tcp("127.0.0.1", 0));
    d.pause = true;
    int first = connect_tcp("127.0.0.1", listener_port(d.listener));
    int second = connect_tcp("127.0.0.1", listener_port(d.listener));
    wait_for(&d, 1);
    run_rounds(3);
    assert_int_equal(d.count, 1);
    listener_resume(d.listener);
    wait_for(&d, 2);
    assert_int_equal(close(first) | close(second), 0);
    close_accepted(&d);
    listener_close(d.listener);
}

static void after_close_within_accept_comes_no_other(void **state)
{
    (void)state;
    struct door d;

    open_door(&d, tcp("127.0.0.1", 0));
    d.close = true;
    int first = connect_tcp("127.0.0.1", listener_port(d.listener));
    int second = connect_tcp("127.0.0.1", listener_port(d.listener));
    wait_for(&d, 1);
    run_rounds(3);
    assert_int_equal(d.count, 1);
    assert_int_equal(close(first) | close(second), 0);
    close_accepted(&d);
}

static void without_descriptors_clients_are_turned_away_and_later_served(void **state)
{
    (void)state;
    struct door d;
    struct rlimit limit, tight;
    int clients[3];
    char byte;

    open_door(&d, tcp("127.0.0.1", 0));
    run_rounds(2);
    for (int i = 0; i < 3; i++)
        clients[i] = connect_tcp("127.0.0.1", listener_port(d.listener));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = (struct rlimit){.rlim_cur = (rlim_t)clients[2] + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    run_rounds(4);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(d.count, 0);
    for (int i = 0; i < 3; i++) { /* told at once: the end, or a reset */
        ssize_t n = recv(clients[i], &byte, 1, MSG_DONTWAIT);
        assert_true(n == 0 || (n < 0 && errno != EAGAIN));
        assert_int_equal(close(clients[i]), 0);
    }
    int client = connect_tcp("127.0.0.1", listener_port(d.listener));
    wait_for(&d, 1);
    assert_int_equal(close(client), 0);
    close_accepted(&d);
    listener_close(d.listener);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(what_is_accepted_is_ready_for_use),
        LOOP_TEST(the_unspecified_ipv6_address_takes_ipv4_as_well),
        LOOP_TEST(localhost_is_127_0_0_1),
        LOOP_TEST(an_address_it_cannot_have_is_refused_by_kind),
        LOOP_TEST(a_port_is_free_again_after_close_although_connections_live_on),
        LOOP_TEST(a_unix_socket_is_for_its_owner_only_and_goes_with_the_listener),
        LOOP_TEST(a_stale_unix_socket_is_replaced_a_live_one_and_a_file_are_not),
        LOOP_TEST(paused_connections_wait_in_the_kernel),
        LOOP_TEST(after_close_within_accept_comes_no_other),
        LOOP_TEST(without_descriptors_clients_are_turned_away_and_later_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
