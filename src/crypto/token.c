#include "crypto/token.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"

enum { BINARY_LEN = 32, API_KEY_CHARS = 32, API_KEY_PREFIX_CHARS = 11 };

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char hex[] = "0123456789abcdef";

/* How a kind is written: `chars` characters of `alphabet` behind `prefix`. */
static const struct shape {
    const char *prefix;
    const char *alphabet;
    size_t chars;
} shapes[TOKEN_KINDS_] = {
    [TOKEN_API_KEY] = {"pc_", base62, API_KEY_CHARS},
    [TOKEN_AGENT] = {"pct_", hex, 2 * BINARY_LEN},
    [TOKEN_TICKET] = {"", hex, 2 * BINARY_LEN},
};

/* Bytes from 248 up are thrown away: 248 is a multiple of 62, so every character is equally likely.
 */
static void random_base62(char *out, size_t chars)
{
    uint8_t pool[64];
    size_t at = sizeof pool;

    while (chars > 0) {
        if (at == sizeof pool) {
            platform_random(pool, sizeof pool);
            at = 0;
        }
        uint8_t byte = pool[at++];
        if (byte >= 248)
            continue;
        *out++ = base62[byte % 62];
        chars--;
    }
    *out = '\0';
    mem_wipe(pool, sizeof pool);
}

static void random_hex(char *out)
{
    uint8_t bytes[BINARY_LEN];

    platform_random(bytes, sizeof bytes);
    text_hex(reader_of(bytes, sizeof bytes), out);
    mem_wipe(bytes, sizeof bytes);
}

void token_make(enum token_kind kind, struct token *out)
{
    const struct shape *shape = &shapes[kind];
    size_t lead = strlen(shape->prefix);

    memset(out, 0, sizeof *out);
    memcpy(out->text, shape->prefix, lead);
    if (shape->alphabet == base62)
        random_base62(out->text + lead, shape->chars);
    else
        random_hex(out->text + lead);
}

void token_wipe(struct token *t)
{
    mem_wipe(t, sizeof *t);
}

bool token_has_shape(enum token_kind kind, struct reader text)
{
    const struct shape *shape = &shapes[kind];
    struct reader lead = reader_slice(&text, strlen(shape->prefix));

    if (!reader_ok(&text) || !reader_is(lead, shape->prefix) || text.left != shape->chars)
        return false;
    while (text.left > 0)
        if (memchr(shape->alphabet, reader_u8(&text), strlen(shape->alphabet)) == NULL)
            return false;
    return true;
}

enum rc token_read(enum token_kind kind, struct reader text, struct token *out)
{
    if (!token_has_shape(kind, text))
        return RC_INPUT;
    memset(out, 0, sizeof *out);
    reader_copy(&text, out->text, text.left);
    return RC_OK;
}

static void sha256(struct reader text, struct token_hash *out)
{
    unsigned len = 0;

    if (EVP_Digest(text.at, text.left, out->bytes, &len, EVP_sha256(), NULL) != 1)
        abort(); /* SHA-256 of a few bytes cannot fail; a wrong hash must not be used */
    assert(len == TOKEN_HASH_LEN);
}

enum rc token_hash_of(enum token_kind kind, struct reader text, struct token_hash *out)
{
    if (!token_has_shape(kind, text))
        return RC_AUTH;
    sha256(text, out);
    return RC_OK;
}

struct token_hash token_hash(const struct token *t)
{
    struct token_hash hash;

    sha256(reader_of_text(t->text), &hash);
    return hash;
}

bool token_hash_equal(const struct token_hash *one, const struct token_hash *other)
{
    return CRYPTO_memcmp(one->bytes, other->bytes, TOKEN_HASH_LEN) == 0;
}

void token_prefix(const struct token *api_key, char out[TOKEN_PREFIX_SIZE])
{
    memcpy(out, api_key->text, API_KEY_PREFIX_CHARS);
    out[API_KEY_PREFIX_CHARS] = '\0';
}
