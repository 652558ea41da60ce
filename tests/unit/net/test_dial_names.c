#include "net/dial.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <unistd.h>
#include <uv.h>

#include "base/text.h"
#include "loop_test.h"

/* Names, with a resolver of our own linked in the place of libuv's: it answers when it is told to.
 */

enum { ANSWERS_MAX = 64, LONG_MS = 10 * 1000, SHORT_MS = 30 };

static uv_getaddrinfo_t *asked; /* NULL: nobody has asked, or it was answered */
static uv_getaddrinfo_cb asked_back;
static char asked_for[256];
static bool cancelled;

int uv_getaddrinfo(uv_loop_t *uv, uv_getaddrinfo_t *request, uv_getaddrinfo_cb answer,
                   const char *name, const char *service, const struct addrinfo *hints)
{
    (void)uv, (void)service;
    assert_int_equal(hints->ai_socktype, SOCK_STREAM);
    asked = request;
    asked_back = answer;
    cancelled = false;
    text_message(asked_for, sizeof asked_for, "%s", name);
    return strcmp(name, "unaskable") == 0 ? UV_EINVAL : 0;
}

int uv_cancel(uv_req_t *request)
{
    assert_ptr_equal(request, asked);
    cancelled = true;
    return 0;
}

void uv_freeaddrinfo(struct addrinfo *first)
{
    while (first) {
        struct addrinfo *next = first->ai_next;
        free(first->ai_addr);
        free(first);
        first = next;
    }
}

static struct addrinfo *found(const char *host)
{
    struct addrinfo *a = calloc(1, sizeof *a);
    struct sockaddr_storage *addr = calloc(1, sizeof *addr);
    bool ipv6 = strchr(host, ':') != NULL;

    assert_true(a && addr);
    addr->ss_family = ipv6 ? AF_INET6 : AF_INET;
    void *place = ipv6 ? (void *)&((struct sockaddr_in6 *)addr)->sin6_addr
                       : (void *)&((struct sockaddr_in *)addr)->sin_addr;
    assert_int_equal(inet_pton(addr->ss_family, host, place), 1);
    a->ai_family = addr->ss_family;
    a->ai_addr = (struct sockaddr *)addr;
    return a;
}

/* `hosts` is "a b c". */
static void answer(int status, const char *hosts)
{
    struct addrinfo *first = NULL, **last = &first;
    char *list = strdup(hosts), *save = NULL;

    for (char *h = strtok_r(list, " ", &save); h; h = strtok_r(NULL, " ", &save)) {
        *last = found(h);
        last = &(*last)->ai_next;
    }
    free(list);
    uv_getaddrinfo_t *request = asked;
    asked = NULL;
    asked_back(request, status, first);
}

struct outcome {
    struct dial *dial;
    bool over, connected;
    enum dial_failure failure;
    char addresses[1024];
};

static void on_connected(void *owner, int fd)
{
    struct outcome *o = owner;

    o->over = o->connected = true;
    text_message(o->addresses, sizeof o->addresses, "%s", dial_addresses(o->dial));
    assert_int_equal(close(fd), 0);
    loop_stop(loop);
}

static void on_failed(void *owner, enum dial_failure why)
{
    struct outcome *o = owner;

    o->over = true;
    o->failure = why;
    text_message(o->addresses, sizeof o->addresses, "%s", dial_addresses(o->dial));
    loop_stop(loop);
}

static const struct dial_events events = {on_connected, on_failed};

static void start(struct outcome *o, const char *host, uint64_t timeout_ms)
{
    struct address to = {.kind = ADDRESS_TCP, .port = 1};

    *o = (struct outcome){0};
    assert_int_equal(text_copy(to.host, sizeof to.host, host), RC_OK);
    o->dial = dial_start(loop, &to, timeout_ms, &events, o);
}

static void the_families_take_turns_beginning_with_the_preferred_one(void **state)
{
    (void)state;
    /* Loopback addresses where nothing listens: each is refused, so all are tried. */
    static const struct {
        const char *found, *tried;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1"},
        {"::1 127.0.0.1", "::1, 127.0.0.1"},
        {"127.0.0.1 127.0.0.2 ::1", "127.0.0.1, ::1, 127.0.0.2"},
        {"::1 127.0.0.1 127.0.0.2 127.0.0.3", "::1, 127.0.0.1, 127.0.0.2, 127.0.0.3"},
        {"127.0.0.1 127.0.0.2 127.0.0.3", "127.0.0.1, 127.0.0.2, 127.0.0.3"},
        {"127.0.0.1 127.0.0.2 ::1 ::1", "127.0.0.1, ::1, 127.0.0.2, ::1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outcome o;

        start(&o, "db.example", LONG_MS);
        assert_string_equal(asked_for, "db.example");
        answer(0, cases[i].found);
        assert_false(o.over);
        run_loop();
        assert_string_equal(o.addresses, cases[i].tried);
        assert_int_equal(o.failure, DIAL_REFUSED);
    }
}

static void of_a_thousand_addresses_only_some_are_tried(void **state)
{
    (void)state;
    char hosts[16 * 1024] = "";
    size_t len = 0, commas = 0;
    struct outcome o;

    for (int i = 1; i <= 1000; i++) {
        text_message(hosts + len, sizeof hosts - len, "127.0.%d.%d ", i / 250, i % 250 + 1);
        len += strlen(hosts + len);
    }
    start(&o, "many.example", LONG_MS);
    answer(0, hosts);
    run_loop();
    for (const char *c = o.addresses; *c; c++)
        commas += *c == ',';
    assert_int_equal(commas, 15);
}

static void a_name_that_does_not_resolve_is_told_apart_from_our_own_limits(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum dial_failure why;
    } cases[] = {
        {UV_EAI_NONAME, DIAL_NO_NAME},
        {UV_EAI_NODATA, DIAL_NO_NAME},
        {UV_EAI_AGAIN, DIAL_NO_NAME},
        {UV_EAI_FAIL, DIAL_NO_NAME},
        {UV_EMFILE, DIAL_LIMIT},
        {UV_EAI_MEMORY, DIAL_LIMIT},
        {0, DIAL_NO_NAME}, /* no address at all */
    };
    struct outcome o;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(&o, "absent.example", LONG_MS);
        answer(cases[i].status, "");
        run_loop();
        assert_int_equal(o.failure, cases[i].why);
    }
    start(&o, "unaskable", LONG_MS);
    assert_false(o.over);
    run_loop();
    assert_int_equal(o.failure, DIAL_NO_NAME);
}

static void an_answer_after_cancel_or_after_the_deadline_finds_nobody(void **state)
{
    (void)state;
    struct outcome o;

    start(&o, "slow.example", LONG_MS);
    dial_cancel(o.dial);
    assert_true(cancelled);
    answer(0, "127.0.0.1");
    run_rounds(3);
    assert_false(o.over);

    start(&o, "slow.example", SHORT_MS);
    run_loop();
    assert_int_equal(o.failure, DIAL_TIMEOUT);
    assert_true(cancelled);
    answer(UV_ECANCELED, "");
    run_rounds(3);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(the_families_take_turns_beginning_with_the_preferred_one),
        LOOP_TEST(of_a_thousand_addresses_only_some_are_tried),
        LOOP_TEST(a_name_that_does_not_resolve_is_told_apart_from_our_own_limits),
        LOOP_TEST(an_answer_after_cancel_or_after_the_deadline_finds_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
