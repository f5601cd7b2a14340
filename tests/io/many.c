/* A thousand connections in one process: a server as a group with a task each, and
 * as many clients; then the server is cancelled with its connections open. */
#include "io_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CONNECTIONS = 1000, ROUNDS = 10, SIZE = 100 };

struct listener {
    int fd;
    uint64_t served;
};

struct connection {
    int fd;
    struct listener *of;
};

static int echo(void *arg)
{
    struct connection *c = arg;
    char buffer[1024];
    ssize_t n;
    int rc = 0;

    while ((n = kin_read(c->fd, buffer, sizeof buffer)) > 0 && rc == 0) {
        rc = kin_write_all(c->fd, buffer, (size_t)n, NULL);
        c->of->served += (size_t)n;
    }
    kin_close(c->fd);
    return n < 0 ? (int)n : rc;
}

static int serve(void *arg)
{
    struct listener *l = arg;
    kin_group g = kin_group_open(.name = "connections");
    struct connection c = { .of = l };

    while ((c.fd = kin_accept(l->fd)) >= 0)
        kin_spawn(&g, echo, &c, .copy = sizeof c, .name = "connection");
    return kin_group_close(&g, c.fd);
}

struct client {
    const struct sockaddr_in *address;
    kin_event *hold;                /* keeps the connection open until it is set */
    int fd;
};

static int ask(int fd, int number)
{
    char sent[SIZE], got[SIZE];
    size_t have = 0;
    int rc;

    memset(sent, number, SIZE);
    rc = kin_write_all(fd, sent, SIZE, NULL);
    while (rc >= 0 && have < SIZE) {
        rc = (int)kin_read(fd, got + have, SIZE - have);
        CHECK(rc != 0);
        have += rc > 0 ? (size_t)rc : 0;
    }
    CHECK(rc < 0 || memcmp(sent, got, SIZE) == 0);
    return rc < 0 ? rc : 0;
}

static int client(void *arg)
{
    struct client *c = arg;
    int rc = c->fd = kin_connect((const struct sockaddr *)c->address, sizeof *c->address);

    for (int i = 0; rc >= 0 && i < ROUNDS; i++)
        rc = ask(c->fd, i + c->fd);
    if (rc >= 0)
        rc = kin_event_wait(c->hold);
    if (c->fd >= 0)
        kin_close(c->fd);
    return rc;
}

static int echo_thousand(int listeners, bool hold)
{
    struct sockaddr_in address[2];
    struct listener l[2] = { { 0 } };
    kin_event release = { .set = !hold };
    struct client c = { .hold = &release };
    kin_group servers = kin_group_open(.name = "servers"), clients;
    int rc, before;

    for (int i = 0; i < listeners; i++) {
        l[i].fd = tcp_listener(&address[i], CONNECTIONS);
        CHECK_CODE(kin_spawn(&servers, serve, &l[i], .name = "server", .index = i + 1), 0);
    }
    before = open_descriptors();
    clients = kin_group_open(.name = "clients");
    for (int i = 0; i < CONNECTIONS; i++) {
        c.address = &address[i % listeners];
        CHECK_CODE(kin_spawn(&clients, client, &c, .copy = sizeof c, .name = "client"), 0);
    }
    while (hold && l[0].served + l[1].served < (uint64_t)CONNECTIONS * ROUNDS * SIZE)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    if (hold)
        CHECK(open_descriptors() >= before + 2 * CONNECTIONS);
    kin_event_set(&release);
    rc = kin_group_close(&clients, 0);
    CHECK_INT(l[0].served + l[1].served, (uint64_t)CONNECTIONS * ROUNDS * SIZE);
    CHECK_CODE(kin_cancel(&servers, "done"), 0);
    CHECK_CODE(kin_group_close(&servers, 0), 0);
    for (int i = 0; i < listeners; i++)
        CHECK_CODE(kin_close(l[i].fd), 0);
    return rc;
}

static void need_descriptors(unsigned number)
{
    struct rlimit limit;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < number + 100)
        SKIP("too few descriptors allowed");
}

IO_TEST_LIMIT(a_thousand_connections_to_two_listeners, 60)
{
    need_descriptors(2 * CONNECTIONS);
    CHECK_CODE(echo_thousand(2, false), 0);
}

IO_TEST_LIMIT(a_thousand_connections_at_once, 60)
{
    need_descriptors(2 * CONNECTIONS);
    CHECK_CODE(echo_thousand(1, true), 0);
}

static int never_answer(void *arg)
{
    struct listener *l = arg;
    kin_group g = kin_group_open(.name = "connections");
    struct connection c = { .of = l };

    while ((c.fd = kin_accept(l->fd)) >= 0) {
        l->served++;
        kin_spawn(&g, echo, &c, .copy = sizeof c, .name = "connection");
    }
    return kin_group_close(&g, c.fd);
}

static int connect_and_wait(void *arg)
{
    struct client *c = arg;
    int rc = c->fd = kin_connect((const struct sockaddr *)c->address, sizeof *c->address);
    char byte;

    if (rc >= 0) {
        rc = (int)kin_read(c->fd, &byte, 1);
        kin_close(c->fd);
    }
    return rc;
}

/* Servers and clients are all parked in reads when the one group around is cancelled. */
IO_TEST_LIMIT(a_thousand_idle_connections_end_with_their_group, 60)
{
    struct sockaddr_in address;
    struct listener l = { .fd = tcp_listener(&address, CONNECTIONS) };
    struct client c = { .address = &address };
    kin_group g = kin_group_open();

    need_descriptors(2 * CONNECTIONS);
    CHECK_CODE(kin_spawn(&g, never_answer, &l), 0);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_CODE(kin_spawn(&g, connect_and_wait, &c, .copy = sizeof c), 0);
    while (l.served < CONNECTIONS)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(l.fd), 0);
}

/* More completions at once than a ring of io_uring holds. */
IO_TEST_LIMIT(one_event_wakes_six_thousand, 60)
{
    enum { WAITERS = 6000 };
    struct call *c = calloc(WAITERS, sizeof *c);
    kin_group g = kin_group_open();
    uint64_t one = 1;
    int event = eventfd(0, EFD_CLOEXEC);

    need_descriptors(WAITERS);
    for (int i = 0; i < WAITERS; i++) {
        c[i] = (struct call){ .what = CALL_WAIT, .fd = dup(event), .events = KIN_READABLE };
        CHECK_CODE(kin_spawn(&g, call, &c[i]), 0);
    }
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_INT(write(event, &one, sizeof one), sizeof one);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_INT(c[i].result, KIN_READABLE);
        CHECK_CODE(kin_close(c[i].fd), 0);
    }
    CHECK_INT(close(event), 0);
    free(c);
}
