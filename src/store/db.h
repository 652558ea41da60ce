#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"

/*
 * db -- the little that store/ asks of a database: prepare, bind, step.
 *
 * SQL is written once, in what SQLite and PostgreSQL share: parameters $1, $2 … (each
 * of which may occur several times), ON CONFLICT, RETURNING. Values are always bound. Byte strings
 * are stored as lower-case hex text, times as Unix seconds, "not set" as NULL.
 *
 *     struct db_query *q = db_query(db, "SELECT name FROM workspaces WHERE id = $1");
 *     db_bind_text(q, 1, id);
 *     enum rc rc = db_next(q);
 *     if (rc == RC_OK)
 *         db_text(q, 0, out->name, sizeof out->name);
 *     rc = db_finish(q, rc);
 *
 * Failures are sticky: a query that could not be prepared or bound, or had a
 * column that did not fit, says so in db_next() or db_finish().
 *
 * Results: RC_EXISTS a unique value is there already; RC_ABSENT a row that is referred to is
 * not there; RC_INPUT a check of the schema failed; RC_AGAIN locked by somebody else for too
 * long; RC_SYSTEM all else. The last two are logged here and db_why() says them to a person.
 *
 * One thread at a time. SQLite is db_sqlite.c.
 */
struct db;
struct db_query;

enum {
    DB_WHY_SIZE = 256,
    DB_QUERIES_MAX = 128, /* different statements of the program */
    DB_PARAMETERS_MAX = 16,
    DB_HEX_MAX = 32, /* bytes in a byte string */
    DB_NESTING_MAX = 8,
    DB_BUSY_MS = 5000 /* waits this long for somebody else's lock */
};

/*
 * Makes file and folder when absent. RC_INPUT: not ours. On failure `why` has one sentence.
 * The first opening of a new file must not run in two threads of one process at once.
 */
MUST_CHECK enum rc db_open(const char *path, char why[DB_WHY_SIZE], struct db **out);
void db_close(struct db *db); /* what is not committed is undone; NULL is fine */

const char *db_why(const struct db *db);

/* The name of the driver as in the names of schema files: "sqlite". */
const char *db_driver(void);

/* ---- transactions ---------------------------------------------------------------- */

/*
 * As store_begin() and store_end(). Transactions are serialisable: what one has read still holds
 * when it commits. The outermost takes the lock for writing at once. One that the database has
 * undone by itself (disk full) fails every query until its outermost db_end().
 */
MUST_CHECK enum rc db_begin(struct db *db);
MUST_CHECK enum rc db_end(struct db *db, enum rc rc);
/* How many db_begin() are open. */
unsigned db_nesting(const struct db *db);

/* Runs statements that return nothing and take no values: the schema's. */
MUST_CHECK enum rc db_script(struct db *db, const char *sql);
/* Whether there is a table of this name. */
MUST_CHECK enum rc db_has_table(struct db *db, const char *name, bool *out);

/* ---- queries --------------------------------------------------------------------- */

/* `sql` is a string literal: its address is what the prepared statement is kept under. Never NULL.
 */
struct db_query *db_query(struct db *db, const char *sql);

void db_bind_text(struct db_query *q, unsigned parameter, const char *text); /* NULL: NULL */
void db_bind_int(struct db_query *q, unsigned parameter, int64_t value);
void db_bind_time(struct db_query *q, unsigned parameter, int64_t value); /* 0: NULL */
void db_bind_hex(struct db_query *q, unsigned parameter, const uint8_t *bytes, size_t len);

/* RC_OK: there is a row. RC_EOF: no more. */
MUST_CHECK enum rc db_next(struct db_query *q);
/*
 * Ends the query, always needed. With RC_OK it is run to its end first, and what comes
 * back is how that went; RC_EOF comes back as RC_ABSENT, any other `rc` as it is.
 */
MUST_CHECK enum rc db_finish(struct db_query *q, enum rc rc);
/* For one that returns no rows: db_next() to its end and db_finish(). */
MUST_CHECK enum rc db_run(struct db_query *q);

/* Columns of the row, from 0. */
int64_t db_int(struct db_query *q, unsigned column);                       /* NULL: 0 */
void db_text(struct db_query *q, unsigned column, char *out, size_t size); /* NULL: "" */
char *db_text_dup(struct db_query *q, unsigned column); /* the caller's; NULL: "" */
void db_hex(struct db_query *q, unsigned column, uint8_t *out, size_t len); /* NULL: zeros */
