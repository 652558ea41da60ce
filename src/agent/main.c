#include <errno.h>
#include <string.h>

#include "agent/cmd/cmd.h"
#include "agent/cmd/help.h"
#include "agent/interrupt.h"
#include "base/platform.h"

static int run(struct invocation *in, enum rc parsed)
{
    const struct options *o = &in->options;

    if (parsed != RC_OK)
        return ui_fail(&in->ui, EXIT_CODE_USAGE, o->hint, "%s", o->message);
    if (options_has(o, "help"))
        return help_show(in, o->command);
    if (options_has(o, "version"))
        return cmd_version.run(in);
    if (o->command == NULL) {
        if (in->ui.json)
            return ui_fail(&in->ui, EXIT_CODE_USAGE, "connect help", "no command was given");
        (void)help_show(in, NULL);
        return EXIT_CODE_USAGE;
    }
    interrupt_catch();
    return o->command->run(in);
}

int main(int argc, char **argv)
{
    static struct invocation in; /* large, and there is one */

    platform_forbid_core();
    enum rc parsed = options_parse(&cmd_grammar, argc, argv, &in.options);
    ui_init(&in.ui, options_has(&in.options, "json"), options_has(&in.options, "quiet"));
    int code = run(&in, parsed);
    options_done(&in.options);
    if (!ui_finish(&in.ui) && code == EXIT_CODE_OK)
        code = ui_fail(&in.ui, EXIT_CODE_OTHER, NULL, "the result cannot be written: %s",
                       strerror(errno));
    return code;
}
