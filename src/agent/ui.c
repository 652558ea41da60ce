#include "agent/ui.h"

#include <assert.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent/utf8.h"
#include "base/mem.h"
#include "base/text.h"

enum { UI_WIDTH = 80, UI_WIDTH_LEAST = 40, UI_TEXT_MAX = 4096 };

/* --- where it goes ------------------------------------------------------------------ */

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0';
}

static unsigned terminal_width(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col < UI_WIDTH_LEAST)
        return UI_WIDTH;
    return size.ws_col;
}

void ui_init(struct ui *ui, bool json, bool quiet)
{
    const char *term = getenv("TERM");
    bool can_move = term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    bool colour = can_move && !is_set("NO_COLOR");

    /* Only the letters: numbers in JSON and on the screen stay as in the C locale. */
    (void)setlocale(LC_CTYPE, "");
    *ui = (struct ui){.json = json, .quiet = quiet};
    ui->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    ui->out_terminal = isatty(STDOUT_FILENO) == 1;
    ui->out_colour = colour && ui->out_terminal;
    ui->err_terminal = isatty(STDERR_FILENO) == 1;
    ui->err_colour = colour && ui->err_terminal;
    ui->spinner = can_move && !json && !quiet && ui->err_terminal;
    ui->width = terminal_width(STDOUT_FILENO);
    ui->err_width = terminal_width(STDERR_FILENO);
}

bool ui_finish(struct ui *ui)
{
    ui_wait_over(ui);
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

static void put(struct ui *ui, FILE *to, enum ui_style style, const char *text)
{
    static const char *const start[] = {
        [UI_PLAIN] = "",        [UI_BOLD] = "\033[1m",  [UI_DIM] = "\033[2m",
        [UI_GOOD] = "\033[32m", [UI_WARN] = "\033[33m", [UI_BAD] = "\033[31m",
    };
    bool colour = style != UI_PLAIN && (to == stdout ? ui->out_colour : ui->err_colour);
    char *clean = utf8_clean(text, !ui->utf8);

    (void)fprintf(to, "%s%s%s", colour ? start[style] : "", clean, colour ? "\033[0m" : "");
    free(clean);
}

static void put_mark(struct ui *ui, FILE *to, enum ui_mark mark)
{
    static const struct {
        const char *fine, *plain;
        enum ui_style style;
    } marks[] = {
        [UI_MARK_NONE] = {"  ", "  ", UI_PLAIN},
        [UI_MARK_OK] = {"✓ ", "ok: ", UI_GOOD},
        [UI_MARK_NOTE] = {"! ", "note: ", UI_WARN},
        [UI_MARK_BAD] = {"✗ ", "error: ", UI_BAD},
    };

    put(ui, to, marks[mark].style, ui->utf8 ? marks[mark].fine : marks[mark].plain);
}

/* --- lines --------------------------------------------------------------------------- */

static bool is_silent(const struct ui *ui)
{
    return ui->json || ui->quiet;
}

#define FORMAT_INTO(text, format)                                                                  \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, format);                                                                   \
        (void)vsnprintf(text, sizeof(text), format, args_);                                        \
        va_end(args_);                                                                             \
    } while (0)

void ui_say(struct ui *ui, enum ui_mark mark, const char *format, ...)
{
    char text[UI_TEXT_MAX];

    FORMAT_INTO(text, format);
    if (is_silent(ui))
        return;
    ui_wait_over(ui);
    put_mark(ui, stdout, mark);
    put(ui, stdout, UI_PLAIN, text);
    (void)fputc('\n', stdout);
}

void ui_more(struct ui *ui, const char *format, ...)
{
    char text[UI_TEXT_MAX];

    FORMAT_INTO(text, format);
    if (is_silent(ui))
        return;
    ui_wait_over(ui);
    (void)fputs("  ", stdout);
    put(ui, stdout, UI_DIM, text);
    (void)fputc('\n', stdout);
}

void ui_line(struct ui *ui, enum ui_style style, const char *format, ...)
{
    char text[UI_TEXT_MAX];

    FORMAT_INTO(text, format);
    if (is_silent(ui))
        return;
    ui_wait_over(ui);
    put(ui, stdout, style, text);
    (void)fputc('\n', stdout);
}

void ui_object(struct ui *ui, json_t *object)
{
    if (ui->json) {
        json_t *with_version = json_object();

        (void)json_object_set_new(with_version, "v", json_integer(1));
        (void)json_object_update(with_version, object);
        (void)json_dumpf(with_version, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
        json_decref(with_version);
    }
    json_decref(object);
}

/* On a terminal, breaks between words and indents what follows; a word longer than the line stays
 * whole. */
static void put_message(struct ui *ui, const char *text)
{
    size_t most = ui->err_width - 2;
    char *copy = text_dup(text), *at = copy;

    while (ui->err_terminal && utf8_width(at) > most) {
        char *space = NULL;
        for (char *c = at; (c = strchr(c, ' ')) != NULL; c++) {
            *c = '\0';
            bool fits = utf8_width(at) <= most;
            *c = ' ';
            if (space == NULL || fits)
                space = c;
            if (!fits)
                break;
        }
        if (space == NULL)
            break;
        *space = '\0';
        put(ui, stderr, UI_PLAIN, at);
        (void)fputs("\n  ", stderr);
        at = space + 1;
    }
    put(ui, stderr, UI_PLAIN, at);
    free(copy);
}

int ui_fail_as(struct ui *ui, enum exit_code code, const char *name, const char *hint,
               const char *message)
{
    if (name == NULL)
        name = exit_code_name(code);
    if (ui->json) {
        char *clean = utf8_clean(message, false), *clean_hint = utf8_clean(hint ? hint : "", false);
        ui_object(ui, json_pack("{s:{s:s, s:s, s:s}}", "error", "code", name, "message", clean,
                                "hint", clean_hint));
        free(clean);
        free(clean_hint);
        return (int)code;
    }
    (void)fflush(stdout); /* so that the two stay in order where both go to one place */
    ui_wait_over(ui);
    put_mark(ui, stderr, UI_MARK_BAD);
    put_message(ui, message);
    (void)fputc('\n', stderr);
    if (hint && hint[0] != '\0') {
        put(ui, stderr, UI_DIM, ui->utf8 ? "→ " : "-> ");
        put(ui, stderr, UI_PLAIN, hint);
        (void)fputc('\n', stderr);
    }
    return (int)code;
}

int ui_fail(struct ui *ui, enum exit_code code, const char *hint, const char *format, ...)
{
    char text[UI_TEXT_MAX];

    FORMAT_INTO(text, format);
    return ui_fail_as(ui, code, NULL, hint, text);
}

/* --- waiting ---------------------------------------------------------------------------- */

void ui_wait(struct ui *ui, const char *format, ...)
{
    FORMAT_INTO(ui->waiting_for, format);
    ui_spin(ui);
}

void ui_spin(struct ui *ui)
{
    static const char *const fine[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    static const char *const plain[] = {"|", "/", "-", "\\"};

    if (!ui->spinner || ui->waiting_for[0] == '\0')
        return;
    unsigned at = ui->frame++;
    (void)fflush(stdout);
    (void)fputs("\r\033[K", stderr);
    put(ui, stderr, UI_GOOD,
        ui->utf8 ? fine[at % (sizeof fine / sizeof fine[0])]
                 : plain[at % (sizeof plain / sizeof plain[0])]);
    /* One line for sure: a line that wraps could not be taken away again. */
    char *text = utf8_cut(ui->waiting_for, ui->err_width - 4, !ui->utf8);
    (void)fputc(' ', stderr);
    put(ui, stderr, UI_DIM, text);
    free(text);
    (void)fflush(stderr);
    ui->drawn = true;
}

void ui_wait_over(struct ui *ui)
{
    if (ui->drawn)
        (void)fputs("\r\033[K", stderr);
    ui->drawn = false;
    ui->waiting_for[0] = '\0';
}

/* --- tables -------------------------------------------------------------------------------- */

struct cell {
    char *text;
    enum ui_style style;
};

struct row {
    struct cell cells[UI_COLUMNS_MAX];
    char *remark; /* NULL: none */
};

struct ui_table {
    struct ui *ui;
    const struct ui_column *columns;
    size_t column_count, row_count, next_cell;
    struct row *rows;
};

enum { TABLE_GAP = 2 };

struct ui_table *ui_table_new(struct ui *ui, const struct ui_column *columns)
{
    struct ui_table *t = mem_zalloc(sizeof *t);

    t->ui = ui;
    t->columns = columns;
    while (columns[t->column_count].title)
        t->column_count++;
    assert(t->column_count <= UI_COLUMNS_MAX);
    return t;
}

void ui_table_cell(struct ui_table *t, enum ui_style style, const char *format, ...)
{
    char text[UI_TEXT_MAX];

    FORMAT_INTO(text, format);
    if (t->next_cell % t->column_count == 0) {
        t->rows = mem_resize(t->rows, (t->row_count + 1) * sizeof *t->rows);
        t->rows[t->row_count++] = (struct row){0};
    }
    struct cell *cell = &t->rows[t->row_count - 1].cells[t->next_cell++ % t->column_count];
    /* Cleaned here, not only on its way out: its width is measured before. */
    *cell = (struct cell){.text = utf8_clean(text, !t->ui->utf8), .style = style};
}

void ui_table_remark(struct ui_table *t, const char *text)
{
    struct row *last = &t->rows[t->row_count - 1];

    free(last->remark);
    last->remark = text_dup(text);
}

static void measure(const struct ui_table *t, size_t *widths)
{
    for (size_t c = 0; c < t->column_count; c++) {
        widths[c] = utf8_width(t->columns[c].title);
        for (size_t r = 0; r < t->row_count; r++) {
            size_t width = utf8_width(t->rows[r].cells[c].text);
            if (width > widths[c])
                widths[c] = width;
        }
    }
}

/* Takes columns away from the widest that may shrink, until all fit into `most`. */
static void shrink(const struct ui_table *t, size_t *widths, size_t most)
{
    for (;;) {
        size_t total = (t->column_count - 1) * TABLE_GAP, widest = t->column_count;

        for (size_t c = 0; c < t->column_count; c++) {
            total += widths[c];
            if (t->columns[c].may_shrink && widths[c] > utf8_width(t->columns[c].title) &&
                (widest == t->column_count || widths[c] > widths[widest]))
                widest = c;
        }
        if (total <= most || widest == t->column_count)
            return;
        widths[widest]--;
    }
}

static void put_cell(struct ui *ui, enum ui_style style, const char *text, size_t width, bool right,
                     bool last)
{
    char *cut = utf8_cut(text, width, !ui->utf8);
    int pad = (int)(width - utf8_width(cut));
    if (right)
        (void)fprintf(stdout, "%*s", pad, "");
    put(ui, stdout, style, cut);
    if (!right && !last)
        (void)fprintf(stdout, "%*s", pad, "");
    if (!last)
        (void)fprintf(stdout, "%*s", TABLE_GAP, "");
    free(cut);
}

static void put_row(const struct ui_table *t, const struct row *row, const size_t *widths)
{
    for (size_t c = 0; c < t->column_count; c++)
        put_cell(t->ui, row ? row->cells[c].style : UI_DIM,
                 row ? row->cells[c].text : t->columns[c].title, widths[c], t->columns[c].right,
                 c + 1 == t->column_count);
    (void)fputc('\n', stdout);
    if (row && row->remark)
        ui_more(t->ui, "%s", row->remark);
}

void ui_table_print(struct ui_table *t)
{
    struct ui *ui = t->ui;
    size_t widths[UI_COLUMNS_MAX];

    assert(t->next_cell % t->column_count == 0);
    ui_wait_over(ui);
    measure(t, widths);
    if (ui->out_terminal) /* in a pipe every value is whole, for grep and awk */
        shrink(t, widths, ui->width);
    if (!is_silent(ui)) {
        put_row(t, NULL, widths);
        for (size_t r = 0; r < t->row_count; r++)
            put_row(t, &t->rows[r], widths);
    }
    for (size_t r = 0; r < t->row_count; r++) {
        for (size_t c = 0; c < t->column_count; c++)
            free(t->rows[r].cells[c].text);
        free(t->rows[r].remark);
    }
    free(t->rows);
    free(t);
}

/* --- numbers for people ----------------------------------------------------------------------- */

static const char *with_unit(double value, const char *unit, char out[UI_NUMBER_SIZE])
{
    text_message(out, UI_NUMBER_SIZE, value < 9.95 ? "%.1f %s" : "%.0f %s", value, unit);
    return out;
}

const char *ui_bytes(uint64_t bytes, char out[UI_NUMBER_SIZE])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes / 1000;
    size_t unit = 0;

    if (bytes < 1000) {
        text_message(out, UI_NUMBER_SIZE, "%u B", (unsigned)bytes);
        return out;
    }
    for (; value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1000;
    return with_unit(value, units[unit], out);
}

const char *ui_latency(double ms, char out[UI_NUMBER_SIZE])
{
    if (ms >= 999.5)
        return with_unit(ms / 1000, "s", out);
    if (ms >= 0.995)
        return with_unit(ms, "ms", out);
    text_message(out, UI_NUMBER_SIZE, "%.2f ms", ms < 0 ? 0 : ms);
    return out;
}

const char *ui_duration(uint64_t seconds, char out[UI_NUMBER_SIZE])
{
    uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

    if (seconds < 60)
        text_message(out, UI_NUMBER_SIZE, "%llu s", (unsigned long long)seconds);
    else if (minutes < 60)
        text_message(out, UI_NUMBER_SIZE, "%llu min", (unsigned long long)minutes);
    else if (hours < 24)
        text_message(out, UI_NUMBER_SIZE, "%llu h %llu min", (unsigned long long)hours,
                     (unsigned long long)(minutes % 60));
    else
        text_message(out, UI_NUMBER_SIZE, "%llu d %llu h", (unsigned long long)days,
                     (unsigned long long)(hours % 24));
    return out;
}

bool ui_parse_time(const char *rfc3339, int64_t *out)
{
    struct tm tm = {0};
    const char *end = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm);

    if (end == NULL || (*end != 'Z' && *end != '.'))
        return false;
    *out = (int64_t)timegm(&tm);
    return true;
}

const char *ui_date(const char *rfc3339, int64_t now, char out[UI_NUMBER_SIZE])
{
    int64_t then;

    if (!ui_parse_time(rfc3339, &then)) {
        text_message(out, UI_NUMBER_SIZE, "%s", rfc3339);
        return out;
    }
    long long days = (then - now) / (24 * 60 * 60);
    text_message(out, UI_NUMBER_SIZE,
                 then < now  ? "%.10s (expired)"
                 : days == 0 ? "%.10s (today)"
                 : days == 1 ? "%.10s (in %lld day)"
                             : "%.10s (in %lld days)",
                 rfc3339, days);
    return out;
}
