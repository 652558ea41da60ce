#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/failure.h"
#include "base/rc.h"
#include "base/reader.h"
#include "net/loop.h"

/*
 * control -- the Unix socket by which the command line talks to the agent
 * (docs/protocol.md §9): one JSON object on one line, answers on lines, one command per connection.
 *
 * Only the agent's own user and root are heard. A client that ends its side before the answer gives
 * its command up.
 */
struct control;
struct request;

enum {
    CONTROL_LINE_MAX = 64 * 1024,
    CONTROL_CONNECTIONS_MAX = 64,
    CONTROL_LINE_MS = 10 * 1000, /* for the whole request to come */
    CONTROL_VERSION = 1,
};

/*
 * A request has come whose "v" is right and whose "command" is a string. Exactly one of
 * request_answer(), request_fail(), request_take_socket() ends it, now or later, unless on_gone
 * came before.
 */
typedef void control_handle(void *owner, struct request *rq, const char *command,
                            const json_t *body);

/* Listens at `path`, of any length. Not RC_OK: `why`. */
MUST_CHECK enum rc control_open(struct loop *l, const char *folder, control_handle *handle,
                                void *owner, struct control **out, struct failure *why);
/*
 * Hears nobody any more and closes all connections; no event comes. What was answered still goes.
 */
void control_close(struct control *c);

/* A line for a person who waits. */
void request_progress(struct request *rq, const char *text);
/*
 * Takes `members` (NULL: none) and answers with them and "ok". The request is gone, unless
 * `attach`: then on_gone comes when the client leaves.
 */
void request_answer(struct request *rq, json_t *members, bool attach);
void request_fail(struct request *rq, const struct failure *why);
/* The client leaves before the answer, or after it if attached: the request is gone when this
 * returns. */
void request_on_gone(struct request *rq, void (*gone)(void *owner), void *owner);

/*
 * Answers "ok" and gives the socket and what the client has sent behind its line (docs/protocol.md
 * §9, stdio). `take` is called when the answer has gone, perhaps from within; `early` is borrowed.
 * The request is gone; when the client left meanwhile, `take` gets fd -1.
 */
void request_take_socket(struct request *rq, void (*take)(void *owner, int fd, struct reader early),
                         void *owner);
/*
 * Answers "ok" and gives the socket, which the caller closes at the very end: whoever waits for
 * that knows that everything is over. -1: the answer could not be sent at once; the client is gone.
 */
int request_keep_socket(struct request *rq);
