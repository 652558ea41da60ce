#include <string.h>

#include "agent/cmd/cmd.h"
#include "agent/cmd/help.h"
#include "base/text.h"

enum { HELP_LABEL_SIZE = 40, HELP_WIDTH = 80 };

static void put_option(struct ui *ui, const struct option *o)
{
    char label[HELP_LABEL_SIZE], letter[8] = "";

    if (o->letter)
        text_message(letter, sizeof letter, "-%c, ", o->letter);
    text_message(label, sizeof label, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
    ui_line(ui, UI_PLAIN, "  %-25s %s", label, o->help);
}

static void put_options(struct ui *ui, const char *title, const struct option *table)
{
    if (table == NULL || table->name == NULL)
        return;
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_BOLD, "%s", title);
    for (const struct option *o = table; o->name; o++)
        put_option(ui, o);
}

/* A paragraph, broken between words. */
static void put_paragraph(struct ui *ui, const char *text)
{
    while (*text) {
        size_t len = strlen(text), most = len < HELP_WIDTH ? len : HELP_WIDTH;

        while (len > HELP_WIDTH && most > 0 && text[most] != ' ')
            most--;
        ui_line(ui, UI_PLAIN, "%.*s", (int)most, text);
        text += most;
        text += strspn(text, " ");
    }
}

/* Text of several lines, indented. */
static void put_lines(struct ui *ui, const char *text, const char *indent)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        ui_line(ui, UI_PLAIN, "%s%.*s", len > 0 ? indent : "", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static void show_command(struct ui *ui, const struct command *c)
{
    ui_line(ui, UI_PLAIN, "connect %s: %s", c->name, c->summary);
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_BOLD, "Usage");
    ui_line(ui, UI_PLAIN, "  connect %s%s%s%s", c->name, c->operands[0] ? " " : "", c->operands,
            c->options ? " [options]" : "");
    if (c->details) {
        ui_line(ui, UI_PLAIN, "%s", "");
        put_paragraph(ui, c->details);
    }
    put_options(ui, "Options", c->options);
    put_options(ui, "Common options", cmd_grammar.common);
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_BOLD, "Examples");
    put_lines(ui, c->examples, "  ");
}

static void show_overview(struct ui *ui)
{
    ui_line(ui, UI_PLAIN, "connect: reach private services by name");
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_BOLD, "Usage");
    ui_line(ui, UI_PLAIN, "  connect COMMAND [options]");
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_BOLD, "Commands");
    for (const struct command *const *c = cmd_grammar.commands; *c; c++)
        ui_line(ui, UI_PLAIN, "  %-9s  %s", (*c)->name, (*c)->summary);
    put_options(ui, "Common options", cmd_grammar.common);
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_BOLD, "To begin");
    put_lines(ui,
              "connect up --hub https://HUB:3001 --api-key KEY      on both machines\n"
              "connect expose localhost:5432 --name prod-db         where the service is\n"
              "connect reach prod-db                                where it is wanted\n"
              "\n"
              "connect help COMMAND says more about one.\n",
              "  ");
}

static int run(struct invocation *in)
{
    const char *name = in->options.operand_count > 0 ? in->options.operands[0] : NULL;
    const struct command *command = name ? options_command(&cmd_grammar, name) : NULL;

    if (name && command == NULL)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, "connect help", "there is no command %.64s", name);
    return help_show(in, command);
}

int help_show(struct invocation *in, const struct command *command)
{
    json_t *list = json_array();

    if (command)
        show_command(&in->ui, command);
    else
        show_overview(&in->ui);
    for (const struct command *const *c = cmd_grammar.commands; *c; c++)
        if (command == NULL || command == *c)
            (void)json_array_append_new(list,
                                        json_pack("{s:s, s:s, s:s}", "name", (*c)->name, "operands",
                                                  (*c)->operands, "summary", (*c)->summary));
    ui_object(&in->ui, json_pack("{s:b, s:o}", "ok", 1, "commands", list));
    return 0;
}

const struct command cmd_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .operands_most = 1,
    .summary = "explain a command",
    .examples = "connect help\nconnect help reach\n",
    .run = run,
};
