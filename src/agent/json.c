#include "agent/json.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

/* --- files ----------------------------------------------------------------------------------- */

static enum rc complain(struct failure *why, const char *path, const char *problem)
{
    failure_set(why, "other", "%s %s", path, problem);
    failure_hint(why, "put it right, or move it away; nothing was changed");
    return RC_INPUT;
}

static enum rc parse(const char *path, struct reader text, json_t **out, struct failure *why)
{
    json_error_t error;
    char problem[256];
    uint64_t version;

    if (text.left == 0)
        return complain(why, path, "is empty");
    json_t *object = json_loadb((const char *)text.at, text.left, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        text_message(problem, sizeof problem, "is broken in line %d, column %d: %s", error.line,
                     error.column, error.text);
        return complain(why, path, problem);
    }
    if (!json_is_object(object)) {
        json_decref(object);
        return complain(why, path, "is broken: it must be one JSON object");
    }
    enum rc rc = json_copy_number(object, "v", 0, UINT32_MAX, &version);
    if (rc == RC_OK && version > JSON_FILE_VERSION) {
        json_decref(object);
        return complain(why, path, "was written by a newer version of connect");
    }
    if (rc == RC_INPUT) {
        json_decref(object);
        return complain(why, path, "is broken: \"v\" must be a number");
    }
    *out = object;
    return RC_OK;
}

enum rc json_file_load(const char *path, json_t **out, struct failure *why)
{
    struct buf content;

    buf_init(&content, JSON_FILE_MAX);
    enum rc rc = file_read(path, &content);
    if (rc == RC_OK)
        rc = parse(path, buf_view(&content), out, why);
    else if (rc == RC_LIMIT)
        rc = complain(why, path, "is too large to be ours");
    else if (rc == RC_SYSTEM)
        failure_system(why, "cannot be read", path);
    buf_done(&content);
    return rc;
}

enum rc json_file_save(const char *path, const json_t *object, struct failure *why)
{
    char *text = json_dumps(object, JSON_INDENT(2));

    assert(text != NULL); /* an object of valid strings can always be written */
    size_t len = strlen(text);
    text[len] = '\n'; /* in place of the NUL */
    enum rc rc = file_replace(path, reader_of(text, len + 1));
    if (rc != RC_OK)
        failure_system(why, "cannot be written", path);
    free(text);
    return rc;
}

/* --- values ---------------------------------------------------------------------------------- */

json_t *json_text(const char *text)
{
    json_t *value = json_string(text);

    if (value)
        return value;
    char *copy = text_dup(text);
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

static bool has_controls(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

enum rc json_copy_text(const json_t *object, const char *name, char *out, size_t size)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);

    out[0] = '\0';
    if (value == NULL)
        return RC_ABSENT;
    if (text == NULL || strlen(text) != json_string_length(value) || has_controls(text))
        return RC_INPUT;
    return text_copy(out, size, text) == RC_OK ? RC_OK : RC_INPUT;
}

void json_copy_remark(const json_t *object, const char *name, char *out, size_t size)
{
    if (json_copy_text(object, name, out, size) != RC_OK)
        out[0] = '\0';
}

enum rc json_copy_number(const json_t *object, const char *name, uint64_t low, uint64_t high,
                         uint64_t *out)
{
    const json_t *value = json_object_get(object, name);

    if (value == NULL)
        return RC_ABSENT;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < low || (uint64_t)number > high)
        return RC_INPUT;
    *out = (uint64_t)number;
    return RC_OK;
}

enum rc json_copy_hex(const json_t *object, const char *name, uint8_t *out, size_t len)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);

    if (value == NULL)
        return RC_ABSENT;
    return text && strlen(text) == json_string_length(value) ? text_unhex(text, out, len)
                                                             : RC_INPUT;
}

char *json_line(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(10));

    assert(text != NULL);
    return text;
}
