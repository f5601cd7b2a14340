
#include "net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 128 };

struct connection {
    int fd;
    bool ending;                /* half-closed, or broken: a short read says nothing */
    char *kept;                 /* what could not be sent yet, or NULL */
    size_t kept_size;
};

struct answer {                 /* received, and to be sent */
    struct connection *to;
    size_t size;
    char bytes[NET_BUFFER];
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

/* False: nothing is to be answered. */
static bool receive(struct connection *c, struct answer *answer)
{
    ssize_t n = recv(c->fd, answer->bytes, sizeof answer->bytes, 0);

    if (n > 0) {
        answer->to = c;
        answer->size = (size_t)n;
        return true;
    }
    if (n == 0 || errno != EAGAIN)
        close_connection(c);
    return false;
}

/* False: nothing is to be answered later. */
static bool dispatch(const struct epoll_event *event, struct connection *listener,
                     struct answer *answer)
{
    struct connection *c = event->data.ptr;

    if (c == listener) {
        accept_all(c->fd);
        return false;
    }
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->ending = true;
    if (!c->ending && !c->kept)
        return receive(c, answer);
    if (!serve(c))
        close_connection(c);
    return false;
}

/* A full buffer may not have been all. */
static void reply(const struct answer *answer)
{
    struct connection *c = answer->to;
    bool broken = false, sent = send_all(c, answer->bytes, answer->size, &broken);

    if (broken || (sent && answer->size == sizeof answer->bytes && !serve(c)))
        close_connection(c);
}

static void turn(const struct epoll_event *events, int n, struct connection *listener)
{
    static struct answer answers[EVENTS];
    int count = 0;

    for (int i = 0; i < n; i++)
        count += dispatch(&events[i], listener, &answers[count]);
    for (int i = 0; i < count; i++)
        reply(&answers[i]);
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
        turn(events, n, &listener);
    }
}
