#include "mux/beside.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct batch {
    struct list link;
    uint64_t after; /* how far the sequence must have gone out */
    bool begun;     /* nothing may be added any more: what is sent must end with a frame */
    struct buf frames;
};

void beside_init(struct beside *b)
{
    *b = (struct beside){0};
    list_init(&b->batches);
}

static void drop(struct beside *b, struct batch *batch)
{
    list_remove(&batch->link);
    b->datagram_bytes -= batch->frames.len;
    buf_done(&batch->frames);
    free(batch);
}

static struct batch *batch_of(struct list *link)
{
    return list_entry(link, struct batch, link);
}

void beside_clear(struct beside *b)
{
    while (!list_is_empty(&b->batches))
        drop(b, batch_of(b->batches.next));
    beside_init(b);
}

/* --- control ------------------------------------------------------------------------- */

void beside_answer(struct beside *b, uint64_t token)
{
    if (b->answer_count < BESIDE_ANSWERS_MAX)
        b->answers[b->answer_count++] = token;
}

bool beside_has_control(const struct beside *b)
{
    return b->ack_due || b->ask_due || b->answer_count > 0 || b->close_due != CLOSE_NONE ||
           b->frames_at < b->frames_len;
}

void beside_make_control(struct beside *b, uint64_t received, uint64_t token)
{
    uint8_t *out = b->frames;

    if (b->ack_due)
        out += frame_ack_write(out, received);
    if (b->ask_due)
        out += frame_ping_write(out, false, token);
    for (size_t i = 0; i < b->answer_count; i++)
        out += frame_ping_write(out, true, b->answers[i]);
    if (b->close_due != CLOSE_NONE)
        out += frame_close_write(out, b->close_due);
    b->ack_due = b->ask_due = false;
    b->answer_count = 0;
    b->close_due = CLOSE_NONE;
    b->frames_at = 0;
    b->frames_len = (size_t)(out - b->frames);
}

struct reader beside_control(const struct beside *b)
{
    return reader_of(b->frames + b->frames_at, b->frames_len - b->frames_at);
}

void beside_control_sent(struct beside *b, size_t len)
{
    assert(len <= b->frames_len - b->frames_at);
    b->frames_at += len;
}

/* --- datagrams ----------------------------------------------------------------------- */

static struct batch *add_batch(struct beside *b, uint64_t after)
{
    struct batch *batch = mem_zalloc(sizeof *batch);

    batch->after = after;
    buf_init(&batch->frames, BESIDE_BATCH + FRAME_HEAD + FRAME_DATAGRAM_MAX);
    list_append(&b->batches, &batch->link);
    return batch;
}

/* The last batch, if the datagram may go with it. */
static struct batch *joinable(struct beside *b, uint64_t after, uint64_t now)
{
    if (list_is_empty(&b->batches))
        return NULL;
    struct batch *tail = batch_of(b->batches.prev);
    bool early = after > now && after > tail->after;
    return early || tail->begun || tail->frames.len >= BESIDE_BATCH ? NULL : tail;
}

void beside_datagram(struct beside *b, uint32_t stream, struct reader bytes, uint64_t after,
                     uint64_t now)
{
    assert(bytes.left > 0 && bytes.left <= FRAME_DATAGRAM_MAX);
    if (b->datagram_bytes + FRAME_HEAD + bytes.left > BESIDE_DATAGRAMS_MAX)
        return;
    struct batch *batch = joinable(b, after, now);
    if (batch == NULL)
        batch = add_batch(b, after);
    frame_head_encode(&batch->frames, &(struct frame_head){.type = FRAME_DATAGRAM,
                                                           .length = (uint32_t)bytes.left,
                                                           .stream = stream});
    buf_put(&batch->frames, bytes);
    assert(buf_ok(&batch->frames));
    b->datagram_bytes += FRAME_HEAD + bytes.left;
}

struct reader beside_datagrams(const struct beside *b, uint64_t now)
{
    if (list_is_empty(&b->batches))
        return reader_of(NULL, 0);
    const struct batch *batch = batch_of(b->batches.next);
    return batch->after > now ? reader_of(NULL, 0) : buf_view(&batch->frames);
}

bool beside_datagrams_sent(struct beside *b, size_t len)
{
    struct batch *batch = batch_of(b->batches.next);

    batch->begun = true;
    b->datagram_bytes -= len;
    buf_consume(&batch->frames, len);
    if (batch->frames.len > 0)
        return false;
    drop(b, batch);
    return true;
}
