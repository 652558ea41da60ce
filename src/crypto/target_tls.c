#include "crypto/target_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

enum rc target_tls_new(SSL_CTX **out)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL)
        return RC_SYSTEM;
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* What is old is described, not refused: the person's own client decides. */
    SSL_CTX_set_security_level(context, 0);
    *out = context;
    return RC_OK;
}

void target_tls_free(SSL_CTX *context)
{
    SSL_CTX_free(context);
}

static bool is_address(const char *host)
{
    uint8_t address[16];

    return strchr(host, ':') != NULL || inet_pton(AF_INET, host, address) == 1;
}

/* What SSL_set_tlsext_host_name() does, without its cast. */
static bool send_name(SSL *ssl, const char *host)
{
    char name[256];

    return text_copy(name, sizeof name, host) == RC_OK &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

SSL *target_tls_connection(SSL_CTX *context, const char *host)
{
    SSL *ssl = SSL_new(context);

    if (ssl == NULL)
        return NULL;
    SSL_set_connect_state(ssl);
    if (host[0] != '\0' && !is_address(host) && !send_name(ssl, host))
        ERR_clear_error(); /* goes without, then */
    return ssl;
}

/* Names come from the service: printable ASCII, the rest as '?'. */
static void copy_name(X509_NAME *name, char out[CERTIFICATE_NAME_SIZE])
{
    static const int parts[] = {NID_commonName, NID_organizationName, NID_organizationalUnitName};
    int len = -1;

    out[0] = '\0';
    for (size_t i = 0; len <= 0 && i < sizeof parts / sizeof parts[0]; i++)
        len = X509_NAME_get_text_by_NID(name, parts[i], out, CERTIFICATE_NAME_SIZE);
    if (len <= 0)
        out[0] = '\0';
    for (char *c = out; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

enum rc target_tls_summary(const SSL *ssl, int64_t now, struct certificate_summary *out)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    time_t at = (time_t)now;
    int days = 0, seconds = 0;
    ASN1_TIME *from = ASN1_TIME_set(NULL, at);

    if (cert == NULL || from == NULL) {
        ASN1_TIME_free(from);
        return RC_ABSENT;
    }
    *out = (struct certificate_summary){0};
    copy_name(X509_get_subject_name(cert), out->subject);
    copy_name(X509_get_issuer_name(cert), out->issuer);
    if (ASN1_TIME_diff(&days, &seconds, from, X509_get0_notAfter(cert)) == 1)
        out->days_left = seconds < 0 && days == 0 ? -1 : days;
    out->self_signed = X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
    ASN1_TIME_free(from);
    ERR_clear_error();
    return RC_OK;
}
