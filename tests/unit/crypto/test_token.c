#include "test.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/token.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    enum token_kind kind;
    const char *prefix;
    size_t chars;
} kinds[] = {
    {TOKEN_API_KEY, "pc_", 35},
    {TOKEN_AGENT, "pct_", 68},
    {TOKEN_TICKET, "", 64},
};

static void every_kind_is_made_in_its_own_shape_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct token t;

        token_make(kinds[i].kind, &t);
        assert_int_equal(strlen(t.text), kinds[i].chars);
        assert_memory_equal(t.text, kinds[i].prefix, strlen(kinds[i].prefix));
        for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++)
            assert_int_equal(token_has_shape(kinds[j].kind, reader_of_text(t.text)), i == j);
    }
}

static void no_two_are_equal(void **state)
{
    enum { MANY = 500 };
    static struct token made[MANY];

    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t i = 0; i < MANY; i++) {
            token_make(kinds[k].kind, &made[i]);
            for (size_t j = 0; j < i; j++)
                assert_string_not_equal(made[i].text, made[j].text);
        }
    }
}

/* 4,000 keys are 128,000 characters: 2,065 of each expected, standard deviation 45. */
static void every_character_of_a_key_is_equally_likely(void **state)
{
    unsigned seen[256] = {0}, different = 0;
    struct token t;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        token_make(TOKEN_API_KEY, &t);
        for (const char *c = t.text + 3; *c; c++)
            seen[(unsigned char)*c]++;
    }
    for (int c = 0; c < 256; c++) {
        if (seen[c] == 0)
            continue;
        different++;
        assert_in_range(seen[c], 2065 - 360, 2065 + 360);
    }
    assert_int_equal(different, 62);
}

static const struct {
    enum token_kind kind;
    const char *text;
    bool good;
} shapes[] = {
    {TOKEN_API_KEY, "pc_0123456789ABCDEFGHIJKLMNOPQRSTUV", true},
    {TOKEN_API_KEY, "pc_WXYZabcdefghijklmnopqrstuvwxyz00", true},
    {TOKEN_API_KEY, "pc_0123456789ABCDEFGHIJKLMNOPQRSTU", false},
    {TOKEN_API_KEY, "pc_0123456789ABCDEFGHIJKLMNOPQRSTUVW", false},
    {TOKEN_API_KEY, "pc_0123456789ABCDEFGHIJKLMNOPQRST-V", false},
    {TOKEN_API_KEY, "pc_0123456789ABCDEFGHIJKLMNOPQRSTU ", false},
    {TOKEN_API_KEY, "PC_0123456789ABCDEFGHIJKLMNOPQRSTUV", false},
    {TOKEN_API_KEY, "pc-0123456789ABCDEFGHIJKLMNOPQRSTUV", false},
    {TOKEN_API_KEY, "pc_", false},
    {TOKEN_API_KEY, "pc", false},
    {TOKEN_API_KEY, "", false},
    {TOKEN_AGENT, "pct_" HEX64, true},
    {TOKEN_AGENT, HEX64, false},
    {TOKEN_AGENT, "pct_" HEX64 "0", false},
    {TOKEN_AGENT, "pct_A123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false},
    {TOKEN_TICKET, HEX64, true},
    {TOKEN_TICKET, "pct_" HEX64, false},
    {TOKEN_TICKET, "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false},
    {TOKEN_TICKET, "", false},
};

static void only_the_exact_shape_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t len = strlen(shapes[i].text);
        uint8_t *bytes = exact_copy(shapes[i].text, len);
        struct reader text = reader_of(bytes, len);
        struct token_hash hash;
        struct token t;

        assert_int_equal(token_has_shape(shapes[i].kind, text), shapes[i].good);
        assert_int_equal(token_hash_of(shapes[i].kind, text, &hash),
                         shapes[i].good ? RC_OK : RC_AUTH);
        assert_int_equal(token_read(shapes[i].kind, text, &t), shapes[i].good ? RC_OK : RC_INPUT);
        if (shapes[i].good)
            assert_string_equal(t.text, shapes[i].text);
        free(bytes);
    }
}

static void a_nul_inside_is_not_a_shape(void **state)
{
    char text[] = "pc_0123456789ABCDEFGHIJKLMNOPQRSTUV";

    (void)state;
    text[10] = '\0';
    assert_false(token_has_shape(TOKEN_API_KEY, reader_of(text, sizeof text - 1)));
}

static void the_hash_is_sha256_of_the_text(void **state)
{
    /* printf 'pc_0123456789ABCDEFGHIJKLMNOPQRSTUV' | sha256sum */
    static const char expected[] =
        "fa9633e92415ac0d40109af0dd96484c0dab4f4d62c4fedb10e2c5b6b4b132bc";
    static const char text[] = "pc_0123456789ABCDEFGHIJKLMNOPQRSTUV";
    struct token_hash sent, ours;
    char written[2 * TOKEN_HASH_LEN + 1];
    struct token t;

    (void)state;
    assert_int_equal(token_hash_of(TOKEN_API_KEY, reader_of_text(text), &sent), RC_OK);
    text_hex(reader_of(sent.bytes, sizeof sent.bytes), written);
    assert_string_equal(written, expected);
    assert_int_equal(token_read(TOKEN_API_KEY, reader_of_text(text), &t), RC_OK);
    ours = token_hash(&t);
    assert_true(token_hash_equal(&ours, &sent));
}

static void hashes_are_equal_only_when_every_byte_is(void **state)
{
    struct token_hash one = {{0}}, other = {{0}};

    (void)state;
    assert_true(token_hash_equal(&one, &other));
    for (size_t i = 0; i < TOKEN_HASH_LEN; i++) {
        other.bytes[i] = 1;
        assert_false(token_hash_equal(&one, &other));
        other.bytes[i] = 0;
    }
}

static void the_prefix_of_a_key_says_eight_characters(void **state)
{
    char prefix[TOKEN_PREFIX_SIZE];
    struct token t;

    (void)state;
    token_make(TOKEN_API_KEY, &t);
    token_prefix(&t, prefix);
    assert_int_equal(strlen(prefix), 11);
    assert_memory_equal(prefix, t.text, 11);
}

static void a_wiped_token_is_all_zeros(void **state)
{
    static const struct token zeros;
    struct token t;

    (void)state;
    token_make(TOKEN_AGENT, &t);
    token_wipe(&t);
    assert_memory_equal(&t, &zeros, sizeof t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_made_in_its_own_shape_and_no_other),
        cmocka_unit_test(no_two_are_equal),
        cmocka_unit_test(every_character_of_a_key_is_equally_likely),
        cmocka_unit_test(only_the_exact_shape_is_read),
        cmocka_unit_test(a_nul_inside_is_not_a_shape),
        cmocka_unit_test(the_hash_is_sha256_of_the_text),
        cmocka_unit_test(hashes_are_equal_only_when_every_byte_is),
        cmocka_unit_test(the_prefix_of_a_key_says_eight_characters),
        cmocka_unit_test(a_wiped_token_is_all_zeros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
