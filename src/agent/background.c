#include "agent/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/interrupt.h"
#include "agent/logfile.h"
#include "base/platform.h"

/* In the new process; it cannot go on when one of these fails. False: errno says why. */
static bool settle(const char *folder, int *report_fd)
{
    int nothing = open("/dev/null", O_RDONLY);

    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || setsid() < 0 || chdir("/") != 0)
        return false;
    (void)umask(077);
    interrupt_release();
    if (logfile_open(folder) != RC_OK)
        return false;
    /* Whatever else the starter had open, a lock or a pipe, must not be held as long as the agent
     * lives. */
    if (*report_fd != STDERR_FILENO + 1) {
        if (dup2(*report_fd, STDERR_FILENO + 1) < 0)
            return false;
        *report_fd = STDERR_FILENO + 1;
    }
    platform_close_from(STDERR_FILENO + 2);
    return fcntl(*report_fd, F_SETFD, FD_CLOEXEC) == 0;
}

enum rc background_start(const char *folder, struct background *out)
{
    int ends[2];

    *out = (struct background){.report_fd = -1};
    if (pipe(ends) != 0)
        return RC_SYSTEM;
    (void)fflush(NULL); /* or both processes would print what is still waiting */
    pid_t pid = fork();
    if (pid < 0) {
        int saved = errno;
        (void)close(ends[0]);
        (void)close(ends[1]);
        errno = saved;
        return RC_SYSTEM;
    }
    *out = (struct background){.is_agent = pid == 0, .report_fd = ends[0], .pid = pid};
    if (pid > 0) {
        (void)close(ends[1]);
        (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        return RC_OK;
    }
    (void)close(ends[0]);
    out->report_fd = ends[1];
    return settle(folder, &out->report_fd) ? RC_OK : RC_SYSTEM;
}
