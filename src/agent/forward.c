#include "agent/forward.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/flow.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/listener.h"

enum { FORWARD_ADDRESSES = 2 };
static const char *const hosts[FORWARD_ADDRESSES] = {"127.0.0.1", "::1"};

struct forward {
    struct loop *loop;
    struct tunnel *tunnel; /* NULL: nowhere to go */
    struct listener *listeners[FORWARD_ADDRESSES];
    struct list flows;
    uint16_t port;
};

/* Closes so that the client sees a reset: nothing is behind this port now. */
static void turn_away(int fd)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    (void)close(fd);
}

static enum rc join(struct loop *l, struct tunnel *t, int fd, struct reader early,
                    struct list *siblings)
{
    static const struct stream_events until_owned = {0};
    struct stream *st;

    enum rc rc = t ? stream_open(tunnel_session(t), STREAM_TCP, &until_owned, NULL, &st) : RC_ABSENT;
    if (rc != RC_OK) {
        log_debug("forward.turned_away", log_rc("why", rc));
        turn_away(fd);
        return rc == RC_ABSENT ? RC_ABSENT : RC_LIMIT;
    }
    struct flow *f = flow_new(l, tunnel_chunks(t), st, siblings);
    flow_connect(f, fd, early);
    return RC_OK;
}

static void on_accept(void *owner, int fd)
{
    struct forward *f = owner;

    enum rc rc = join(f->loop, f->tunnel, fd, reader_of(NULL, 0), &f->flows);
    (void)rc; /* the client has been told */
}

static enum rc listen_on(struct forward *f, int i, uint16_t port)
{
    struct address at = {.kind = ADDRESS_TCP, .port = port};

    text_message(at.host, sizeof at.host, "%s", hosts[i]);
    return listener_open(f->loop, &at, on_accept, f, &f->listeners[i]);
}

enum rc forward_open(struct loop *l, uint16_t port, struct forward **out)
{
    struct forward *f = mem_zalloc(sizeof *f);

    f->loop = l;
    list_init(&f->flows);
    enum rc rc = listen_on(f, 0, port);
    if (rc == RC_OK) {
        f->port = listener_port(f->listeners[0]);
        /* A machine without IPv6 has no ::1; a port that another program has there is in use. */
        rc = listen_on(f, 1, f->port);
        if (rc != RC_EXISTS)
            rc = RC_OK;
    }
    if (rc != RC_OK) {
        forward_close(f);
        return rc;
    }
    *out = f;
    return RC_OK;
}

void forward_set_tunnel(struct forward *f, struct tunnel *t)
{
    f->tunnel = t;
}

uint16_t forward_port(const struct forward *f)
{
    return f->port;
}

size_t forward_locals(const struct forward *f, char out[2][64])
{
    size_t count = 0;

    for (int i = 0; i < FORWARD_ADDRESSES; i++)
        if (f->listeners[i])
            text_message(out[count++], 64, i == 0 ? "%s:%u" : "[%s]:%u", hosts[i], f->port);
    return count;
}

void forward_close(struct forward *f)
{
    if (f == NULL)
        return;
    for (int i = 0; i < FORWARD_ADDRESSES; i++)
        if (f->listeners[i])
            listener_close(f->listeners[i]);
    while (!list_is_empty(&f->flows)) {
        struct list *first = f->flows.next;
        list_remove(first); /* the flow lives on until its socket has closed */
        flow_reset(flow_of(first), RESET_BROKEN);
    }
    free(f);
}

enum rc forward_fd(struct loop *l, struct tunnel *t, int fd, struct reader early)
{
    return join(l, t, fd, early, NULL);
}
