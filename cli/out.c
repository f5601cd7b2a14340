/* Writing to descriptors that are not ours.
 *
 * Standard output may be a pipe whose reader is slow. Making it non-blocking
 * would change it for the shell and everybody else who shares it, so it stays
 * as it is: we wait until it is ready, and then write no more than PIPE_BUF
 * bytes, for which a pipe that is ready has room. The scheduler is never held
 * up, and a reader who has stopped reading cannot keep us from being cancelled.
 */
#include "out.h"
#include "kin.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void out_init(struct out *out, int fd)
{
    struct stat info;

    out->fd = fd;
    out->used = 0;
    out->regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

static int write_some(struct out *out, const char *data, size_t size, size_t *done)
{
    if (!out->regular) {
        int ready = kin_wait_fd(out->fd, KIN_WRITABLE);
        if (ready < 0)
            return ready;
        size = size < PIPE_BUF ? size : PIPE_BUF;
    }
    ssize_t n = write(out->fd, data, size);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return -errno;
    *done += n > 0 ? (size_t)n : 0;
    return 0;
}

static int write_through(struct out *out, const char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        int rc = write_some(out, data + done, size - done, &done);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int out_flush(struct out *out)
{
    size_t size = out->used;

    out->used = 0;
    return write_through(out, out->buffer, size);
}

int out_write(struct out *out, const void *data, size_t size)
{
    if (out->used + size > sizeof out->buffer) {
        int rc = out_flush(out);
        if (rc < 0)
            return rc;
    }
    if (size > sizeof out->buffer)
        return write_through(out, data, size);
    memcpy(out->buffer + out->used, data, size);
    out->used += size;
    return 0;
}
