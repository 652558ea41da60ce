#include "crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/platform.h"
#include "base/text.h"

enum { SERIAL_LEN = 16 };

static enum rc set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_LEN];

    platform_random(bytes, sizeof bytes);
    bytes[0] &= 0x7f; /* positive */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    int done = serial && X509_set_serialNumber(cert, serial);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return done ? RC_OK : RC_SYSTEM;
}

static enum rc set_dates(X509 *cert, unsigned days)
{
    if (days == 0) {
        return ASN1_TIME_set_string(X509_getm_notBefore(cert), "19700101000000Z") &&
                       ASN1_TIME_set_string(X509_getm_notAfter(cert), "99991231235959Z")
                   ? RC_OK
                   : RC_SYSTEM;
    }
    /* A day back: clocks differ. */
    return X509_gmtime_adj(X509_getm_notBefore(cert), -24 * 3600) &&
                   X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL)
               ? RC_OK
               : RC_SYSTEM;
}

static enum rc set_name(X509 *cert, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(cert);

    if (!X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0))
        return RC_SYSTEM;
    return X509_set_issuer_name(cert, subject) ? RC_OK : RC_SYSTEM;
}

static enum rc add_alternative_name(X509 *cert, const char *name)
{
    uint8_t address[16];
    char value[300];
    bool is_ip = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;

    enum rc rc = text_format(value, sizeof value, "%s:%s,DNS:localhost,IP:127.0.0.1,IP:::1",
                             is_ip ? "IP" : "DNS", name);
    if (rc != RC_OK)
        return rc;
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, value);
    int done = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return done ? RC_OK : RC_SYSTEM;
}

enum rc certificate_self_signed(EVP_PKEY *key, const char *name, unsigned days, X509 **out)
{
    X509 *cert = X509_new();
    enum rc rc = RC_SYSTEM;

    if (cert == NULL || !X509_set_version(cert, X509_VERSION_3) || !X509_set_pubkey(cert, key))
        goto out;
    rc = set_serial(cert);
    if (rc == RC_OK)
        rc = set_dates(cert, days);
    if (rc == RC_OK)
        rc = set_name(cert, name);
    if (rc == RC_OK && days > 0)
        rc = add_alternative_name(cert, name);
    if (rc != RC_OK)
        goto out;
    const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
    rc = X509_sign(cert, key, digest) > 0 ? RC_OK : RC_SYSTEM;
    if (rc != RC_OK)
        goto out;
    *out = cert;
    cert = NULL; /* the caller's now */
out:
    X509_free(cert);
    return rc;
}
