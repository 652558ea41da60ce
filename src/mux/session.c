#include "mux/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mux/core.h"

void session_budget_init(struct session_budget *b)
{
    *b = (struct session_budget){.replay_max = AGENT_REPLAY_MAX, .buffered_max = AGENT_BUFFER_MAX};
    chunk_pool_init(&b->chunks);
}

void session_budget_done(struct session_budget *b)
{
    assert(b->replay_used == 0 && b->buffered_used == 0 && b->windows_used == 0);
    chunk_pool_done(&b->chunks);
}

/* --- life ---------------------------------------------------------------------------- */

struct session *session_new(const struct session_setup *setup, uint64_t now_ms)
{
    struct session *s = mem_zalloc(sizeof *s);

    s->opener = setup->opener;
    memcpy(s->id, setup->id, sizeof s->id);
    s->hold_ms = setup->hold_ms;
    s->budget = setup->budget;
    s->events = setup->events;
    s->owner = setup->owner;
    s->clock_us = setup->clock_us;
    s->now_ms = now_ms;
    s->ack_ms = UINT64_MAX;
    replay_init(&s->replay, REPLAY_FIRST, REPLAY_MAX, &s->budget->replay_used);
    beside_init(&s->beside);
    intake_init(&s->intake);
    stream_table_init(&s->table);
    list_init(&s->waiting);
    list_init(&s->streams);
    list_init(&s->ended);
    return s;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    assert(!s->in_input && !s->offering);
    s->ending = true;
    streams_close_all(s, s->expired ? RESET_HOLD_OVER : RESET_SESSION_LOST);
    stream_table_done(&s->table);
    intake_done(&s->intake);
    beside_clear(&s->beside);
    replay_done(&s->replay);
    free(s);
}

const uint8_t *session_id(const struct session *s)
{
    return s->id;
}

/* --- pipes --------------------------------------------------------------------------- */

uint32_t session_generation(const struct session *s)
{
    return s->generation;
}

uint64_t session_received(const struct session *s)
{
    return intake_received(&s->intake);
}

bool session_is_attached(const struct session *s)
{
    return s->attached;
}

/* What belonged to the pipe goes with it; the sequences stay where they are. */
static void leave_pipe(struct session *s)
{
    s->attached = false;
    s->output_asked = s->close_sent = false;
    s->lane = LANE_NONE;
    s->ack_ms = UINT64_MAX;
    s->ping.asked = false;
    s->ping.least_us = 0;
    beside_clear(&s->beside);
    intake_cut(&s->intake);
}

enum rc session_attach(struct session *s, uint32_t generation, uint64_t peer_received,
                       uint64_t now_ms)
{
    assert(!s->in_input && !s->offering);
    if (s->failed != RC_OK)
        return s->failed;
    if (generation <= s->generation)
        return RC_PROTO;
    enum rc rc = replay_rewind(&s->replay, peer_received, now_ms);
    if (rc != RC_OK)
        return rc;

    leave_pipe(s);
    s->attached = true;
    s->generation = generation;
    s->now_ms = s->heard_ms = now_ms;
    s->told = intake_received(&s->intake);
    /* Nothing may come before the rest of a frame that the peer has begun to read (§6.3). */
    if (replay_is_within_frame(&s->replay))
        s->lane = LANE_SEQUENCE;
    session_ping(s, now_ms);
    outlet_offer_room(s);
    return RC_OK;
}

void session_detach(struct session *s, uint64_t now_ms)
{
    assert(!s->in_input && !s->offering);
    if (!s->attached)
        return;
    leave_pipe(s);
    s->now_ms = s->lost_ms = now_ms;
}

/* The peer must learn what we have, at once or soon. */
static void schedule_ack(struct session *s)
{
    uint64_t untold = intake_received(&s->intake) - s->told;

    if (untold >= SESSION_ACK_BYTES)
        s->beside.ack_due = true;
    else if (untold > 0 && s->ack_ms == UINT64_MAX)
        s->ack_ms = s->now_ms + SESSION_ACK_MS;
}

enum rc session_input(struct session *s, struct reader bytes, uint64_t now_ms)
{
    assert(!s->in_input && !s->ending);
    if (s->failed != RC_OK || !s->attached)
        return s->failed;
    s->now_ms = s->heard_ms = now_ms;
    s->in_input = true;
    s->failed = intake_take(s, bytes);
    s->in_input = false;
    if (s->failed != RC_OK)
        return s->failed;
    schedule_ack(s);
    outlet_offer_room(s); /* after ACK and CREDIT */
    outlet_wake(s);
    return RC_OK;
}

enum close_reason session_close_reason(const struct session *s)
{
    return s->closed_by_peer;
}

void session_close(struct session *s, enum close_reason why)
{
    if (!s->attached)
        return;
    s->beside.close_due = why;
    outlet_wake(s);
}

/* --- time ---------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t hold_end(const struct session *s)
{
    if (s->generation == 0) /* there was no pipe to outlive yet */
        return UINT64_MAX;
    return s->hold_ms < UINT64_MAX - s->lost_ms ? s->lost_ms + s->hold_ms : UINT64_MAX;
}

uint64_t session_deadline(const struct session *s)
{
    if (!list_is_empty(&s->ended))
        return s->now_ms;
    if (!s->attached)
        return hold_end(s);
    return least(s->ack_ms, least(s->ping.next_ms, s->heard_ms + SESSION_SILENT_MS));
}

static enum session_health tick_attached(struct session *s)
{
    if (s->now_ms - s->heard_ms >= SESSION_SILENT_MS)
        return SESSION_PEER_SILENT;
    if (s->now_ms >= s->ack_ms) {
        s->ack_ms = UINT64_MAX;
        s->beside.ack_due = true;
    }
    if (s->now_ms >= s->ping.next_ms)
        session_ping(s, s->now_ms);
    outlet_wake(s);
    return SESSION_FINE;
}

enum session_health session_tick(struct session *s, uint64_t now_ms)
{
    s->now_ms = now_ms;
    streams_flush_ended(s);
    if (s->attached)
        return tick_attached(s);
    s->expired = now_ms >= hold_end(s);
    return s->expired ? SESSION_EXPIRED : SESSION_FINE;
}

void session_ping(struct session *s, uint64_t now_ms)
{
    if (!s->attached)
        return;
    s->beside.ask_due = true;
    s->ping.next_ms = now_ms + SESSION_PING_MS;
    outlet_wake(s);
}

uint64_t session_pings_answered(const struct session *s)
{
    return s->ping.answered;
}

uint64_t session_rtt_ms(const struct session *s)
{
    uint64_t ms = (s->ping.least_us + 999) / 1000;

    if (ms == 0)
        return 0;
    return ms > SESSION_RTT_LEAST_MS ? ms : SESSION_RTT_LEAST_MS;
}

uint64_t session_now_us(const struct session *s)
{
    return s->clock_us ? s->clock_us() : s->now_ms * 1000;
}

void session_stats(const struct session *s, struct session_stats *out)
{
    *out = (struct session_stats){
        .streams = s->table.count,
        .streams_total = s->streams_total,
        .bytes_in = s->bytes_in,
        .bytes_out = s->bytes_out,
        .unacknowledged = replay_kept(&s->replay),
        .rtt_us = s->ping.last_us,
    };
}
