/* The limit of short connections: the client straight on epoll.
 *
 *     short_epoll PORT COUNT
 *
 * 50 connections at a time, each with its limit. All limits are as long, so the connections
 * lie in a list in the order of their limits, and the first one's is epoll_wait's. A
 * connection costs socket, connect, epoll_ctl, two waits shared with others, send, recv
 * and close.
 */
#include "net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MILLISECOND ((int64_t)1000000)

enum { AT_ONCE = 50 };

struct connection {
    struct connection *next, *prev;     /* by limit */
    int64_t limit;
    int fd;
    bool asked;
    unsigned received;
    char answer[NET_MESSAGE];
};

static const char message[NET_MESSAGE] = "a short connection";
static struct connection connections[AT_ONCE], limits = { .next = &limits, .prev = &limits };
static int epoll, port;
static long to_start, to_end;

static void start(struct connection *c)
{
    struct sockaddr_in address = net_address(port);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | (uint32_t)EPOLLET, .data.ptr = c };

    to_start--;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    net_require(c->fd >= 0, "socket");
    net_no_delay(c->fd);
    net_require(connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0 ||
                errno == EINPROGRESS, "connect");
    net_require(epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0, "epoll_ctl");
    c->asked = false;
    c->received = 0;
    c->limit = net_clock(CLOCK_MONOTONIC) + NET_LIMIT_MS * MILLISECOND;
    c->next = &limits;
    c->prev = limits.prev;
    c->prev->next = limits.prev = c;
}

static void end(struct connection *c)
{
    net_check(memcmp(c->answer, message, NET_MESSAGE) == 0, "the answer is another");
    close(c->fd);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    to_end--;
    if (to_start > 0)
        start(c);
}

static void ask(struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;

    net_require(getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0, "getsockopt");
    net_check(error == 0, "connect");
    net_require(send(c->fd, message, NET_MESSAGE, MSG_NOSIGNAL) == NET_MESSAGE, "send");
    c->asked = true;
}

static void receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->received, NET_MESSAGE - c->received, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    net_require(n > 0, "recv");
    c->received += (unsigned)n;
    if (c->received == NET_MESSAGE)
        end(c);
}

static int patience(void)
{
    int64_t left = limits.next->limit - net_clock(CLOCK_MONOTONIC);

    net_check(left > 0, "a limit has passed");
    return (int)(left / MILLISECOND) + 1;
}

int main(int argc, char **argv)
{
    struct epoll_event events[AT_ONCE];
    int64_t began;
    long count;

    port = (int)net_number(argc, argv, 1, 1);
    count = to_start = to_end = net_number(argc, argv, 2, 1);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    net_require(epoll >= 0, "epoll_create1");
    began = net_clock(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < AT_ONCE && to_start > 0; i++)
        start(&connections[i]);
    while (to_end > 0) {
        int n = epoll_wait(epoll, events, AT_ONCE, patience());

        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (!c->asked)
                ask(c);
            if (events[i].events & EPOLLIN)
                receive(c);
        }
    }
    net_print_short(began, count);
    return 0;
}
