/* Watches: level-triggered readiness, with owners that close when they like. */
#include "io_test.h"

#include "kin_ext.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct seen {
    struct kin_watch watch;
    kin_event event;
    int calls;
    unsigned events;
    bool stop;                  /* from within ready() */
    struct kin_watch *other;    /* stopped from within ready() */
    unsigned then;              /* events to change to from within ready() */
};

static void ready(struct kin_watch *watch, unsigned events)
{
    struct seen *seen = watch->arg;

    seen->calls++;
    seen->events = events;
    kin_event_set(&seen->event);
    if (seen->other)
        kin_watch_stop(seen->other);
    if (seen->then)
        CHECK_CODE(kin_watch_set(watch, seen->then), 0);
    if (seen->stop)
        kin_watch_stop(watch);
}

static void begin(struct seen *seen, int fd, unsigned events)
{
    *seen = (struct seen){ .watch = { .fd = fd, .ready = ready, .arg = seen } };
    CHECK_CODE(kin_watch_set(&seen->watch, events), 0);
}

static void await_call(struct seen *seen)
{
    kin_event_clear(&seen->event);
    CHECK_CODE(kin_event_wait(&seen->event), 0);
}

/* Long enough for the backend to have said whatever it has to say. */
static void let_pass(void)
{
    CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
    CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
}

static void pair(int fds[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
}

static void watch_levels(void (*make)(int[2]))
{
    struct seen seen;
    int fds[2], calls;

    make(fds);
    begin(&seen, fds[0], KIN_READABLE);
    let_pass();
    CHECK_INT(seen.calls, 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    for (int i = 0; i < 5; i++) {
        await_call(&seen);
        CHECK_INT(seen.events, KIN_READABLE);
    }
    drain(fds[0]);
    let_pass();                             /* one may have been on its way */
    calls = seen.calls;
    let_pass();
    CHECK_INT(seen.calls, calls);
    CHECK_INT(write(fds[1], "y", 1), 1);
    await_call(&seen);
    kin_watch_stop(&seen.watch);
    calls = seen.calls;
    let_pass();
    CHECK_INT(seen.calls, calls);
    close_both(fds);
}

static void own(int fds[2])
{
    CHECK_CODE(kin_pipe(fds), 0);
}

/* On epoll, kin's own are registered in another way, also already before. */
static void own_in_use(int fds[2])
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();

    own(fds);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    CHECK_INT(kin_write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

IO_TEST(a_watch_is_level_triggered)
{
    watch_levels(pair);
    watch_levels(own);
    watch_levels(own_in_use);
}

IO_TEST(a_watch_changes_its_events)
{
    struct seen seen;
    int fds[2], calls;

    pair(fds);
    begin(&seen, fds[0], KIN_READABLE);
    let_pass();
    CHECK_INT(seen.calls, 0);
    CHECK_CODE(kin_watch_set(&seen.watch, KIN_READABLE | KIN_WRITABLE), 0);
    await_call(&seen);
    CHECK_INT(seen.events, KIN_WRITABLE);
    CHECK_INT(write(fds[1], "x", 1), 1);
    let_pass();
    await_call(&seen);
    CHECK_INT(seen.events, KIN_READABLE | KIN_WRITABLE);
    drain(fds[0]);
    CHECK_CODE(kin_watch_set(&seen.watch, KIN_READABLE), 0);
    let_pass();
    calls = seen.calls;
    let_pass();
    CHECK_INT(seen.calls, calls);
    CHECK_CODE(kin_watch_set(&seen.watch, 0), 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    let_pass();
    CHECK_INT(seen.calls, calls);
    close_both(fds);
}

/* So that hooks which add and take away one of them need not remember the other. */
IO_TEST(a_watch_says_which_events_it_is_set_to)
{
    struct seen seen;
    int fds[2];

    pair(fds);
    begin(&seen, fds[0], KIN_READABLE);
    CHECK_INT(seen.watch.events, KIN_READABLE);
    CHECK_CODE(kin_watch_set(&seen.watch, seen.watch.events | KIN_WRITABLE), 0);
    CHECK_INT(seen.watch.events, KIN_READABLE | KIN_WRITABLE);
    CHECK_CODE(kin_watch_set(&seen.watch, 0), 0);
    CHECK_INT(seen.watch.events, 0);
    CHECK_CODE(kin_watch_set(&seen.watch, seen.watch.events | KIN_WRITABLE), 0);
    CHECK_INT(seen.watch.events, KIN_WRITABLE);
    await_call(&seen);
    CHECK_INT(seen.events, KIN_WRITABLE);
    kin_watch_stop(&seen.watch);
    CHECK_INT(seen.watch.events, 0);
    CHECK_INT(close(fds[0]), 0);
    CHECK_INT(close(fds[1]), 0);
}

IO_TEST(a_watch_sees_the_other_end_close)
{
    struct seen seen;
    int fds[2];

    pair(fds);
    begin(&seen, fds[0], KIN_READABLE);
    let_pass();
    CHECK_INT(close(fds[1]), 0);
    await_call(&seen);
    CHECK_INT(seen.events, KIN_READABLE);
    kin_watch_stop(&seen.watch);
    CHECK_INT(close(fds[0]), 0);
}

IO_TEST(ready_may_stop_and_change_watches)
{
    struct seen one, two;
    int first[2], second[2];

    pair(first);
    pair(second);
    begin(&one, first[0], KIN_READABLE);
    begin(&two, second[0], KIN_READABLE);
    one.other = &two.watch;
    two.other = &one.watch;
    one.stop = two.stop = true;
    let_pass();
    CHECK_INT(write(first[1], "x", 1), 1);
    CHECK_INT(write(second[1], "x", 1), 1);
    let_pass();
    CHECK_INT(one.calls + two.calls, 1);    /* whoever came first stopped both */
    drain(first[0]);
    drain(second[0]);
    begin(&one, first[0], KIN_READABLE);
    begin(&two, second[0], KIN_READABLE);
    let_pass();
    CHECK_INT(write(first[1], "x", 1), 1);
    CHECK_INT(write(second[1], "x", 1), 1);
    let_pass();
    CHECK(one.calls > 1 && two.calls > 1);
    kin_watch_stop(&one.watch);
    kin_watch_stop(&two.watch);
    begin(&one, first[0], KIN_WRITABLE);
    one.then = KIN_READABLE;
    drain(first[0]);
    let_pass();
    CHECK_INT(one.calls, 1);
    kin_watch_stop(&one.watch);
    close_both(first);
    close_both(second);
}

/* The memory goes as soon as stop has returned; the sanitizer looks. */
IO_TEST(a_stopped_watch_may_be_freed)
{
    int fds[2];

    pair(fds);
    for (int i = 0; i < 20; i++) {
        struct seen *seen = malloc(sizeof *seen);

        begin(seen, fds[0], i & 1 ? KIN_WRITABLE : KIN_READABLE);
        if (i & 2)
            let_pass();
        kin_watch_stop(&seen->watch);
        kin_watch_stop(&seen->watch);
        memset(seen, 0xee, sizeof *seen);
        free(seen);
    }
    let_pass();
    close_both(fds);
}

/* The owner closes before it stops the watch, and the number goes on. */
IO_TEST(the_owner_may_close_first)
{
    struct seen seen;
    int fds[2], more[2], own[2];
    char c = 'x';

    for (int i = 0; i < 4; i++) {
        pair(fds);
        begin(&seen, fds[0], KIN_READABLE);
        if (i & 1)
            let_pass();
        CHECK_INT(close(fds[0]), 0);
        CHECK_INT(close(fds[1]), 0);
        if (i & 2) {
            CHECK_CODE(kin_pipe(own), 0);   /* kin's own takes the number */
            CHECK_INT(own[0], fds[0]);
            kin_watch_stop(&seen.watch);
            CHECK_INT(kin_write(own[1], &c, 1), 1);
            CHECK_INT(kin_read(own[0], &c, 1), 1);
            close_both(own);
        } else {
            kin_watch_stop(&seen.watch);
            pair(more);
            CHECK_INT(more[0], fds[0]);
            begin(&seen, more[0], KIN_READABLE);
            CHECK_INT(write(more[1], "x", 1), 1);
            await_call(&seen);
            kin_watch_stop(&seen.watch);
            close_both(more);
        }
    }
}

IO_TEST(closing_ends_the_watch)
{
    struct seen seen, next;
    int fds[2], more[2];

    CHECK_CODE(kin_pipe(fds), 0);
    begin(&seen, fds[0], KIN_READABLE);
    let_pass();
    CHECK_CODE(kin_close(fds[1]), 0);
    await_call(&seen);
    CHECK_CODE(kin_close(fds[0]), 0);
    seen.calls = 0;
    let_pass();
    CHECK_INT(seen.calls, 0);
    pair(more);
    CHECK_INT(more[0], fds[0]);
    begin(&next, more[0], KIN_WRITABLE);
    kin_watch_stop(&seen.watch);            /* nothing to stop any more */
    await_call(&next);
    kin_watch_stop(&next.watch);
    close_both(more);
}

IO_TEST(a_watch_and_waiters_share_a_descriptor)
{
    struct seen seen;
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    begin(&seen, fds[0], KIN_READABLE);
    let_pass();
    CHECK(!c.ended);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 1);
    kin_watch_stop(&seen.watch);
    c.buffer = NULL;
    g = kin_group_open();
    begin_call(&g, &c, NULL, true);
    CHECK_INT(write(fds[1], "y", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, 1);
    close_both(fds);
}

/* The watch goes while somebody waits on the same descriptor. */
IO_TEST(stopping_a_watch_leaves_waiters)
{
    struct seen seen;
    struct call c = { .what = CALL_WAIT, .events = KIN_READABLE };
    kin_group g = kin_group_open();
    int fds[2];

    pair(fds);
    begin(&seen, fds[0], KIN_WRITABLE);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    kin_watch_stop(&seen.watch);
    let_pass();
    CHECK(!c.ended);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(c.result, KIN_READABLE);
    close_both(fds);
}

/* A child has inherited kin's descriptor, which keeps its registration alive; what
 * happens there is none of a watch's business that has the number now. */
IO_TEST(a_watch_sees_nothing_of_the_number_before)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    struct seen seen;
    int fds[2], more[2], copy;

    CHECK_CODE(kin_pipe(fds), 0);
    c.fd = fds[0];
    begin_call(&g, &c, NULL, true);
    copy = dup(fds[0]);
    CHECK_CODE(kin_close(fds[0]), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    let_pass();
    pair(more);
    CHECK_INT(more[0], fds[0]);
    begin(&seen, more[0], KIN_READABLE);
    CHECK_INT(write(fds[1], "x", 1), 1);
    let_pass();
    CHECK_INT(seen.calls, 0);
    kin_watch_stop(&seen.watch);
    close_both(more);
    CHECK_INT(close(copy), 0);
    CHECK_CODE(kin_close(fds[1]), 0);
}

IO_TEST(wrong_watches_are_refused)
{
    struct seen seen, second;
    struct kin_watch none = { .fd = 0 };
    int fds[2];

    pair(fds);
    CHECK_CODE(kin_watch_set(&none, KIN_READABLE), KIN_EINVAL);
    none.ready = ready;
    CHECK_CODE(kin_watch_set(&none, 4), KIN_EINVAL);
    none.fd = -1;
    CHECK_CODE(kin_watch_set(&none, KIN_READABLE), -EBADF);
    none.fd = 100000;
    CHECK_CODE(kin_watch_set(&none, KIN_READABLE), -EBADF);
    kin_watch_stop(&none);
    none.fd = open("/", O_RDONLY | O_CLOEXEC);
    CHECK_CODE(kin_watch_set(&none, KIN_READABLE), -EPERM);
    close(none.fd);
    begin(&seen, fds[0], KIN_READABLE);
    second = seen;
    CHECK_CODE(kin_watch_set(&second.watch, KIN_READABLE), KIN_EBUSY);
    kin_watch_stop(&second.watch);          /* not the one that is set */
    CHECK_INT(write(fds[1], "x", 1), 1);
    await_call(&seen);
    kin_watch_stop(&seen.watch);
    close_both(fds);
}

TEST(a_watch_outside_of_a_run_is_refused)
{
    struct kin_watch watch = { .fd = 0, .ready = ready };

    CHECK_CODE(kin_watch_set(&watch, KIN_READABLE), KIN_ENORUN);
    kin_watch_stop(&watch);
}

static int leave_watch(void *arg)
{
    struct seen *seen = arg;

    begin(seen, seen->watch.fd, KIN_READABLE);
    return kin_sleep(KIN_MS(1));
}

/* The run ends with a watch on, which is then simply gone. */
TEST(a_watch_left_behind_ends_with_the_run)
{
    struct seen seen;
    int fds[2];

    pair(fds);
    seen.watch.fd = fds[0];
    CHECK_CODE(kin_run(leave_watch, &seen), 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_CODE(kin_run(leave_watch, &seen), 0);
    CHECK(seen.calls > 0);
    close_both(fds);
}

static int wait_in_vain(void *arg)
{
    struct call c = { .what = CALL_READ };
    kin_group g = kin_group_open();
    kin_event never = { 0 };
    struct seen seen;
    kin_task task;
    int fds[2];

    (void)arg;
    CHECK_CODE(kin_pipe(fds), 0);
    c.fd = fds[0];
    begin_call(&g, &c, &task, true);
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    begin(&seen, fds[0], KIN_READABLE);
    let_pass();
    kin_watch_stop(&seen.watch);
    close_both(fds);
    return kin_event_wait(&never);
}

static void ignore_report(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

/* What is over does not count as something that may still happen: the run finds
 * that nobody will ever wake the task, and does not wait for ever. */
TEST(Q3_what_is_over_is_not_waited_for)
{
    CHECK_CODE(kin_run(wait_in_vain, NULL, .on_report = ignore_report), KIN_ECANCELED);
}
