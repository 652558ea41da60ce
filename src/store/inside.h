#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/rc.h"
#include "store/db.h"
#include "store/store.h"

/* inside -- what the files of store/ share and nobody else sees. */

struct jobs;

struct store {
    struct db *db;
    struct jobs *jobs; /* NULL until store_start() */
};

/* Brings the schema up to date. RC_INPUT: a newer program made it. On failure `why` may have words.
 */
MUST_CHECK enum rc schema_update(struct db *db, char why[STORE_WHY_SIZE]);

/* A new random id: `prefix` and 26 characters. */
void id_make(const char *prefix, char out[STORE_ID_SIZE]);

/* How many rows a caller gets who asked for `limit`. */
static inline int64_t page_rows(size_t limit)
{
    return limit == 0 || limit > STORE_PAGE_MAX ? STORE_PAGE_MAX : (int64_t)limit;
}

/* Copies a text that a field must have. RC_INPUT: it is empty or too long. */
MUST_CHECK static inline enum rc field_copy(char *out, size_t size, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return RC_INPUT;
    return text_copy(out, size, text) == RC_OK ? RC_OK : RC_INPUT;
}

/* Ends the jobs' thread after all have run, calls their done(), frees. */
void jobs_free(struct jobs *jobs);
