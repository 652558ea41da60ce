#include "agent/flow.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/conn.h"

enum {
    FLOW_COPY_MAX = 32 * 1024, /* less than this is copied into the tail of the replay, not kept as a chunk */
    FLOW_READS = 4,            /* full reads in a row before the others get their turn */
};

struct flow {
    struct list link;
    struct loop *loop;
    struct chunk_pool *chunks;
    struct stream *stream; /* NULL: has ended */
    struct conn *conn;     /* NULL: not there yet, or gone */
    struct buf waiting;    /* what came before the socket was connected */
    size_t owed;           /* bytes given to the socket's queue and not yet credited */
    bool connected, eof, fin_waits;
    void (*abandoned)(void *owner);
    void *owner;
};

static void free_when_over(struct flow *f)
{
    if (f->stream != NULL || f->conn != NULL)
        return;
    list_remove(&f->link);
    buf_done(&f->waiting);
    free(f);
}

/* --- socket to stream --------------------------------------------------------------- */

/* One read. RC_OK: there may be more. RC_LIMIT: the stream has no room now. */
static enum rc read_some(struct flow *f)
{
    size_t got, room = stream_room(f->stream);

    if (room == 0)
        return RC_LIMIT;
    struct chunk *c = chunk_new(f->chunks, CHUNK_DATA);
    size_t want = room < CHUNK_DATA ? room : CHUNK_DATA;
    enum rc rc = conn_read(f->conn, chunk_data(c), want, &got);
    if (rc != RC_OK) {
        chunk_free(c);
        return rc;
    }
    if (got < FLOW_COPY_MAX) {
        stream_send(f->stream, reader_of(chunk_data(c), got));
        chunk_free(c);
    } else {
        c->from = CHUNK_HEAD;
        c->to = CHUNK_HEAD + got;
        stream_send_chunk(f->stream, c);
    }
    return got < want ? RC_AGAIN : RC_OK; /* a short read: the socket is empty */
}

static void on_readable(void *owner)
{
    struct flow *f = owner;
    enum rc rc = RC_OK;

    if (f->stream == NULL)
        return;
    for (int i = 0; i < FLOW_READS && rc == RC_OK; i++)
        rc = read_some(f);
    if (rc == RC_LIMIT) {
        conn_pause(f->conn); /* until on_stream_room */
    } else if (rc == RC_EOF) {
        f->eof = true;
        stream_fin(f->stream);
    } else if (rc != RC_OK && rc != RC_AGAIN) {
        conn_close(f->conn, rc); /* on_conn_closed tells the stream */
    }
}

static void on_stream_room(void *owner)
{
    struct flow *f = owner;

    if (f->conn == NULL || f->eof)
        return;
    conn_resume(f->conn);
    on_readable(f);
}

/* --- stream to socket ----------------------------------------------------------------- */

/* What has left the socket's queue has reached its reader, as far as we can see. */
static void settle(struct flow *f)
{
    size_t queued = conn_queued(f->conn);

    if (f->stream == NULL || f->owed <= queued)
        return;
    size_t taken = f->owed - queued;
    f->owed = queued;
    stream_consumed(f->stream, taken);
}

static void on_sent(void *owner)
{
    settle(owner);
}

static void deliver(struct flow *f, struct reader bytes)
{
    f->owed += bytes.left;
    conn_send(f->conn, bytes);
    settle(f);
}

static void on_data(void *owner, struct reader bytes)
{
    struct flow *f = owner;

    if (f->connected && f->conn)
        deliver(f, bytes);
    else if (!f->connected)
        buf_put(&f->waiting, bytes); /* within the stream's credit */
}

static void on_fin(void *owner)
{
    struct flow *f = owner;

    if (f->connected && f->conn)
        conn_end(f->conn);
    else
        f->fin_waits = true;
}

/* --- ends -------------------------------------------------------------------------------- */

static void on_stream_closed(void *owner, enum reset_reason why)
{
    struct flow *f = owner;

    f->stream = NULL;
    if (f->conn && why == RESET_NONE)
        conn_close_flushed(f->conn, RC_OK);
    else if (f->conn)
        conn_reset(f->conn, RC_CLOSED);
    else if (!f->connected && f->abandoned)
        f->abandoned(f->owner);
    free_when_over(f);
}

static const struct stream_events stream_events = {
    .on_data = on_data,
    .on_fin = on_fin,
    .on_room = on_stream_room,
    .on_closed = on_stream_closed,
};

static void on_conn_closed(void *owner, enum rc why)
{
    struct flow *f = owner;

    (void)why;
    f->conn = NULL;
    if (f->stream) {
        stream_reset(f->stream, RESET_BROKEN);
        f->stream = NULL;
    }
    free_when_over(f);
}

static void on_conn_room(void *owner)
{
    (void)owner; /* the stream's credit is what holds the peer back */
}

static const struct conn_events conn_events = {
    .on_readable = on_readable,
    .on_room = on_conn_room,
    .on_closed = on_conn_closed,
    .on_sent = on_sent,
};

/* --- life ------------------------------------------------------------------------------------ */

struct flow *flow_new(struct loop *l, struct chunk_pool *chunks, struct stream *st,
                      struct list *siblings)
{
    struct flow *f = mem_zalloc(sizeof *f);

    f->loop = l;
    f->chunks = chunks;
    f->stream = st;
    list_init(&f->link);
    buf_init(&f->waiting, STREAM_WINDOW_MAX);
    if (siblings)
        list_append(siblings, &f->link);
    stream_own(st, &stream_events, f);
    return f;
}

void flow_connect(struct flow *f, int fd, struct reader early)
{
    f->connected = true;
    f->conn = conn_new(f->loop, fd, &conn_events, f);
    if (early.left > 0)
        stream_send(f->stream, early);
    if (f->waiting.len > 0)
        deliver(f, buf_view(&f->waiting));
    buf_done(&f->waiting);
    if (f->fin_waits)
        conn_end(f->conn);
    conn_resume(f->conn);
}

void flow_reset(struct flow *f, enum reset_reason why)
{
    if (f->stream)
        stream_reset(f->stream, why);
    f->stream = NULL;
    if (f->conn)
        conn_reset(f->conn, RC_CLOSED);
    free_when_over(f);
}

struct flow *flow_of(struct list *link)
{
    return list_entry(link, struct flow, link);
}

void flow_on_abandoned(struct flow *f, void (*abandoned)(void *owner), void *owner)
{
    f->abandoned = abandoned;
    f->owner = owner;
}
