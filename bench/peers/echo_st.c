/* State Threads' side of the network bench: the echo server, and the client of short
 * connections.
 *
 *     st echo
 *     st short PORT COUNT
 *
 * One thread a connection. Its limits are arguments of each call, so
 * the three calls of a short connection share what is left.
 */
#include "net.h"

#include <st.h>

enum { AT_ONCE = 50 };

/* ------------------------------------------------------------------ server */

static void *converse(void *arg)
{
    st_netfd_t connection = arg;
    char buffer[NET_BUFFER];
    ssize_t n;

    while ((n = st_read(connection, buffer, sizeof buffer, ST_UTIME_NO_TIMEOUT)) > 0)
        if (st_write(connection, buffer, (size_t)n, ST_UTIME_NO_TIMEOUT) != n)
            break;
    st_netfd_close(connection);
    return NULL;
}

static void serve(void)
{
    st_netfd_t listener = st_netfd_open_socket(net_listen(0));

    net_require(listener != NULL, "st_netfd_open_socket");
    for (;;) {
        st_netfd_t connection = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT);

        net_require(connection != NULL, "st_accept");
        net_require(st_thread_create(converse, connection, 0, 0) != NULL, "st_thread_create");
    }
}

/* ------------------------------------------------------------------ client */

static int port;
static long to_start, running;
static st_cond_t ended;

static st_utime_t left(st_utime_t limit)
{
    st_utime_t now = st_utime();

    net_check(now < limit, "a limit has passed");
    return limit - now;
}

static void request(void)
{
    const char message[NET_MESSAGE] = "a short connection";
    char answer[NET_MESSAGE];
    struct sockaddr_in address = net_address(port);
    st_utime_t limit = st_utime() + NET_LIMIT_MS * 1000;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    st_netfd_t connection;

    net_require(fd >= 0, "socket");
    net_no_delay(fd);
    connection = st_netfd_open_socket(fd);
    net_require(connection != NULL, "st_netfd_open_socket");
    net_require(st_connect(connection, (struct sockaddr *)&address, sizeof address,
                           left(limit)) == 0, "st_connect");
    net_require(st_write(connection, message, NET_MESSAGE, left(limit)) == NET_MESSAGE,
                "st_write");
    net_require(st_read_fully(connection, answer, NET_MESSAGE, left(limit)) == NET_MESSAGE,
                "st_read_fully");
    net_check(memcmp(message, answer, NET_MESSAGE) == 0, "the answer is another");
    st_netfd_close(connection);
}

static void *one_request(void *arg)
{
    (void)arg;
    request();
    running--;
    st_cond_signal(ended);
    return NULL;
}

static void request_all(void)
{
    ended = st_cond_new();
    net_require(ended != NULL, "st_cond_new");
    while (to_start > 0 || running > 0) {
        if (to_start > 0 && running < AT_ONCE) {
            to_start--;
            running++;
            net_require(st_thread_create(one_request, NULL, 0, 0) != NULL, "st_thread_create");
        } else {
            st_cond_wait(ended);
        }
    }
}

/* Epoll where the library was built with it, which Debian's is not; select, its default
 * there, ends at 1,024 descriptors. */
static void choose_events(void)
{
    st_set_eventsys(ST_EVENTSYS_ALT);
    if (strcmp(st_get_eventsys_name(), "epoll") != 0)
        st_set_eventsys(ST_EVENTSYS_POLL);
}

int main(int argc, char **argv)
{
    int64_t began;
    long count;

    net_raise_limit();
    choose_events();
    net_require(st_init() == 0, "st_init");
    if (argc == 2 && strcmp(argv[1], "echo") == 0)
        serve();
    port = (int)net_number(argc, argv, 2, 1);
    count = to_start = net_number(argc, argv, 3, 1);
    began = net_clock(CLOCK_PROCESS_CPUTIME_ID);
    request_all();
    net_print_short(began, count);
    return 0;
}
