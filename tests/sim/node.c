#include "node.h"

#include <string.h>

#include "verdict.h"

void node_begin(struct node *n, int side, const struct session_events *events, void *owner,
                uint64_t now)
{
    struct session_setup setup = {.opener = side == 0,
                                  .id = "a simulation",
                                  .hold_ms = SESSION_HOLD_MS,
                                  .budget = &n->budget,
                                  .events = events,
                                  .owner = owner};

    session_budget_init(&n->budget);
    n->side = side;
    n->s = session_new(&setup, now);
    n->cable = n->dialed = NULL;
    n->dials = 0;
}

void node_end(struct node *n)
{
    session_free(n->s);
    n->s = NULL;
    if (n->budget.replay_used || n->budget.buffered_used || n->budget.windows_used)
        verdict_violation("memory is still counted after the end");
    session_budget_done(&n->budget);
}

/* --- HELLO --------------------------------------------------------------------------- */

static void send_hello(struct node *n, struct cable *c, uint32_t generation)
{
    struct frame_hello h = {.version_min = FRAME_VERSION,
                            .version_max = FRAME_VERSION,
                            .generation = generation,
                            .received = session_received(n->s)};
    struct buf out;

    if (n->fault == NODE_ONE_AHEAD && h.received > 100)
        h.received++;
    if (n->fault == NODE_ONE_BEHIND && h.received > 100)
        h.received--;
    memcpy(h.session, session_id(n->s), sizeof h.session);
    buf_init(&out, 256);
    frame_hello_encode(&out, &h);
    cable_put(c, n->side, buf_view(&out));
    buf_done(&out);
}

/* False: a newer pipe has taken over. */
static bool attach(struct node *n, struct cable *c, uint32_t generation, uint64_t received,
                   uint64_t now)
{
    uint32_t before = session_generation(n->s);
    enum rc rc = session_attach(n->s, generation, received, now);

    if (rc == RC_PROTO && generation <= before)
        return false;
    if (rc != RC_OK)
        verdict_violation("side %d cannot go on at %llu: %s", n->side, (unsigned long long)received,
                          rc_text(rc));
    if (generation <= before)
        verdict_violation("side %d went back to generation %u", n->side, generation);
    n->cable = c;
    n->dialed = NULL;
    n->attached++;
    return true;
}

void node_dial(struct node *n, struct cable *c, uint64_t now)
{
    n->dialed = c;
    n->dials++;
    send_hello(n, c, n->dials);
    if (n->dials == 1) /* the sequence may follow at once (§6.2) */
        (void)attach(n, c, 1, 0, now);
}

/* A: a pipe begins. */
static void accept_hello(struct node *n, struct cable *c, const struct frame_hello *h, uint64_t now)
{
    if (attach(n, c, h->generation, h->received, now))
        send_hello(n, c, h->generation);
}

/* B: the pipe that it has dialled last is up; of earlier ones it wants to know nothing. */
static void answer_came(struct node *n, struct cable *c, const struct frame_hello *h, uint64_t now)
{
    if (c == n->dialed && !attach(n, c, h->generation, h->received, now))
        verdict_violation("HELLO was answered by an old generation");
}

/* What follows the HELLO is left in `bytes`. */
static void take_hello(struct node *n, struct cable *c, struct reader *bytes, uint64_t now)
{
    struct buf *hello = &c->hello[n->side];
    struct frame_head head = {.length = 0};
    struct frame_hello h;

    while (bytes->left > 0 && !c->greeted[n->side]) {
        buf_put_u8(hello, reader_u8(bytes));
        struct reader in = buf_view(hello);
        c->greeted[n->side] = frame_head_decode(&in, &head) == RC_OK && in.left == head.length;
        if (!c->greeted[n->side])
            continue;
        if (head.type != FRAME_HELLO || frame_hello_decode(in, &h) != RC_OK)
            verdict_violation("side %d: a pipe does not begin with HELLO", n->side);
        if (n->side == 0)
            answer_came(n, c, &h, now);
        else
            accept_hello(n, c, &h, now);
    }
}

/* --- bytes --------------------------------------------------------------------------- */

void node_lose(struct node *n, uint64_t now)
{
    session_detach(n->s, now);
    n->cable = n->dialed = NULL;
}

size_t node_send(struct node *n, size_t most, uint64_t now)
{
    size_t moved = 0;

    if (n->cable == NULL)
        return 0;
    size_t room = cable_room(n->cable, n->side);
    most = most < room ? most : room;
    while (moved < most) {
        struct reader out = session_output(n->s, now);
        if (out.left == 0)
            break;
        size_t len = out.left < most - moved ? out.left : most - moved;
        cable_put(n->cable, n->side, reader_of(out.at, len));
        session_sent(n->s, len);
        moved += len;
    }
    return moved;
}

/* Who waits for room is told of it when it is there, not when something else happens to happen. */
static void check_waiting(const struct node *n)
{
    if (!list_is_empty(&n->s->waiting) && outlet_has_room(n->s) &&
        replay_unsent(&n->s->replay) < SESSION_UNSENT_LOW)
        verdict_violation("side %d: there is room, and who waits for it is not told", n->side);
}

static void feed(struct node *n, struct reader bytes, uint64_t now)
{
    enum rc rc = session_input(n->s, bytes, now);

    if (rc != RC_OK)
        verdict_violation("side %d refuses what the other sent: %s", n->side, rc_text(rc));
    check_waiting(n);
    *n->digest = (*n->digest ^ bytes.left ^ session_received(n->s)) * 0x100000001B3u;
}

size_t node_receive(struct node *n, struct cable *c, size_t most, uint64_t now)
{
    struct buf *way = &c->way[1 - n->side];
    size_t len = way->len < most ? way->len : most;
    struct reader bytes = reader_of(buf_view(way).at, len);

    if (len == 0)
        return 0;
    take_hello(n, c, &bytes, now);
    if (bytes.left > 0 && (c == n->cable || (n->fault == NODE_NO_FENCE && n->cable)))
        feed(n, bytes, now);
    buf_consume(way, len);
    return len;
}

void node_tick(struct node *n, uint64_t now)
{
    enum session_health health = session_tick(n->s, now);

    if (health == SESSION_PEER_SILENT)
        node_lose(n, now);
    else if (health == SESSION_EXPIRED)
        verdict_violation("side %d gave up", n->side);
}
