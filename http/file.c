/* A body to a descriptor: a file, or whatever else the caller has open.
 *
 * A regular file is written to in place: nothing on Linux says when that would
 * not block. Anything else is waited for, like any descriptor; but "writable"
 * promises room for PIPE_BUF bytes only, and the descriptor may be a terminal or
 * a pipe that is shared with others, whose flags are not ours to change. So one
 * that may block gets pieces of that size.
 */
#include "http.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most to be written at once; 0: as much as there is. */
static size_t piece_of(int fd)
{
    struct stat st;
    int flags;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return 0;
    flags = fcntl(fd, F_GETFL);
    return flags >= 0 && flags & O_NONBLOCK ? 0 : PIPE_BUF;
}

static ssize_t write_some(int fd, const char *data, size_t size)
{
    ssize_t n;

    do
        n = write(fd, data, size);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return -EIO;
    return n < 0 ? -errno : n;
}

int kin__http_write_fd(int fd, const char *data, size_t size)
{
    size_t piece = piece_of(fd);
    bool wait = piece > 0;

    while (size > 0) {
        int rc = wait ? kin_wait_fd(fd, KIN_WRITABLE) : 0;
        ssize_t n;

        if (rc < 0)
            return rc;
        n = write_some(fd, data, piece > 0 && size > piece ? piece : size);
        wait = piece > 0 || n == -EAGAIN;
        if (n == -EAGAIN)
            continue;
        if (n < 0)
            return (int)n;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}
