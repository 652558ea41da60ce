#include "hub/config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum kind { TEXT, FLAG, NUMBER };

/* RC_OK, or RC_INPUT with `why` saying what a right value looks like. */
typedef enum rc check(struct config *c, const char *value, char why[CONFIG_WHY_SIZE]);

struct row {
    const char *key;
    enum kind kind;
    size_t offset;
    const char *fallback;
    check *check; /* NULL: any text */
    uint64_t low, high;
    bool reloadable;
    const char *argument, *what;
};

static enum rc fail(char why[CONFIG_WHY_SIZE], const char *text)
{
    text_message(why, CONFIG_WHY_SIZE, "%s", text);
    return RC_INPUT;
}

/* --- checks ---------------------------------------------------------------------------------- */

static enum rc check_listen(struct config *c, const char *value, char why[CONFIG_WHY_SIZE])
{
    if (address_parse(value, true, &c->listen_at) != RC_OK || c->listen_at.kind != ADDRESS_TCP)
        return fail(why, "an address and a port are wanted, such as [::]:3001 or 127.0.0.1:3001");
    return RC_OK;
}

static enum rc check_url(struct config *c, const char *value, char why[CONFIG_WHY_SIZE])
{
    struct address at;
    bool tls;

    (void)c;
    if (*value != '\0' && address_parse_url(value, &at, &tls) != RC_OK)
        return fail(why, "a URL is wanted, such as https://hub.example.com:3001");
    return RC_OK;
}

static enum rc check_proxies(struct config *c, const char *value, char why[CONFIG_WHY_SIZE])
{
    char *list = text_dup(value), *rest = list, *word;
    enum rc rc = RC_OK;

    free(c->proxies);
    c->proxies = NULL;
    c->proxy_count = 0;
    while (rc == RC_OK && (word = strsep(&rest, ", ")) != NULL) {
        if (*word == '\0')
            continue;
        c->proxies = mem_resize(c->proxies, (c->proxy_count + 1) * sizeof c->proxies[0]);
        rc = ip_range_parse(word, &c->proxies[c->proxy_count]);
        if (rc == RC_OK)
            c->proxy_count++;
        else
            text_message(why, CONFIG_WHY_SIZE,
                         "\"%.80s\" is no address or network such as 10.0.0.0/8", word);
    }
    free(list);
    return rc;
}

static enum rc check_level(struct config *c, const char *value, char why[CONFIG_WHY_SIZE])
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            c->level = (enum log_level)i;
            return RC_OK;
        }
    }
    return fail(why, "debug, info, warn or error is wanted");
}

static enum rc check_format(struct config *c, const char *value, char why[CONFIG_WHY_SIZE])
{
    bool automatic = strcmp(value, "auto") == 0, text = strcmp(value, "text") == 0;

    if (!automatic && !text && strcmp(value, "json") != 0)
        return fail(why, "json, text or auto is wanted");
    c->log_text = text || (automatic && isatty(STDERR_FILENO));
    return RC_OK;
}

static enum rc check_not_empty(struct config *c, const char *value, char why[CONFIG_WHY_SIZE])
{
    (void)c;
    return *value ? RC_OK : fail(why, "it must not be empty");
}

/* --- the table ------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct config, member)
/* clang-format off */
static const struct row rows[] = {
    {"listen", TEXT, AT(listen), "[::]:3001", check_listen, 0, 0, false,
     "ADDR:PORT", "where to listen; port 0 picks a free one"},
    {"data", TEXT, AT(data), NULL, check_not_empty, 0, 0, false,
     "DIR", "folder of the database and the certificate"},
    {"public_url", TEXT, AT(public_url), "", check_url, 0, 0, false,
     "URL", "how agents reach this hub, if not by the address it listens on"},
    {"tls_cert", TEXT, AT(tls_cert), "", NULL, 0, 0, true,
     "FILE", "certificate chain, PEM; without one a self-signed one is made"},
    {"tls_key", TEXT, AT(tls_key), "", NULL, 0, 0, true,
     "FILE", "its private key, PEM"},
    {"plain_http", FLAG, AT(plain_http), "false", NULL, 0, 0, false,
     NULL, "no TLS: on a loopback address, or behind a proxy named in trusted_proxies"},
    {"trusted_proxies", TEXT, AT(trusted_proxies), "", check_proxies, 0, 0, true,
     "LIST", "addresses or networks of proxies whose X-Forwarded-For is believed"},
    {"log_level", TEXT, AT(log_level), "info", check_level, 0, 0, true,
     "LEVEL", "debug, info, warn or error"},
    {"log_format", TEXT, AT(log_format), "auto", check_format, 0, 0, true,
     "FORMAT", "json or text; auto: text on a terminal"},
    {"relay_threads", NUMBER, AT(relay_threads), "0", NULL, 0, 64, false,
     "N", "threads that copy tunnels; 0: one per processor, at most 4"},
    {"agents_per_workspace", NUMBER, AT(agents_per_workspace), "1000", NULL, 1, 100000, true,
     "N", "agents of one workspace that may be connected at once"},
    {"opens_per_second", NUMBER, AT(opens_per_second), "50", NULL, 1, 10000, true,
     "N", "pipes that one agent may ask for per second"},
    {"token_days", NUMBER, AT(token_days), "30", NULL, 1, 365, true,
     "DAYS", "how long an agent's token is valid"},
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof rows[0] };

static char **text_at(const struct config *c, const struct row *r)
{
    return (char **)(void *)((char *)(uintptr_t)c + r->offset);
}

static uint64_t *number_at(const struct config *c, const struct row *r)
{
    return (uint64_t *)(void *)((char *)(uintptr_t)c + r->offset);
}

static bool *flag_at(const struct config *c, const struct row *r)
{
    return (bool *)(void *)((char *)(uintptr_t)c + r->offset);
}

static const struct row *find_row(const char *key)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

static enum rc set_flag(bool *flag, const char *value, char why[CONFIG_WHY_SIZE])
{
    *flag = strcmp(value, "true") == 0;
    return *flag || strcmp(value, "false") == 0 ? RC_OK : fail(why, "true or false is wanted");
}

static enum rc set_number(const struct row *r, uint64_t *number, const char *value,
                          char why[CONFIG_WHY_SIZE])
{
    enum rc rc = text_number(value, r->low, r->high, number);

    if (rc != RC_OK)
        text_message(why, CONFIG_WHY_SIZE, "a number from %" PRIu64 " to %" PRIu64 " is wanted",
                     r->low, r->high);
    return rc;
}

/* `where` stands before the complaint: "hub.json: " or "--". */
static enum rc set(struct config *c, const struct row *r, const char *value, const char *where,
                   char why[CONFIG_WHY_SIZE])
{
    char what[CONFIG_WHY_SIZE] = "";
    enum rc rc = RC_OK;

    if (r->kind == FLAG) {
        rc = set_flag(flag_at(c, r), value, what);
    } else if (r->kind == NUMBER) {
        rc = set_number(r, number_at(c, r), value, what);
    } else {
        free(*text_at(c, r));
        *text_at(c, r) = text_dup(value);
    }
    if (rc == RC_OK && r->check)
        rc = r->check(c, value, what);
    if (rc != RC_OK)
        text_message(why, CONFIG_WHY_SIZE, "%.120s%s: %.250s (given: \"%.60s\")", where, r->key,
                     what, value);
    return rc;
}

static void default_data(char out[512])
{
    const char *home = getenv("HOME");

    if (geteuid() == 0 || home == NULL || *home == '\0' ||
        text_format(out, 512, "%s/.local/share/private-connect-hub", home) != RC_OK)
        text_message(out, 512, "/var/lib/private-connect");
}

static enum rc set_defaults(struct config *c, char why[CONFIG_WHY_SIZE])
{
    char data[512];
    enum rc rc = RC_OK;

    default_data(data);
    for (size_t i = 0; i < ROWS && rc == RC_OK; i++)
        rc = set(c, &rows[i], rows[i].fallback ? rows[i].fallback : data, "", why);
    return rc;
}

/* --- the file -------------------------------------------------------------------------------- */

/* A JSON value as the text that the command line would have; an array of texts joined by commas. */
static enum rc put_json_text(struct buf *out, const json_t *value)
{
    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        buf_put_text(out, json_string_value(value));
    else if (json_is_boolean(value))
        buf_put_text(out, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        buf_print(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        return RC_INPUT;
    return RC_OK;
}

static enum rc put_json_value(struct buf *out, const json_t *value)
{
    enum rc rc = RC_OK;

    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value) && rc == RC_OK; i++) {
            if (i > 0)
                buf_put_u8(out, ',');
            rc = put_json_text(out, json_array_get(value, i));
        }
    } else {
        rc = put_json_text(out, value);
    }
    buf_put_u8(out, '\0');
    return buf_ok(out) ? rc : RC_LIMIT;
}

static enum rc set_member(struct config *c, const char *key, const json_t *value, const char *where,
                          char why[CONFIG_WHY_SIZE])
{
    const struct row *r = find_row(key);
    struct buf text;

    if (r == NULL) {
        text_message(why, CONFIG_WHY_SIZE, "%.200s\"%.80s\" is not a setting", where, key);
        return RC_INPUT;
    }
    buf_init(&text, CONFIG_FILE_MAX);
    enum rc rc = put_json_value(&text, value);
    if (rc == RC_OK)
        rc = set(c, r, (const char *)buf_view(&text).at, where, why);
    else
        text_message(why, CONFIG_WHY_SIZE, "%.200s%s: a text, a number, true or false is wanted",
                     where, key);
    buf_done(&text);
    return rc;
}

static enum rc apply_json(struct config *c, const char *file, struct reader text,
                          char why[CONFIG_WHY_SIZE])
{
    char where[256];
    json_error_t error;
    const char *key;
    json_t *value;
    enum rc rc = RC_OK;

    json_t *root = json_loadb((const char *)text.at, text.left, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        text_message(why, CONFIG_WHY_SIZE, "%.200s:%d: %.160s", file, error.line, error.text);
        return RC_INPUT;
    }
    text_message(where, sizeof where, "%.250s: ", file);
    if (!json_is_object(root)) {
        text_message(why, CONFIG_WHY_SIZE, "%s{ \"key\": value, … } is wanted", where);
        rc = RC_INPUT;
    }
    json_object_foreach(root, key, value)
    {
        if (rc == RC_OK)
            rc = set_member(c, key, value, where, why);
    }
    json_decref(root);
    return rc;
}

static enum rc apply_file(struct config *c, const char *file, char why[CONFIG_WHY_SIZE])
{
    struct buf text;

    buf_init(&text, CONFIG_FILE_MAX);
    enum rc rc = file_read(file, &text);
    if (rc == RC_OK) {
        rc = apply_json(c, file, buf_view(&text), why);
    } else {
        const char *what = rc == RC_LIMIT ? "it is too large" : strerror(errno);
        text_message(why, CONFIG_WHY_SIZE, "%.300s: %.100s", file, what);
        rc = RC_INPUT;
    }
    buf_done(&text);
    return rc;
}

/* --- the whole ------------------------------------------------------------------------------- */

static enum rc apply_given(struct config *c, const struct config_source *from,
                           char why[CONFIG_WHY_SIZE])
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < from->given_count && rc == RC_OK; i++) {
        const struct row *r = find_row(from->given[i].key);
        rc = r ? set(c, r, from->given[i].value, "--", why) : fail(why, from->given[i].key);
    }
    return rc;
}

static enum rc check_together(const struct config *c, char why[CONFIG_WHY_SIZE])
{
    if ((*c->tls_cert == '\0') != (*c->tls_key == '\0'))
        return fail(why, "tls_cert and tls_key belong together: give both or neither");
    if (c->plain_http && *c->tls_cert != '\0')
        return fail(why, "plain_http and tls_cert exclude each other");
    if (c->plain_http && c->proxy_count == 0 && !address_is_loopback(&c->listen_at))
        return fail(
            why, "plain_http on an address that others can reach would send every token in clear. "
                 "Listen on 127.0.0.1, leave plain_http away, or, if an HTTPS proxy stands in "
                 "front, name its address in trusted_proxies");
    return RC_OK;
}

enum rc config_load(const struct config_source *from, struct config **out,
                    char why[CONFIG_WHY_SIZE])
{
    struct config *c = mem_zalloc(sizeof *c);

    enum rc rc = set_defaults(c, why);
    if (rc == RC_OK && from->file)
        rc = apply_file(c, from->file, why);
    if (rc == RC_OK)
        rc = apply_given(c, from, why);
    if (rc == RC_OK)
        rc = check_together(c, why);
    if (rc != RC_OK) {
        config_free(c);
        return RC_INPUT;
    }
    *out = c;
    return RC_OK;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].kind == TEXT)
            free(*text_at(c, &rows[i]));
    free(c->proxies);
    free(c);
}

static bool differs(const struct config *a, const struct config *b, const struct row *r)
{
    if (r->kind == FLAG)
        return *flag_at(a, r) != *flag_at(b, r);
    if (r->kind == NUMBER)
        return *number_at(a, r) != *number_at(b, r);
    return strcmp(*text_at(a, r), *text_at(b, r)) != 0;
}

static void copy_value(struct config *to, const struct config *from, const struct row *r)
{
    char why[CONFIG_WHY_SIZE];

    if (r->kind == FLAG) {
        *flag_at(to, r) = *flag_at(from, r);
    } else if (r->kind == NUMBER) {
        *number_at(to, r) = *number_at(from, r);
    } else {
        enum rc rc = set(to, r, *text_at(from, r), "", why);
        (void)rc; /* it was accepted once */
    }
}

const char *config_keep_fixed(struct config *fresh, const struct config *running)
{
    const char *kept = NULL;

    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].reloadable || !differs(fresh, running, &rows[i]))
            continue;
        kept = rows[i].key;
        copy_value(fresh, running, &rows[i]);
    }
    return kept;
}

size_t config_setting_count(void)
{
    return ROWS;
}

struct config_setting config_setting_at(size_t i)
{
    return (struct config_setting){.key = rows[i].key,
                                   .argument = rows[i].argument,
                                   .what = rows[i].what,
                                   .fallback = rows[i].fallback};
}

static bool is_option_of(const char *option, const char *key)
{
    for (; *key && (*option == *key || (*option == '-' && *key == '_')); key++)
        option++;
    return *key == '\0' && *option == '\0';
}

const char *config_key_of_option(const char *option)
{
    for (size_t i = 0; i < ROWS; i++)
        if (is_option_of(option, rows[i].key))
            return rows[i].key;
    return NULL;
}

void config_text(const struct config *c, size_t setting, char *out, size_t size)
{
    const struct row *r = &rows[setting];

    if (r->kind == FLAG)
        text_message(out, size, "%s", *flag_at(c, r) ? "true" : "false");
    else if (r->kind == NUMBER)
        text_message(out, size, "%" PRIu64, *number_at(c, r));
    else
        text_message(out, size, "%s", *text_at(c, r));
}
