#include "crypto/inner_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto/certificate.h"
#include "test.h"

/*
 * Two endpoints joined by memory. "Ours" is the production set-up; the other is ours too,
 * or a stranger built here that breaks exactly one rule of docs/protocol.md §5.
 */

static struct identity *alice, *bob, *mallory;
static struct inner_tls *alice_tls, *bob_tls, *mallory_tls;

static struct identity *make_identity(const char *path)
{
    struct identity *id = NULL;

    (void)unlink(path);
    assert_int_equal(identity_make(path, &id), RC_OK);
    (void)unlink(path);
    return id;
}

static int set_up(void **state)
{
    (void)state;
    alice = make_identity("inner-alice.key");
    bob = make_identity("inner-bob.key");
    mallory = make_identity("inner-mallory.key");
    assert_int_equal(inner_tls_new(alice, &alice_tls), RC_OK);
    assert_int_equal(inner_tls_new(bob, &bob_tls), RC_OK);
    assert_int_equal(inner_tls_new(mallory, &mallory_tls), RC_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    inner_tls_free(alice_tls);
    inner_tls_free(bob_tls);
    inner_tls_free(mallory_tls);
    identity_free(alice);
    identity_free(bob);
    identity_free(mallory);
    return 0;
}

static void join(SSL *one, SSL *other)
{
    BIO *a = NULL, *b = NULL;

    assert_int_equal(BIO_new_bio_pair(&a, 64 * 1024, &b, 64 * 1024), 1);
    SSL_set_bio(one, a, a);
    SSL_set_bio(other, b, b);
}

/* True when both ends finish and a byte passes each way. */
static bool shake(SSL *client, SSL *server)
{
    char byte = 'x';

    join(client, server);
    for (int i = 0; i < 20; i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    bool done = SSL_is_init_finished(client) && SSL_is_init_finished(server) &&
                SSL_write(client, "1", 1) == 1 && SSL_read(server, &byte, 1) == 1 && byte == '1' &&
                SSL_write(server, "2", 1) == 1 && SSL_read(client, &byte, 1) == 1 && byte == '2';
    ERR_clear_error();
    return done;
}

static SSL *ours(struct inner_tls *tls, enum inner_tls_role role, struct identity *peer)
{
    SSL *ssl = NULL;

    assert_int_equal(inner_tls_connection(tls, role, identity_public(peer), &ssl), RC_OK);
    return ssl;
}

static void two_agents_that_expect_each_other_meet(void **state)
{
    (void)state;
    SSL *client = ours(alice_tls, INNER_TLS_REACHING, bob);
    SSL *server = ours(bob_tls, INNER_TLS_EXPOSING, alice);

    assert_true(shake(client, server));
    assert_string_equal(SSL_get_version(client), "TLSv1.3");
    assert_string_equal(SSL_get_cipher(client), "TLS_AES_128_GCM_SHA256");
    assert_int_equal(SSL_session_reused(client), 0);
    unsigned char *der = NULL;
    int len = i2d_X509(SSL_get0_peer_certificate(client), &der);
    assert_true(len > 0 && len <= 1024);
    OPENSSL_free(der);
    SSL_free(client);
    SSL_free(server);
}

static void another_key_than_the_expected_is_refused_by_either_side(void **state)
{
    (void)state;
    /* The server is not who the client expects. */
    SSL *client = ours(alice_tls, INNER_TLS_REACHING, bob);
    SSL *server = ours(mallory_tls, INNER_TLS_EXPOSING, alice);
    assert_false(shake(client, server));
    assert_false(SSL_is_init_finished(client));
    SSL_free(client);
    SSL_free(server);

    /* The client is not who the server expects. */
    client = ours(mallory_tls, INNER_TLS_REACHING, bob);
    server = ours(bob_tls, INNER_TLS_EXPOSING, alice);
    assert_false(shake(client, server));
    assert_false(SSL_is_init_finished(server));
    SSL_free(client);
    SSL_free(server);
}

static void our_own_key_is_no_peer(void **state)
{
    (void)state;
    SSL *ssl = NULL;

    assert_int_equal(inner_tls_connection(alice_tls, INNER_TLS_REACHING, identity_public(alice), &ssl),
                     RC_AUTH);
    assert_null(ssl);
}

/* --- strangers ----------------------------------------------------------------------- */

struct stranger {
    const char *what;
    int version;           /* 0: 1.3 */
    const char *ciphers;   /* NULL: as ours */
    const char *groups;    /* NULL: X25519 */
    const char *alpn;      /* with length byte; NULL: none */
    bool no_certificate;
    bool two_certificates;
    bool other_key_type;   /* a P-256 key instead of the Ed25519 one */
    size_t name_len;       /* a certificate blown up by this many bytes of name */
};

static int pick_alpn(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in,
                     unsigned in_len, void *arg)
{
    const struct stranger *s = arg;

    (void)ssl, (void)in, (void)in_len;
    if (s->alpn == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    *out = (const unsigned char *)s->alpn + 1;
    *len = (unsigned char)s->alpn[0];
    return SSL_TLSEXT_ERR_OK;
}

static int accept_anybody(X509_STORE_CTX *ctx, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

/* Large enough to pass 1 KiB as one certificate. */
static X509 *blown_up(EVP_PKEY *key, size_t len)
{
    X509 *cert = X509_new();
    char value[65] = "";

    memset(value, 'n', 64);
    assert_true(X509_set_pubkey(cert, key));
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    for (size_t i = 0; i < len / 64; i++)
        assert_true(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "OU", MBSTRING_ASC,
                                               (unsigned char *)value, -1, -1, 0));
    assert_true(X509_sign(cert, key, NULL) > 0);
    return cert;
}

static SSL_CTX *stranger_context(const struct stranger *s, bool server, struct identity *id)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    EVP_PKEY *key = s->other_key_type ? EVP_EC_gen("P-256") : identity_key(id);
    X509 *cert = NULL;

    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_anybody, NULL);
    if (s->version)
        SSL_CTX_set_max_proto_version(ctx, s->version);
    if (s->ciphers)
        assert_int_equal(SSL_CTX_set_ciphersuites(ctx, s->ciphers), 1);
    char groups[16]; /* OpenSSL's macro casts to char * */
    (void)snprintf(groups, sizeof groups, "%s", s->groups ? s->groups : "X25519");
    assert_int_equal(SSL_CTX_set1_groups_list(ctx, groups), 1);
    if (server)
        SSL_CTX_set_alpn_select_cb(ctx, pick_alpn, (void *)(uintptr_t)s);
    else if (s->alpn)
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)s->alpn, (unsigned)strlen(s->alpn));
    if (!s->no_certificate) {
        if (s->name_len)
            cert = blown_up(key, s->name_len);
        else
            assert_int_equal(certificate_self_signed(key, "stranger", 0, &cert), RC_OK);
        assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
        if (s->two_certificates)
            assert_int_equal(SSL_CTX_add1_chain_cert(ctx, cert), 1);
        X509_free(cert);
    }
    if (s->other_key_type)
        EVP_PKEY_free(key);
    return ctx;
}

#define GOOD_ALPN "\x0apconnect/1"

static const struct stranger strangers[] = {
    {.what = "TLS 1.2", .version = TLS1_2_VERSION, .alpn = GOOD_ALPN},
    {.what = "another cipher", .ciphers = "TLS_AES_256_GCM_SHA384", .alpn = GOOD_ALPN},
    {.what = "another group", .groups = "P-256", .alpn = GOOD_ALPN},
    {.what = "no ALPN", .alpn = NULL},
    {.what = "another ALPN", .alpn = "\x08http/1.1"},
    {.what = "no certificate", .no_certificate = true, .alpn = GOOD_ALPN},
    {.what = "two certificates", .two_certificates = true, .alpn = GOOD_ALPN},
    {.what = "another type of key", .other_key_type = true, .alpn = GOOD_ALPN},
    {.what = "a certificate over 1 KiB", .name_len = 1200, .alpn = GOOD_ALPN},
};

static bool our_side_finishes(const struct stranger *s, bool stranger_is_server)
{
    /* The stranger has bob's real key: only the broken rule is left to refuse. */
    SSL_CTX *ctx = stranger_context(s, stranger_is_server, bob);
    SSL *theirs = SSL_new(ctx);
    SSL *mine = ours(alice_tls, stranger_is_server ? INNER_TLS_REACHING : INNER_TLS_EXPOSING, bob);
    bool met;

    if (stranger_is_server) {
        SSL_set_accept_state(theirs);
        met = shake(mine, theirs);
    } else {
        SSL_set_connect_state(theirs);
        met = shake(theirs, mine);
    }
    bool finished = SSL_is_init_finished(mine);
    SSL_free(theirs);
    SSL_free(mine);
    SSL_CTX_free(ctx);
    return met || finished;
}

static void a_stranger_that_keeps_all_rules_is_let_in(void **state)
{
    (void)state;
    static const struct stranger good = {.what = "all right", .alpn = GOOD_ALPN};

    /* Without this, the refusals below could have any cause. */
    assert_true(our_side_finishes(&good, true));
    assert_true(our_side_finishes(&good, false));
}

static void every_broken_rule_is_refused_on_both_sides(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        for (int server = 0; server < 2; server++)
            if (our_side_finishes(&strangers[i], server))
                fail_msg("%s: let in as %s", strangers[i].what, server ? "server" : "client");
}

static void no_tickets_are_sent(void **state)
{
    (void)state;
    SSL *client = ours(alice_tls, INNER_TLS_REACHING, bob);
    SSL *server = ours(bob_tls, INNER_TLS_EXPOSING, alice);
    char byte;

    assert_true(shake(client, server));
    assert_true(SSL_read(client, &byte, 1) <= 0);
    assert_false(SSL_SESSION_is_resumable(SSL_get0_session(client)));
    SSL_free(client);
    SSL_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_agents_that_expect_each_other_meet),
        cmocka_unit_test(another_key_than_the_expected_is_refused_by_either_side),
        cmocka_unit_test(our_own_key_is_no_peer),
        cmocka_unit_test(a_stranger_that_keeps_all_rules_is_let_in),
        cmocka_unit_test(every_broken_rule_is_refused_on_both_sides),
        cmocka_unit_test(no_tickets_are_sent),
    };
    return cmocka_run_group_tests_name("inner_tls", tests, set_up, tear_down);
}
