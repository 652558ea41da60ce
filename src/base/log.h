#pragma once

#include <stdint.h>

#include "base/rc.h"

/*
 * log -- one event per line: a constant name and typed fields.
 *
 *     log_info("relay.closed", log_u64("relay", id), log_rc("why", rc));
 *
 * Names are `module.event`, lower case, never built at run time, so they can be
 * searched for. There is no field for raw bytes: a key, token, password or
 * payload cannot be logged by accident. One line is one write(2) to standard error:
 * JSON, or text for people when log_setup() says so. Callable from any thread.
 */
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

/* Call once, before other threads start. Until then: info, JSON. */
void log_setup(enum log_level least, enum log_format format);

struct log_field {
    enum { LOG_FIELD_END = 0, LOG_FIELD_U64, LOG_FIELD_STR } kind;
    const char *key;
    union {
        uint64_t u64;
        const char *str; /* escaped on output; NULL is written as null */
    };
};

static inline struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){.kind = LOG_FIELD_U64, .key = key, .u64 = value};
}

static inline struct log_field log_str(const char *key, const char *value)
{
    return (struct log_field){.kind = LOG_FIELD_STR, .key = key, .str = value};
}

static inline struct log_field log_rc(const char *key, enum rc rc)
{
    return log_str(key, rc_text(rc));
}

void log_event(enum log_level level, const char *name, const struct log_field *fields);

#define LOG_FIELDS(...)                                                                            \
    ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_FIELD_END}})
#define log_debug(name, ...) log_event(LOG_LEVEL_DEBUG, name, LOG_FIELDS(__VA_ARGS__))
#define log_info(name, ...) log_event(LOG_LEVEL_INFO, name, LOG_FIELDS(__VA_ARGS__))
#define log_warn(name, ...) log_event(LOG_LEVEL_WARN, name, LOG_FIELDS(__VA_ARGS__))
#define log_error(name, ...) log_event(LOG_LEVEL_ERROR, name, LOG_FIELDS(__VA_ARGS__))
