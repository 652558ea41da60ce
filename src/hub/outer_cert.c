#include "hub/outer_cert.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* The name in the certificate that we make: agents pin the fingerprint, browsers want to see a
 * name. */
static void own_name(const struct config *c, char out[256])
{
    struct address at;
    bool tls;

    if (*c->public_url && address_parse_url(c->public_url, &at, &tls) == RC_OK)
        text_message(out, 256, "%s", at.host);
    else if (gethostname(out, 256) != 0 || out[0] == '\0')
        text_message(out, 256, "localhost");
    out[255] = '\0';
}

static enum rc make_if_absent(const struct config *c, const char *cert, const char *key, bool *made,
                              char why[CONFIG_WHY_SIZE])
{
    char host[256];

    *made = access(cert, F_OK) != 0 && access(key, F_OK) != 0;
    if (!*made)
        return RC_OK;
    own_name(c, host);
    errno = 0;
    if (outer_tls_make_certificate(host, cert, key) == RC_OK)
        return RC_OK;
    text_message(why, CONFIG_WHY_SIZE, "cannot make a certificate in %.300s: %.100s", c->data,
                 errno ? strerror(errno) : "the library refused");
    return RC_INPUT;
}

enum rc outer_cert_load(const struct config *c, struct outer_cert *out, char why[CONFIG_WHY_SIZE])
{
    char own_cert[PATH_MAX], own_key[PATH_MAX], what[256] = "";
    const char *cert = c->tls_cert, *key = c->tls_key;
    struct outer_cert oc = {.own = *c->tls_cert == '\0'};
    uint8_t fingerprint[FINGERPRINT_LEN];
    enum rc rc = RC_OK;

    if (oc.own) {
        cert = own_cert;
        key = own_key;
        if (text_format(own_cert, sizeof own_cert, "%s/tls.crt", c->data) != RC_OK ||
            text_format(own_key, sizeof own_key, "%s/tls.key", c->data) != RC_OK) {
            text_message(why, CONFIG_WHY_SIZE, "the path of the data folder is too long");
            return RC_INPUT;
        }
        rc = make_if_absent(c, cert, key, &oc.made, why);
    }
    if (rc != RC_OK)
        return rc;
    rc = outer_tls_server(cert, key, &oc.tls, fingerprint, what);
    if (rc != RC_OK) {
        text_message(why, CONFIG_WHY_SIZE, "certificate: %.250s", what);
        return RC_INPUT;
    }
    fingerprint_text(fingerprint, oc.fingerprint);
    *out = oc;
    return RC_OK;
}
