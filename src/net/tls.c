#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

struct tls {
    SSL *ssl;
    const struct tls_events *events;
    void *owner;
    uint8_t *gather;
    struct reader *in; /* during a call only */
    struct buf *out;   /* during a call only */
    uint64_t key_bytes; /* sealed with the present key */
    const char *failure;
    bool established, stopped, gathering;
};

/* --- the BIO: OpenSSL's view of `in` and `out` ------------------------------------- */

static int bio_read(BIO *bio, char *data, size_t size, size_t *got)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *got = 0;
    if (t->in == NULL || t->in->left == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    struct reader part = reader_slice(t->in, size < t->in->left ? size : t->in->left);
    memcpy(data, part.at, part.left);
    *got = part.left;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *put)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *put = 0;
    if (t->out == NULL)
        return 0;
    buf_put(t->out, reader_of(data, len));
    if (!buf_ok(t->out))
        return 0;
    *put = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method; /* made once, never changed */

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pconnect queues");
    if (method == NULL)
        abort();
    (void)BIO_meth_set_read_ex(method, bio_read);
    (void)BIO_meth_set_write_ex(method, bio_write);
    (void)BIO_meth_set_ctrl(method, bio_control);
}

/* --- life ------------------------------------------------------------------------------ */

struct tls *tls_new(SSL *ssl, uint8_t *gather, const struct tls_events *events, void *owner)
{
    struct tls *t = mem_zalloc(sizeof *t);

    (void)CRYPTO_THREAD_run_once(&method_once, make_method);
    BIO *bio = BIO_new(method);
    if (bio == NULL)
        abort();
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    /* Exactly one record at a time is taken from `in`: what makes tls_stop() exact. */
    SSL_set_read_ahead(ssl, 0);
    (void)SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    *t = (struct tls){.ssl = ssl, .events = events, .owner = owner, .gather = gather, .failure = ""};
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    free(t);
}

/* --- failures ---------------------------------------------------------------------------- */

static bool is_about_trust(int reason)
{
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

static enum rc failed(struct tls *t)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);

    t->failure = ERR_reason_error_string(code);
    if (t->failure == NULL)
        t->failure = "the connection broke";
    log_debug("tls.failed", log_str("why", t->failure));
    ERR_clear_error();
    return is_about_trust(reason) ? RC_AUTH : RC_PROTO;
}

/* RC_AGAIN: wants more input. */
static enum rc status_of(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return RC_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return RC_EOF;
    default:
        return failed(t);
    }
}

/* --- bytes ------------------------------------------------------------------------------- */

static enum rc shake_hands(struct tls *t)
{
    int result = SSL_do_handshake(t->ssl);

    if (result != 1)
        return status_of(t, result);
    t->established = true;
    if (t->events->on_established)
        t->events->on_established(t->owner);
    return RC_OK;
}

/* One round: a record, or as many as fit the gather area; handed up once. */
static enum rc open_some(struct tls *t)
{
    size_t filled = 0;
    enum rc rc = RC_OK;

    do {
        size_t got = 0;
        int result = SSL_read_ex(t->ssl, t->gather + filled, TLS_GATHER - filled, &got);
        if (result != 1)
            rc = status_of(t, result);
        filled += got;
    } while (rc == RC_OK && t->gathering && filled < TLS_GATHER);
    if (filled > 0)
        t->events->on_plain(t->owner, reader_of(t->gather, filled));
    return rc;
}

enum rc tls_feed(struct tls *t, struct reader *in, struct buf *out)
{
    enum rc rc = RC_OK;

    t->in = in;
    t->out = out;
    t->stopped = false;
    ERR_clear_error();
    if (!t->established)
        rc = shake_hands(t);
    while (rc == RC_OK && !t->stopped)
        rc = open_some(t);
    t->in = NULL;
    t->out = NULL;
    return rc == RC_AGAIN ? RC_OK : rc;
}

void tls_stop(struct tls *t)
{
    t->stopped = true;
}

void tls_gather(struct tls *t)
{
    t->gathering = true;
}

enum rc tls_write(struct tls *t, struct reader bytes, struct buf *out)
{
    size_t put = 0;

    if (!t->established)
        return RC_SYSTEM;
    if (bytes.left == 0)
        return RC_OK;
    if (t->key_bytes > TLS_KEY_BYTES)
        tls_update_keys(t);
    struct buf *outer = t->out; /* writing from within on_plain, while feeding, is common */
    t->out = out;
    ERR_clear_error();
    int result = SSL_write_ex(t->ssl, bytes.at, bytes.left, &put);
    t->out = outer;
    if (result == 1 && put == bytes.left) {
        t->key_bytes += put;
        return RC_OK;
    }
    (void)failed(t);
    return RC_SYSTEM;
}

void tls_update_keys(struct tls *t)
{
    t->key_bytes = 0;
    if (t->established && SSL_version(t->ssl) == TLS1_3_VERSION)
        (void)SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

void tls_end(struct tls *t, struct buf *out)
{
    struct buf *outer = t->out;

    if (!t->established)
        return;
    t->out = out;
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
    t->out = outer;
}

/* --- questions ------------------------------------------------------------------------------ */

bool tls_is_established(const struct tls *t)
{
    return t->established;
}

enum rc tls_export(struct tls *t, const char *label, uint8_t out[TLS_EXPORT_LEN])
{
    if (!t->established)
        return RC_ABSENT;
    if (SSL_export_keying_material(t->ssl, out, TLS_EXPORT_LEN, label, strlen(label), NULL, 0, 0) != 1)
        return RC_SYSTEM;
    return RC_OK;
}

const char *tls_failure(const struct tls *t)
{
    return t->failure;
}

enum rc tls_peer_fingerprint(struct tls *t, uint8_t out[32])
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    unsigned len = 0;

    /* A server's certificate that was refused is only in the chain: tell what was refused. */
    if (cert == NULL && !SSL_is_server(t->ssl))
        cert = sk_X509_value(SSL_get_peer_cert_chain(t->ssl), 0);
    if (cert == NULL)
        return RC_ABSENT;
    return X509_digest(cert, EVP_sha256(), out, &len) == 1 && len == 32 ? RC_OK : RC_SYSTEM;
}
