#pragma once

#include <stdbool.h>
#include <stddef.h>

/* utf8 -- text from other machines, made fit for a terminal. Pure. */

/*
 * A copy of `text` without what could act on a terminal or mislead its reader: control characters
 * (C0, DEL, C1), bytes that are not UTF-8, invisible characters, marks that turn the direction of
 * writing. Each becomes '?'. `ascii_only`: so does everything beyond ASCII. The caller frees it.
 */
char *utf8_clean(const char *text, bool ascii_only);

bool utf8_is_valid(const char *text);

/* Columns on the screen: East Asian wide characters take two, combining marks none. */
size_t utf8_width(const char *text);

/* A copy of at most `width` columns, ending in "…" ("~" with `ascii_only`) if something was cut
 * off. */
char *utf8_cut(const char *text, size_t width, bool ascii_only);
