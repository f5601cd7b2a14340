/* Signals (docs/semantics.md F4, G13). */
#include "remote_test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "kin_os.h"

static struct sigaction disposition(int number)
{
    struct sigaction now;

    CHECK_INT(sigaction(number, NULL, &now), 0);
    return now;
}

REMOTE_TEST(F4_a_signal_is_waited_for_and_its_disposition_comes_back)
{
    static const int numbers[] = { SIGUSR1, SIGHUP };
    struct sigaction before = disposition(SIGHUP);
    kin_signals signals = { 0 };

    CHECK_CODE(kin_signals_open(&signals, numbers, 2), 0);
    CHECK_CODE(kin_signals_open(&signals, numbers, 2), KIN_EBUSY);
    raise(SIGUSR1);
    raise(SIGUSR1);                     /* once: nobody has looked */
    raise(SIGHUP);
    CHECK_INT(kin_signals_wait(&signals), SIGHUP);
    CHECK_INT(kin_signals_wait(&signals), SIGUSR1);
    kin_scope s = kin_scope_open(.timeout = KIN_MS(20));
    CHECK_CODE(kin_scope_close(&s, kin_signals_wait(&signals)), KIN_ETIMEDOUT);
    kin_signals_close(&signals);
    CHECK(disposition(SIGHUP).sa_handler == before.sa_handler);
    CHECK_CODE(kin_signals_wait(&signals), KIN_ECLOSED);
    kin_signals_close(&signals);        /* a no-op */
}

REMOTE_TEST(F4_what_is_no_signal_is_refused)
{
    static const int wrong[] = { 0, -1, 65, SIGKILL, SIGSTOP };
    int two[] = { SIGUSR2, SIGKILL };
    kin_signals signals = { 0 };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_CODE(kin_signals_open(&signals, &wrong[i], 1), KIN_EINVAL);
    CHECK_CODE(kin_signals_open(&signals, NULL, 0), KIN_EINVAL);
    CHECK_CODE(kin_signals_open(&signals, two, 2), KIN_EINVAL);
    CHECK(disposition(SIGUSR2).sa_handler == SIG_DFL);      /* nothing is left of the first */
}

static int wait_for_one(void *arg)
{
    return kin_signals_wait(arg);
}

/* Parked, not looking: the handler wakes it. Both listeners are told. */
REMOTE_TEST(F4_several_may_wait_for_one_signal)
{
    static const int number = SIGUSR1;
    kin_signals signals[2] = { 0 };
    kin_task task[2];
    kin_group g = kin_group_open();

    for (int i = 0; i < 2; i++) {
        CHECK_CODE(kin_signals_open(&signals[i], &number, 1), 0);
        kin_spawn(&g, wait_for_one, &signals[i], .task = &task[i]);
    }
    kin_yield();
    raise(SIGUSR1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task[0].code, SIGUSR1);
    CHECK_INT(task[1].code, SIGUSR1);
    kin_signals_close(&signals[0]);
    CHECK(disposition(SIGUSR1).sa_handler != SIG_DFL);
    raise(SIGUSR1);
    CHECK_INT(kin_signals_wait(&signals[1]), SIGUSR1);
    kin_signals_close(&signals[1]);
    CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
}

REMOTE_TEST(F4_who_waits_when_it_is_closed_is_told)
{
    static const int number = SIGUSR1;
    kin_signals signals = { 0 };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    CHECK_CODE(kin_signals_open(&signals, &number, 1), 0);
    kin_spawn(&g, wait_for_one, &signals, .task = &task);
    kin_yield();
    kin_signals_close(&signals);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECLOSED);
    CHECK_CODE(task.code, KIN_ECLOSED);
}

/* Somebody else has set his own meanwhile: it stays. */
static void theirs(int number)
{
    (void)number;
}

REMOTE_TEST(F4_a_handler_that_was_set_meanwhile_stays)
{
    static const int number = SIGUSR1;
    struct sigaction own = { .sa_handler = theirs }, usual = { .sa_handler = SIG_DFL };
    kin_signals signals = { 0 };

    CHECK_CODE(kin_signals_open(&signals, &number, 1), 0);
    sigaction(number, &own, NULL);
    kin_signals_close(&signals);
    CHECK(disposition(number).sa_handler == theirs);
    sigaction(number, &usual, NULL);
}

/* A thread sends signals to the process all the time, while they are opened and closed. */
static _Atomic bool over;

static void *storm(void *arg)
{
    while (!over)
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
    return NULL;
}

REMOTE_TEST(F4_opening_and_closing_in_a_storm_of_signals)
{
    static const int number = SIGUSR1;
    struct sigaction own = { .sa_handler = theirs }, usual = { .sa_handler = SIG_DFL };
    pthread_t self = pthread_self(), thread;
    kin_signals signals = { 0 };

    over = false;
    sigaction(number, &own, NULL);      /* while nobody has it open */
    thread = begin_thread(storm, &self);
    for (int i = 0; i < 300; i++) {
        CHECK_CODE(kin_signals_open(&signals, &number, 1), 0);
        CHECK_INT(kin_signals_wait(&signals), number);
        kin_signals_close(&signals);
        CHECK(disposition(number).sa_handler == theirs);
    }
    over = true;
    pthread_join(thread, NULL);
    sigaction(number, &usual, NULL);
}

/* ------------------------------------------------------------- the end of a run */

struct ended {
    kin_reason inside, shielded;
    int root, behind_shield;
};

static int clean_up(void *arg)
{
    struct ended *ended = arg;
    int rc;

    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    rc = ended->behind_shield = kin_sleep(KIN_S(60));
    return kin_scope_close(&s, rc);
}

static int send_term(void *arg)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    (void)arg;
    kin_sleep(KIN_MS(5));
    raise(SIGTERM);
    kin_sleep(KIN_MS(5));
    raise(SIGINT);
    return kin_scope_close(&s, kin_sleep(KIN_S(60)));
}

static int end_twice(void *arg)
{
    struct ended *ended = arg;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_end_on_signals(), 0);
    CHECK_CODE(kin_end_on_signals(), KIN_EBUSY);
    kin_spawn(&g, clean_up, ended);
    kin_spawn(&g, send_term, NULL);
    ended->root = kin_sleep(KIN_S(60));
    if (kin_cancelled())
        ended->inside = *kin_cancelled();
    return kin_group_close(&g, ended->root);
}

TEST(F4_the_first_signal_cancels_the_root_the_second_lifts_shields)
{
    struct sigaction before = disposition(SIGTERM);

    for (int i = 0; i < 3; i++) {
        struct ended ended = { .root = 1 };

        CHECK_CODE(kin_run(end_twice, &ended, .backend = test_backend()), KIN_ECANCELED);
        CHECK_CODE(ended.root, KIN_ECANCELED);
        CHECK_INT(ended.inside.kind, KIN_BY_SIGNAL);
        CHECK_HAS(ended.inside.message, "Terminated");
        CHECK_CODE(ended.behind_shield, KIN_ECANCELED);
        CHECK(disposition(SIGTERM).sa_handler == before.sa_handler);
    }
}

static int nobody_comes(void *arg)
{
    (void)arg;
    CHECK_CODE(kin_end_on_signals(), 0);
    return kin_yield();
}

TEST(F4_a_run_that_no_signal_ends_puts_dispositions_back)
{
    CHECK_CODE(kin_run(nobody_comes, NULL, .backend = test_backend()), 0);
    CHECK(disposition(SIGTERM).sa_handler == SIG_DFL);
    CHECK(disposition(SIGINT).sa_handler == SIG_DFL);
}
