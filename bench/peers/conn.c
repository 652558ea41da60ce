/*
 * conn PORT AT_ONCE SECONDS -- how many new connections a road opens in a second. Each one
 * connects, sends a byte, waits for it to come back from the far end, and closes. Prints
 * {"connections":…,"seconds":…,"p50_us":…,"p99_us":…}; fails if one of them fails.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net.h"

enum {
    AT_ONCE_MAX = 256,
    SAMPLES_MAX = 1000 * 1000, /* per caller */
};

struct caller {
    pthread_t thread;
    uint16_t port;
    uint64_t end_ns;
    uint64_t *samples;
    size_t count;
};

static void *run(void *arg)
{
    struct caller *c = arg;

    for (uint64_t now = net_now_ns(); now < c->end_ns && c->count < SAMPLES_MAX;) {
        uint8_t byte = NET_ECHO;
        int fd = net_connect(c->port);
        net_write_all(fd, &byte, 1);
        net_read_all(fd, &byte, 1);
        (void)close(fd);
        uint64_t then = net_now_ns();
        c->samples[c->count++] = then - now;
        now = then;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct caller callers[AT_ONCE_MAX];
    size_t total = 0;

    if (argc != 4)
        net_die("usage: conn PORT AT_ONCE SECONDS");
    net_begin();
    size_t at_once = (size_t)net_number(argv[2], AT_ONCE_MAX);
    uint64_t ns = net_seconds(argv[3]);
    uint64_t start = net_now_ns();
    for (size_t i = 0; i < at_once; i++) {
        struct caller *c = &callers[i];
        *c = (struct caller){.port = net_port(argv[1]), .end_ns = start + ns};
        c->samples = malloc(SAMPLES_MAX * sizeof *c->samples);
        if (c->samples == NULL || pthread_create(&c->thread, NULL, run, c) != 0)
            net_die("a caller");
    }
    for (size_t i = 0; i < at_once; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        total += callers[i].count;
    }
    double seconds = (double)(net_now_ns() - start) / 1e9;

    uint64_t *all = calloc(total + 1, sizeof *all);
    if (all == NULL)
        net_die("calloc");
    for (size_t i = 0, at = 0; i < at_once; i++) {
        for (size_t k = 0; k < callers[i].count; k++)
            all[at++] = callers[i].samples[k];
        free(callers[i].samples);
    }
    double p50 = (double)net_quantile(all, total, 0.5) / 1e3;
    double p99 = (double)net_quantile(all, total, 0.99) / 1e3;
    (void)printf("{\"connections\":%zu,\"seconds\":%.6f,\"p50_us\":%.2f,\"p99_us\":%.2f}\n", total,
                 seconds, p50, p99);
    free(all);
    return 0;
}
