#include "agent/offer.h"

#include <string.h>

#include "agent/json.h"
#include "base/text.h"
#include "crypto/token.h"

enum rc offer_read_peer(const json_t *from, struct pins_peer *out)
{
    struct pins_peer peer = {0};

    if (json_copy_text(from, "agent_id", peer.agent_id, sizeof peer.agent_id) != RC_OK ||
        peer.agent_id[0] == '\0' ||
        json_copy_hex(from, "public_key", peer.key, sizeof peer.key) != RC_OK)
        return RC_INPUT;
    json_copy_remark(from, "label", peer.label, sizeof peer.label);
    *out = peer;
    return RC_OK;
}

enum rc offer_read(const json_t *message, struct pipe_offer *out, struct pins_peer *peer)
{
    struct pipe_offer offer = {.mode = PIPE_AUTO};
    char mode[16];

    if (json_copy_text(message, "ticket", offer.ticket, sizeof offer.ticket) != RC_OK ||
        !token_has_shape(TOKEN_TICKET, reader_of_text(offer.ticket)) ||
        json_copy_text(message, "service", offer.service, sizeof offer.service) != RC_OK ||
        !text_is_name(offer.service) ||
        json_copy_text(message, "mode", mode, sizeof mode) == RC_INPUT ||
        (mode[0] != '\0' && pipe_mode_parse(mode, &offer.mode) != RC_OK) ||
        offer_read_peer(json_object_get(message, "peer"), peer) != RC_OK)
        return RC_INPUT;
    memcpy(offer.peer_id, peer->agent_id, sizeof offer.peer_id);
    memcpy(offer.peer_key, peer->key, sizeof offer.peer_key);
    *out = offer;
    return RC_OK;
}
