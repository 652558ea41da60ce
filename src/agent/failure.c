#include "agent/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void failure_set(struct failure *f, const char *code, const char *format, ...)
{
    va_list args;

    f->code = code;
    f->hint[0] = '\0';
    va_start(args, format);
    (void)vsnprintf(f->message, sizeof f->message, format, args);
    va_end(args);
}

void failure_hint(struct failure *f, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(f->hint, sizeof f->hint, format, args);
    va_end(args);
}

void failure_system(struct failure *f, const char *what, const char *path)
{
    int error = errno;

    failure_set(f, "other", "%s %s: %s", path, what, strerror(error));
    if (error == ENOSPC || error == EDQUOT)
        failure_hint(f, "make room on the disk; what was there before is still there");
}

bool failure_is(const struct failure *f, const char *code)
{
    return f->code != NULL && strcmp(f->code, code) == 0;
}
