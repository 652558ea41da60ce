/*
 * rtt PORT SIZE SECONDS -- how long SIZE bytes take to the far end and back, on one open
 * connection. Prints {"count":…,"p50_us":…,"p99_us":…,"min_us":…}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

enum {
    SIZE_LIMIT = 16 * 1024,
    WARM_UP = 200, /* exchanges before the clock runs */
    SAMPLES_MAX = 4 * 1000 * 1000,
};

static uint64_t exchange(int fd, uint8_t *bytes, size_t size)
{
    uint64_t start = net_now_ns();

    net_write_all(fd, bytes, size);
    net_read_all(fd, bytes, size);
    return net_now_ns() - start;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[SIZE_LIMIT];
    uint64_t *samples = malloc(SAMPLES_MAX * sizeof *samples);
    size_t count = 0;

    if (argc != 4 || samples == NULL)
        net_die("usage: rtt PORT SIZE SECONDS");
    net_begin();
    size_t size = (size_t)net_number(argv[2], SIZE_LIMIT);
    uint64_t ns = net_seconds(argv[3]);
    int fd = net_connect(net_port(argv[1]));

    memset(bytes, NET_ECHO, sizeof bytes);
    for (int i = 0; i < WARM_UP; i++)
        (void)exchange(fd, bytes, size);
    uint64_t end = net_now_ns() + ns;
    while (net_now_ns() < end && count < SAMPLES_MAX)
        samples[count++] = exchange(fd, bytes, size);
    double p50 = (double)net_quantile(samples, count, 0.5) / 1e3;
    double p99 = (double)net_quantile(samples, count, 0.99) / 1e3;
    (void)printf("{\"count\":%zu,\"p50_us\":%.2f,\"p99_us\":%.2f,\"min_us\":%.2f}\n", count, p50,
                 p99, count ? (double)samples[0] / 1e3 : 0.0);
    free(samples);
    return 0;
}
