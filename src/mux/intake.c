#include "mux/intake.h"

#include <assert.h>

#include "base/log.h"
#include "mux/core.h"

enum { PARTIAL_KEEP = 1024 }; /* more memory than this is not kept between frames */

void intake_init(struct intake *in)
{
    *in = (struct intake){0};
    buf_init(&in->partial, FRAME_DATAGRAM_MAX);
}

void intake_done(struct intake *in)
{
    buf_done(&in->partial);
}

static void clear_partial(struct intake *in)
{
    buf_clear(&in->partial);
    if (in->partial.cap > PARTIAL_KEEP) {
        buf_done(&in->partial);
        buf_init(&in->partial, FRAME_DATAGRAM_MAX);
    }
}

static bool partial_head_is_sequenced(const struct intake *in)
{
    if (in->in_body || in->partial.len == 0)
        return false;
    struct reader head = buf_view(&in->partial);
    return frame_is_sequenced((enum frame_type)reader_u8(&head));
}

uint64_t intake_received(const struct intake *in)
{
    return in->received + (partial_head_is_sequenced(in) ? in->partial.len : 0);
}

void intake_cut(struct intake *in)
{
    bool goes_on = in->in_body ? frame_is_sequenced(in->head.type) : partial_head_is_sequenced(in);

    if (goes_on)
        return;
    in->in_body = false;
    clear_partial(in);
}

static enum rc violation(const struct session *s, const char *what, enum rc rc)
{
    log_debug("session.violation", log_str("what", what),
              log_u64("type", (uint64_t)s->intake.head.type),
              log_u64("stream", s->intake.head.stream));
    return rc;
}

/* --- frames of a stream -------------------------------------------------------------- */

/*
 * A frame came for a stream that is not there. RC_OK: it may be ignored, for the peer sent it
 * before it learnt of the stream's end.
 */
static enum rc check_gone(const struct session *s)
{
    const struct frame_head *h = &s->intake.head;

    if (h->stream > s->last_id)
        return violation(s, "stream was never opened", RC_PROTO);
    /* Our FIN ends the stream here; until it arrives, the peer may grant and reset. */
    if (h->type == FRAME_CREDIT || h->type == FRAME_RESET || h->type == FRAME_DATAGRAM)
        return RC_OK;
    return streams_is_ours_reset(s, h->stream) ? RC_OK : violation(s, "stream has ended", RC_PROTO);
}

static enum rc on_open_frame(struct session *s, struct reader body)
{
    uint32_t id = s->intake.head.stream;
    uint8_t kind = reader_u8(&body);

    if (s->opener || id - 1 != s->last_id || kind >= STREAM_KINDS_)
        return violation(s, "OPEN", RC_PROTO);
    if (s->table.count == SESSION_STREAMS_MAX)
        return violation(s, "too many streams", RC_LIMIT);

    struct stream *st = streams_add(s, id, (enum stream_kind)kind);
    s->events->on_open(s->owner, st, st->kind);
    st = stream_table_find(&s->table, id);
    assert(st == NULL || st->events != NULL); /* the owner has taken or reset it */
    return RC_OK;
}

static enum rc on_data_head(struct session *s)
{
    const struct frame_head *h = &s->intake.head;
    struct stream *st = stream_table_find(&s->table, h->stream);

    if (st == NULL)
        return check_gone(s);
    if (st->kind == STREAM_UDP || stream_step(st, STREAM_GOT_DATA) != RC_OK)
        return violation(s, "DATA", RC_PROTO);
    if (!credit_in_receive(&st->in, h->length))
        return violation(s, "credit", RC_PROTO);
    return RC_OK;
}

static void on_data_bytes(struct session *s, struct reader bytes)
{
    struct stream *st = stream_table_find(&s->table, s->intake.head.stream);

    if (st == NULL)
        return; /* we reset it meanwhile */
    if (bytes.left > s->budget->buffered_max - s->budget->buffered_used) {
        /* Slow readers hold all that the process may hold: this one goes rather than the process.
         */
        streams_tell_reset(st, RESET_LIMIT);
        streams_close(st, RESET_LIMIT);
        return;
    }
    st->held += bytes.left;
    s->budget->buffered_used += bytes.left;
    s->bytes_in += bytes.left;
    st->events->on_data(st->owner, bytes);
}

static enum rc on_credit_frame(struct session *s, struct reader body)
{
    struct stream *st = stream_table_find(&s->table, s->intake.head.stream);

    if (st == NULL)
        return check_gone(s);
    if (!credit_out_raise(&st->out, reader_u64(&body)))
        return violation(s, "CREDIT", RC_PROTO);
    if (st->wants_room && list_is_empty(&st->waiting))
        list_append(&s->waiting, &st->waiting);
    return RC_OK;
}

static enum rc on_fin_frame(struct session *s)
{
    struct stream *st = stream_table_find(&s->table, s->intake.head.stream);

    if (st == NULL)
        return check_gone(s);
    if (stream_step(st, STREAM_GOT_FIN) != RC_OK)
        return violation(s, "FIN", RC_PROTO);
    if (st->state == STREAM_GONE)
        streams_end(st);
    if (st->events->on_fin)
        st->events->on_fin(st->owner);
    return RC_OK;
}

static enum rc on_reset_frame(struct session *s, struct reader body)
{
    struct stream *st = stream_table_find(&s->table, s->intake.head.stream);
    uint8_t why = reader_u8(&body);

    if (why >= RESET_REASONS_)
        return violation(s, "RESET", RC_PROTO);
    if (st == NULL)
        return check_gone(s);
    streams_close(st, (enum reset_reason)why);
    return RC_OK;
}

static enum rc on_datagram_frame(struct session *s, struct reader body)
{
    struct stream *st = stream_table_find(&s->table, s->intake.head.stream);

    if (st == NULL)
        return check_gone(s);
    if (st->kind != STREAM_UDP)
        return violation(s, "DATAGRAM", RC_PROTO);
    /* It may have been overtaken by the FIN that was sent after it. */
    if (stream_can_receive(st) && st->events->on_datagram)
        st->events->on_datagram(st->owner, body);
    return RC_OK;
}

/* --- frames of the session ----------------------------------------------------------- */

static void measure(struct session *s)
{
    struct ping *p = &s->ping;
    uint64_t took_us = session_now_us(s) - p->asked_us;

    p->asked = false;
    p->answered++;
    p->last_us = took_us > 0 ? took_us : 1; /* 0 means that nothing was measured */
    if (p->least_us == 0 || p->last_us < p->least_us)
        p->least_us = p->last_us;
}

static enum rc on_ping_frame(struct session *s, struct reader body)
{
    uint8_t answer = reader_u8(&body);
    uint64_t token = reader_u64(&body);

    if (answer > 1)
        return violation(s, "PING", RC_PROTO);
    if (answer == 0)
        beside_answer(&s->beside, token);
    else if (s->ping.asked && token == s->ping.token)
        measure(s);
    return RC_OK;
}

static enum rc on_ack_frame(struct session *s, struct reader body)
{
    enum rc rc = replay_ack(&s->replay, reader_u64(&body), s->now_ms, session_rtt_ms(s));

    return rc == RC_OK ? RC_OK : violation(s, "ACK", rc);
}

static enum rc on_close_frame(struct session *s, struct reader body)
{
    uint8_t why = reader_u8(&body);

    if (why == CLOSE_NONE || why >= CLOSE_REASONS_)
        return violation(s, "CLOSE", RC_PROTO);
    s->closed_by_peer = (enum close_reason)why;
    return RC_EOF;
}

/* --- cutting ------------------------------------------------------------------------- */

/* A frame that is acted upon as a whole. */
static enum rc act(struct session *s, struct reader body)
{
    switch (s->intake.head.type) {
    case FRAME_OPEN:
        return on_open_frame(s, body);
    case FRAME_CREDIT:
        return on_credit_frame(s, body);
    case FRAME_FIN:
        return on_fin_frame(s);
    case FRAME_RESET:
        return on_reset_frame(s, body);
    case FRAME_DATAGRAM:
        return on_datagram_frame(s, body);
    case FRAME_PING:
        return on_ping_frame(s, body);
    case FRAME_ACK:
        return on_ack_frame(s, body);
    case FRAME_CLOSE:
        return on_close_frame(s, body);
    case FRAME_HELLO: /* only the first on a pipe, and that one is not ours to read */
    case FRAME_DATA:
    case FRAME_TYPES_:
        break;
    }
    return violation(s, "type", RC_PROTO);
}

/* Moves bytes from `in` to the partial frame until it has `whole`. */
static bool gather(struct intake *in, struct reader *bytes, size_t whole)
{
    size_t missing = whole - in->partial.len;

    buf_put(&in->partial, reader_slice(bytes, missing < bytes->left ? missing : bytes->left));
    return in->partial.len == whole;
}

static enum rc begin_frame(struct session *s)
{
    struct intake *in = &s->intake;

    if (frame_is_sequenced(in->head.type))
        in->received += FRAME_HEAD;
    in->left = in->head.length;
    in->in_body = in->left > 0;
    if (in->head.type == FRAME_DATA)
        return on_data_head(s);
    return in->in_body ? RC_OK : act(s, reader_of(NULL, 0));
}

static enum rc take_head(struct session *s, struct reader *bytes)
{
    struct intake *in = &s->intake;
    enum rc rc;

    if (in->partial.len == 0 && bytes->left >= FRAME_HEAD) {
        rc = frame_head_decode(bytes, &in->head);
    } else {
        if (!gather(in, bytes, FRAME_HEAD))
            return RC_OK;
        struct reader head = buf_view(&in->partial);
        rc = frame_head_decode(&head, &in->head);
        clear_partial(in);
    }
    return rc == RC_OK ? begin_frame(s) : violation(s, "head", rc);
}

static void take_data(struct session *s, struct reader *bytes)
{
    struct intake *in = &s->intake;
    size_t len = bytes->left < in->left ? bytes->left : in->left;
    struct reader data = reader_slice(bytes, len);

    in->received += len;
    in->left -= (uint32_t)len;
    in->in_body = in->left > 0;
    on_data_bytes(s, data);
}

static enum rc take_body(struct session *s, struct reader *bytes)
{
    struct intake *in = &s->intake;
    size_t len = bytes->left < in->left ? bytes->left : in->left;
    bool direct = in->partial.len == 0 && len == in->left;
    struct reader body;

    if (frame_is_sequenced(in->head.type))
        in->received += len;
    in->left -= (uint32_t)len;
    if (direct)
        body = reader_slice(bytes, len);
    else if (gather(in, bytes, in->head.length))
        body = buf_view(&in->partial);
    else
        return RC_OK;
    enum rc rc = act(s, body);
    in->in_body = false;
    if (!direct)
        clear_partial(in);
    return rc;
}

enum rc intake_take(struct session *s, struct reader bytes)
{
    enum rc rc = RC_OK;

    while (bytes.left > 0 && rc == RC_OK) {
        if (!s->intake.in_body)
            rc = take_head(s, &bytes);
        else if (s->intake.head.type == FRAME_DATA)
            take_data(s, &bytes);
        else
            rc = take_body(s, &bytes);
        if (!list_is_empty(&s->ended))
            streams_flush_ended(s);
        if (rc == RC_OK)
            rc = s->failed; /* what a frame made us queue may have been too much */
    }
    return rc;
}
