#include "hub/control_message.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

/* --- reading --------------------------------------------------------------------------------- */

/* One object being read. Failing sticks, so a message is read straight down. */
struct members {
    const json_t *object;
    char *why;
    bool failed;
};

static void fail(struct members *m, const char *key, const char *what)
{
    if (!m->failed)
        text_message(m->why, CONTROL_WHY_SIZE, "%s: %s", key, what);
    m->failed = true;
}

/* A text without NUL inside that fits. "" when absent and not `needed`. */
static void take_text(struct members *m, const char *key, bool needed, char *out, size_t size)
{
    const json_t *value = json_object_get(m->object, key);

    out[0] = '\0';
    if (value == NULL && !needed)
        return;
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != json_string_length(value))
        fail(m, key, "a text is wanted");
    else if (text_copy(out, size, text) != RC_OK)
        fail(m, key, "the text is too long");
}

static uint64_t take_number(struct members *m, const char *key)
{
    const json_t *value = json_object_get(m->object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        fail(m, key, "a number is wanted");
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

/* One of `choices`, which ends with NULL; the first one when absent and not `needed`. Static text.
 */
static const char *take_choice(struct members *m, const char *key, bool needed,
                               const char *const *choices)
{
    const json_t *value = json_object_get(m->object, key);
    const char *text = json_string_value(value);

    if (value == NULL && !needed)
        return choices[0];
    for (; text && *choices; choices++)
        if (strcmp(text, *choices) == 0)
            return *choices;
    fail(m, key, "not one of the known words");
    return "";
}

static void take_name(struct members *m, const char *key, char out[CONTROL_NAME_SIZE])
{
    take_text(m, key, true, out, CONTROL_NAME_SIZE);
    if (!m->failed && !text_is_name(out))
        fail(m, key, "a name has 1 to 63 characters of a-z, 0-9 and '-'");
}

/* Text that people will see on a terminal: no control characters. */
static bool is_printable(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
            return false;
    return true;
}

bool control_is_label(const char *text)
{
    size_t len = strlen(text), characters = 0;

    for (const char *c = text; *c; c++)
        characters += ((unsigned char)*c & 0xc0) != 0x80;
    return len >= 1 && characters <= CONTROL_LABEL_MAX && text[0] != ' ' && text[len - 1] != ' ' &&
           is_printable(text);
}

static void take_printable(struct members *m, const char *key, bool needed, char *out, size_t size)
{
    take_text(m, key, needed, out, size);
    if (!m->failed && !is_printable(out))
        fail(m, key, "control characters are not allowed");
}

static void take_service(struct members *m, struct control_service *out)
{
    static const char *const protocols[] = {"tcp", "http", "https", "udp", NULL};

    take_name(m, "name", out->name);
    const char *protocol = take_choice(m, "protocol", false, protocols);
    text_message(out->protocol, sizeof out->protocol, "%s", protocol);
    take_printable(m, "target", true, out->target, sizeof out->target);
}

static void take_services(struct members *m, struct control_message *out)
{
    const json_t *list = json_object_get(m->object, "services");
    size_t count = json_array_size(list);

    if (list != NULL && !json_is_array(list))
        fail(m, "services", "a list is wanted");
    if (count > CONTROL_SERVICES_MAX)
        fail(m, "services", "too many");
    if (m->failed || count == 0)
        return;
    out->hello.services = mem_zalloc(count * sizeof out->hello.services[0]);
    out->hello.service_count = count;
    for (size_t i = 0; i < count && !m->failed; i++) {
        struct members one = {.object = json_array_get(list, i), .why = m->why};
        take_service(&one, &out->hello.services[i]);
        m->failed = one.failed;
    }
}

static void take_hello(struct members *m, struct control_message *out)
{
    struct members protocol = {.object = json_object_get(m->object, "protocol"), .why = m->why};

    out->hello.protocol_min = take_number(&protocol, "min");
    out->hello.protocol_max = take_number(&protocol, "max");
    m->failed = protocol.failed;
    if (out->hello.protocol_min > out->hello.protocol_max)
        fail(m, "protocol", "min is above max");
    take_printable(m, "version", true, out->hello.version, sizeof out->hello.version);
    take_text(m, "label", true, out->hello.label, sizeof out->hello.label);
    if (!m->failed && !control_is_label(out->hello.label))
        fail(m, "label", "1 to 63 printable characters are wanted");
    take_services(m, out);
}

static void take_open(struct members *m, struct control_message *out)
{
    static const char *const purposes[] = {"reach", "resume", NULL};
    static const char *const modes[] = {"auto", "wrapped", "base64", NULL};

    take_name(m, "service", out->open.service);
    out->open.resume = strcmp(take_choice(m, "purpose", true, purposes), "resume") == 0;
    out->open.mode = take_choice(m, "mode", false, modes);
}

static void take_unexpose(struct members *m, struct control_message *out)
{
    take_name(m, "name", out->name);
}

static void take_unreach(struct members *m, struct control_message *out)
{
    take_name(m, "service", out->name);
}

static void take_expose(struct members *m, struct control_message *out)
{
    take_service(m, &out->expose);
}

static void take_peer(struct members *m, struct control_message *out)
{
    take_printable(m, "agent", true, out->agent, sizeof out->agent);
}

static void take_reply(struct members *m, struct control_message *out)
{
    const json_t *error = json_object_get(m->object, "error");
    struct members inside = {.object = error, .why = m->why};

    out->reply.refused = error != NULL;
    if (error == NULL)
        return;
    take_printable(&inside, "code", true, out->reply.code, sizeof out->reply.code);
    take_printable(&inside, "message", true, out->reply.message, sizeof out->reply.message);
    m->failed = inside.failed;
}

static void take_nothing(struct members *m, struct control_message *out)
{
    (void)m;
    (void)out;
}

static const struct {
    const char *name;
    enum control_type type;
    void (*take)(struct members *m, struct control_message *out);
} types[] = {
    {"hello", CONTROL_HELLO, take_hello},
    {"expose", CONTROL_EXPOSE, take_expose},
    {"unexpose", CONTROL_UNEXPOSE, take_unexpose},
    {"list", CONTROL_LIST, take_nothing},
    {"open", CONTROL_OPEN, take_open},
    {"unreach", CONTROL_UNREACH, take_unreach},
    {"peer", CONTROL_PEER, take_peer},
    {"reply", CONTROL_REPLY, take_reply},
};
enum { TYPES = sizeof types / sizeof types[0] };

/* The id comes first: with it even a wrong message can be answered. */
static void take_head(struct members *m, struct control_message *out)
{
    const char *key = out->type == CONTROL_REPLY ? "re" : "id";

    out->id = take_number(m, key);
    out->has_id = !m->failed;
}

static enum rc parse_object(struct members *m, struct control_message *out)
{
    const char *name = json_string_value(json_object_get(m->object, "type"));
    size_t i = 0;

    if (name == NULL)
        return RC_PROTO;
    while (i < TYPES && strcmp(types[i].name, name) != 0)
        i++;
    out->type = i < TYPES ? types[i].type : CONTROL_UNKNOWN;
    take_head(m, out);
    if (i < TYPES && !m->failed)
        types[i].take(m, out);
    return m->failed ? RC_INPUT : RC_OK;
}

enum rc control_message_parse(struct reader text, struct control_message *out,
                              char why[CONTROL_WHY_SIZE])
{
    json_error_t error;

    *out = (struct control_message){0};
    why[0] = '\0';
    if (text.left > CONTROL_MESSAGE_MAX)
        return RC_PROTO;
    json_t *root = json_loadb((const char *)text.at, text.left, JSON_REJECT_DUPLICATES, &error);
    struct members m = {.object = root, .why = why};
    enum rc rc = json_is_object(root) ? parse_object(&m, out) : RC_PROTO;
    json_decref(root);
    if (rc != RC_OK)
        control_message_done(out);
    return rc;
}

void control_message_done(struct control_message *m)
{
    if (m->type != CONTROL_HELLO)
        return;
    free(m->hello.services);
    m->hello.services = NULL;
    m->hello.service_count = 0;
}

/* --- writing --------------------------------------------------------------------------------- */

/* Texts come from control_message_parse() or from us: they are UTF-8, so only memory could be
 * wanting. */
static char *to_text(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (text == NULL)
        abort();
    return text;
}

char *control_reply(uint64_t id)
{
    return to_text(json_pack("{s:s, s:I}", "type", "reply", "re", (json_int_t)id));
}

char *control_reply_error(uint64_t id, const char *code, const char *message)
{
    return to_text(json_pack("{s:s, s:I, s:{s:s, s:s}}", "type", "reply", "re", (json_int_t)id,
                             "error", "code", code, "message", message));
}

char *control_reply_hello(uint64_t id, const struct control_welcome *w)
{
    json_t *refused = json_array();

    for (size_t i = 0; i < w->refused_count; i++)
        (void)json_array_append_new(
            refused, json_pack("{s:s, s:s, s:s}", "name", w->refused[i].name, "code",
                               w->refused[i].code, "message", w->refused[i].message));
    return to_text(json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "type", "reply", "re",
                             (json_int_t)id, "agent_id", w->agent_id, "label", w->label,
                             "workspace", w->workspace, "token_expires", w->token_expires,
                             "hub_version", w->hub_version, "refused", refused));
}

static json_t *listed_json(const struct control_listed *s)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "name", s->service.name, "protocol",
                     s->service.protocol, "target", s->service.target, "agent_id", s->agent_id,
                     "label", s->label, "online", s->online);
}

char *control_reply_list(uint64_t id, const struct control_listed *services, size_t count)
{
    size_t room = CONTROL_MESSAGE_MAX - 128; /* for what stands around the list */
    json_t *list = json_array();
    size_t i = 0;

    for (; i < count; i++) {
        json_t *one = listed_json(&services[i]);
        size_t size = json_dumpb(one, NULL, 0, JSON_COMPACT) + 1;
        if (size > room) {
            json_decref(one);
            break;
        }
        room -= size;
        (void)json_array_append_new(list, one);
    }
    return to_text(json_pack("{s:s, s:I, s:o, s:b}", "type", "reply", "re", (json_int_t)id,
                             "services", list, "more", i < count));
}

static json_t *peer_json(const struct control_peer *p)
{
    return json_pack("{s:s, s:s, s:s}", "agent_id", p->agent_id, "label", p->label, "public_key",
                     p->public_key);
}

char *control_reply_open(uint64_t id, const struct control_opened *o)
{
    return to_text(json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "type", "reply", "re",
                             (json_int_t)id, "pipe", o->pipe, "ticket", o->ticket, "service",
                             o->service->name, "protocol", o->service->protocol, "target",
                             o->service->target, "peer", peer_json(&o->peer)));
}

char *control_reply_peer(uint64_t id, const struct control_peer *p)
{
    return to_text(json_pack("{s:s, s:I, s:s, s:s, s:s}", "type", "reply", "re", (json_int_t)id,
                             "agent_id", p->agent_id, "label", p->label, "public_key",
                             p->public_key));
}

char *control_dial(uint64_t id, const struct control_opened *o)
{
    return to_text(json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:o}", "type", "dial", "id",
                             (json_int_t)id, "pipe", o->pipe, "ticket", o->ticket, "service",
                             o->service->name, "mode", o->mode, "peer", peer_json(&o->peer)));
}

char *control_revoked(const char *message)
{
    return to_text(json_pack("{s:s, s:s}", "type", "revoked", "message", message));
}
