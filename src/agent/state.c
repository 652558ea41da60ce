#include "agent/state.h"

#include <stdlib.h>
#include <string.h>

#include "agent/json.h"
#include "base/mem.h"
#include "base/text.h"

/*
 * {"v":1, "exposed":{"prod-db":{"target":"localhost:5432","protocol":"tcp"}},
 *         "reached":{"prod-db":{"port":5432,"asked_port":5432,"pipe":"auto"}}}
 */
struct state {
    char *path;
    json_t *document;
    json_t *exposed, *reached; /* borrowed from the document */
};

bool state_is_protocol(const char *text)
{
    return strcmp(text, "tcp") == 0 || strcmp(text, "http") == 0 || strcmp(text, "https") == 0;
}

/* --- entries --------------------------------------------------------------------------------- */

static enum rc read_exposed(const char *name, const json_t *entry, struct state_exposed *out)
{
    struct address at;
    const char *protocol;

    if (!text_is_name(name) || text_copy(out->name, sizeof out->name, name) != RC_OK ||
        json_copy_text(entry, "target", out->target, sizeof out->target) != RC_OK ||
        json_copy_text(entry, "protocol", out->protocol, sizeof out->protocol) != RC_OK ||
        address_parse_target(out->target, &at, &protocol) != RC_OK ||
        !state_is_protocol(out->protocol))
        return RC_INPUT;
    return RC_OK;
}

static enum rc read_reached(const char *name, const json_t *entry, struct state_reached *out)
{
    char mode[16];
    uint64_t port, asked = 0;

    if (!text_is_name(name) || text_copy(out->name, sizeof out->name, name) != RC_OK ||
        json_copy_number(entry, "port", 1, UINT16_MAX, &port) != RC_OK ||
        json_copy_number(entry, "asked_port", 0, UINT16_MAX, &asked) == RC_INPUT ||
        json_copy_text(entry, "pipe", mode, sizeof mode) == RC_INPUT ||
        pipe_mode_parse(mode[0] ? mode : "auto", &out->mode) != RC_OK)
        return RC_INPUT;
    out->port = (uint16_t)port;
    out->asked = (uint16_t)asked;
    return RC_OK;
}

/* --- the file -------------------------------------------------------------------------------- */

static enum rc bad_entry(const struct state *st, const char *kind, const char *name,
                         struct failure *why)
{
    failure_set(why, "other", "%s is broken: the %s service \"%.64s\" makes no sense", st->path,
                kind, name);
    failure_hint(why, "put it right, or move it away; nothing was changed");
    return RC_INPUT;
}

static json_t *section(struct state *st, const char *name)
{
    json_t *object = json_object_get(st->document, name);

    if (object == NULL) {
        object = json_object();
        (void)json_object_set_new(st->document, name, object);
    }
    return json_is_object(object) && json_object_size(object) <= STATE_SERVICES_MAX ? object : NULL;
}

static enum rc check(const struct state *st, struct failure *why)
{
    struct state_exposed e;
    struct state_reached r;
    const char *name;
    json_t *entry;

    if (st->exposed == NULL || st->reached == NULL) {
        failure_set(
            why, "other",
            "%s is broken: \"exposed\" and \"reached\" must be objects of at most %d entries",
            st->path, STATE_SERVICES_MAX);
        return RC_INPUT;
    }
    json_object_foreach(st->exposed, name, entry) if (read_exposed(name, entry, &e) !=
                                                      RC_OK) return bad_entry(st, "exposed", name,
                                                                              why);
    json_object_foreach(st->reached, name, entry) if (read_reached(name, entry, &r) !=
                                                      RC_OK) return bad_entry(st, "reached", name,
                                                                              why);
    return RC_OK;
}

enum rc state_load(const char *path, struct state **out, struct failure *why)
{
    struct state *st = mem_zalloc(sizeof *st);

    st->path = text_dup(path);
    enum rc rc = json_file_load(path, &st->document, why);
    if (rc == RC_ABSENT) {
        st->document = json_pack("{s:i}", "v", JSON_FILE_VERSION);
        rc = RC_OK;
    }
    if (rc == RC_OK) {
        st->exposed = section(st, "exposed");
        st->reached = section(st, "reached");
        rc = check(st, why);
    }
    if (rc != RC_OK) {
        state_free(st);
        return rc;
    }
    *out = st;
    return RC_OK;
}

void state_free(struct state *st)
{
    if (st == NULL)
        return;
    json_decref(st->document);
    free(st->path);
    free(st);
}

/* --- reading --------------------------------------------------------------------------------- */

static const char *name_at(json_t *section, size_t i)
{
    void *at = json_object_iter(section);

    while (at != NULL && i-- > 0)
        at = json_object_iter_next(section, at);
    return at ? json_object_iter_key(at) : NULL;
}

enum rc state_exposed_at(const struct state *st, size_t i, struct state_exposed *out)
{
    const char *name = name_at(st->exposed, i);

    return name ? read_exposed(name, json_object_get(st->exposed, name), out) : RC_ABSENT;
}

enum rc state_reached_at(const struct state *st, size_t i, struct state_reached *out)
{
    const char *name = name_at(st->reached, i);

    return name ? read_reached(name, json_object_get(st->reached, name), out) : RC_ABSENT;
}

/* --- changing -------------------------------------------------------------------------------- */

/*
 * Puts `members` (taken; NULL: nothing, the entry goes) in the place of the entry, keeping members
 * that are not ours, and writes. What cannot be written is undone.
 */
static enum rc change(struct state *st, json_t *where, const char *name, json_t *members,
                      struct failure *why)
{
    json_t *before = json_incref(json_object_get(where, name));

    if (members) {
        json_t *entry = before ? json_deep_copy(before) : json_object();
        (void)json_object_update(entry, members);
        (void)json_object_set_new(where, name, entry);
        json_decref(members);
    } else {
        (void)json_object_del(where, name);
    }
    enum rc rc = json_file_save(st->path, st->document, why);
    if (rc != RC_OK && before)
        (void)json_object_set(where, name, before);
    else if (rc != RC_OK)
        (void)json_object_del(where, name);
    json_decref(before);
    return rc;
}

static enum rc check_room(json_t *where, const char *name, struct failure *why)
{
    if (json_object_get(where, name) || json_object_size(where) < STATE_SERVICES_MAX)
        return RC_OK;
    failure_set(why, "other", "an agent has at most %d services of a kind", STATE_SERVICES_MAX);
    return RC_LIMIT;
}

enum rc state_put_exposed(struct state *st, const struct state_exposed *e, struct failure *why)
{
    enum rc rc = check_room(st->exposed, e->name, why);

    if (rc != RC_OK)
        return rc;
    return change(st, st->exposed, e->name,
                  json_pack("{s:o, s:s}", "target", json_text(e->target), "protocol", e->protocol),
                  why);
}

enum rc state_put_reached(struct state *st, const struct state_reached *r, struct failure *why)
{
    enum rc rc = check_room(st->reached, r->name, why);

    if (rc != RC_OK)
        return rc;
    return change(st, st->reached, r->name,
                  json_pack("{s:i, s:i, s:s}", "port", (int)r->port, "asked_port", (int)r->asked,
                            "pipe", pipe_mode_text(r->mode)),
                  why);
}

enum rc state_drop_exposed(struct state *st, const char *name, struct failure *why)
{
    return json_object_get(st->exposed, name) ? change(st, st->exposed, name, NULL, why) : RC_OK;
}

enum rc state_drop_reached(struct state *st, const char *name, struct failure *why)
{
    return json_object_get(st->reached, name) ? change(st, st->reached, name, NULL, why) : RC_OK;
}
