/* Remotes under storms: signals that come into the middle of everything, threads that
 * never cease to call while the remote, or the run, goes away. */
#include "remote_test.h"

#include <signal.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- signals */

static kin_remote signalled;
static unsigned handled, told, spoilt;          /* written by handlers, atomically */

static void handler(int signal)
{
    int rc, kept = errno;

    errno = 4711;
    __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
    rc = signal == SIGUSR2 ? kin_remote_cancel(&signalled, "signal") : kin_remote_wake(&signalled);
    if (rc == 0)
        __atomic_fetch_add(&told, 1, __ATOMIC_RELAXED);
    if (errno != 4711 || (rc != 0 && rc != KIN_ESTALE))
        __atomic_fetch_add(&spoilt, 1, __ATOMIC_RELAXED);
    errno = kept;
}

/* Without SA_RESTART: what kin calls is interrupted, too. */
static void handle(int signal)
{
    struct sigaction action = { .sa_handler = handler };

    CHECK_INT(sigaction(signal, &action, NULL), 0);
}

static timer_t begin_timer(long ns)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct itimerspec every = { .it_interval.tv_nsec = ns, .it_value.tv_nsec = ns };
    timer_t timer;

    CHECK_INT(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_INT(timer_settime(timer, 0, &every, NULL), 0);
    return timer;
}

REMOTE_TEST(G13_a_group_is_cancelled_from_a_signal_handler)
{
    kin_task task;
    struct act a = { .sleep = KIN_S(100) };
    kin_group g = kin_group_open();

    handle(SIGUSR2);
    CHECK_CODE(kin_remote_open(&signalled, &g), 0);
    kin_spawn(&g, act, &a, .task = &task);
    CHECK_CODE(kin_yield(), 0);
    CHECK_INT(raise(SIGUSR2), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_STR(task.reason.message, "signal");
    CHECK_INT(spoilt, 0);
    kin_remote_close(&signalled);
    CHECK_INT(raise(SIGUSR2), 0);                   /* comes too late, does no harm */
    CHECK_INT(handled, 2);
    CHECK_INT(told, 1);
    CHECK_INT(spoilt, 0);
}

/* Whatever the run does is interrupted; no wake may be lost. */
REMOTE_TEST(remote_in_a_storm_of_signals)
{
    unsigned seen = 0, wakes = 0;

    handle(SIGUSR1);
    CHECK_CODE(kin_remote_open(&signalled, NULL), 0);
    timer_t timer = begin_timer(20000);
    while (seen < 3000) {
        CHECK_CODE(kin_remote_wait(&signalled), 0);
        CHECK(__atomic_load_n(&handled, __ATOMIC_RELAXED) > 0);
        seen = __atomic_load_n(&handled, __ATOMIC_RELAXED);
        wakes++;
        CHECK_INT(raise(SIGUSR1), 0);
    }
    timer_delete(timer);
    CHECK(wakes > 0 && wakes <= handled);
    CHECK_INT(spoilt, 0);
    kin_remote_close(&signalled);
}

/* The handler comes into the middle of open and close. */
REMOTE_TEST(remote_opened_and_closed_in_a_storm_of_signals)
{
    handle(SIGUSR1);
    timer_t timer = begin_timer(10000);
    for (int i = 0; __atomic_load_n(&handled, __ATOMIC_RELAXED) < 2000; i++) {
        CHECK_CODE(kin_remote_open(&signalled, NULL), 0);
        if (i % 8 == 0)
            CHECK_CODE(kin_remote_wait(&signalled), 0);
        kin_remote_close(&signalled);
    }
    timer_delete(timer);
    CHECK_INT(spoilt, 0);
}

/* ------------------------------------------------------------- many threads */

static kin_remote stormed;
static bool calm;
static unsigned accepted, rejected;

static void *storm(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&calm, __ATOMIC_RELAXED)) {
        int rc = kin_remote_wake(&stormed);

        CHECK(rc == 0 || rc == KIN_ESTALE);
        __atomic_fetch_add(rc == 0 ? &accepted : &rejected, 1, __ATOMIC_RELAXED);
        rc = kin_remote_cancel(&stormed, "storm");
        CHECK(rc == KIN_EINVAL || rc == 0 || rc == KIN_ESTALE);
    }
    return NULL;
}

static void begin_storm(pthread_t thread[CALLERS])
{
    for (int i = 0; i < CALLERS; i++)
        thread[i] = begin_thread(storm, NULL);
}

static void end_storm(const pthread_t thread[CALLERS])
{
    __atomic_store_n(&calm, true, __ATOMIC_RELAXED);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(pthread_join(thread[i], NULL), 0);
}

REMOTE_TEST(remote_closed_in_a_storm_from_four_threads)
{
    pthread_t thread[CALLERS];

    begin_storm(thread);
    for (int i = 0; i < 300; i++) {
        CHECK_CODE(kin_remote_open(&stormed, NULL), 0);
        for (int j = 0; j < i % 4; j++)
            CHECK_CODE(kin_remote_wait(&stormed), 0);
        kin_remote_close(&stormed);
    }
    end_storm(thread);
    CHECK(accepted > 0);
}

static int open_wait_close(void *arg)
{
    kin_group g = kin_group_open();
    int rc = kin_remote_open(&stormed, arg ? &g : NULL);

    if (rc == 0)
        rc = kin_remote_wait(&stormed);
    kin_remote_close(&stormed);
    return kin_group_close(&g, rc);
}

/* The run itself goes away under the callers, again and again. */
TEST(remote_runs_end_in_a_storm_from_four_threads)
{
    pthread_t thread[CALLERS];

    begin_storm(thread);
    for (int i = 0; i < 100; i++)
        CHECK_CODE(kin_run(open_wait_close, i % 2 ? &i : NULL), 0);
    end_storm(thread);
    CHECK(accepted > 0);
}

static void *wake_for_ever(void *arg)
{
    for (;;) {
        kin_remote_wake(arg);
        pthread_testcancel();
    }
    return NULL;
}

REMOTE_TEST(remote_whose_caller_s_thread_is_cancelled_can_be_closed)
{
    static kin_remote remote;

    for (int i = 0; i < 50; i++) {
        CHECK_CODE(kin_remote_open(&remote, NULL), 0);
        pthread_t thread = begin_thread(wake_for_ever, &remote);
        CHECK_CODE(kin_remote_wait(&remote), 0);
        CHECK_INT(pthread_cancel(thread), 0);
        CHECK_INT(pthread_join(thread, NULL), 0);
        kin_remote_close(&remote);
    }
}

