#pragma once

#include "base/rc.h"
#include "store/store.h"

/*
 * outcome -- how work on a store thread went; comes back with the job.
 *
 * A service's job is a struct whose first member is `struct store_job job`, followed by what it is
 * asked and what it answers. x_submit() fills in run() and hands it over; the caller's `done` gets
 * it back on the loop. RC_AGAIN and RC_SYSTEM mean the same for every service: the database does
 * not do its work now, nothing was changed, `why` has the words for the operator.
 */
struct outcome {
    enum rc rc;
    char why[STORE_WHY_SIZE];
};

/* At the end of a run(). */
void outcome_set(struct outcome *o, enum rc rc, const struct store *s);
/* True when the database could not do it; said in the log, with what was being done. */
bool outcome_is_unavailable(const struct outcome *o, const char *doing);
/* The same for a job that store_submit() did not take. */
void outcome_refused(enum rc rc, const char *doing);
