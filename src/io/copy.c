/* Copying from one stream to another: what one has read, the other writes from where it lies.
 *
 * Bytes are counted, and leave the reader's buffer, when the writer's transport has taken
 * them: what was read and not written can still be read, whatever ended the copy.
 *
 * A regular file goes into a socket of kin's own by sendfile, which takes half of the
 * processor's time (0.5 to 0.6: a GiB from the page cache over the loopback). It would wait
 * for the disk with the whole thread, so the kernel is first asked whether it has the piece in
 * memory: what it has not goes the other way, by a read. sendfile's own failures are not
 * looked at, since they do not say whose they are, the file's or the socket's: the other
 * way meets them again.
 *
 * Between sockets, splice through a pipe saves a quarter of the time (0.75 with pieces of
 * 64 KiB), but takes two descriptors and 64 KiB of the kernel's memory a copy, and what a
 * cancellation leaves in the pipe has to be read back, for which there may be no memory.
 * From pipes to TCP it saves nothing.
 */
#include "io/stream.h"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    COPY_SIZE = 1 << 16,        /* four times as much is not faster */
    COPY_FILE_SIZE = 1 << 18
};

struct copy {
    kin_stream *to, *from;
    uint64_t most, total;
    bool by_sendfile;
};

/* -------------------------------------------------------------------- by sendfile */

static int stream_fd(const kin_stream *stream)
{
    return stream->transport == &kin__descriptor_transport ? (int)(intptr_t)stream->arg : -1;
}

static bool file_status(int fd, struct stat *status)
{
    return !kin__io_fails("file_status", ENOMEM) && fstat(fd, status) == 0;
}

static bool is_regular(int fd)
{
    struct stat status;

    return fd >= 0 && file_status(fd, &status) && S_ISREG(status.st_mode);
}

/* A foreign one may be in blocking mode. */
static bool is_own_socket(int fd)
{
    const struct kin__fd *slot = kin__fd_known(fd);

    return slot && (slot->kind == KIN__FD_TCP || slot->kind == KIN__FD_SOCKET);
}

static bool in_memory(int fd, off_t at)
{
    char byte;
    struct iovec place = { &byte, 1 };

    return !kin__io_fails("preadv2", EAGAIN) && preadv2(fd, &place, 1, at, RWF_NOWAIT) == 1;
}

/* The piece's first and last page: the kernel fetches and drops what lies between with them.
 * None is left at the end of the file. */
static bool piece_in_memory(int fd, size_t size)
{
    struct stat status;
    off_t at = kin__io_fails("lseek", EINVAL) ? -1 : lseek(fd, 0, SEEK_CUR), left;

    if (at < 0 || !file_status(fd, &status) || at >= status.st_size)
        return false;
    left = status.st_size - at;
    return in_memory(fd, at) && in_memory(fd, at + (left < (off_t)size ? left : (off_t)size) - 1);
}

struct file_piece {
    int to, from;
    size_t size;
};

static ssize_t send_piece(const void *arg)
{
    const struct file_piece *piece = arg;

    return kin__io_fails("sendfile", EIO) ? -1
                                          : sendfile(piece->to, piece->from, NULL, piece->size);
}

/* How many bytes went out; 0: it is not the way for what comes next; or a code. */
static ssize_t copy_by_sendfile(struct copy *copy)
{
    uint64_t left = copy->most - copy->total;
    struct file_piece piece = { stream_fd(copy->to), stream_fd(copy->from), COPY_FILE_SIZE };
    int rc = kin__call_begin();
    ssize_t n;

    if (left < piece.size)
        piece.size = (size_t)left;
    if (rc < 0 || !piece_in_memory(piece.from, piece.size))
        return rc;
    while ((n = kin__without_sigpipe(send_piece, &piece)) < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            copy->by_sendfile = false;
            return 0;
        }
        rc = kin_wait_fd(piece.to, KIN_WRITABLE);
        if (rc < 0)
            return rc;
    }
    copy->total += (uint64_t)n;
    kin_wait_skip();
    return n;
}

/* -------------------------------------------------------------- through the buffer */

static ssize_t copy_waiting(struct copy *copy)
{
    kin_stream *from = copy->from;
    size_t size = kin__stream_waiting(from), done;
    int rc;

    if (size > copy->most - copy->total)
        size = (size_t)(copy->most - copy->total);
    rc = kin__stream_send(copy->to, from->in + from->in_first, size, &done);
    from->in_first += done;
    copy->total += done;
    return rc < 0 ? rc : 1;
}

/* More than 0; 0 at the end; or a code. */
static ssize_t copy_some(struct copy *copy)
{
    ssize_t n = 0;

    if (kin__stream_waiting(copy->from) > 0)
        return copy_waiting(copy);
    if (copy->by_sendfile)
        n = copy_by_sendfile(copy);
    if (n != 0)
        return n;
    n = kin__stream_fill(copy->from, COPY_SIZE);
    return n > 0 ? copy_waiting(copy) : n;
}

static int copy_all(struct copy *copy)
{
    int rc = kin__stream_send_buffer(copy->to);
    ssize_t n = rc < 0 ? rc : 1;

    copy->by_sendfile = is_regular(stream_fd(copy->from)) && is_own_socket(stream_fd(copy->to));
    while (n > 0 && copy->total < copy->most)
        n = copy_some(copy);
    return n < 0 ? (int)n : 0;
}

int kin_stream_copy(kin_stream *to, kin_stream *from, uint64_t most, uint64_t *copied)
{
    struct copy copy = { .to = to, .from = from, .most = most };
    int rc = kin__stream_begin_read(from);

    if (rc == 0) {
        rc = kin__stream_begin_write(to);
        if (rc == 0)
            rc = kin__stream_end_write(to, copy_all(&copy));
        kin__stream_end_read(from, rc);
    }
    if (copied)
        *copied = copy.total;
    return rc;
}
