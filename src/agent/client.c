#include "agent/client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/interrupt.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

enum { CLIENT_READ_SIZE = 64 * 1024 };

struct client {
    int fd;
    struct buf in;
};

/* --- opening ----------------------------------------------------------------------- */

static enum rc rc_of_connect(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED: /* the socket of an agent that was killed */
        return RC_ABSENT;
    case EACCES:
    case EPERM:
        return RC_AUTH;
    default:
        return RC_SYSTEM;
    }
}

static enum rc connect_to(const struct sockaddr_un *to, struct client **out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0)
        return RC_SYSTEM;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0) {
        enum rc rc = rc_of_connect();
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return rc;
    }
    *out = client_of(fd);
    return RC_OK;
}

enum rc client_open(const char *folder, struct client **out)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    if (text_format(to.sun_path, sizeof to.sun_path, "%s/agent.sock", folder) == RC_OK)
        return connect_to(&to, out);
    /* A path may be longer than a socket's address has room for; its folder's descriptor is not. */
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return rc_of_connect();
    enum rc rc =
        text_format(to.sun_path, sizeof to.sun_path, "/proc/self/fd/%d/agent.sock", folder_fd);
    if (rc == RC_OK)
        rc = connect_to(&to, out);
    int saved = errno;
    (void)close(folder_fd);
    errno = saved;
    return rc;
}

struct client *client_of(int fd)
{
    struct client *c = mem_zalloc(sizeof *c);

    c->fd = fd;
    buf_init(&c->in, CLIENT_LINE_MAX);
    return c;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    (void)close(c->fd);
    buf_done(&c->in);
    free(c);
}

/* --- bytes ---------------------------------------------------------------------------- */

enum rc client_send(struct client *c, json_t *request)
{
    (void)json_object_set_new(request, "v", json_integer(1));
    char *line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    assert(line !=
           NULL); /* our own texts: from argv, checked to be UTF-8 by jansson's constructors */

    size_t len = strlen(line), sent = 0;
    line[len] = '\n'; /* in place of the NUL */
    while (sent < len + 1) {
        ssize_t put = send(c->fd, line + sent, len + 1 - sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            break;
        sent += (size_t)put;
    }
    free(line);
    return sent == len + 1 ? RC_OK : RC_EOF;
}

/*
 * Waits for bytes and appends them. RC_OK: there are more. `deadline` 0: no limit.
 */
static enum rc receive(struct client *c, struct ui *ui, uint64_t deadline)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = c->fd, .events = POLLIN},
                                {.fd = interrupt_fd(), .events = POLLIN}};
        int ready = poll(fds, 2, UI_SPIN_MS);

        if (ready < 0 && errno != EINTR)
            return RC_SYSTEM;
        if (ready > 0 && fds[1].revents != 0)
            return RC_CLOSED;
        if (ready > 0 && fds[0].revents != 0)
            break;
        if (deadline != 0 && clock_ms() >= deadline)
            return RC_TIMEOUT;
        ui_spin(ui);
    }
    uint8_t *room = buf_reserve(&c->in, CLIENT_READ_SIZE);
    if (room == NULL)
        return RC_PROTO;
    ssize_t got = read(c->fd, room, CLIENT_READ_SIZE);
    if (got < 0)
        return errno == EINTR ? RC_OK : RC_EOF;
    buf_grow(&c->in, (size_t)got);
    return got == 0 ? RC_EOF : RC_OK;
}

/* The next line as JSON. */
static enum rc read_line(struct client *c, struct ui *ui, uint64_t deadline, json_t **out)
{
    for (;;) {
        struct reader in = buf_view(&c->in);
        const uint8_t *end = in.left > 0 ? memchr(in.at, '\n', in.left) : NULL;

        if (end) {
            size_t len = (size_t)(end - in.at);
            *out = json_loadb((const char *)in.at, len, JSON_REJECT_DUPLICATES, NULL);
            buf_consume(&c->in, len + 1);
            return *out ? RC_OK : RC_PROTO;
        }
        enum rc rc = receive(c, ui, deadline);
        if (rc != RC_OK)
            return rc;
    }
}

/* --- answers ----------------------------------------------------------------------------- */

enum rc client_answer(struct client *c, struct ui *ui, uint64_t limit_ms, json_t **out)
{
    uint64_t deadline = clock_ms() + limit_ms;

    for (;;) {
        json_t *line = NULL;
        enum rc rc = read_line(c, ui, deadline, &line);
        if (rc != RC_OK)
            return rc;
        const char *progress = json_string_value(json_object_get(line, "progress"));
        if (progress == NULL) {
            if (json_is_true(json_object_get(line, "ok")) ||
                json_is_object(json_object_get(line, "error"))) {
                *out = line;
                return RC_OK;
            }
            json_decref(line);
            return RC_PROTO;
        }
        ui_wait(ui, "%s", progress);
        json_decref(line);
    }
}

enum rc client_wait_closed(struct client *c, struct ui *ui, uint64_t limit_ms)
{
    uint64_t deadline = limit_ms == 0 ? 0 : clock_ms() + limit_ms;

    for (;;) {
        enum rc rc = receive(c, ui, deadline);
        if (rc != RC_OK)
            return rc;
        buf_clear(&c->in);
    }
}

void client_end(struct client *c)
{
    (void)shutdown(c->fd, SHUT_WR);
}

struct reader client_rest(const struct client *c)
{
    return buf_view(&c->in);
}

int client_fd(const struct client *c)
{
    return c->fd;
}

const char *client_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

double client_number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}
