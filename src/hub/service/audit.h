#pragma once

#include <stdint.h>

#include "store/store.h"

/*
 * audit -- rows of a workspace's log (design: who did what, when, from where).
 *
 * `detail` is written as a JSON object from typed fields, so that no other module puts JSON
 * together.
 */
struct audit_field {
    const char *key;  /* NULL: the end */
    const char *text; /* NULL: a number */
    int64_t number;
};
#define AUDIT_TEXT(k, v) ((struct audit_field){.key = (k), .text = (v)})
#define AUDIT_NUMBER(k, v) ((struct audit_field){.key = (k), .number = (int64_t)(v)})
#define AUDIT_END ((struct audit_field){0})

struct audit_row {
    const char *workspace; /* id */
    const char *type, *actor, *subject, *address;
    const struct audit_field *detail; /* ends with AUDIT_END; NULL: none */
};

/* On a store thread, as a part of what is being done: without the row the deed does not happen. */
MUST_CHECK enum rc audit_append(struct store *s, const struct audit_row *row, int64_t now);

/*
 * On the loop: submits the row by itself (a copy). `done` is told on the loop whether it was kept;
 * NULL: a row that is lost is only said in the log. False: the store takes no work; `done` is not
 * called.
 */
typedef void audit_done(void *owner, enum rc rc);
bool audit_write(struct store *s, const struct audit_row *row, audit_done *done, void *owner);
