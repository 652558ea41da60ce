#include "base/log.h"

#include <inttypes.h>
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

/* Quoted; whatever could move a terminal's cursor or break a line is written as \u00xx. */
static void put_string(struct buf *b, const char *s)
{
    if (s == NULL) {
        buf_put_text(b, "null");
        return;
    }
    buf_put_u8(b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_print(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_print(b, "\\u%04x", c);
        else
            buf_put_u8(b, c);
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
    buf_print(b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time, level_name[level], name);
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

void log_event(enum log_level level, const char *name, const struct log_field *fields)
{
    char time[CLOCK_TEXT_SIZE];
    struct buf line;

    if (level < least_level)
        return;
    clock_text(clock_unix(), time);
    buf_init(&line, LOG_LINE_MAX);
    (output_format == LOG_FORMAT_JSON ? put_json : put_text)(&line, level, name, time, fields);
    if (!buf_ok(&line)) { /* fields over the limit: the event is still told */
        buf_clear(&line);
        buf_print(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"cut\":1}", time,
                  level_name[level], name);
    }
    buf_put_u8(&line, '\n');
    struct reader out = buf_view(&line);
    ssize_t put = write(STDERR_FILENO, out.at, out.left);
    (void)put; /* nowhere to say that the log cannot be written */
    buf_done(&line);
}
