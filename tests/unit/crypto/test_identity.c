#include "crypto/identity.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static char folder[] = "identity-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/identity.key", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void write_key(const uint8_t *seed, size_t len, mode_t mode)
{
    assert_int_equal(file_replace(path, reader_of(seed, len)), RC_OK);
    assert_int_equal(chmod(path, mode), 0);
}

/* RFC 8032 section 7.1, test 1. */
static const uint8_t secret[] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
                                 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
                                 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const uint8_t public[] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
                                 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6,
                                 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};

static void the_public_half_follows_from_the_private(void **state)
{
    (void)state;
    struct identity *id = NULL;

    write_key(secret, sizeof secret, 0600);
    assert_int_equal(identity_load(path, &id), RC_OK);
    assert_memory_equal(identity_public(id), public, sizeof public);
    identity_free(id);
}

static void a_made_key_is_private_and_loads_again(void **state)
{
    (void)state;
    struct identity *made = NULL, *loaded = NULL;
    struct stat st;

    (void)unlink(path);
    assert_int_equal(identity_make(path, &made), RC_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(identity_load(path, &loaded), RC_OK);
    assert_memory_equal(identity_public(made), identity_public(loaded), IDENTITY_KEY_LEN);
    identity_free(loaded);
    loaded = NULL;
    assert_int_equal(identity_make(path, &loaded), RC_EXISTS); /* never overwritten */
    assert_null(loaded);
    identity_free(made);
}

static void refuses_what_is_no_private_key(void **state)
{
    (void)state;
    struct identity *id = NULL;

    write_key(secret, 31, 0600);
    assert_int_equal(identity_load(path, &id), RC_INPUT);
    write_key(secret, sizeof secret, 0644); /* others can read it */
    assert_int_equal(identity_load(path, &id), RC_INPUT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(identity_load(path, &id), RC_ABSENT);
    assert_null(id);
}

static void both_sides_read_the_same_six_words(void **state)
{
    (void)state;
    const char *here[IDENTITY_WORDS], *there[IDENTITY_WORDS], *other[IDENTITY_WORDS];
    uint8_t changed[IDENTITY_KEY_LEN];
    int same = 0;

    identity_words(secret, public, here);
    identity_words(public, secret, there);
    memcpy(changed, public, sizeof changed);
    changed[31] ^= 1;
    identity_words(secret, changed, other);
    for (int i = 0; i < IDENTITY_WORDS; i++) {
        assert_string_equal(here[i], there[i]);
        same += strcmp(here[i], other[i]) == 0;
    }
    assert_true(same < IDENTITY_WORDS);
}

static void a_fingerprint_is_the_hash_of_the_key(void **state)
{
    (void)state;
    char text[72];

    identity_fingerprint(public, text);
    assert_string_equal(text, "sha256:21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9");
}

/* docs/protocol.md §1.2 */
static void a_proof_is_good_for_one_key_and_one_api_key(void **state)
{
    (void)state;
    struct token_hash api_key = {{1}}, other = {{2}};
    uint8_t proof[IDENTITY_PROOF_LEN], key[IDENTITY_KEY_LEN];
    struct identity *id = NULL;

    write_key(secret, sizeof secret, 0600);
    assert_int_equal(identity_load(path, &id), RC_OK);
    assert_int_equal(identity_prove(id, &api_key, proof), RC_OK);
    identity_free(id);
    assert_int_equal(identity_check_proof(public, &api_key, proof), RC_OK);
    assert_int_equal(identity_check_proof(public, &other, proof), RC_AUTH);
    for (size_t i = 0; i < 8 * sizeof proof; i++) {
        proof[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(identity_check_proof(public, &api_key, proof), RC_AUTH);
        proof[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t i = 0; i < 8 * sizeof key; i++) {
        memcpy(key, public, sizeof key);
        key[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(identity_check_proof(key, &api_key, proof), RC_AUTH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_public_half_follows_from_the_private),
        cmocka_unit_test(a_made_key_is_private_and_loads_again),
        cmocka_unit_test(refuses_what_is_no_private_key),
        cmocka_unit_test(both_sides_read_the_same_six_words),
        cmocka_unit_test(a_fingerprint_is_the_hash_of_the_key),
        cmocka_unit_test(a_proof_is_good_for_one_key_and_one_api_key),
    };
    return cmocka_run_group_tests_name("identity", tests, set_up, tear_down);
}
