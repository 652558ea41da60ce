#include "agent/cmd/cmd.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/interrupt.h"
#include "base/file.h"
#include "base/text.h"

/* After Ctrl-C: how long the agent may take to undo what was attached. */
enum { CMD_UNDO_MS = 3000 };

static const struct option common[] = {
    {.name = "config", .value = "FOLDER", .help = "the agent's folder (~/.private-connect)"},
    {.name = "json", .help = "answer with one JSON object"},
    {.name = "quiet", .help = "print errors only", .letter = 'q'},
    {.name = "help", .help = "this help", .letter = 'h'},
    {.name = "version", .help = "the version", .letter = 'V'},
    {0},
};

static const struct command *const commands[] = {
    &cmd_up,       &cmd_down,   &cmd_status, &cmd_expose, &cmd_unexpose, &cmd_reach, &cmd_unreach,
    &cmd_services, &cmd_whoami, &cmd_verify, &cmd_trust,  &cmd_version,  &cmd_help,  NULL,
};

const struct grammar cmd_grammar = {.common = common, .commands = commands};

/* --- the folder ---------------------------------------------------------------------- */

static const char *home(void)
{
    const char *home = getenv("HOME");

    if (home != NULL && home[0] != '\0')
        return home;
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_dir : NULL;
}

static enum rc choose_folder(const struct options *o, char *out, size_t size)
{
    const char *given = options_value(o, "config");

    if (given == NULL || given[0] == '\0')
        given = getenv("CONNECT_HOME");
    if (given != NULL && given[0] == '/')
        return text_copy(out, size, given);
    if (given != NULL && given[0] != '\0') {
        char here[PATH_MAX];
        if (getcwd(here, sizeof here) == NULL)
            return RC_SYSTEM;
        return text_format(out, size, "%s/%s", here, given);
    }
    return home() ? text_format(out, size, "%s/.private-connect", home()) : RC_ABSENT;
}

static int fail_folder(struct invocation *in, const char *problem)
{
    return ui_fail(&in->ui, EXIT_CODE_USAGE, "name another folder with --config", "%s %s",
                   in->folder, problem);
}

int cmd_find_folder(struct invocation *in, bool make)
{
    struct stat st;

    if (choose_folder(&in->options, in->folder, sizeof in->folder) != RC_OK)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "name it with --config FOLDER",
                       "there is no folder for the agent: HOME is not set or the path is too long");
    if (make && file_make_folder(in->folder) == RC_SYSTEM)
        return ui_fail(&in->ui, EXIT_CODE_OTHER, "name another folder with --config",
                       "the folder %s cannot be made: %s", in->folder, strerror(errno));
    if (stat(in->folder, &st) != 0)
        return make ? fail_folder(in, "cannot be opened")
                    : 0; /* absent: not logged in, told later */
    if (!S_ISDIR(st.st_mode))
        return fail_folder(in, "is a file, not a folder");
    if (make && (st.st_mode & S_IWOTH) != 0)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "take the right away with chmod, or name another",
                       "every user may write to %s: no place for a key", in->folder);
    return 0;
}

/* --- asking --------------------------------------------------------------------------- */

json_t *cmd_request(const char *command)
{
    return json_pack("{s:s}", "command", command);
}

static int fail_not_running(struct invocation *in)
{
    char settings[PATH_MAX];

    if (text_format(settings, sizeof settings, "%s/config.json", in->folder) != RC_OK ||
        access(settings, F_OK) != 0)
        return ui_fail(&in->ui, EXIT_CODE_NOT_LOGGED_IN,
                       "connect up --hub https://HUB:3001 --api-key KEY",
                       "this machine is not logged in to a hub");
    return ui_fail_as(&in->ui, EXIT_CODE_OTHER, "not_running", "connect up",
                      "the agent is not running");
}

int cmd_connect(struct invocation *in, struct client **out)
{
    int code = cmd_find_folder(in, false);
    if (code != 0)
        return code;

    enum rc rc = client_open(in->folder, out);
    if (rc == RC_OK)
        return 0;
    if (rc == RC_ABSENT)
        return fail_not_running(in);
    if (rc == RC_AUTH)
        return ui_fail(&in->ui, EXIT_CODE_DENIED, "run the command as the user who ran connect up",
                       "the agent of %s belongs to another user", in->folder);
    return ui_fail(&in->ui, EXIT_CODE_OTHER, NULL, "the agent cannot be asked: %s",
                   strerror(errno));
}

int cmd_fail_wait(struct invocation *in, enum rc why, uint64_t limit_ms)
{
    char log[PATH_MAX + 32];

    text_message(log, sizeof log, "its log: %s/agent.log", in->folder);
    if (why == RC_CLOSED)
        return ui_fail(&in->ui, EXIT_CODE_INTERRUPTED, NULL, "interrupted");
    if (why == RC_TIMEOUT)
        return ui_fail(&in->ui, EXIT_CODE_TIMEOUT, log, "the agent did not answer within %u s",
                       (unsigned)(limit_ms / 1000));
    if (why == RC_EOF)
        return ui_fail(&in->ui, EXIT_CODE_OTHER, log, "the agent has ended without an answer");
    return ui_fail(&in->ui, EXIT_CODE_OTHER,
                   "is the agent of another version? connect down, then connect up",
                   "the agent gave an answer that makes no sense");
}

int cmd_fail_answer(struct invocation *in, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *name = client_text(error, "code");

    return ui_fail_as(&in->ui, exit_code_of(name), name[0] ? name : NULL,
                      client_text(error, "hint"), client_text(error, "message"));
}

int cmd_ask(struct invocation *in, struct client *c, json_t *request, uint64_t limit_ms,
            json_t **answer)
{
    json_t *got = NULL;

    enum rc rc = client_send(c, request);
    if (rc == RC_OK || rc == RC_EOF) /* a refusal may wait to be read even if sending failed */
        rc = client_answer(c, &in->ui, limit_ms, &got);
    if (rc != RC_OK)
        return cmd_fail_wait(in, rc, limit_ms);
    if (json_object_get(got, "error")) {
        int code = cmd_fail_answer(in, got);
        json_decref(got);
        return code;
    }
    *answer = got;
    return 0;
}

int cmd_ask_once(struct invocation *in, json_t *request, uint64_t limit_ms, json_t **answer)
{
    struct client *c = NULL;

    int code = cmd_connect(in, &c);
    if (code != 0) {
        json_decref(request);
        return code;
    }
    code = cmd_ask(in, c, request, limit_ms, answer);
    client_free(c);
    return code;
}

/* --- pieces ---------------------------------------------------------------------------- */

int cmd_check_name(struct invocation *in, const char *name)
{
    if (text_is_name(name))
        return 0;
    return ui_fail(&in->ui, EXIT_CODE_USAGE, "for example: prod-db",
                   "a service name has 1 to %d of the characters a-z, 0-9 and -", TEXT_NAME_MAX);
}

int cmd_undo(struct invocation *in, const char *command, const char *done)
{
    const char *name = in->options.operands[0];
    json_t *answer = NULL;

    int code = cmd_check_name(in, name);
    if (code != 0)
        return code;
    json_t *request = cmd_request(command);
    (void)json_object_set_new(request, "name", json_string(name));
    code = cmd_ask_once(in, request, CMD_QUICK_MS, &answer);
    if (code != 0)
        return code;
    ui_say(&in->ui, UI_MARK_OK, "%s %s", name, done);
    ui_object(&in->ui, answer);
    return 0;
}

int cmd_stay(struct invocation *in, struct client *c)
{
    ui_more(&in->ui, "until Ctrl-C");
    (void)fflush(stdout);
    enum rc rc = client_wait_closed(c, &in->ui, 0);
    if (rc == RC_EOF && in->ui.json)
        return EXIT_CODE_OTHER; /* the one object has been printed */
    if (rc == RC_EOF)
        return ui_fail_as(&in->ui, EXIT_CODE_OTHER, "not_running", "connect up",
                          "the agent has ended");
    /* The agent closes its end when it has undone everything. A second Ctrl-C does not wait for
     * that. */
    interrupt_reset();
    client_end(c);
    rc = client_wait_closed(c, &in->ui, CMD_UNDO_MS);
    (void)rc;
    return EXIT_CODE_INTERRUPTED;
}

static void show_part(struct ui *ui, const json_t *check, const char *name,
                      void (*describe)(const json_t *part, char *out, size_t size))
{
    const json_t *part = json_object_get(check, name);
    char text[512], took[UI_NUMBER_SIZE];

    if (part == NULL)
        return;
    if (!json_is_true(json_object_get(part, "ok"))) {
        const char *error = client_text(part, "error");
        ui_say(ui, UI_MARK_BAD, "%-8s %s", name, error[0] ? error : "failed");
        return;
    }
    describe(part, text, sizeof text);
    ui_say(ui, UI_MARK_OK, "%-8s %s (%s)", name, text, ui_latency(client_number(part, "ms"), took));
}

static void describe_dns(const json_t *part, char *out, size_t size)
{
    const json_t *addresses = json_object_get(part, "addresses");
    size_t count = json_array_size(addresses);
    const char *first = json_string_value(json_array_get(addresses, 0));
    const char *second = json_string_value(json_array_get(addresses, 1));

    text_message(out, size, "%s%s%s", first ? first : "resolved", second ? ", " : "",
                 second ? second : "");
    size_t used = strlen(out);
    if (count > 2)
        text_message(out + used, size - used, " and %zu more", count - 2);
}

static void describe_tcp(const json_t *part, char *out, size_t size)
{
    (void)part;
    text_message(out, size, "connected");
}

static void describe_tls(const json_t *part, char *out, size_t size)
{
    int days = (int)client_number(part, "days_left");
    const char *issuer = client_text(part, "issuer");

    if (json_is_true(json_object_get(part, "self_signed")))
        issuer = "self-signed";
    if (days < 0)
        text_message(out, size, "%s, certificate expired %d days ago", issuer, -days);
    else
        text_message(out, size, "%s, certificate good for %d days", issuer, days);
}

static void describe_http(const json_t *part, char *out, size_t size)
{
    text_message(out, size, "answers %d", (int)client_number(part, "status"));
}

void cmd_show_check(struct ui *ui, const json_t *check)
{
    show_part(ui, check, "dns", describe_dns);
    show_part(ui, check, "tcp", describe_tcp);
    show_part(ui, check, "tls", describe_tls);
    show_part(ui, check, "http", describe_http);
}
