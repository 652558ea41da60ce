#include "wire/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum {
    NAME_MAX_LEN = 253, /* RFC 1035 §2.3.4, as text */
    LABEL_MAX_LEN = 63,
    ZONE_MAX_LEN = 15, /* an interface name */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* --- hosts ---------------------------------------------------------------------------- */

static bool is_ipv4(const char *host)
{
    uint8_t address[4];

    return inet_pton(AF_INET, host, address) == 1;
}

/* An IPv6 address, with a zone if it likes: "fe80::1%eth0". */
static bool is_ipv6(const char *host)
{
    uint8_t address[16];
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(host, "%");

    if (len >= sizeof bare)
        return false;
    memcpy(bare, host, len);
    bare[len] = '\0';
    if (inet_pton(AF_INET6, bare, address) != 1)
        return false;
    if (host[len] == '\0')
        return true;
    const char *zone = host + len + 1;
    size_t zone_len = strlen(zone);
    for (size_t i = 0; i < zone_len; i++)
        if (!is_name_char(zone[i]) && zone[i] != '.')
            return false;
    return zone_len > 0 && zone_len <= ZONE_MAX_LEN;
}

static bool is_label(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_name_char(s[i]))
            return false;
    return len > 0 && len <= LABEL_MAX_LEN && s[0] != '-' && s[len - 1] != '-';
}

/* Labels with dots between them, and perhaps one behind the last. */
static bool is_host_name(const char *host)
{
    const char *last = host, *at = host;

    if (strlen(host) > NAME_MAX_LEN)
        return false;
    do {
        size_t len = strcspn(at, ".");
        if (!is_label(at, len))
            return false;
        last = at;
        at += len;
        if (*at == '.')
            at++;
    } while (*at != '\0');
    /* No name ends in a number: that is meant to be an IPv4 address, and is none. */
    char behind_digits = last[strspn(last, "0123456789")];
    return behind_digits != '\0' && behind_digits != '.';
}

/* --- parts ---------------------------------------------------------------------------- */

static enum rc copy_part(char *out, size_t size, const char *from, size_t len)
{
    if (len == 0 || len >= size)
        return RC_INPUT;
    memcpy(out, from, len);
    out[len] = '\0';
    return RC_OK;
}

/* Takes a host, in brackets if it is IPv6, off the front of `*text`. */
static enum rc take_host(const char **text, struct address *out)
{
    const char *from = *text;
    bool brackets = from[0] == '[';
    size_t len;

    if (brackets)
        from++;
    len = strcspn(from, brackets ? "]" : ":/");
    if (copy_part(out->host, sizeof out->host, from, len) != RC_OK)
        return RC_INPUT;
    if (brackets && from[len++] != ']')
        return RC_INPUT;
    *text = from + len;
    if (brackets)
        return is_ipv6(out->host) ? RC_OK : RC_INPUT;
    return is_ipv4(out->host) || is_host_name(out->host) ? RC_OK : RC_INPUT;
}

static enum rc parse_port(const char *text, uint16_t least, uint16_t *out)
{
    uint64_t port;

    if (text_number(text, least, UINT16_MAX, &port) != RC_OK)
        return RC_INPUT;
    *out = (uint16_t)port;
    return RC_OK;
}

static enum rc parse_unix(const char *path, struct address *out)
{
    out->kind = ADDRESS_UNIX;
    if (path[0] != '/')
        return RC_INPUT;
    return copy_part(out->path, sizeof out->path, path, strlen(path));
}

/* host[:port][/] as in a URL; `usual` is the port when none stands there, 0: one must. */
static enum rc parse_authority(const char *text, uint16_t usual, struct address *out)
{
    char port[8] = "";

    if (take_host(&text, out) != RC_OK)
        return RC_INPUT;
    out->port = usual;
    if (*text == ':') {
        size_t len = strcspn(++text, "/");
        if (copy_part(port, sizeof port, text, len) != RC_OK ||
            parse_port(port, 1, &out->port) != RC_OK)
            return RC_INPUT;
        text += len;
    }
    if (out->port == 0)
        return RC_INPUT;
    return *text == '\0' || strcmp(text, "/") == 0 ? RC_OK : RC_INPUT;
}

/* What stands behind "scheme://"; NULL: another scheme or none. */
static const char *behind_scheme(const char *text, const char *scheme)
{
    size_t len = strlen(scheme);

    if (strncasecmp(text, scheme, len) != 0 || strncmp(text + len, "://", 3) != 0)
        return NULL;
    return text + len + 3;
}

/* --- the three forms ------------------------------------------------------------------ */

enum rc address_parse(const char *text, bool allow_zero, struct address *out)
{
    struct address a = {.kind = ADDRESS_TCP};
    enum rc rc;

    if (strncmp(text, "unix:", 5) == 0) {
        rc = parse_unix(text + 5, &a);
    } else {
        rc = take_host(&text, &a);
        if (rc == RC_OK)
            rc = *text == ':' ? parse_port(text + 1, allow_zero ? 0 : 1, &a.port) : RC_INPUT;
    }
    if (rc == RC_OK)
        *out = a;
    return rc;
}

enum rc address_parse_target(const char *text, struct address *out, const char **protocol)
{
    static const struct {
        const char *scheme;
        uint16_t port;
    } schemes[] = {{"http", 80}, {"https", 443}, {"tcp", 0}, {"udp", 0}};
    struct address a = {.kind = ADDRESS_TCP};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        const char *rest = behind_scheme(text, schemes[i].scheme);
        if (rest == NULL)
            continue;
        if (parse_authority(rest, schemes[i].port, &a) != RC_OK)
            return RC_INPUT;
        *out = a;
        *protocol = schemes[i].scheme;
        return RC_OK;
    }
    if (parse_port(text, 1, &a.port) == RC_OK)
        memcpy(a.host, "localhost", sizeof "localhost");
    else if (address_parse(text, false, &a) != RC_OK)
        return RC_INPUT;
    *out = a;
    *protocol = "tcp";
    return RC_OK;
}

enum rc address_parse_url(const char *url, struct address *out, bool *tls)
{
    struct address a = {.kind = ADDRESS_TCP};
    const char *secure = behind_scheme(url, "https");
    const char *rest = secure ? secure : behind_scheme(url, "http");

    if (rest == NULL || parse_authority(rest, secure ? 443 : 80, &a) != RC_OK)
        return RC_INPUT;
    *out = a;
    *tls = secure != NULL;
    return RC_OK;
}

/* --- questions ------------------------------------------------------------------------ */

void address_text(const struct address *a, char out[ADDRESS_TEXT_SIZE])
{
    if (a->kind == ADDRESS_UNIX)
        text_message(out, ADDRESS_TEXT_SIZE, "unix:%s", a->path);
    else if (strchr(a->host, ':'))
        text_message(out, ADDRESS_TEXT_SIZE, "[%s]:%u", a->host, a->port);
    else
        text_message(out, ADDRESS_TEXT_SIZE, "%s:%u", a->host, a->port);
}

bool address_is_loopback(const struct address *a)
{
    static const uint8_t one[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t bytes[16];

    if (a->kind == ADDRESS_UNIX || strcasecmp(a->host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, a->host, bytes) == 1)
        return bytes[0] == 127;
    if (inet_pton(AF_INET6, a->host, bytes) != 1)
        return false;
    return memcmp(bytes, one, sizeof one) == 0 ||
           (memcmp(bytes, mapped, sizeof mapped) == 0 && bytes[12] == 127);
}
