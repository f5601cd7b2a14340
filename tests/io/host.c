/* Runs under a foreign event loop: stepped from poll and epoll loops, several at once,
 * closed early, and never kept waiting. */
#include "io_test.h"

#include "core/core.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

static char reports[4096];

static void keep_every_report(const char *line, void *arg)
{
    (void)arg;
    snprintf(reports + strlen(reports), sizeof reports - strlen(reports), "%s\n", line);
}

static void keep_report(const char *line, void *arg)
{
    if (!strstr(line, "kept the others waiting"))
        keep_every_report(line, arg);
}

#define HOST_TEST(name)                                                                   \
    static void name##_body(void);                                                        \
    TEST(name)                                                                            \
    {                                                                                     \
        int before = open_descriptors();                                                  \
                                                                                          \
        name##_body();                                                                    \
        kin__os_fault = NULL;                                                             \
        CHECK(kin_task_id() == 0);                                                        \
        CHECK_INT(open_descriptors(), before);                                            \
        CHECK_STR(reports, "");                                                           \
    }                                                                                     \
    static void name##_body(void)

static kin_host *open_host(int (*fn)(void *arg), void *arg)
{
    kin_host *host;

    CHECK_CODE(kin_host_open(&host, fn, arg, .on_report = keep_report), 0);
    return host;
}

static bool readable(int fd, int ms)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    return poll(&pollfd, 1, ms) == 1;
}

/* The plainest of loops, which looks at the descriptor alone; how many steps it took. */
static int drive(kin_host *host)
{
    int steps = 0, rc = 0;

    while (rc != KIN_ESTALE) {
        CHECK(readable(kin_host_fd(host), 20000));
        rc = kin_host_step(host);
        CHECK(rc == 0 || rc == 1 || rc == KIN_ESTALE);
        CHECK(kin_task_id() == 0);
        steps++;
    }
    return steps;
}

/* ------------------------------------------------------------------- stepping */

static int give_seven(void *arg)
{
    *(bool *)arg = true;
    return 7;
}

HOST_TEST(host_main_starts_with_the_first_step)
{
    bool ran = false;
    kin_host *host = open_host(give_seven, &ran);

    CHECK(!ran);
    CHECK(readable(kin_host_fd(host), 0));
    CHECK_CODE(kin_host_step(host), KIN_ESTALE);
    CHECK(ran);
    CHECK_CODE(kin_host_step(host), KIN_ESTALE);
    CHECK_CODE(kin_host_close(host), 7);
}

static int sleep_20_ms(void *arg)
{
    int64_t began = kin_now();
    int rc = kin_sleep(KIN_MS(20));

    *(int64_t *)arg = kin_now() - began;
    return rc;
}

HOST_TEST(host_timers_are_never_early_and_wake_the_loop)
{
    int64_t slept = 0;
    kin_host *host = open_host(sleep_20_ms, &slept);

    CHECK_CODE(kin_host_step(host), 0);
    CHECK(!readable(kin_host_fd(host), 0));
    CHECK(drive(host) < 20);
    CHECK(slept >= KIN_MS(20) && slept < KIN_S(tap_scaled(5)));
    CHECK_CODE(kin_host_close(host), 0);
}

static int yield_3000_times(void *arg)
{
    for (int i = 0; i < 3000; i++) {
        CHECK_CODE(kin_yield(), 0);
        ++*(int *)arg;
    }
    return 0;
}

/* Whoever is runnable runs once a step, and the descriptor says that there is more. */
HOST_TEST(host_of_thousands_of_steps)
{
    int yields = 0;
    kin_host *host = open_host(yield_3000_times, &yields);

    CHECK_CODE(kin_host_step(host), 1);
    for (int i = 0; i < 3000; i++) {
        CHECK_INT(yields, i);
        CHECK(readable(kin_host_fd(host), 0));
        CHECK_CODE(kin_host_step(host), i < 2999 ? 1 : KIN_ESTALE);
    }
    CHECK_CODE(kin_host_close(host), 0);
}

struct pipes {
    int in[2], back[2];
    int64_t moved;
};

static int echo(void *arg)
{
    struct pipes *p = arg;
    char text[64];
    ssize_t n;

    while ((n = kin_read(p->in[0], text, sizeof text)) > 0) {
        p->moved += n;
        if (kin_write_all(p->back[1], text, (size_t)n, NULL) < 0)
            return -EIO;
    }
    return (int)n;
}

static int tick(void *arg)
{
    int rc = 0;

    while (rc == 0) {
        rc = kin_sleep(KIN_US(300));
        ++*(int *)arg;
    }
    return rc;
}

static int echo_and_tick(void *arg)
{
    struct pipes *p = arg;
    int ticks = 0, rc;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_pipe(p->in), 0);
    CHECK_CODE(kin_pipe(p->back), 0);
    kin_spawn(&g, tick, &ticks);
    rc = echo(p);
    kin_cancel(&g, NULL);
    rc = kin_group_close(&g, rc);
    CHECK(ticks > 0);
    kin_close(p->in[0]);
    kin_close(p->back[1]);
    return rc;
}

enum { MESSAGES = 300 };

/* An epoll loop with descriptors of its own: it writes, kin echoes, it reads. */
static void talk(kin_host *host, struct pipes *p)
{
    struct epoll_event mine = { .events = EPOLLIN, .data.fd = p->back[0] }, events[4];
    struct epoll_event its = { .events = EPOLLIN, .data.fd = kin_host_fd(host) };
    int loop = epoll_create1(0), answers = 0;
    char text[8];

    CHECK_INT(epoll_ctl(loop, EPOLL_CTL_ADD, its.data.fd, &its), 0);
    CHECK_INT(epoll_ctl(loop, EPOLL_CTL_ADD, mine.data.fd, &mine), 0);
    CHECK_INT(write(p->in[1], "ping", 4), 4);
    while (answers < MESSAGES) {
        int n = epoll_wait(loop, events, 4, 20000);

        CHECK(n > 0 || (n < 0 && errno == EINTR));
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == kin_host_fd(host)) {
                CHECK(kin_host_step(host) >= 0);
                continue;
            }
            CHECK_INT(read(p->back[0], text, sizeof text), 4);
            CHECK_INT(write(p->in[1], "pong", ++answers < MESSAGES ? 4 : 0) >= 0, 1);
        }
    }
    close(loop);
}

HOST_TEST(host_in_an_epoll_loop_with_descriptors_of_its_own)
{
    struct pipes p = { .moved = 0 };
    kin_host *host = open_host(echo_and_tick, &p);

    CHECK(kin_host_step(host) >= 0);
    talk(host, &p);
    close(p.in[1]);
    drive(host);
    CHECK_INT(p.moved, 4 * MESSAGES);
    close(p.back[0]);
    CHECK_CODE(kin_host_close(host), 0);
}

static int read_once(void *arg)
{
    char text[8];

    return (int)kin_read(*(int *)arg, text, sizeof text);
}

/* kin's own descriptors are registered for ever; news that nobody waits for must not
 * make the loop spin. */
static int read_and_sleep(void *arg)
{
    struct pipes *p = arg;
    int rc;

    CHECK_CODE(kin_pipe(p->in), 0);
    rc = read_once(&p->in[0]);
    CHECK_CODE(kin_sleep(KIN_MS(20)), 0);
    return rc;
}

HOST_TEST(host_s_loop_does_not_spin)
{
    struct pipes p = { .moved = 0 };
    kin_host *host = open_host(read_and_sleep, &p);

    while (kin_host_step(host) == 1)
        ;
    CHECK(!readable(kin_host_fd(host), 2));
    CHECK_INT(write(p.in[1], "1", 1), 1);
    CHECK(readable(kin_host_fd(host), 5000));
    while (kin_host_step(host) == 1)
        ;
    for (int i = 0; i < 10; i++)
        CHECK_INT(write(p.in[1], "2", 1), 1);
    CHECK(drive(host) < 40);
    CHECK_CODE(kin_host_close(host), 1);
    close(p.in[0]);
    close(p.in[1]);
}

/* -------------------------------------------------------------------- closing */

static int sleep_for_ever(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, tick, arg);
    kin_sleep(KIN_FOREVER);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_SHUTDOWN);
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    CHECK_CODE(kin_scope_close(&s, kin_sleep(KIN_MS(10))), 0);   /* close waits for this */
    return kin_group_close(&g, -ENODATA);
}

static int told_code;
static char told_name[64], told_message[64];

static void note_error(const kin_error *tree, void *arg)
{
    (void)arg;
    told_code = tree->code;
    snprintf(told_name, sizeof told_name, "%.60s", tree->name);
    snprintf(told_message, sizeof told_message, "%.60s", tree->message);
}

HOST_TEST(host_closed_in_the_middle_cancels_and_waits)
{
    int ticks = 0;
    kin_host *host;

    CHECK_CODE(kin_host_open(&host, sleep_for_ever, &ticks, .on_report = keep_report,
                             .on_error = note_error), 0);
    for (int i = 0; i < 10; i++) {
        CHECK(readable(kin_host_fd(host), 5000));
        CHECK(kin_host_step(host) >= 0);
    }
    CHECK_CODE(kin_host_close(host), -ENODATA);
    CHECK(ticks > 0);
    CHECK_CODE(told_code, -ENODATA);
    CHECK_STR(told_name, "main");
}

static int just_sleep(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_S(100));
}

/* The loop asked for it: no error to tell anybody of. */
HOST_TEST(host_closed_in_the_middle_is_no_failure_of_main)
{
    kin_host *host;

    for (int steps = 0; steps < 3; steps++) {
        CHECK_CODE(kin_host_open(&host, just_sleep, NULL, .on_error = note_error), 0);
        for (int i = 0; i < steps; i++)
            CHECK_CODE(kin_host_step(host), 0);
        CHECK_CODE(kin_host_close(host), KIN_ECANCELED);
        CHECK_CODE(told_code, 0);
    }
}

static int fail_with_words(void *arg)
{
    (void)arg;
    return kin_fail(-EPIPE, "broken");
}

HOST_TEST(host_tells_of_main_s_failure)
{
    kin_host *host;

    CHECK_CODE(kin_host_open(&host, fail_with_words, NULL, .on_error = note_error), 0);
    CHECK_CODE(kin_host_step(host), KIN_ESTALE);
    CHECK_CODE(kin_host_close(host), -EPIPE);
    CHECK_CODE(told_code, -EPIPE);
    CHECK_STR(told_name, "main");
    CHECK_STR(told_message, "broken");
}

/* ----------------------------------------------------------- several; threads */

HOST_TEST(host_two_and_a_run_on_one_thread)
{
    int64_t slept[2] = { 0 };
    int yields = 0, done = 0;
    kin_host *host[3] = { open_host(sleep_20_ms, &slept[0]), open_host(sleep_20_ms, &slept[1]),
                          open_host(yield_3000_times, &yields) };
    bool ended[3] = { false };

    for (int i = 0; done < 3; i = (i + 1) % 3) {
        int rc = ended[i] ? 0 : kin_host_step(host[i]);

        done += rc == KIN_ESTALE;
        ended[i] |= rc == KIN_ESTALE;
        if (yields % 500 == 0)
            CHECK_CODE(kin_run(nothing, NULL), 0);
    }
    CHECK(slept[0] >= KIN_MS(20) && slept[1] >= KIN_MS(20));
    for (int i = 0; i < 3; i++)                     /* not in reverse order */
        CHECK_CODE(kin_host_close(host[i]), 0);
}

static int step_inside(void *arg)
{
    kin_host **host = arg;

    CHECK_CODE(kin_host_step(*host), KIN_EDEADLK);
    CHECK_CODE(kin_host_close(*host), KIN_EDEADLK);
    return kin_yield();
}

HOST_TEST(E5_a_host_stepped_by_its_own_task)
{
    static kin_host *host;

    host = open_host(step_inside, &host);
    drive(host);
    CHECK_CODE(kin_host_close(host), 0);
}

/* A task of another run has a stack of its own: the host follows. */
static int drive_inside(void *host)
{
    for (int i = 0; i < 50; i++) {
        CHECK_CODE(kin_host_step(host), 1);
        CHECK_STR(kin_task_name(), "driver");
        CHECK_CODE(kin_yield(), 0);
    }
    return 0;
}

static int drive_in_a_task(void *host)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, drive_inside, host, .name = "driver");
    return kin_group_close(&g, 0);
}

HOST_TEST(host_stepped_from_a_task_of_another_run)
{
    int yields = 0;
    kin_host *host = open_host(yield_3000_times, &yields);

    CHECK_CODE(kin_host_step(host), 1);
    CHECK_CODE(kin_run(drive_in_a_task, host), 0);
    CHECK_CODE(kin_host_step(host), 1);
    drive(host);
    CHECK_CODE(kin_host_close(host), 0);
}

static void *step_elsewhere(void *host)
{
    CHECK_CODE(kin_host_step(host), KIN_EFOREIGN);
    CHECK_CODE(kin_host_close(host), KIN_EFOREIGN);
    return NULL;
}

HOST_TEST(T64_a_host_is_stepped_on_its_own_thread_alone)
{
    kin_host *host = open_host(just_sleep, NULL);
    pthread_t thread;

    CHECK_CODE(kin_host_step(host), 0);
    CHECK_INT(pthread_create(&thread, NULL, step_elsewhere, host), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_CODE(kin_host_step(host), 0);
    CHECK_CODE(kin_host_close(host), KIN_ECANCELED);
}

static kin_remote remote;

static int listen_to_remote(void *arg)
{
    int rc = kin_remote_open(&remote, NULL);

    for (int i = 0; i < 200 && rc == 0; i++) {
        rc = kin_remote_wait(&remote);
        __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELEASE);
    }
    kin_remote_close(&remote);
    return rc;
}

static void *ping_remote(void *heard)
{
    for (int i = 0; i < 200; i++) {
        CHECK_CODE(kin_remote_wake(&remote), 0);
        while (__atomic_load_n((int *)heard, __ATOMIC_ACQUIRE) <= i)
            sched_yield();
    }
    return NULL;
}

HOST_TEST(host_is_reached_through_a_remote)
{
    int heard = 0;
    kin_host *host = open_host(listen_to_remote, &heard);
    pthread_t thread;

    CHECK_CODE(kin_host_step(host), 0);
    CHECK_INT(pthread_create(&thread, NULL, ping_remote, &heard), 0);
    drive(host);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(heard, 200);
    CHECK_CODE(kin_host_close(host), 0);
}

static int cancelled_reader(void *arg)
{
    int fds[2], rc;

    CHECK_CODE(kin_pipe(fds), 0);
    kin_group g = kin_group_open(.timeout = KIN_MS(5));
    kin_spawn(&g, read_once, &fds[0]);
    rc = kin_group_close(&g, 0);
    close_both(fds);
    *(int *)arg = rc;
    return 0;
}

/* What the kernel holds is called off though nobody runs: on uring nothing may stay unsent. */
HOST_TEST(C7_a_host_s_reads_are_called_off_by_a_timer)
{
    int rc = 0;
    kin_host *host = open_host(cancelled_reader, &rc);

    CHECK(drive(host) < 30);
    CHECK_CODE(rc, KIN_ETIMEDOUT);
    CHECK_CODE(kin_host_close(host), 0);
}

/* ---------------------------------------------------- clock, deadlock, failures */

HOST_TEST(Q1_a_host_s_virtual_time_jumps_in_step)
{
    int64_t slept = 0;
    const char *backends[] = { test_backend(), "virtual" };
    kin_host *host;

    for (int i = 0; i < 2; i++) {
        CHECK_CODE(kin_host_open(&host, sleep_20_ms, &slept, .virtual_clock = true,
                                 .backend = backends[i]), 0);
        drive(host);
        CHECK_INT(slept, KIN_MS(20));
        CHECK_CODE(kin_host_close(host), 0);
    }
}

static int wait_for_nothing(void *arg)
{
    kin_event never = { 0 };

    (void)arg;
    return kin_event_wait(&never);
}

HOST_TEST(Q3_a_host_s_deadlock_is_found)
{
    kin_host *host;

    CHECK_CODE(kin_host_open(&host, wait_for_nothing, NULL, .on_report = keep_report,
                             .on_error = note_error), 0);
    CHECK_INT(drive(host), 2);
    CHECK_HAS(reports, "deadlock");
    reports[0] = '\0';
    CHECK_CODE(kin_host_close(host), KIN_ECANCELED);
    CHECK_CODE(told_code, KIN_ECANCELED);
}

static int spin(void *arg)
{
    int64_t began = kin_now();

    (void)arg;
    while (kin_now() - began < KIN_MS(150))
        ;
    return kin_yield();
}

TEST(D4_a_step_that_keeps_the_loop_waiting_is_reported)
{
    kin_host *host;

    CHECK_CODE(kin_host_open(&host, spin, NULL, .on_report = keep_every_report), 0);
    CHECK_CODE(kin_host_step(host), 1);
    CHECK_HAS(reports, "some of 1 tasks kept the others waiting");
    reports[0] = '\0';
    usleep(150000);                         /* the loop's own time is nobody's fault */
    CHECK_CODE(kin_host_step(host), KIN_ESTALE);
    CHECK_STR(reports, "");
    CHECK_CODE(kin_host_close(host), 0);
}

/* Each request of the operating system fails once, and then everything is as before. */
HOST_TEST(host_that_cannot_be_opened_says_why)
{
    const char *sites[] = { "host_epoll", "timerfd", "host_epoll_ctl", "alloc", "map", "eventfd",
                            "uring_eventfd" };
    kin_host *host;

    for (size_t i = 0; i < 5 + 2 * (strcmp(test_backend(), "uring") == 0); i++)
        for (int skip = 0; skip < 20; skip++) {
            fail_later(sites[i], EMFILE, skip, 1);
            int rc = kin_host_open(&host, just_sleep, NULL);

            kin__os_fault = NULL;
            CHECK(rc == 0 ? failed_so_far() == 0 : failed_so_far() == 1);
            CHECK(skip > 0 || rc < 0 || strcmp(sites[i], "map") == 0);
            CHECK(rc == 0 || kin_class(rc) == KIN_CLASS_SYSTEM);
            CHECK((rc == 0) == (host != NULL));
            if (rc == 0)
                CHECK_CODE(kin_host_close(host), KIN_ECANCELED);
        }
}

HOST_TEST(host_with_few_descriptors_left)
{
    struct rlimit limit, few;
    kin_host *host;
    int opened = 0;

    getrlimit(RLIMIT_NOFILE, &limit);
    for (rlim_t n = 3; n < 40; n++) {
        few = (struct rlimit){ .rlim_cur = n, .rlim_max = limit.rlim_max };
        setrlimit(RLIMIT_NOFILE, &few);
        int rc = kin_host_open(&host, just_sleep, NULL);

        setrlimit(RLIMIT_NOFILE, &limit);
        CHECK(rc == 0 || rc == -EMFILE);
        if (rc == 0)
            CHECK_CODE(kin_host_close(host), KIN_ECANCELED);
        opened += rc == 0;
    }
    CHECK(opened > 0 && opened < 37);
}
