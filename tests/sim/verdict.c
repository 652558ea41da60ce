#include "verdict.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct verdict_place verdict_place;
static bool expected;

static void on_abort(int signal)
{
    static const char text[] = "caught by an assertion\n";
    ssize_t written = write(STDOUT_FILENO, text, sizeof text - 1);

    (void)signal, (void)written;
    _exit(0);
}

void verdict_expect(void)
{
    expected = true;
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGSEGV, on_abort);
}

void verdict_violation(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)printf("%s: ", expected ? "caught" : "VIOLATION");
    (void)vprintf(format, args);
    (void)printf(" (seed %llu, cut %llu, step %llu)\n", (unsigned long long)verdict_place.seed,
                 (unsigned long long)verdict_place.cuts, (unsigned long long)verdict_place.step);
    va_end(args);
    (void)fflush(stdout);
    _exit(expected ? 0 : 1);
}

int verdict_none(void)
{
    if (expected)
        (void)printf("NOT CAUGHT\n");
    return expected ? 1 : 0;
}
