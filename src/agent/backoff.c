#include "agent/backoff.h"

uint64_t backoff_ms(unsigned failed, uint32_t random)
{
    uint64_t most = BACKOFF_FIRST_MS;

    if (failed == 0)
        return 0;
    while (--failed > 0 && most < BACKOFF_MAX_MS)
        most *= 2;
    if (most > BACKOFF_MAX_MS)
        most = BACKOFF_MAX_MS;
    return random % (most + 1);
}
