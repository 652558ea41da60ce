/*
 * schema -- the numbered files in schema/, run once each, in order, in one transaction.
 *
 * "0001_core.sql" is for every driver, "0001_core.sqlite.sql" is what only that driver
 * understands and runs right after it. Numbers are never reused and files never change
 * once released: what changes is a new file.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/embed.h"
#include "base/log.h"
#include "store/inside.h"

extern const struct embed schema_files[];
extern const size_t schema_files_count;

static int64_t number_of(const struct embed *file)
{
    return strtoll(file->name, NULL, 10);
}

/* What stands between the first dot and ".sql"; nothing: for all. */
static bool is_for(const struct embed *file, const char *driver)
{
    struct reader name = reader_of_text(strchr(file->name, '.') + 1);
    size_t len = strlen(driver);

    if (reader_is(name, "sql"))
        return true;
    struct reader which = reader_slice(&name, len);
    return reader_is(which, driver) && reader_is(name, ".sql");
}

static int64_t newest(void)
{
    assert(schema_files_count > 0);
    return number_of(&schema_files[schema_files_count - 1]);
}

/* 0: nothing there yet. */
static enum rc version_of(struct db *db, int64_t *out)
{
    bool begun = false;
    int64_t version = 0;

    enum rc rc = db_has_table(db, "schema_versions", &begun);
    if (rc == RC_OK && begun) {
        struct db_query *q = db_query(db, "SELECT max(version) FROM schema_versions");
        rc = db_next(q);
        if (rc == RC_OK)
            version = db_int(q, 0);
        rc = db_finish(q, rc);
    }
    if (rc == RC_OK)
        *out = version;
    return rc;
}

static enum rc record(struct db *db, const struct embed *file)
{
    struct db_query *q = db_query(db, "INSERT INTO schema_versions (version, name) VALUES ($1, $2)"
                                      " ON CONFLICT (version) DO NOTHING");

    db_bind_int(q, 1, number_of(file));
    db_bind_text(q, 2, file->name);
    return db_run(q);
}

static enum rc run_after(struct db *db, int64_t version)
{
    enum rc rc = RC_OK;

    if (version == 0)
        rc = db_script(db, "CREATE TABLE schema_versions (version BIGINT NOT NULL PRIMARY KEY,"
                           " name TEXT NOT NULL)");
    for (size_t i = 0; rc == RC_OK && i < schema_files_count; i++) {
        const struct embed *file = &schema_files[i];
        if (number_of(file) <= version || !is_for(file, db_driver()))
            continue;
        rc = db_script(db, file->bytes);
        if (rc == RC_OK)
            rc = record(db, file);
        if (rc == RC_OK)
            log_info("schema.applied", log_str("file", file->name));
    }
    return rc;
}

static enum rc refuse_newer(int64_t version, char why[STORE_WHY_SIZE])
{
    text_message(why, STORE_WHY_SIZE,
                 "the database was made by a newer program (schema %" PRId64
                 ", this one knows %" PRId64 "): install that version or a newer one",
                 version, newest());
    return RC_INPUT;
}

enum rc schema_update(struct db *db, char why[STORE_WHY_SIZE])
{
    int64_t version = 0;

    /* Mostly there is nothing to do, and then no lock is taken. */
    enum rc rc = version_of(db, &version);
    if (rc != RC_OK || version == newest())
        return rc;
    if (version > newest())
        return refuse_newer(version, why);

    rc = db_begin(db);
    if (rc != RC_OK)
        return rc;
    rc = version_of(db, &version); /* another process may have been first */
    if (rc == RC_OK && version > newest())
        rc = refuse_newer(version, why);
    else if (rc == RC_OK && version < newest())
        rc = run_after(db, version);
    return db_end(db, rc);
}
