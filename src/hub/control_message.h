#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rc.h"
#include "base/reader.h"

/*
 * control_message -- the JSON of the control link (docs/protocol.md §2): from text to
 * structs that have been checked, and back. Pure. The only place where what an agent sends is
 * looked at.
 */
enum {
    CONTROL_MESSAGE_MAX = 64 * 1024,
    CONTROL_SERVICES_MAX = 256,
    CONTROL_NAME_SIZE = 64,   /* service names: text_is_name() */
    CONTROL_LABEL_MAX = 63,   /* characters */
    CONTROL_LABEL_SIZE = 128, /* bytes; as in the store */
    CONTROL_TARGET_SIZE = 512,
    CONTROL_VERSION_SIZE = 32,
    CONTROL_REASON_SIZE = 512,
    CONTROL_WHY_SIZE = 160,
};

enum control_type {
    CONTROL_UNKNOWN, /* has an id: to be answered with an error */
    CONTROL_HELLO,
    CONTROL_EXPOSE,
    CONTROL_UNEXPOSE,
    CONTROL_LIST,
    CONTROL_OPEN,
    CONTROL_UNREACH,
    CONTROL_PEER,
    CONTROL_REPLY,
};

struct control_service {
    char name[CONTROL_NAME_SIZE];
    char protocol[8]; /* "tcp", "http", "https" or "udp" */
    char target[CONTROL_TARGET_SIZE];
};

struct control_message {
    enum control_type type;
    bool has_id;
    uint64_t id; /* of a request; in a reply: the one it answers */
    union {
        struct {
            uint64_t protocol_min, protocol_max;
            char version[CONTROL_VERSION_SIZE];
            char label[CONTROL_LABEL_SIZE];
            struct control_service *services; /* freed by control_message_done() */
            size_t service_count;
        } hello;
        struct control_service expose;
        char name[CONTROL_NAME_SIZE]; /* unexpose, unreach */
        struct {
            char service[CONTROL_NAME_SIZE];
            bool resume;      /* purpose "resume", not "reach" */
            const char *mode; /* "auto", "wrapped" or "base64"; static */
        } open;
        char agent[CONTROL_LABEL_SIZE]; /* peer: id or label */
        struct {
            bool refused;
            char code[32], message[CONTROL_REASON_SIZE];
        } reply;
    };
};

/*
 * RC_PROTO: no JSON object with a type; nothing can be answered. RC_INPUT: a member is absent or
 * wrong; `why` says which, and type and id are set so that it can be answered. After either,
 * control_message_done() need not be called.
 */
MUST_CHECK enum rc control_message_parse(struct reader text, struct control_message *out,
                                         char why[CONTROL_WHY_SIZE]);
void control_message_done(struct control_message *m);

/* 1 to CONTROL_LABEL_MAX printable characters, no space at either end. `text` is valid UTF-8. */
bool control_is_label(const char *text);

/* What the hub says. Each gives a C string that the caller frees. Texts are valid UTF-8. */
struct control_peer {
    const char *agent_id, *label, *public_key;
};
struct control_listed {
    struct control_service service;
    char agent_id[64], label[CONTROL_LABEL_SIZE];
    bool online;
};
struct control_refused {
    char name[CONTROL_NAME_SIZE];
    const char *code;
    char message[CONTROL_REASON_SIZE];
};
struct control_welcome {
    const char *agent_id, *label, *workspace, *token_expires, *hub_version;
    const struct control_refused *refused;
    size_t refused_count;
};
struct control_opened {
    const char *pipe, *ticket, *mode;
    const struct control_service *service;
    struct control_peer peer;
};
char *control_reply(uint64_t id);
char *control_reply_error(uint64_t id, const char *code, const char *message);
char *control_reply_hello(uint64_t id, const struct control_welcome *w);
/* What does not fit into CONTROL_MESSAGE_MAX is left out, and "more" says so. */
char *control_reply_list(uint64_t id, const struct control_listed *services, size_t count);
char *control_reply_open(uint64_t id, const struct control_opened *o);
char *control_reply_peer(uint64_t id, const struct control_peer *p);
char *control_dial(uint64_t id, const struct control_opened *o);
char *control_revoked(const char *message);
