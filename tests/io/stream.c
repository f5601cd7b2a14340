/* Bytes from one end to the other: sockets, pipes, files; ends, resets, errors. */
#include "io_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void exchange(const int fds[2])
{
    char buffer[32];

    CHECK_INT(kin_write(fds[0], "ping", 4), 4);
    CHECK_INT(kin_read(fds[1], buffer, sizeof buffer), 4);
    CHECK(memcmp(buffer, "ping", 4) == 0);
    CHECK_CODE(kin_write_all(fds[1], "pong!", 5, NULL), 0);
    CHECK_INT(kin_read(fds[0], buffer, 2), 2);
    CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 3);
    CHECK(memcmp(buffer, "ng!", 3) == 0);
}

IO_TEST(tcp_carries_both_ways)
{
    int fds[2];

    tcp_pair(fds);
    exchange(fds);
    close_both(fds);
}

IO_TEST(unix_carries_both_ways)
{
    int fds[2];

    unix_pair(fds);
    exchange(fds);
    close_both(fds);
}

IO_TEST(own_descriptors_are_nonblocking_and_cloexec)
{
    struct sockaddr_in address;
    int fds[5] = { tcp_listener(&address, 0) };

    tcp_pair(fds + 1);
    CHECK_CODE(kin_pipe(fds + 3), 0);
    for (int i = 0; i < 5; i++) {
        CHECK(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        CHECK_CODE(kin_close(fds[i]), 0);
    }
}

IO_TEST(pipe_carries_and_ends)
{
    char buffer[8];
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    CHECK_INT(kin_write(fds[1], "abc", 3), 3);
    CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 3);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 0);
    CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 0);
    CHECK_CODE(kin_close(fds[0]), 0);
}

static void parked_reader_sees(void (*make)(int[2]), const char *text, ssize_t wanted)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2];

    make(fds);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    if (text)
        CHECK_INT(write(fds[1], text, strlen(text)), strlen(text));
    else
        CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, wanted);
    CHECK_CODE(kin_close(fds[0]), 0);
    if (text)
        CHECK_CODE(kin_close(fds[1]), 0);
}

static void make_pipe(int fds[2])
{
    CHECK_CODE(kin_pipe(fds), 0);
}

IO_TEST(a_parked_reader_gets_data)
{
    parked_reader_sees(tcp_pair, "four", 4);
    parked_reader_sees(unix_pair, "four", 4);
    parked_reader_sees(make_pipe, "four", 4);
}

IO_TEST(a_parked_reader_sees_the_end)
{
    parked_reader_sees(tcp_pair, NULL, 0);
    parked_reader_sees(unix_pair, NULL, 0);
    parked_reader_sees(make_pipe, NULL, 0);
}

IO_TEST(half_close_keeps_the_other_direction)
{
    char buffer[8];
    int fds[2];

    tcp_pair(fds);
    CHECK_INT(kin_write(fds[0], "last", 4), 4);
    CHECK_INT(shutdown(fds[0], SHUT_WR), 0);
    CHECK_INT(kin_read(fds[1], buffer, sizeof buffer), 4);
    CHECK_INT(kin_read(fds[1], buffer, sizeof buffer), 0);
    CHECK_INT(kin_write(fds[1], "still", 5), 5);
    CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 5);
    close_both(fds);
}

/* The end comes while the data before it has not been read: on epoll the one event
 * for both must not leave the second read waiting for another. */
IO_TEST(data_and_end_arrive_together)
{
    struct call first = { .what = CALL_READ }, second = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2];

    tcp_pair(fds);
    first.fd = second.fd = fds[1];
    begin_call(&g, &first, NULL, true);
    CHECK_INT(send(fds[0], "xy", 2, 0), 2);
    CHECK_INT(shutdown(fds[0], SHUT_WR), 0);
    while (!first.ended)
        CHECK_CODE(kin_yield(), 0);
    begin_call(&g, &second, NULL, false);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(first.result, 2);
    CHECK_INT(second.result, 0);
    close_both(fds);
}

/* A read ends early at urgent data although more is there. */
IO_TEST(urgent_data_does_not_hide_what_follows)
{
    struct call first = { .what = CALL_READ };
    kin_group g = kin_group_open();
    char buffer[16];
    size_t got;
    int fds[2];

    tcp_pair(fds);
    first.fd = fds[1];
    begin_call(&g, &first, NULL, true);
    CHECK_INT(send(fds[0], "ab!", 3, MSG_OOB), 3);
    CHECK_INT(send(fds[0], "cd", 2, 0), 2);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(first.result > 0);
    got = (size_t)first.result;
    memcpy(buffer, first.own, got);
    while (got < 4) {
        ssize_t n = kin_read(fds[1], buffer + got, sizeof buffer - got);

        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK(memcmp(buffer, "abcd", 4) == 0);
    close_both(fds);
}

/* Reads end where a descriptor was passed along, although more is there. */
IO_TEST(passed_descriptors_do_not_hide_what_follows)
{
    char buffer[16], control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec piece = { "a", 1 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                              .msg_controllen = sizeof control };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    struct call first = { .what = CALL_READ };
    kin_group g = kin_group_open();
    size_t got;
    int fds[2], zero = 0;

    unix_pair(fds);
    first.fd = fds[1];
    begin_call(&g, &first, NULL, true);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof zero);
    memcpy(CMSG_DATA(header), &zero, sizeof zero);
    for (int i = 0; i < 3; i++)
        CHECK_INT(sendmsg(fds[0], &message, 0), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(first.result > 0);
    got = (size_t)first.result;
    while (got < 3) {
        ssize_t n = kin_read(fds[1], buffer + got, sizeof buffer - got);

        CHECK(n > 0);
        got += (size_t)n;
    }
    close_both(fds);
}

static void reset_by_peer(int fd)
{
    struct linger at_once = { .l_onoff = 1 };

    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    CHECK_CODE(kin_close(fd), 0);
}

IO_TEST(reset_fails_a_parked_reader)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2];

    tcp_pair(fds);
    c.fd = fds[1];
    begin_call(&g, &c, NULL, true);
    reset_by_peer(fds[0]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, -ECONNRESET);
    CHECK_CODE(kin_close(fds[1]), 0);
}

IO_TEST(reset_fails_a_parked_writer)
{
    struct call c = { .what = CALL_WRITE_ALL };
    kin_group g = kin_group_open();
    int fds[2];

    tcp_pair(fds);
    c.fd = fds[1];
    c.buffer = more_than_fits;
    c.size = sizeof more_than_fits;
    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    reset_by_peer(fds[0]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(c.result == -ECONNRESET || c.result == -EPIPE);
    CHECK(c.done < sizeof more_than_fits);
    CHECK_CODE(kin_close(fds[1]), 0);
}

/* The test would be killed by the signal. */
static void write_to_nobody(void (*make)(int[2]))
{
    sigset_t pending;
    int fds[2];

    make(fds);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_write(fds[1], "x", 1), -EPIPE);
    CHECK_CODE(kin_write_all(fds[1], "x", 1, NULL), -EPIPE);
    CHECK_INT(sigpending(&pending), 0);
    CHECK(!sigismember(&pending, SIGPIPE));
    CHECK_CODE(kin_close(fds[1]), 0);
}

IO_TEST(writing_to_nobody_is_epipe_without_a_signal)
{
    sigset_t mask;

    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    write_to_nobody(make_pipe);
    write_to_nobody(unix_pair);
    CHECK_INT(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    CHECK(!sigismember(&mask, SIGPIPE));
}

IO_TEST(a_sigpipe_of_others_stays_pending)
{
    sigset_t pipe, pending;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    CHECK_INT(sigprocmask(SIG_BLOCK, &pipe, NULL), 0);
    CHECK_INT(raise(SIGPIPE), 0);
    {
        int fds[2];

        make_pipe(fds);
        CHECK_CODE(kin_close(fds[0]), 0);
        CHECK_CODE(kin_write(fds[1], "x", 1), -EPIPE);
        CHECK_CODE(kin_close(fds[1]), 0);
    }
    CHECK_INT(sigpending(&pending), 0);
    CHECK(sigismember(&pending, SIGPIPE));
}

IO_TEST(a_parked_pipe_writer_gets_epipe)
{
    struct call c = { .what = CALL_WRITE_ALL };
    kin_group g = kin_group_open();
    int fds[2];

    make_pipe(fds);
    fill_up(fds[1]);
    c.fd = fds[1];
    begin_call(&g, &c, NULL, true);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, -EPIPE);
    CHECK_CODE(kin_close(fds[1]), 0);
}

struct bulk {
    int fd;
    size_t size;
    uint32_t sum;
    int rc;
};

static int receive_bulk(void *arg)
{
    struct bulk *b = arg;
    static unsigned char buffer[100000];
    ssize_t n;

    while ((n = kin_read(b->fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            b->sum = b->sum * 31 + buffer[i];
        b->size += (size_t)n;
    }
    b->rc = (int)n;
    return 0;
}

static void send_bulk(void (*make)(int[2]))
{
    enum { SIZE = 5 * 1000 * 1000 + 7 };
    struct bulk b = { 0 };
    unsigned char *data = malloc(SIZE);
    kin_group g = kin_group_open();
    uint32_t sum = 0;
    size_t done;
    int fds[2];

    for (size_t i = 0; i < SIZE; i++)
        sum = sum * 31 + (data[i] = (unsigned char)(i * 7 + i / 251));
    make(fds);
    b.fd = fds[0];
    CHECK_CODE(kin_spawn(&g, receive_bulk, &b), 0);
    CHECK_CODE(kin_write_all(fds[1], data, SIZE, &done), 0);
    CHECK_INT(done, SIZE);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(b.size, SIZE);
    CHECK_INT(b.sum, sum);
    CHECK_INT(b.rc, 0);
    CHECK_CODE(kin_close(fds[0]), 0);
    free(data);
}

IO_TEST(write_all_writes_megabytes)
{
    send_bulk(tcp_pair);
    send_bulk(unix_pair);
    send_bulk(make_pipe);
}

IO_TEST(nothing_to_move_returns_at_once)
{
    void (*const make[])(int[2]) = { tcp_pair, unix_pair, make_pipe };
    size_t done = 7;
    char c;
    int fds[2];

    for (size_t i = 0; i < 3; i++) {
        make[i](fds);
        CHECK_INT(kin_read(fds[0], &c, 0), 0);
        CHECK_INT(kin_write(fds[1], &c, 0), 0);
        CHECK_CODE(kin_write_all(fds[1], &c, 0, &done), 0);
        CHECK_INT(done, 0);
        close_both(fds);
    }
}

IO_TEST(regular_files_are_read_and_written_in_order)
{
    char path[] = "/tmp/kin-test-XXXXXX", buffer[16];
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(kin_wait_fd(fd, KIN_READABLE | KIN_WRITABLE), KIN_READABLE | KIN_WRITABLE);
    CHECK_CODE(kin_write_all(fd, "one ", 4, NULL), 0);
    CHECK_CODE(kin_write_all(fd, "two", 3, NULL), 0);
    CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
    CHECK_INT(kin_read(fd, buffer, 3), 3);
    CHECK_INT(kin_read(fd, buffer, sizeof buffer), 4);
    CHECK(memcmp(buffer, " two", 4) == 0);
    CHECK_INT(kin_read(fd, buffer, sizeof buffer), 0);
    CHECK_CODE(kin_close(fd), 0);
}

IO_TEST(devices_work)
{
    char buffer[4] = "abc";
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), full = open("/dev/full", O_RDWR | O_CLOEXEC);

    CHECK_INT(kin_read(zero, buffer, sizeof buffer), 4);
    CHECK_INT(buffer[0], 0);
    CHECK_CODE(kin_write_all(full, "x", 1, NULL), -ENOSPC);
    CHECK_CODE(kin_close(zero), 0);
    CHECK_CODE(kin_close(full), 0);
}

IO_TEST(wrong_descriptors_are_refused)
{
    int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char c = 0;

    for (const int *fd = (int[]){ -1, 100000, INT32_MAX, 0 }; *fd; fd++) {
        CHECK_CODE(kin_read(*fd, &c, 1), -EBADF);
        CHECK_CODE(kin_write(*fd, &c, 1), -EBADF);
        CHECK_CODE(kin_write_all(*fd, &c, 1, NULL), -EBADF);
        CHECK_CODE(kin_accept(*fd), -EBADF);
        CHECK_CODE(kin_wait_fd(*fd, KIN_READABLE), -EBADF);
        CHECK_CODE(kin_close(*fd), -EBADF);
    }
    CHECK_CODE(kin_read(directory, &c, 1), -EISDIR);
    CHECK_CODE(kin_accept(directory), -ENOTSOCK);
    CHECK_CODE(kin_wait_fd(directory, 0), KIN_EINVAL);
    CHECK_CODE(kin_wait_fd(directory, 4), KIN_EINVAL);
    CHECK_CODE(kin_close(directory), 0);
    CHECK_CODE(kin_listen(NULL, 0, 0), KIN_EINVAL);
    CHECK_CODE(kin_connect(NULL, 0), KIN_EINVAL);
}

IO_TEST(connecting_to_nobody_is_refused)
{
    struct sockaddr_in address;
    struct sockaddr_un name;
    socklen_t length;
    int fd = tcp_listener(&address, 0);

    CHECK_CODE(kin_listen((struct sockaddr *)&address, sizeof address, 0), -EADDRINUSE);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_connect((struct sockaddr *)&address, sizeof address), -ECONNREFUSED);
    fd = unix_listener(&name, &length, 0);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_connect((struct sockaddr *)&name, length), -ECONNREFUSED);
}

IO_TEST(ipv6_works)
{
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t length = sizeof address;
    int fds[2], listener = kin_listen((struct sockaddr *)&address, sizeof address, 1);

    if (listener == -EADDRNOTAVAIL || listener == -EAFNOSUPPORT)
        SKIP("no IPv6 here");
    CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    fds[0] = kin_connect((struct sockaddr *)&address, length);
    fds[1] = kin_accept(listener);
    exchange(fds);
    close_both(fds);
    CHECK_CODE(kin_close(listener), 0);
}

/* The queue of a Unix socket is full: connecting waits until somebody accepts. */
IO_TEST(unix_connect_waits_for_room)
{
    struct sockaddr_un address;
    struct call c[3] = { { 0 } };
    kin_group g = kin_group_open();
    socklen_t length;
    int accepted, listener = unix_listener(&address, &length, 1);

    for (int i = 0; i < 3; i++) {
        c[i] = (struct call){ .what = CALL_CONNECT, .address = &address, .length = length };
        begin_call(&g, &c[i], NULL, false);
    }
    CHECK(c[0].ended && c[1].ended && !c[2].ended);
    for (int i = 0; i < 3; i++) {
        accepted = kin_accept(listener);
        CHECK(accepted >= 0);
        CHECK_CODE(kin_close(accepted), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(kin_close((int)c[i].result), 0);
    CHECK_CODE(kin_close(listener), 0);
}

static int run_outside(void *arg)
{
    char c = 'x';
    int *fds = arg;

    CHECK_INT(kin_write(fds[1], &c, 1), 1);
    CHECK_INT(kin_read(fds[0], &c, 1), 1);
    return 0;
}

TEST(outside_of_a_run_only_what_does_not_wait_works)
{
    char c = 'x';
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    CHECK_CODE(kin_read(fds[0], &c, 1), KIN_ENORUN);
    CHECK_CODE(kin_write(fds[1], &c, 1), KIN_ENORUN);
    CHECK_CODE(kin_wait_fd(fds[0], KIN_READABLE), KIN_ENORUN);
    CHECK_CODE(kin_accept(fds[0]), KIN_ENORUN);
    CHECK_CODE(kin_connect(NULL, 0), KIN_ENORUN);
    CHECK_CODE(kin_run(run_outside, fds), 0);
    close_both(fds);
}

static int without_world(void *arg)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    char c = 'x';
    int fds[2];

    (void)arg;
    CHECK_CODE(kin_pipe(fds), -ENOSYS);
    CHECK_CODE(kin_read(0, &c, 1), -ENOSYS);
    CHECK_CODE(kin_write(1, &c, 1), -ENOSYS);
    CHECK_CODE(kin_write_all(1, &c, 1, NULL), -ENOSYS);
    CHECK_CODE(kin_wait_fd(0, KIN_READABLE), -ENOSYS);
    CHECK_CODE(kin_accept(0), -ENOSYS);
    CHECK_CODE(kin_listen((struct sockaddr *)&address, sizeof address, 0), -ENOSYS);
    CHECK_CODE(kin_connect((struct sockaddr *)&address, sizeof address), -ENOSYS);
    return 0;
}

TEST(the_virtual_backend_has_no_descriptors)
{
    CHECK_CODE(kin_run(without_world, NULL, .backend = "virtual"), 0);
}
