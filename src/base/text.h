#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"

/* text -- bounded strings: formatting that says when it did not fit, hex, names. */

/* snprintf that fails instead of cutting off. RC_LIMIT: did not fit; `out` is then "". */
MUST_CHECK enum rc text_format(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As text_format() for pieces whose cut-off does no harm (messages for people). */
void text_message(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Copies a C string. RC_LIMIT as above. */
MUST_CHECK enum rc text_copy(char *out, size_t size, const char *from);
/* A C string on the heap; the caller frees it. NULL gives NULL. */
char *text_dup(const char *from);

/* Lower-case hex; `out` has 2 * bytes.left + 1 bytes. */
void text_hex(struct reader bytes, char *out);
/* Exactly `len` bytes from 2 * len hex digits of either case. RC_INPUT: anything else. */
MUST_CHECK enum rc text_unhex(const char *hex, uint8_t *out, size_t len);

/* A service name: 1 to 63 of a-z, 0-9 and '-'. */
enum { TEXT_NAME_MAX = 63 };
bool text_is_name(const char *s);

/* A decimal number from `low` to `high`, nothing around it. RC_INPUT: anything else. */
MUST_CHECK enum rc text_number(const char *s, uint64_t low, uint64_t high, uint64_t *out);
