#include "crypto/outer_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/certificate.h"

enum { CERTIFICATE_DAYS = 3650, PEM_MAX = 64 * 1024 };

static const unsigned char alpn[] = "\x08http/1.1";
enum { ALPN_LEN = sizeof alpn - 1 };

/* --- fingerprints --------------------------------------------------------------------- */

enum rc fingerprint_parse(const char *text, uint8_t out[FINGERPRINT_LEN])
{
    if (strncmp(text, "sha256:", 7) != 0)
        return RC_INPUT;
    return text_unhex(text + 7, out, FINGERPRINT_LEN);
}

void fingerprint_text(const uint8_t fingerprint[FINGERPRINT_LEN], char out[FINGERPRINT_TEXT_SIZE])
{
    memcpy(out, "sha256:", 7);
    text_hex(reader_of(fingerprint, FINGERPRINT_LEN), out + 7);
}

static enum rc fingerprint_of(const X509 *cert, uint8_t out[FINGERPRINT_LEN])
{
    unsigned len = 0;

    return X509_digest(cert, EVP_sha256(), out, &len) == 1 ? RC_OK : RC_SYSTEM;
}

/* --- what both sides share --------------------------------------------------------------- */

static bool configure(SSL_CTX *context)
{
    char groups[] = "X25519:P-256:P-384"; /* OpenSSL's macro casts to char * */

    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set1_groups_list(context, groups) == 1 &&
           SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                             "TLS_AES_256_GCM_SHA384") == 1 &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

/* --- agent --------------------------------------------------------------------------------- */

static void free_trust(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free(ptr);
}

static int verify_hub(X509_STORE_CTX *store, void *arg)
{
    const struct outer_trust *trust = arg;
    uint8_t shown[FINGERPRINT_LEN];
    X509 *cert = X509_STORE_CTX_get0_cert(store);

    if (cert == NULL || fingerprint_of(cert, shown) != RC_OK)
        return 0;
    bool trusted = trust->pinned ? memcmp(shown, trust->pin, sizeof shown) == 0
                                 : X509_verify_cert(store) == 1 || trust->first_contact;
    X509_STORE_CTX_set_error(store, trusted ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
    return trusted;
}

static CRYPTO_ONCE trust_once = CRYPTO_ONCE_STATIC_INIT;
static int trust_slot; /* where a context keeps its trust; set once */

static void make_trust_slot(void)
{
    trust_slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_trust);
}

enum rc outer_tls_client(const struct outer_trust *trust, SSL_CTX **out)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct outer_trust *copy = mem_zalloc(sizeof *copy);

    *copy = *trust;
    (void)CRYPTO_THREAD_run_once(&trust_once, make_trust_slot);
    if (context == NULL || trust_slot < 0 || SSL_CTX_set_ex_data(context, trust_slot, copy) != 1) {
        free(copy);
        SSL_CTX_free(context);
        return RC_SYSTEM;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, verify_hub, copy);
    if (!trust->pinned) /* more than a megabyte, for nothing when one certificate counts */
        (void)SSL_CTX_set_default_verify_paths(context); /* none there: nothing is signed, then */
    if (!configure(context) || SSL_CTX_set_alpn_protos(context, alpn, ALPN_LEN) != 0) {
        SSL_CTX_free(context);
        return RC_SYSTEM;
    }
    ERR_clear_error();
    *out = context;
    return RC_OK;
}

/* --- hub ------------------------------------------------------------------------------------- */

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

static enum rc complain(char why[256], const char *file, const char *what)
{
    const char *detail = ERR_reason_error_string(ERR_peek_last_error());

    text_message(why, 256, "%s: %s%s%s", file, what, detail ? ": " : "", detail ? detail : "");
    ERR_clear_error();
    return RC_INPUT;
}

static enum rc load_files(SSL_CTX *context, const char *cert_file, const char *key_file, char why[256])
{
    if (access(cert_file, R_OK) != 0 || access(key_file, R_OK) != 0) {
        text_message(why, 256, "%s: %s", access(cert_file, R_OK) != 0 ? cert_file : key_file,
                     strerror(errno));
        return RC_ABSENT;
    }
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return complain(why, cert_file, "not a certificate in PEM form");
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return complain(why, key_file, "not the private key of that certificate");
    if (SSL_CTX_check_private_key(context) != 1)
        return complain(why, key_file, "does not belong to the certificate");
    return RC_OK;
}

enum rc outer_tls_server(const char *cert_file, const char *key_file, SSL_CTX **out,
                         uint8_t fingerprint[FINGERPRINT_LEN], char why[256])
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL || !configure(context)) {
        text_message(why, 256, "TLS cannot be set up");
        SSL_CTX_free(context);
        return RC_SYSTEM;
    }
    SSL_CTX_set_alpn_select_cb(context, select_alpn, NULL);
    enum rc rc = load_files(context, cert_file, key_file, why);
    if (rc == RC_OK)
        rc = fingerprint_of(SSL_CTX_get0_certificate(context), fingerprint);
    if (rc != RC_OK) {
        SSL_CTX_free(context);
        return rc;
    }
    *out = context;
    return RC_OK;
}

/* `put` writes one PEM object; the file appears whole or not at all, mode 0600. */
static enum rc write_pem(const char *path, BIO *pem)
{
    char *bytes;
    long len = BIO_get_mem_data(pem, &bytes);

    return len > 0 && len < PEM_MAX ? file_replace(path, reader_of(bytes, (size_t)len)) : RC_SYSTEM;
}

enum rc outer_tls_make_certificate(const char *host, const char *cert_file, const char *key_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = NULL;
    BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());
    enum rc rc = RC_SYSTEM;

    if (key == NULL || cert_pem == NULL || key_pem == NULL)
        goto out;
    rc = certificate_self_signed(key, host, CERTIFICATE_DAYS, &cert);
    if (rc != RC_OK)
        goto out;
    rc = PEM_write_bio_X509(cert_pem, cert) == 1 &&
                 PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) == 1
             ? RC_OK
             : RC_SYSTEM;
    if (rc == RC_OK)
        rc = write_pem(key_file, key_pem);
    if (rc == RC_OK)
        rc = write_pem(cert_file, cert_pem);
out:
    BIO_free(cert_pem);
    BIO_free(key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

void outer_tls_free(SSL_CTX *context)
{
    SSL_CTX_free(context);
}

/* --- a connection ---------------------------------------------------------------------------- */

static bool is_address(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* What SSL_set_tlsext_host_name() does, without its cast. */
static bool send_name(SSL *ssl, const char *host)
{
    char name[256];

    return text_copy(name, sizeof name, host) == RC_OK &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 && send_name(ssl, host);
}

SSL *outer_tls_connection(SSL_CTX *context, const char *host)
{
    SSL *ssl = SSL_new(context);

    if (ssl == NULL)
        return NULL;
    if (host == NULL) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    if (!expect_host(ssl, host)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}
