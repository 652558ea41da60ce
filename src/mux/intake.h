#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rc.h"
#include "base/reader.h"
#include "wire/frame.h"

/*
 * intake -- where we are in what the peer sends: between frames, in a head, in a body. DATA is
 * passed on as it comes; of the rest, only what a cut has split is kept until it is whole.
 *
 * It outlives a pipe: the sequence goes on in the middle of a frame. What stood beside the sequence
 * does not.
 */
struct session;

struct intake {
    uint64_t received; /* bytes of the peer's sequence, up to the last whole head or body byte */
    bool in_body;
    struct frame_head head; /* when in_body */
    uint32_t left;          /* bytes of the body to come */
    struct buf partial; /* the beginning of a head, or of a body that is acted upon as a whole */
};

void intake_init(struct intake *in);
void intake_done(struct intake *in);
/* Bytes of the sequence that have been taken over, the beginning of a head included. */
uint64_t intake_received(const struct intake *in);
/* The pipe is lost: forgets the part of a frame that the next one will not continue. */
void intake_cut(struct intake *in);
/* Takes all of `bytes` and acts on them. */
MUST_CHECK enum rc intake_take(struct session *s, struct reader bytes);
