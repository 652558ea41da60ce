#include <string.h>

#include "mux/core.h"

static bool has_output(const struct session *s)
{
    return s->attached && !s->close_sent &&
           (s->lane != LANE_NONE || beside_has_control(&s->beside) ||
            replay_unsent(&s->replay) > 0 ||
            beside_datagrams(&s->beside, s->replay.cursor).left > 0);
}

void outlet_wake(struct session *s)
{
    if (s->in_input || s->output_asked || s->ending || !has_output(s))
        return;
    s->output_asked = true;
    s->events->on_output(s->owner);
}

/* --- in ------------------------------------------------------------------------------ */

void outlet_add(struct session *s, const uint8_t *frame, size_t len)
{
    /* Who makes us speak and never listens would fill our memory. */
    if (replay_kept(&s->replay) >= s->replay.limit + SESSION_REPLAY_CONTROL) {
        s->failed = RC_LIMIT;
        return;
    }
    memcpy(replay_add(&s->replay, len), frame, len);
}

void outlet_add_data(struct session *s, uint32_t stream, struct reader bytes)
{
    while (bytes.left > 0) {
        size_t most = bytes.left < FRAME_DATA_MAX ? bytes.left : FRAME_DATA_MAX;
        size_t len = replay_offer(&s->replay, FRAME_HEAD + most) - FRAME_HEAD;
        uint8_t *out = replay_add(&s->replay, FRAME_HEAD + len);
        struct frame_head h = {.type = FRAME_DATA, .length = (uint32_t)len, .stream = stream};
        frame_head_write(out, &h);
        reader_copy(&bytes, out + FRAME_HEAD, len);
    }
}

/*
 * A chunk that is far from full holds more memory than it carries. While little is kept that is
 * cheaper than a copy; when much is kept the path is slower than a copy.
 */
static bool is_wasteful(const struct session *s, const struct chunk *c)
{
    size_t used = c->to - c->from;

    return used < c->cap / 8 ||
           (used < c->cap / 4 * 3 && replay_kept(&s->replay) > REPLAY_FIRST / 2);
}

void outlet_add_chunk(struct session *s, uint32_t stream, struct chunk *c)
{
    size_t len = c->to - c->from;

    if (is_wasteful(s, c)) {
        outlet_add_data(s, stream, reader_of(chunk_data(c), len));
        chunk_free(c);
        return;
    }
    struct frame_head h = {.type = FRAME_DATA, .length = (uint32_t)len, .stream = stream};
    c->from -= FRAME_HEAD;
    frame_head_write(c->memory + c->from, &h);
    replay_add_chunk(&s->replay, c);
}

/* --- whose turn ---------------------------------------------------------------------- */

bool outlet_can_keep(const struct session *s)
{
    if (replay_is_full(&s->replay))
        return false;
    /*
     * Full for the process: everybody still has a little, so that whoever waits here has something
     * of its own on the way, and its acknowledgement to wake it.
     */
    return s->budget->replay_used < s->budget->replay_max ||
           replay_kept(&s->replay) < SESSION_REPLAY_SURE;
}

bool outlet_has_room(const struct session *s)
{
    return replay_unsent(&s->replay) < SESSION_UNSENT_HIGH && outlet_can_keep(s);
}

static void offer_next(struct session *s)
{
    struct stream *st = list_entry(s->waiting.next, struct stream, waiting);

    list_remove(&st->waiting);
    if (credit_out_left(&st->out) == 0)
        return; /* still wanted; CREDIT brings it back */
    st->wants_room = false;
    /* What credit did not allow in the last turn may be made up for in this one. */
    if (!st->interrupted)
        st->turn = st->turn < SESSION_TURN ? st->turn + SESSION_TURN : 2 * SESSION_TURN;
    st->interrupted = false;
    if (st->events->on_room)
        st->events->on_room(st->owner);
}

void outlet_offer_room(struct session *s)
{
    if (s->offering || s->ending || replay_unsent(&s->replay) >= SESSION_UNSENT_LOW)
        return;
    s->offering = true;
    while (!list_is_empty(&s->waiting) && outlet_has_room(s))
        offer_next(s);
    s->offering = false;
}

/* --- out ----------------------------------------------------------------------------- */

static void make_control(struct session *s)
{
    struct beside *b = &s->beside;

    if (b->ask_due) {
        s->ping.token++;
        s->ping.asked = true;
        s->ping.asked_us = session_now_us(s);
    }
    if (b->ack_due) {
        s->told = intake_received(&s->intake);
        s->ack_ms = UINT64_MAX;
    }
    s->close_sent = b->close_due != CLOSE_NONE;
    beside_make_control(b, s->told, s->ping.token);
}

/* Between frames: who goes next. */
static enum lane choose_lane(struct session *s)
{
    if (s->close_sent)
        return LANE_NONE;
    if (beside_has_control(&s->beside)) {
        make_control(s);
        return LANE_CONTROL;
    }
    bool sequence = replay_unsent(&s->replay) > 0;
    bool datagrams = beside_datagrams(&s->beside, s->replay.cursor).left > 0;
    if (datagrams && !(sequence && s->datagrams_last))
        return LANE_DATAGRAMS;
    return sequence ? LANE_SEQUENCE : LANE_NONE;
}

struct reader session_output(struct session *s, uint64_t now_ms)
{
    s->now_ms = now_ms;
    if (s->attached && s->lane == LANE_NONE)
        s->lane = choose_lane(s);
    switch (s->lane) {
    case LANE_SEQUENCE:
        return replay_piece(&s->replay);
    case LANE_CONTROL:
        return beside_control(&s->beside);
    case LANE_DATAGRAMS:
        return beside_datagrams(&s->beside, s->replay.cursor);
    case LANE_NONE:
        break;
    }
    s->output_asked = false;
    return reader_of(NULL, 0);
}

static bool sequence_sent(struct session *s, size_t len)
{
    bool whole = len == replay_piece(&s->replay).left; /* a chunk ends with a frame */

    replay_advance(&s->replay, len);
    s->datagrams_last = false;
    return whole;
}

static bool lane_sent(struct session *s, size_t len)
{
    switch (s->lane) {
    case LANE_SEQUENCE:
        return sequence_sent(s, len);
    case LANE_CONTROL:
        beside_control_sent(&s->beside, len);
        return beside_control(&s->beside).left == 0;
    case LANE_DATAGRAMS:
        s->datagrams_last = true;
        return beside_datagrams_sent(&s->beside, len);
    case LANE_NONE:
        break;
    }
    return true;
}

void session_sent(struct session *s, size_t len)
{
    if (lane_sent(s, len))
        s->lane = LANE_NONE;
    outlet_offer_room(s);
}
