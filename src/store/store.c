#include "store/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/inside.h"

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The file that `url` names; NULL: not a url we know. */
static const char *path_of(const char *url)
{
    static const char sqlite[] = "sqlite:";

    if (begins_with(url, sqlite))
        return url + strlen(sqlite);
    return strstr(url, "://") == NULL ? url : NULL;
}

enum rc store_open(const char *url, char why[STORE_WHY_SIZE], struct store **out)
{
    const char *path = path_of(url);
    struct db *db = NULL;

    why[0] = '\0';
    if (path == NULL) {
        /* Not repeated here: such a url may hold a password. */
        text_message(why, STORE_WHY_SIZE, "a database is a path or sqlite:PATH");
        return RC_INPUT;
    }
    enum rc rc = db_open(path, why, &db);
    if (rc != RC_OK)
        return rc;
    rc = schema_update(db, why);
    if (rc != RC_OK) {
        if (why[0] == '\0')
            text_message(why, STORE_WHY_SIZE, "%s", db_why(db));
        db_close(db);
        return rc;
    }
    struct store *s = mem_zalloc(sizeof *s);
    s->db = db;
    *out = s;
    return RC_OK;
}

enum rc store_ping(struct store *s)
{
    enum rc rc = db_begin(s->db);

    return rc == RC_OK ? db_end(s->db, RC_OK) : rc;
}

const char *store_why(const struct store *s)
{
    return db_why(s->db);
}

enum rc store_begin(struct store *s)
{
    return db_begin(s->db);
}

enum rc store_end(struct store *s, enum rc rc)
{
    return db_end(s->db, rc);
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    jobs_free(s->jobs); /* its last done() may still ask store_submit(), which says RC_CLOSED */
    db_close(s->db);
    free(s);
}
