#include "hub/api/api.h"

#include <string.h>

#include "base/text.h"
#include "hub/hub.h"
#include "hub/link.h"
#include "net/websocket.h"
#include "wire/http1.h"

static const char subprotocol[] = "pconnect.control.1";

/* docs/protocol.md §2 */
static const char *upgrade_headers(struct http_exchange *x, char out[256])
{
    const struct http1_head *head = http_head(x);
    const char *key = http_header(x, "Sec-WebSocket-Key"),
               *version = http_header(x, "Sec-WebSocket-Version");
    char accept[29];

    if (!http1_header_has_token(head, "Connection", "upgrade") ||
        !http1_header_has_token(head, "Upgrade", "websocket") || key == NULL || version == NULL ||
        !reader_is(reader_of(version, strlen(version)), "13") ||
        !http1_header_has_token(head, "Sec-WebSocket-Protocol", subprotocol) ||
        websocket_accept_value(reader_of(key, strlen(key)), accept) != RC_OK)
        return NULL;
    text_message(out, 256,
                 "Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n",
                 accept, subprotocol);
    return out;
}

void api_control(struct request *q)
{
    char headers[256];
    struct channel *ch;
    struct reader rest;

    if (q->hub->stopping) {
        request_fail(q, 503, "The hub is stopping; come back in a moment");
        return;
    }
    if (upgrade_headers(q->exchange, headers) == NULL) {
        request_fail(q, 400, "A WebSocket with the subprotocol pconnect.control.1 is wanted here");
        return;
    }
    if (http_upgrade(q->exchange, headers, &ch, &rest) == RC_OK)
        link_open(q->hub, ch, rest, &q->who, q->ip);
    request_end(q);
}
