#include "agent/cmd/stdio.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

/*
 * Two threads that block, one per direction: stdin and stdout belong to whoever started us and must
 * not be made non-blocking, since that would change them for the others, too.
 */
enum { STDIO_BUFFER = 256 * 1024 };

static enum rc write_all(int fd, const uint8_t *at, size_t left)
{
    while (left > 0) {
        ssize_t put = write(fd, at, left);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno == EPIPE || errno == ECONNRESET ? RC_CLOSED : RC_SYSTEM;
        at += put;
        left -= (size_t)put;
    }
    return RC_OK;
}

static ssize_t read_some(int fd, uint8_t *buffer)
{
    ssize_t got;

    do
        got = read(fd, buffer, STDIO_BUFFER);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Waits for input on stdin. False: the stream has ended in both directions, nobody will take any.
 */
static bool wait_for_input(int stream)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = stream}};

        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        if (fds[0].revents != 0)
            return true;
        if (fds[1].revents != 0)
            return false;
    }
}

static void *copy_up(void *arg)
{
    int stream = *(int *)arg;
    uint8_t *buffer = mem_zalloc(STDIO_BUFFER);

    while (wait_for_input(stream)) {
        ssize_t got = read_some(STDIN_FILENO, buffer);
        if (got <= 0 || write_all(stream, buffer, (size_t)got) != RC_OK)
            break;
    }
    (void)shutdown(stream, SHUT_WR);
    free(buffer);
    return NULL;
}

static enum rc copy_down(int stream, struct reader first)
{
    uint8_t *buffer = mem_zalloc(STDIO_BUFFER);
    ssize_t got = 0;

    enum rc rc = write_all(STDOUT_FILENO, first.at, first.left);
    while (rc == RC_OK && (got = read_some(stream, buffer)) > 0)
        rc = write_all(STDOUT_FILENO, buffer, (size_t)got);
    if (rc == RC_OK && got < 0)
        rc = errno == ECONNRESET ? RC_EOF : RC_SYSTEM;
    free(buffer);
    return rc;
}

enum rc stdio_copy(struct client *c)
{
    int stream = client_fd(c);
    pthread_t up;

    (void)signal(SIGPIPE, SIG_IGN);
    int failed = pthread_create(&up, NULL, copy_up, &stream);
    if (failed != 0) {
        errno = failed;
        return RC_SYSTEM;
    }
    enum rc rc = copy_down(stream, client_rest(c));
    if (rc == RC_OK) {
        /* Only this direction is over: whoever reads stdout is told, stdin goes on. */
        (void)close(STDOUT_FILENO);
        (void)pthread_join(up, NULL);
        return RC_OK;
    }
    /* Nobody takes the output any more, or it cannot be had: no use in waiting for stdin, which may
     * never end. */
    int saved = errno;
    (void)shutdown(stream, SHUT_RDWR);
    (void)pthread_join(up, NULL);
    errno = saved;
    return rc == RC_CLOSED ? RC_OK : rc;
}
