#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"

/*
 * token -- the bearer secrets that the hub hands out, and what it keeps of them.
 *
 *     kind            text                        random bits   for
 *     TOKEN_API_KEY   pc_  + 32 of 0-9 A-Z a-z    190           people and scripts
 *     TOKEN_AGENT     pct_ + 64 hex digits        256           one agent
 *     TOKEN_TICKET           64 hex digits        256           one leg of one pipe
 * (docs/protocol.md §3)
 *
 * The hub shows a token once and keeps only its SHA-256. A single hash is enough,
 * and fast, because the values are random and far too long to be guessed.
 */
enum token_kind { TOKEN_API_KEY, TOKEN_AGENT, TOKEN_TICKET, TOKEN_KINDS_ };

enum {
    TOKEN_TEXT_SIZE = 72, /* the longest text and its NUL */
    TOKEN_HASH_LEN = 32,
    TOKEN_PREFIX_SIZE = 12 /* see token_prefix() */
};

/* A secret: whoever has one calls token_wipe() on every way out. */
struct token {
    char text[TOKEN_TEXT_SIZE];
};

/* Not a secret, but whoever compares one with what a peer sent uses token_hash_equal(). */
struct token_hash {
    uint8_t bytes[TOKEN_HASH_LEN];
};

/* A new random one. */
void token_make(enum token_kind kind, struct token *out);
void token_wipe(struct token *t);

/* Whether `text` is written as a token of this kind is; not whether there is one. */
bool token_has_shape(enum token_kind kind, struct reader text);

/* Copies what somebody typed or sent. RC_INPUT: not the shape of this kind. */
MUST_CHECK enum rc token_read(enum token_kind kind, struct reader text, struct token *out);

/* The hash of what a peer sent. RC_AUTH: not the shape of this kind, so there is none like it. */
MUST_CHECK enum rc token_hash_of(enum token_kind kind, struct reader text, struct token_hash *out);
/* The hash of one of ours. */
struct token_hash token_hash(const struct token *t);
/* In constant time. */
bool token_hash_equal(const struct token_hash *one, const struct token_hash *other);

/*
 * The beginning of an API key by which a person tells keys apart in a list:
 * "pc_" and 8 characters, which leaves 142 bits unsaid. Only for TOKEN_API_KEY.
 */
void token_prefix(const struct token *api_key, char out[TOKEN_PREFIX_SIZE]);
