#pragma once

#include "crypto/token.h"
#include "hub/service/outcome.h"

/*
 * access -- who an agent is, by its token.
 */
enum { ACCESS_KEY_TEXT_SIZE = 2 * STORE_PUBLIC_KEY_LEN + 1 };

struct identity {
    char agent[STORE_ID_SIZE], workspace[STORE_ID_SIZE]; /* ids */
    char workspace_name[STORE_NAME_SIZE], label[STORE_LABEL_SIZE];
    char public_key[ACCESS_KEY_TEXT_SIZE]; /* hex */
    int64_t token_expires;
};

struct access {
    struct store_job job;
    struct outcome outcome; /* RC_AUTH: no such token, or it is not good any more */
    struct token_hash token;
    int64_t now;
    struct identity who;
};

/* `a->token` is set. `done` on the loop, unless this fails as store_submit(). */
MUST_CHECK enum rc access_submit(struct store *s, struct access *a,
                                 void (*done)(struct store_job *job));
