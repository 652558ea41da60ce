#include "hub/client_ip.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const uint8_t address[16])
{
    return memcmp(address, v4_prefix, sizeof v4_prefix) == 0;
}

/* Either family to 16 bytes. */
static enum rc parse_ip(const char *text, uint8_t out[16])
{
    if (inet_pton(AF_INET6, text, out) == 1)
        return RC_OK;
    memcpy(out, v4_prefix, sizeof v4_prefix);
    return inet_pton(AF_INET, text, out + sizeof v4_prefix) == 1 ? RC_OK : RC_INPUT;
}

static bool same_bits(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));

    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool is_zero_behind(const uint8_t address[16], unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if (address[i / 8] & (0x80u >> (i % 8)))
            return false;
    return true;
}

enum rc ip_range_parse(const char *text, struct ip_range *out)
{
    struct ip_range range = {.bits = 128};
    char ip[CLIENT_IP_SIZE];
    uint64_t bits;
    const char *slash = strchr(text, '/');

    enum rc rc = text_copy(ip, sizeof ip, text);
    if (rc != RC_OK)
        return RC_INPUT;
    if (slash)
        ip[slash - text] = '\0';
    rc = parse_ip(ip, range.address);
    if (rc != RC_OK)
        return rc;
    if (slash) {
        unsigned before = strchr(ip, ':') ? 0 : 96; /* a length of IPv4 counts behind ::ffff: */
        rc = text_number(slash + 1, 0, 128 - before, &bits);
        if (rc != RC_OK)
            return rc;
        range.bits = (uint8_t)(before + bits);
    }
    if (!is_zero_behind(range.address, range.bits))
        return RC_INPUT;
    *out = range;
    return RC_OK;
}

bool ip_range_has(const struct ip_range *range, const char *ip)
{
    uint8_t address[16];

    return parse_ip(ip, address) == RC_OK && same_bits(range->address, address, range->bits);
}

/* As text in one form only: IPv4 as such, IPv6 shortened. */
static enum rc normal(const char *ip, char out[CLIENT_IP_SIZE])
{
    uint8_t address[16];

    if (parse_ip(ip, address) != RC_OK)
        return RC_INPUT;
    const char *text = is_v4(address) ? inet_ntop(AF_INET, address + 12, out, CLIENT_IP_SIZE)
                                      : inet_ntop(AF_INET6, address, out, CLIENT_IP_SIZE);
    return text ? RC_OK : RC_INPUT;
}

static void set_unknown(char out[CLIENT_IP_SIZE])
{
    text_message(out, CLIENT_IP_SIZE, "unknown");
}

/* `len` bytes of "ip", "ip:port", "[ip]:port" or "[ip]". */
static enum rc parse_peer(const char *peer, size_t len, char out[CLIENT_IP_SIZE])
{
    char ip[CLIENT_IP_SIZE + 8];

    if (len >= sizeof ip)
        return RC_INPUT;
    memcpy(ip, peer, len);
    ip[len] = '\0';
    char *close = strchr(ip, ']'), *colon = strchr(ip, ':');
    if (ip[0] == '[' && close) {
        *close = '\0';
        return normal(ip + 1, out);
    }
    if (colon && colon == strrchr(ip, ':'))
        *colon = '\0';
    return normal(ip, out);
}

void client_ip_of_peer(const char *peer, char out[CLIENT_IP_SIZE])
{
    if (parse_peer(peer, strlen(peer), out) != RC_OK)
        set_unknown(out);
}

static bool is_trusted(const char *ip, const struct ip_range *trusted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ip_range_has(&trusted[i], ip))
            return true;
    return false;
}

void client_ip_forwarded(const char *peer, const char *forwarded_for,
                         const struct ip_range *trusted, size_t trusted_count,
                         char out[CLIENT_IP_SIZE])
{
    size_t end = forwarded_for ? strlen(forwarded_for) : 0;

    client_ip_of_peer(peer, out);
    while (end > 0 && is_trusted(out, trusted, trusted_count)) {
        char next[CLIENT_IP_SIZE];
        size_t start = end;
        while (start > 0 && forwarded_for[start - 1] != ',')
            start--;
        size_t first = start, last = end;
        while (first < last && (forwarded_for[first] == ' ' || forwarded_for[first] == '\t'))
            first++;
        while (last > first && (forwarded_for[last - 1] == ' ' || forwarded_for[last - 1] == '\t'))
            last--;
        if (parse_peer(forwarded_for + first, last - first, next) != RC_OK)
            return; /* nothing before a word that is no address can be believed */
        memcpy(out, next, sizeof next);
        end = start > 0 ? start - 1 : 0;
    }
}

void client_ip_mask(const char *ip, char out[CLIENT_IP_SIZE])
{
    uint8_t a[16];

    if (parse_ip(ip, a) != RC_OK)
        set_unknown(out);
    else if (is_v4(a))
        text_message(out, CLIENT_IP_SIZE, "%u.%u.x.x", a[12], a[13]);
    else
        text_message(out, CLIENT_IP_SIZE, "%x:%x:%x::x", a[0] << 8 | a[1], a[2] << 8 | a[3],
                     a[4] << 8 | a[5]);
}
