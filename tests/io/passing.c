/* Descriptors that are passed over Unix sockets: none is lost, and none is left open that
 * nobody knows of (docs/semantics.md C2). */
#include "io_sweep.h"
#include "io_test.h"
#include "kin_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST = 253 };

/* Plain pipes; what is written to one says which it was. */
static void make_pipes(int (*pipes)[2], int n)
{
    for (int i = 0; i < n; i++)
        CHECK_INT(pipe2(pipes[i], O_CLOEXEC), 0);
}

static void close_pipes(int (*pipes)[2], int n)
{
    for (int i = 0; i < n; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void is_reading_end(int fd, int pipe[2], char byte)
{
    char got;

    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));          /* the sender has it, too */
    CHECK_INT(write(pipe[1], &byte, 1), 1);
    CHECK_INT(read(fd, &got, 1), 1);
    CHECK_INT(got, byte);
}

static void pass(int type, int n)
{
    static int pipes[MOST][2];
    int fds[2], out[MOST], in[MOST];
    size_t count = MOST;
    char buffer[8];

    CHECK_CODE(kin_socket_pair(type, fds), 0);
    make_pipes(pipes, n);
    for (int i = 0; i < n; i++)
        out[i] = pipes[i][0];
    CHECK_INT(kin_send_fds(fds[0], "take", 4, out, (size_t)n), 4);
    CHECK_INT(kin_receive_fds(fds[1], buffer, sizeof buffer, in, &count), 4);
    CHECK(memcmp(buffer, "take", 4) == 0);
    CHECK_INT(count, n);
    for (int i = 0; i < n; i++) {
        is_reading_end(in[i], pipes[i], (char)i);
        close(in[i]);
    }
    close_pipes(pipes, n);
    close_both(fds);
}

IO_TEST(descriptors_arrive_with_the_bytes)
{
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

    for (int i = 0; i < 3; i++) {
        pass(types[i], 0);
        pass(types[i], 1);
        pass(types[i], 50);
        pass(types[i], MOST);
    }
}

/* What was received can be made kin's own, and then used as such. */
IO_TEST(a_received_one_can_be_adopted)
{
    int fds[2], passed[2], in;
    size_t count = 1;
    char byte;

    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    tcp_pair(passed);
    CHECK_INT(kin_send_fds(fds[0], "x", 1, passed, 1), 1);
    CHECK_CODE(kin_close(passed[0]), 0);                /* it is on its way */
    CHECK_INT(kin_receive_fds(fds[1], &byte, 1, &in, &count), 1);
    CHECK_CODE(kin_adopt(in), in);
    CHECK_INT(kin_write(passed[1], "y", 1), 1);
    CHECK_INT(kin_read(in, &byte, 1), 1);
    close_both((int[]){ in, passed[1] });
    close_both(fds);
}

/* On a stream, the bytes of two messages do not run into each other. */
IO_TEST(messages_with_descriptors_stay_apart)
{
    int fds[2], pipes[2][2], in[4];
    char buffer[16];

    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    make_pipes(pipes, 2);
    CHECK_INT(kin_send_fds(fds[0], "one", 3, pipes[0], 2), 3);
    CHECK_INT(kin_send_fds(fds[0], "three", 5, pipes[1], 1), 5);
    CHECK_INT(kin_write(fds[0], "none", 4), 4);
    for (int i = 0; i < 3; i++) {
        static const int sizes[] = { 3, 5, 4 }, counts[] = { 2, 1, 0 };
        size_t count = 4;

        CHECK_INT(kin_receive_fds(fds[1], buffer, sizeof buffer, in, &count), sizes[i]);
        CHECK_INT(count, counts[i]);
        for (size_t j = 0; j < count; j++)
            close(in[j]);
    }
    CHECK_CODE(kin_close(fds[0]), 0);
    {
        size_t count = 4;

        CHECK_INT(kin_receive_fds(fds[1], buffer, sizeof buffer, in, &count), 0);
        CHECK_INT(count, 0);
    }
    CHECK_CODE(kin_close(fds[1]), 0);
    close_pipes(pipes, 2);
}

/* ----------------------------------------------------------------- what does not fit */

IO_TEST(more_than_there_is_room_for_are_all_closed)
{
    int fds[2], pipes[3][2], in[3], before;
    size_t count = 2;
    char byte;

    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    make_pipes(pipes, 3);
    before = open_descriptors();
    CHECK_INT(kin_send_fds(fds[0], "x", 1, pipes[0], 2), 1);
    CHECK_INT(kin_send_fds(fds[0], "yz", 2, (int[]){ 0, 1, 2 }, 3), 2);
    CHECK_INT(kin_receive_fds(fds[1], &byte, 1, in, &count), 1);
    CHECK_INT(count, 2);
    close(in[0]);
    close(in[1]);
    CHECK_CODE(kin_receive_fds(fds[1], &byte, 1, in, &count), -EMSGSIZE);
    CHECK_INT(count, 0);
    CHECK_INT(open_descriptors(), before);
    count = 0;
    CHECK_INT(kin_send_fds(fds[0], "x", 1, pipes[0], 1), 1);
    CHECK_INT(kin_read(fds[1], &byte, 1), 1);           /* what was left of the bytes */
    CHECK_CODE(kin_receive_fds(fds[1], &byte, 1, NULL, &count), -EMSGSIZE);
    CHECK_INT(open_descriptors(), before);
    close_pipes(pipes, 3);
    close_both(fds);
}

IO_TEST(a_datagram_that_is_cut_off_takes_its_descriptors_along)
{
    static const int types[] = { SOCK_DGRAM, SOCK_SEQPACKET };
    int fds[2], pipes[1][2], in[2], before;
    char buffer[4];

    make_pipes(pipes, 1);
    for (int i = 0; i < 2; i++) {
        size_t count = 2;

        CHECK_CODE(kin_socket_pair(types[i], fds), 0);
        before = open_descriptors();
        CHECK_INT(kin_send_fds(fds[0], "12345", 5, pipes[0], 2), 5);
        CHECK_CODE(kin_receive_fds(fds[1], buffer, 4, in, &count), -EMSGSIZE);
        CHECK_INT(count, 0);
        CHECK_INT(open_descriptors(), before);
        close_both(fds);
    }
    close_pipes(pipes, 1);
}

/* The kernel opens as many as it can, and says that it has cut off the rest. */
IO_TEST(a_process_without_room_has_lost_none_of_its_own)
{
    int fds[2], pipes[2][2], in[4], free_one;
    size_t count = 4;
    char byte;
    struct rlimit limit, before;

    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    make_pipes(pipes, 2);
    CHECK_INT(kin_send_fds(fds[0], "x", 1, pipes[0], 2), 1);
    CHECK_INT(kin_send_fds(fds[0], "y", 1, pipes[1], 2), 1);
    free_one = dup(0);
    close(free_one);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)free_one + 1;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_CODE(kin_receive_fds(fds[1], &byte, 1, in, &count), -EMFILE);
    CHECK_INT(count, 0);
    CHECK_INT(dup(0), free_one);                        /* none of those that came is open */
    close(free_one);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    count = 4;
    CHECK_INT(kin_receive_fds(fds[1], &byte, 1, in, &count), 1);
    CHECK_INT(count, 2);
    close(in[0]);
    close(in[1]);
    close_pipes(pipes, 2);
    close_both(fds);
}

/* The general form leaves it to the caller: what there was no room for is closed. */
IO_TEST(control_data_that_is_cut_off_is_said)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec piece = { &byte, 1 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = CMSG_LEN(sizeof(int)) };
    int fds[2], pipes[2][2], in, before;

    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    make_pipes(pipes, 2);
    before = open_descriptors();
    CHECK_INT(kin_send_fds(fds[0], "x", 1, (int[]){ pipes[0][0], pipes[1][0] }, 2), 1);
    CHECK_INT(kin_receive_message(fds[1], &message, 0), 1);
    CHECK(message.msg_flags & MSG_CTRUNC);
    CHECK_INT(open_descriptors(), before + 1);
    memcpy(&in, CMSG_DATA(&control.align), sizeof in);
    is_reading_end(in, pipes[0], 'a');                  /* close-on-exec, too */
    close(in);
    close_pipes(pipes, 2);
    close_both(fds);
}

IO_TEST(what_cannot_be_passed_is_refused)
{
    int fds[2], pipes[1][2], many[MOST + 1] = { 0 };

    make_pipes(pipes, 1);
    CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
    CHECK_CODE(kin_send_fds(fds[0], "x", 1, many, MOST + 1), KIN_EINVAL);
    CHECK_CODE(kin_send_fds(fds[0], "", 0, many, 1), KIN_EINVAL);
    CHECK_CODE(kin_send_fds(fds[0], "x", 1, (int[]){ -1 }, 1), -EBADF);
    CHECK_CODE(kin_send_fds(pipes[0][1], "x", 1, many, 1), -ENOTSOCK);
    CHECK_CODE(kin_send_fds(-1, "x", 1, many, 1), -EBADF);
    close_both(fds);
    tcp_pair(fds);                      /* would take the byte and drop the descriptor */
    CHECK_CODE(kin_send_fds(fds[0], "x", 1, many, 1), -EOPNOTSUPP);
    CHECK_INT(drain(fds[1]), 0);
    close_both(fds);
    close_pipes(pipes, 1);
}

/* --------------------------------------------------------------------- cancelled */

struct receive {
    int fd, in[4];
    size_t count;
    ssize_t result;
};

static int receive(void *arg)
{
    struct receive *r = arg;
    char byte;

    r->count = 4;
    r->result = kin_receive_fds(r->fd, &byte, 1, r->in, &r->count);
    return 0;
}

IO_TEST(C2_a_cancelled_receiver_leaves_them_to_the_next)
{
    for (int i = 0; i < 4; i++) {
        int fds[2], pipes[1][2], before;
        struct receive r = { .result = -1 };
        kin_group g = kin_group_open();
        kin_task task;

        CHECK_CODE(kin_socket_pair(SOCK_STREAM, fds), 0);
        make_pipes(pipes, 1);
        before = open_descriptors();
        r.fd = fds[1];
        kin_spawn(&g, receive, &r, .task = &task);
        CHECK_CODE(i & 1 ? kin_sleep(KIN_MS(1)) : kin_yield(), 0);
        if (i & 2)
            CHECK_INT(kin_send_fds(fds[0], "x", 1, pipes[0], 2), 1);
        CHECK_CODE(kin_cancel(&task, NULL), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(r.result, KIN_ECANCELED);
        CHECK_INT(r.count, 0);
        CHECK_INT(open_descriptors(), before);
        if (!(i & 2))
            CHECK_INT(kin_send_fds(fds[0], "x", 1, pipes[0], 2), 1);
        receive(&r);
        CHECK_INT(r.result, 1);
        CHECK_INT(r.count, 2);
        close(r.in[0]);
        close(r.in[1]);
        close_pipes(pipes, 1);
        close_both(fds);
    }
}

static int send_until_full(void *arg)
{
    int *fds = arg;
    ssize_t n;

    while ((n = kin_send_fds(fds[0], more_than_fits, 4096, fds, 2)) > 0)
        ;
    return (int)n;
}

/* Nobody reads. What is on its way is let go when the sockets are. */
IO_TEST(C2_a_cancelled_sender_has_sent_nothing)
{
    int fds[2], other[2], in[4];
    kin_group g = kin_group_open();
    kin_task task;
    char byte;

    CHECK_CODE(kin_socket_pair(SOCK_SEQPACKET, fds), 0);
    CHECK_CODE(kin_pipe(other), 0);
    kin_spawn(&g, send_until_full, (int[]){ fds[0], other[1] }, .task = &task);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_INT(task.status, KIN_PENDING);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    while (recv(fds[1], more_than_fits, 4096, MSG_DONTWAIT) == 4096)
        ;
    CHECK_INT(kin_send_fds(fds[0], "x", 1, other, 1), 1);
    {
        size_t count = 4;

        CHECK_INT(kin_receive_fds(fds[1], &byte, 1, in, &count), 1);
        CHECK_INT(count, 1);
        close(in[0]);
    }
    CHECK_CODE(kin_close(other[1]), 0);
    CHECK_INT(kin_read(other[0], &byte, 1), 0);         /* nobody else has the writing end */
    CHECK_CODE(kin_close(other[0]), 0);
    close_both(fds);
}

/* ------------------------------------------------------------------------ sweeps */

enum { ROUNDS = 4, FAILED = KIN_CODE(KIN_CLASS_USER, 1) };

/* Sends back what comes, until the other side ends. */
static int send_back(void *arg)
{
    int fd = *(const int *)arg;

    for (;;) {
        int in[2];
        size_t count = 2;
        char byte;
        ssize_t n = kin_receive_fds(fd, &byte, 1, in, &count);

        if (n > 0)
            n = kin_send_fds(fd, &byte, 1, in, count);
        for (size_t i = 0; i < count; i++)
            close(in[i]);
        if (n <= 0)
            return n == KIN_ECANCELED ? FAILED : (int)n;
    }
}

static int there_and_back(int fd, int passed[2])
{
    for (int i = 0; i < ROUNDS; i++) {
        int in[2];
        size_t count = 2;
        char byte = 'x';
        ssize_t n = kin_send_fds(fd, &byte, 1, passed, 2);

        if (n > 0)
            n = kin_receive_fds(fd, &byte, 1, in, &count);
        else
            count = 0;
        for (size_t j = 0; j < count; j++)
            close(in[j]);
        if (n <= 0)
            return n < 0 ? (int)n : FAILED;
    }
    return kin_shutdown(fd, SHUT_WR);
}

static int exchange(void *arg)
{
    kin_group g = kin_group_open();
    int fds[2], rc = kin_socket_pair(SOCK_STREAM, fds);

    (void)arg;
    if (rc < 0) {
        kin_group_leave(&g);
        return rc;
    }
    rc = kin_spawn(&g, send_back, &fds[1]);
    if (rc == 0)
        rc = there_and_back(fds[0], fds);
    rc = kin_group_close(&g, rc);
    close_both(fds);
    return rc == FAILED ? KIN_ECANCELED : rc;
}

TEST(C2_cancelled_anywhere_none_is_left_open)
{
    sweep_cancels(exchange, NULL);
    sweep_memory(exchange, NULL);
}

TEST(whatever_fails_none_is_left_open)
{
    CHECK_INT(sweep_site("socketpair", EMFILE, exchange, NULL), 1);
    CHECK_INT(sweep_site("getsockopt", ENOMEM, exchange, NULL), 2 * ROUNDS + 1);
    CHECK_INT(sweep_site("sendmsg", ETOOMANYREFS, exchange, NULL), 2 * ROUNDS);
    CHECK(sweep_site("recvmsg", ENOMEM, exchange, NULL) >= 2 * ROUNDS + 1);
    CHECK_INT(sweep_site("shutdown", ENOTCONN, exchange, NULL), 1);
}
