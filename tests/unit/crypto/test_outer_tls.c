#include "crypto/outer_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static char folder[] = "outer-XXXXXX";
static char cert[64], key[64], other_cert[64], other_key[64];
static uint8_t fingerprint[FINGERPRINT_LEN];

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(cert, sizeof cert, "%s/hub.crt", folder);
    (void)snprintf(key, sizeof key, "%s/hub.key", folder);
    (void)snprintf(other_cert, sizeof other_cert, "%s/other.crt", folder);
    (void)snprintf(other_key, sizeof other_key, "%s/other.key", folder);
    assert_int_equal(outer_tls_make_certificate("hub.example", cert, key), RC_OK);
    assert_int_equal(outer_tls_make_certificate("192.0.2.1", other_cert, other_key), RC_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(cert);
    (void)unlink(key);
    (void)unlink(other_cert);
    (void)unlink(other_key);
    return rmdir(folder);
}

static struct ssl_ctx_st *hub(const char *c, const char *k)
{
    struct ssl_ctx_st *context = NULL;
    char why[256];

    assert_int_equal(outer_tls_server(c, k, &context, fingerprint, why), RC_OK);
    return context;
}

static bool meets(const struct outer_trust *trust, struct ssl_ctx_st *server_context)
{
    struct ssl_ctx_st *client_context = NULL;
    BIO *a = NULL, *b = NULL;

    assert_int_equal(outer_tls_client(trust, &client_context), RC_OK);
    SSL *client = outer_tls_connection(client_context, "hub.example");
    SSL *server = outer_tls_connection(server_context, NULL);
    assert_int_equal(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    for (int i = 0; i < 20; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    ERR_clear_error();
    bool met = SSL_is_init_finished(client) && SSL_is_init_finished(server);
    SSL_free(client);
    SSL_free(server);
    outer_tls_free(client_context);
    return met;
}

static void trust_decides_who_is_the_hub(void **state)
{
    (void)state;
    struct ssl_ctx_st *context = hub(cert, key);
    struct outer_trust pinned = {.pinned = true}, wrong = {.pinned = true, .first_contact = true};
    struct outer_trust authorities = {0}, first = {.first_contact = true};

    memcpy(pinned.pin, fingerprint, sizeof pinned.pin);
    memcpy(wrong.pin, fingerprint, sizeof wrong.pin);
    wrong.pin[0] ^= 1;
    assert_true(meets(&pinned, context));
    assert_true(meets(&first, context));
    assert_false(meets(&authorities, context)); /* nobody signed it */
    assert_false(meets(&wrong, context));       /* a pin is never softened by first_contact */
    outer_tls_free(context);
}

static void the_private_key_is_for_its_owner_only(void **state)
{
    (void)state;
    struct stat st;

    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_wrong_file_is_named(void **state)
{
    (void)state;
    struct ssl_ctx_st *context = NULL;
    char why[256] = "", junk[64];

    (void)snprintf(junk, sizeof junk, "%s/junk", folder);
    assert_int_equal(file_replace(junk, reader_of("junk", 4)), RC_OK);
    static const struct {
        int cert, key;
        enum rc want;
        const char *names;
    } cases[] = {
        {0, 1, RC_INPUT, "junk"},      /* no certificate */
        {2, 0, RC_INPUT, "junk"},      /* no key */
        {2, 3, RC_INPUT, "other.key"}, /* another's key */
        {4, 1, RC_ABSENT, "absent"},
    };
    const char *files[] = {junk, key, cert, other_key, "absent.crt"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(outer_tls_server(files[cases[i].cert], files[cases[i].key], &context,
                                          fingerprint, why),
                         cases[i].want);
        assert_non_null(strstr(why, cases[i].names));
        assert_null(context);
    }
    (void)unlink(junk);
}

static void fingerprints_are_written_one_way(void **state)
{
    (void)state;
    uint8_t bytes[FINGERPRINT_LEN], back[FINGERPRINT_LEN];
    char text[FINGERPRINT_TEXT_SIZE];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    fingerprint_text(bytes, text);
    assert_int_equal(fingerprint_parse(text, back), RC_OK);
    assert_memory_equal(bytes, back, sizeof bytes);
    static const char *const bad[] = {"", "sha256:", "sha1:00", "00",
                                      "sha256:zz00000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fingerprint_parse(bad[i], back), RC_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trust_decides_who_is_the_hub),
        cmocka_unit_test(the_private_key_is_for_its_owner_only),
        cmocka_unit_test(a_wrong_file_is_named),
        cmocka_unit_test(fingerprints_are_written_one_way),
    };
    return cmocka_run_group_tests_name("outer_tls", tests, set_up, tear_down);
}
