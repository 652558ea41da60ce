#include "crypto/inner_tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "crypto/certificate.h"

/* ALPN as it goes on the wire: length, name (RFC 7301). */
static const unsigned char alpn[] = "\x0apconnect/1";
enum { ALPN_LEN = sizeof alpn - 1, CERTIFICATE_MESSAGE_MAX = 1024 };

struct inner_tls {
    SSL_CTX *context[2]; /* by role */
    uint8_t own_key[IDENTITY_KEY_LEN];
    int peer_slot; /* where an SSL keeps the key it expects */
};

static void free_peer(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free(ptr);
}

/* docs/protocol.md §5: one certificate whose key is the one expected, and our ALPN. Nothing else in the
 * certificate is looked at; that its owner has the private key is proved by CertificateVerify. */
static int verify(X509_STORE_CTX *store, void *arg)
{
    const struct inner_tls *t = arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const uint8_t *expected = SSL_get_ex_data(ssl, t->peer_slot);
    uint8_t shown[IDENTITY_KEY_LEN];
    size_t len = sizeof shown;
    const unsigned char *protocol;
    unsigned protocol_len;

    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) != 1)
        return 0;
    EVP_PKEY *key = X509_get0_pubkey(X509_STORE_CTX_get0_cert(store));
    if (key == NULL || !EVP_PKEY_is_a(key, "ED25519") ||
        EVP_PKEY_get_raw_public_key(key, shown, &len) != 1 || len != sizeof shown)
        return 0;
    if (CRYPTO_memcmp(shown, t->own_key, sizeof shown) == 0 ||
        CRYPTO_memcmp(shown, expected, sizeof shown) != 0)
        return 0;
    SSL_get0_alpn_selected(ssl, &protocol, &protocol_len);
    if (protocol_len != ALPN_LEN - 1 || memcmp(protocol, alpn + 1, ALPN_LEN - 1) != 0)
        return 0;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    unsigned char *chosen;

    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, alpn, ALPN_LEN, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static const char *ciphers(void)
{
    return platform_has_aes() ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
                              : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
}

static bool configure(struct inner_tls *t, SSL_CTX *context, enum inner_tls_role role)
{
    char groups[] = "X25519", signatures[] = "ed25519"; /* OpenSSL's macros cast to char * */

    SSL_CTX_set_cert_verify_callback(context, verify, t);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_max_cert_list(context, CERTIFICATE_MESSAGE_MAX);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    if (!platform_has_aes()) /* the side without AES decides; otherwise the client's order counts */
        SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (role == INNER_TLS_EXPOSING)
        SSL_CTX_set_alpn_select_cb(context, select_alpn, NULL);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(context, ciphers()) == 1 &&
           SSL_CTX_set1_groups_list(context, groups) == 1 &&
           SSL_CTX_set1_sigalgs_list(context, signatures) == 1 &&
           SSL_CTX_set1_client_sigalgs_list(context, signatures) == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_max_early_data(context, 0) == 1 &&
           SSL_CTX_set_recv_max_early_data(context, 0) == 1 &&
           (role == INNER_TLS_EXPOSING || SSL_CTX_set_alpn_protos(context, alpn, ALPN_LEN) == 0);
}

enum rc inner_tls_new(const struct identity *id, struct inner_tls **out)
{
    struct inner_tls *t = mem_zalloc(sizeof *t);
    X509 *cert = NULL;

    memcpy(t->own_key, identity_public(id), IDENTITY_KEY_LEN);
    t->peer_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_peer);
    enum rc rc = t->peer_slot < 0 ? RC_SYSTEM
                                  : certificate_self_signed(identity_key(id), "pconnect", 0, &cert);
    for (int role = 0; rc == RC_OK && role < 2; role++) {
        t->context[role] = SSL_CTX_new(role == INNER_TLS_EXPOSING ? TLS_server_method()
                                                                  : TLS_client_method());
        if (t->context[role] == NULL || !configure(t, t->context[role], (enum inner_tls_role)role) ||
            SSL_CTX_use_certificate(t->context[role], cert) != 1 ||
            SSL_CTX_use_PrivateKey(t->context[role], identity_key(id)) != 1)
            rc = RC_SYSTEM;
    }
    X509_free(cert);
    if (rc != RC_OK) {
        log_error("inner_tls.setup", log_str("why", ERR_reason_error_string(ERR_peek_last_error())));
        inner_tls_free(t);
        return RC_SYSTEM;
    }
    *out = t;
    return RC_OK;
}

void inner_tls_free(struct inner_tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->context[0]);
    SSL_CTX_free(t->context[1]);
    free(t);
}

enum rc inner_tls_connection(struct inner_tls *t, enum inner_tls_role role,
                             const uint8_t peer[IDENTITY_KEY_LEN], SSL **out)
{
    if (CRYPTO_memcmp(peer, t->own_key, IDENTITY_KEY_LEN) == 0)
        return RC_AUTH;
    SSL *ssl = SSL_new(t->context[role]);
    if (ssl == NULL)
        return RC_SYSTEM;
    uint8_t *expected = mem_zalloc(IDENTITY_KEY_LEN);
    memcpy(expected, peer, IDENTITY_KEY_LEN);
    if (SSL_set_ex_data(ssl, t->peer_slot, expected) != 1) {
        free(expected);
        SSL_free(ssl);
        return RC_SYSTEM;
    }
    if (role == INNER_TLS_EXPOSING)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    *out = ssl;
    return RC_OK;
}
