#include "agent/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
/* The one thing that a signal handler can reach is a global: the way to the waiting poll(2). */
static int ends[2] = {-1, -1};

static void on_signal(int number)
{
    int saved = errno;
    ssize_t put = write(ends[1], "", 1);

    (void)number;
    (void)put; /* full: it is readable already */
    errno = saved;
}

static void set_all(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++)
        (void)sigaction(caught[i], &action, NULL);
}

void interrupt_catch(void)
{
    if (ends[0] >= 0)
        return;
    if (pipe(ends) != 0) {
        perror("connect: pipe");
        exit(1);
    }
    for (size_t i = 0; i < 2; i++) {
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    set_all(on_signal);
}

void interrupt_release(void)
{
    set_all(SIG_DFL);
    for (size_t i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            (void)close(ends[i]);
        ends[i] = -1;
    }
}

void interrupt_reset(void)
{
    char bytes[16];

    while (ends[0] >= 0 && read(ends[0], bytes, sizeof bytes) > 0)
        continue;
}

int interrupt_fd(void)
{
    return ends[0];
}
