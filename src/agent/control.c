#include "agent/control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/json.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "net/conn.h"
#include "net/listener.h"

static const char socket_name[] = "agent.sock";

struct control {
    struct loop *loop;
    control_handle *handle;
    void *owner;
    struct listener *listener;
    int folder_fd; /* for a path that is too long; -1: not needed */
    struct list requests;
    size_t count;
};

/* A client's connection and its one command. */
struct request {
    struct control *control; /* NULL once control_close() has run */
    struct list link;
    struct conn *conn;
    struct buf in; /* the line, then what came behind it */
    struct timer deadline;
    bool handled;  /* its command has been handed out */
    bool answered; /* or somebody was told that the client has gone */
    bool closing;
    void (*gone)(void *owner);
    void *gone_owner;
    void (*take)(void *owner, int fd, struct reader early);
    void *take_owner;
};

/* --- the end of a connection ----------------------------------------------------------------- */

static void leave(struct request *rq)
{
    timer_stop(&rq->deadline);
    if (rq->control == NULL)
        return;
    list_remove(&rq->link);
    rq->control->count--;
    rq->control = NULL;
}

static void free_request(struct request *rq)
{
    leave(rq);
    buf_done(&rq->in);
    free(rq);
}

/* The client is not there any more: tells whoever works for it. */
static void give_up(struct request *rq)
{
    void (*gone)(void *owner) = rq->gone;
    void (*take)(void *owner, int fd, struct reader early) = rq->take;

    rq->gone = NULL;
    rq->take = NULL;
    rq->closing = true;
    rq->answered = rq->answered || gone != NULL;
    leave(rq);
    if (take)
        take(rq->take_owner, -1, reader_of(NULL, 0));
    else if (gone)
        gone(rq->gone_owner);
}

static void on_conn_closed(void *owner, enum rc why)
{
    struct request *rq = owner;

    (void)why;
    if (!rq->closing)
        give_up(rq);
    rq->conn = NULL;
    /* Whoever works for it without having asked for on_gone still has it. */
    if (!rq->handled || rq->answered)
        free_request(rq);
}

/* After the last line. */
static void close_flushed(struct request *rq)
{
    rq->answered = true;
    rq->gone = NULL;
    if (rq->conn == NULL) {
        free_request(rq);
        return;
    }
    leave(rq);
    if (!rq->closing)
        conn_close_flushed(rq->conn, RC_CLOSED);
    rq->closing = true;
}

/* --- answers --------------------------------------------------------------------------------- */

static void send_line(struct request *rq, json_t *object)
{
    char *line = json_line(object);
    size_t len = strlen(line);

    line[len] = '\n'; /* in place of the NUL */
    if (!rq->closing)
        conn_send(rq->conn, reader_of(line, len + 1));
    free(line);
    json_decref(object);
}

static json_t *ok_object(json_t *members)
{
    json_t *answer = json_pack("{s:i, s:b}", "v", CONTROL_VERSION, "ok", 1);

    if (members) {
        (void)json_object_update_missing(answer, members);
        json_decref(members);
    }
    return answer;
}

void request_progress(struct request *rq, const char *text)
{
    send_line(rq, json_pack("{s:i, s:o}", "v", CONTROL_VERSION, "progress", json_text(text)));
}

void request_answer(struct request *rq, json_t *members, bool attach)
{
    send_line(rq, ok_object(members));
    if (attach && rq->conn)
        rq->answered = true;
    else
        close_flushed(rq);
}

static json_t *error_object(const struct failure *why)
{
    json_t *error = json_pack("{s:s, s:o}", "code", why->code, "message", json_text(why->message));

    if (why->hint[0] != '\0')
        (void)json_object_set_new(error, "hint", json_text(why->hint));
    return json_pack("{s:i, s:o}", "v", CONTROL_VERSION, "error", error);
}

void request_fail(struct request *rq, const struct failure *why)
{
    send_line(rq, error_object(why));
    close_flushed(rq);
}

void request_on_gone(struct request *rq, void (*gone)(void *owner), void *owner)
{
    rq->gone = gone;
    rq->gone_owner = owner;
}

/* --- giving the socket away ------------------------------------------------------------------ */

/*
 * RC_OK: the request is gone, the descriptor and what was read are the caller's. RC_AGAIN: the answer
 * is still on its way. RC_CLOSED: the client has gone; on_conn_closed() follows.
 */
static enum rc release(struct request *rq, int *fd, struct buf *early)
{
    enum rc rc = conn_release(rq->conn, fd);

    if (rc != RC_OK)
        return rc;
    *early = rq->in;
    buf_init(&rq->in, 0);
    free_request(rq);
    return RC_OK;
}

static void hand_over(struct request *rq)
{
    void (*take)(void *owner, int fd, struct reader early) = rq->take;
    void *owner = rq->take_owner;
    struct buf early;
    int fd;

    if (release(rq, &fd, &early) != RC_OK)
        return; /* until on_sent, or give_up() tells */
    take(owner, fd, buf_view(&early));
    buf_done(&early);
}

void request_take_socket(struct request *rq, void (*take)(void *owner, int fd, struct reader early),
                         void *owner)
{
    if (rq->closing) {
        close_flushed(rq);
        take(owner, -1, reader_of(NULL, 0));
        return;
    }
    rq->answered = true;
    rq->gone = NULL;
    rq->take = take;
    rq->take_owner = owner;
    conn_pause(rq->conn);
    send_line(rq, ok_object(NULL));
    hand_over(rq);
}

int request_keep_socket(struct request *rq)
{
    struct buf early;
    int fd;

    send_line(rq, ok_object(NULL));
    if (rq->closing || release(rq, &fd, &early) != RC_OK) {
        close_flushed(rq);
        return -1;
    }
    buf_done(&early);
    return fd;
}

static void on_sent(void *owner)
{
    struct request *rq = owner;

    if (rq->take)
        hand_over(rq);
}

/* --- requests -------------------------------------------------------------------------------- */

static void refuse(struct request *rq, const char *code, const char *message)
{
    struct failure why;

    failure_set(&why, code, "%s", message);
    request_fail(rq, &why);
}

static void handle_line(struct request *rq, struct reader line)
{
    uint64_t version = 0;
    char command[32];
    json_t *body = line.left > 0
                       ? json_loadb((const char *)line.at, line.left, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;

    if (!json_is_object(body) || json_copy_text(body, "command", command, sizeof command) != RC_OK)
        refuse(rq, "usage", "a request is one line with one JSON object that has a \"command\"");
    else if (json_copy_number(body, "v", 0, UINT32_MAX, &version) != RC_OK ||
             version != CONTROL_VERSION)
        refuse(rq, "incompatible",
               "this agent speaks version 1 of the commands: connect down, then connect up");
    else
        rq->control->handle(rq->control->owner, rq, command, body);
    json_decref(body);
}

/* The line is taken out of the buffer before its command runs: the request may be gone after it. */
static void take_line(struct request *rq)
{
    struct reader in = buf_view(&rq->in);
    const uint8_t *end = in.left > 0 ? memchr(in.at, '\n', in.left) : NULL;

    if (end == NULL) {
        if (in.left >= CONTROL_LINE_MAX)
            refuse(rq, "usage", "the request is too long");
        return;
    }
    struct reader line = reader_slice(&in, (size_t)(end - in.at));
    struct buf copy;
    (void)reader_u8(&in);
    buf_init(&copy, CONTROL_LINE_MAX);
    buf_put(&copy, line);
    buf_consume(&rq->in, line.left + 1);
    timer_stop(&rq->deadline);
    rq->handled = true;
    handle_line(rq, buf_view(&copy));
    buf_done(&copy);
}

/*
 * Bytes behind the line belong to the stream of `stdio`; they wait, up to a line's length, and then
 * in the kernel. For the other commands they mean nothing.
 */
static void on_readable(void *owner)
{
    struct request *rq = owner;
    size_t got, room = CONTROL_LINE_MAX - rq->in.len;

    if (room == 0) {
        conn_pause(rq->conn);
        return;
    }
    uint8_t *at = buf_reserve(&rq->in, room);
    if (at == NULL) {
        conn_close(rq->conn, RC_LIMIT);
        return;
    }
    enum rc rc = conn_read(rq->conn, at, room, &got);
    buf_grow(&rq->in, got);
    if (rc == RC_AGAIN)
        return;
    if (rc != RC_OK) {
        give_up(rq);
        conn_close(rq->conn, RC_EOF);
        return;
    }
    if (!rq->handled)
        take_line(rq);
}

static void on_room(void *owner)
{
    (void)owner; /* answers are short */
}

static const struct conn_events conn_events = {.on_readable = on_readable,
                                               .on_room = on_room,
                                               .on_closed = on_conn_closed,
                                               .on_sent = on_sent};

static void on_deadline(void *owner)
{
    refuse(owner, "timeout", "no request came");
}

static bool may_ask(int fd)
{
    uid_t uid;

    return platform_peer_uid(fd, &uid) == RC_OK && (uid == geteuid() || uid == 0);
}

static void on_accept(void *owner, int fd)
{
    struct control *c = owner;

    if (!may_ask(fd) || c->count >= CONTROL_CONNECTIONS_MAX) {
        log_warn("control.turned_away", log_u64("connections", c->count));
        (void)close(fd);
        return;
    }
    struct request *rq = mem_zalloc(sizeof *rq);
    rq->control = c;
    list_init(&rq->link);
    list_append(&c->requests, &rq->link);
    c->count++;
    buf_init(&rq->in, CONTROL_LINE_MAX);
    timer_init(&rq->deadline, c->loop, on_deadline, rq);
    timer_start(&rq->deadline, CONTROL_LINE_MS);
    rq->conn = conn_new(c->loop, fd, &conn_events, rq);
    conn_resume(rq->conn);
}

/* --- life ------------------------------------------------------------------------------------ */

/*
 * A socket's address has 108 bytes at most. A longer path is reached through the folder's
 * descriptor (Linux; elsewhere the folder must have a shorter path).
 */
static enum rc find_address(struct control *c, const char *folder, struct address *out)
{
    *out = (struct address){.kind = ADDRESS_UNIX};
    if (text_format(out->path, sizeof out->path, "%s/%s", folder, socket_name) == RC_OK)
        return RC_OK;
    c->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->folder_fd < 0)
        return RC_SYSTEM;
    return text_format(out->path, sizeof out->path, "/proc/self/fd/%d/%s", c->folder_fd,
                       socket_name);
}

static void explain(enum rc rc, const char *folder, struct failure *why)
{
    char path[PATH_MAX + sizeof socket_name];

    text_message(path, sizeof path, "%s/%s", folder, socket_name);
    if (rc == RC_SYSTEM)
        failure_system(why, "cannot be made", path);
    else
        failure_set(why, "other", "the socket %s cannot be made: %s", path,
                    rc == RC_EXISTS ? "something else listens there" : rc_text(rc));
    failure_hint(why, "name another folder with --config");
}

enum rc control_open(struct loop *l, const char *folder, control_handle *handle, void *owner,
                     struct control **out, struct failure *why)
{
    struct control *c = mem_zalloc(sizeof *c);
    struct address at;

    *c = (struct control){.loop = l, .handle = handle, .owner = owner, .folder_fd = -1};
    list_init(&c->requests);
    enum rc rc = find_address(c, folder, &at);
    if (rc == RC_OK)
        rc = listener_open(l, &at, on_accept, c, &c->listener);
    if (rc != RC_OK) {
        explain(rc, folder, why);
        control_close(c);
        return rc;
    }
    *out = c;
    return RC_OK;
}

void control_close(struct control *c)
{
    if (c == NULL)
        return;
    while (!list_is_empty(&c->requests)) {
        struct request *rq = list_entry(c->requests.next, struct request, link);
        rq->take = NULL;
        close_flushed(rq);
    }
    listener_close(c->listener);
    if (c->folder_fd >= 0)
        (void)close(c->folder_fd);
    free(c);
}
