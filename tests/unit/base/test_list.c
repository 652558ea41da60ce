#include "base/list.h"

#include "test.h"

struct item {
    int value;
    struct list link;
};

static int sum_in_order(struct list *l)
{
    int digits = 0;

    list_each(at, after, l) digits = digits * 10 + list_entry(at, struct item, link)->value;
    return digits;
}

static void elements_stand_in_the_order_they_came(void **state)
{
    (void)state;
    struct list l;
    struct item items[] = {{.value = 1}, {.value = 2}, {.value = 3}};

    list_init(&l);
    assert_true(list_is_empty(&l));
    assert_int_equal(sum_in_order(&l), 0);
    for (int i = 0; i < 3; i++)
        list_append(&l, &items[i].link);
    assert_false(list_is_empty(&l));
    assert_int_equal(sum_in_order(&l), 123);
    list_remove(&items[1].link);
    assert_int_equal(sum_in_order(&l), 13);
    list_append(&l, &items[1].link);
    assert_int_equal(sum_in_order(&l), 132);
}

static void removing_twice_or_from_no_list_does_nothing(void **state)
{
    (void)state;
    struct list l;
    struct item a = {.value = 1}, b = {.value = 2};

    list_init(&l);
    list_init(&a.link);
    list_remove(&a.link);
    list_append(&l, &a.link);
    list_append(&l, &b.link);
    list_remove(&a.link);
    list_remove(&a.link);
    assert_int_equal(sum_in_order(&l), 2);
}

static void the_current_element_may_go_while_walking(void **state)
{
    (void)state;
    struct list l;
    struct item items[] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};

    list_init(&l);
    for (int i = 0; i < 4; i++)
        list_append(&l, &items[i].link);
    list_each(at, after, &l) if (list_entry(at, struct item, link)->value % 2 == 0) list_remove(at);
    assert_int_equal(sum_in_order(&l), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_stand_in_the_order_they_came),
        cmocka_unit_test(removing_twice_or_from_no_list_does_nothing),
        cmocka_unit_test(the_current_element_may_go_while_walking),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
