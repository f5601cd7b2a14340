/* The limit, first way: an echo server straight on epoll.
 *
 * Connections are registered once, edge-triggered, for both directions. A read that gets
 * less than it asked for has taken all there was: whatever comes later is another edge. So a
 * message costs one recv and one send, and a share of an epoll_wait; no epoll_ctl, and no
 * recv that says EAGAIN. Only where the peer has finished sending is one more read needed, to
 * see the end.
 *
 * What does not fit into the socket is kept, and nothing more is read until it is out.
 */
#include "net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 512 };

struct connection {
    int fd;
    bool ending;                /* half-closed, or broken: a short read says nothing */
    char *kept;                 /* what could not be sent yet, or NULL */
    size_t kept_size;
};

static int epoll;

static void close_connection(struct connection *c)
{
    close(c->fd);
    free(c->kept);
    free(c);
}

static bool keep(struct connection *c, const char *from, size_t size)
{
    char *copy = malloc(size);

    net_require(copy != NULL, "memory");
    memcpy(copy, from, size);
    free(c->kept);
    c->kept = copy;
    c->kept_size = size;
    return false;
}

/* Sends everything, or keeps the rest. False: not now; -1 in *broken: never. */
static bool send_all(struct connection *c, const char *from, size_t size, bool *broken)
{
    while (size > 0) {
        ssize_t n = send(c->fd, from, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return keep(c, from, size);
        if (n < 0) {
            *broken = true;
            return false;
        }
        from += n;
        size -= (size_t)n;
    }
    return true;
}

static bool send_kept(struct connection *c, bool *broken)
{
    char *kept = c->kept;
    bool sent;

    if (!kept)
        return true;
    c->kept = NULL;
    sent = send_all(c, kept, c->kept_size, broken);
    free(kept);
    return sent;
}

/* Reads and answers until nothing is left; false: the connection is over. */
static bool serve(struct connection *c)
{
    char buffer[NET_BUFFER];
    bool broken = false;
    ssize_t n;

    if (!send_kept(c, &broken))
        return !broken;
    do {
        n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        if (!send_all(c, buffer, (size_t)n, &broken))
            return !broken;
    } while ((size_t)n == sizeof buffer || c->ending);
    return true;
}

static void add(struct connection *c, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = c };

    net_require(epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0, "epoll_ctl");
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);

        net_require(c != NULL, "memory");
        c->fd = fd;
        add(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET);
    }
    net_require(errno == EAGAIN || errno == ECONNABORTED, "accept4");
}

static void dispatch(const struct epoll_event *event, struct connection *listener)
{
    struct connection *c = event->data.ptr;

    if (c == listener) {
        accept_all(c->fd);
        return;
    }
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->ending = true;
    if (!serve(c))
        close_connection(c);
}

int main(void)
{
    static struct epoll_event events[EVENTS];
    struct connection listener = { .fd = net_listen(SOCK_NONBLOCK) };

    net_raise_limit();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    net_require(epoll >= 0, "epoll_create1");
    add(&listener, EPOLLIN);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        net_require(n >= 0 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < n; i++)
            dispatch(&events[i], &listener);
    }
}
