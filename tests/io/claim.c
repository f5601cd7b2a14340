/* F1: one reader and one writer a descriptor; closing wakes both and closes when
 * the kernel has let go; numbers are used again without mixing things up. */
#include "io_test.h"

#include "core/core.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

IO_TEST(F1_T48_the_second_reader_is_busy)
{
    struct call first = { .what = CALL_READ };
    kin_group g = kin_group_open();
    char c = 'x';
    int fds[2];

    tcp_pair(fds);
    first.fd = fds[0];
    begin_call(&g, &first, NULL, false);
    CHECK_CODE(kin_read(fds[0], &c, 1), KIN_EBUSY);
    CHECK_CODE(kin_wait_fd(fds[0], KIN_READABLE), KIN_EBUSY);
    CHECK_CODE(kin_wait_fd(fds[0], KIN_READABLE | KIN_WRITABLE), KIN_EBUSY);
    CHECK_INT(kin_write(fds[0], &c, 1), 1);
    CHECK_INT(kin_wait_fd(fds[0], KIN_WRITABLE), KIN_WRITABLE);
    CHECK_INT(kin_write(fds[1], &c, 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(first.result, 1);
    close_both(fds);
}

IO_TEST(F1_T48_the_second_acceptor_is_busy)
{
    struct sockaddr_in address;
    struct call first = { .what = CALL_ACCEPT };
    kin_group g = kin_group_open();
    kin_task task;

    first.fd = tcp_listener(&address, 0);
    begin_call(&g, &first, &task, false);
    CHECK_CODE(kin_accept(first.fd), KIN_EBUSY);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_close(first.fd), 0);
}

IO_TEST(F1_the_second_writer_is_busy_until_all_is_written)
{
    struct call first = { .what = CALL_WRITE_ALL, .buffer = more_than_fits,
                          .size = sizeof more_than_fits };
    kin_group g = kin_group_open();
    size_t got = 0;
    char c = 'x';
    int fds[2];

    unix_pair(fds);
    first.fd = fds[0];
    begin_call(&g, &first, NULL, true);
    while (!first.ended) {
        CHECK_CODE(kin_write(fds[0], &c, 1), KIN_EBUSY);
        CHECK_CODE(kin_write_all(fds[0], &c, 1, NULL), KIN_EBUSY);
        got += drain(fds[1]);
        CHECK_CODE(kin_yield(), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(first.result, 0);
    CHECK_INT(got + drain(fds[1]), sizeof more_than_fits);
    CHECK_INT(kin_write(fds[0], &c, 1), 1);
    close_both(fds);
}

/* Somebody who was refused must not have disturbed who waits. */
IO_TEST(F1_a_cancelled_waiter_makes_room)
{
    struct call first = { .what = CALL_READ };
    kin_group g = kin_group_open();
    kin_task task;
    char c = 'x';
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    first.fd = fds[0];
    begin_call(&g, &first, &task, true);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_write(fds[1], &c, 1), 1);
    CHECK_INT(kin_read(fds[0], &c, 1), 1);
    close_both(fds);
}

static void close_under(enum call_kind what, bool submitted)
{
    struct call reader = { .what = what, .events = KIN_READABLE };
    struct call writer = { .what = CALL_WRITE_ALL, .buffer = more_than_fits,
                           .size = sizeof more_than_fits };
    kin_group g = kin_group_open();
    char c;
    int fds[2];

    tcp_pair(fds);
    reader.fd = writer.fd = fds[0];
    begin_call(&g, &writer, NULL, submitted);
    begin_call(&g, &reader, NULL, submitted);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_close(fds[0]), -EBADF);
    CHECK_CODE(kin_read(fds[0], &c, 1), -EBADF);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(reader.result, KIN_ECLOSED);
    CHECK_CODE(writer.result, KIN_ECLOSED);
    CHECK_INT(fcntl(fds[0], F_GETFD), -1);
    drain(fds[1]);
    CHECK(kin_read(fds[1], &c, 1) <= 0);
    CHECK_CODE(kin_close(fds[1]), 0);
}

IO_TEST(F1_close_wakes_reader_and_writer)
{
    close_under(CALL_READ, true);
    close_under(CALL_READ, false);
    close_under(CALL_WAIT, true);
    close_under(CALL_WAIT, false);
}

IO_TEST(F1_close_wakes_who_waits_for_both_directions)
{
    struct call c = { .what = CALL_WAIT, .events = KIN_READABLE | KIN_WRITABLE };
    kin_group g = kin_group_open();
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    fill_up(fds[1]);
    c.fd = fds[1];
    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    CHECK_CODE(kin_close(fds[1]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_CODE(kin_close(fds[0]), 0);
}

IO_TEST(F1_close_wakes_an_acceptor)
{
    struct sockaddr_in address;
    struct call c = { .what = CALL_ACCEPT };
    kin_group g = kin_group_open();

    c.fd = tcp_listener(&address, 0);
    begin_call(&g, &c, NULL, true);
    CHECK_CODE(kin_close(c.fd), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_CODE(kin_connect((struct sockaddr *)&address, sizeof address), -ECONNREFUSED);
}

static int close_it(void *arg)
{
    return kin_close(*(int *)arg);
}

/* Cancelled and closed in one turn: the first says why, and both are safe. */
IO_TEST(F1_close_and_cancel_together)
{
    for (int i = 0; i < 4; i++) {
        struct call c = { .what = CALL_READ };
        kin_group g = kin_group_open();
        kin_task task;
        int fds[2];

        tcp_pair(fds);
        c.fd = fds[0];
        begin_call(&g, &c, &task, i & 2);
        if (i & 1)
            CHECK_CODE(kin_cancel(&task, NULL), 0);
        CHECK_CODE(kin_spawn(&g, close_it, &fds[0]), 0);
        CHECK_CODE(kin_yield(), 0);
        kin_cancel(&task, NULL);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(c.result, i & 1 ? KIN_ECANCELED : KIN_ECLOSED);
        CHECK_CODE(kin_close(fds[1]), 0);
    }
}

/* Data that came before the close is not thrown away once it was completed. */
IO_TEST(F1_close_after_data)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2];

    unix_pair(fds);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    CHECK_INT(write(fds[1], "data", 4), 4);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(c.result == 4 || c.result == KIN_ECLOSED);
    CHECK_CODE(kin_close(fds[1]), 0);
}

/* In the kernel's hands, or only just on the way there. */
static void begin_wait(kin_group *g, struct call *c, int fds[2], bool submitted)
{
    CHECK_CODE(kin_pipe(fds), 0);
    *c = (struct call){ .what = CALL_WAIT, .fd = fds[0], .events = KIN_READABLE };
    begin_call(g, c, NULL, submitted);
    CHECK(!c->ended);
}

IO_TEST(F1_when_close_returns_the_descriptor_is_closed)
{
    for (int i = 0; i < 2; i++) {
        kin_group g = kin_group_open();
        struct call c;
        int fds[2];

        begin_wait(&g, &c, fds, i);
        CHECK_CODE(kin_close(fds[0]), 0);
        CHECK_INT(fcntl(fds[0], F_GETFD), -1);
        CHECK_CODE(kin_write(fds[1], "x", 1), -EPIPE);  /* the kernel has let go of the file */
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(c.result, KIN_ECLOSED);
        CHECK_CODE(kin_close(fds[1]), 0);
    }
}

IO_TEST(F1_close_is_no_cancellation_point)
{
    kin_group g = kin_group_open();
    kin_scope s;
    struct call c;
    int fds[2];

    begin_wait(&g, &c, fds, true);
    s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_INT(fcntl(fds[0], F_GETFD), -1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_CODE(kin_close(fds[1]), 0);
}

/* Also by a cancellation that comes while it waits. */
IO_TEST(F1_a_close_under_way_is_not_disturbed)
{
    kin_group g = kin_group_open();
    kin_task closer;
    struct call c;
    char byte;
    int fds[2];

    begin_wait(&g, &c, fds, true);
    CHECK_CODE(kin_spawn(&g, close_it, &fds[0], .task = &closer), 0);
    CHECK_CODE(kin_yield(), 0);
    CHECK(closer.status == KIN_PENDING || !on_uring());
    CHECK_CODE(kin_close(fds[0]), -EBADF);
    CHECK_CODE(kin_read(fds[0], &byte, 1), -EBADF);
    CHECK_CODE(kin_wait_fd(fds[0], KIN_READABLE), -EBADF);
    kin_cancel(&closer, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(closer.status, KIN_OK);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_INT(fcntl(fds[0], F_GETFD), -1);
    CHECK_CODE(kin_close(fds[1]), 0);
}

IO_TEST(F1_close_says_what_the_system_said)
{
    for (int i = 0; i < 2; i++) {
        kin_group g = kin_group_open();
        struct call c;
        int fds[2];

        begin_wait(&g, &c, fds, i);
        fail_next("close", EIO, 1);
        CHECK_CODE(kin_close(fds[0]), -EIO);
        kin__os_fault = NULL;
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(c.result, KIN_ECLOSED);
        CHECK_CODE(kin_close(fds[1]), 0);
    }
}

static void close_from_hook(struct kin_watch *watch, unsigned events)
{
    (void)events;
    kin_watch_stop(watch);
    CHECK_CODE(kin_close(*(int *)watch->arg), 0);
}

/* The scheduler calls the hook, and must not be kept waiting. */
IO_TEST(F1_a_hook_closes_without_waiting)
{
    kin_group g = kin_group_open();
    struct kin_watch watch = { .ready = close_from_hook };
    struct call c;
    int fds[2], bell[2];

    begin_wait(&g, &c, fds, true);
    CHECK_INT(pipe2(bell, O_CLOEXEC), 0);
    watch.fd = bell[0];
    watch.arg = &fds[0];
    CHECK_CODE(kin_watch_set(&watch, KIN_READABLE), 0);
    CHECK_INT(write(bell[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_INT(fcntl(fds[0], F_GETFD), -1);
    CHECK_CODE(kin_close(fds[1]), 0);
    close_both(bell);
}

struct end {
    struct kin_watch watch;
    kin_event closed;
    int fds[2];
};

static void close_at_end(struct kin_watch *watch, unsigned events)
{
    struct end *end = watch->arg;

    (void)events;
    kin_watch_stop(watch);
    CHECK_CODE(kin_close(end->fds[0]), 0);
    kin_event_set(&end->closed);
}

/* Somebody has waited there, and was cancelled: the kernel may know the descriptor still. */
static int end_after_hook(void *arg)
{
    struct end *end = arg;
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    kin_task task;

    tcp_pair(end->fds);
    c.fd = end->fds[0];
    begin_call(&g, &c, &task, true);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_watch_set(&end->watch, KIN_READABLE), 0);
    return kin_event_wait(&end->closed);
}

TEST(F1_what_a_hook_closed_is_closed_when_the_run_has_ended)
{
    struct end end = { .watch.ready = close_at_end, .watch.arg = &end };
    int bell[2];

    CHECK_INT(pipe2(bell, O_CLOEXEC), 0);
    CHECK_INT(write(bell[1], "x", 1), 1);
    end.watch.fd = bell[0];
    CHECK_CODE(kin_run(end_after_hook, &end), 0);
    CHECK_INT(fcntl(end.fds[0], F_GETFD), -1);
    CHECK_INT(close(end.fds[1]), 0);
    close_both(bell);
}

static int close_and_reopen(void *arg)
{
    int *fds = arg, old = fds[0], more[2];

    CHECK_CODE(kin_close(old), 0);
    CHECK_CODE(kin_pipe(more), 0);
    CHECK_INT(kin_write(more[1], "new", 3), 3);
    fds[2] = more[0];
    fds[3] = more[1];
    return 0;
}

/* What was begun on the old descriptor never touches the next with its number. */
IO_TEST(F1_the_number_goes_to_another)
{
    for (int i = 0; i < 2; i++) {
        struct call c = { .what = CALL_READ };
        kin_group g = kin_group_open();
        char buffer[8];
        int fds[4];

        CHECK_CODE(kin_pipe(fds), 0);
        c.fd = fds[0];
        begin_call(&g, &c, NULL, i);
        CHECK_CODE(kin_spawn(&g, close_and_reopen, fds), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(c.result, KIN_ECLOSED);
        CHECK_INT(kin_read(fds[2], buffer, sizeof buffer), 3);
        CHECK_CODE(kin_close(fds[1]), 0);
        close_both(fds + 2);
    }
}

/* Rule broken: close() instead of kin_close(). The next descriptor of kin's with the
 * number sends the old waiter away. */
IO_TEST(a_descriptor_closed_behind_our_back_is_noticed)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    char buffer[8];
    int fds[2], more[2];

    CHECK_CODE(kin_pipe(fds), 0);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    CHECK_INT(close(fds[0]), 0);
    CHECK_CODE(kin_pipe(more), 0);
    CHECK_INT(more[0], fds[0]);
    CHECK_INT(kin_write(more[1], "new", 3), 3);
    CHECK_INT(kin_read(more[0], buffer, sizeof buffer), 3);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_CODE(kin_close(fds[1]), 0);
    close_both(more);
}

/* The same, while kin_close waits for the kernel. */
IO_TEST(a_descriptor_closed_under_kin_close_is_noticed)
{
    kin_group g = kin_group_open();
    kin_task closer;
    struct call c;
    int fds[2], more[2];

    if (!on_uring())
        SKIP("nothing is ever in the kernel's hands");
    begin_wait(&g, &c, fds, true);
    CHECK_CODE(kin_spawn(&g, close_it, &fds[0], .task = &closer), 0);
    CHECK_CODE(kin_yield(), 0);
    CHECK_INT(close(fds[0]), 0);
    CHECK_CODE(kin_pipe(more), 0);
    CHECK_INT(more[0], fds[0]);
    CHECK_CODE(kin_group_close(&g, 0), -EBADF);
    CHECK_CODE(closer.code, -EBADF);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_CODE(kin_close(fds[1]), 0);
    close_both(more);
}

/* A child that inherited the file keeps the old registration alive. */
IO_TEST(an_inherited_copy_does_not_confuse_the_next)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    char buffer[8];
    int fds[2], copy, more[2];

    tcp_pair(fds);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    copy = dup(fds[0]);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.result, KIN_ECLOSED);
    CHECK_CODE(kin_pipe(more), 0);
    CHECK_INT(more[0], fds[0]);
    CHECK_INT(write(fds[1], "old", 3), 3);
    c = (struct call){ .what = CALL_READ, .fd = more[0] };
    g = kin_group_open();
    begin_call(&g, &c, NULL, true);
    CHECK(!c.ended);
    CHECK_INT(kin_write(more[1], "new!", 4), 4);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 4);
    CHECK_INT(kin_read(copy, buffer, sizeof buffer), 3);
    CHECK_CODE(kin_close(copy), 0);
    CHECK_CODE(kin_close(fds[1]), 0);
    close_both(more);
}

IO_TEST(a_dump_names_the_descriptor)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    static char text[8192];
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    kin_task task;
    char wanted[32];
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    c.fd = fds[0];
    begin_call(&g, &c, &task, true);
    kin_dump(out);
    fclose(out);
    snprintf(wanted, sizeof wanted, "fd %d readable", fds[0]);
    CHECK_HAS(text, wanted);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    close_both(fds);
}
