#include "test.h"

#include "mux/chunk.h"

static void gives_room_for_a_header_and_the_data(void **state)
{
    static const size_t caps[] = {1, 100, CHUNK_DATA};
    struct chunk_pool p;

    (void)state;
    chunk_pool_init(&p);
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
        struct chunk *c = chunk_new(&p, caps[i]);
        assert_int_equal(c->from, CHUNK_HEAD);
        assert_int_equal(c->to, CHUNK_HEAD);
        memset(c->memory, 1, CHUNK_HEAD);
        memset(chunk_data(c), 2, caps[i]); /* ASan watches the end */
        chunk_free(c);
    }
    chunk_free(NULL);
    chunk_pool_done(&p);
}

static void uses_large_chunks_again_the_latest_first(void **state)
{
    struct chunk_pool p;

    (void)state;
    chunk_pool_init(&p);
    struct chunk *a = chunk_new(&p, CHUNK_DATA), *b = chunk_new(&p, CHUNK_DATA);
    a->to = a->from = 0;
    chunk_free(b);
    chunk_free(a);
    struct chunk *again = chunk_new(&p, CHUNK_DATA);
    assert_ptr_equal(again, a);
    assert_int_equal(again->to, CHUNK_HEAD); /* as good as new */
    assert_ptr_equal(chunk_new(&p, CHUNK_DATA), b);
    chunk_free(a);
    chunk_free(b);
    chunk_pool_done(&p);
}

static void small_chunks_are_not_pooled(void **state)
{
    struct chunk_pool p;

    (void)state;
    chunk_pool_init(&p);
    chunk_free(chunk_new(&p, 100));
    chunk_free(chunk_new(NULL, CHUNK_DATA)); /* nor those of nobody's */
    assert_int_equal(p.idle_count, 0);
    chunk_pool_done(&p);
}

static void keeps_only_so_many_and_gives_them_back_when_asked(void **state)
{
    static struct chunk *c[CHUNK_POOL_MAX + 5];
    struct chunk_pool p;

    (void)state;
    chunk_pool_init(&p);
    for (size_t i = 0; i < CHUNK_POOL_MAX + 5; i++)
        c[i] = chunk_new(&p, CHUNK_DATA);
    for (size_t i = 0; i < CHUNK_POOL_MAX + 5; i++)
        chunk_free(c[i]);
    assert_int_equal(p.idle_count, CHUNK_POOL_MAX);
    chunk_pool_trim(&p);
    assert_int_equal(p.idle_count, 0);
    assert_true(list_is_empty(&p.idle));
    chunk_pool_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_room_for_a_header_and_the_data),
        cmocka_unit_test(uses_large_chunks_again_the_latest_first),
        cmocka_unit_test(small_chunks_are_not_pooled),
        cmocka_unit_test(keeps_only_so_many_and_gives_them_back_when_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
