#include "agent/exposes.h"

#include "agent/parts.h"
#include "folder.h"

/*
 * The module by itself: no hub, no tunnels, the check of a target that refuses.
 */
static unsigned answered;

struct check_reply {
    int unused;
};

void check_reply_send(struct check_reply *reply, struct reader json)
{
    (void)reply;
    assert_true(json.left > 2);
    answered++;
}

void tunnels_accept(struct tunnels *ts, const struct pipe_offer *offer)
{
    (void)ts, (void)offer;
}

void tunnels_withdraw(struct tunnels *ts, const char *service)
{
    (void)ts, (void)service;
}

size_t tunnels_streams(const struct tunnels *ts, const char *service)
{
    (void)ts, (void)service;
    return 0;
}

struct world {
    struct parts parts;
    struct exposes *exposes;
};

static void set_up(struct world *w, const char *folder)
{
    static const char services[] =
        "{\"v\":1,\"exposed\":{\"db\":{\"target\":\"127.0.0.1:1\",\"protocol\":\"tcp\"}}}";
    char path[PATH_MAX];
    struct failure why;

    *w = (struct world){.parts.loop = loop_new()};
    folder_write(folder, "services.json", services);
    assert_int_equal(state_load(folder_file(folder, "services.json", path), &w->parts.state, &why),
                     RC_OK);
    w->exposes = exposes_new(&w->parts);
    assert_non_null(exposes_online(w->exposes, "db"));
    answered = 0;
}

static void tear_down(struct world *w)
{
    exposes_free(w->exposes);
    loop_run(w->parts.loop);
    loop_free(w->parts.loop);
    state_free(w->parts.state);
}

static void a_peer_that_asks_all_the_time_fills_no_memory(void **state)
{
    struct check_reply reply;
    struct world w;

    set_up(&w, *state);
    for (unsigned i = 0; i < 10 * EXPOSES_CHECKS_MAX; i++)
        exposes_check(w.exposes, "db", &reply);
    assert_int_equal(answered, 9 * EXPOSES_CHECKS_MAX); /* at once; the others wait */
    loop_run(w.parts.loop);
    assert_int_equal(answered, 10 * EXPOSES_CHECKS_MAX);
    exposes_check(w.exposes, "db", &reply); /* and now there is room again */
    assert_int_equal(answered, 10 * EXPOSES_CHECKS_MAX);
    exposes_check(w.exposes, "web", &reply);
    assert_int_equal(answered, 10 * EXPOSES_CHECKS_MAX + 1);
    tear_down(&w); /* tells the one that still waits */
    assert_int_equal(answered, 10 * EXPOSES_CHECKS_MAX + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_peer_that_asks_all_the_time_fills_no_memory, folder_make,
                                        folder_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
