#include "hub/service/outcome.h"

#include "base/log.h"
#include "base/text.h"

void outcome_set(struct outcome *o, enum rc rc, const struct store *s)
{
    o->rc = rc;
    o->why[0] = '\0';
    if (rc == RC_SYSTEM || rc == RC_AGAIN)
        text_message(o->why, sizeof o->why, "%s", store_why(s));
}

bool outcome_is_unavailable(const struct outcome *o, const char *doing)
{
    if (o->rc != RC_SYSTEM && o->rc != RC_AGAIN)
        return false;
    log_error(
        "hub.store", log_str("doing", doing), log_str("why", o->why),
        log_str("todo", "free disk space or repair the database; live pipes go on meanwhile"));
    return true;
}

void outcome_refused(enum rc rc, const char *doing)
{
    log_warn("hub.store_busy", log_str("doing", doing), log_rc("why", rc));
}
