#include "hub/api/api.h"

#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "hub/hub.h"
#include "hub/rendezvous.h"
#include "net/websocket.h"
#include "wire/base64.h"
#include "wire/http1.h"

enum { BINDING_LEN = 32 };

static const char plain_subprotocol[] = "pconnect-pipe",
                  base64_subprotocol[] = "pconnect-pipe.base64";

/* Whether nobody terminates TLS between the agent and us (docs/protocol.md §4.1). */
static bool binding_is_equal(struct http_exchange *x)
{
    const char *said = http_header(x, "Pconnect-Binding");
    uint8_t own[BINDING_LEN];
    struct buf theirs;

    if (said == NULL)
        return false;
    if (http_binding(x, own) != RC_OK)
        return strcmp(said, "none") == 0;
    buf_init(&theirs, BINDING_LEN);
    enum rc rc = base64url_decode(&theirs, reader_of_text(said));
    struct reader view = buf_view(&theirs);
    bool equal = rc == RC_OK && view.left == BINDING_LEN && memcmp(view.at, own, BINDING_LEN) == 0;
    buf_done(&theirs);
    return equal;
}

/* The dress that the agent can wear as a WebSocket; PIPE_AUTO: none, it did not offer one. */
static enum pipe_mode offered_dress(struct http_exchange *x, char accept[29])
{
    const struct http1_head *head = http_head(x);
    const char *key = http_header(x, "Sec-WebSocket-Key"),
               *version = http_header(x, "Sec-WebSocket-Version");

    if (!http1_header_has_token(head, "Upgrade", "websocket") || key == NULL || version == NULL ||
        strcmp(version, "13") != 0 || websocket_accept_value(reader_of_text(key), accept) != RC_OK)
        return PIPE_AUTO;
    if (http1_header_has_token(head, "Sec-WebSocket-Protocol", base64_subprotocol))
        return PIPE_BASE64;
    return http1_header_has_token(head, "Sec-WebSocket-Protocol", plain_subprotocol) ? PIPE_WRAPPED
                                                                                     : PIPE_AUTO;
}

/* docs/protocol.md §4.2-§4.4. PIPE_AUTO: nothing that was offered will do. */
static enum pipe_mode choose(struct http_exchange *x, const struct leg *leg, char headers[256])
{
    const struct http1_head *head = http_head(x);
    char accept[29];

    if (!http1_header_has_token(head, "Connection", "upgrade"))
        return PIPE_AUTO;
    if (!leg_must_be_dressed(leg) && http1_header_has_token(head, "Upgrade", "pconnect-pipe") &&
        binding_is_equal(x)) {
        text_message(headers, 256, "Upgrade: pconnect-pipe\r\n");
        return PIPE_BARE;
    }
    enum pipe_mode mode = offered_dress(x, accept);
    text_message(headers, 256,
                 "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n",
                 mode == PIPE_AUTO ? "" : accept,
                 mode == PIPE_BASE64 ? base64_subprotocol : plain_subprotocol);
    return mode;
}

void api_pipe(struct request *q)
{
    struct leg *leg = rendezvous_find(q->hub->rendezvous, &q->secret);
    char headers[256];
    struct channel *ch;
    struct reader rest;

    if (leg == NULL) {
        request_unauthorized(q);
        return;
    }
    enum pipe_mode mode = choose(q->exchange, leg, headers);
    if (mode == PIPE_AUTO) {
        request_fail(q, 400, "An upgrade to a pipe that suits this ticket is wanted here");
        return;
    }
    enum rc rc = http_upgrade(q->exchange, headers, &ch, &rest);
    request_end(q);
    if (rc != RC_OK)
        leg_spoil(leg, NULL);
    else if (rest.left > 0) /* said before the 101 was there to be heard */
        leg_spoil(leg, ch);
    else
        leg_arrive(leg, ch, mode);
}
