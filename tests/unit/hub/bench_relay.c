/*
 * What the relay costs: N streams from a child process through the relay to the same child, for
 * a few seconds. Prints GB/s and the CPU seconds that this process (the relay alone) spent per GB.
 *
 *     bench_relay [streams [seconds [threads [bytes per write]]]]
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "hub/relay.h"

enum { STREAMS_MAX = 64, CHUNK_MAX = 1024 * 1024 };

static struct sockaddr_in at = {.sin_family = AF_INET};
static size_t chunk = 256 * 1024;

static int check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void *source(void *arg)
{
    static const uint8_t zeros[CHUNK_MAX];
    int fd = *(int *)arg;

    while (send(fd, zeros, chunk, MSG_NOSIGNAL) > 0)
        continue;
    return NULL;
}

static void *sink(void *arg)
{
    static _Thread_local uint8_t into[CHUNK_MAX];
    int fd = *(int *)arg;

    while (recv(fd, into, chunk, 0) > 0)
        continue;
    return NULL;
}

static void child(int streams)
{
    static int fds[STREAMS_MAX][2];
    pthread_t thread;

    for (int i = 0; i < streams; i++) {
        for (int j = 0; j < 2; j++) {
            fds[i][j] = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
            check(connect(fds[i][j], (struct sockaddr *)&at, sizeof at), "connect");
        }
        (void)pthread_create(&thread, NULL, sink, &fds[i][1]);
        (void)pthread_create(&thread, NULL, source, &fds[i][0]);
    }
    for (;;)
        (void)pause();
}

static uint64_t moved;

static void on_ended(void *tag, const struct relay_end *end)
{
    (void)tag;
    moved += end->bytes[0] + end->bytes[1];
}

static double cpu_seconds(void)
{
    struct rusage use;

    (void)getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int argument(int argc, char **argv, int i, int otherwise)
{
    return i < argc ? atoi(argv[i]) : otherwise;
}

int main(int argc, char **argv)
{
    int streams = argument(argc, argv, 1, 1), seconds = argument(argc, argv, 2, 3);
    int threads = argument(argc, argv, 3, 2);
    socklen_t size = sizeof at;
    struct relay *relay;

    chunk = (size_t)argument(argc, argv, 4, (int)chunk);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    check(bind(listener, (struct sockaddr *)&at, sizeof at), "bind");
    check(listen(listener, 2 * STREAMS_MAX), "listen");
    check(getsockname(listener, (struct sockaddr *)&at, &size), "getsockname");
    pid_t pid = check(fork(), "fork");
    if (pid == 0)
        child(streams);

    struct loop *loop = loop_new();
    if (relay_new(loop, (unsigned)threads, on_ended, &relay) != RC_OK)
        return 1;
    uint64_t began = clock_ns();
    double cpu = cpu_seconds();
    for (int i = 0; i < streams; i++) {
        int a = check(accept4(listener, NULL, NULL, SOCK_NONBLOCK), "accept");
        int b = check(accept4(listener, NULL, NULL, SOCK_NONBLOCK), "accept");
        relay_join(relay, NULL, a, b);
    }
    (void)sleep((unsigned)seconds);
    cpu = cpu_seconds() - cpu;
    double took = (double)(clock_ns() - began) / 1e9;
    relay_free(relay);
    loop_free(loop);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    printf("%d streams, %d threads, %zu bytes a write: %.2f GB/s, %.3f CPU-s/GB\n", streams,
           threads, chunk, (double)moved / took / 1e9, cpu / ((double)moved / 1e9));
    return 0;
}
