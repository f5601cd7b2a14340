/* kin's side: the echo server, and the client of short connections.
 *
 *     kin_net echo                    one task a connection, each with a name
 *     kin_net short PORT COUNT        COUNT tasks, 50 at a time, each with a limit
 */
#include "net.h"

#include "kin.h"

#include <errno.h>

enum { AT_ONCE = 50 };

struct client {
    int port;
    long count;
};

/* ------------------------------------------------------------------ server */

static int converse(int fd)
{
    char buffer[NET_BUFFER];
    ssize_t n;
    int rc;

    while ((n = kin_read(fd, buffer, sizeof buffer)) > 0) {
        rc = kin_write_all(fd, buffer, (size_t)n, NULL);
        if (rc < 0)
            return rc;
    }
    return (int)n;
}

/* What a connection breaks with is its own affair. */
static int connection(void *arg)
{
    int fd = *(int *)arg, rc = converse(fd);

    kin_close(fd);
    return rc == KIN_ECANCELED ? rc : 0;
}

static int accept_all(int listener, kin_group *group)
{
    int fd, rc = 0;

    while (rc == 0 && (fd = kin_accept(listener)) >= 0)
        rc = kin_spawn(group, connection, &fd, .copy = sizeof fd, .name = "connection",
                       .index = fd);
    return rc < 0 ? rc : fd;
}

static int serve(void *arg)
{
    struct sockaddr_in address = net_address(0);
    int rc, listener = kin_listen((struct sockaddr *)&address, sizeof address, NET_BACKLOG);

    (void)arg;
    if (listener < 0)
        return listener;
    net_announce(listener);
    KIN_GROUP(rc, group, .name = "connections")
        rc = accept_all(listener, &group);
    kin_close(listener);
    return rc;
}

/* ------------------------------------------------------------------ client */

static int read_answer(int fd, char *answer)
{
    ssize_t n = 0;

    for (size_t got = 0; got < NET_MESSAGE; got += (size_t)n) {
        n = kin_read(fd, answer + got, NET_MESSAGE - got);
        if (n <= 0)
            return n < 0 ? (int)n : kin_fail(-ECONNRESET, "the server has closed");
    }
    return 0;
}

static int ask(int fd)
{
    char message[NET_MESSAGE] = "a short connection", answer[NET_MESSAGE];
    int rc = kin_write_all(fd, message, sizeof message, NULL);

    if (rc == 0)
        rc = read_answer(fd, answer);
    if (rc == 0 && memcmp(message, answer, sizeof message) != 0)
        rc = kin_fail(-EBADMSG, "the answer is another");
    return rc;
}

static int request(void *arg)
{
    struct sockaddr_in address = net_address(*(int *)arg);
    int rc, fd = kin_connect((struct sockaddr *)&address, sizeof address);

    if (fd < 0)
        return fd;
    rc = ask(fd);
    kin_close(fd);
    return rc;
}

static int request_all(void *arg)
{
    struct client *client = arg;
    int rc;

    KIN_GROUP(rc, group, .name = "requests", .limit = AT_ONCE) {
        for (int i = 0; rc == 0 && i < client->count; i++)
            rc = kin_spawn(&group, request, &client->port, .name = "request", .index = i,
                           .timeout = KIN_MS(NET_LIMIT_MS));
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct client client;
    int64_t began;

    net_raise_limit();
    if (argc == 2 && strcmp(argv[1], "echo") == 0)
        return kin_main(serve, NULL);
    if (argc != 4 || strcmp(argv[1], "short") != 0)
        return 2;
    client = (struct client){ (int)net_number(argc, argv, 2, 1), net_number(argc, argv, 3, 1) };
    began = net_clock(CLOCK_PROCESS_CPUTIME_ID);
    net_check(kin_main(request_all, &client) == 0, "short connections");
    net_print_short(began, client.count);
    return 0;
}
