#pragma once

#include "hub/control_message.h"
#include "hub/service/access.h"
#include "hub/service/outcome.h"

/*
 * services -- what agents expose, as the store remembers it, and the audit rows that go with it.
 *
 * Which names are in use by agents that are connected now is the registry's matter: whoever submits
 * here has reserved the name there. So a name that the store gives to another agent belongs to one
 * that is away, and changes hands.
 */

/* In every job below: for the caller. */
struct services_asker {
    void *owner;
    uint64_t id;
};

/* Names come to an agent; with `hello` it has just connected and these are all it has. */
struct services_put {
    struct store_job job;
    struct outcome outcome; /* RC_LIMIT: too many names. RC_AUTH: the agent is revoked */
    struct services_asker asker;
    struct identity who;
    char ip[STORE_ADDRESS_SIZE];
    bool hello;
    char version[CONTROL_VERSION_SIZE]; /* with hello */
    struct control_service *items;      /* the job's; services_put_free() */
    size_t count;
};
MUST_CHECK enum rc services_put_submit(struct store *s, struct services_put *p,
                                       void (*done)(struct store_job *job));
void services_put_free(struct services_put *p);

struct services_remove {
    struct store_job job;
    struct outcome outcome; /* RC_ABSENT: it had no such name */
    struct services_asker asker;
    struct identity who;
    char ip[STORE_ADDRESS_SIZE];
    char name[CONTROL_NAME_SIZE];
};
MUST_CHECK enum rc services_remove_submit(struct store *s, struct services_remove *r,
                                          void (*done)(struct store_job *job));

/* Whether a name that no connected agent has is known in the workspace: RC_OK or RC_ABSENT. */
struct services_find {
    struct store_job job;
    struct outcome outcome;
    struct services_asker asker;
    char workspace[STORE_ID_SIZE];
    char name[CONTROL_NAME_SIZE];
};
MUST_CHECK enum rc services_find_submit(struct store *s, struct services_find *f,
                                        void (*done)(struct store_job *job));

struct services_list {
    struct store_job job;
    struct outcome outcome;
    struct services_asker asker;
    char workspace[STORE_ID_SIZE];
    struct store_service_list list; /* services_list_free() */
};
MUST_CHECK enum rc services_list_submit(struct store *s, struct services_list *l,
                                        void (*done)(struct store_job *job));
void services_list_free(struct services_list *l);
