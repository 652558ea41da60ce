#include "hub/api/api.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "hub/hub.h"

void api_health(struct request *q)
{
    request_answer(q, 200, text_dup("{\"status\":\"ok\"}"));
}

void api_version(struct request *q)
{
    request_answer(
        q, 200,
        text_dup("{\"version\":\"" CONNECT_VERSION "\",\"protocol\":{\"min\":1,\"max\":1}}"));
}

/* Ready: it takes requests and its database answers. */
struct pinging {
    struct store_job job;
    struct outcome outcome;
    struct request *request;
};

static void run_ping(struct store_job *job, struct store *s)
{
    struct pinging *p = (struct pinging *)job;

    outcome_set(&p->outcome, store_ping(s), s);
}

static void on_ping(struct store_job *job)
{
    struct pinging *p = (struct pinging *)job;

    if (p->outcome.rc == RC_OK) {
        request_answer(p->request, 200, text_dup("{\"status\":\"ready\"}"));
    } else {
        (void)outcome_is_unavailable(&p->outcome, "readyz");
        request_unavailable(p->request);
    }
    free(p);
}

void api_ready(struct request *q)
{
    struct pinging *p = mem_zalloc(sizeof *p);

    if (q->hub->stopping) {
        free(p);
        request_fail(q, 503, "The hub is stopping");
        return;
    }
    p->job = (struct store_job){.run = run_ping, .done = on_ping};
    p->request = q;
    enum rc rc = store_submit(q->hub->store, &p->job);
    if (rc == RC_OK)
        return;
    free(p);
    outcome_refused(rc, "readyz");
    request_unavailable(q);
}
