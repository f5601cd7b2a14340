/* The system calls of the operations, none of which blocks the thread.
 *
 * Sockets are asked with MSG_DONTWAIT, kin's own pipes do not block; a foreign stream,
 * whose flags are shared with other processes, is touched only after poll() has said
 * that it is ready, and written in pieces that then fit. Regular files, for which the
 * kernel has no readiness, do not come here, but to file_call.c.
 *
 * Where the reading side of a datagram socket was shut down, poll() says that it is
 * readable, for ever, and reading says EAGAIN, while a blocking read returns 0. Nobody
 * could wait there: before EAGAIN is believed the poll is asked for the reason.
 *
 * A Unix socket that is not connected has no readiness for the receiver of a datagram:
 * it can be written to, and yet the receiver's queue is full. That is ENOBUFS, here.
 *
 * SIGPIPE: sockets are written with MSG_NOSIGNAL. For everything else the signal is
 * blocked for the time of the call and taken back if the call raised it. Ignoring it
 * would be seen by the whole process, and blocking it for longer by its children;
 * a socket pair in place of a pipe would not be a pipe for whoever inherits it.
 */
#include "io/io.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    int n;

    do
        n = kin__io_fails("poll", ENOMEM) ? -1 : poll(&pollfd, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (pollfd.revents & POLLNVAL)
        return -EBADF;
    return n == 0 ? -EAGAIN : (int)kin__io_events((uint32_t)pollfd.revents, events);
}

/* May this be had again by the next call, or was it that one connection's own? */
static bool accept_again(int error)
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
    while (fd < 0 && accept_again(errno));
    return fd;
}

static bool is_socket(uint8_t fd_kind)
{
    return fd_kind == KIN__FD_TCP || fd_kind == KIN__FD_SOCKET || fd_kind == KIN__FD_DATAGRAM;
}

static ssize_t try_read(const struct kin__op *op)
{
    if (kin__io_fails("read", EIO))
        return -1;
    if (is_socket(op->fd_kind))
        return recv(op->fd, op->into, op->size, MSG_DONTWAIT);
    return read(op->fd, op->into, op->size);
}

ssize_t kin__without_sigpipe(ssize_t (*call)(const void *arg), const void *arg)
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
    n = call(arg);
    error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe, NULL, &(struct timespec){ 0, 0 }) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

static ssize_t write_at_once(const void *arg)
{
    const struct kin__op *op = arg;

    return write(op->fd, op->from, op->size);
}

/* A pipe that is ready has room for so much. */
static ssize_t write_what_fits(const void *arg)
{
    const struct kin__op *op = arg;

    return write(op->fd, op->from, op->size < PIPE_BUF ? op->size : PIPE_BUF);
}

static ssize_t try_write(const struct kin__op *op)
{
    if (kin__io_fails("write", EIO))
        return -1;
    if (is_socket(op->fd_kind))
        return send(op->fd, op->from, op->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return kin__without_sigpipe(op->fd_kind == KIN__FD_STREAM ? write_what_fits : write_at_once,
                                op);
}

/* ------------------------------------------------------ datagrams and messages */

static ssize_t try_receive_message(const struct kin__op *op)
{
    if (kin__io_fails("recvmsg", EIO))
        return -1;
    return recvmsg(op->fd, op->message, op->flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
}

static bool to_unix_address(const struct msghdr *message)
{
    const struct sockaddr *to = message->msg_name;

    return to && message->msg_namelen >= sizeof to->sa_family && to->sa_family == AF_UNIX;
}

static ssize_t try_send_message(const struct kin__op *op)
{
    ssize_t n;

    if (kin__io_fails("sendmsg", EIO))
        return -1;
    n = sendmsg(op->fd, op->message, op->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN && to_unix_address(op->message))
        errno = ENOBUFS;
    return n;
}

/* What there is to be received where nothing is: 0, the end, or -EAGAIN. */
static int end_of_datagrams(const struct kin__op *op)
{
    struct pollfd pollfd = { .fd = op->fd, .events = POLLRDHUP };

    if (poll(&pollfd, 1, 0) <= 0 || !(pollfd.revents & POLLRDHUP))
        return -EAGAIN;
    if (op->kind == KIN__OP_RECEIVE_MESSAGE) {
        op->message->msg_namelen = 0;
        op->message->msg_controllen = 0;
        op->message->msg_flags = 0;
    }
    return 0;
}

static ssize_t try_datagram(const struct kin__op *op)
{
    switch (op->kind) {
    case KIN__OP_READ: return try_read(op);
    case KIN__OP_WRITE: return try_write(op);
    case KIN__OP_RECEIVE_MESSAGE: return try_receive_message(op);
    case KIN__OP_SEND_MESSAGE: return try_send_message(op);
    default: return try_accept(op);
    }
}

/* Apart, so that reading and writing streams pays nothing for it. */
static __attribute__((noinline)) int op_try_datagram(const struct kin__op *op)
{
    ssize_t n;

    do
        n = try_datagram(op);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (int)n;
    if (errno == EAGAIN && op->fd_kind == KIN__FD_DATAGRAM && op->events == KIN_READABLE)
        return end_of_datagrams(op);
    return -errno;
}

/* --------------------------------------------------------------------- all of them */

int kin__op_try(struct kin__op *op)
{
    ssize_t n;
    int ready;

    if (op->kind == KIN__OP_POLL || op->fd_kind == KIN__FD_STREAM) {
        ready = try_poll(op->fd, op->events);
        if (ready < 0 || op->kind == KIN__OP_POLL)
            return ready;
    }
    if (op->kind >= KIN__OP_RECEIVE_MESSAGE || op->fd_kind == KIN__FD_DATAGRAM)
        return op_try_datagram(op);
    do
        n = op->kind == KIN__OP_READ ? try_read(op)
            : op->kind == KIN__OP_WRITE ? try_write(op) : try_accept(op);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int)n;
}

int kin__fd_close(int fd)
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
