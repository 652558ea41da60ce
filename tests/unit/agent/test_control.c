#include "agent/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/json.h"
#include "base/mem.h"
#include "folder.h"
#include "net/loop.h"

/*
 * A control socket in a folder of its own, and one client. What the agent does with a request is
 * told by its command: "answer", "fail", "wait" (for the test to go on), "socket".
 */
struct world {
    char *folder;
    struct loop *loop;
    struct control *control;
    struct timer limit;
    int client;
    struct buf got; /* by the client */
    bool ended;     /* the client's connection */
    struct request *waiting;
    unsigned handled, gone;
    int taken; /* a socket */
    char early[64];
};

static void on_gone(void *owner)
{
    struct world *w = owner;

    w->gone++;
    w->waiting = NULL;
}

static void on_taken(void *owner, int fd, struct reader early)
{
    struct world *w = owner;

    w->taken = fd;
    reader_copy(&early, w->early, early.left);
}

static void handle(void *owner, struct request *rq, const char *command, const json_t *body)
{
    struct world *w = owner;
    struct failure why;

    w->handled++;
    if (strcmp(command, "answer") == 0) {
        request_answer(rq, json_pack("{s:O}", "you_said", json_object_get(body, "say")), false);
    } else if (strcmp(command, "attach") == 0) {
        request_on_gone(rq, on_gone, w);
        request_answer(rq, NULL, true);
    } else if (strcmp(command, "socket") == 0) {
        request_take_socket(rq, on_taken, w);
    } else if (strcmp(command, "keep") == 0) {
        w->taken = request_keep_socket(rq);
    } else if (strcmp(command, "fail") == 0) {
        failure_set(&why, "not_found", "there is none");
        failure_hint(&why, "look elsewhere");
        request_fail(rq, &why);
    } else {
        w->waiting = rq;
        if (strcmp(command, "wait") == 0)
            request_on_gone(rq, on_gone, w);
    }
}

static void on_limit(void *owner)
{
    (void)owner;
    fail_msg("it took too long");
}

static int set_up(void **state)
{
    struct world *w = mem_zalloc(sizeof *w);
    struct failure why;

    (void)folder_make((void **)&w->folder);
    w->loop = loop_new();
    w->taken = -2;
    buf_init(&w->got, 1024 * 1024);
    timer_init(&w->limit, w->loop, on_limit, w);
    timer_start(&w->limit, 20 * 1000);
    assert_int_equal(control_open(w->loop, w->folder, handle, w, &w->control, &why), RC_OK);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%.90s/agent.sock", w->folder);
    w->client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(w->client, (struct sockaddr *)&to, sizeof to), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (w->client >= 0)
        (void)close(w->client);
    if (w->taken >= 0)
        (void)close(w->taken);
    timer_stop(&w->limit);
    control_close(w->control);
    loop_run(w->loop);
    loop_free(w->loop);
    buf_done(&w->got);
    (void)folder_remove((void **)&w->folder);
    free(w);
    return 0;
}

static void send_text(struct world *w, const char *text)
{
    assert_int_equal(send(w->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void look(struct world *w)
{
    uint8_t part[4096];
    ssize_t n;

    while ((n = recv(w->client, part, sizeof part, MSG_DONTWAIT)) > 0)
        buf_put(&w->got, reader_of(part, (size_t)n));
    w->ended = n == 0 || (n < 0 && errno == ECONNRESET);
}

static void stop_loop(void *owner)
{
    loop_stop(owner);
}

/* Runs the loop until `done`; on_limit ends what never comes. */
static void run_until(struct world *w, bool (*done)(const struct world *w))
{
    struct timer step;

    timer_init(&step, w->loop, stop_loop, w->loop);
    for (look(w); !done(w); look(w)) {
        timer_start(&step, 1);
        loop_run(w->loop);
    }
    timer_stop(&step);
}

static bool has_ended(const struct world *w)
{
    return w->ended;
}

static bool has_line(const struct world *w)
{
    return w->got.len > 0 && memchr(buf_view(&w->got).at, '\n', w->got.len);
}

static bool is_waiting(const struct world *w)
{
    return w->waiting != NULL;
}

static bool is_gone(const struct world *w)
{
    return w->gone > 0;
}

static bool has_socket(const struct world *w)
{
    return w->taken != -2;
}

static void expect_line(const struct world *w, const char *line)
{
    assert_true(reader_is(buf_view(&w->got), line));
}

static void a_request_gets_its_answer_and_the_end(void **state)
{
    struct world *w = *state;

    send_text(w, "{\"v\":1,\"command\":\"answer\",\"say\":\"hi\"}\n");
    run_until(w, has_ended);
    expect_line(w, "{\"v\":1,\"ok\":true,\"you_said\":\"hi\"}\n");
}

static void a_failure_has_code_message_and_hint(void **state)
{
    struct world *w = *state;

    send_text(w, "{\"v\":1,\"command\":\"fail\"}\n");
    run_until(w, has_ended);
    expect_line(w, "{\"v\":1,\"error\":{\"code\":\"not_found\",\"message\":\"there is "
                   "none\",\"hint\":\"look elsewhere\"}}\n");
}

static void however_the_line_is_cut_it_is_one_request(void **state)
{
    static const char line[] = "{\"v\":1,\"command\":\"answer\",\"say\":1}\n";
    struct world *w = *state;

    for (size_t i = 0; i + 1 < sizeof line; i++) {
        assert_int_equal(w->handled, 0);
        assert_int_equal(send(w->client, line + i, 1, MSG_NOSIGNAL), 1);
        struct timer step;
        timer_init(&step, w->loop, stop_loop, w->loop);
        timer_start(&step, 0);
        loop_run(w->loop);
    }
    run_until(w, has_ended);
    assert_int_equal(w->handled, 1);
}

/* Nonsense of every kind: an error, the end, and nobody is asked to do anything. */
static void what_is_no_request_is_refused(void **state)
{
    static const struct {
        const char *line, *code;
    } cases[] = {
        {"\n", "usage"},
        {"nonsense\n", "usage"},
        {"\xff\xfe\n", "usage"},
        {"[]\n", "usage"},
        {"{}\n", "usage"},
        {"{\"v\":1}\n", "usage"},
        {"{\"v\":1,\"command\":7}\n", "usage"},
        {"{\"v\":1,\"command\":\"a\\u0000b\"}\n", "usage"},
        {"{\"v\":1,\"command\":\"a-name-that-is-far-too-long-to-be-one\"}\n", "usage"},
        {"{\"v\":1,\"command\":\"answer\",\"command\":\"fail\"}\n", "usage"},
        {"{\"command\":\"answer\"}\n", "incompatible"},
        {"{\"v\":2,\"command\":\"answer\"}\n", "incompatible"},
        {"{\"v\":\"1\",\"command\":\"answer\"}\n", "incompatible"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w;
        char expected[64];
        (void)state;
        assert_int_equal(set_up((void **)&w), 0);
        send_text(w, cases[i].line);
        run_until(w, has_ended);
        (void)snprintf(expected, sizeof expected, "{\"v\":1,\"error\":{\"code\":\"%s\"",
                       cases[i].code);
        struct reader got = buf_view(&w->got);
        assert_true(got.left > strlen(expected));
        assert_memory_equal(got.at, expected, strlen(expected));
        assert_int_equal(w->handled, 0);
        assert_int_equal(tear_down((void **)&w), 0);
    }
}

static void a_line_that_never_ends_is_refused(void **state)
{
    struct world *w = *state;
    char part[1024];

    memset(part, 'x', sizeof part);
    for (size_t i = 0; i < CONTROL_LINE_MAX / sizeof part; i++)
        assert_int_equal(send(w->client, part, sizeof part, MSG_NOSIGNAL), sizeof part);
    run_until(w, has_ended);
    assert_int_equal(w->handled, 0);
    expect_line(
        w, "{\"v\":1,\"error\":{\"code\":\"usage\",\"message\":\"the request is too long\"}}\n");
}

/* A second request, or anything else behind the line, is not looked at. */
static void what_follows_the_line_means_nothing(void **state)
{
    struct world *w = *state;

    send_text(w,
              "{\"v\":1,\"command\":\"wait\"}\n{\"v\":1,\"command\":\"answer\"}\n\xff\xff garbage");
    run_until(w, is_waiting);
    request_answer(w->waiting, NULL, false);
    run_until(w, has_ended);
    assert_int_equal(w->handled, 1);
    expect_line(w, "{\"v\":1,\"ok\":true}\n");
}

static void run_a_round(struct world *w)
{
    struct timer step;

    timer_init(&step, w->loop, stop_loop, w->loop);
    timer_start(&step, 1);
    loop_run(w->loop);
}

static void a_client_that_leaves_gives_its_command_up(void **state)
{
    struct world *w = *state;

    send_text(w, "{\"v\":1,\"command\":\"wait\"}\n");
    run_until(w, is_waiting);
    (void)close(w->client);
    w->client = -1;
    run_until(w, is_gone);
    assert_int_equal(w->gone, 1);
}

static void a_command_that_does_not_care_answers_nobody(void **state)
{
    struct world *w = *state;
    struct timer step;

    send_text(w, "{\"v\":1,\"command\":\"careless\"}\n");
    run_until(w, is_waiting);
    (void)close(w->client);
    w->client = -1;
    timer_init(&step, w->loop, stop_loop, w->loop);
    timer_start(&step, 20);
    loop_run(w->loop);
    request_progress(w->waiting, "still at it");
    request_answer(w->waiting, NULL, false); /* and is freed: the sanitizers would tell */
}

static void attached_means_until_the_client_leaves(void **state)
{
    struct world *w = *state;

    send_text(w, "{\"v\":1,\"command\":\"attach\"}\n");
    run_until(w, has_line);
    assert_int_equal(w->gone, 0);
    assert_false(w->ended);
    assert_int_equal(shutdown(w->client, SHUT_WR), 0);
    run_until(w, has_ended);
    assert_int_equal(w->gone, 1);
}

static void a_taken_socket_comes_with_what_was_sent_behind_the_line(void **state)
{
    struct world *w = *state;
    char back[3];

    send_text(w, "{\"v\":1,\"command\":\"socket\"}\nearly bytes\n");
    run_until(w, has_socket);
    assert_true(w->taken >= 0);
    assert_string_equal(w->early, "early bytes\n");
    run_until(w, has_line);
    expect_line(w, "{\"v\":1,\"ok\":true}\n");
    assert_int_equal(send(w->client, "xyz", 3, MSG_NOSIGNAL), 3);
    assert_int_equal(recv(w->taken, back, sizeof back, 0), 3);
}

/* The answer finds that out; the command that wanted the socket is told once. */
static void a_client_that_left_has_no_socket_to_take(void **state)
{
    struct world *w = *state;

    send_text(w, "{\"v\":1,\"command\":\"socket\"}\n");
    (void)close(w->client);
    w->client = -1;
    while (w->taken == -2)
        run_a_round(w);
    assert_int_equal(w->taken, -1);
}

static void a_client_that_left_has_no_socket_to_keep(void **state)
{
    struct world *w = *state;

    send_text(w, "{\"v\":1,\"command\":\"keep\"}\n");
    (void)close(w->client);
    w->client = -1;
    while (w->handled == 0)
        run_a_round(w);
    assert_int_equal(w->taken, -1);
}

static void a_path_that_no_socket_can_have_works_all_the_same(void **state)
{
    char long_folder[PATH_MAX];
    struct failure why;
    struct loop *l = loop_new();
    struct control *c = NULL;

    (void)snprintf(long_folder, sizeof long_folder, "%.3000s/%0150d", (char *)*state, 0);
    assert_int_equal(mkdir(long_folder, 0700), 0);
    assert_int_equal(control_open(l, long_folder, handle, NULL, &c, &why), RC_OK);
    char path[PATH_MAX];
    struct stat st;
    assert_int_equal(stat(folder_file(long_folder, "agent.sock", path), &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    control_close(c);
    assert_int_equal(stat(path, &st), -1); /* it is taken away at the end */
    loop_run(l);
    loop_free(l);
    assert_int_equal(rmdir(long_folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_gets_its_answer_and_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_has_code_message_and_hint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(however_the_line_is_cut_it_is_one_request, set_up,
                                        tear_down),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test_setup_teardown(a_line_that_never_ends_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_follows_the_line_means_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_gives_its_command_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_command_that_does_not_care_answers_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(attached_means_until_the_client_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_taken_socket_comes_with_what_was_sent_behind_the_line,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_left_has_no_socket_to_take, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_left_has_no_socket_to_keep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_path_that_no_socket_can_have_works_all_the_same,
                                        folder_make, folder_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
