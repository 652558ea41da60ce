#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/failure.h"
#include "agent/json.h"
#include "base/rc.h"
#include "crypto/token.h"
#include "wire/address.h"

/*
 * settings -- what the agent's folder says about who it is and where its hub is.
 *
 *     config.json         hub, its pinned fingerprint, agent id, label, workspace, hold time
 *     token               the hub's token for this agent, alone, 0600
 *     identity.key        crypto/identity.h
 *     known_agents.json   agent/pins.h
 *     services.json       agent/state.h
 *     agent.lock          held by the running agent; its process id
 *     agent.sock          agent/control.h
 *
 * config.json names the token that it belongs to by its hash: after a crash between the two
 * files there is no login, never one with the token of another hub.
 */
enum {
    SETTINGS_ID_SIZE = 64,
    SETTINGS_LABEL_SIZE = 128, /* bytes; docs/protocol.md has no more than 63 characters */
    SETTINGS_LABEL_MAX = 63,
    SETTINGS_HUB_SIZE = 320,
    SETTINGS_FINGERPRINT_SIZE = 72,
    SETTINGS_DATE_SIZE = 40,
};

struct settings {
    char folder[PATH_MAX];
    char hub[SETTINGS_HUB_SIZE];                     /* "" : none yet */
    char hub_fingerprint[SETTINGS_FINGERPRINT_SIZE]; /* "": the authorities decide */
    char label[SETTINGS_LABEL_SIZE];
    char agent_id[SETTINGS_ID_SIZE]; /* "": not enrolled */
    char workspace[SETTINGS_ID_SIZE];
    char token_expires[SETTINGS_DATE_SIZE];
    uint64_t hold_ms;
    bool has_key_hash;
    struct token_hash key_hash; /* of the API key that this agent was enrolled with */
    struct token token;         /* text "": none */
    json_t *document;           /* config.json as it was, with what we do not know */
};

/* An empty folder gives empty settings. Not RC_OK: `why`; nothing has been changed. */
MUST_CHECK enum rc settings_load(const char *folder, struct settings *out, struct failure *why);
void settings_done(struct settings *s);

/* Writes config.json. Not RC_OK: the old one is still there. */
MUST_CHECK enum rc settings_save(struct settings *s, struct failure *why);
/* The same with a new token: both files change, or none. */
MUST_CHECK enum rc settings_save_login(struct settings *s, struct failure *why);

/* "folder/name". RC_INPUT: `why`: the folder's path is too long. */
MUST_CHECK enum rc settings_path(const char *folder, const char *name, char out[PATH_MAX],
                                 struct failure *why);

/*
 * Takes the lock of the folder; it is held until the descriptor `*out` is closed. RC_EXISTS: `why`
 * names the process that has it.
 */
MUST_CHECK enum rc settings_lock(const char *folder, int *out, struct failure *why);

/* 1 to SETTINGS_LABEL_MAX printable characters without a space at either end. */
bool settings_is_label(const char *text);
/* This machine's name as a label. */
void settings_default_label(char out[SETTINGS_LABEL_SIZE]);
/* Whether two URLs lead to the same place. */
bool settings_is_same_hub(const char *one, const char *other);
