#include "crypto/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "crypto/words.h"

/* Iterations behind the six words: what a forger pays for each try (54 bits of words on top). */
enum { WORDS_ITERATIONS = 200 * 1000 };

struct identity {
    EVP_PKEY *key;
    uint8_t public_key[IDENTITY_KEY_LEN];
};

static enum rc from_seed(const uint8_t seed[IDENTITY_KEY_LEN], struct identity **out)
{
    struct identity *id = mem_zalloc(sizeof *id);
    size_t len = IDENTITY_KEY_LEN;

    id->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, IDENTITY_KEY_LEN);
    if (id->key == NULL || EVP_PKEY_get_raw_public_key(id->key, id->public_key, &len) != 1) {
        identity_free(id);
        return RC_SYSTEM;
    }
    *out = id;
    return RC_OK;
}

enum rc identity_load(const char *path, struct identity **out)
{
    uint8_t seed[IDENTITY_KEY_LEN];
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        log_debug("identity.readable_by_others", log_str("path", path));
        return RC_INPUT;
    }
    enum rc rc = file_read_exact(path, seed, sizeof seed);
    if (rc == RC_OK)
        rc = from_seed(seed, out);
    mem_wipe(seed, sizeof seed);
    return rc;
}

enum rc identity_make(const char *path, struct identity **out)
{
    uint8_t seed[IDENTITY_KEY_LEN];
    struct stat st;

    if (lstat(path, &st) == 0)
        return RC_EXISTS;
    platform_random(seed, sizeof seed);
    enum rc rc = file_replace(path, reader_of(seed, sizeof seed));
    if (rc == RC_OK)
        rc = from_seed(seed, out);
    mem_wipe(seed, sizeof seed);
    return rc;
}

void identity_free(struct identity *id)
{
    if (id == NULL)
        return;
    EVP_PKEY_free(id->key); /* wipes the private half */
    free(id);
}

const uint8_t *identity_public(const struct identity *id)
{
    return id->public_key;
}

struct evp_pkey_st *identity_key(const struct identity *id)
{
    return id->key;
}

void identity_fingerprint(const uint8_t public_key[IDENTITY_KEY_LEN], char out[72])
{
    uint8_t digest[32];
    unsigned len = 0;

    if (EVP_Digest(public_key, IDENTITY_KEY_LEN, digest, &len, EVP_sha256(), NULL) != 1)
        abort(); /* SHA-256 of 32 bytes cannot fail */
    memcpy(out, "sha256:", 7);
    text_hex(reader_of(digest, sizeof digest), out + 7);
}

/* --- the proof of possession ------------------------------------------------------------------ */

/* docs/protocol.md §1.2 */
static const char proof_context[] = "pconnect-enrol-1";
enum { PROOF_TEXT_LEN = sizeof proof_context - 1 + TOKEN_HASH_LEN + IDENTITY_KEY_LEN };

static void proof_text(const struct token_hash *api_key, const uint8_t public_key[IDENTITY_KEY_LEN],
                       struct buf *out)
{
    buf_init(out, PROOF_TEXT_LEN);
    buf_put_text(out, proof_context);
    buf_put(out, reader_of(api_key->bytes, TOKEN_HASH_LEN));
    buf_put(out, reader_of(public_key, IDENTITY_KEY_LEN));
}

enum rc identity_prove(const struct identity *id, const struct token_hash *api_key,
                       uint8_t out[IDENTITY_PROOF_LEN])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t len = IDENTITY_PROOF_LEN;
    struct buf text;

    proof_text(api_key, id->public_key, &text);
    struct reader t = buf_view(&text);
    bool ok = c != NULL && EVP_DigestSignInit(c, NULL, NULL, NULL, id->key) == 1 &&
              EVP_DigestSign(c, out, &len, t.at, t.left) == 1 && len == IDENTITY_PROOF_LEN;
    EVP_MD_CTX_free(c);
    buf_done(&text);
    return ok ? RC_OK : RC_SYSTEM;
}

enum rc identity_check_proof(const uint8_t public_key[IDENTITY_KEY_LEN],
                             const struct token_hash *api_key,
                             const uint8_t proof[IDENTITY_PROOF_LEN])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, IDENTITY_KEY_LEN);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    struct buf text;

    proof_text(api_key, public_key, &text);
    struct reader t = buf_view(&text);
    bool ok = key != NULL && c != NULL && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(c, proof, IDENTITY_PROOF_LEN, t.at, t.left) == 1;
    ERR_clear_error(); /* of a signature that is none */
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    buf_done(&text);
    return ok ? RC_OK : RC_AUTH;
}

/* --- words for people ------------------------------------------------------------------------- */

void identity_words(const uint8_t one[IDENTITY_KEY_LEN], const uint8_t other[IDENTITY_KEY_LEN],
                    const char *out[IDENTITY_WORDS])
{
    static const uint8_t salt[] = "pconnect six words";
    uint8_t both[2 * IDENTITY_KEY_LEN], digest[IDENTITY_WORDS * 2];
    bool swap = memcmp(one, other, IDENTITY_KEY_LEN) > 0; /* public keys */

    memcpy(both, swap ? other : one, IDENTITY_KEY_LEN);
    memcpy(both + IDENTITY_KEY_LEN, swap ? one : other, IDENTITY_KEY_LEN);
    if (PKCS5_PBKDF2_HMAC((const char *)both, sizeof both, salt, sizeof salt - 1, WORDS_ITERATIONS,
                          EVP_sha256(), sizeof digest, digest) != 1)
        abort();
    struct reader in = reader_of(digest, sizeof digest);
    for (size_t i = 0; i < IDENTITY_WORDS; i++)
        out[i] = words[reader_u16(&in) % WORDS_COUNT];
}
