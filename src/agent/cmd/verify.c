#include "agent/cmd/cmd.h"
#include "base/text.h"

enum { WORDS_TEXT_SIZE = 256 };

static void join_words(const json_t *words, char out[WORDS_TEXT_SIZE])
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        if (word == NULL ||
            text_format(out + used, WORDS_TEXT_SIZE - used, "%s%s", i ? "  " : "", word) != RC_OK)
            return;
        while (out[used] != '\0')
            used++;
    }
}

static int run(struct invocation *in)
{
    struct ui *ui = &in->ui;
    json_t *answer = NULL;
    json_t *request = cmd_request("verify");
    char words[WORDS_TEXT_SIZE];

    (void)json_object_set_new(request, "agent", json_string(in->options.operands[0]));
    int code = cmd_ask_once(in, request, CMD_QUICK_MS, &answer);
    if (code != 0)
        return code;
    join_words(json_object_get(answer, "words"), words);
    ui_line(ui, UI_PLAIN,
            "Read these six words to whoever sits at %s:", client_text(answer, "label"));
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_BOLD, "    %s", words);
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_PLAIN,
            "There, connect verify with the name of this machine must show the same.");
    ui_line(ui, UI_PLAIN,
            "Other words there: somebody stands in between. Do not use the connection.");
    ui_line(ui, UI_PLAIN, "%s", "");
    ui_line(ui, UI_DIM, "its key and the own one:");
    ui_more(ui, "%s", client_text(answer, "fingerprint"));
    ui_more(ui, "%s", client_text(answer, "own_fingerprint"));
    ui_object(ui, answer);
    return 0;
}

const struct command cmd_verify = {
    .name = "verify",
    .operands = "AGENT",
    .operands_least = 1,
    .operands_most = 1,
    .summary = "compare keys with another agent by six words",
    .details = "Both sides see the same six words when, and only when, each knows the other's real "
               "key. Compare them by telephone or side by side. AGENT is a label or an id.",
    .examples = "connect verify prod\n",
    .run = run,
};
