#include "mux/stream.h"

/* docs/protocol.md §7.3 */
static const enum stream_state moves[STREAM_STATES_][STREAM_EVENTS_] = {
    [STREAM_OPEN][STREAM_GOT_DATA] = STREAM_OPEN,
    [STREAM_OPEN][STREAM_SENT_DATA] = STREAM_OPEN,
    [STREAM_OPEN][STREAM_GOT_FIN] = STREAM_PEER_ENDED,
    [STREAM_OPEN][STREAM_SENT_FIN] = STREAM_WE_ENDED,
    [STREAM_OPEN][STREAM_RESET] = STREAM_GONE,

    [STREAM_PEER_ENDED][STREAM_SENT_DATA] = STREAM_PEER_ENDED,
    [STREAM_PEER_ENDED][STREAM_SENT_FIN] = STREAM_GONE,
    [STREAM_PEER_ENDED][STREAM_RESET] = STREAM_GONE,

    [STREAM_WE_ENDED][STREAM_GOT_DATA] = STREAM_WE_ENDED,
    [STREAM_WE_ENDED][STREAM_GOT_FIN] = STREAM_GONE,
    [STREAM_WE_ENDED][STREAM_RESET] = STREAM_GONE,
};

enum rc stream_step(struct stream *st, enum stream_event event)
{
    enum stream_state next = moves[st->state][event];

    if (next == STREAM_ILLEGAL)
        return RC_PROTO;
    st->state = next;
    return RC_OK;
}

bool stream_can_send(const struct stream *st)
{
    return moves[st->state][STREAM_SENT_DATA] != STREAM_ILLEGAL;
}

bool stream_can_receive(const struct stream *st)
{
    return moves[st->state][STREAM_GOT_DATA] != STREAM_ILLEGAL;
}
