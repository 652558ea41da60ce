/*
 * stream PORT up|down STREAMS SECONDS -- how much a road carries.
 *
 * Every stream is a connection with a thread; the time runs from the first order to the moment
 * when the receiving side has everything, so bytes that wait in a buffer count only once they are
 * through. Prints {"bytes":…,"seconds":…}; fails if one byte is missing, doubled or out of place.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

enum { STREAMS_MAX = 256 };

struct stream {
    pthread_t thread;
    int fd;
    uint64_t end_ns;
    uint64_t bytes; /* of payload, as the receiver counted them */
};

static void order(int fd, char what, uint64_t ns)
{
    uint8_t bytes[NET_ORDER] = {(uint8_t)what};

    net_put_u64(bytes + 1, ns / 1000000u);
    net_write_all(fd, bytes, sizeof bytes);
}

static void *run_up(void *arg)
{
    struct stream *s = arg;
    uint8_t count[NET_COUNT];

    while (net_now_ns() < s->end_ns) {
        ssize_t n = write(s->fd, net_payload(s->bytes), NET_PART);
        if (n < 0)
            net_die("write");
        s->bytes += (size_t)n;
    }
    if (shutdown(s->fd, SHUT_WR) != 0)
        net_die("shutdown");
    net_read_all(s->fd, count, sizeof count);
    uint64_t got = net_get_u64(count);
    errno = 0;
    if (got == NET_WRONG)
        net_die("the far end saw bytes that were not sent");
    if (got != s->bytes)
        net_die("%llu bytes sent, %llu arrived", (unsigned long long)s->bytes,
                (unsigned long long)got);
    return NULL;
}

/* The last bytes of the stream so far, whatever the pieces in which they came. */
static void keep_last(uint8_t last[static NET_COUNT], const uint8_t *bytes, size_t len)
{
    if (len >= NET_COUNT) {
        memcpy(last, bytes + len - NET_COUNT, NET_COUNT);
        return;
    }
    memmove(last, last + len, NET_COUNT - len);
    memcpy(last + NET_COUNT - len, bytes, len);
}

static void *run_down(void *arg)
{
    struct stream *s = arg;
    uint8_t *part = malloc(NET_PART);
    uint8_t last[NET_COUNT] = {0};
    uint64_t total = 0, wrong_at = UINT64_MAX;
    ssize_t n;

    if (part == NULL)
        net_die("malloc");
    while ((n = read(s->fd, part, NET_PART)) > 0) {
        if (part[0] != *net_payload(total) && wrong_at == UINT64_MAX)
            wrong_at = total;
        keep_last(last, part, (size_t)n);
        total += (size_t)n;
    }
    if (n < 0)
        net_die("read");
    free(part);
    errno = 0;
    /* The count at the end is not payload and need not look like it. */
    if (total < NET_COUNT || net_get_u64(last) != total - NET_COUNT)
        net_die("%llu bytes arrived, the far end says otherwise", (unsigned long long)total);
    s->bytes = total - NET_COUNT;
    if (wrong_at < s->bytes)
        net_die("wrong bytes at %llu", (unsigned long long)wrong_at);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct stream streams[STREAMS_MAX];
    uint64_t total = 0;

    if (argc != 5)
        net_die("usage: stream PORT up|down STREAMS SECONDS");
    net_begin();
    uint16_t port = net_port(argv[1]);
    bool up = strcmp(argv[2], "up") == 0;
    size_t count = (size_t)net_number(argv[3], STREAMS_MAX);
    uint64_t ns = net_seconds(argv[4]);
    (void)net_payload(0);

    for (size_t i = 0; i < count; i++)
        streams[i].fd = net_connect(port);
    uint64_t start = net_now_ns();
    for (size_t i = 0; i < count; i++) {
        struct stream *s = &streams[i];
        order(s->fd, up ? NET_UP : NET_DOWN, ns);
        s->end_ns = start + ns;
        if (pthread_create(&s->thread, NULL, up ? run_up : run_down, s) != 0)
            net_die("pthread_create");
    }
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(streams[i].thread, NULL);
        total += streams[i].bytes;
    }
    (void)printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)total,
                 (double)(net_now_ns() - start) / 1e9);
    return 0;
}
