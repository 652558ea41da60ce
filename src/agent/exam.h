#pragma once

#include <jansson.h>

#include "agent/tunnel.h"
#include "net/loop.h"

/*
 * exam -- what `connect reach` measures once the tunnel is up: EXAM_PINGS round trips, and the
 * target as the exposing agent sees it (docs/protocol.md §7.5).
 */
enum {
    EXAM_PINGS = 5,
    EXAM_PING_MS = 2 * 1000,   /* for one of them */
    EXAM_CHECK_MS = 25 * 1000, /* for the check: its steps and then some */
    EXAM_CHECK_MAX = 64 * 1024,
};

struct exam;

struct exam_result {
    json_t *check;  /* never NULL; borrowed during `done` */
    unsigned pings; /* that were answered */
    double min_ms, median_ms, max_ms;
};

/* `done` comes once, never from within; the tunnel must live until then, or exam_cancel(). */
struct exam *exam_start(struct loop *l, struct tunnel *t,
                        void (*done)(void *owner, const struct exam_result *result), void *owner);
void exam_cancel(struct exam *e); /* NULL is fine */
