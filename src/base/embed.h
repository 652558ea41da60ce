#pragma once

#include <stddef.h>

/*
 * embed -- a file that the build put into the program (tools/embed.py).
 * A NUL stands behind the bytes and is not counted.
 */
struct embed {
    const char *name; /* relative to the folder it came from */
    const char *bytes;
    size_t len;
};
