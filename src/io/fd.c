/* File descriptors: the blocking calls, and the table of who waits for what.
 *
 * Each call goes the same way: look at cancellation (before any effect), claim the
 * descriptor's reading or writing side, let the backend do it or park until it has,
 * release. What was completed is never turned into a cancellation: it is handed
 * over when it completes. The table is an array, because the numbers are small and
 * dense by POSIX's rule of the lowest free one.
 *
 * Nothing here blocks the thread. Sockets are asked with MSG_DONTWAIT, kin's own
 * pipes do not block; a foreign stream, whose flags are shared with other processes,
 * is touched only after poll() has said that it is ready, and written in pieces that
 * then fit. Regular files are read and written where they are: the kernel has no
 * readiness for them (io_uring does it in the background).
 *
 * SIGPIPE: sockets are written with MSG_NOSIGNAL. For everything else the signal is
 * blocked for the time of the call and taken back if the call raised it. Ignoring it
 * would be seen by the whole process, and blocking it for longer by its children;
 * a socket pair in place of a pipe would not be a pipe for whoever inherits it.
 *
 * Close never blocks. Who waits gets KIN_ECLOSED; where the kernel still holds an
 * operation (io_uring), the number stays taken until that has come back, and is
 * closed then, so that nothing under way can touch its next owner.
 */
#include "io/io.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST ((size_t)1 << 30)          /* bytes in one call; a count fits an int */

/* --------------------------------------------------------- the system calls */

unsigned kin__io_events(uint32_t poll_events, unsigned asked)
{
    unsigned events = 0;

    if (poll_events & (POLLERR | POLLHUP))
        return asked;
    if (poll_events & (POLLIN | POLLRDHUP | POLLPRI))
        events |= KIN_READABLE;
    if (poll_events & POLLOUT)
        events |= KIN_WRITABLE;
    return events & asked;
}

uint32_t kin__io_poll_mask(unsigned events)
{
    return (events & KIN_READABLE ? POLLIN | POLLRDHUP : 0u) |
           (events & KIN_WRITABLE ? POLLOUT : 0u);
}

static int try_poll(int fd, unsigned events)
{
    struct pollfd pollfd = { .fd = fd, .events = (short)kin__io_poll_mask(events) };
    int n = kin__io_fails("poll", ENOMEM) ? -1 : poll(&pollfd, 1, 0);

    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (pollfd.revents & POLLNVAL)
        return -EBADF;
    return n == 0 ? -EAGAIN : (int)kin__io_events((uint32_t)pollfd.revents, events);
}

bool kin__accept_again(int error)
{
    switch (error) {
    case EINTR: case ECONNABORTED: case EPROTO: case ENETDOWN: case ENOPROTOOPT:
    case EHOSTDOWN: case ENONET: case EHOSTUNREACH: case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static ssize_t try_accept(const struct kin__op *op)
{
    int fd, ready = op->fd_kind == KIN__FD_FOREIGN ? try_poll(op->fd, KIN_READABLE) : 0;

    if (ready < 0) {
        errno = -ready;
        return -1;
    }
    do
        fd = kin__io_fails("accept", EMFILE)
                 ? -1 : accept4(op->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && kin__accept_again(errno));
    return fd;
}

static ssize_t try_read(const struct kin__op *op)
{
    if (kin__io_fails("read", EIO))
        return -1;
    if (op->fd_kind == KIN__FD_TCP || op->fd_kind == KIN__FD_SOCKET)
        return recv(op->fd, op->into, op->size, MSG_DONTWAIT);
    return read(op->fd, op->into, op->size);
}

static ssize_t write_without_signal(int fd, const void *from, size_t size)
{
    sigset_t pipe, before, pending;
    ssize_t n;
    int error;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigemptyset(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    if (sigismember(&before, SIGPIPE))
        sigpending(&pending);           /* one that was there before is not ours to take */
    n = write(fd, from, size);
    error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe, NULL, &(struct timespec){ 0, 0 }) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

static ssize_t try_write(const struct kin__op *op)
{
    if (kin__io_fails("write", EIO))
        return -1;
    switch (op->fd_kind) {
    case KIN__FD_TCP:
    case KIN__FD_SOCKET:
        return send(op->fd, op->from, op->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    case KIN__FD_STREAM:                /* a pipe that is ready has room for so much */
        return write_without_signal(op->fd, op->from, op->size < PIPE_BUF ? op->size : PIPE_BUF);
    default:
        return write_without_signal(op->fd, op->from, op->size);
    }
}

int kin__op_try(struct kin__op *op)
{
    ssize_t n;
    int ready;

    if (op->kind == KIN__OP_POLL || op->fd_kind == KIN__FD_STREAM) {
        ready = try_poll(op->fd, op->events);
        if (ready < 0 || op->kind == KIN__OP_POLL)
            return ready;
    }
    do
        n = op->kind == KIN__OP_READ ? try_read(op)
            : op->kind == KIN__OP_WRITE ? try_write(op) : try_accept(op);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

static int close_now(int fd)
{
    if (kin__io_fails("close", EIO)) {
        close(fd);
        return -EIO;
    }
    return close(fd) < 0 && errno != EINTR ? -errno : 0;    /* interrupted: closed, on Linux */
}

void kin__io_broken(const char *what, int error)
{
    kin_report("%s: %s; the run cannot go on", what, strerror(error));
    abort();
}

/* --------------------------------------------------------------- the table */

int kin__fd_reserve(struct kin__io *io, int fd)
{
    int count = io->count ? io->count : 64;
    struct kin__fd *fds;

    if (kin__likely(fd < io->count))
        return fd < 0 ? -EBADF : 0;
    if (fcntl(fd, F_GETFD) < 0)         /* before memory is spent on a senseless number */
        return -errno;
    while (count <= fd)
        count = count > INT_MAX / 2 ? INT_MAX : count * 2;
    fds = kin__os_alloc((size_t)count * sizeof *fds);
    if (!fds)
        return -ENOMEM;
    if (io->count)
        memcpy(fds, io->fds, (size_t)io->count * sizeof *fds);
    kin__os_free(io->fds);
    io->fds = fds;
    io->count = count;
    return 0;
}

void kin__io_end(struct kin__io *io)
{
    assert(io->waiting == 0);
    kin__os_free(io->fds);
}

static void detach(struct kin__fd *slot, const struct kin__op *op)
{
    if (slot->reader == op)
        slot->reader = NULL;
    if (slot->writer == op)
        slot->writer = NULL;
}

static void release(struct kin__op *op)
{
    struct kin__fd *slot = &kin__io()->fds[op->fd];

    detach(slot, op);
    if (kin__unlikely(slot->closing) && !slot->reader && !slot->writer) {
        slot->closing = false;
        close_now(op->fd);
    }
}

/* Somebody else closes the descriptor under this operation. */
static void evict(struct kin__fd *slot, struct kin__op *op)
{
    if (!op)
        return;
    if (!op->waiting) {                 /* between two steps of kin_write_all */
        op->verdict = KIN_ECLOSED;
        detach(slot, op);
    } else if (!op->verdict && kin__io_backend()->abort(op)) {
        op->verdict = KIN_ECLOSED;
        detach(slot, op);
        kin__op_finish(op, KIN_ECLOSED);
    } else if (!op->verdict) {
        op->verdict = KIN_ECLOSED;
    }
}

/* Sends everybody away, and forgets what was known about it. */
static void vacate(struct kin__fd *slot)
{
    evict(slot, slot->reader);
    evict(slot, slot->writer);
    if (slot->watch)
        kin_watch_stop(slot->watch);
    slot->kind = KIN__FD_FOREIGN;
    slot->armed = 0;
    slot->dry = 0;
    slot->ended = false;
    slot->generation++;
}

/* A new descriptor of kin's own. Where there is no memory to note that, it is treated
 * as a foreign one: slower, but right. Somebody can be found here only if the
 * former owner of the number was not closed with kin_close. */
static void adopt(int fd, enum kin__fd_kind kind)
{
    struct kin__io *io = kin__rt ? kin__io() : NULL;
    struct kin__fd *slot;

    if (!io || kin__fd_reserve(io, fd) < 0)
        return;
    slot = &io->fds[fd];
    vacate(slot);
    slot->reader = slot->writer = NULL;
    slot->closing = false;
    slot->kind = (uint8_t)kind;
}

/* ---------------------------------------------------------- the operations */

static bool op_abort(struct kin_wait *wait)
{
    struct kin__op *op = kin__container(wait, struct kin__op, wait);

    if (op->verdict)                    /* kin_close has asked already */
        return false;
    if (!kin__io_backend()->abort(op)) {
        op->verdict = KIN_ECANCELED;
        return false;
    }
    kin__rt->outside--;
    kin__io()->waiting--;
    op->waiting = false;
    if (!op->keep)
        release(op);
    return true;
}

static void op_describe(const struct kin_wait *wait, char *text, size_t size)
{
    static const char *const what[] = { "nothing", "readable", "writable", "readable or writable" };
    const struct kin__op *op = kin__container(wait, struct kin__op, wait);

    snprintf(text, size, "fd %d %s", op->fd, what[op->events & 3]);
}

static const struct kin_wait_ops op_waits[] = {
    [KIN__OP_POLL] = { "wait_fd", op_abort, op_describe },
    [KIN__OP_READ] = { "read", op_abort, op_describe },
    [KIN__OP_WRITE] = { "write", op_abort, op_describe },
    [KIN__OP_ACCEPT] = { "accept", op_abort, op_describe },
};

static int prepare(struct kin__op *op)
{
    return kin_wait_prepare(&op->wait, &op_waits[op->kind], NULL);
}

/* What kind of thing it is this time. */
static int examine(struct kin__op *op, uint8_t kind)
{
    struct stat status;

    op->fd_kind = kind;
    if (kind != KIN__FD_FOREIGN || op->kind == KIN__OP_POLL || op->kind == KIN__OP_ACCEPT)
        return 0;
    if (kin__io_fails("fstat", ENOMEM) || fstat(op->fd, &status) < 0)
        return -errno;
    if (S_ISSOCK(status.st_mode))
        op->fd_kind = KIN__FD_SOCKET;
    else if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode))
        op->fd_kind = KIN__FD_FILE;
    else
        op->fd_kind = KIN__FD_STREAM;
    return 0;
}

static int claim(struct kin__op *op)
{
    struct kin__io *io = kin__io();
    struct kin__fd *slot;
    int rc;

    if (kin__unlikely(!io))
        return -ENOSYS;
    rc = kin__fd_reserve(io, op->fd);
    if (rc < 0)
        return rc;
    slot = &io->fds[op->fd];
    if (kin__unlikely(slot->closing))
        return -EBADF;
    if ((op->events & KIN_READABLE && slot->reader) || (op->events & KIN_WRITABLE && slot->writer))
        return KIN_EBUSY;
    rc = examine(op, slot->kind);
    if (rc < 0)
        return rc;
    if (op->events & KIN_READABLE)
        slot->reader = op;
    if (op->events & KIN_WRITABLE)
        slot->writer = op;
    return 0;
}

static int park(struct kin__op *op)
{
    op->waiting = true;
    kin__rt->outside++;
    kin__io()->waiting++;
    return kin_wait_park(&op->wait);
}

void kin__op_finish(struct kin__op *op, int result)
{
    assert(op->waiting);
    kin__rt->outside--;
    kin__io()->waiting--;
    op->waiting = false;
    if (!op->keep)
        release(op);
    kin_wait_wake(&op->wait, result);
}

/* Sockets disagree on what reading nothing means when there is nothing. */
static bool moves_nothing(const struct kin__op *op)
{
    return op->size == 0 && (op->kind == KIN__OP_READ || op->kind == KIN__OP_WRITE);
}

static int perform(struct kin__op *op)
{
    int rc = prepare(op);

    if (rc < 0)
        return rc;
    rc = claim(op);
    if (rc == 0) {
        if (!moves_nothing(op) && !kin__io_backend()->start(op))
            return park(op);
        rc = op->result;
        release(op);
    }
    kin_wait_skip();
    return rc;
}

int kin_wait_fd(int fd, unsigned events)
{
    struct kin__op op = { .kind = KIN__OP_POLL, .fd = fd, .events = events };

    if (events == 0 || (events & ~(KIN_READABLE | KIN_WRITABLE)))
        return KIN_EINVAL;
    return perform(&op);
}

ssize_t kin_read(int fd, void *buffer, size_t size)
{
    struct kin__op op = { .kind = KIN__OP_READ, .fd = fd, .events = KIN_READABLE,
                          .into = buffer, .size = size < MOST ? size : MOST };

    return perform(&op);
}

ssize_t kin_write(int fd, const void *buffer, size_t size)
{
    struct kin__op op = { .kind = KIN__OP_WRITE, .fd = fd, .events = KIN_WRITABLE,
                          .from = buffer, .size = size < MOST ? size : MOST };

    return perform(&op);
}

static int write_rest(struct kin__op *op, const char *from, size_t size, size_t *sent)
{
    int rc = 0;

    while (rc == 0 && *sent < size) {
        op->from = from + *sent;
        op->size = size - *sent < MOST ? size - *sent : MOST;
        if (kin__io_backend()->start(op)) {
            kin_wait_skip();
            rc = op->result;
        } else {
            rc = park(op);
        }
        if (rc < 0)
            return rc;
        *sent += (size_t)rc;
        if (*sent < size && (rc = prepare(op)) == 0)
            rc = op->verdict;           /* closed while somebody else ran */
    }
    return rc < 0 ? rc : 0;
}

int kin_write_all(int fd, const void *buffer, size_t size, size_t *done)
{
    struct kin__op op = { .kind = KIN__OP_WRITE, .fd = fd, .events = KIN_WRITABLE, .keep = true };
    size_t sent = 0;
    int rc = prepare(&op);

    if (rc == 0) {
        rc = claim(&op);
        if (rc == 0) {
            rc = write_rest(&op, buffer, size, &sent);
            release(&op);
        } else {
            kin_wait_skip();
        }
    }
    if (done)
        *done = sent;
    return rc;
}

int kin_close(int fd)
{
    struct kin__io *io = kin__rt ? kin__io() : NULL;
    struct kin__fd *slot;

    if (!io || fd < 0 || fd >= io->count)
        return close_now(fd);
    slot = &io->fds[fd];
    if (slot->closing)
        return -EBADF;
    vacate(slot);
    if (!slot->reader && !slot->writer)
        return close_now(fd);
    slot->closing = true;
    return 0;
}

/* ------------------------------------------------------- sockets and pipes */

static bool without_world(void)
{
    return kin__rt && !kin__io();
}

static bool is_tcp(const struct sockaddr *address)
{
    return address->sa_family == AF_INET || address->sa_family == AF_INET6;
}

/* Small writes go out at once: kin's callers write whole messages, and Nagle's
 * algorithm with the peer's delayed acknowledgement costs 40 ms. What a listener
 * accepts inherits it. */
static int new_socket(const struct sockaddr *address, socklen_t length)
{
    const int on = 1;
    int fd;

    if (without_world())
        return -ENOSYS;
    if (!address || length < sizeof address->sa_family)
        return KIN_EINVAL;
    if (kin__io_fails("socket", EMFILE))
        return -errno;
    fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (is_tcp(address))
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    adopt(fd, is_tcp(address) ? KIN__FD_TCP : KIN__FD_SOCKET);
    return fd;
}

int kin_listen(const struct sockaddr *address, socklen_t length, int backlog)
{
    const int on = 1;
    int error, fd = new_socket(address, length);

    if (fd < 0)
        return fd;
    if (is_tcp(address))
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!kin__io_fails("bind", EADDRINUSE) && bind(fd, address, length) == 0 &&
        !kin__io_fails("listen", EADDRINUSE) && listen(fd, backlog > 0 ? backlog : SOMAXCONN) == 0)
        return fd;
    error = errno;
    kin_close(fd);
    return -error;
}

int kin_accept(int fd)
{
    struct kin__op op = { .kind = KIN__OP_ACCEPT, .fd = fd, .events = KIN_READABLE };
    int accepted = perform(&op);

    if (accepted >= 0)
        adopt(accepted, op.fd_kind == KIN__FD_TCP ? KIN__FD_TCP : KIN__FD_SOCKET);
    return accepted;
}

static int await_connection(int fd)
{
    int error = 0, rc = kin_wait_fd(fd, KIN_WRITABLE);
    socklen_t size = sizeof error;

    if (rc < 0)
        return rc;
    if (kin__io_fails("getsockopt", ENOMEM) ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

/* A Unix socket whose listener's queue is full says EAGAIN, and there is nothing to
 * be waited for: asking again, less and less often, is all one can do. */
static int establish(int fd, const struct sockaddr *address, socklen_t length)
{
    int64_t pause = KIN_MS(1);
    int rc;

    for (;;) {
        if (!kin__io_fails("connect", ENOBUFS) && connect(fd, address, length) == 0) {
            kin_wait_skip();
            return 0;
        }
        if (errno == EINPROGRESS || errno == EINTR)
            return await_connection(fd);
        if (errno != EAGAIN || is_tcp(address))
            return -errno;
        rc = kin_sleep(pause);
        if (rc < 0)
            return rc;
        if (pause < KIN_MS(64))
            pause *= 2;
    }
}

int kin_connect(const struct sockaddr *address, socklen_t length)
{
    int fd, rc = kin_check();

    if (rc < 0)
        return rc;
    fd = new_socket(address, length);
    if (fd < 0)
        return fd;
    rc = establish(fd, address, length);
    if (rc == 0)
        return fd;
    kin_close(fd);
    return rc;
}

int kin_pipe(int fds[2])
{
    if (without_world())
        return -ENOSYS;
    if (kin__io_fails("pipe", EMFILE) || pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return -errno;
    adopt(fds[0], KIN__FD_PIPE);
    adopt(fds[1], KIN__FD_PIPE);
    return 0;
}
