#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"

/*
 * file -- whole files in and out.
 *
 * Failures of the system are returned with errno as the system left it, so that
 * the caller can say "No space left on device" to the person who must act.
 */

/*
 * Reads a file of exactly `len` bytes. RC_INPUT: another size. RC_ABSENT: none.
 * `out` may hold part of the file when this fails.
 */
MUST_CHECK enum rc file_read_exact(const char *path, void *out, size_t len);

/* Appends the whole file to `out`. RC_ABSENT: none. RC_LIMIT: larger than the buffer may get. */
MUST_CHECK enum rc file_read(const char *path, struct buf *out);

/*
 * Replaces `path` in one step: a temporary file beside it (mode 0600), synced,
 * renamed, folder synced. After a crash the old or the new content is there, whole.
 */
MUST_CHECK enum rc file_replace(const char *path, struct reader content);

/* Makes `path` (and its parents) with mode 0700 if absent. RC_INPUT: it is not a folder. */
MUST_CHECK enum rc file_make_folder(const char *path);
