#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/exit_code.h"

/*
 * ui -- what a person (or, with --json, a program) gets to see.
 *
 * Results go to stdout, errors and the spinner to stderr. Colour only on a
 * terminal and without NO_COLOR, the spinner only on a terminal, marks beyond
 * ASCII only in a UTF-8 locale. Every text is cleaned on its way out: names,
 * labels and messages come from other machines, and no byte of theirs may move
 * the cursor.
 */
struct ui {
    bool json, quiet, utf8;
    bool out_colour, err_colour, spinner;
    bool out_terminal, err_terminal;
    unsigned width, err_width; /* columns of stdout and stderr; 80 for no terminal */
    char waiting_for[160];
    unsigned frame;
    bool drawn; /* a spinner line stands on the terminal */
};

enum ui_style { UI_PLAIN, UI_BOLD, UI_DIM, UI_GOOD, UI_WARN, UI_BAD };
enum ui_mark { UI_MARK_NONE, UI_MARK_OK, UI_MARK_NOTE, UI_MARK_BAD };

void ui_init(struct ui *ui, bool json, bool quiet);
/* Flushes stdout. False: what was printed did not all get out (errno says why). */
bool ui_finish(struct ui *ui);

/* One line of the result, "✓ …". Nothing with --json or --quiet. */
void ui_say(struct ui *ui, enum ui_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line beneath another: indented, dimmed. */
void ui_more(struct ui *ui, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line as it is: a command to copy, a heading (UI_BOLD), or "" for an empty one. */
void ui_line(struct ui *ui, enum ui_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The end of a command that failed: "✗ message", "→ hint" (NULL: none) on stderr, or the error
 * object on stdout. `name` is the word in the object; NULL: that of `code`. Returns `code`.
 */
int ui_fail_as(struct ui *ui, enum exit_code code, const char *name, const char *hint,
               const char *message);
int ui_fail(struct ui *ui, enum exit_code code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* With --json: the result, the one object, "v":1 added. Takes `object`. Without: only releases it.
 */
void ui_object(struct ui *ui, json_t *object);

/* Says what is being waited for, draws the spinner; call ui_spin() every UI_SPIN_MS while waiting.
 */
enum { UI_SPIN_MS = 100 };
void ui_wait(struct ui *ui, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ui_spin(struct ui *ui);
/* Takes the spinner off the terminal. */
void ui_wait_over(struct ui *ui);

/* --- tables ---------------------------------------------------------------------- */

struct ui_column {
    const char *title; /* NULL ends the columns */
    bool right;        /* numbers */
    bool may_shrink;   /* cut off with "…" where the terminal is too narrow */
};

struct ui_table;
enum { UI_COLUMNS_MAX = 10 };

/* `ui` and `columns` are borrowed until the table is printed. */
struct ui_table *ui_table_new(struct ui *ui, const struct ui_column *columns);
/* The next cell, left to right, row after row. `text` is copied. */
void ui_table_cell(struct ui_table *t, enum ui_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of its own beneath the row that was filled last. */
void ui_table_remark(struct ui_table *t, const char *text);
/* Prints and frees. */
void ui_table_print(struct ui_table *t);

/* --- numbers for people ------------------------------------------------------------ */

enum { UI_NUMBER_SIZE = 48 };
/* "0 B", "999 B", "1.2 kB", "34 MB". */
const char *ui_bytes(uint64_t bytes, char out[UI_NUMBER_SIZE]);
/* "0.42 ms", "12 ms", "1.3 s". */
const char *ui_latency(double ms, char out[UI_NUMBER_SIZE]);
/* "8 s", "3 min", "2 h 5 min", "4 d 3 h". */
const char *ui_duration(uint64_t seconds, char out[UI_NUMBER_SIZE]);
/* Seconds since 1970 from an RFC 3339 time in UTC; false: it is none. */
bool ui_parse_time(const char *rfc3339, int64_t *out);
/* "2026-12-24 (in 30 days)" from an RFC 3339 time; what is not one stays as it is. */
const char *ui_date(const char *rfc3339, int64_t now, char out[UI_NUMBER_SIZE]);
