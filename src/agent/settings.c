#include "agent/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/outer_tls.h"

enum {
    SETTINGS_HOLD_DEFAULT_MS = 10 * 60 * 1000, /* docs/protocol.md §6.5 */
    SETTINGS_HOLD_MAX_S = 24 * 60 * 60,
    SETTINGS_TOKEN_FILE_MAX = 256,
};

enum rc settings_path(const char *folder, const char *name, char out[PATH_MAX], struct failure *why)
{
    if (text_format(out, PATH_MAX, "%s/%s", folder, name) == RC_OK)
        return RC_OK;
    failure_set(why, "usage", "the path of the folder is too long: %.200s", folder);
    return RC_INPUT;
}

/* --- config.json ----------------------------------------------------------------------------- */

static enum rc bad_member(const struct settings *s, const char *name, const char *problem,
                          struct failure *why)
{
    failure_set(why, "other", "%s/config.json is broken: \"%s\" %s", s->folder, name, problem);
    failure_hint(why, "put it right, or move it away and log in again; nothing was changed");
    return RC_INPUT;
}

static enum rc copy_texts(struct settings *s, struct failure *why)
{
    const struct {
        const char *name;
        char *out;
        size_t size;
    } texts[] = {
        {"hub", s->hub, sizeof s->hub},
        {"hub_fingerprint", s->hub_fingerprint, sizeof s->hub_fingerprint},
        {"label", s->label, sizeof s->label},
        {"agent_id", s->agent_id, sizeof s->agent_id},
        {"workspace", s->workspace, sizeof s->workspace},
        {"token_expires", s->token_expires, sizeof s->token_expires},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (json_copy_text(s->document, texts[i].name, texts[i].out, texts[i].size) == RC_INPUT)
            return bad_member(s, texts[i].name, "is no text that could stand there", why);
    return RC_OK;
}

static enum rc check_values(const struct settings *s, struct failure *why)
{
    struct address at;
    bool tls;
    uint8_t pin[FINGERPRINT_LEN];

    if (s->hub[0] != '\0' && address_parse_url(s->hub, &at, &tls) != RC_OK)
        return bad_member(s, "hub", "is not the address of a hub", why);
    if (s->hub_fingerprint[0] != '\0' && fingerprint_parse(s->hub_fingerprint, pin) != RC_OK)
        return bad_member(s, "hub_fingerprint", "is not sha256: and 64 hex digits", why);
    if (s->label[0] != '\0' && !settings_is_label(s->label))
        return bad_member(s, "label", "is not a label", why);
    return RC_OK;
}

/* Takes what the document says. */
static enum rc take_document(struct settings *s, struct token_hash *token_hash, bool *has_token,
                             struct failure *why)
{
    uint64_t hold_s = s->hold_ms / 1000;

    enum rc rc = copy_texts(s, why);
    if (rc == RC_OK)
        rc = check_values(s, why);
    if (rc != RC_OK)
        return rc;
    if (json_copy_number(s->document, "hold_seconds", 0, SETTINGS_HOLD_MAX_S, &hold_s) == RC_INPUT)
        return bad_member(s, "hold_seconds", "is not a number from 0 to 86400", why);
    s->hold_ms = hold_s * 1000;
    rc = json_copy_hex(s->document, "api_key_sha256", s->key_hash.bytes, TOKEN_HASH_LEN);
    if (rc == RC_INPUT)
        return bad_member(s, "api_key_sha256", "is not 64 hex digits", why);
    s->has_key_hash = rc == RC_OK;
    rc = json_copy_hex(s->document, "token_sha256", token_hash->bytes, TOKEN_HASH_LEN);
    if (rc == RC_INPUT)
        return bad_member(s, "token_sha256", "is not 64 hex digits", why);
    *has_token = rc == RC_OK;
    return RC_OK;
}

/* --- the token ------------------------------------------------------------------------------- */

static enum rc read_token(const char *path, struct token *out)
{
    struct buf content;

    buf_init(&content, SETTINGS_TOKEN_FILE_MAX);
    enum rc rc = file_read(path, &content);
    if (rc == RC_OK) {
        struct reader text = buf_view(&content);
        if (text.left > 0 && text.at[text.left - 1] == '\n')
            text.left--;
        rc = token_read(TOKEN_AGENT, text, out);
    }
    buf_done(&content);
    return rc;
}

static bool token_matches(const char *path, const struct token_hash *expected, struct token *out)
{
    struct token found;

    if (read_token(path, &found) != RC_OK)
        return false;
    struct token_hash hash = token_hash(&found);
    bool same = token_hash_equal(&hash, expected);
    if (same)
        *out = found;
    token_wipe(&found);
    return same;
}

/*
 * The token that config.json means. A crash may have left it in token.next, where
 * settings_save_login() puts it first.
 */
static enum rc load_token(struct settings *s, const struct token_hash *expected,
                          struct failure *why)
{
    char path[PATH_MAX], next[PATH_MAX];

    enum rc rc = settings_path(s->folder, "token", path, why);
    if (rc == RC_OK)
        rc = settings_path(s->folder, "token.next", next, why);
    if (rc != RC_OK)
        return rc;
    if (token_matches(path, expected, &s->token))
        return RC_OK;
    if (token_matches(next, expected, &s->token)) {
        if (rename(next, path) != 0)
            log_warn("settings.token_rename", log_str("why", strerror(errno)));
        return RC_OK;
    }
    log_warn("settings.no_token", log_str("path", path));
    return RC_OK;
}

/* --- all of it ------------------------------------------------------------------------------- */

enum rc settings_load(const char *folder, struct settings *out, struct failure *why)
{
    struct settings s = {.hold_ms = SETTINGS_HOLD_DEFAULT_MS};
    struct token_hash hash;
    bool has_token = false;
    char path[PATH_MAX];

    if (text_copy(s.folder, sizeof s.folder, folder) != RC_OK) {
        failure_set(why, "usage", "the path of the folder is too long");
        return RC_INPUT;
    }
    enum rc rc = settings_path(s.folder, "config.json", path, why);
    if (rc == RC_OK)
        rc = json_file_load(path, &s.document, why);
    if (rc == RC_ABSENT) {
        s.document = json_object();
        rc = RC_OK;
    }
    if (rc == RC_OK)
        rc = take_document(&s, &hash, &has_token, why);
    if (rc == RC_OK && has_token)
        rc = load_token(&s, &hash, why);
    if (rc == RC_OK)
        *out = s;
    else
        settings_done(&s);
    return rc;
}

void settings_done(struct settings *s)
{
    json_decref(s->document);
    token_wipe(&s->token);
    mem_wipe(s, sizeof *s);
}

static void set_text(json_t *document, const char *name, const char *value)
{
    if (value[0] != '\0')
        (void)json_object_set_new(document, name, json_text(value));
    else
        (void)json_object_del(document, name);
}

static void set_hash(json_t *document, const char *name, const struct token_hash *hash)
{
    char hex[2 * TOKEN_HASH_LEN + 1];

    text_hex(reader_of(hash->bytes, TOKEN_HASH_LEN), hex);
    (void)json_object_set_new(document, name, json_string(hex));
}

enum rc settings_save(struct settings *s, struct failure *why)
{
    char path[PATH_MAX];
    json_t *before = json_deep_copy(s->document), *d = s->document;

    enum rc rc = settings_path(s->folder, "config.json", path, why);
    if (rc != RC_OK) {
        json_decref(before);
        return rc;
    }
    (void)json_object_set_new(d, "v", json_integer(JSON_FILE_VERSION));
    set_text(d, "hub", s->hub);
    set_text(d, "hub_fingerprint", s->hub_fingerprint);
    set_text(d, "label", s->label);
    set_text(d, "agent_id", s->agent_id);
    set_text(d, "workspace", s->workspace);
    set_text(d, "token_expires", s->token_expires);
    (void)json_object_set_new(d, "hold_seconds", json_integer((json_int_t)(s->hold_ms / 1000)));
    if (s->has_key_hash)
        set_hash(d, "api_key_sha256", &s->key_hash);
    if (s->token.text[0] != '\0') {
        struct token_hash hash = token_hash(&s->token);
        set_hash(d, "token_sha256", &hash);
    }
    /*
     * What stands there already need not be written: starting must not depend on room on the disk.
     */
    if (!json_equal(before, d))
        rc = json_file_save(path, d, why);
    s->document = rc == RC_OK ? d : before;
    json_decref(rc == RC_OK ? before : d);
    return rc;
}

static enum rc write_token(const char *path, const struct token *t)
{
    char line[TOKEN_TEXT_SIZE + 1];

    text_message(line, sizeof line, "%s\n", t->text);
    enum rc rc = file_replace(path, reader_of_text(line));
    mem_wipe(line, sizeof line);
    return rc;
}

enum rc settings_save_login(struct settings *s, struct failure *why)
{
    char path[PATH_MAX], next[PATH_MAX];

    enum rc rc = settings_path(s->folder, "token", path, why);
    if (rc == RC_OK)
        rc = settings_path(s->folder, "token.next", next, why);
    if (rc != RC_OK)
        return rc;
    /* What needs room on the disk comes first, the renaming that makes it count last. */
    rc = write_token(next, &s->token);
    if (rc != RC_OK) {
        failure_system(why, "cannot be written", path);
        return rc;
    }
    rc = settings_save(s, why);
    if (rc != RC_OK) {
        (void)unlink(next);
        return rc;
    }
    if (rename(next, path) != 0) {
        failure_system(why, "cannot be written", path);
        return RC_SYSTEM;
    }
    return RC_OK;
}

/* --- the lock -------------------------------------------------------------------------------- */

static enum rc refuse_second(int fd, const char *folder, struct failure *why)
{
    char pid[32] = "";
    ssize_t got = pread(fd, pid, sizeof pid - 1, 0);

    pid[got > 0 ? got : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    failure_set(why, "already_running", "an agent is already running (pid %s) with the folder %s",
                pid[0] ? pid : "unknown", folder);
    failure_hint(why, "connect down first, or name another folder with --config");
    return RC_EXISTS;
}

enum rc settings_lock(const char *folder, int *out, struct failure *why)
{
    char path[PATH_MAX], pid[32];

    enum rc rc = settings_path(folder, "agent.lock", path, why);
    if (rc != RC_OK)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        failure_system(why, "cannot be opened", path);
        return RC_SYSTEM;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            rc = refuse_second(fd, folder, why);
        } else {
            failure_system(why, "cannot be locked", path);
            rc = RC_SYSTEM;
        }
        (void)close(fd);
        return rc;
    }
    /* Only for the message above; a full disk is told by what matters more. */
    text_message(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
        log_debug("settings.lock_pid", log_str("why", strerror(errno)));
    *out = fd;
    return RC_OK;
}

/* --- labels and hubs ------------------------------------------------------------------------- */

bool settings_is_label(const char *text)
{
    size_t len = strlen(text), characters = 0;

    if (len == 0 || len >= SETTINGS_LABEL_SIZE || text[0] == ' ' || text[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        if ((c & 0xc0) != 0x80)
            characters++;
    }
    json_t *valid = json_string(text); /* knows what UTF-8 is */
    json_decref(valid);
    return valid != NULL && characters <= SETTINGS_LABEL_MAX;
}

void settings_default_label(char out[SETTINGS_LABEL_SIZE])
{
    char name[SETTINGS_LABEL_MAX + 1] = "";

    if (gethostname(name, sizeof name) != 0)
        name[0] = '\0';
    name[sizeof name - 1] = '\0';
    name[strcspn(name, ".")] = '\0';
    text_message(out, SETTINGS_LABEL_SIZE, "%s", settings_is_label(name) ? name : "agent");
}

bool settings_is_same_hub(const char *one, const char *other)
{
    struct address a, b;
    bool a_tls, b_tls;

    return address_parse_url(one, &a, &a_tls) == RC_OK &&
           address_parse_url(other, &b, &b_tls) == RC_OK && a_tls == b_tls && a.port == b.port &&
           strcasecmp(a.host, b.host) == 0;
}
