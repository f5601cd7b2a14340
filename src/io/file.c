/* Files: open, read and write at an offset, and what is done to a path.
 *
 * A file is opened without blocking (O_NONBLOCK), whatever the caller said: else a FIFO
 * whose other end is missing, or a terminal's line, would keep a thread for as long as
 * nobody comes, and on a thread nothing can call that off. So a FIFO for reading is open at
 * once, and it is kin_read that waits: such a descriptor is left a foreign one, which is
 * read only when poll() says so, and that is when its first writer has come. A FIFO for
 * writing cannot be opened before its reader has, and there is nothing to be waited for: it is
 * tried again, less and less often, as a Unix socket whose listener's queue is full.
 *
 * Regular files, block devices and directories get the flag taken away again, since it
 * would make io_uring give up where it should wait, and are adopted: their kind is known.
 */
#include "io/file.h"

#include <fcntl.h>
#include <unistd.h>

/* ------------------------------------------------------------------- opening */

/* What cannot be looked at is left a foreign one: slower, but right. */
static void adopt_file(int fd, int flags)
{
    struct stat status = { .st_mode = 0 };
    bool disk;

    if (!kin__io_fails("file_fstat", ENOMEM))
        fstat(fd, &status);
    disk = kin__is_disk(status.st_mode);
    if (disk && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags);      /* its access, and what is for open alone, it ignores */
    kin__fd_adopt(fd, disk ? KIN__FD_FILE : KIN__FD_FOREIGN);
}

/* ENXIO: a FIFO without a reader, or a socket, or a device that is not there. */
static int open_when_read(struct kin__file_call *call)
{
    int64_t pause = 0;
    struct stat status;
    int fd = -ENXIO, rc;

    while (fd == -ENXIO) {
        rc = kin_stat(call->path, &status);
        if (rc < 0 || !S_ISFIFO(status.st_mode))
            return rc < 0 ? rc : -ENXIO;
        rc = kin__io_pause(&pause);
        if (rc < 0)
            return rc;
        fd = kin__file_call(call);
    }
    return fd;
}

int kin_open(const char *path, int flags, mode_t mode)
{
    struct kin__file_call call = { .what = KIN__FILE_OPEN, .fd = KIN__FILE_PATH, .path = path,
                                   .flags = flags | O_CLOEXEC | O_NONBLOCK, .mode = mode };
    int fd = kin__file_call(&call);

    if (fd == -EAGAIN && !(flags & O_NONBLOCK)) {
        call.flags &= ~O_NONBLOCK;      /* a file that another process has a lease on */
        fd = kin__file_call(&call);
    }
    if (fd == -ENXIO && !(flags & O_NONBLOCK))
        fd = open_when_read(&call);
    if (fd >= 0)
        adopt_file(fd, flags);
    return fd;
}

/* --------------------------------------------------------------- at an offset */

/* In the ring a pipe would be read, whatever the offset. */
static int check_offsets(int fd, int64_t offset)
{
    const struct kin__fd *slot = kin__fd_known(fd);
    struct stat status;

    if (offset < 0)
        return KIN_EINVAL;
    if (!kin__rt || !kin__io() || (slot && slot->kind == KIN__FD_FILE))
        return 0;
    if (kin__io_fails("file_fstat", ENOMEM) || fstat(fd, &status) < 0)
        return -errno;
    return kin__is_disk(status.st_mode) ? 0 : -ESPIPE;
}

static ssize_t transfer_at(struct kin__file_call *call)
{
    int rc = check_offsets(call->fd, call->offset);

    call->size = kin__io_portion(call->size);
    return rc < 0 ? rc : kin__file_call(call);
}

ssize_t kin_read_at(int fd, void *buffer, size_t size, int64_t offset)
{
    struct kin__file_call call = { .what = KIN__FILE_READ, .fd = fd, .into = buffer,
                                   .size = size, .offset = offset };

    return transfer_at(&call);
}

ssize_t kin_write_at(int fd, const void *buffer, size_t size, int64_t offset)
{
    struct kin__file_call call = { .what = KIN__FILE_WRITE, .fd = fd, .from = buffer,
                                   .size = size, .offset = offset };

    return transfer_at(&call);
}

int kin_ftruncate(int fd, int64_t size)
{
    struct kin__file_call call = { .what = KIN__FILE_TRUNCATE, .fd = fd, .offset = size };

    return kin__file_call(&call);
}

int kin_fsync(int fd)
{
    struct kin__file_call call = { .what = KIN__FILE_SYNC, .fd = fd };

    return kin__file_call(&call);
}

int kin_fdatasync(int fd)
{
    struct kin__file_call call = { .what = KIN__FILE_SYNC, .fd = fd, .flags = true };

    return kin__file_call(&call);
}

/* --------------------------------------------------------------------- paths */

int kin_stat(const char *path, struct stat *status)
{
    struct kin__file_call call = { .what = KIN__FILE_STAT, .fd = KIN__FILE_PATH, .path = path,
                                   .status = status };

    return kin__file_call(&call);
}

int kin_rename(const char *from, const char *to)
{
    struct kin__file_call call = { .what = KIN__FILE_RENAME, .fd = KIN__FILE_PATH, .path = from,
                                   .to = to };

    return kin__file_call(&call);
}

int kin_unlink(const char *path)
{
    struct kin__file_call call = { .what = KIN__FILE_UNLINK, .fd = KIN__FILE_PATH, .path = path };

    return kin__file_call(&call);
}

int kin_mkdir(const char *path, mode_t mode)
{
    struct kin__file_call call = { .what = KIN__FILE_MKDIR, .fd = KIN__FILE_PATH, .path = path,
                                   .mode = mode };

    return kin__file_call(&call);
}

int kin_rmdir(const char *path)
{
    struct kin__file_call call = { .what = KIN__FILE_UNLINK, .fd = KIN__FILE_PATH, .path = path,
                                   .flags = AT_REMOVEDIR };

    return kin__file_call(&call);
}
