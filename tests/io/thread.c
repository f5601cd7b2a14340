/* Jobs on threads: kin_thread_run (docs/semantics.md C7; traps T54, T66). */
#include "remote_test.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kin_os.h"

/* What a job waits for, and says. */
static sem_t go, begun;
static _Atomic int dropped, ran;

static void prepare(void)
{
    sem_init(&go, 0, 0);
    sem_init(&begun, 0, 0);
    dropped = ran = 0;
}

static int square(void *arg)
{
    int *number = arg;

    ran++;
    return *number * *number;
}

static int wait_for_go(void *arg)
{
    (void)arg;
    ran++;
    sem_post(&begun);
    while (sem_wait(&go) < 0)
        ;
    return 7;
}

static void drop(void *arg)
{
    (void)arg;
    dropped++;
}

/* Looks without blocking the run's thread. */
static void await(_Atomic int *count, int least)
{
    while (*count < least)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
}

static void await_begun(void)
{
    while (sem_trywait(&begun) < 0)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
}

REMOTE_TEST(C7_a_job_returns_what_its_function_returned)
{
    int number = 12, failing = -EPIPE;
    bool own = false;

    prepare();
    CHECK_CODE(kin_thread_run(square, &number, .ran = &own), 144);
    CHECK(own);
    number = failing;
    (void)number;
    CHECK_CODE(kin_thread_run(NULL, NULL), KIN_EINVAL);
    CHECK_CODE(kin_thread_run(square, &number, .end = KIN_THREAD_SIGNAL), KIN_EINVAL);
}

static int nothing_of_kin(void *arg)
{
    (void)arg;
    return kin_sleep(1) == KIN_ENORUN && kin_yield() == KIN_ENORUN ? 1 : 0;
}

REMOTE_TEST(S3_a_job_is_outside_of_the_run)
{
    CHECK_CODE(kin_thread_run(nothing_of_kin, NULL), 1);
}

/* --------------------------------------------------------------- the three ends */

struct employer {
    kin_thread_end end;
    int (*fn)(void *arg);
    bool own;
};

static int caller(void *arg)
{
    struct employer *call = arg;

    return kin_thread_run(call->fn, NULL, .end = call->end, .drop = drop, .ran = &call->own,
                          .signal = call->end == KIN_THREAD_SIGNAL ? SIGUSR1 : 0);
}

/* The group is cancelled when the job has begun. */
static void begin_and_cancel(kin_group *group, struct employer *call, kin_task *task)
{
    prepare();
    kin_spawn(group, caller, call, .task = task);
    kin_yield();
    await_begun();
    kin_cancel(group, "enough");
}

REMOTE_TEST(C7_wait_the_call_returns_when_the_job_has_ended)
{
    struct employer call = { KIN_THREAD_WAIT, wait_for_go, false };
    kin_task task;
    kin_group g = kin_group_open();

    begin_and_cancel(&g, &call, &task);
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    for (int i = 0; i < 5; i++)
        kin_sleep(KIN_MS(1));
    CHECK_INT(task.status, KIN_PENDING);
    kin_scope_leave(&s);
    sem_post(&go);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.code, 7);            /* what was completed is not turned into a cancel */
    CHECK(call.own);
    CHECK_INT(dropped, 0);
}

/* T66: the job that was left alone frees what it was given. */
REMOTE_TEST(T66_abandon_the_call_returns_at_once_and_the_argument_is_dropped)
{
    struct employer call = { KIN_THREAD_ABANDON, wait_for_go, false };
    kin_task task;
    kin_group g = kin_group_open();

    begin_and_cancel(&g, &call, &task);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK(!call.own);
    CHECK_INT(dropped, 0);
    sem_post(&go);
    await(&dropped, 1);
}

REMOTE_TEST(T66_abandon_a_job_that_has_ended_is_not_abandoned)
{
    struct employer call = { KIN_THREAD_ABANDON, wait_for_go, false };
    kin_task task;
    kin_group g = kin_group_open();

    prepare();
    sem_post(&go);
    kin_spawn(&g, caller, &call, .task = &task);
    kin_yield();
    sem_wait(&begun);
    nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);     /* the run does not look */
    kin_cancel(&g, "too late");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    if (call.own)
        CHECK_INT(task.code, 7);
    else                                /* its thread was slower than we are */
        await(&dropped, 1);
    CHECK_INT(dropped, !call.own);
}

static int sleep_long(void *arg)
{
    struct timespec day = { .tv_sec = 86400 };

    (void)arg;
    sem_post(&begun);
    return nanosleep(&day, NULL) < 0 ? -errno : 0;
}

/* Comes back after some more work: it is signalled until then. */
static int sleep_long_often(void *arg)
{
    int times = 0;

    (void)arg;
    sem_post(&begun);
    while (times < 3)
        times += sleep_long(NULL) == -EINTR;
    return times;
}

REMOTE_TEST(C7_signal_interrupts_the_job_until_it_ends)
{
    struct employer calls[] = { { KIN_THREAD_SIGNAL, sleep_long, false },
                            { KIN_THREAD_SIGNAL, sleep_long_often, false } };
    struct sigaction before, after;

    prepare();
    sigaction(SIGUSR1, NULL, &before);
    for (int i = 0; i < 2; i++) {
        kin_task task;
        kin_group g = kin_group_open();

        kin_spawn(&g, caller, &calls[i], .task = &task);
        kin_yield();
        await_begun();
        kin_cancel(&g, "enough");
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK(calls[i].own);
        CHECK_CODE(task.code, i == 0 ? KIN_ECANCELED : 3);
    }
    sigaction(SIGUSR1, NULL, &after);
    CHECK(after.sa_handler == before.sa_handler);       /* F4 */
}

/* ------------------------------------------------------------------- the limit */

REMOTE_TEST(C7_a_job_in_line_is_withdrawn)
{
    enum { MANY = 60 };
    struct employer call[MANY];
    kin_task task[MANY];
    int in_line = 0;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    prepare();
    for (int i = 0; i < MANY; i++) {
        call[i] = (struct employer){ i % 2 ? KIN_THREAD_WAIT : KIN_THREAD_ABANDON, wait_for_go, false };
        kin_spawn(&g, caller, &call[i], .task = &task[i]);
    }
    kin_yield();
    await(&ran, 40);
    kin_sleep(KIN_MS(20));
    CHECK_INT(ran, 40);                 /* no more at a time */
    for (int i = 40; i < MANY; i++) {
        CHECK_CODE(kin_cancel(&task[i], NULL), 0);
        in_line++;
    }
    kin_yield();
    kin_yield();
    for (int i = 40; i < MANY; i++)
        CHECK_INT(task[i].status, KIN_CANCELLED);
    CHECK_INT(dropped, in_line / 2);
    for (int i = 0; i < 40; i++)
        sem_post(&go);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(ran, 40);
}

/* An abandoned job holds its place until it has ended. */
REMOTE_TEST(T66_abandoned_jobs_count)
{
    struct employer call[40];
    int number = 3;
    kin_group g = kin_group_open();

    prepare();
    for (int i = 0; i < 40; i++) {
        call[i] = (struct employer){ KIN_THREAD_ABANDON, wait_for_go, false };
        kin_spawn(&g, caller, &call[i]);
    }
    kin_yield();
    await(&ran, 40);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    kin_scope s = kin_scope_open(.timeout = KIN_MS(20));
    CHECK_CODE(kin_scope_close(&s, kin_thread_run(square, &number)), KIN_ETIMEDOUT);
    sem_post(&go);
    CHECK_CODE(kin_thread_run(square, &number), 9);
    for (int i = 1; i < 40; i++)
        sem_post(&go);
    await(&dropped, 40);
}

/* ------------------------------------------------------------------ its end */

static int abandon_one(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, caller, arg);
    kin_yield();
    await_begun();
    kin_cancel(&g, NULL);
    return kin_group_close(&g, 0);
}

static void await_outside(_Atomic int *count)
{
    while (*count == 0)
        usleep(1000);
}

/* The run has gone, the job goes on; and one ends while the run ends. */
TEST(T66_a_job_outlives_its_run)
{
    struct employer call = { KIN_THREAD_ABANDON, wait_for_go, false };

    for (int i = 0; i < 20; i++) {
        prepare();
        if (i % 2)
            sem_post(&go);
        CHECK_CODE(kin_run(abandon_one, &call, .backend = test_backend()), 0);
        if (i % 2 == 0)
            sem_post(&go);
        if (!call.own)
            await_outside(&dropped);
    }
}

static const char *failing;

static bool fail_at(const char *site)
{
    if (!failing || strcmp(site, failing) != 0)
        return false;
    failing = NULL;
    errno = EAGAIN;
    return true;
}

/* Whatever cannot be had: a code, and the argument is dropped once. */
REMOTE_TEST(T66_a_job_that_cannot_begin_drops_its_argument)
{
    static const char *const sites[] = { "alloc", "bell" };
    int number = 5;

    prepare();
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        int rc;

        dropped = 0;
        failing = sites[i];
        kin__os_fault = fail_at;
        rc = kin_thread_run(square, &number, .end = KIN_THREAD_ABANDON, .drop = drop);
        kin__os_fault = NULL;
        CHECK(rc < 0);
        CHECK_INT(dropped, 1);
    }
    CHECK_CODE(kin_thread_run(square, &number), 25);
    failing = "thread";
    kin__os_fault = fail_at;
    CHECK_CODE(kin_thread_run(square, &number), 25);    /* there is an idle one */
    kin__os_fault = NULL;
}

/* -------------------------------------------------------------- blocking sections */

REMOTE_TEST(D4_a_blocking_section_is_not_a_step_that_takes_too_long)
{
    kin_blocking_begin();
    usleep(150000);
    kin_blocking_end();
    kin_yield();                        /* a report would fail the test */
}
