/*
 * bench_session -- what the mux costs by itself: two sessions in one process, back to back, no TLS
 * and no sockets.
 *
 *     bench_session [seconds per figure]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mux/session.h"

struct source {
    struct stream *st;
    struct chunk_pool *chunks;
    size_t piece;
    bool copies;
};

static uint64_t bytes_in, frames_in;

static void fill(void *owner)
{
    struct source *src = owner;
    size_t room;

    while ((room = stream_room(src->st)) > 0) {
        size_t len = src->piece < room ? src->piece : room;
        if (src->copies) {
            static const uint8_t zeros[FRAME_DATA_MAX];
            stream_send(src->st, reader_of(zeros, len));
        } else {
            struct chunk *c = chunk_new(src->chunks, CHUNK_DATA);
            c->to = CHUNK_HEAD + len;
            stream_send_chunk(src->st, c);
        }
    }
}

static void take(void *owner, struct reader bytes)
{
    struct stream **st = owner;

    bytes_in += bytes.left;
    frames_in++;
    stream_consumed(*st, bytes.left);
}

static const struct stream_events source_events = {.on_data = take, .on_room = fill};
static const struct stream_events sink_events = {.on_data = take};
static struct stream *sinks[64];
static size_t sink_count;

static void on_open(void *owner, struct stream *st, enum stream_kind kind)
{
    (void)owner, (void)kind;
    sinks[sink_count] = st;
    stream_own(st, &sink_events, &sinks[sink_count++]);
}

static void on_output(void *owner)
{
    (void)owner;
}

static const struct session_events events = {.on_open = on_open, .on_output = on_output};

static bool move(struct session *from, struct session *to, uint64_t now)
{
    struct reader out = session_output(from, now);

    if (out.left == 0)
        return false;
    session_sent(from, out.left);
    if (session_input(to, out, now) != RC_OK)
        abort();
    return true;
}

static struct session *make(bool opener, struct session_budget *budget)
{
    struct session_setup setup = {.opener = opener, .budget = budget, .events = &events};
    struct session *s = session_new(&setup, 0);

    if (session_attach(s, 1, 0, 0) != RC_OK)
        abort();
    return s;
}

static void run(const char *name, size_t streams, size_t piece, bool copies, uint64_t ms)
{
    struct session_budget budget;
    struct source sources[64];

    session_budget_init(&budget);
    struct session *b = make(true, &budget), *a = make(false, &budget);
    bytes_in = frames_in = sink_count = 0;
    for (size_t i = 0; i < streams; i++) {
        sources[i] = (struct source){.chunks = &budget.chunks, .piece = piece, .copies = copies};
        if (stream_open(b, STREAM_TCP, &source_events, &sources[i], &sources[i].st) != RC_OK)
            abort();
    }
    for (size_t i = 0; i < streams; i++)
        fill(&sources[i]);

    uint64_t start = clock_ns(), now = start;
    while (now - start < ms * 1000000) {
        for (int i = 0; i < 100; i++) {
            bool moved = move(b, a, now / 1000000);
            moved |= move(a, b, now / 1000000);
            if (!moved)
                abort();
        }
        now = clock_ns();
    }
    double seconds = (double)(now - start) / 1e9;
    printf("%-28s %8.2f GB/s %10.2f M pieces/s\n", name, (double)bytes_in / 1e9 / seconds,
           (double)frames_in / 1e6 / seconds);
    session_free(b);
    session_free(a);
    session_budget_done(&budget);
}

int main(int argc, char **argv)
{
    uint64_t ms = argc > 1 ? strtoull(argv[1], NULL, 10) * 1000 : 1000;

    run("1 stream, 256 KiB chunks", 1, FRAME_DATA_MAX, false, ms);
    run("8 streams, 256 KiB chunks", 8, FRAME_DATA_MAX, false, ms);
    run("8 streams, 64 KiB chunks", 8, 64 * 1024, false, ms);
    run("8 streams, 16 KiB copies", 8, 16 * 1024, true, ms);
    run("8 streams, 64 B copies", 8, 64, true, ms);
    run("64 streams, 64 B copies", 64, 64, true, ms);
    return 0;
}
