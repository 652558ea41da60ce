#include "base/log.h"

#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum { LOG_LINE_MAX = 4096 };

static enum log_level least_level = LOG_LEVEL_INFO;
static enum log_format output_format = LOG_FORMAT_JSON;

static const char *const level_name[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, enum log_format format)
{
    least_level = least;
    output_format = format;
}

/* The bytes of the character at `s` if it is one of UTF-8 beyond ASCII (RFC 3629 §4), else 0. */
static size_t utf8_len(const unsigned char *s)
{
    size_t len = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
                 : (s[0] & 0xf0) == 0xe0        ? 3
                 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                : 0;
    bool longer_form = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool too_high = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);

    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) /* the NUL at the latest */
            return 0;
    return longer_form || too_high ? 0 : len;
}

/*
 * Quoted; whatever could move a terminal's cursor or break a line is written as \u00xx, and what
 * is not UTF-8 as the character for that, so that the line stays JSON.
 */
static void put_string(struct buf *b, const char *string)
{
    if (string == NULL) {
        buf_put_text(b, "null");
        return;
    }
    buf_put_u8(b, '"');
    for (const unsigned char *s = (const unsigned char *)string; *s; s++) {
        size_t len = *s < 0x80 ? 1 : utf8_len(s);
        if (*s == '"' || *s == '\\')
            buf_print(b, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f)
            buf_print(b, "\\u%04x", *s);
        else if (len == 0)
            buf_put_text(b, "\\ufffd");
        else if (s[0] == 0xc2 && s[1] < 0xa0)
            buf_print(b, "\\u%04x", s[1]);
        else
            buf_put(b, reader_of(s, len));
        s += len > 1 ? len - 1 : 0;
    }
    buf_put_u8(b, '"');
}

static void put_value(struct buf *b, const struct log_field *f)
{
    if (f->kind == LOG_FIELD_U64)
        buf_print(b, "%" PRIu64, f->u64);
    else
        put_string(b, f->str);
}

static void put_json(struct buf *b, enum log_level level, const char *name, const char *time,
                     const struct log_field *fields)
{
    buf_print(b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time, level_name[level],
              name);
    for (const struct log_field *f = fields; f->kind != LOG_FIELD_END; f++) {
        buf_print(b, ",\"%s\":", f->key);
        put_value(b, f);
    }
    buf_put_u8(b, '}');
}

static void put_text(struct buf *b, enum log_level level, const char *name, const char *time,
                     const struct log_field *fields)
{
    buf_print(b, "%s %-5s %s", time, level_name[level], name);
    for (const struct log_field *f = fields; f->kind != LOG_FIELD_END; f++) {
        buf_print(b, " %s=", f->key);
        put_value(b, f);
    }
}

static void put(struct buf *b, enum log_level level, const char *name, const char *time,
                const struct log_field *fields)
{
    (output_format == LOG_FORMAT_JSON ? put_json : put_text)(b, level, name, time, fields);
    buf_put_u8(b, '\n');
}

void log_event(enum log_level level, const char *name, const struct log_field *fields)
{
    char time[CLOCK_TEXT_SIZE];
    struct buf line;

    if (level < least_level)
        return;
    clock_text(clock_unix(), time);
    buf_init(&line, LOG_LINE_MAX);
    put(&line, level, name, time, fields);
    if (!buf_ok(&line)) { /* fields over the limit: the event is still told */
        const struct log_field cut[] = {log_u64("cut", 1), {.kind = LOG_FIELD_END}};
        buf_clear(&line);
        put(&line, level, name, time, cut);
    }
    struct reader out = buf_view(&line);
    ssize_t written = write(STDERR_FILENO, out.at, out.left);
    (void)written; /* nowhere to say that the log cannot be written */
    buf_done(&line);
}
