/* Remotes: a run reached from other threads. Who is woken, what is cancelled, who may do
 * what, and what can fail. On both backends, and under ThreadSanitizer. */
#include "remote_test.h"

#include <stdlib.h>
#include <sys/resource.h>

static int wait_at_most(kin_remote *remote, int64_t timeout)
{
    kin_scope s = kin_scope_open(.timeout = timeout);

    return kin_scope_close(&s, kin_remote_wait(remote));
}

static void *wake_later(void *remote)
{
    sleep_ms(10);
    CHECK_CODE(kin_remote_wake(remote), 0);
    return NULL;
}

/* One who waits, and says so. */
struct waiter {
    kin_remote *remote;
    const char *name;
    int result;
};

static int wait_once(void *arg)
{
    struct waiter *w = arg;

    w->result = kin_remote_wait(w->remote);
    trace("%s", w->name);
    return w->result == KIN_ECLOSED ? 0 : w->result;
}

/* ------------------------------------------------------------------- waking */

REMOTE_TEST(S3_a_task_is_woken_from_another_thread)
{
    kin_remote remote = { 0 };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    pthread_t thread = begin_thread(wake_later, &remote);
    CHECK_CODE(kin_remote_wait(&remote), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    kin_remote_close(&remote);
}

REMOTE_TEST(remote_wakes_that_nobody_waits_for_are_kept_as_one)
{
    kin_remote remote = { 0 };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    CHECK_CODE(wait_at_most(&remote, KIN_MS(1)), KIN_ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_remote_wake(&remote), 0);
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    }
    CHECK_CODE(kin_remote_wait(&remote), 0);
    CHECK_CODE(wait_at_most(&remote, KIN_MS(5)), KIN_ETIMEDOUT);
    kin_remote_close(&remote);
}

REMOTE_TEST(remote_wakes_before_the_run_has_looked_are_one)
{
    kin_remote remote = { 0 };
    struct waiter a = { &remote, "a", 1 }, b = { &remote, "b", 1 };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_group g = kin_group_open();
    kin_spawn(&g, wait_once, &a);
    kin_spawn(&g, wait_once, &b);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_remote_wake(&remote), 0);
    CHECK_CODE(kin_remote_wake(&remote), 0);
    CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    CHECK_TRACE("a");
    CHECK_CODE(kin_remote_wake(&remote), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("b");
    kin_remote_close(&remote);
}

REMOTE_TEST(S2_a_remote_wakes_one_waiter_first_in_first_out)
{
    kin_remote remote = { 0 };
    struct waiter w[4] = { { &remote, "a", 1 }, { &remote, "b", 1 },
                           { &remote, "c", 1 }, { &remote, "d", 1 } };
    kin_task task[4];

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_group g = kin_group_open();
    for (int i = 0; i < 4; i++)
        kin_spawn(&g, wait_once, &w[i], .task = &task[i]);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_cancel(&task[1], NULL), 0);      /* leaves the line */
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_TRACE("b");
    CHECK_CODE(w[1].result, KIN_ECANCELED);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_remote_wake(&remote), 0);
        CHECK_CODE(kin_sleep(KIN_MS(5)), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("a c d");
    CHECK_CODE(w[0].result | w[2].result | w[3].result, 0);
    kin_remote_close(&remote);
}

REMOTE_TEST(S2_who_was_woken_keeps_it_though_cancelled_then)
{
    kin_remote remote = { 0 };
    struct waiter w[2] = { { &remote, "a", 1 }, { &remote, "b", 1 } };
    kin_task task[2];

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_group g = kin_group_open();
    for (int i = 0; i < 2; i++)
        kin_spawn(&g, wait_once, &w[i], .task = &task[i]);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_remote_wake(&remote), 0);
    kin_remote_close(&remote);                      /* answers what was asked */
    CHECK_CODE(kin_cancel(&task[0], NULL), 0);
    CHECK_CODE(kin_cancel(&task[1], NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(w[0].result, 0);
    CHECK_CODE(w[1].result, KIN_ECLOSED);
}

REMOTE_TEST(C1_a_cancelled_wait_takes_no_wake_with_it)
{
    kin_remote remote = { 0 };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    CHECK_CODE(kin_remote_wake(&remote), 0);
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    kin_scope s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_remote_wait(&remote), KIN_ECANCELED);
    CHECK_CODE(kin_remote_wait(&remote), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_remote_wait(&remote), 0);
    kin_remote_close(&remote);
}

/* --------------------------------------------------------------- cancelling */

struct canceller {
    kin_remote *remote;
    const char *first, *second;
};

static void *cancel_twice(void *arg)
{
    struct canceller *c = arg;

    sleep_ms(5);
    CHECK_CODE(kin_remote_cancel(c->remote, c->first), 0);
    CHECK_CODE(kin_remote_cancel(c->remote, c->second), 0);
    return NULL;
}

REMOTE_TEST(G13_a_group_is_cancelled_from_another_thread)
{
    kin_remote remote = { 0 };
    struct canceller c = { &remote, "enough", "later" };
    struct act a[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    for (int i = 0; i < 3; i++) {
        a[i] = (struct act){ .sleep = KIN_S(100) };
        kin_spawn(&g, act, &a[i], .task = &task[i]);
    }
    pthread_t thread = begin_thread(cancel_twice, &c);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(task[i].status, KIN_CANCELLED);
        CHECK_INT(task[i].reason.kind, KIN_BY_HAND);
        CHECK_INT(task[i].reason.by, 0);
        CHECK_STR(task[i].reason.message, "enough");
    }
    CHECK_CODE(kin_remote_cancel(&remote, "the group has ended"), 0);
    CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
    kin_remote_close(&remote);
}

REMOTE_TEST(C3_a_remote_s_first_reason_stands)
{
    kin_remote remote = { 0 };
    kin_group g = kin_group_open();

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    CHECK_CODE(kin_remote_cancel(&remote, NULL), 0);
    CHECK_CODE(kin_remote_cancel(&remote, "second"), 0);
    CHECK_CODE(kin_wait_cancelled(), KIN_ECANCELED);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_HAND);
    CHECK_STR(kin_cancelled()->message, "");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    kin_remote_close(&remote);
}

REMOTE_TEST(C7_a_remote_cancels_what_the_kernel_holds)
{
    kin_remote remote = { 0 };
    struct canceller c = { &remote, "stop", "stop" };
    struct call reader = { .what = CALL_READ };
    int fds[2];

    CHECK_CODE(kin_pipe(fds), 0);
    reader.fd = fds[0];
    kin_group g = kin_group_open();
    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    begin_call(&g, &reader, NULL, true);
    pthread_t thread = begin_thread(cancel_twice, &c);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(reader.result, KIN_ECANCELED);
    CHECK_INT(pthread_join(thread, NULL), 0);
    kin_remote_close(&remote);
    close_both(fds);
}

/* --------------------------------------------------------- who may do what */

REMOTE_TEST(E5_a_remote_that_is_not_open)
{
    kin_remote remote = { 0 };

    for (int i = 0; i < 2; i++) {                   /* never opened; closed */
        CHECK_CODE(kin_remote_wake(&remote), KIN_ESTALE);
        CHECK_CODE(kin_remote_cancel(&remote, "x"), KIN_ESTALE);
        CHECK_CODE(kin_remote_wait(&remote), KIN_ECLOSED);
        kin_remote_close(&remote);
        CHECK_CODE(kin_remote_open(&remote, NULL), 0);
        CHECK_CODE(kin_remote_open(&remote, NULL), KIN_EBUSY);
        CHECK_CODE(kin_remote_cancel(&remote, "x"), KIN_EINVAL);
        CHECK_CODE(kin_remote_wake(&remote), 0);
        kin_remote_close(&remote);
    }
}

REMOTE_TEST(E5_a_remote_of_a_group_that_has_ended)
{
    kin_remote remote = { 0 };
    kin_group g = kin_group_open(), never = { NULL, 0 };

    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_remote_open(&remote, &g), KIN_ESTALE);
    CHECK_CODE(kin_remote_open(&remote, &never), KIN_ESTALE);
    CHECK_CODE(kin_remote_wake(&remote), KIN_ESTALE);
}

static void drop_line(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int open_remote(void *remote)
{
    return kin_remote_open(remote, NULL);
}

TEST(E5_a_remote_outside_of_a_run_and_without_descriptors)
{
    kin_remote remote = { 0 };

    CHECK_CODE(kin_remote_open(&remote, NULL), KIN_ENORUN);
    CHECK_CODE(kin_remote_wait(&remote), KIN_ENORUN);
    CHECK_CODE(kin_run(open_remote, &remote, .backend = "virtual"), -ENOSYS);
    CHECK_CODE(kin_remote_wake(&remote), KIN_ESTALE);
}

static int wake_here(void *remote)
{
    CHECK_CODE(kin_remote_wait(remote), KIN_EFOREIGN);
    kin_remote_close(remote);                       /* misuse: does nothing */
    return kin_remote_wake(remote);
}

static void *run_wake_here(void *remote)
{
    CHECK_CODE(kin_run(wake_here, remote, .on_report = drop_line), 0);
    return NULL;
}

REMOTE_TEST(T64_a_remote_is_waited_for_and_closed_in_its_own_run_alone)
{
    kin_remote remote = { 0 };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    pthread_t thread = begin_thread(run_wake_here, &remote);
    CHECK_CODE(kin_remote_wait(&remote), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    kin_remote_close(&remote);
}

REMOTE_TEST(remote_close_sends_those_away_that_wait)
{
    kin_remote remote = { 0 };
    struct waiter w[3] = { { &remote, "a", 1 }, { &remote, "b", 1 }, { &remote, "c", 1 } };

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_group g = kin_group_open();
    for (int i = 0; i < 3; i++)
        kin_spawn(&g, wait_once, &w[i]);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_remote_wake(&remote), 0);
    kin_remote_close(&remote);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("a b c");
    CHECK_CODE(w[0].result, 0);
    CHECK_CODE(w[1].result, KIN_ECLOSED);
    CHECK_CODE(w[2].result, KIN_ECLOSED);
}

REMOTE_TEST(remote_close_still_cancels_what_was_asked)
{
    kin_remote remote = { 0 };
    kin_group g = kin_group_open();

    CHECK_CODE(kin_remote_open(&remote, &g), 0);
    CHECK_CODE(kin_remote_cancel(&remote, "just in time"), 0);
    kin_remote_close(&remote);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_STR(kin_cancelled()->message, "just in time");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

REMOTE_TEST(remote_waiter_shows_in_a_dump)
{
    kin_remote remote = { 0 };
    struct waiter w = { &remote, "a", 1 };
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_group g = kin_group_open();
    kin_spawn(&g, wait_once, &w, .name = "listener");
    CHECK_CODE(kin_yield(), 0);
    kin_dump(out);
    fclose(out);
    CHECK_HAS(strstr(text, "listener"), "remote");
    free(text);
    kin_remote_close(&remote);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("a");
}

/* ---------------------------------------------------------------- left open */

static char last_report[512];

static void keep_line(const char *line, void *arg)
{
    (void)arg;
    snprintf(last_report, sizeof last_report, "%s", line);
}

static void keep_first_line(const char *line, void *arg)
{
    if (!last_report[0])
        keep_line(line, arg);
}

TEST(E5_a_remote_left_open_is_reported_and_closed)
{
    static kin_remote remote;
    int before = open_descriptors();

    for (int i = 0; i < 2; i++) {
        last_report[0] = '\0';
        CHECK_CODE(kin_run(open_remote, &remote, .on_report = keep_line), 0);
        CHECK_HAS(last_report, "a kin_remote was left open");
        CHECK(!strstr(last_report, "gone"));
        CHECK_CODE(kin_remote_wake(&remote), KIN_ESTALE);
    }
    CHECK_INT(open_descriptors(), before);
}

static __attribute__((noinline)) int open_on_stack(void *arg)
{
    kin_remote remote = { 0 };

    (void)arg;
    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    return kin_remote_wake(&remote);
}

static int open_on_stack_of_task(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, open_on_stack, arg);
    return kin_group_close(&g, 0);
}

static int open_of_parent(void *arg)
{
    kin_remote remote = { 0 };
    kin_group g = kin_group_open();

    (void)arg;
    kin_spawn(&g, open_remote, &remote);
    return kin_group_close(&g, 0);
}

static __attribute__((noinline)) void spoil_stack(void)
{
    volatile char rubbish[4096];

    for (size_t i = 0; i < sizeof rubbish; i++)
        rubbish[i] = (char)0x5a;
}

static int run_spoilt(void *arg)
{
    int (*fn)(void *) = *(int (**)(void *))arg;
    int rc = fn(NULL);

    spoil_stack();
    return rc;
}

/* What lay there is gone: it is neither read nor written any more. */
TEST(E5_a_remote_left_open_on_a_stack_does_no_harm)
{
    int (*const programs[])(void *) = { open_on_stack, open_on_stack_of_task, open_of_parent };

    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        int (*program)(void *) = programs[i];

        last_report[0] = '\0';
        CHECK_CODE(kin_run(run_spoilt, &program, .on_report = keep_line), 0);
        CHECK_HAS(last_report, "a kin_remote was left open, and its memory is gone");
    }
}

/* --------------------------------------------------------- clock and deadlock */

static int wait_for_wake(void *arg)
{
    kin_remote remote = { 0 };
    int64_t before = kin_now();
    pthread_t thread;
    int rc;

    (void)arg;
    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    CHECK_CODE(kin_sleep(KIN_S(3600)), 0);          /* time jumps, remote or not */
    CHECK_INT(kin_now() - before, KIN_S(3600));
    thread = begin_thread(wake_later, &remote);
    rc = kin_remote_wait(&remote);
    CHECK_INT(kin_now() - before, KIN_S(3600));
    CHECK_INT(pthread_join(thread, NULL), 0);
    kin_remote_close(&remote);
    return rc;
}

TEST(Q3_a_run_with_a_remote_open_waits_for_it)
{
    CHECK_CODE(kin_run(wait_for_wake, NULL, .virtual_clock = true, .on_report = keep_line), 0);
    CHECK_STR(last_report, "");
}

static int open_close_and_wait(void *arg)
{
    kin_remote remote = { 0 };
    kin_event never = { 0 };

    (void)arg;
    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_remote_close(&remote);
    return kin_event_wait(&never);
}

TEST(Q3_a_run_whose_remotes_are_closed_can_be_deadlocked)
{
    CHECK_CODE(kin_run(open_close_and_wait, NULL, .on_report = keep_first_line), KIN_ECANCELED);
    CHECK_HAS(last_report, "deadlock");
}

/* -------------------------------------------------------------- what can fail */

static int open_twice_under_faults(void *arg)
{
    kin_remote remote = { 0 };
    const char *site = arg;
    int rc;

    fail_next(site, EMFILE, 1);
    rc = kin_remote_open(&remote, NULL);
    CHECK_INT(failed_so_far(), 1);
    CHECK_CODE(rc, strcmp(site, "alloc") == 0 ? -ENOMEM : -EMFILE);
    CHECK_CODE(kin_remote_wake(&remote), KIN_ESTALE);
    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    CHECK_CODE(kin_remote_wake(&remote), 0);
    CHECK_CODE(kin_remote_wait(&remote), 0);
    kin_remote_close(&remote);
    return 0;
}

TEST(remote_that_cannot_be_opened_says_why)
{
    int before = open_descriptors();

    CHECK_CODE(kin_run(open_twice_under_faults, (void *)(uintptr_t)"bell"), 0);
    CHECK_CODE(kin_run(open_twice_under_faults, (void *)(uintptr_t)"alloc"), 0);
    if (strcmp(test_backend(), "epoll") == 0)
        CHECK_CODE(kin_run(open_twice_under_faults, (void *)(uintptr_t)"epoll_ctl"), 0);
    kin__os_fault = NULL;
    CHECK_INT(open_descriptors(), before);
}

static int open_without_descriptors(void *arg)
{
    kin_remote remote = { 0 };
    struct rlimit limit, none;
    int rc;

    (void)arg;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    rc = kin_remote_open(&remote, NULL);
    setrlimit(RLIMIT_NOFILE, &limit);
    CHECK_CODE(kin_remote_open(&remote, NULL), 0);
    kin_remote_close(&remote);
    return rc;
}

TEST(remote_with_all_descriptors_in_use)
{
    CHECK_CODE(kin_run(open_without_descriptors, NULL), -EMFILE);
}

static int open_and_close(void *arg)
{
    kin_remote remote = { 0 };
    int rc = kin_remote_open(&remote, NULL);

    (void)arg;
    if (rc == 0) {
        CHECK_CODE(kin_remote_wake(&remote), 0);
        rc = kin_remote_wait(&remote);
    }
    kin_remote_close(&remote);
    return rc;
}

TEST(remote_each_request_for_memory_fails_once)
{
    int failed = 0, before = open_descriptors();

    for (uint64_t k = 1;; k++) {
        struct kin_faults faults = { .fail_request = k };
        int rc = kin_run(open_and_close, NULL, .faults = &faults, .on_report = drop_line);

        if (faults.requests < k)
            break;
        CHECK(rc == 0 || rc == -ENOMEM);
        failed += rc == -ENOMEM;
    }
    CHECK(failed >= 3);
    CHECK_INT(open_descriptors(), before);
}

