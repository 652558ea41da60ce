#pragma once

#include <uv.h>

#include "net/loop.h"

/* loop_uv -- libuv's own loop, for the files of net/ that hold a libuv handle. */
uv_loop_t *loop_uv(struct loop *l);
