#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

/* Marks the file as ours ("PCon"), so that another program's database is never touched. */
enum { APPLICATION_ID = 0x50436f6e, OPEN_TRIES_MS = 20 };

struct db_query {
    struct db *db;
    const char *sql;
    sqlite3_stmt *stmt;
    int index[DB_PARAMETERS_MAX + 1]; /* SQLite numbers $n by first occurrence */
    enum rc rc;                       /* the first failure */
    bool in_use, ended;
};

struct db {
    sqlite3 *handle;
    unsigned nesting;
    char path[PATH_MAX];
    char why[DB_WHY_SIZE];
    size_t query_count;
    struct db_query queries[DB_QUERIES_MAX];
};

/* ---- failures -------------------------------------------------------------------- */

static enum rc constraint_rc(int code)
{
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return RC_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return RC_ABSENT;
    case SQLITE_CONSTRAINT_CHECK:
    case SQLITE_CONSTRAINT_NOTNULL:
        return RC_INPUT;
    default:
        return RC_SYSTEM; /* a trigger of the schema forbids it */
    }
}

/* What the person at the machine can act on. `system` is errno as the failed call left it, or 0. */
static void explain(struct db *db, int code, int system)
{
    const char *detail = system != 0 ? strerror(system) : sqlite3_errstr(code);
    const char *path = db->path;

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        text_message(db->why, sizeof db->why, "database locked by another program: %.180s", path);
        break;
    case SQLITE_FULL:
        text_message(db->why, sizeof db->why, "disk full: no space left for %.180s", path);
        break;
    case SQLITE_IOERR:
        if (system == ENOSPC || system == EDQUOT)
            text_message(db->why, sizeof db->why, "disk full: %s: %.180s", detail, path);
        else
            text_message(db->why, sizeof db->why, "cannot read or write %.160s: %s", path, detail);
        break;
    case SQLITE_READONLY:
        text_message(db->why, sizeof db->why, "database is read-only: %.180s", path);
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        text_message(db->why, sizeof db->why, "cannot open %.180s: %s", path, detail);
        break;
    case SQLITE_CORRUPT:
        text_message(db->why, sizeof db->why, "database damaged: %.180s", path);
        break;
    case SQLITE_NOTADB:
        text_message(db->why, sizeof db->why, "not a database: %.180s", path);
        break;
    default: /* names tables and columns at most, never values */
        text_message(db->why, sizeof db->why, "database error: %s",
                     db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
        break;
    }
}

static enum rc fail(struct db *db, int code)
{
    int system = errno;
    enum rc rc = RC_SYSTEM;

    if ((code & 0xff) == SQLITE_CONSTRAINT)
        rc = constraint_rc(code);
    else if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
        rc = RC_AGAIN;
    if (rc != RC_SYSTEM && rc != RC_AGAIN)
        return rc;

    explain(db, code, system);
    if (rc == RC_AGAIN)
        log_warn("db.locked", log_str("why", db->why));
    else
        log_error("db.failed", log_str("why", db->why), log_str("code", sqlite3_errstr(code)));
    return rc;
}

const char *db_why(const struct db *db)
{
    return db->why;
}

const char *db_driver(void)
{
    return "sqlite";
}

/* ---- open ------------------------------------------------------------------------ */

static enum rc make_folder_of(struct db *db)
{
    char folder[PATH_MAX];
    char *slash;

    enum rc rc = text_copy(folder, sizeof folder, db->path);
    if (rc != RC_OK || (slash = strrchr(folder, '/')) == NULL || slash == folder)
        return rc;
    *slash = '\0';
    rc = file_make_folder(folder);
    if (rc != RC_OK)
        text_message(db->why, sizeof db->why, "cannot make the folder %.160s: %s", folder,
                     rc == RC_INPUT ? "there is a file of this name" : strerror(errno));
    return rc;
}

/*
 * SQLite would make the file readable by others. One that exists is not opened here: closing
 * any descriptor of it would drop the locks that this process has on it.
 */
static enum rc make_file(struct db *db)
{
    struct stat st;
    int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0)
        return close(fd) == 0 ? RC_OK : fail(db, SQLITE_CANTOPEN);
    if (errno != EEXIST || stat(db->path, &st) != 0)
        return fail(db, SQLITE_CANTOPEN);
    if (!S_ISREG(st.st_mode)) {
        text_message(db->why, sizeof db->why, "not a file: %.180s", db->path);
        return RC_INPUT;
    }
    if ((st.st_mode & 077) != 0 && chmod(db->path, 0600) != 0)
        return fail(db, SQLITE_CANTOPEN);
    return RC_OK;
}

/* One number that SQLite answers to `sql`. */
static int ask(struct db *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);

    if (code == SQLITE_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* SQLITE_NOTADB: the file is somebody else's. */
static int claim(struct db *db)
{
    int64_t application = 0, tables = 0;

    int code = ask(db, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = ask(db, "SELECT count(*) FROM sqlite_master", &tables);
    if (code != SQLITE_OK || application == APPLICATION_ID)
        return code;
    if (application != 0 || tables != 0)
        return SQLITE_NOTADB;
    _Static_assert(APPLICATION_ID == 1346596718, "the number in the statement below");
    return sqlite3_exec(db->handle, "PRAGMA application_id = 1346596718", NULL, NULL, NULL);
}

static int configure(struct db *db)
{
    static const char settings[] = "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;" /* a commit survives power loss */
                                   "PRAGMA fullfsync = ON;"
                                   "PRAGMA foreign_keys = ON;"
                                   "PRAGMA recursive_triggers = ON;" /* REPLACE meets them too */
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA cell_size_check = ON;"
                                   "PRAGMA journal_size_limit = 67108864";

    int code = claim(db);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db->handle, settings, NULL, NULL, NULL);
    return code;
}

static enum rc open_file(struct db *db)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

    errno = 0;
    int code = sqlite3_open_v2(db->path, &db->handle, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(db->handle, DB_BUSY_MS);
    if (code == SQLITE_OK)
        code = sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code == SQLITE_OK)
        code = configure(db);
    /* Going over to WAL does not wait for the lock by itself when somebody else does so too. */
    for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited < DB_BUSY_MS;
         waited += OPEN_TRIES_MS) {
        (void)sqlite3_sleep(OPEN_TRIES_MS);
        code = configure(db);
    }
    if (code == SQLITE_NOTADB) {
        text_message(db->why, sizeof db->why, "not a database of this program: %.180s", db->path);
        return RC_INPUT;
    }
    return code == SQLITE_OK ? RC_OK : fail(db, code);
}

enum rc db_open(const char *path, char why[DB_WHY_SIZE], struct db **out)
{
    struct db *db = mem_zalloc(sizeof *db);

    enum rc rc = text_copy(db->path, sizeof db->path, path);
    if (rc != RC_OK || path[0] == '\0') {
        text_message(db->why, sizeof db->why, "not a file name: \"%.100s\"", path);
        rc = RC_INPUT;
    }
    if (rc == RC_OK)
        rc = make_folder_of(db);
    if (rc == RC_OK)
        rc = make_file(db);
    if (rc == RC_OK)
        rc = open_file(db);
    text_message(why, DB_WHY_SIZE, "%s", rc == RC_OK ? "" : db->why);
    if (rc != RC_OK) {
        db_close(db);
        return rc;
    }
    *out = db;
    return RC_OK;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < db->query_count; i++)
        (void)sqlite3_finalize(db->queries[i].stmt);
    int code = sqlite3_close(db->handle);
    assert(code == SQLITE_OK);
    (void)code;
    free(db);
}

/* ---- transactions ---------------------------------------------------------------- */

static enum rc execute(struct db *db, const char *sql)
{
    errno = 0; /* SQLite does not keep the reason of every failed write */
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? RC_OK : fail(db, code);
}

/* Some failures make SQLite roll back the whole transaction by itself. What follows must not be
 * committed one by one. */
static bool is_lost(const struct db *db)
{
    return db->nesting > 0 && sqlite3_get_autocommit(db->handle) != 0;
}

enum rc db_begin(struct db *db)
{
    assert(db->nesting < DB_NESTING_MAX);
    if (is_lost(db))
        return RC_SYSTEM;
    enum rc rc = execute(db, db->nesting == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT nested");
    if (rc == RC_OK)
        db->nesting++;
    return rc;
}

static enum rc undo(struct db *db, bool nested)
{
    return execute(db, nested ? "ROLLBACK TO nested; RELEASE nested" : "ROLLBACK");
}

enum rc db_end(struct db *db, enum rc rc)
{
    assert(db->nesting > 0);
    bool lost = is_lost(db);
    bool nested = --db->nesting > 0;

    if (lost)
        return rc == RC_OK ? RC_SYSTEM : rc;
    if (rc == RC_OK)
        rc = execute(db, nested ? "RELEASE nested" : "COMMIT");
    if (rc != RC_OK && sqlite3_get_autocommit(db->handle) == 0) {
        enum rc undone = undo(db, nested);
        (void)undone; /* logged; what is open is undone at the latest by the next opening */
    }
    return rc;
}

unsigned db_nesting(const struct db *db)
{
    return db->nesting;
}

enum rc db_script(struct db *db, const char *sql)
{
    return is_lost(db) ? RC_SYSTEM : execute(db, sql);
}

enum rc db_has_table(struct db *db, const char *name, bool *out)
{
    struct db_query *q =
        db_query(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1");

    db_bind_text(q, 1, name);
    enum rc rc = db_next(q);
    int64_t count = rc == RC_OK ? db_int(q, 0) : 0;
    rc = db_finish(q, rc);
    if (rc == RC_OK)
        *out = count > 0;
    return rc;
}

/* ---- queries --------------------------------------------------------------------- */

static struct db_query *find(struct db *db, const char *sql)
{
    for (size_t i = 0; i < db->query_count; i++)
        if (db->queries[i].sql == sql)
            return &db->queries[i];
    assert(db->query_count < DB_QUERIES_MAX);
    struct db_query *q = &db->queries[db->query_count++];
    *q = (struct db_query){.db = db, .sql = sql};
    return q;
}

static void number_parameters(struct db_query *q)
{
    int count = sqlite3_bind_parameter_count(q->stmt);

    for (int i = 1; i <= count; i++) {
        const char *name = sqlite3_bind_parameter_name(q->stmt, i);
        uint64_t number = 0;
        enum rc rc = name == NULL ? RC_INPUT : text_number(name + 1, 1, DB_PARAMETERS_MAX, &number);
        assert(rc == RC_OK);
        q->index[number] = i;
    }
}

struct db_query *db_query(struct db *db, const char *sql)
{
    struct db_query *q = find(db, sql);

    assert(!q->in_use);
    q->in_use = true;
    q->ended = false;
    q->rc = is_lost(db) ? RC_SYSTEM : RC_OK;
    if (q->stmt != NULL || q->rc != RC_OK)
        return q;
    int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    if (code == SQLITE_OK)
        number_parameters(q);
    else
        q->rc = fail(db, code);
    return q;
}

static void bound(struct db_query *q, int code)
{
    if (code != SQLITE_OK && q->rc == RC_OK)
        q->rc = fail(q->db, code);
}

static int index_of(const struct db_query *q, unsigned parameter)
{
    assert(parameter >= 1 && parameter <= DB_PARAMETERS_MAX);
    assert(q->index[parameter] != 0); /* the statement has no such parameter */
    return q->index[parameter];
}

void db_bind_text(struct db_query *q, unsigned parameter, const char *text)
{
    if (q->rc == RC_OK)
        bound(q, sqlite3_bind_text(q->stmt, index_of(q, parameter), text, -1, SQLITE_TRANSIENT));
}

void db_bind_int(struct db_query *q, unsigned parameter, int64_t value)
{
    if (q->rc == RC_OK)
        bound(q, sqlite3_bind_int64(q->stmt, index_of(q, parameter), value));
}

void db_bind_time(struct db_query *q, unsigned parameter, int64_t value)
{
    if (value != 0)
        db_bind_int(q, parameter, value);
    else
        db_bind_text(q, parameter, NULL);
}

void db_bind_hex(struct db_query *q, unsigned parameter, const uint8_t *bytes, size_t len)
{
    char hex[2 * DB_HEX_MAX + 1];

    assert(len <= DB_HEX_MAX);
    text_hex(reader_of(bytes, len), hex);
    db_bind_text(q, parameter, hex);
}

enum rc db_next(struct db_query *q)
{
    if (q->rc != RC_OK)
        return q->rc;
    assert(!q->ended);
    errno = 0;
    int code = sqlite3_step(q->stmt);
    if (code == SQLITE_ROW)
        return RC_OK;
    q->ended = true;
    if (code != SQLITE_DONE)
        q->rc = fail(q->db, code);
    (void)sqlite3_reset(q->stmt); /* repeats the code of the step */
    return code == SQLITE_DONE ? RC_EOF : q->rc;
}

enum rc db_finish(struct db_query *q, enum rc rc)
{
    if (rc == RC_OK)
        rc = q->rc;
    while (rc == RC_OK && !q->ended) {
        enum rc next = db_next(q);
        if (next != RC_EOF)
            rc = next;
    }
    if (q->stmt != NULL) {
        (void)sqlite3_reset(q->stmt);
        (void)sqlite3_clear_bindings(q->stmt);
    }
    q->in_use = false;
    return rc == RC_EOF ? RC_ABSENT : rc;
}

enum rc db_run(struct db_query *q)
{
    return db_finish(q, RC_OK);
}

int64_t db_int(struct db_query *q, unsigned column)
{
    return sqlite3_column_int64(q->stmt, (int)column);
}

/* A value that cannot be ours: somebody else wrote to the file. */
static void refuse_value(struct db_query *q)
{
    if (q->rc != RC_OK)
        return;
    q->rc = RC_SYSTEM;
    text_message(q->db->why, sizeof q->db->why, "a value in the database is not valid: %.160s",
                 q->db->path);
    log_error("db.value", log_str("why", q->db->why));
}

static const char *text_of(struct db_query *q, unsigned column)
{
    const unsigned char *text = sqlite3_column_text(q->stmt, (int)column);

    return text != NULL ? (const char *)text : "";
}

void db_text(struct db_query *q, unsigned column, char *out, size_t size)
{
    if (text_copy(out, size, text_of(q, column)) != RC_OK)
        refuse_value(q);
}

char *db_text_dup(struct db_query *q, unsigned column)
{
    return text_dup(text_of(q, column));
}

void db_hex(struct db_query *q, unsigned column, uint8_t *out, size_t len)
{
    const char *hex = text_of(q, column);

    memset(out, 0, len);
    if (hex[0] != '\0' && text_unhex(hex, out, len) != RC_OK)
        refuse_value(q);
}
