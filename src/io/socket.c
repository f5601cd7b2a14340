/* Sockets and pipes of kin's own: made without blocking and closed on exec.
 *
 * Connecting is not an operation of the backends: the call that begins it never waits,
 * and then it is a wait for writability like any other, with the verdict in SO_ERROR.
 * Accepting is one, like reading: a wait that is over brings the connection along, so that
 * a cancellation cannot come in between.
 */
#include "io/io.h"
#include "kin_io.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

bool kin__io_without_world(void)
{
    return kin__rt && !kin__io();
}

int kin__socket_fact(int fd, int option)
{
    int value = 0;
    socklen_t size = sizeof value;

    if (kin__io_fails("getsockopt", ENOMEM) ||
        getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0)
        return -errno;
    return value;
}

static bool is_internet(int family)
{
    return family == AF_INET || family == AF_INET6;
}

static enum kin__fd_kind kind_of_socket(int family, int type)
{
    if (type == SOCK_DGRAM)
        return KIN__FD_DATAGRAM;
    return type == SOCK_STREAM && is_internet(family) ? KIN__FD_TCP : KIN__FD_SOCKET;
}

/* Small writes go out at once: kin's callers write whole messages, and Nagle's
 * algorithm with the peer's delayed acknowledgement costs 40 ms. What a listener
 * accepts inherits it. */
int kin__socket(int family, int type)
{
    const int on = 1;
    int fd;

    if (kin__io_without_world())
        return -ENOSYS;
    if (kin__io_fails("socket", EMFILE))
        return -errno;
    fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (kind_of_socket(family, type) == KIN__FD_TCP)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    kin__fd_adopt(fd, kind_of_socket(family, type));
    return fd;
}

int kin__stream_socket(const struct sockaddr *address, socklen_t length)
{
    if (!address || length < sizeof address->sa_family)
        return KIN_EINVAL;
    return kin__socket(address->sa_family, SOCK_STREAM);
}

void kin__fd_adopt_accepted(int fd, const struct kin__op *accept)
{
    kin__fd_adopt(fd, accept->fd_kind == KIN__FD_TCP ? KIN__FD_TCP : KIN__FD_SOCKET);
}

int kin_accept(int fd)
{
    struct kin__op op = { .kind = KIN__OP_ACCEPT, .fd = fd, .events = KIN_READABLE };
    int accepted = kin__op_perform(&op);

    if (accepted >= 0)
        kin__fd_adopt_accepted(accepted, &op);
    return accepted;
}

static int await_connection(int fd)
{
    int error, rc = kin_wait_fd(fd, KIN_WRITABLE);

    if (rc < 0)
        return rc;
    error = kin__socket_fact(fd, SO_ERROR);
    return error < 0 ? error : -error;
}

/* A Unix socket whose listener's queue is full says EAGAIN, and there is nothing to
 * be waited for: asking again, less and less often, is all one can do. */
static int establish(int fd, const struct sockaddr *address, socklen_t length)
{
    int64_t pause = 0;
    int rc;

    for (;;) {
        if (!kin__io_fails("connect", ENOBUFS) && connect(fd, address, length) == 0) {
            kin_wait_skip();
            return 0;
        }
        if (errno == EINPROGRESS || errno == EINTR)
            return await_connection(fd);
        if (errno != EAGAIN || is_internet(address->sa_family))
            return -errno;
        rc = kin__io_pause(&pause);
        if (rc < 0)
            return rc;
    }
}

int kin_connect(const struct sockaddr *address, socklen_t length)
{
    int fd, rc = kin_check();

    if (rc < 0)
        return rc;
    fd = kin__stream_socket(address, length);
    if (fd < 0)
        return fd;
    rc = establish(fd, address, length);
    if (rc == 0)
        return fd;
    kin_close(fd);
    return rc;
}

int kin_socket_pair(int type, int fds[2])
{
    if (kin__io_without_world())
        return -ENOSYS;
    if (kin__io_fails("socketpair", EMFILE) ||
        socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    kin__fd_adopt(fds[0], kind_of_socket(AF_UNIX, type));
    kin__fd_adopt(fds[1], kind_of_socket(AF_UNIX, type));
    return 0;
}

int kin_pipe(int fds[2])
{
    if (kin__io_without_world())
        return -ENOSYS;
    if (kin__io_fails("pipe", EMFILE) || pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return -errno;
    kin__fd_adopt(fds[0], KIN__FD_PIPE);
    kin__fd_adopt(fds[1], KIN__FD_PIPE);
    return 0;
}
