#include "base/clock.h"

#include <time.h>

#include "base/platform.h"

uint64_t clock_ns(void)
{
    return platform_monotonic_ns();
}

uint64_t clock_ms(void)
{
    return platform_monotonic_ns() / 1000000;
}

int64_t clock_unix(void)
{
    return (int64_t)time(NULL);
}

void clock_text(int64_t unix_seconds, char out[CLOCK_TEXT_SIZE])
{
    time_t t = (time_t)unix_seconds;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}
