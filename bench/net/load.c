/* Loads an echo server, and says what a request cost it.
 *
 *     load PORT PID CONNECTIONS SECONDS
 *
 * Every connection always has one message under way: 64 bytes go out, and when they have
 * come back, checked, the next go. For the first fifth of the time nothing is counted. The
 * server's processor time is read from its clock, all threads included, at the beginning and
 * at the end of the rest. Latencies are kept in a histogram whose steps are 1/64 of the value.
 *
 * The connections are reset at the end: thousands in TIME_WAIT would slow the next run.
 */
#include "net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256, STEPS = 64, OCTAVES = 40 };

struct connection {
    int64_t began;
    uint64_t number;            /* of the message: the server's answer must have it */
    int fd;
    unsigned received;
    unsigned char message[NET_MESSAGE];
};

static struct connection *connections;
static uint64_t histogram[OCTAVES * STEPS], requests;

static unsigned step_of(uint64_t ns)
{
    unsigned octave = 0;

    while (ns >> octave >= 2 * STEPS)
        octave++;
    return octave * STEPS + (unsigned)(ns >> octave);
}

static double value_of(unsigned step)
{
    unsigned octave = step < 2 * STEPS ? 0 : step / STEPS - 1;

    return (double)((uint64_t)(step - octave * STEPS) << octave);
}

static double percentile(double share)
{
    uint64_t below = 0, wanted = (uint64_t)((double)requests * share);

    for (unsigned step = 0; step < OCTAVES * STEPS; step++) {
        below += histogram[step];
        if (below > wanted)
            return value_of(step);
    }
    return 0;
}

static void ask(struct connection *c, int64_t now)
{
    memcpy(c->message, &(uint64_t){ ++c->number }, sizeof c->number);
    c->received = 0;
    c->began = now;
    net_require(send(c->fd, c->message, NET_MESSAGE, MSG_NOSIGNAL) == NET_MESSAGE, "send");
}

static void count(const struct connection *c, int64_t now)
{
    histogram[step_of((uint64_t)(now - c->began))]++;
    requests++;
}

/* The answer is mostly there as a whole; for the rest the edge comes again. */
static void receive(struct connection *c, bool counted)
{
    char answer[NET_MESSAGE];
    int64_t now;
    ssize_t n = recv(c->fd, answer, NET_MESSAGE - c->received, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    net_require(n > 0, "recv");
    net_check(memcmp(c->message + c->received, answer, (size_t)n) == 0, "another answer");
    c->received += (unsigned)n;
    if (c->received < NET_MESSAGE)
        return;
    now = net_clock(CLOCK_MONOTONIC);
    if (counted)
        count(c, now);
    ask(c, now);
}

static int64_t drive(int epoll, int64_t until, bool counted)
{
    struct epoll_event events[EVENTS];
    int64_t now;

    do {
        int n = epoll_wait(epoll, events, EVENTS, 1000);

        net_require(n > 0, "the server is silent");
        for (int i = 0; i < n; i++)
            receive(events[i].data.ptr, counted);
        now = net_clock(CLOCK_MONOTONIC);
    } while (now < until);
    return now;
}

static void open_one(struct connection *c, int epoll, int port)
{
    struct sockaddr_in address = net_address(port);
    struct linger reset = { .l_onoff = 1 };
    struct epoll_event event = { .events = EPOLLIN | (uint32_t)EPOLLET, .data.ptr = c };

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    net_require(c->fd >= 0, "socket");
    net_no_delay(c->fd);
    net_require(connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    net_require(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0, "linger");
    net_require(epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0, "epoll_ctl");
    memset(c->message, (int)(c - connections), sizeof c->message);
}

static void measure(int epoll, clockid_t server, int64_t duration)
{
    int64_t began = drive(epoll, net_clock(CLOCK_MONOTONIC) + duration / 5, false);
    int64_t cpu = net_clock(server), ended, used;

    ended = drive(epoll, began + duration - duration / 5, true);
    used = net_clock(server) - cpu;
    printf("cpu_ns %.1f\n", (double)used / (double)requests);
    printf("per_second %.0f\n", (double)requests * 1e9 / (double)(ended - began));
    printf("p50_us %.2f\n", percentile(0.50) / 1e3);
    printf("p99_us %.2f\n", percentile(0.99) / 1e3);
}

int main(int argc, char **argv)
{
    int port = (int)net_number(argc, argv, 1, 1), epoll = epoll_create1(EPOLL_CLOEXEC);
    long count = net_number(argc, argv, 3, 1);
    double seconds = argc > 4 ? strtod(argv[4], NULL) : 1;
    clockid_t server;

    net_require(clock_getcpuclockid((pid_t)net_number(argc, argv, 2, 1), &server) == 0, "pid");
    net_raise_limit();
    connections = calloc((size_t)count, sizeof *connections);
    net_require(connections && epoll >= 0, "memory");
    for (long i = 0; i < count; i++)
        open_one(&connections[i], epoll, port);
    for (long i = 0; i < count; i++)
        ask(&connections[i], net_clock(CLOCK_MONOTONIC));
    measure(epoll, server, (int64_t)(seconds * 1e9));
    return 0;
}
