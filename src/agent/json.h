#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/failure.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * json -- reading values that others wrote, and JSON files.
 *
 * A file is one object with a member "v": 1. Members that this version does not know are kept
 * when the file is written again, so that going back to an older version loses nothing.
 */
enum { JSON_FILE_MAX = 4 * 1024 * 1024, JSON_FILE_VERSION = 1 };

/*
 * RC_ABSENT: no file. RC_INPUT: `why` names the file, the line and the problem. RC_SYSTEM: `why`.
 */
MUST_CHECK enum rc json_file_load(const char *path, json_t **out, struct failure *why);
/* Replaces the file in one step. RC_SYSTEM: `why`; the old one is still there. */
MUST_CHECK enum rc json_file_save(const char *path, const json_t *object, struct failure *why);

/* A new string; what is not UTF-8 (text cut off in the middle of a character) becomes '?'. */
json_t *json_text(const char *text);
/*
 * Copies a string member. RC_ABSENT: there is none (`out` is ""). RC_INPUT: another type, too long,
 * or with control characters.
 */
MUST_CHECK enum rc json_copy_text(const json_t *object, const char *name, char *out, size_t size);
/* The same for values that only people read: anything wrong gives "". */
void json_copy_remark(const json_t *object, const char *name, char *out, size_t size);
/* RC_ABSENT; RC_INPUT: not a whole number from `low` to `high`. */
MUST_CHECK enum rc json_copy_number(const json_t *object, const char *name, uint64_t low,
                                    uint64_t high, uint64_t *out);
/* `len` bytes from a hex string. */
MUST_CHECK enum rc json_copy_hex(const json_t *object, const char *name, uint8_t *out, size_t len);

/* One compact line without its end; the caller frees it. */
char *json_line(const json_t *value);
