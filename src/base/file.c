#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

static int open_to_read(const char *path)
{
    int fd;

    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

enum rc file_read_exact(const char *path, void *out, size_t len)
{
    unsigned char extra;
    int fd = open_to_read(path);

    if (fd < 0)
        return errno == ENOENT ? RC_ABSENT : RC_SYSTEM;
    ssize_t got = read(fd, out, len);
    ssize_t more = got == (ssize_t)len ? read(fd, &extra, 1) : 0;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    if (got < 0 || more < 0)
        return RC_SYSTEM;
    return got == (ssize_t)len && more == 0 ? RC_OK : RC_INPUT;
}

enum rc file_read(const char *path, struct buf *out)
{
    unsigned char part[4096];
    int fd = open_to_read(path);

    if (fd < 0)
        return errno == ENOENT ? RC_ABSENT : RC_SYSTEM;
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) != 0 && buf_ok(out)) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        buf_put(out, reader_of(part, (size_t)got));
    }
    int saved = errno;
    (void)close(fd);
    errno = saved;
    if (!buf_ok(out))
        return RC_LIMIT;
    return got < 0 ? RC_SYSTEM : RC_OK;
}

static enum rc write_all(int fd, struct reader content)
{
    while (content.left > 0) {
        ssize_t put = write(fd, content.at, content.left);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return RC_SYSTEM;
        (void)reader_slice(&content, (size_t)put);
    }
    return RC_OK;
}

/* So that a rename in the folder of `path` is on the disk. */
static enum rc sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');

    enum rc rc = slash == NULL   ? text_copy(folder, sizeof folder, ".")
                 : slash == path ? text_copy(folder, sizeof folder, "/")
                                 : text_format(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (rc != RC_OK)
        return rc;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return RC_SYSTEM;
    rc = fsync(fd) == 0 ? RC_OK : RC_SYSTEM;
    (void)close(fd);
    return rc;
}

enum rc file_replace(const char *path, struct reader content)
{
    char beside[PATH_MAX];

    enum rc rc = text_format(beside, sizeof beside, "%s.%ld.new", path, (long)getpid());
    if (rc != RC_OK)
        return rc;
    /* Made by us, now: what another left under this name, or links it to, is not written to. */
    (void)unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return RC_SYSTEM;
    rc = write_all(fd, content);
    if (rc == RC_OK && fsync(fd) != 0)
        rc = RC_SYSTEM;
    int saved = errno;
    if (close(fd) != 0 && rc == RC_OK)
        rc = RC_SYSTEM;
    else
        errno = saved;
    if (rc == RC_OK && rename(beside, path) != 0)
        rc = RC_SYSTEM;
    if (rc != RC_OK) {
        saved = errno;
        (void)unlink(beside);
        errno = saved;
        return rc;
    }
    return sync_folder_of(path);
}

static enum rc make_one(const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return RC_OK;
    if (errno != EEXIST)
        return RC_SYSTEM;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? RC_OK : RC_INPUT;
}

enum rc file_make_folder(const char *path)
{
    char part[PATH_MAX];

    enum rc rc = text_copy(part, sizeof part, path);
    for (char *c = part + 1; rc == RC_OK && part[0] != '\0' && *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        rc = make_one(part);
        *c = '/';
    }
    return rc == RC_OK ? make_one(part) : rc;
}
