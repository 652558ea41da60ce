#include "agent/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

enum { LOGFILE_MAX = 10 * 1000 * 1000 }; /* bytes */

enum rc logfile_open(const char *folder)
{
    char path[PATH_MAX], before[PATH_MAX];
    struct stat st;

    if (text_format(path, sizeof path, "%s/agent.log", folder) != RC_OK ||
        text_format(before, sizeof before, "%s/agent.log.1", folder) != RC_OK) {
        errno = ENAMETOOLONG;
        return RC_SYSTEM;
    }
    if (stat(path, &st) == 0 && st.st_size > LOGFILE_MAX)
        (void)rename(path, before); /* if it cannot be moved, it goes on growing */
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return RC_SYSTEM;
    bool done = dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0;
    (void)close(fd);
    return done ? RC_OK : RC_SYSTEM;
}
