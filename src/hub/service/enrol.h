#pragma once

#include "crypto/identity.h"
#include "crypto/token.h"
#include "hub/service/outcome.h"

/*
 * enrol -- letting an agent into a workspace by an API key (docs/protocol.md §1.2).
 *
 * An identity key that the workspace knows already keeps its agent id, so that what others have
 * pinned to the id stays true when `connect up` is run again; its earlier token ends. So it takes a
 * proof: everybody in the workspace may know the public half.
 */
enum { ENROL_VERSION_SIZE = 32 };

struct enrol {
    struct store_job job;
    /* RC_AUTH: the API key is unknown, revoked or expired. RC_INPUT: the proof is none. RC_LIMIT:
     * too many agents. */
    struct outcome outcome;

    /* Asked. */
    struct token_hash api_key, fresh; /* `fresh`: of the new agent token */
    char label[STORE_LABEL_SIZE];
    uint8_t public_key[STORE_PUBLIC_KEY_LEN];
    uint8_t proof[IDENTITY_PROOF_LEN]; /* that the asker has its private half */
    char version[ENROL_VERSION_SIZE], os[ENROL_VERSION_SIZE];
    char ip[STORE_ADDRESS_SIZE];
    int64_t token_days;

    /* Answered. */
    int64_t now, token_expires;
    struct store_agent agent;
    struct store_workspace workspace;
};

MUST_CHECK enum rc enrol_submit(struct store *s, struct enrol *e,
                                void (*done)(struct store_job *job));
