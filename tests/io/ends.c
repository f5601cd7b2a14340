/* Ends of connections: half-close, who is woken by it; peers that read nothing; descriptors
 * that are taken over (docs/semantics.md C2, F1, F2). */
#include "io_sweep.h"
#include "io_test.h"
#include "kin_io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void udp_pair(int fds[2])
{
    kin_address any = { .v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                        .length = sizeof any.v4 }, address;

    fds[0] = kin_datagram_at(&any, NULL);
    CHECK_CODE(kin_local_address(fds[0], &address), 0);
    fds[1] = kin_datagram_at(&any, &address);
    CHECK_CODE(kin_local_address(fds[1], &address), 0);
    CHECK_INT(connect(fds[0], &address.any, address.length), 0);
}

static void datagram_pair(int fds[2])
{
    CHECK_CODE(kin_socket_pair(SOCK_DGRAM, fds), 0);
}

static void packet_pair(int fds[2])
{
    CHECK_CODE(kin_socket_pair(SOCK_SEQPACKET, fds), 0);
}

static void stream_pair(int fds[2])
{
    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
}

static void (*const make_streams[])(int[2]) = { tcp_pair, unix_pair, stream_pair };
static void (*const make_any[])(int[2]) = { tcp_pair, unix_pair, packet_pair, udp_pair,
                                            datagram_pair };
#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

IO_TEST(a_pair_carries_both_ways)
{
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    char buffer[8];
    int fds[2];

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_socket_pair(types[i], fds), 0);
        for (int side = 0; side < 2; side++) {
            CHECK(fcntl(fds[side], F_GETFL) & O_NONBLOCK);
            CHECK(fcntl(fds[side], F_GETFD) & FD_CLOEXEC);
            CHECK_INT(kin_write(fds[side], "abc", 3), 3);
            CHECK_INT(kin_read(fds[!side], buffer, sizeof buffer), 3);
        }
        close_both(fds);
    }
    CHECK_CODE(kin_socket_pair(12345, fds), -EINVAL);
    fail_next("socketpair", EMFILE, 1);
    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), -EMFILE);
}

/* -------------------------------------------------------------------- half-close */

IO_TEST(one_direction_ends_and_the_other_goes_on)
{
    for (int i = 0; i < COUNT(make_streams); i++) {
        char byte;
        int fds[2];

        make_streams[i](fds);
        CHECK_CODE(kin_write_all(fds[0], "q", 1, NULL), 0);
        CHECK_CODE(kin_shutdown(fds[0], SHUT_WR), 0);
        CHECK_INT(kin_read(fds[1], &byte, 1), 1);
        CHECK_INT(kin_read(fds[1], &byte, 1), 0);
        CHECK_CODE(kin_write(fds[0], "x", 1), -EPIPE);
        CHECK_CODE(kin_write_all(fds[1], "answer", 6, NULL), 0);
        CHECK_INT(kin_read(fds[0], &byte, 1), 1);
        CHECK_CODE(kin_shutdown(fds[1], SHUT_WR), 0);
        CHECK_INT(drain(fds[0]), 5);
        CHECK_INT(kin_read(fds[0], &byte, 1), 0);
        close_both(fds);
    }
}

/* Who reads sees that the peer has ended its side, or that it has ended its own. */
static void reader_is_woken(void (*make)(int[2]), int side, int how, bool submitted)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2];

    make(fds);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, submitted);
    CHECK(!c.ended);
    CHECK_CODE(kin_shutdown(fds[side], how), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 0);
    close_both(fds);
}

IO_TEST(a_reader_gets_0_when_the_peer_ends)
{
    for (int i = 0; i < 6; i++) {
        reader_is_woken(make_streams[i % 3], 1, SHUT_WR, i >= 3);
        reader_is_woken(packet_pair, 1, SHUT_WR, i >= 3);
    }
}

IO_TEST(a_reader_gets_0_when_its_own_side_is_shut)
{
    for (int i = 0; i < COUNT(make_any); i++) {
        reader_is_woken(make_any[i], 0, SHUT_RD, false);
        reader_is_woken(make_any[i], 0, SHUT_RD, true);
        reader_is_woken(make_any[i], 0, SHUT_RDWR, true);
    }
}

struct receive {
    int fd;
    ssize_t result;
    kin_address from;
};

static int receive(void *arg)
{
    struct receive *r = arg;
    char buffer[16];

    r->result = kin_receive_from(r->fd, buffer, sizeof buffer, &r->from, NULL);
    return 0;
}

IO_TEST(a_receiver_gets_0_when_its_own_side_is_shut)
{
    for (int i = 0; i < COUNT(make_any); i++) {
        struct receive r = { .result = -1 };
        kin_group g = kin_group_open();
        int fds[2];

        make_any[i](fds);
        r.fd = fds[0];
        kin_spawn(&g, receive, &r);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        CHECK_INT(r.result, -1);
        CHECK_CODE(kin_shutdown(fds[0], SHUT_RD), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_INT(r.result, 0);
        CHECK_INT(r.from.length, 0);
        receive(&r);                            /* and so does the next */
        CHECK_INT(r.result, 0);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);    /* when the event has been seen, too */
        receive(&r);
        CHECK_INT(r.result, 0);
        close_both(fds);
    }
}

/* What has arrived before is still there. */
IO_TEST(what_has_arrived_is_read_before_the_end)
{
    for (int i = 0; i < COUNT(make_any); i++) {
        char buffer[8];
        int fds[2];

        make_any[i](fds);
        CHECK_INT(kin_write(fds[1], "abc", 3), 3);
        CHECK_CODE(kin_wait_fd(fds[0], KIN_READABLE), KIN_READABLE);
        CHECK_CODE(kin_shutdown(fds[0], SHUT_RD), 0);
        CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 3);
        CHECK_INT(kin_read(fds[0], buffer, sizeof buffer), 0);
        close_both(fds);
    }
}

struct writer {
    int fd;
    bool all;                   /* by kin_write_all */
    ssize_t result;
    size_t done;
};

/* Writes until something is the matter: TCP takes a little more now and then, although nobody
 * reads. */
static int write_for_ever(void *arg)
{
    struct writer *w = arg;

    if (w->all)
        w->result = kin_write_all(w->fd, more_than_fits, sizeof more_than_fits, &w->done);
    else
        while ((w->result = kin_write(w->fd, more_than_fits, sizeof more_than_fits)) >= 0)
            w->done += (size_t)w->result;
    return 0;
}

/* A Unix socket's writer is not woken by the kernel. */
static void writer_is_woken(void (*make)(int[2]), int how, bool all, bool submitted)
{
    struct writer w = { .all = all };
    kin_group g = kin_group_open();
    int fds[2];

    make(fds);
    w.fd = fds[0];
    fill_up(fds[0]);
    kin_spawn(&g, write_for_ever, &w);
    CHECK_CODE(submitted ? kin_sleep(KIN_MS(1)) : kin_yield(), 0);
    CHECK(w.result >= 0);
    CHECK_CODE(kin_shutdown(fds[0], how), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(w.result, -EPIPE);
    CHECK(w.done < sizeof more_than_fits);
    close_both(fds);
}

IO_TEST(a_writer_gets_epipe_when_its_side_is_shut)
{
    for (int i = 0; i < 4 * COUNT(make_streams); i++) {
        writer_is_woken(make_streams[i / 4], SHUT_WR, i & 1, i & 2);
        writer_is_woken(make_streams[i / 4], SHUT_RDWR, i & 1, i & 2);
    }
}

IO_TEST(a_writer_stays_when_the_other_side_is_shut)
{
    for (int i = 0; i < COUNT(make_streams); i++) {
        struct writer w = { .result = 0 };
        kin_group g = kin_group_open();
        int fds[2];
        size_t before;

        make_streams[i](fds);
        w.fd = fds[0];
        kin_spawn(&g, write_for_ever, &w);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        CHECK_CODE(kin_shutdown(fds[0], SHUT_RD), 0);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        before = w.done;
        /* The ring, woken for nothing, sends all of it before it says so. */
        while (w.done == before && w.result >= 0) {
            drain(fds[1]);
            CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        }
        CHECK(w.result > 0);
        CHECK_CODE(kin_shutdown(fds[0], SHUT_WR), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(w.result, -EPIPE);
        close_both(fds);
    }
}

/* Between two pieces of one call that writes all. */
IO_TEST(a_writer_that_has_just_been_woken_gets_epipe)
{
    for (int i = 0; i < COUNT(make_streams); i++) {
        struct writer w = { .all = true };
        kin_group g = kin_group_open();
        int fds[2];

        make_streams[i](fds);
        w.fd = fds[0];
        kin_spawn(&g, write_for_ever, &w);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        drain(fds[1]);
        CHECK_CODE(kin_wait_fd(fds[1], KIN_READABLE), KIN_READABLE);
        CHECK_CODE(kin_shutdown(fds[0], SHUT_WR), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(w.result, -EPIPE);
        CHECK(w.done > 0 && w.done < sizeof more_than_fits);
        close_both(fds);
    }
}

IO_TEST(shutdown_refuses_what_it_cannot_end)
{
    struct sockaddr_in address;
    int fds[2], listener = tcp_listener(&address, 1);

    CHECK_CODE(kin_shutdown(listener, SHUT_RD), KIN_EINVAL);
    CHECK_CODE(kin_close(listener), 0);
    CHECK_CODE(kin_shutdown(listener, SHUT_RD), -EBADF);
    CHECK_CODE(kin_pipe(fds), 0);
    CHECK_CODE(kin_shutdown(fds[1], SHUT_WR), -ENOTSOCK);
    close_both(fds);
    stream_pair(fds);
    CHECK_CODE(kin_shutdown(fds[0], 77), -EINVAL);
    fail_next("shutdown", ENOTCONN, 1);
    CHECK_CODE(kin_shutdown(fds[0], SHUT_WR), -ENOTCONN);
    CHECK_INT(kin_write(fds[0], "x", 1), 1);
    close_both(fds);
}

/* --------------------------------------------------------------- nobody reads */

static volatile sig_atomic_t sigpipes;

static void count_sigpipe(int number)
{
    (void)number;
    sigpipes++;
}

struct send {
    int fd;
    ssize_t result;
    size_t times;
};

/* Sends until something is the matter. */
static int send_for_ever(void *arg)
{
    static char block[4096];
    struct iovec piece = { block, sizeof block };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    struct send *s = arg;

    while ((s->result = kin_send_message(s->fd, &message, 0)) >= 0)
        s->times++;
    return 0;
}

static void (*const make_full[])(int[2]) = { tcp_pair, stream_pair, packet_pair, datagram_pair };

/* It parks; others go on; its cancellation takes it back; the line still works. */
IO_TEST(C2_a_peer_that_reads_nothing)
{
    for (int i = 0; i < COUNT(make_full); i++) {
        struct send s = { .result = 1 };
        kin_task task;
        kin_group g = kin_group_open();
        size_t times;
        int fds[2];

        make_full[i](fds);
        s.fd = fds[0];
        kin_spawn(&g, send_for_ever, &s, .task = &task);
        do {
            times = s.times;
            CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
        } while (s.times != times);
        CHECK_INT(task.status, KIN_PENDING);
        CHECK_CODE(kin_cancel(&task, NULL), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(s.result, KIN_ECANCELED);
        CHECK_INT(drain(fds[1]) % (i ? 4096 : 1), 0);
        CHECK_INT(kin_write(fds[0], "x", 1), 1);
        close_both(fds);
    }
}

IO_TEST(a_sender_is_woken_by_shutdown_and_by_close)
{
    for (int i = 0; i < 2 * COUNT(make_full); i++) {
        struct send s = { .result = 1 };
        kin_group g = kin_group_open();
        int fds[2];

        make_full[i / 2](fds);
        s.fd = fds[0];
        kin_spawn(&g, send_for_ever, &s);
        CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
        CHECK_CODE(i % 2 ? kin_close(fds[0]) : kin_shutdown(fds[0], SHUT_WR), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(s.result, i % 2 ? KIN_ECLOSED : -EPIPE);
        if (i % 2 == 0)
            CHECK_CODE(kin_close(fds[0]), 0);
        CHECK_CODE(kin_close(fds[1]), 0);
    }
}

IO_TEST(no_sigpipe_from_any_of_them)
{
    struct sigaction count = { .sa_handler = count_sigpipe }, before;
    static char byte = 'x';
    struct iovec piece = { &byte, 1 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

    sigaction(SIGPIPE, &count, &before);
    for (int i = 0; i < COUNT(make_any); i++) {
        int fds[2];

        make_any[i](fds);
        CHECK_CODE(kin_shutdown(fds[0], SHUT_WR), 0);
        CHECK_CODE(kin_write(fds[0], "x", 1), -EPIPE);
        CHECK_CODE(kin_write_all(fds[0], "x", 1, NULL), -EPIPE);
        CHECK_CODE(kin_send_message(fds[0], &message, 0), -EPIPE);
        CHECK_CODE(kin_send_to(fds[0], "x", 1, NULL), -EPIPE);
        if (i == 1 || i == 2 || i == 4)
            CHECK_CODE(kin_send_fds(fds[0], "x", 1, fds, 1), -EPIPE);
        close_both(fds);
    }
    sigaction(SIGPIPE, &before, NULL);
    CHECK_INT(sigpipes, 0);
}

/* --------------------------------------------------------------------- adopting */

IO_TEST(F2_what_is_handed_over_becomes_kins_own)
{
    int fds[2];
    char byte;

    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_CODE(kin_adopt(fds[0]), fds[0]);
    CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    CHECK(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));      /* nobody has handed it over */
    CHECK(!(fcntl(fds[1], F_GETFD) & FD_CLOEXEC));
    CHECK_INT(kin_write(fds[1], "x", 1), 1);
    CHECK_INT(kin_read(fds[0], &byte, 1), 1);
    close_both(fds);

    CHECK_INT(pipe(fds), 0);
    CHECK_CODE(kin_adopt(fds[1]), fds[1]);
    CHECK(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
    CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    fill_up(fds[1]);
    {
        struct call c = { .what = CALL_WRITE, .fd = fds[1] };
        kin_group g = kin_group_open();

        begin_call(&g, &c, NULL, true);
        CHECK(!c.ended);
        CHECK_CODE(kin_adopt(fds[0]), fds[0]);
        drain(fds[0]);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK(c.result > 0);
    }
    close_both(fds);
}

/* Its connections are treated as those of a listener that kin has made. */
IO_TEST(a_listener_that_was_handed_over_accepts)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int client, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct call c = { .what = CALL_ACCEPT, .fd = listener };
    kin_group g = kin_group_open();

    CHECK_INT(bind(listener, (struct sockaddr *)&address, length), 0);
    CHECK_INT(listen(listener, 5), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    CHECK_CODE(kin_adopt(listener), listener);
    begin_call(&g, &c, NULL, true);
    client = kin_connect((struct sockaddr *)&address, sizeof address);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(client >= 0 && c.result >= 0);
    close_both((int[]){ client, (int)c.result });
    CHECK_CODE(kin_close(listener), 0);
}

/* The number has another file now, and kin knew the one before. */
IO_TEST(what_is_adopted_is_looked_at_anew)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2], number;

    tcp_pair(fds);
    c.fd = number = fds[0];
    begin_call(&g, &c, NULL, true);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(dup2(fds[0], number), number);    /* closes it behind kin's back */
    close(fds[0]);
    fds[0] = number;
    CHECK_CODE(kin_adopt(fds[0]), number);
    g = kin_group_open();
    c = (struct call){ .what = CALL_READ, .fd = number };
    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    CHECK_INT(write(fds[1], "yz", 2), 2);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 2);
    close_both(fds);
}

IO_TEST(adopting_refuses_and_changes_nothing)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2], file = open("/dev/null", O_RDONLY);

    CHECK_CODE(kin_adopt(file), KIN_EINVAL);
    CHECK(!(fcntl(file, F_GETFD) & FD_CLOEXEC));
    close(file);
    CHECK_CODE(kin_adopt(file), -EBADF);
    CHECK_CODE(kin_adopt(-1), -EBADF);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    c.fd = fds[0];
    begin_call(&g, &c, &task, true);
    CHECK_CODE(kin_adopt(fds[0]), KIN_EBUSY);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    close_both(fds);
}

/* Its polls are called off before it is taken over again: one that was forgotten would keep
 * the file open when the descriptor is closed. */
IO_TEST(F1_what_is_taken_over_again_ends_when_it_is_closed)
{
    struct call c;
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2];

    tcp_pair(fds);
    for (int i = 0; i < 4; i++) {       /* until a poll stays */
        c = (struct call){ .what = CALL_READ, .fd = fds[0] };
        begin_call(&g, &c, &task, true);
        if (i < 3)
            CHECK_INT(kin_write(fds[1], "x", 1), 1);
        else
            CHECK_CODE(kin_cancel(&task, NULL), 0);
        while (!c.ended)
            CHECK_CODE(kin_yield(), 0);
    }
    fail_next("uring_full", EAGAIN, 1);
    CHECK_CODE(kin_adopt(fds[0]), on_uring() ? -ENOMEM : fds[0]);
    CHECK_CODE(kin_adopt(fds[0]), fds[0]);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_INT(kin_read(fds[1], c.own, 1), 0);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int adopt_once(void *arg)
{
    int fds[2], rc;
    char byte;

    (void)arg;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -errno;
    rc = kin_adopt(fds[0]);
    if (rc >= 0)
        rc = kin_shutdown(fds[1], SHUT_WR);
    if (rc == 0)
        rc = (int)kin_read(fds[0], &byte, 1);
    kin_close(fds[0]);
    kin_close(fds[1]);
    return rc;
}

TEST(whatever_fails_in_adopting_nothing_is_lost)
{
    CHECK_INT(sweep_site("fcntl", EBADF, adopt_once, NULL), 4);
    CHECK_INT(sweep_site("getsockopt", ENOMEM, adopt_once, NULL), 3);
    CHECK_INT(sweep_site("fstat", ENOMEM, adopt_once, NULL), 1);
    CHECK_INT(sweep_site("shutdown", ENOTCONN, adopt_once, NULL), 1);
    sweep_cancels(adopt_once, NULL);
    sweep_memory(adopt_once, NULL);
}
