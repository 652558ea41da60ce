#include "wire/base64.h"

#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct {
    const char *bytes;
    size_t len;
    const char *standard, *url;
} pairs[] = {
    {"", 0, "", ""}, /* RFC 4648 §10 */
    {"f", 1, "Zg==", "Zg"},
    {"fo", 2, "Zm8=", "Zm8"},
    {"foo", 3, "Zm9v", "Zm9v"},
    {"foob", 4, "Zm9vYg==", "Zm9vYg"},
    {"fooba", 5, "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", 6, "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", 3, "+//+", "-__-"},
    {"\0\0\0\0", 4, "AAAAAA==", "AAAAAA"},
};

static void known_texts_come_out_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        uint8_t *bytes = exact_copy(pairs[i].bytes, pairs[i].len);
        struct buf out;
        buf_init(&out, 64);
        base64_encode(&out, reader_of(bytes, pairs[i].len));
        assert_int_equal(out.len, base64_len(pairs[i].len));
        assert_true(reader_is(reader_of(out.data, out.len), pairs[i].standard));
        buf_clear(&out);
        base64url_encode(&out, reader_of(bytes, pairs[i].len));
        assert_true(reader_is(reader_of(out.data, out.len), pairs[i].url));
        free(bytes);

        buf_clear(&out);
        size_t len = strlen(pairs[i].standard);
        uint8_t *text = exact_copy(pairs[i].standard, len);
        assert_int_equal(base64_decode(&out, reader_of(text, len)), RC_OK);
        assert_int_equal(out.len, pairs[i].len);
        assert_true(out.len == 0 || memcmp(out.data, pairs[i].bytes, out.len) == 0);
        free(text);
        buf_clear(&out);
        len = strlen(pairs[i].url);
        text = exact_copy(pairs[i].url, len);
        assert_int_equal(base64url_decode(&out, reader_of(text, len)), RC_OK);
        assert_int_equal(out.len, pairs[i].len);
        assert_true(out.len == 0 || memcmp(out.data, pairs[i].bytes, out.len) == 0);
        free(text);
        buf_done(&out);
    }
}

static void only_the_one_text_of_the_bytes_decodes(void **state)
{
    (void)state;
    static const char *const standard[] = {
        "Z",     "Zg",   "Zg=",        "Zg===", "=",     "====",   "Zg==Zg==", "Z===",
        "Zm9v=", "Zh==", "Zm9=",       "Zm 8=", " Zm8=", "Zm8=\n", "Zm9v\r\n", "Zm=8",
        "-__-",  "Zm8*", "Zm\xc3\xa4", "Zg=a",  "*g==",  "Zg==\n", "Zm9vYh==",
    };
    static const char *const url[] = {"Z", "Zg==", "Zg=", "Zh", "Zm9", "+//+", "Zm8 ", "Zm9vY"};
    struct buf out;

    buf_init(&out, 64);
    for (size_t i = 0; i < COUNT(standard); i++)
        if (base64_decode(&out, reader_of_text(standard[i])) != RC_INPUT)
            fail_msg("not refused: %s", standard[i]);
    for (size_t i = 0; i < COUNT(url); i++)
        if (base64url_decode(&out, reader_of_text(url[i])) != RC_INPUT)
            fail_msg("not refused: %s", url[i]);
    assert_int_equal(base64_decode(&out, reader_of("Zg=\0", 4)), RC_INPUT);
    assert_int_equal(out.len, 0);
    assert_true(buf_ok(&out));
    buf_done(&out);
}

/* Every byte in every place of a group, and every length. */
static void all_bytes_survive(void **state)
{
    (void)state;
    uint8_t bytes[259];
    struct buf text, back;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    buf_init(&text, 1024);
    buf_init(&back, 1024);
    for (size_t len = 0; len <= sizeof bytes; len++)
        for (int url = 0; url <= 1; url++) {
            buf_clear(&text);
            buf_clear(&back);
            (url ? base64url_encode : base64_encode)(&text, reader_of(bytes, len));
            enum rc rc = (url ? base64url_decode : base64_decode)(&back, buf_view(&text));
            assert_int_equal(rc, RC_OK);
            assert_int_equal(back.len, len);
            assert_true(len == 0 || memcmp(back.data, bytes, len) == 0);
        }
    buf_done(&text);
    buf_done(&back);
}

static void what_does_not_fit_fails_the_buffer(void **state)
{
    (void)state;
    struct buf out;

    buf_init(&out, 3);
    base64_encode(&out, reader_of("f", 1));
    assert_false(buf_ok(&out));
    buf_clear(&out);
    assert_int_equal(base64_decode(&out, reader_of_text("Zm9v")), RC_OK);
    assert_int_equal(base64_decode(&out, reader_of_text("Zg==")), RC_LIMIT);
    assert_false(buf_ok(&out));
    assert_int_equal(out.len, 3);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_come_out_both_ways),
        cmocka_unit_test(only_the_one_text_of_the_bytes_decodes),
        cmocka_unit_test(all_bytes_survive),
        cmocka_unit_test(what_does_not_fit_fails_the_buffer),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
