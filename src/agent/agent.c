#include "agent/agent.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/commands.h"
#include "agent/control.h"
#include "agent/enrol.h"
#include "agent/exit_code.h"
#include "agent/exposes.h"
#include "agent/json.h"
#include "agent/parts.h"
#include "agent/reaches.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "crypto/outer_tls.h"

/*
 * Start: folder (lock, files) -> hub (which, how trusted) -> enrolment if there is no login ->
 * control link -> restore what was exposed and reached -> report. Any failure up to here ends the
 * process, told in the report. From then on it stays, whatever happens to the hub.
 */
enum { AGENT_DRAIN_MS = 5 * 1000 /* at the end: for what is queued to go */ };

struct agent {
    struct parts parts;
    const struct agent_options *o;
    char pinned[SETTINGS_FINGERPRINT_SIZE]; /* "": the authorities decide */
    bool enrols, made_identity, first_contact;
    char replaced[SETTINGS_ID_SIZE]; /* the agent id that this folder had before */
    char warning[256];
    struct control *control;
    struct commands *commands;
    struct enrol *enrol;
    struct task stop;
    bool stopping;
    int lock_fd, report_fd, down_fd, code;
    struct failure why;
};

static void begin_stop(struct agent *a, int code);

/* --- the report ------------------------------------------------------------------------------ */

static void report(struct agent *a, json_t *object)
{
    if (a->report_fd >= 0) {
        char *line = json_line(object);
        size_t len = strlen(line);
        line[len] = '\n'; /* in place of the NUL */
        if (write(a->report_fd, line, len + 1) < 0)
            log_debug("agent.report", log_str("why", strerror(errno)));
        (void)close(a->report_fd);
        free(line);
    }
    a->report_fd = -1;
    json_decref(object);
}

static void forget_api_key(struct agent *a)
{
    if (a->o->api_key)
        mem_wipe(a->o->api_key, strlen(a->o->api_key));
}

/* a->why ends it, before it has begun. */
static void report_failure(struct agent *a)
{
    json_t *error =
        json_pack("{s:s, s:o}", "code", a->why.code, "message", json_text(a->why.message));

    if (a->why.hint[0] != '\0')
        (void)json_object_set_new(error, "hint", json_text(a->why.hint));
    log_error("agent.failed", log_str("code", a->why.code), log_str("why", a->why.message));
    report(a, json_pack("{s:i, s:o}", "v", CONTROL_VERSION, "error", error));
    a->code = (int)exit_code_of(a->why.code);
}

static void report_success(struct agent *a)
{
    json_t *status = commands_status(&a->parts);

    (void)json_object_set_new(status, "v", json_integer(CONTROL_VERSION));
    (void)json_object_set_new(status, "ok", json_true());
    (void)json_object_set_new(status, "hub_first_contact", json_boolean(a->first_contact));
    (void)json_object_set_new(status, "hub_fingerprint", json_text(a->pinned));
    if (a->replaced[0] != '\0')
        (void)json_object_set_new(status, "replaced", json_text(a->replaced));
    if (a->warning[0] != '\0')
        (void)json_object_set_new(status, "warning", json_text(a->warning));
    report(a, status);
}

/* --- the folder ------------------------------------------------------------------------------ */

static enum rc explain_identity(struct agent *a, enum rc rc, const char *path)
{
    struct stat st;

    if (rc == RC_INPUT && stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
        failure_set(&a->why, "other", "%s can be read by others", path);
        failure_hint(&a->why, "chmod 600 %s", path);
    } else if (rc == RC_INPUT) {
        failure_set(&a->why, "other", "%s is broken: it is not a key", path);
        failure_hint(&a->why, "put the right one back, or move it away and log in again");
    } else {
        failure_system(&a->why, "cannot be used", path);
    }
    return rc;
}

static enum rc load_identity(struct agent *a)
{
    char path[PATH_MAX];

    enum rc rc = settings_path(a->o->folder, "identity.key", path, &a->why);
    if (rc != RC_OK)
        return rc;
    rc = identity_load(path, &a->parts.identity);
    if (rc == RC_OK)
        return RC_OK;
    if (rc != RC_ABSENT)
        return explain_identity(a, rc, path);
    if (a->parts.settings.agent_id[0] != '\0' && a->o->api_key == NULL) {
        failure_set(&a->why, "not_logged_in",
                    "%s is missing: without it this agent cannot prove who it is", path);
        failure_hint(&a->why, "put it back, or log in as a new agent: connect up --api-key KEY");
        return RC_ABSENT;
    }
    a->made_identity = true;
    rc = identity_make(path, &a->parts.identity);
    return rc == RC_OK ? RC_OK : explain_identity(a, rc, path);
}

static enum rc load_folder(struct agent *a)
{
    struct parts *p = &a->parts;
    char pins[PATH_MAX], state[PATH_MAX];

    enum rc rc = settings_lock(a->o->folder, &a->lock_fd, &a->why);
    if (rc == RC_OK)
        rc = settings_load(a->o->folder, &p->settings, &a->why);
    if (rc == RC_OK)
        rc = settings_path(a->o->folder, "known_agents.json", pins, &a->why);
    if (rc == RC_OK)
        rc = settings_path(a->o->folder, "services.json", state, &a->why);
    if (rc == RC_OK)
        rc = state_load(state, &p->state, &a->why);
    if (rc == RC_OK)
        rc = load_identity(a);
    if (rc == RC_OK)
        rc = pins_load(pins, identity_public(p->identity), &p->pins, &a->why);
    if (rc == RC_OK && inner_tls_new(p->identity, &p->tls) != RC_OK) {
        failure_set(&a->why, "other", "TLS cannot be set up on this machine");
        rc = RC_SYSTEM;
    }
    return rc;
}

/* --- which hub, and as whom ------------------------------------------------------------------ */

static enum rc refuse(struct agent *a, const char *code, const char *message, const char *hint)
{
    failure_set(&a->why, code, "%s", message);
    failure_hint(&a->why, "%s", hint);
    return RC_INPUT;
}

/* The key itself is not kept; its hash tells whether it is the same one again. */
static bool is_other_key(const struct agent *a)
{
    struct token_hash hash;

    if (a->o->api_key == NULL ||
        token_hash_of(TOKEN_API_KEY, reader_of_text(a->o->api_key), &hash) != RC_OK)
        return false;
    return !a->parts.settings.has_key_hash || !token_hash_equal(&hash, &a->parts.settings.key_hash);
}

/*
 * A login is used as long as it fits what was asked for. Another hub or another API key than the
 * one it came from makes a new agent with the same identity key.
 */
static enum rc choose_login(struct agent *a)
{
    static const char hint[] = "connect up --hub https://HUB:3001 --api-key KEY";
    const struct settings *s = &a->parts.settings;
    const char *hub = a->o->hub_url;
    bool has_login = s->agent_id[0] != '\0' && s->token.text[0] != '\0';
    bool other_hub = hub && s->hub[0] != '\0' && !settings_is_same_hub(hub, s->hub);

    if (a->o->api_key && !token_has_shape(TOKEN_API_KEY, reader_of_text(a->o->api_key)))
        return refuse(a, "usage",
                      "that is not an API key: it begins with pc_ and has 32 characters behind it",
                      "connect-hub key create --workspace NAME prints one");
    if (hub == NULL && s->hub[0] == '\0')
        return refuse(a, "not_logged_in", "this machine is not logged in to a hub", hint);
    a->enrols = !has_login || other_hub || a->made_identity || is_other_key(a);
    if (!a->enrols || a->o->api_key)
        return RC_OK;
    if (!other_hub)
        return refuse(a, "not_logged_in", "this machine is not logged in to its hub", hint);
    failure_set(&a->why, "not_logged_in", "this agent belongs to the hub %s, not to %s", s->hub,
                hub);
    failure_hint(&a->why, "log in there with --api-key KEY, or name another folder with --config");
    return RC_INPUT;
}

static void choose_pin(struct agent *a, bool other_hub)
{
    const char *pin = a->o->hub_fingerprint ? a->o->hub_fingerprint
                      : other_hub           ? ""
                                            : a->parts.settings.hub_fingerprint;

    text_message(a->pinned, sizeof a->pinned, "%s", pin);
}

/* docs/protocol.md §1: plain HTTP on this machine only. */
static enum rc check_plain(struct agent *a, const char *url)
{
    struct hub_address *hub = &a->parts.hub;

    if (hub->tls)
        return RC_OK;
    if (!address_is_loopback(&hub->at) && !a->o->allow_insecure)
        return refuse(a, "denied", "a hub without TLS is accepted on this machine only",
                      "use https://, or set CONNECT_ALLOW_INSECURE=true if the way to it is safe");
    text_message(a->warning, sizeof a->warning,
                 "%s is not encrypted: whoever sees the traffic can take over this agent's login",
                 url);
    log_warn("agent.plain_hub", log_str("hub", url), log_str("warning", a->warning));
    return RC_OK;
}

static enum rc choose_hub(struct agent *a)
{
    struct settings *s = &a->parts.settings;
    const char *url = a->o->hub_url ? a->o->hub_url : s->hub;
    bool other_hub = s->hub[0] == '\0' || !settings_is_same_hub(url, s->hub);

    if (address_parse_url(url, &a->parts.hub.at, &a->parts.hub.tls) != RC_OK ||
        strlen(url) >= sizeof s->hub)
        return refuse(a, "usage", "that is not the address of a hub",
                      "https://hub.example.com:3001");
    enum rc rc = check_plain(a, url);
    if (rc != RC_OK)
        return rc;
    choose_pin(a, other_hub);
    if (other_hub)
        text_message(s->hub, sizeof s->hub, "%s", url);
    if (enrol_trust(&a->parts.hub, a->pinned, false) != RC_OK)
        return refuse(a, "usage", "the hub's certificate cannot be checked",
                      "a fingerprint is sha256: and 64 hex digits");
    return RC_OK;
}

static enum rc choose_label(struct agent *a)
{
    struct settings *s = &a->parts.settings;

    if (a->o->label && !settings_is_label(a->o->label))
        return refuse(a, "usage", "a label has 1 to 63 printable characters", "--label prod");
    if (a->o->label)
        text_message(s->label, sizeof s->label, "%s", a->o->label);
    else if (s->label[0] == '\0')
        settings_default_label(s->label);
    return RC_OK;
}

static enum rc prepare(struct agent *a)
{
    enum rc rc = load_folder(a);

    if (rc == RC_OK)
        rc = choose_login(a);
    if (rc == RC_OK)
        rc = choose_hub(a);
    if (rc == RC_OK)
        rc = choose_label(a);
    if (a->o->hold_ms != AGENT_HOLD_AS_BEFORE)
        a->parts.settings.hold_ms = a->o->hold_ms;
    return rc;
}

/* --- ending ---------------------------------------------------------------------------------- */

/* Before the report: it is over. After it: only a->code is left to say. */
static void fail_start(struct agent *a, const struct failure *why)
{
    a->why = *why;
    report_failure(a);
    begin_stop(a, a->code);
}

/* Ends the process if what is still under way (a name that does not resolve) takes too long. */
static void *watch_drain(void *arg)
{
    struct timespec most = {.tv_sec = AGENT_DRAIN_MS / 1000};

    (void)nanosleep(&most, NULL);
    log_warn("agent.drain_took_too_long");
    _exit(*(int *)arg);
}

/* From the bottom of the loop: nobody who is being ended stands above us. */
static void stop(void *owner)
{
    struct agent *a = owner;
    struct parts *p = &a->parts;
    pthread_t watch;

    log_info("agent.stopping");
    if (pthread_create(&watch, NULL, watch_drain, &a->code) == 0)
        (void)pthread_detach(watch);
    exposes_stop(p->exposes);
    reaches_stop(p->reaches);
    commands_free(a->commands);
    control_close(a->control);
    enrol_cancel(a->enrol);
    tunnels_free(p->tunnels);
    uplink_free(p->uplink);
    a->commands = NULL;
    a->control = NULL;
    a->enrol = NULL;
    p->tunnels = NULL;
    p->uplink = NULL;
}

static void begin_stop(struct agent *a, int code)
{
    if (a->stopping)
        return;
    a->stopping = true;
    a->code = code;
    task_soon(&a->stop);
}

static void on_down(void *owner, int fd)
{
    struct agent *a = owner;

    if (a->down_fd >= 0 && fd >= 0)
        (void)close(fd);
    else
        a->down_fd = fd;
    begin_stop(a, EXIT_CODE_OK);
}

static void on_signal(void *owner, int number)
{
    struct agent *a = owner;

    log_info("agent.signal", log_u64("number", (uint64_t)number));
    if (a->report_fd >= 0) {
        failure_set(&a->why, "interrupted", "the agent was told to end before it was up");
        report_failure(a);
    }
    begin_stop(a, a->code);
}

/* --- the control link ------------------------------------------------------------------------ */

static void start_enrol(struct agent *a);

static json_t *make_hello(void *owner)
{
    struct agent *a = owner;

    return json_pack("{s:o, s:o}", "label", json_text(a->parts.settings.label), "services",
                     exposes_hello(a->parts.exposes));
}

static void take(const json_t *from, const char *name, char *out, size_t size)
{
    char value[SETTINGS_HUB_SIZE];

    if (json_copy_text(from, name, value, sizeof value) == RC_OK && value[0] != '\0' &&
        strlen(value) < size)
        memcpy(out, value, strlen(value) + 1);
}

/* What the hub says of us counts, as far as it may know better. */
static enum rc take_welcome(struct agent *a, const json_t *welcome)
{
    struct settings *s = &a->parts.settings;

    take(welcome, "workspace", s->workspace, sizeof s->workspace);
    take(welcome, "token_expires", s->token_expires, sizeof s->token_expires);
    text_message(s->hub_fingerprint, sizeof s->hub_fingerprint, "%s", a->pinned);
    return settings_save(s, &a->why);
}

static void on_first_connect(struct agent *a)
{
    forget_api_key(a);
    reaches_restore(a->parts.reaches);
    report_success(a);
    platform_trim_memory(); /* of the start: authorities, enrolment */
    log_info("agent.up", log_str("agent", a->parts.settings.agent_id),
             log_str("workspace", a->parts.settings.workspace));
}

static void on_connected(void *owner, const json_t *welcome)
{
    struct agent *a = owner;
    struct parts *p = &a->parts;
    bool first = !p->was_connected;

    enum rc rc = take_welcome(a, welcome);
    if (rc != RC_OK && first) {
        fail_start(a, &a->why);
        return;
    }
    if (rc != RC_OK)
        log_warn("agent.settings", log_str("why", a->why.message));
    p->was_connected = true;
    tunnels_set_workspace(p->tunnels, p->settings.workspace);
    exposes_welcomed(p->exposes, welcome);
    if (first)
        on_first_connect(a);
    else
        reaches_retry(p->reaches);
}

static void on_lost(void *owner, const struct failure *why)
{
    struct agent *a = owner;

    if (!a->parts.was_connected)
        fail_start(a, why);
}

static void on_ended(void *owner, const struct failure *why)
{
    struct agent *a = owner;

    if (!a->parts.was_connected && failure_is(why, "not_logged_in") && a->o->api_key &&
        !a->enrols) {
        /* The old token is no good, but there is a key for a new one. */
        uplink_free(a->parts.uplink);
        a->parts.uplink = NULL;
        a->enrols = true;
        start_enrol(a);
    } else if (!a->parts.was_connected) {
        fail_start(a, why);
    } else if (failure_is(why, "replaced")) {
        log_error("agent.replaced", log_str("why", why->message));
        begin_stop(a, EXIT_CODE_OTHER);
    }
    /* Otherwise it stays, so that `status` can say what to do. */
}

static void on_dial(void *owner, uint64_t id, const json_t *dial)
{
    struct agent *a = owner;

    exposes_dial(a->parts.exposes, id, dial);
}

static const struct uplink_events uplink_events = {make_hello, on_connected, on_lost, on_ended,
                                                   on_dial};

static void start_uplink(struct agent *a)
{
    struct parts *p = &a->parts;
    struct uplink_setup setup = {.loop = p->loop,
                                 .hub = &p->hub,
                                 .token = &p->settings.token,
                                 .pinned = a->pinned,
                                 .events = &uplink_events,
                                 .owner = a};

    p->uplink = uplink_new(&setup);
}

/* --- enrolment ------------------------------------------------------------------------------- */

static enum rc take_login(struct agent *a, const json_t *answer)
{
    struct settings *s = &a->parts.settings;
    struct token_hash hash = {0};
    char agent_id[SETTINGS_ID_SIZE], workspace[SETTINGS_ID_SIZE], token[TOKEN_TEXT_SIZE];

    if (json_copy_text(answer, "agent_id", agent_id, sizeof agent_id) != RC_OK ||
        agent_id[0] == '\0' ||
        json_copy_text(answer, "workspace", workspace, sizeof workspace) != RC_OK ||
        json_copy_text(answer, "token", token, sizeof token) != RC_OK ||
        token_read(TOKEN_AGENT, reader_of_text(token), &s->token) != RC_OK)
        return refuse(a, "hub_unavailable", "the hub's answer to the enrolment makes no sense", "");
    mem_wipe(token, sizeof token);
    if (s->agent_id[0] != '\0' && strcmp(s->agent_id, agent_id) != 0) {
        memcpy(a->replaced, s->agent_id, sizeof a->replaced);
        log_warn("agent.new_login", log_str("before", a->replaced), log_str("now", agent_id));
    }
    if (strcmp(s->workspace, workspace) != 0)
        pins_forget_services(a->parts.pins);
    memcpy(s->agent_id, agent_id, sizeof s->agent_id);
    memcpy(s->workspace, workspace, sizeof s->workspace);
    take(answer, "token_expires", s->token_expires, sizeof s->token_expires);
    take(answer, "label", s->label, sizeof s->label);
    text_message(s->hub_fingerprint, sizeof s->hub_fingerprint, "%s", a->pinned);
    s->has_key_hash = token_hash_of(TOKEN_API_KEY, reader_of_text(a->o->api_key), &hash) == RC_OK;
    s->key_hash = hash;
    return settings_save_login(s, &a->why);
}

static void on_enrolled(void *owner, const json_t *answer, bool first_contact)
{
    struct agent *a = owner;

    a->enrol = NULL;
    a->first_contact = first_contact;
    enum rc rc = take_login(a, answer);
    forget_api_key(a);
    if (rc != RC_OK)
        fail_start(a, &a->why);
    else
        start_uplink(a);
}

static void on_enrol_failed(void *owner, const struct failure *why)
{
    struct agent *a = owner;

    a->enrol = NULL;
    fail_start(a, why);
}

static const struct enrol_events enrol_events = {on_enrolled, on_enrol_failed};

static void start_enrol(struct agent *a)
{
    struct parts *p = &a->parts;
    struct enrol_setup setup = {.loop = p->loop,
                                .hub = &p->hub,
                                .pinned = a->pinned,
                                .api_key = a->o->api_key,
                                .label = p->settings.label,
                                .identity = p->identity};

    a->enrol = enrol_start(&setup, &enrol_events, a);
}

/* --- running --------------------------------------------------------------------------------- */

static const struct address *find_target(void *owner, const char *service)
{
    struct agent *a = owner;

    return exposes_target(a->parts.exposes, service);
}

static void on_check(void *owner, const char *service, struct check_reply *reply)
{
    struct agent *a = owner;

    exposes_check(a->parts.exposes, service, reply);
}

static bool on_peer_proved(void *owner, const struct pipe_offer *offer)
{
    struct agent *a = owner;

    return exposes_proved(a->parts.exposes, offer);
}

static void make_parts(struct agent *a)
{
    struct parts *p = &a->parts;
    struct tunnels_setup tunnels = {.hub = &p->hub,
                                    .tls = p->tls,
                                    .hold_ms = p->settings.hold_ms,
                                    .find_target = find_target,
                                    .on_check = on_check,
                                    .on_peer_proved = on_peer_proved,
                                    .owner = a};

    p->loop = tunnels.loop = loop_new();
    p->tunnels = tunnels_new(&tunnels);
    p->exposes = exposes_new(p);
    p->reaches = reaches_new(p);
    a->commands = commands_new(p, on_down, a);
    task_init(&a->stop, p->loop, stop, a);
    loop_on_signal(p->loop, SIGTERM, on_signal, a);
    loop_on_signal(p->loop, SIGINT, on_signal, a);
}

static void run(struct agent *a)
{
    make_parts(a);
    enum rc rc = control_open(a->parts.loop, a->o->folder, commands_handle, a->commands,
                              &a->control, &a->why);
    if (rc != RC_OK)
        fail_start(a, &a->why);
    else if (a->enrols)
        start_enrol(a);
    else
        start_uplink(a);
    loop_run(
        a->parts.loop); /* until stop() has taken everything off it, and what was queued has gone */
    exposes_free(a->parts.exposes);
    reaches_free(a->parts.reaches);
    loop_free(a->parts.loop);
}

static void free_files(struct agent *a)
{
    struct parts *p = &a->parts;

    outer_tls_free(p->hub.context);
    inner_tls_free(p->tls);
    pins_free(p->pins);
    state_free(p->state);
    identity_free(p->identity);
    settings_done(&p->settings);
}

int agent_run(const struct agent_options *o)
{
    struct agent *a = mem_zalloc(sizeof *a);

    a->o = o;
    a->report_fd = o->report_fd;
    a->lock_fd = a->down_fd = -1;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)platform_raise_descriptors();
    if (prepare(a) == RC_OK)
        run(a);
    else
        report_failure(a);
    forget_api_key(a);
    free_files(a);
    /* In this order: who waits for the socket to close finds the lock free. */
    if (a->lock_fd >= 0)
        (void)close(a->lock_fd);
    if (a->down_fd >= 0)
        (void)close(a->down_fd);
    int code = a->code;
    free(a);
    return code;
}
