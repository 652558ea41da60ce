#pragma once

#include "hub/control_message.h"
#include "hub/service/access.h"
#include "hub/service/services.h"

/*
 * peers -- other agents of one's workspace, and the note that one has gone.
 */
struct peers_find {
    struct store_job job;
    struct outcome
        outcome; /* RC_ABSENT: none, foreign or revoked. RC_EXISTS: several have this label */
    struct services_asker asker;
    char workspace[STORE_ID_SIZE];
    char agent[CONTROL_LABEL_SIZE]; /* id or label */
    struct store_agent found;
};
MUST_CHECK enum rc peers_find_submit(struct store *s, struct peers_find *f,
                                     void (*done)(struct store_job *job));

/* Audits the disconnect of `who` (copied) after `seconds`. A failure is said in the log. */
void peers_note_gone(struct store *s, const struct identity *who, const char *ip, uint64_t seconds,
                     const char *why);
