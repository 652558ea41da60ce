#include "hub/copy.h"

#include <assert.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"

struct side {
    struct copy *copy;
    struct pipe *pipe; /* NULL: gone */
    uint64_t bytes;    /* that came from it */
};

struct copy {
    struct copies *copies;
    struct list link;
    void *tag;
    struct side side[2];
    enum rc why; /* what ended the first side to go */
};

struct copies {
    struct list list;
    size_t count;
    relay_ended *ended;
};

static struct side *other(struct side *s)
{
    return s == &s->copy->side[0] ? &s->copy->side[1] : &s->copy->side[0];
}

static void on_bytes(void *owner, struct reader bytes)
{
    struct side *from = owner;
    struct pipe *to = other(from)->pipe;

    if (to == NULL)
        return;
    from->bytes += bytes.left;
    pipe_send(to, bytes);
    if (pipe_is_full(to))
        pipe_pause(from->pipe);
}

static void on_room(void *owner)
{
    struct side *to = owner;

    if (other(to)->pipe)
        pipe_resume(other(to)->pipe);
}

static void on_closed(void *owner, enum rc why)
{
    struct side *gone = owner;
    struct copy *c = gone->copy;

    gone->pipe = NULL;
    if (other(gone)->pipe) {
        c->why = why;
        pipe_close(other(gone)->pipe, RC_CLOSED); /* what it has been given goes first */
        return;
    }
    struct relay_end end = {.bytes = {c->side[0].bytes, c->side[1].bytes}, .why = c->why};
    struct copies *cs = c->copies;
    void *tag = c->tag;
    list_remove(&c->link);
    cs->count--;
    free(c);
    cs->ended(tag, &end);
}

static const struct pipe_events events = {
    .on_bytes = on_bytes, .on_room = on_room, .on_closed = on_closed};

void copies_join(struct copies *cs, void *tag, struct channel *a, enum pipe_mode a_mode,
                 struct channel *b, enum pipe_mode b_mode)
{
    struct copy *c = mem_zalloc(sizeof *c);

    c->copies = cs;
    c->tag = tag;
    c->side[0] = (struct side){.copy = c};
    c->side[1] = (struct side){.copy = c};
    list_init(&c->link);
    list_append(&cs->list, &c->link);
    cs->count++;
    c->side[0].pipe = pipe_accept(a, a_mode, &events, &c->side[0]);
    c->side[1].pipe = pipe_accept(b, b_mode, &events, &c->side[1]);
    pipe_resume(c->side[0].pipe);
    pipe_resume(c->side[1].pipe);
}

struct copies *copies_new(relay_ended *ended)
{
    struct copies *cs = mem_zalloc(sizeof *cs);

    list_init(&cs->list);
    cs->ended = ended;
    return cs;
}

void copies_stop(struct copies *cs)
{
    list_each(at, after, &cs->list)
    {
        struct copy *c = list_entry(at, struct copy, link);
        for (int i = 0; i < 2; i++)
            if (c->side[i].pipe)
                pipe_close(c->side[i].pipe, RC_CLOSED);
    }
}

void copies_free(struct copies *cs)
{
    if (cs == NULL)
        return;
    assert(cs->count == 0);
    free(cs);
}

size_t copies_count(const struct copies *cs)
{
    return cs->count;
}
