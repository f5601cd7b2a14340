/* C2 on descriptors: a cancelled call had no effect, a completed one is never
 * turned into a cancellation, and what the kernel holds on to comes back first. */
#include "io_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ------------------------------------------------ each call, in each way */

/* Something to wait for that does not come; descriptors to be closed, -1 ends them. */
struct hopeless {
    struct call call;
    int fds[4];
    struct sockaddr_in tcp;
    struct sockaddr_un name;
};

static void on_first(struct hopeless *h, enum call_kind what)
{
    h->call.what = what;
    h->call.fd = h->fds[0];
    h->fds[2] = -1;
}

static void tcp_read(struct hopeless *h)
{
    tcp_pair(h->fds);
    on_first(h, CALL_READ);
}

static void unix_read(struct hopeless *h)
{
    unix_pair(h->fds);
    on_first(h, CALL_READ);
}

static void pipe_read(struct hopeless *h)
{
    CHECK_CODE(kin_pipe(h->fds), 0);
    on_first(h, CALL_READ);
}

static void full_pipe(struct hopeless *h, enum call_kind what)
{
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    fill_up(fds[1]);
    h->fds[0] = fds[1];
    h->fds[1] = fds[0];
    on_first(h, what);
}

static void pipe_write(struct hopeless *h)
{
    full_pipe(h, CALL_WRITE);
}

static void tcp_write_all(struct hopeless *h)
{
    tcp_pair(h->fds);
    on_first(h, CALL_WRITE_ALL);
    h->call.buffer = more_than_fits;
    h->call.size = sizeof more_than_fits;
}

static void wait_readable(struct hopeless *h)
{
    tcp_pair(h->fds);
    on_first(h, CALL_WAIT);
    h->call.events = KIN_READABLE;
}

static void wait_writable(struct hopeless *h)
{
    full_pipe(h, CALL_WAIT);
    h->call.events = KIN_WRITABLE;
}

/* A blocking pipe of others. */
static void wait_foreign(struct hopeless *h)
{
    CHECK_INT(pipe2(h->fds, O_CLOEXEC), 0);
    on_first(h, CALL_WAIT);
    h->call.events = KIN_READABLE;
}

static void read_foreign(struct hopeless *h)
{
    CHECK_INT(pipe2(h->fds, O_CLOEXEC), 0);
    on_first(h, CALL_READ);
}

static void tcp_accept(struct hopeless *h)
{
    h->fds[0] = tcp_listener(&h->tcp, 0);
    h->fds[1] = -1;
    h->call.what = CALL_ACCEPT;
    h->call.fd = h->fds[0];
}

/* A listener whose queue is full does not answer any more. */
static void tcp_connect(struct hopeless *h)
{
    int fd;

    h->fds[0] = tcp_listener(&h->tcp, 1);
    for (int i = 1; i <= 2; i++) {
        fd = kin_connect((struct sockaddr *)&h->tcp, sizeof h->tcp);
        CHECK(fd >= 0);
        h->fds[i] = fd;
    }
    h->fds[3] = -1;
    h->call = (struct call){ .what = CALL_CONNECT, .address = &h->tcp, .length = sizeof h->tcp };
}

static void unix_connect(struct hopeless *h)
{
    socklen_t length;

    h->fds[0] = unix_listener(&h->name, &length, 1);
    for (int i = 1; i <= 2; i++)
        h->fds[i] = kin_connect((struct sockaddr *)&h->name, length);
    h->fds[3] = -1;
    h->call = (struct call){ .what = CALL_CONNECT, .address = &h->name, .length = length };
}

static void (*const set_ups[])(struct hopeless *h) = {
    tcp_read, unix_read, pipe_read, pipe_write, tcp_write_all, wait_readable, wait_writable,
    wait_foreign, read_foreign, tcp_accept, tcp_connect, unix_connect,
};

static void for_each(void (*test)(struct hopeless *h))
{
    for (size_t i = 0; i < sizeof set_ups / sizeof set_ups[0]; i++) {
        struct hopeless h = { 0 };

        printf("case %zu\n", i);
        set_ups[i](&h);
        test(&h);
        CHECK(h.call.ended);
        for (const int *fd = h.fds; *fd >= 0 && fd < h.fds + 4; fd++)
            CHECK_CODE(kin_close(*fd), 0);
    }
}

static void cancel_task(struct hopeless *h, bool submitted)
{
    kin_group g = kin_group_open();
    kin_task task;

    begin_call(&g, &h->call, &task, submitted);
    CHECK(!h->call.ended);
    CHECK_CODE(kin_cancel(&task, "enough"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(h->call.result, KIN_ECANCELED);
}

static void cancel_submitted(struct hopeless *h)
{
    cancel_task(h, true);
}

static void cancel_just_begun(struct hopeless *h)
{
    cancel_task(h, false);
}

IO_TEST(C2_each_call_is_cancelled_in_flight)
{
    for_each(cancel_submitted);
}

IO_TEST(C2_each_call_is_cancelled_before_the_kernel_has_it)
{
    for_each(cancel_just_begun);
}

static void time_out(struct hopeless *h)
{
    kin_scope s = kin_scope_open(.timeout = KIN_MS(5));
    int64_t began = kin_now();

    call(&h->call);
    CHECK(kin_now() - began >= KIN_MS(5));
    CHECK_CODE(kin_scope_close(&s, (int)h->call.result), KIN_ETIMEDOUT);
    CHECK_CODE(h->call.result, KIN_ECANCELED);
}

IO_TEST(C2_each_call_is_cancelled_by_a_deadline)
{
    for_each(time_out);
}

static void already_cancelled(struct hopeless *h)
{
    kin_scope s = kin_scope_open(.cancelled = true);

    call(&h->call);
    CHECK_CODE(kin_scope_close(&s, (int)h->call.result), 0);
    CHECK_CODE(h->call.result, KIN_ECANCELED);
    CHECK_INT(h->call.done, 0);
}

IO_TEST(C2_each_call_looks_at_cancellation_first)
{
    for_each(already_cancelled);
}

IO_TEST(C2_a_cancelled_scope_leaves_what_is_ready_alone)
{
    kin_scope s;
    char buffer[8];
    int fds[2], left;

    tcp_pair(fds);
    CHECK_INT(kin_write(fds[0], "data", 4), 4);
    CHECK_INT(kin_wait_fd(fds[1], KIN_READABLE), KIN_READABLE);
    s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_read(fds[1], buffer, sizeof buffer), KIN_ECANCELED);
    CHECK_CODE(kin_write(fds[1], buffer, sizeof buffer), KIN_ECANCELED);
    CHECK_CODE(kin_wait_fd(fds[1], KIN_READABLE), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_INT(ioctl(fds[1], FIONREAD, &left), 0);
    CHECK_INT(left, 4);
    CHECK_INT(drain(fds[0]), 0);
    close_both(fds);
}

/* --------------------------------------- cancellation against completion */

/* Whoever waits for one of kin's descriptors is sent away at once, on both backends: nothing
 * that comes later is taken. */
static void cancel_then_data(void (*make)(int[2]), bool submitted)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2];

    make(fds);
    c.fd = fds[0];
    begin_call(&g, &c, &task, submitted);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_INT(write(fds[1], "data", 4), 4);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECANCELED);
    CHECK_INT(drain(fds[0]), 4);
    close_both(fds);
}

/* Both are there before anybody looks: whichever is taken, no byte is lost. */
static void data_then_cancel(void (*make)(int[2]), bool submitted)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2];

    make(fds);
    c.fd = fds[0];
    begin_call(&g, &c, &task, submitted);
    CHECK_INT(write(fds[1], "data", 4), 4);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(c.result == KIN_ECANCELED || c.result == 4);
    CHECK_INT(drain(fds[0]), c.result == 4 ? 0 : 4);
    close_both(fds);
}

static void make_pipe(int fds[2])
{
    CHECK_CODE(kin_pipe(fds), 0);
}

IO_TEST(C2_T44_cancel_and_data_in_one_turn_lose_nothing)
{
    void (*const make[])(int[2]) = { tcp_pair, unix_pair, make_pipe };

    for (int i = 0; i < 12; i++)
        (i & 1 ? cancel_then_data : data_then_cancel)(make[i % 3], i >= 6);
}

struct canceller {
    struct call call;
    kin_task *task;
};

static int cancel_after_call(void *arg)
{
    struct canceller *c = arg;

    call(&c->call);
    return kin_cancel(c->task, "too late");
}

/* Reader and canceller wake up in the same turn, the canceller first. */
IO_TEST(C2_T02_a_completed_read_is_not_cancelled)
{
    struct call reader = { .what = CALL_READ };
    struct canceller canceller = { .call.what = CALL_READ };
    kin_group g = kin_group_open();
    kin_task task;
    int first[2], second[2];

    tcp_pair(first);
    tcp_pair(second);
    canceller.call.fd = first[0];
    canceller.task = &task;
    reader.fd = second[0];
    CHECK_CODE(kin_spawn(&g, cancel_after_call, &canceller), 0);
    begin_call(&g, &reader, &task, true);
    CHECK_INT(write(first[1], "x", 1), 1);
    CHECK_INT(write(second[1], "data", 4), 4);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(reader.result, 4);
    CHECK_INT(task.status, KIN_OK);
    close_both(first);
    close_both(second);
}

/* ------------------------------------------------------ nothing gets lost */

enum { NUMBERS = 2000 };

static int write_numbers(void *arg)
{
    int rc, *fd = arg;

    for (int i = 0; i < NUMBERS; i++) {
        unsigned char number = (unsigned char)i;

        rc = kin_write_all(*fd, &number, 1, NULL);
        if (rc < 0)
            return rc;
        for (int pause = rand() % 4; pause > 0; pause--)
            kin_yield();
    }
    return 0;
}

static int read_number(int fd, unsigned char *number)
{
    kin_scope s = kin_scope_open(.timeout = 1 + rand() % KIN_US(30));
    int n = (int)kin_read(fd, number, 1), rc = kin_scope_close(&s, n);

    CHECK(n == 1 || n == KIN_ECANCELED);
    CHECK_CODE(rc, n == 1 ? 1 : KIN_ETIMEDOUT);
    return n;
}

static void read_all_numbers(void (*make)(int[2]))
{
    kin_group g = kin_group_open();
    unsigned char number;
    int fds[2];

    make(fds);
    CHECK_CODE(kin_spawn(&g, write_numbers, &fds[1]), 0);
    for (int i = 0; i < NUMBERS;)
        if (read_number(fds[0], &number) == 1)
            CHECK_INT(number, i++ & 0xff);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    close_both(fds);
}

IO_TEST_LIMIT(C2_deadlines_lose_no_byte, 60)
{
    read_all_numbers(tcp_pair);
    read_all_numbers(unix_pair);
    read_all_numbers(make_pipe);
}

enum { CALLERS = 200 };

static int connect_often(void *arg)
{
    struct sockaddr_in *address = arg;

    for (int i = 0; i < CALLERS; i++) {
        int fd = kin_connect((struct sockaddr *)address, sizeof *address);

        if (fd < 0)
            return fd;
        kin_close(fd);
        kin_yield();
    }
    return 0;
}

IO_TEST_LIMIT(C2_deadlines_lose_no_connection, 60)
{
    struct sockaddr_in address;
    int fd, rc, accepted = 0, listener = tcp_listener(&address, CALLERS);
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, connect_often, &address), 0);
    while (accepted < CALLERS) {
        kin_scope s = kin_scope_open(.timeout = 1 + rand() % KIN_US(50));

        fd = kin_accept(listener);
        rc = kin_scope_close(&s, fd);
        CHECK(fd >= 0 ? rc == fd : fd == KIN_ECANCELED && rc == KIN_ETIMEDOUT);
        if (fd >= 0) {
            accepted++;
            CHECK_CODE(kin_close(fd), 0);
        }
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(listener), 0);
}

IO_TEST(write_all_says_how_much_when_cancelled)
{
    struct call c = { .what = CALL_WRITE_ALL, .buffer = more_than_fits,
                      .size = sizeof more_than_fits };
    kin_group g = kin_group_open();
    kin_task task;
    size_t got = 0;
    int fds[2];

    unix_pair(fds);
    c.fd = fds[0];
    begin_call(&g, &c, &task, true);
    got += drain(fds[1]);
    CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECANCELED);
    got += drain(fds[1]);
    CHECK_INT(c.done, got);
    CHECK(got > 0);
    close_both(fds);
}

/* --------------------------------------------------------- many, and ends */

/* When cancel returns, the waiter is on the run queue, and the kernel is not asked. */
IO_TEST(C8_who_waits_for_kin_s_own_goes_on_at_once)
{
    void (*const ways[])(struct hopeless *h) = { tcp_read, unix_read, pipe_read, tcp_accept,
                                                 pipe_write };

    for (int i = 0; i < 10; i++) {
        struct hopeless h = { 0 };
        kin_group g = kin_group_open();
        kin_task task;

        ways[i / 2](&h);
        begin_call(&g, &h.call, &task, i & 1);
        CHECK_CODE(kin_cancel(&task, NULL), 0);
        CHECK_CODE(kin_yield(), 0);
        CHECK(h.call.ended);
        CHECK_CODE(h.call.result, KIN_ECANCELED);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        for (const int *fd = h.fds; *fd >= 0; fd++)
            CHECK_CODE(kin_close(*fd), 0);
    }
}

IO_TEST(C8_a_thousand_waits_are_cancelled_at_once)
{
    enum { N = 1000 };
    static struct call c[N];
    static int fds[N][2];
    kin_group g = kin_group_open();

    for (int i = 0; i < N; i++) {
        CHECK_CODE(kin_pipe(fds[i]), 0);
        c[i] = (struct call){ .what = CALL_READ, .fd = fds[i][0] };
        CHECK_CODE(kin_spawn(&g, call, &c[i]), 0);
    }
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < N; i++) {
        CHECK_CODE(c[i].result, KIN_ECANCELED);
        close_both(fds[i]);
    }
}

/* More operations than fit a ring, none of them seen by the kernel yet. */
IO_TEST(C8_a_thousand_waits_are_cancelled_unsubmitted)
{
    enum { N = 1000 };
    static struct call c[N];
    static int fds[N][2];
    kin_group g = kin_group_open();

    for (int i = 0; i < N; i++) {
        unix_pair(fds[i]);
        c[i] = (struct call){ .what = CALL_READ, .fd = fds[i][0] };
    }
    for (int i = 0; i < N; i++)
        CHECK_CODE(kin_spawn(&g, call, &c[i]), 0);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < N; i++) {
        CHECK_CODE(c[i].result, KIN_ECANCELED);
        close_both(fds[i]);
    }
}

struct left {
    struct call call;
    int fds[2];
};

static int leave_reading(void *arg)
{
    struct left *left = arg;
    int rc;

    CHECK_CODE(kin_pipe(left->fds), 0);
    left->call = (struct call){ .what = CALL_READ, .fd = left->fds[0] };
    {
        kin_scoped_group g = kin_group_open();

        rc = kin_spawn(&g, call, &left->call);
    }
    return rc;
}

/* The run ends in the very turn in which the cancellation is on its way. */
TEST(T54_a_run_may_end_right_after_a_cancellation)
{
    struct left left;

    for (int i = 0; i < 50; i++) {
        int before = open_descriptors();

        CHECK_CODE(kin_run(leave_reading, &left), 0);
        CHECK_CODE(left.call.result, KIN_ECANCELED);
        close_both(left.fds);
        CHECK_INT(open_descriptors(), before);
    }
}
