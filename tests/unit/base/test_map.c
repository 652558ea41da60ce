#include "base/map.h"

#include <stdio.h>

#include "test.h"

static void a_value_is_found_replaced_and_taken_by_its_key(void **state)
{
    (void)state;
    struct map m;
    int one = 1, two = 2;
    char key[] = "key";

    map_init(&m);
    assert_null(map_get(&m, "key"));
    assert_null(map_take(&m, "key"));
    map_put(&m, key, &one);
    key[0] = 'x'; /* keys are copied */
    assert_ptr_equal(map_get(&m, "key"), &one);
    assert_null(map_get(&m, "xey"));
    map_put(&m, "key", &two);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_take(&m, "key"), &two);
    assert_null(map_get(&m, "key"));
    assert_int_equal(m.count, 0);
    map_put(&m, "", &one);
    assert_ptr_equal(map_get(&m, ""), &one);
    map_done(&m);
}

enum { MANY = 5000 };

static char values[MANY + 1]; /* only their addresses matter */

static void add(void *arg, const char *key, void *value)
{
    size_t *sums = arg;

    assert_ptr_equal(value, &values[strtoul(key, NULL, 10)]);
    sums[0]++;
    sums[1] += strtoul(key, NULL, 10);
}

static void many_keys_stay_apart_while_it_grows_and_shrinks(void **state)
{
    (void)state;
    struct map m;
    char key[16];
    size_t sums[2] = {0};

    map_init(&m);
    for (size_t i = 1; i <= MANY; i++) {
        (void)snprintf(key, sizeof key, "%zu", i);
        map_put(&m, key, &values[i]);
    }
    map_each(&m, add, sums);
    assert_int_equal(sums[0], MANY);
    assert_int_equal(sums[1], MANY * (MANY + 1) / 2);
    for (size_t i = 1; i <= MANY; i += 2) {
        (void)snprintf(key, sizeof key, "%zu", i);
        assert_ptr_equal(map_take(&m, key), &values[i]);
    }
    for (size_t i = 1; i <= MANY; i++) {
        (void)snprintf(key, sizeof key, "%zu", i);
        assert_ptr_equal(map_get(&m, key), i % 2 ? NULL : &values[i]);
    }
    assert_int_equal(m.count, MANY / 2);
    map_done(&m);
}

static void two_maps_hash_differently(void **state)
{
    (void)state;
    struct map a, b;

    map_init(&a);
    map_init(&b);
    assert_true(a.seed != b.seed);
    map_done(&a);
    map_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_found_replaced_and_taken_by_its_key),
        cmocka_unit_test(many_keys_stay_apart_while_it_grows_and_shrinks),
        cmocka_unit_test(two_maps_hash_differently),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
