#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/reader.h"
#include "wire/frame.h"

/*
 * beside -- what a session sends outside its sequence (docs/protocol.md §6.1): ACK, PING and CLOSE,
 * of which only the latest matters, and datagrams, which wait in a short queue. Nothing here
 * outlives a pipe.
 */
enum {
    BESIDE_ANSWERS_MAX = 8,            /* PINGs to answer; what more come meanwhile get none */
    BESIDE_DATAGRAMS_MAX = 256 * 1024, /* bytes that wait; what more come are dropped */
    BESIDE_BATCH = 64 * 1024,
};

struct beside {
    bool ack_due, ask_due;
    enum close_reason close_due;
    uint64_t answers[BESIDE_ANSWERS_MAX];
    size_t answer_count;

    uint8_t frames[(BESIDE_ANSWERS_MAX + 3) * FRAME_SMALL_MAX]; /* made, on their way out */
    size_t frames_at, frames_len;

    struct list batches; /* datagrams, encoded */
    size_t datagram_bytes;
};

void beside_init(struct beside *b);
/* The pipe has gone, and with it all of this. */
void beside_clear(struct beside *b);

/* The peer asked; more than BESIDE_ANSWERS_MAX at a time are not answered. */
void beside_answer(struct beside *b, uint64_t token);
bool beside_has_control(const struct beside *b);
/* Makes the frames that are due: ACK of `received`, PING with `token`, the answers, CLOSE as the
 * last. */
void beside_make_control(struct beside *b, uint64_t received, uint64_t token);
struct reader beside_control(const struct beside *b); /* empty: all sent */
void beside_control_sent(struct beside *b, size_t len);

/*
 * Queues a datagram that must not go out before our sequence has gone out up to `after`.
 * `now` is how far it has.
 */
void beside_datagram(struct beside *b, uint32_t stream, struct reader bytes, uint64_t after,
                     uint64_t now);
/* The datagrams that may go out in one piece; empty: none yet. Once begun, a piece goes to its end.
 */
struct reader beside_datagrams(const struct beside *b, uint64_t now);
/* True: the piece has been sent to its end. */
bool beside_datagrams_sent(struct beside *b, size_t len);
