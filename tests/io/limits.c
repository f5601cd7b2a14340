/* What the system refuses: descriptors, memory, io_uring itself, newer calls. */
#include "io_test.h"

#include "core/core.h"
#include "io/io.h"
#include "kin_config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ------------------------------------------------------------- descriptors */

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return fd;
}

static struct rlimit limit_descriptors(int more)
{
    struct rlimit before, limit;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)(lowest_free() + more);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

IO_TEST(emfile_is_reported_and_passes)
{
    struct sockaddr_in address;
    int client, accepted, fds[2], listener = tcp_listener(&address, 5);
    struct rlimit before = limit_descriptors(1);

    client = kin_connect((struct sockaddr *)&address, sizeof address);
    CHECK(client >= 0);
    CHECK_CODE(kin_accept(listener), -EMFILE);
    CHECK_CODE(kin_connect((struct sockaddr *)&address, sizeof address), -EMFILE);
    CHECK_CODE(kin_listen((struct sockaddr *)&address, sizeof address, 1), -EMFILE);
    CHECK_CODE(kin_pipe(fds), -EMFILE);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    accepted = kin_accept(listener);        /* the connection has waited */
    CHECK(accepted >= 0);
    CHECK_CODE(kin_close(accepted), 0);
    CHECK_CODE(kin_close(client), 0);
    CHECK_CODE(kin_close(listener), 0);
}

static int nothing_to_do(void *arg)
{
    (void)arg;
    return 0;
}

TEST(a_run_without_descriptors_says_so)
{
    struct rlimit before = limit_descriptors(0);

    CHECK_CODE(kin_run(nothing_to_do, NULL), -EMFILE);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_CODE(kin_run(nothing_to_do, NULL), 0);
}

IO_TEST(numbers_may_be_large)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    struct rlimit limit;
    int fds[2], high;

    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 5000)
        SKIP("too few descriptors");
    CHECK_CODE(kin_pipe(fds), 0);
    high = fcntl(fds[0], F_DUPFD_CLOEXEC, 4567);
    CHECK_INT(high, 4567);
    c.fd = high;
    begin_call(&g, &c, NULL, true);
    CHECK_INT(kin_write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 1);
    CHECK_CODE(kin_close(high), 0);
    close_both(fds);
}

/* ------------------------------------------------------------------ memory */

IO_TEST(a_table_that_cannot_grow_is_enomem)
{
    int fds[2], high;
    char c = 'x';

    CHECK_CODE(kin_pipe(fds), 0);
    high = fcntl(fds[0], F_DUPFD_CLOEXEC, 300);
    CHECK_INT(kin_write(fds[1], &c, 1), 1);
    fail_next("alloc", ENOMEM, 3);
    CHECK_CODE(kin_read(high, &c, 1), -ENOMEM);
    CHECK_CODE(kin_wait_fd(high, KIN_READABLE), -ENOMEM);
    kin__os_fault = NULL;
    CHECK_INT(kin_read(high, &c, 1), 1);
    CHECK_CODE(kin_close(high), 0);
    close_both(fds);
}

/* An accepted connection is never lost, even if nothing can be noted about it. */
IO_TEST(a_connection_is_accepted_without_memory)
{
    enum { N = 64 };
    struct sockaddr_in address;
    int client, fd, listener = tcp_listener(&address, 5), fillers[N];
    char c = 'x';

    client = kin_connect((struct sockaddr *)&address, sizeof address);
    for (int i = 0; i < N; i++)
        fillers[i] = dup(listener);         /* beyond the table's first size */
    fail_next("alloc", ENOMEM, 1);
    fd = kin_accept(listener);
    CHECK(fd >= 64);
    CHECK_INT(failed_so_far(), 1);
    kin__os_fault = NULL;
    CHECK_INT(kin_write(client, &c, 1), 1);
    CHECK_INT(kin_read(fd, &c, 1), 1);
    for (int i = 0; i < N; i++)
        close(fillers[i]);
    CHECK_CODE(kin_close(fd), 0);
    CHECK_CODE(kin_close(client), 0);
    CHECK_CODE(kin_close(listener), 0);
}

/* A registration that failed for want of memory is made later, whatever is known. */
IO_TEST(a_failed_registration_leaves_no_trace)
{
    struct call c = { .what = CALL_WAIT, .events = KIN_READABLE };
    char byte;
    int fds[2];

    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    c.fd = fds[0];
    for (int i = 0; i < 3; i++) {
        kin_group g = kin_group_open();

        if (i == 1)
            fail_next("epoll_ctl", ENOMEM, 1);
        begin_call(&g, &c, NULL, true);
        kin__os_fault = NULL;
        CHECK_INT(write(fds[1], "x", 1), 1);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(c.result, i == 1 && !on_uring() ? -ENOMEM : (int)KIN_READABLE);
        CHECK_INT(read(fds[0], &byte, 1), 1);
    }
    close_both(fds);
}

/* Any allocation of the set-up fails: an error, and nothing leaks. */
TEST(a_run_that_cannot_be_set_up_leaves_nothing)
{
    int rc, skip = 0, before = open_descriptors();

    do {
        fail_later("alloc", ENOMEM, skip++, 1);
        rc = kin_run(nothing_to_do, NULL);
        kin__os_fault = NULL;
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_INT(open_descriptors(), before);
    } while (failed_so_far());
    CHECK(skip > 3);
}

/* -------------------------------------------- system calls, one after one */

static int try_everything(void *arg)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int *rc = arg, fds[2] = { -1, -1 }, listener = -1, client = -1, server = -1;
    char c[4] = "abc";

    *rc = listener = kin_listen((struct sockaddr *)&address, length, 5);
    if (*rc < 0)
        goto end;
    getsockname(listener, (struct sockaddr *)&address, &length);
    *rc = client = kin_connect((struct sockaddr *)&address, length);
    if (*rc < 0)
        goto end;
    *rc = server = kin_accept(listener);
    if (*rc < 0)
        goto end;
    *rc = kin_pipe(fds);
    if (*rc < 0)
        goto end;
    if ((*rc = kin_write_all(fds[1], c, sizeof c, NULL)) < 0 ||
        (*rc = kin_wait_fd(fds[0], KIN_READABLE)) < 0 ||
        (*rc = (int)kin_read(fds[0], c, sizeof c)) < 0 ||
        (*rc = (int)kin_write(client, c, sizeof c)) < 0 ||
        (*rc = (int)kin_read(server, c, sizeof c)) < 0)
        goto end;
    *rc = 0;
end:
    for (const int *fd = (int[]){ listener, client, server, fds[0], fds[1], -2 }; *fd != -2; fd++)
        if (*fd >= 0 && kin_close(*fd) < 0)
            *rc = -EIO;
    return 0;
}

static void fail_each(const char *site, int error)
{
    int rc, skip = 0, before = open_descriptors();

    do {
        fail_later(site, error, skip++, 1);
        CHECK_CODE(kin_run(try_everything, &rc), 0);
        kin__os_fault = NULL;
        if (rc != (failed_so_far() ? -error : 0))
            FAIL("%s failed %d times with %s: %s", site, failed_so_far(), kin_code_name(-error),
                 kin_code_name(rc));
        CHECK_INT(open_descriptors(), before);
    } while (failed_so_far());
    printf("%s: %d times\n", site, skip - 1);
}

TEST(each_system_call_may_fail)
{
    fail_each("socket", ENFILE);
    fail_each("bind", EADDRINUSE);
    fail_each("listen", EADDRINUSE);
    fail_each("connect", ENETUNREACH);
    fail_each("getsockopt", ENOBUFS);
    fail_each("accept", EMFILE);
    fail_each("pipe", ENFILE);
    fail_each("read", EIO);
    fail_each("write", EIO);
    fail_each("poll", ENOMEM);
    fail_each("epoll_ctl", ENOSPC);
    fail_each("close", EIO);
}

/* Errors after which the call is simply made again. */
static void repeat_each(const char *site, int error, int times)
{
    int rc;

    fail_next(site, error, times);
    CHECK_CODE(kin_run(try_everything, &rc), 0);
    kin__os_fault = NULL;
    CHECK_CODE(rc, 0);
}

TEST(passing_errors_are_not_reported)
{
    repeat_each("accept", ECONNABORTED, 3);
    repeat_each("accept", EPROTO, 1);
    repeat_each("accept", EINTR, 2);
    repeat_each("read", EINTR, 2);
    repeat_each("write", EINTR, 2);
}

static int sleep_a_little(void *arg)
{
    int64_t began = kin_now();

    CHECK_CODE(kin_sleep(KIN_US(1500)), 0);
    CHECK(kin_now() - began >= KIN_US(1500));
    return *(int *)arg;
}

static int sleep_and_count(void *arg)
{
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);    /* finds out that there is no epoll_pwait2 */
    fail_later("epoll_wait", 0, 1000, 0);   /* counts, and lets all pass */
    CHECK_CODE(kin_sleep(KIN_US(4500)), 0);
    *(int *)arg = 1000 - left_to_skip();
    return 0;
}

/* The last part of a millisecond is slept through, not spun away. */
TEST(without_nanoseconds_nobody_spins)
{
    int waits = 0;

    fail_next("epoll_pwait2", ENOSYS, 1);
    CHECK_CODE(kin_run(sleep_and_count, &waits, .backend = "epoll"), 0);
    CHECK(waits > 0 && waits < 5);
}

/* Kernels and filters without epoll_pwait2: milliseconds, but never early. */
TEST(D4_never_early_without_nanoseconds)
{
    int zero = 0;

    for (int i = 0; i < 2; i++) {
        fail_next("epoll_pwait2", i ? EPERM : ENOSYS, 1000);
        CHECK_CODE(kin_run(sleep_a_little, &zero), 0);
        kin__os_fault = NULL;
        CHECK_CODE(kin_run(sleep_a_little, &zero), 0);
    }
}

/* ----------------------------------------------------------------- io_uring */

/* No room in the ring, again and again: nothing is lost, and what waits for room
 * can be cancelled at once. */
IO_TEST(a_full_ring_loses_nothing)
{
    struct call c[4] = { { 0 } };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[4][2];

    for (int i = 0; i < 4; i++) {
        tcp_pair(fds[i]);
        c[i] = (struct call){ .what = CALL_READ, .fd = fds[i][0] };
    }
    fail_next("uring_full", EAGAIN, 10);
    for (int i = 0; i < 4; i++)
        begin_call(&g, &c[i], &task, false);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_close(c[2].fd), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(write(fds[i][1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_CODE(c[i].result, i < 2 ? 1 : i == 2 ? KIN_ECLOSED : KIN_ECANCELED);
        if (i != 2)
            CHECK_CODE(kin_close(fds[i][0]), 0);
        CHECK_CODE(kin_close(fds[i][1]), 0);
    }
}

IO_TEST(a_busy_kernel_loses_nothing)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2];

    tcp_pair(fds);
    c.fd = fds[0];
    fail_next("uring_enter", EBUSY, 20);
    begin_call(&g, &c, NULL, true);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 1);
    close_both(fds);
}

/* The kernel may say that it did not find what it is to cancel, and be wrong. */
IO_TEST(a_missed_cancellation_is_asked_for_again)
{
    struct call c = { .what = CALL_WAIT, .events = KIN_READABLE };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2];

    tcp_pair(fds);
    c.fd = fds[0];
    begin_call(&g, &c, &task, true);
    fail_next("uring_cancel", ENOENT, 3);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECANCELED);
    CHECK_INT(failed_so_far(), on_uring() ? 3 : 0);
    close_both(fds);
}

/* One who waits for the third time: by a poll that stays, where there are such. */
static void wait_often(int fd, int from, struct call *c, kin_group *g)
{
    for (int i = 0; i < 2; i++) {
        char byte;

        CHECK_CODE(kin_spawn(g, call, c), 0);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
        CHECK_INT(write(from, "x", 1), 1);
        while (!c->ended)
            CHECK_CODE(kin_yield(), 0);
        CHECK_INT(c->result, 1);
        c->ended = false;
        CHECK_INT(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    }
    begin_call(g, c, NULL, true);
}

/* The same for the poll of a descriptor that is to be closed; or there is no room for that. */
IO_TEST(F1_a_missed_poll_is_called_off_again)
{
    static const char *const sites[] = { "uring_cancel", "uring_full" };

    for (int i = 0; i < 2; i++) {
        struct call c = { .what = CALL_READ };
        kin_group g = kin_group_open();
        char byte;
        int fds[2];

        tcp_pair(fds);
        c.fd = fds[0];
        wait_often(fds[0], fds[1], &c, &g);
        fail_next(sites[i], ENOENT, 3);
        CHECK_CODE(kin_close(fds[0]), 0);
        CHECK_INT(failed_so_far(), on_uring() ? 3 : 0);
        kin__os_fault = NULL;
        CHECK_INT(fcntl(fds[0], F_GETFD), -1);
        CHECK_INT(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0);     /* the peer knows, too */
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(c.result, KIN_ECLOSED);
        CHECK_CODE(kin_close(fds[1]), 0);
    }
}

static int converse(void *arg)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    kin_task task;
    int fds[2];

    (void)arg;
    tcp_pair(fds);
    c.fd = fds[0];
    for (int i = 0; i < 3; i++) {
        wait_often(fds[0], fds[1], &c, &g);
        CHECK_INT(send(fds[1], "urgent", 6, MSG_OOB), 6);
        while (!c.ended)
            CHECK_CODE(kin_yield(), 0);
        CHECK_INT(c.result, 5);
        c.ended = false;
    }
    CHECK_CODE(kin_spawn(&g, call, &c, .task = &task), 0);
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECANCELED);
    close_both(fds);
    return 0;
}

/* Kernels before 5.13 have no polls that stay. */
TEST(with_and_without_polls_that_stay)
{
    int before = open_descriptors();

    CHECK_CODE(kin_run(converse, NULL), 0);
    fail_next("uring_multishot", EINVAL, 1);
    CHECK_CODE(kin_run(converse, NULL), 0);
    kin__os_fault = NULL;
    CHECK_INT(open_descriptors(), before);
}

/* -------------------------------------------------------- which backend it is */

static int name_backend(void *arg)
{
    struct kin_facts facts;

    CHECK_CODE(kin_facts(&facts), 0);
    *(const char **)arg = facts.backend;
    return 0;
}

static const char *chosen(void)
{
    const char *name = "none";

    CHECK_CODE(kin_run(name_backend, &name), 0);
    return name;
}

TEST(the_backend_can_be_forced)
{
    const char *name = "none", *forced = getenv("KIN_BACKEND");

    CHECK(forced != NULL);
    CHECK_STR(chosen(), forced);
    CHECK_CODE(kin_run(name_backend, &name, .backend = "epoll"), 0);
    CHECK_STR(name, "epoll");
    CHECK_CODE(kin_run(name_backend, &name, .backend = "virtual"), 0);
    CHECK_STR(name, "virtual");
    CHECK_CODE(kin_run(name_backend, &name, .backend = "kqueue"), KIN_EINVAL);
    CHECK_INT(setenv("KIN_BACKEND", "nonsense", 1), 0);
    CHECK_CODE(kin_run(name_backend, &name), KIN_EINVAL);
}

TEST(without_uring_epoll_is_chosen)
{
    static const int errors[] = { ENOSYS, EPERM, ENOMEM };
    int before = open_descriptors();

    CHECK_INT(unsetenv("KIN_BACKEND"), 0);
    for (int i = 0; i < 3; i++) {
        fail_next("uring_setup", errors[i], 10);
        CHECK_STR(chosen(), "epoll");
        fail_next("uring_probe", errors[i], 10);
        CHECK_STR(chosen(), "epoll");
        kin__os_fault = NULL;
    }
    CHECK_INT(open_descriptors(), before);
}

/* As containers do it. */
static void forbid_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof rules / sizeof rules[0], rules };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        SKIP("no seccomp filters here");
}

TEST(in_a_container_epoll_is_chosen)
{
    int rc;

    forbid_uring();
    CHECK_INT(unsetenv("KIN_BACKEND"), 0);
    CHECK_STR(chosen(), "epoll");
    CHECK_CODE(kin_run(try_everything, &rc), 0);
    CHECK_CODE(rc, 0);
#if KIN_HAVE_URING
    CHECK_CODE(kin_run(nothing_to_do, NULL, .backend = "uring"), -EPERM);
#endif
}

TEST(a_forced_uring_that_does_not_work_is_an_error)
{
#if KIN_HAVE_URING
    const char *name;
    int before = open_descriptors();

    fail_next("uring_setup", EPERM, 10);
    CHECK_CODE(kin_run(name_backend, &name, .backend = "uring"), -EPERM);
    fail_next("uring_probe", ENOSYS, 10);
    CHECK_CODE(kin_run(name_backend, &name, .backend = "uring"), -ENOSYS);
    CHECK_INT(open_descriptors(), before);
#else
    SKIP("built without io_uring");
#endif
}
