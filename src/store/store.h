#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/rc.h"
#include "base/text.h"

/*
 * store -- what the hub remembers, in the words of the domain.
 *
 * Two ways to use it:
 *
 *   a command line tool    store_open, any domain function, store_close
 *   the hub                store_open, store_start; then the loop submits jobs whose run()
 *                          calls the domain functions on a store thread; store_close
 *
 * A `struct store *` belongs to one thread at a time: to its opener until
 * store_start(), then each thread of the store has one of its own, and the opener
 * only calls store_submit, store_collect and store_close.
 *
 * Every domain function:
 *   - takes the workspace where there is one, and answers RC_ABSENT for what is
 *     another workspace's exactly as for what does not exist;
 *   - takes the time (`now`, Unix seconds) and never asks a clock. A time that is
 *     not set (never used, never revoked, no expiry) is 0;
 *   - sees no secret: keys and tokens are given as the SHA-256 of their text;
 *   - borrows its arguments and writes `out` only on RC_OK, unless it says otherwise;
 *   - may also return RC_AGAIN (the database is locked by somebody else: nothing was done, try
 *     later) and RC_SYSTEM (disk full, damaged, gone: logged, store_why() has the
 *     words for a person). After either nothing of it was written.
 */
struct store;

enum {
    STORE_JOBS_MAX = 4096,              /* submitted and not yet collected */
    STORE_PAGE_MAX = 1000,              /* rows in one answer */
    STORE_WORKSPACE_KEYS_MAX = 1000,    /* that are not revoked */
    STORE_WORKSPACE_AGENTS_MAX = 20000, /* that are not revoked */
    STORE_AGENT_SERVICES_MAX = 256,
    STORE_AGENT_TOKENS_KEPT = 16, /* ended tokens of an agent that are still recognised */
    STORE_ROTATE_AGAIN_S = 10,    /* see store_token_rotate() */
    STORE_SEEN_GRAIN_S = 60       /* "last used" is exact to this */
};

/* Sizes of text fields, with the NUL. */
enum {
    STORE_ID_SIZE = 32, /* "ag_", "ws_" or "key_" and 128 random bits: 26 of Crockford's base32 */
    STORE_NAME_SIZE = TEXT_NAME_MAX + 1,
    STORE_LABEL_SIZE = 128,
    STORE_PREFIX_SIZE = 16,
    STORE_SCOPE_SIZE = 64,
    STORE_PROTOCOL_SIZE = 16,
    STORE_TARGET_SIZE = 512,
    STORE_TYPE_SIZE = 48,
    STORE_SUBJECT_SIZE = 128,
    STORE_ADDRESS_SIZE = 64,
    STORE_DETAIL_SIZE = 8192,
    STORE_WHY_SIZE = 256,
    STORE_HASH_LEN = 32,
    STORE_PUBLIC_KEY_LEN = 32
};

/* ---- life and jobs --------------------------------------------------------------- */

/*
 * Opens the database, makes it if there is none, and brings its schema up to date.
 * `url`: a path, or "sqlite:" and a path. The file gets mode 0600, a folder made for it 0700.
 * RC_INPUT: not a url we know, a file of another program, or one written by a newer
 * version of this one. RC_AGAIN, RC_SYSTEM as above. On failure `why` has one
 * sentence for a person, else "".
 */
MUST_CHECK enum rc store_open(const char *url, char why[STORE_WHY_SIZE], struct store **out);

/* Whether the database answers and can be written to (for /readyz). */
MUST_CHECK enum rc store_ping(struct store *s);

/* Why the last function on this handle failed with RC_SYSTEM or RC_AGAIN, for a person. Borrowed
 * until the next call. */
const char *store_why(const struct store *s);

/*
 * Work for a store thread; lives inside the caller's object, which is handed over
 * whole from store_submit() until done(). run() leaves its results there.
 */
struct store_job {
    /* On a store thread. `s` is the handle to use; it need not be the one submitted to. */
    void (*run)(struct store_job *job, struct store *s);
    /* On the thread that calls store_collect(). The job is the caller's again; may free it, may
     * submit. */
    void (*done)(struct store_job *job);
    struct list link; /* the store's, while submitted */
};

/*
 * Starts the store thread. `wake(arg)` is called from it, whenever
 * store_collect() has something to do; calls may be merged. It must not block.
 */
MUST_CHECK enum rc store_start(struct store *s, void (*wake)(void *arg), void *arg);

/* Jobs run and are done in the order submitted. RC_LIMIT: STORE_JOBS_MAX are under way. RC_CLOSED:
 * closing. */
MUST_CHECK enum rc store_submit(struct store *s, struct store_job *job);

/* Calls done() of every job that has run. From the submitting thread, not from a done(). */
void store_collect(struct store *s);

/*
 * Runs everything that was submitted, calls every done(), ends the thread, closes the
 * database and frees. Blocks meanwhile. Not from a done(). No wake() after it. NULL is fine.
 */
void store_close(struct store *s);

/*
 * Several functions as one: store_begin(), the functions, store_end(). store_end()
 * commits when `rc` is RC_OK and returns how that went; else it undoes everything
 * since store_begin() and returns `rc`. May be nested; the inner can be undone alone.
 */
MUST_CHECK enum rc store_begin(struct store *s);
MUST_CHECK enum rc store_end(struct store *s, enum rc rc);

/* ---- pages ----------------------------------------------------------------------- */

/* Which part of a list. A zeroed page is the first STORE_PAGE_MAX. */
struct store_page {
    const char *after; /* what the last item of the page before was found by: its id (a service: its
                          name); NULL: from the start */
    size_t limit;      /* 0 or over STORE_PAGE_MAX: STORE_PAGE_MAX */
};

/* ---- workspaces ------------------------------------------------------------------ */

struct store_workspace {
    char id[STORE_ID_SIZE];
    char name[STORE_NAME_SIZE];
    int64_t created;
};

/* RC_INPUT: not a name (the rule of service names). */
MUST_CHECK enum rc store_workspace_find_or_create(struct store *s, const char *name, int64_t now,
                                                  struct store_workspace *out);
MUST_CHECK enum rc store_workspace_find(struct store *s, const char *id,
                                        struct store_workspace *out);
MUST_CHECK enum rc store_workspace_find_name(struct store *s, const char *name,
                                             struct store_workspace *out);

/* ---- API keys -------------------------------------------------------------------- */

struct store_key {
    char id[STORE_ID_SIZE];
    char workspace[STORE_ID_SIZE];
    char prefix[STORE_PREFIX_SIZE]; /* the first characters, for people */
    char scope[STORE_SCOPE_SIZE];   /* "full" */
    int64_t created, last_used, revoked, expires;
};

/* In the order they were made, oldest first. */
struct store_key_list {
    struct store_key *items;
    size_t count;
};

/*
 * Keeps a new key. `expires` 0: never. RC_ABSENT: no such workspace. RC_EXISTS: this hash is there.
 * RC_INPUT: already over. RC_LIMIT: STORE_WORKSPACE_KEYS_MAX.
 */
MUST_CHECK enum rc store_key_create(struct store *s, const char *workspace,
                                    const uint8_t hash[STORE_HASH_LEN], const char *prefix,
                                    const char *scope, int64_t now, int64_t expires,
                                    struct store_key *out);
/*
 * The key with this hash, if it may be used now, and notes the use (as well as it can: a
 * full disk keeps nobody out). RC_ABSENT: unknown. RC_AUTH: revoked or
 * expired; `out` is written then too and says which.
 */
MUST_CHECK enum rc store_key_find(struct store *s, const uint8_t hash[STORE_HASH_LEN], int64_t now,
                                  struct store_key *out);
MUST_CHECK enum rc store_key_list(struct store *s, const char *workspace, struct store_page page,
                                  struct store_key_list *out);
void store_key_list_done(struct store_key_list *list);
/* RC_OK also when it was revoked before; the first time stays. */
MUST_CHECK enum rc store_key_revoke(struct store *s, const char *workspace, const char *id,
                                    int64_t now);

/* ---- agents ---------------------------------------------------------------------- */

struct store_agent {
    char id[STORE_ID_SIZE];
    char workspace[STORE_ID_SIZE];
    char label[STORE_LABEL_SIZE];
    char enrolled_by[STORE_ID_SIZE]; /* the id of the key that let it in; "": none */
    uint8_t public_key[STORE_PUBLIC_KEY_LEN];
    int64_t created, last_seen, revoked;
};

/* In the order they came, oldest first, revoked ones too. */
struct store_agent_list {
    struct store_agent *items;
    size_t count;
};

/*
 * RC_ABSENT: no such workspace. RC_INPUT: the label is empty or too long.
 * RC_LIMIT: STORE_WORKSPACE_AGENTS_MAX. Labels and keys may repeat: an agent is its id.
 */
MUST_CHECK enum rc store_agent_create(struct store *s, const char *workspace, const char *label,
                                      const uint8_t public_key[STORE_PUBLIC_KEY_LEN],
                                      const char *enrolled_by, int64_t now,
                                      struct store_agent *out);
/* Also a revoked one: `revoked` is then not 0. */
MUST_CHECK enum rc store_agent_find(struct store *s, const char *workspace, const char *id,
                                    struct store_agent *out);
/* The one that is not revoked and has this label. RC_EXISTS: there are several. */
MUST_CHECK enum rc store_agent_find_label(struct store *s, const char *workspace, const char *label,
                                          struct store_agent *out);
/* The newest that is not revoked and has this identity key. */
MUST_CHECK enum rc store_agent_find_key(struct store *s, const char *workspace,
                                        const uint8_t public_key[STORE_PUBLIC_KEY_LEN],
                                        struct store_agent *out);
MUST_CHECK enum rc store_agent_list(struct store *s, const char *workspace, struct store_page page,
                                    struct store_agent_list *out);
void store_agent_list_done(struct store_agent_list *list);
/* RC_INPUT as for create. */
MUST_CHECK enum rc store_agent_rename(struct store *s, const char *workspace, const char *id,
                                      const char *label);
/* Its tokens stop and its services go. RC_OK also when it was revoked before; the first time stays.
 */
MUST_CHECK enum rc store_agent_revoke(struct store *s, const char *workspace, const char *id,
                                      int64_t now);
/* Notes that it is, or was until now, connected. */
MUST_CHECK enum rc store_agent_seen(struct store *s, const char *workspace, const char *id,
                                    int64_t now);

/* ---- agent tokens ---------------------------------------------------------------- */

enum store_token_state {
    STORE_TOKEN_VALID,
    STORE_TOKEN_ROTATE_ONLY, /* replaced, in its grace: good for store_token_rotate() and nothing
                                else */
    STORE_TOKEN_REPLACED,    /* replaced, grace over */
    STORE_TOKEN_EXPIRED,
    STORE_TOKEN_REVOKED /* its agent is */
};

struct store_token {
    char agent[STORE_ID_SIZE];
    char workspace[STORE_ID_SIZE];
    enum store_token_state state;
    int64_t created, expires; /* good while now < expires */
};

/*
 * Gives the agent a token; one it had before is replaced, without grace.
 * RC_ABSENT: no such agent, or it is revoked. RC_INPUT: `expires` is not after `now`. RC_EXISTS:
 * this hash is there.
 */
MUST_CHECK enum rc store_token_create(struct store *s, const char *workspace, const char *agent,
                                      const uint8_t hash[STORE_HASH_LEN], int64_t now,
                                      int64_t expires, struct store_token *out);
/*
 * RC_OK: STORE_TOKEN_VALID, and its use is noted. RC_AUTH: any other state; `out` is written then
 * too, so that the refusal can be explained and audited. RC_ABSENT: unknown.
 */
MUST_CHECK enum rc store_token_find(struct store *s, const uint8_t hash[STORE_HASH_LEN],
                                    int64_t now, struct store_token *out);
/*
 * Replaces `old` by `fresh`, which becomes the agent's only token; `old` stays
 * STORE_TOKEN_ROTATE_ONLY for `grace_s` seconds (but not beyond its own expiry). Of many at once
 * with the same `old` exactly one gets RC_OK and the rest RC_EXISTS.
 *
 * Grace is for the agent that never heard the answer: `old` may rotate again as long as nobody
 * has used its replacement (which is then withdrawn), from STORE_ROTATE_AGAIN_S after the
 * last time on, before that RC_EXISTS. The same `fresh` again is RC_OK at once.
 *
 * RC_ABSENT: `old` unknown. RC_AUTH: expired, revoked, grace over. RC_INPUT: as create.
 */
MUST_CHECK enum rc store_token_rotate(struct store *s, const uint8_t old[STORE_HASH_LEN],
                                      const uint8_t fresh[STORE_HASH_LEN], int64_t now,
                                      int64_t expires, int64_t grace_s, struct store_token *out);

/* ---- services -------------------------------------------------------------------- */

struct store_service {
    char workspace[STORE_ID_SIZE];
    char name[STORE_NAME_SIZE];
    char agent[STORE_ID_SIZE];
    char label[STORE_LABEL_SIZE];       /* the agent's; only read */
    char protocol[STORE_PROTOCOL_SIZE]; /* "tcp" */
    char target[STORE_TARGET_SIZE];     /* for people */
    int64_t created;                    /* when this agent first had the name */
};

/* By name. */
struct store_service_list {
    struct store_service *items;
    size_t count;
};

/*
 * The agent has the name from now on, or a new target for a name it has. `instead_of`: an
 * agent that may lose the name to it (the caller knows that it is gone), or NULL.
 * RC_EXISTS: another agent has it, and `out` says which. RC_ABSENT: no such agent or it is revoked.
 * RC_INPUT: not a name, or no protocol or target. RC_LIMIT: STORE_AGENT_SERVICES_MAX.
 */
MUST_CHECK enum rc store_service_put(struct store *s, const char *workspace, const char *agent,
                                     const char *name, const char *protocol, const char *target,
                                     const char *instead_of, int64_t now,
                                     struct store_service *out);
MUST_CHECK enum rc store_service_find(struct store *s, const char *workspace, const char *name,
                                      struct store_service *out);
/* RC_ABSENT also when another agent has it. */
MUST_CHECK enum rc store_service_remove(struct store *s, const char *workspace, const char *agent,
                                        const char *name);
/* Of one agent, or of all with `agent` NULL. */
MUST_CHECK enum rc store_service_list(struct store *s, const char *workspace, const char *agent,
                                      struct store_page page, struct store_service_list *out);
void store_service_list_done(struct store_service_list *list);

/* ---- audit ----------------------------------------------------------------------- */

/* One row of a workspace's log, which can be added to and never changed. */
struct store_audit {
    int64_t seq; /* 1, 2, 3 … within the workspace, without gaps */
    int64_t time;
    char workspace[STORE_ID_SIZE];
    char type[STORE_TYPE_SIZE];       /* "agent.connected" */
    char actor[STORE_ID_SIZE];        /* the id of the agent or key that did it; "": the operator */
    char subject[STORE_SUBJECT_SIZE]; /* what it was done to: a service's name, an id; or "" */
    char address[STORE_ADDRESS_SIZE]; /* from where, or "" */
    char *detail;                     /* a JSON object, or "" */
};

struct store_audit_list {
    struct store_audit *items;
    size_t count;
};

/* NULL, or 0, leaves the choice open. */
struct store_audit_filter {
    const char *type, *actor, *subject;
    int64_t from, until; /* from <= time < until */
};

/* What is to be written; NULL texts count as "". */
struct store_audit_entry {
    const char *type, *actor, *subject, *address, *detail;
};

/* RC_ABSENT: no such workspace. RC_INPUT: no type, or a text too long for its field. `seq` may be
 * NULL. */
MUST_CHECK enum rc store_audit_append(struct store *s, const char *workspace,
                                      const struct store_audit_entry *entry, int64_t now,
                                      int64_t *seq);
/* Newest first, of those with seq < `before` (0: all); `limit` as in a page. */
MUST_CHECK enum rc store_audit_list(struct store *s, const char *workspace,
                                    const struct store_audit_filter *filter, int64_t before,
                                    size_t limit, struct store_audit_list *out);
void store_audit_list_done(struct store_audit_list *list);
