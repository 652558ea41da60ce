#include <string.h>

#include "base/platform.h"
#include "store/inside.h"

enum { ID_RANDOM_LEN = 16 };

/* Crockford's base32: no i, l, o, u, so that an id can be read out and typed. */
static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void id_make(const char *prefix, char out[STORE_ID_SIZE])
{
    uint8_t random[ID_RANDOM_LEN];
    size_t lead = strlen(prefix);
    uint32_t bits = 0;
    unsigned held = 2; /* 26 characters hold 130 bits: the first begins with two zeros */

    platform_random(random, sizeof random);
    memcpy(out, prefix, lead);
    out += lead;
    for (size_t i = 0; i < sizeof random; i++) {
        bits = bits << 8 | random[i];
        for (held += 8; held >= 5; held -= 5)
            *out++ = alphabet[bits >> (held - 5) & 31];
    }
    *out = '\0';
}
