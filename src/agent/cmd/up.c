#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/background.h"
#include "agent/cmd/cmd.h"
#include "agent/interrupt.h"
#include "agent/settings.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/address.h"

enum {
    UP_START_MS = 60 * 1000, /* until the agent must have said whether it is connected */
    UP_KEY_MAX = 1024,       /* bytes of a file with a key */
    UP_HOLD_MAX_S = 24 * 60 * 60,
};

static const struct option options[] = {
    {.name = "hub", .value = "URL", .help = "the hub (CONNECT_HUB_URL, or the one before)"},
    {.name = "api-key",
     .value = "KEY",
     .help = "log in with this key; - reads it from stdin",
     .secret = true},
    {.name = "api-key-file", .value = "FILE", .help = "log in with the key in this file"},
    {.name = "label", .value = "LABEL", .help = "what others call this machine (its host name)"},
    {.name = "hub-fingerprint", .value = "HASH", .help = "the hub's certificate must be this one"},
    {.name = "hold", .value = "TIME", .help = "how long lost connections wait: 0, 30s, 10m (10m)"},
    {.name = "foreground", .help = "do not go to the background; log to stderr"},
    {0},
};

/* --- what was asked for --------------------------------------------------------------- */

/* Up to the first line's end. RC_INPUT: nothing, or more than a key. */
static enum rc first_line(struct buf *content, char **out)
{
    struct reader all = buf_view(content);
    const uint8_t *end = all.left > 0 ? memchr(all.at, '\n', all.left) : NULL;
    size_t len = end ? (size_t)(end - all.at) : all.left;

    while (len > 0 && (all.at[len - 1] == '\r' || all.at[len - 1] == ' '))
        len--;
    if (len == 0 || memchr(all.at, '\0', len))
        return RC_INPUT;
    *out = mem_zalloc(len + 1);
    memcpy(*out, all.at, len);
    return RC_OK;
}

static enum rc read_stdin(struct buf *out)
{
    uint8_t part[256];
    ssize_t got;

    while ((got = read(STDIN_FILENO, part, sizeof part)) > 0)
        buf_put(out, reader_of(part, (size_t)got));
    mem_wipe(part, sizeof part);
    if (got < 0)
        return errno == EINTR ? RC_CLOSED : RC_SYSTEM;
    return buf_ok(out) ? RC_OK : RC_LIMIT;
}

static int fail_key(struct invocation *in, const char *from, enum rc rc)
{
    const char *hint = "a key begins with pc_ and stands on the first line";

    if (rc == RC_CLOSED)
        return ui_fail(&in->ui, EXIT_CODE_INTERRUPTED, NULL, "interrupted");
    if (rc == RC_ABSENT || rc == RC_SYSTEM)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, hint, "the API key cannot be read from %s: %s",
                       from, strerror(errno));
    return ui_fail(&in->ui, EXIT_CODE_USAGE, hint, "there is no API key in %s", from);
}

/* From wherever the API key comes; NULL: none was given. */
static int read_key(struct invocation *in, char **out)
{
    const char *file = options_value(&in->options, "api-key-file");
    char *given = options_take_secret(&in->options);
    struct buf content;
    enum rc rc;

    if (given != NULL && strcmp(given, "-") != 0) {
        if (given[0] == '\0') {
            free(given);
            return fail_key(in, "--api-key", RC_INPUT);
        }
        *out = given;
        return 0;
    }
    if (given == NULL && file == NULL)
        return 0;
    buf_init(&content, UP_KEY_MAX);
    rc = given ? read_stdin(&content) : file_read(file, &content);
    if (rc == RC_OK)
        rc = first_line(&content, out);
    buf_done(&content);
    if (rc != RC_OK)
        (void)fail_key(in, given ? "stdin" : file, rc);
    free(given);
    return rc == RC_OK ? 0 : rc == RC_CLOSED ? EXIT_CODE_INTERRUPTED : EXIT_CODE_USAGE;
}

static enum rc parse_hold(const char *text, uint64_t *out_ms)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 60 * 60}};
    char number[16];
    size_t len = strspn(text, "0123456789");
    uint64_t value;

    if (strcmp(text, "0") == 0) {
        *out_ms = 0;
        return RC_OK;
    }
    if (len == 0 || len >= sizeof number || strlen(text) != len + 1)
        return RC_INPUT;
    memcpy(number, text, len);
    number[len] = '\0';
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text[len] != units[i].unit)
            continue;
        if (text_number(number, 0, UP_HOLD_MAX_S / units[i].seconds, &value) != RC_OK)
            return RC_INPUT;
        *out_ms = value * units[i].seconds * 1000;
        return RC_OK;
    }
    return RC_INPUT;
}

static bool is_fingerprint(const char *text)
{
    uint8_t digest[32];

    return strncmp(text, "sha256:", 7) == 0 && text_unhex(text + 7, digest, sizeof digest) == RC_OK;
}

static int check_wish(struct invocation *in, const struct agent_options *o)
{
    struct address hub;
    bool tls;

    if (o->hub_url && address_parse_url(o->hub_url, &hub, &tls) != RC_OK)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "--hub https://hub.example.com:3001",
                       "%.200s is not the address of a hub", o->hub_url);
    if (o->hub_fingerprint && !is_fingerprint(o->hub_fingerprint))
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "the hub prints it when it starts",
                       "a fingerprint is sha256: and 64 hex digits");
    if (o->label && !settings_is_label(o->label))
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "--label prod",
                       "a label has 1 to %d printable characters", SETTINGS_LABEL_MAX);
    return 0;
}

/* Fills `out`; its texts are borrowed from `in`, but for the key. */
static int read_wish(struct invocation *in, struct agent_options *out)
{
    const char *hold = options_value(&in->options, "hold");
    const char *hub = options_value(&in->options, "hub");
    const char *insecure = getenv("CONNECT_ALLOW_INSECURE");

    if (hub == NULL)
        hub = getenv("CONNECT_HUB_URL");
    *out = (struct agent_options){
        .folder = in->folder,
        .hub_url = hub && hub[0] ? hub : NULL,
        .label = options_value(&in->options, "label"),
        .hub_fingerprint = options_value(&in->options, "hub-fingerprint"),
        .hold_ms = AGENT_HOLD_AS_BEFORE,
        .allow_insecure = insecure != NULL && strcmp(insecure, "true") == 0,
        .report_fd = -1,
        .foreground = options_has(&in->options, "foreground"),
    };
    if (hold && parse_hold(hold, &out->hold_ms) != RC_OK)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "--hold 30s, --hold 10m or --hold 2h, at most 24h",
                       "%.32s is not a length of time", hold);
    int code = check_wish(in, out);
    return code != 0 ? code : read_key(in, &out->api_key);
}

static void drop_key(struct agent_options *o)
{
    if (o->api_key == NULL)
        return;
    mem_wipe(o->api_key, strlen(o->api_key));
    free(o->api_key);
    o->api_key = NULL;
}

/* --- what the person sees --------------------------------------------------------------- */

static void show(struct ui *ui, const json_t *report)
{
    ui_say(ui, UI_MARK_OK, "%s is connected to %s (workspace %s)", client_text(report, "label"),
           client_text(report, "hub"), client_text(report, "workspace"));
    if (json_is_true(json_object_get(report, "hub_first_contact"))) {
        ui_say(ui, UI_MARK_NOTE, "first contact: this certificate is expected from now on");
        ui_more(ui, "%s", client_text(report, "hub_fingerprint"));
        ui_more(ui, "the hub prints the same when it starts");
    }
    if (client_text(report, "replaced")[0] != '\0')
        ui_say(ui, UI_MARK_NOTE, "a new login: this machine was the agent %s before",
               client_text(report, "replaced"));
    if (client_text(report, "warning")[0] != '\0')
        ui_say(ui, UI_MARK_NOTE, "%s", client_text(report, "warning"));
}

/* An agent runs in this folder already. */
static int already_up(struct invocation *in, struct client *c, const struct agent_options *o)
{
    json_t *status = NULL;

    int code = cmd_ask(in, c, cmd_request("status"), CMD_QUICK_MS, &status);
    if (code != 0)
        return code;
    const char *hub = client_text(status, "hub"), *label = client_text(status, "label");
    bool differs = (o->hub_url && !settings_is_same_hub(o->hub_url, hub)) ||
                   (o->label && strcmp(o->label, label) != 0);
    if (differs || o->foreground) {
        char message[128];
        text_message(message, sizeof message,
                     "an agent runs in this folder already%s (process %.0f)",
                     differs ? ", with another hub or label" : "", client_number(status, "pid"));
        code = ui_fail_as(&in->ui, EXIT_CODE_OTHER, "already_running",
                          "connect down first, or name another folder with --config", message);
        json_decref(status);
        return code;
    }
    ui_say(&in->ui, UI_MARK_OK, "%s is already up (%s, %s)", label, hub,
           client_text(status, "state"));
    ui_object(&in->ui, status);
    return 0;
}

/* --- starting ------------------------------------------------------------------------------ */

static void setup_log(bool for_people)
{
    const char *level = getenv("CONNECT_LOG");
    bool debug = level != NULL && strcmp(level, "debug") == 0;

    log_setup(debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
              for_people ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
}

/* The agent failed before it was up, and its report waits in the pipe. */
static int tell_failure(struct invocation *in, int fd, int code)
{
    struct client *report = client_of(fd);
    json_t *answer = NULL;

    if (client_answer(report, &in->ui, CMD_QUICK_MS, &answer) == RC_OK &&
        json_object_get(answer, "error") != NULL)
        code = cmd_fail_answer(in, answer);
    json_decref(answer);
    client_free(report);
    return code;
}

static int run_here(struct invocation *in, struct agent_options *o)
{
    int ends[2];

    setup_log(isatty(STDERR_FILENO) == 1);
    interrupt_release();
    if (in->ui.json) {
        o->report_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        return agent_run(o);
    }
    if (pipe(ends) != 0)
        return ui_fail(&in->ui, EXIT_CODE_OTHER, NULL, "the agent cannot start: %s",
                       strerror(errno));
    o->report_fd = ends[1];
    int code = agent_run(o);
    if (code != 0)
        return tell_failure(in, ends[0], code);
    (void)close(ends[0]);
    return 0;
}

/* Waits for the new agent's report and tells it. */
static int await_agent(struct invocation *in, const struct background *b)
{
    struct client *report = client_of(b->report_fd);
    json_t *answer = NULL;
    int code;

    enum rc rc = client_answer(report, &in->ui, UP_START_MS, &answer);
    if (rc != RC_OK) {
        (void)kill(b->pid, SIGTERM); /* half started is not started */
        code = cmd_fail_wait(in, rc, UP_START_MS);
    } else if (json_object_get(answer, "error")) {
        code = cmd_fail_answer(in, answer);
        json_decref(answer);
        /* So that the next `up` does not meet the lock of one that is still going. */
        (void)waitpid(b->pid, NULL, 0);
    } else {
        show(&in->ui, answer);
        ui_object(&in->ui, answer);
        code = 0;
    }
    client_free(report);
    return code;
}

/* In the new process, which cannot even begin: errno says why. */
static _Noreturn void report_and_exit(const struct background *b)
{
    json_t *error =
        json_pack("{s:i, s:{s:s, s:s, s:s}}", "v", 1, "error", "code", "other", "message",
                  "the agent cannot start in the background", "hint", strerror(errno));

    (void)json_dumpfd(error, b->report_fd, JSON_COMPACT);
    (void)dprintf(b->report_fd, "\n");
    _exit(EXIT_CODE_OTHER);
}

static int run_in_background(struct invocation *in, struct agent_options *o)
{
    struct background b;

    enum rc rc = background_start(in->folder, &b);
    if (rc != RC_OK && !b.is_agent)
        return ui_fail(&in->ui, EXIT_CODE_OTHER, NULL, "the agent cannot start: %s",
                       strerror(errno));
    if (rc != RC_OK)
        report_and_exit(&b);
    if (b.is_agent) {
        setup_log(false);
        o->report_fd = b.report_fd;
        return agent_run(o);
    }
    drop_key(o);
    ui_wait(&in->ui, "connecting to %s", o->hub_url ? o->hub_url : "the hub");
    return await_agent(in, &b);
}

static int start(struct invocation *in, struct agent_options *o)
{
    struct client *running = NULL;

    enum rc rc = client_open(in->folder, &running);
    if (rc == RC_OK) {
        int code = already_up(in, running, o);
        client_free(running);
        return code;
    }
    if (rc != RC_ABSENT)
        return cmd_connect(in, &running); /* says what is wrong with the socket */
    return o->foreground ? run_here(in, o) : run_in_background(in, o);
}

static int run(struct invocation *in)
{
    struct agent_options o = {0};

    int code = cmd_find_folder(in, true);
    if (code == 0)
        code = read_wish(in, &o);
    if (code == 0)
        code = start(in, &o);
    drop_key(&o);
    return code;
}

const struct command cmd_up = {
    .name = "up",
    .operands = "",
    .summary = "log in to a hub and start the agent",
    .options = options,
    .details = "The first time, name the hub and give an API key (connect-hub key create). After "
               "that, connect up alone is enough: hub, label, hold time and what was exposed and "
               "reached are "
               "remembered. Plain http:// hubs are accepted on this machine only, or with "
               "CONNECT_ALLOW_INSECURE=true.",
    .examples = "connect up --hub https://hub:3001 --api-key KEY --label prod\n"
                "connect up --hub https://hub:3001 --api-key-file key.txt\n"
                "connect up\n",
    .run = run,
};
