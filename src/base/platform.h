#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rc.h"

/*
 * platform -- the few things Linux and macOS say differently. The build picks
 * platform_linux.c or platform_macos.c; no other file asks which system it is.
 */

/* Fills `out` from the system's random source; ends the process if there is none. */
void platform_random(void *out, size_t len);

/* Nanoseconds that never go back and go on while the machine sleeps. */
uint64_t platform_monotonic_ns(void);

/* True when the CPU has AES instructions. */
bool platform_has_aes(void);

/* socket(2) and accept(2) whose descriptor is non-blocking and close-on-exec. -1: errno says why. */
int platform_socket(int family, int type);
int platform_accept(int listening);

/* The user at the other end of a Unix socket. */
MUST_CHECK enum rc platform_peer_uid(int fd, uid_t *out);

/* A silent peer on this TCP socket is noticed within about `seconds`. Best effort. */
void platform_tcp_keepalive(int fd, unsigned seconds);

/* Keeps no more than `bytes` unsent in the kernel for this TCP socket. Best effort. */
void platform_tcp_unsent_limit(int fd, unsigned bytes);

/* Raises the limit of open descriptors as far as the system allows; returns it. */
size_t platform_raise_descriptors(void);

/* Closes every descriptor from `lowest` upwards. */
void platform_close_from(int lowest);

/* The file name of this program, for starting it again. RC_SYSTEM: cannot be told. */
MUST_CHECK enum rc platform_self_path(char *out, size_t size);

/* Gives memory that was freed back to the system, where the allocator would keep it. */
void platform_trim_memory(void);

/* No core dump of this process: it would hold keys and tokens. */
void platform_forbid_core(void);
