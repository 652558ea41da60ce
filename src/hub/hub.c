#include "hub/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "hub/commands.h"
#include "hub/link.h"
#include "hub/outer_cert.h"
#include "hub/reaches.h"
#include "hub/routes.h"
#include "net/http_server.h"

enum {
    RELAY_THREADS_DEFAULT_MAX = 4,
    STOP_MS = 5 * 1000,     /* for links and pipes to end */
    STOP_LOOK_MS = 5,       /* between two looks whether they have */
    DESCRIPTORS_FEW = 4096, /* fewer are worth a warning */
};

/* What serving needs besides the hub itself. */
struct serving {
    struct hub hub;
    const struct config_source *from;
    int lock; /* the data folder is ours while it is open */
    struct waker *store_waker;
    struct timer stop_look;
    uint64_t stop_by_ms;
};

/* --- what a person reads --------------------------------------------------------------------- */

/* Why it does not start: as a sentence for a person, as an event for a service manager. */
static void refuse(const char *what, const char *why)
{
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "connect-hub: %s: %s\n", what, why);
    else
        log_error("hub.start", log_str("what", what), log_str("why", why));
}

static void own_url(const struct hub *hub, char out[ADDRESS_TEXT_SIZE + 16])
{
    struct address at = hub->config->listen_at;
    char text[ADDRESS_TEXT_SIZE];

    if (*hub->config->public_url) {
        text_message(out, ADDRESS_TEXT_SIZE + 16, "%s", hub->config->public_url);
        return;
    }
    at.port = http_server_port(hub->http);
    if (strcmp(at.host, "::") == 0 || strcmp(at.host, "0.0.0.0") == 0)
        text_message(at.host, sizeof at.host, "localhost");
    address_text(&at, text);
    text_message(out, ADDRESS_TEXT_SIZE + 16, "%s://%s", hub->tls ? "https" : "http", text);
}

/* Scripts wait for this line on standard output. */
static void say_ready(const struct hub *hub)
{
    char url[ADDRESS_TEXT_SIZE + 16];

    own_url(hub, url);
    json_t *event =
        json_pack("{s:s, s:s, s:s?, s:s}", "event", "hub.ready", "url", url, "fingerprint",
                  hub->tls ? hub->fingerprint : NULL, "version", CONNECT_VERSION);
    char *line = event ? json_dumps(event, JSON_COMPACT) : NULL;
    json_decref(event);
    if (line)
        printf("%s\n", line);
    (void)fflush(stdout);
    free(line);
    log_info("hub.ready", log_str("url", url),
             log_str("fingerprint", hub->tls ? hub->fingerprint : NULL),
             log_str("data", hub->config->data), log_str("version", CONNECT_VERSION));
    if (!isatty(STDERR_FILENO))
        return;
    (void)fprintf(stderr,
                  "\nThe hub is ready at %s\n%s%s%s"
                  "Next, in another terminal:\n"
                  "  connect-hub key create --workspace acme --data %s\n"
                  "  connect up --hub %s --api-key pc_…\n\n",
                  url, hub->tls ? "Its certificate: " : "", hub->fingerprint, hub->tls ? "\n" : "",
                  hub->config->data, url);
}

/* --- starting -------------------------------------------------------------------------------- */

static int lock_data(const char *data)
{
    char path[PATH_MAX];

    if (text_format(path, sizeof path, "%s/lock", data) != RC_OK)
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static enum rc open_data(struct serving *s)
{
    const char *data = s->hub.config->data;
    char what[CONFIG_WHY_SIZE];

    enum rc rc = file_make_folder(data);
    if (rc == RC_OK) {
        s->lock = lock_data(data);
        rc = s->lock >= 0 ? RC_OK : RC_SYSTEM;
    }
    if (rc == RC_OK)
        return rc;
    text_message(what, sizeof what, "the data folder %.300s", data);
    refuse(what, rc == RC_INPUT ? "it is not a folder"
                 : errno == EWOULDBLOCK
                     ? "another hub uses it: stop that one or choose another --data"
                     : strerror(errno));
    return rc;
}

static void wake_store(void *arg)
{
    waker_wake(arg);
}

static void on_store(void *owner)
{
    struct serving *s = owner;

    store_collect(s->hub.store);
}

static enum rc open_store(struct serving *s)
{
    char path[PATH_MAX], why[STORE_WHY_SIZE] = "the path is too long";

    enum rc rc = text_format(path, sizeof path, "%s/hub.db", s->hub.config->data);
    if (rc == RC_OK)
        rc = store_open(path, why, &s->hub.store);
    if (rc != RC_OK) {
        refuse("the database", why);
        return rc;
    }
    s->store_waker = waker_new(s->hub.loop, on_store, s);
    rc = store_start(s->hub.store, wake_store, s->store_waker);
    if (rc != RC_OK)
        refuse("the database", "its thread cannot be started");
    return rc;
}

static enum rc open_certificate(struct hub *hub)
{
    struct outer_cert cert;
    char why[CONFIG_WHY_SIZE];

    if (hub->config->plain_http)
        return RC_OK;
    enum rc rc = outer_cert_load(hub->config, &cert, why);
    if (rc != RC_OK) {
        refuse("the certificate", why);
        return rc;
    }
    hub->tls = cert.tls;
    hub->own_certificate = cert.own;
    memcpy(hub->fingerprint, cert.fingerprint, sizeof hub->fingerprint);
    if (cert.made)
        log_info("hub.certificate_made", log_str("fingerprint", cert.fingerprint));
    return RC_OK;
}

static void on_request(void *owner, struct http_exchange *x)
{
    routes_dispatch(owner, x);
}

static const struct http_server_events http_events = {on_request};

static enum rc open_http(struct hub *hub)
{
    enum rc rc = http_server_open(hub->loop, &hub->config->listen_at, hub->tls, &http_events, hub,
                                  &hub->http);

    if (rc != RC_OK)
        refuse(hub->config->listen,
               rc == RC_EXISTS ? "the port is in use: stop what uses it or choose another --listen"
               : rc == RC_AUTH ? "this port needs more rights: run as root or choose one above 1023"
               : rc == RC_INPUT
                   ? "this machine does not have that address (names are not resolved here)"
                   : "listening failed");
    return rc;
}

static unsigned relay_threads(const struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (c->relay_threads > 0)
        return (unsigned)c->relay_threads;
    return cores < 1                           ? 1
           : cores > RELAY_THREADS_DEFAULT_MAX ? RELAY_THREADS_DEFAULT_MAX
                                               : (unsigned)cores;
}

static enum rc open_all(struct serving *s)
{
    struct hub *hub = &s->hub;

    size_t descriptors = platform_raise_descriptors();
    if (descriptors < DESCRIPTORS_FEW)
        log_warn("hub.descriptors", log_u64("limit", descriptors),
                 log_str("todo", "raise the limit of open files (ulimit -n, LimitNOFILE)"));
    enum rc rc = open_data(s);
    if (rc == RC_OK)
        rc = open_store(s);
    if (rc == RC_OK)
        rc = open_certificate(hub);
    if (rc != RC_OK)
        return rc;
    hub->registry = registry_new();
    hub->reaches = reaches_new(hub->store);
    hub->rendezvous = rendezvous_new(hub->loop, hub->reaches, relay_threads(hub->config));
    if (hub->rendezvous == NULL) {
        refuse("the relay", "its threads cannot be started");
        return RC_SYSTEM;
    }
    return open_http(hub);
}

/* --- reloading ------------------------------------------------------------------------------- */

static void use_log_settings(const struct config *c)
{
    log_setup(c->level, c->log_text ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
}

/* The old context lives on in the connections that use it. */
static enum rc reload_certificate(struct hub *hub, const struct config *fresh,
                                  char why[CONFIG_WHY_SIZE])
{
    struct outer_cert cert;

    if (hub->tls == NULL)
        return RC_OK;
    enum rc rc = outer_cert_load(fresh, &cert, why);
    if (rc != RC_OK)
        return rc;
    http_server_set_context(hub->http, cert.tls);
    outer_tls_free(hub->tls);
    hub->tls = cert.tls;
    hub->own_certificate = cert.own;
    memcpy(hub->fingerprint, cert.fingerprint, sizeof hub->fingerprint);
    return RC_OK;
}

/* All or nothing: what is wrong is said and the hub goes on as it was. */
static void on_hangup(void *owner, int number)
{
    struct serving *s = owner;
    struct hub *hub = &s->hub;
    struct config *fresh = NULL;
    char why[CONFIG_WHY_SIZE];

    (void)number;
    if (hub->stopping)
        return;
    enum rc rc = config_load(s->from, &fresh, why);
    const char *fixed = rc == RC_OK ? config_keep_fixed(fresh, hub->config) : NULL;
    if (rc == RC_OK)
        rc = reload_certificate(hub, fresh, why);
    if (rc != RC_OK) {
        log_error("hub.reload", log_str("why", why),
                  log_str("todo", "correct it and send SIGHUP again"));
        config_free(fresh);
        return;
    }
    if (fixed)
        log_warn("hub.reload_partly", log_str("setting", fixed), log_str("todo", "restart for it"));
    config_free(hub->config);
    hub->config = fresh;
    use_log_settings(fresh);
    log_info("hub.reloaded", log_str("fingerprint", hub->tls ? hub->fingerprint : NULL));
}

/* --- stopping -------------------------------------------------------------------------------- */

static bool is_idle(const struct hub *hub)
{
    return list_is_empty(&hub->links) && rendezvous_is_idle(hub->rendezvous) &&
           http_server_connections(hub->http) == 0;
}

static void on_stop_look(void *owner)
{
    struct serving *s = owner;

    if (is_idle(&s->hub) || loop_now(s->hub.loop) >= s->stop_by_ms)
        loop_stop(s->hub.loop);
    else
        timer_start(&s->stop_look, STOP_LOOK_MS);
}

static void on_terminate(void *owner, int number)
{
    struct serving *s = owner;

    if (s->hub.stopping) { /* asked twice: at once */
        loop_stop(s->hub.loop);
        return;
    }
    log_info("hub.stopping", log_u64("signal", (uint64_t)number),
             log_u64("pipes", rendezvous_joined(s->hub.rendezvous)));
    s->hub.stopping = true;
    http_server_drain(s->hub.http);
    link_close_all(&s->hub, LINK_CODE_RESTART, "hub stops");
    rendezvous_stop(s->hub.rendezvous);
    s->stop_by_ms = loop_now(s->hub.loop) + STOP_MS;
    timer_start(&s->stop_look, STOP_LOOK_MS);
}

/*
 * The relay tells its last ends, which become audit rows, which the store finishes. False:
 * something did not end in time and still points here.
 */
static bool close_all(struct serving *s)
{
    struct hub *hub = &s->hub;
    bool idle = hub->http == NULL || is_idle(hub);

    timer_stop(&s->stop_look);
    if (idle) {
        rendezvous_free(hub->rendezvous);
        reaches_free(hub->reaches);
    }
    store_close(hub->store);
    http_server_close(hub->http);
    if (!idle) {
        log_warn("hub.stopped_hard");
        return false;
    }
    waker_free(s->store_waker);
    registry_free(hub->registry);
    map_done(&hub->greeting);
    outer_tls_free(hub->tls);
    if (s->lock >= 0)
        (void)close(s->lock);
    return true;
}

/* --- serving --------------------------------------------------------------------------------- */

int hub_serve(const struct config_source *from, int json)
{
    struct serving *s = mem_zalloc(sizeof *s);
    char why[CONFIG_WHY_SIZE];
    int code = 0;

    /* A reader of ours that has gone and a file that may not grow are errors of a write, not our
     * end. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    s->from = from;
    s->lock = -1;
    list_init(&s->hub.links);
    map_init(&s->hub.greeting);
    if (config_load(from, &s->hub.config, why) != RC_OK) {
        map_done(&s->hub.greeting);
        free(s);
        return command_fail(2, json, why);
    }
    use_log_settings(s->hub.config);
    s->hub.loop = loop_new();
    timer_init(&s->stop_look, s->hub.loop, on_stop_look, s);
    if (open_all(s) == RC_OK) {
        loop_on_signal(s->hub.loop, SIGTERM, on_terminate, s);
        loop_on_signal(s->hub.loop, SIGINT, on_terminate, s);
        loop_on_signal(s->hub.loop, SIGHUP, on_hangup, s);
        say_ready(&s->hub);
        loop_run(s->hub.loop);
    } else {
        code = 1;
    }
    if (!close_all(s))
        return code; /* the process ends with what is left */
    config_free(s->hub.config);
    loop_free(s->hub.loop);
    if (code == 0)
        log_info("hub.stopped");
    free(s);
    return code;
}
