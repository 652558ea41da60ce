#include "hub/control_message.h"

#include "base/text.h"
#include "fuzz.h"

static void check_service(const struct control_service *s)
{
    struct control_listed listed = {.service = *s};

    assert(text_is_name(s->name) && s->protocol[0] != '\0');
    /* What one agent says is told to another: it must be possible to write it. */
    char *text = control_reply_list(1, &listed, 1);
    assert(strlen(text) <= CONTROL_MESSAGE_MAX && strstr(text, "\"more\":false"));
    free(text);
}

static void check_hello(const struct control_message *m)
{
    assert(m->hello.protocol_min <= m->hello.protocol_max);
    assert(control_is_label(m->hello.label));
    assert(m->hello.service_count <= CONTROL_SERVICES_MAX);
    for (size_t i = 0; i < m->hello.service_count; i++)
        check_service(&m->hello.services[i]);
}

static void check_reply(const struct control_message *m)
{
    if (!m->reply.refused)
        return;
    char *text = control_reply_error(1, m->reply.code, m->reply.message);
    struct control_message again;
    char why[CONTROL_WHY_SIZE];

    /* A refusal passed on reads as it was said. */
    enum rc rc = control_message_parse(reader_of(text, strlen(text)), &again, why);
    assert(rc == RC_OK && again.reply.refused);
    assert(strcmp(again.reply.message, m->reply.message) == 0);
    control_message_done(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy = fuzz_copy(reader_of(data, len));
    struct control_message m;
    char why[CONTROL_WHY_SIZE];

    enum rc rc = control_message_parse(reader_of(copy, len), &m, why);
    free(copy);
    assert(rc == RC_OK || rc == RC_PROTO || (rc == RC_INPUT && why[0] != '\0'));
    if (rc != RC_OK)
        return 0;
    assert(m.has_id);
    if (m.type == CONTROL_HELLO)
        check_hello(&m);
    else if (m.type == CONTROL_EXPOSE)
        check_service(&m.expose);
    else if (m.type == CONTROL_REPLY)
        check_reply(&m);
    else if (m.type == CONTROL_UNEXPOSE || m.type == CONTROL_UNREACH)
        assert(text_is_name(m.name));
    else if (m.type == CONTROL_OPEN)
        assert(text_is_name(m.open.service));
    control_message_done(&m);
    return 0;
}
