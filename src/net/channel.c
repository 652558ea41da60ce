#include "net/channel.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/tls.h"

enum { CHANNEL_PEER_SIZE = 64 };

struct channel {
    struct loop *loop;
    struct conn *conn;
    struct tls *tls; /* NULL: plain */
    const struct channel_events *events;
    void *owner;
    struct timer deadline; /* of the handshake */
    struct task later;     /* on_open of a plain channel, or the end of a released one */
    bool open, feeding, dropping, closing, released;
    enum rc why; /* of a failed handshake */
    char failure[128];
    char peer[CHANNEL_PEER_SIZE];
};

static void describe_peer(struct channel *ch, int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    char host[NI_MAXHOST], port[NI_MAXSERV];

    text_message(ch->peer, sizeof ch->peer, "unix");
    if (getpeername(fd, (struct sockaddr *)&addr, &len) != 0 || addr.ss_family == AF_UNIX ||
        getnameinfo((struct sockaddr *)&addr, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    text_message(ch->peer, sizeof ch->peer, addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
                 port);
}

/* --- closing -------------------------------------------------------------------------- */

static void free_channel(struct channel *ch)
{
    timer_stop(&ch->deadline);
    task_cancel(&ch->later);
    tls_free(ch->tls);
    free(ch);
}

static void on_conn_closed(void *owner, enum rc why)
{
    struct channel *ch = owner;

    ch->events->on_closed(ch->owner, ch->why != RC_OK ? ch->why : why);
    free_channel(ch);
}

static void begin_close(struct channel *ch)
{
    ch->closing = true;
    timer_stop(&ch->deadline);
    task_cancel(&ch->later);
    if (ch->tls)
        tls_stop(ch->tls);
}

void channel_close(struct channel *ch, enum rc why)
{
    if (ch->closing)
        return;
    begin_close(ch);
    conn_close(ch->conn, why);
}

void channel_finish(struct channel *ch, enum rc why)
{
    if (ch->closing)
        return;
    begin_close(ch);
    if (ch->tls) {
        tls_end(ch->tls, conn_queue(ch->conn));
        conn_flush(ch->conn);
    }
    conn_close_flushed(ch->conn, why);
}

/* --- bytes up --------------------------------------------------------------------------- */

static void on_established(void *owner)
{
    struct channel *ch = owner;

    timer_stop(&ch->deadline);
    ch->open = true;
    ch->events->on_open(ch->owner);
}

static void on_plain(void *owner, struct reader bytes)
{
    struct channel *ch = owner;

    if (!ch->closing)
        ch->events->on_bytes(ch->owner, bytes);
}

static const struct tls_events tls_events = {on_established, on_plain};

static void end_of_input(struct channel *ch)
{
    if (ch->events->on_end)
        ch->events->on_end(ch->owner);
    else
        channel_close(ch, RC_EOF);
}

/* The handshake or a record was wrong: the alert goes out, then we close. */
static void tls_failed(struct channel *ch, enum rc why)
{
    text_message(ch->failure, sizeof ch->failure, "%s", tls_failure(ch->tls));
    ch->why = why;
    begin_close(ch);
    conn_flush(ch->conn);
    conn_close_flushed(ch->conn, why);
}

static void feed(struct channel *ch, struct reader in)
{
    ch->feeding = true;
    enum rc rc = tls_feed(ch->tls, &in, conn_queue(ch->conn));
    ch->feeding = false;
    if (ch->closing || ch->released)
        return;
    if (ch->dropping) {
        tls_free(ch->tls);
        ch->tls = NULL;
        ch->dropping = false;
        conn_flush(ch->conn);
        if (in.left > 0)
            on_plain(ch, in);
        return;
    }
    if (rc == RC_OK)
        conn_flush(ch->conn);
    else if (rc == RC_EOF)
        end_of_input(ch);
    else
        tls_failed(ch, rc);
}

static void on_readable(void *owner)
{
    struct channel *ch = owner;
    uint8_t *scratch = loop_scratch(ch->loop);
    size_t got;

    enum rc rc = conn_read(ch->conn, scratch, LOOP_SCRATCH, &got);
    if (rc == RC_AGAIN)
        return;
    if (rc == RC_EOF && ch->tls == NULL)
        end_of_input(ch);
    else if (rc != RC_OK)
        channel_close(ch, rc); /* under TLS an end without close_notify is a cut */
    else if (ch->tls)
        feed(ch, reader_of(scratch, got));
    else
        on_plain(ch, reader_of(scratch, got));
}

static void on_room(void *owner)
{
    struct channel *ch = owner;

    if (!ch->closing && ch->events->on_room)
        ch->events->on_room(ch->owner);
}

static const struct conn_events conn_events = {
    .on_readable = on_readable, .on_room = on_room, .on_closed = on_conn_closed};

/* --- life ---------------------------------------------------------------------------------- */

static void on_deadline(void *owner)
{
    struct channel *ch = owner;

    text_message(ch->failure, sizeof ch->failure, "the TLS handshake took too long");
    channel_close(ch, RC_TIMEOUT);
}

static void begin(void *owner)
{
    struct channel *ch = owner;

    if (ch->tls == NULL) {
        ch->open = true;
        ch->events->on_open(ch->owner);
    } else {
        feed(ch, reader_of(NULL, 0)); /* a client's first flight */
    }
    if (!ch->closing && !ch->released)
        conn_resume(ch->conn);
}

struct channel *channel_new(struct loop *l, int fd, struct ssl_st *ssl,
                            const struct channel_events *events, void *owner)
{
    struct channel *ch = mem_zalloc(sizeof *ch);

    ch->loop = l;
    ch->events = events;
    ch->owner = owner;
    describe_peer(ch, fd);
    ch->conn = conn_new(l, fd, &conn_events, ch);
    timer_init(&ch->deadline, l, on_deadline, ch);
    task_init(&ch->later, l, begin, ch);
    if (ssl) {
        ch->tls = tls_new(ssl, loop_gather(l), &tls_events, ch);
        timer_start(&ch->deadline, CHANNEL_HANDSHAKE_MS);
    }
    task_soon(&ch->later);
    return ch;
}

void channel_own(struct channel *ch, const struct channel_events *events, void *owner)
{
    ch->events = events;
    ch->owner = owner;
}

struct loop *channel_loop(const struct channel *ch)
{
    return ch->loop;
}

/* --- bytes down ------------------------------------------------------------------------------ */

void channel_send(struct channel *ch, struct reader bytes)
{
    if (ch->closing || bytes.left == 0)
        return;
    if (ch->tls == NULL) {
        conn_send(ch->conn, bytes);
        return;
    }
    if (tls_write(ch->tls, bytes, conn_queue(ch->conn)) != RC_OK) {
        channel_close(ch, RC_SYSTEM);
        return;
    }
    conn_flush(ch->conn);
}

bool channel_is_full(const struct channel *ch)
{
    return conn_is_full(ch->conn);
}

void channel_pause(struct channel *ch)
{
    if (!ch->closing)
        conn_pause(ch->conn);
}

void channel_resume(struct channel *ch)
{
    if (!ch->closing)
        conn_resume(ch->conn);
}

/* --- the drop ---------------------------------------------------------------------------------- */

void channel_drop_tls(struct channel *ch)
{
    if (ch->tls == NULL || ch->closing)
        return;
    ch->dropping = true;
    tls_stop(ch->tls);
}

static void free_released(void *owner)
{
    free_channel(owner);
}

enum rc channel_release(struct channel *ch, int *fd)
{
    if (ch->closing || ch->released)
        return RC_CLOSED;
    enum rc rc = conn_release(ch->conn, fd);
    if (rc != RC_OK)
        return rc;
    ch->released = true;
    timer_stop(&ch->deadline);
    if (ch->tls)
        tls_stop(ch->tls);
    /* We may stand within tls_feed(): the memory goes when it has returned. */
    task_init(&ch->later, ch->loop, free_released, ch);
    task_soon(&ch->later);
    return RC_OK;
}

void channel_gather(struct channel *ch)
{
    if (ch->tls)
        tls_gather(ch->tls);
}

/* --- questions ---------------------------------------------------------------------------------- */

enum rc channel_binding(struct channel *ch, uint8_t out[32])
{
    return ch->tls ? tls_export(ch->tls, "EXPORTER-pconnect-pipe", out) : RC_ABSENT;
}

bool channel_is_tls(const struct channel *ch)
{
    return ch->tls != NULL;
}

const char *channel_failure(const struct channel *ch)
{
    return ch->failure;
}

enum rc channel_fingerprint(struct channel *ch, uint8_t out[32])
{
    return ch->tls ? tls_peer_fingerprint(ch->tls, out) : RC_ABSENT;
}

const char *channel_peer(const struct channel *ch)
{
    return ch->peer;
}

struct conn *channel_conn(struct channel *ch)
{
    return ch->conn;
}
