/* The mutex: who unlocks hands it to the first in line (docs/semantics.md S1 to S3;
 * asyncio's Lock tests, T38, T39, T41, T49). */
#include "kin_ext.h"
#include "kin_test.h"

#include <stdio.h>

struct user {
    kin_mutex *mutex;
    int number;
    int64_t hold;           /* how long it keeps the mutex */
    int rc;                 /* what lock said */
};

static int use(void *arg)
{
    struct user *u = arg;

    u->rc = kin_mutex_lock(u->mutex);
    if (u->rc < 0)
        return u->rc;
    trace("%d", u->number);
    kin_sleep(u->hold);
    CHECK_INT(u->mutex->owner, kin_task_id());
    return kin_mutex_unlock(u->mutex);
}

static void spawn_users(kin_group *g, struct user *u, kin_task *task, int n, kin_mutex *mutex)
{
    for (int i = 0; i < n; i++) {
        u[i] = (struct user){ mutex, i + 1, 0, 99 };
        CHECK_CODE(kin_spawn(g, use, &u[i], .task = &task[i], .name = "user", .index = i + 1), 0);
    }
    settle();
}

static void check_free(const kin_mutex *mutex)
{
    CHECK_INT(mutex->owner, 0);
    CHECK(!mutex->waiters.first && !mutex->waiters.last);
}

KIN_TEST(lock_acquire)
{
    kin_mutex mutex = { 0 };
    struct user u[3], late = { &mutex, 9, 0, 99 };
    kin_task task[3];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 3, &mutex);
    CHECK_TRACE("");
    kin_spawn(&g, use, &late);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    CHECK_INT(mutex.owner, task[0].id);     /* it has it before it has run */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1 2 3 9");
    check_free(&mutex);
}

KIN_TEST(lock_acquire_cancel)
{
    kin_mutex mutex = { 0 };
    struct user u[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 1, &mutex);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[0].rc, KIN_ECANCELED);
    CHECK(!mutex.waiters.first);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    check_free(&mutex);
}

/* asyncio's bpo-27585: B is cancelled in the turn in which A lets go. */
KIN_TEST(lock_cancel_race)
{
    kin_mutex mutex = { 0 };
    struct user u[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 2, &mutex);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[0].rc, KIN_ECANCELED);
    CHECK_TRACE("2");
    check_free(&mutex);
}

KIN_TEST(lock_cancel_release_race)
{
    kin_mutex mutex = { 0 };
    struct user u[4];
    kin_task task[4];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 4, &mutex);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    kin_cancel(&task[2], NULL);
    CHECK_INT(mutex.owner, task[1].id);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("2 4");
    check_free(&mutex);
}

/* The chosen one is cancelled: it has the mutex, and passes it on. */
KIN_TEST(lock_finished_waiter_cancelled)
{
    kin_mutex mutex = { 0 };
    struct user u[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 2, &mutex);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[0].rc, 0);
    CHECK_CODE(u[1].rc, 0);
    CHECK_TRACE("1 2");
    check_free(&mutex);
}

static int unlock_it(void *arg)
{
    return kin_mutex_unlock(arg);
}

KIN_TEST(lock_release_not_acquired)
{
    kin_mutex mutex = { 0 };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    CHECK_CODE(kin_mutex_unlock(&mutex), KIN_EOWNER);
    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    kin_spawn(&g, unlock_it, &mutex, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EOWNER);
    CHECK_INT(mutex.owner, kin_task_id());
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    CHECK_CODE(kin_mutex_unlock(&mutex), KIN_EOWNER);
}

KIN_TEST(lock_release_no_waiters)
{
    kin_mutex mutex = { 0 };

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    CHECK_INT(mutex.owner, kin_task_id());
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    check_free(&mutex);
}

/* -------------------------------------------------------------------- blocks */

static int leave_by_return(kin_mutex *mutex)
{
    int rc;

    KIN_LOCKED(rc, mutex)
    {
        CHECK_INT(mutex->owner, kin_task_id());
        return 7;
    }
    return rc;
}

KIN_TEST(lock_context_manager)
{
    kin_mutex mutex = { 0 };
    int rc = 99, entered = 0;

    KIN_LOCKED(rc, &mutex)
    {
        entered++;
        CHECK_INT(mutex.owner, kin_task_id());
    }
    CHECK_CODE(rc, 0);
    check_free(&mutex);
    KIN_LOCKED(rc, &mutex)
    {
        entered++;
        break;
    }
    check_free(&mutex);
    KIN_LOCKED(rc, &mutex)
    {
        entered++;
        goto out;
    }
out:
    check_free(&mutex);
    CHECK_INT(leave_by_return(&mutex), 7);
    check_free(&mutex);
    CHECK_INT(entered, 3);
}

KIN_TEST(S1_a_block_whose_lock_fails_is_not_entered)
{
    kin_mutex mutex = { 0 };
    int rc = 99;

    KIN_LOCKED(rc, &mutex)
    {
        int inner = 99;

        KIN_LOCKED(inner, &mutex)
        {
            FAIL("entered");
        }
        CHECK_CODE(inner, KIN_EDEADLK);
        CHECK_INT(mutex.owner, kin_task_id());
    }
    check_free(&mutex);
}

KIN_TEST(S1_unlocking_inside_of_a_block_is_reported)
{
    kin_mutex mutex = { 0 };
    int rc;

    KIN_LOCKED(rc, &mutex)
    {
        CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    }
    CHECK_REPORTED("a mutex was unlocked inside of its KIN_LOCKED");
    check_free(&mutex);
}

KIN_TEST(S1_a_block_holds_a_unit_of_a_semaphore)
{
    kin_semaphore semaphore = KIN_SEMAPHORE_BOUNDED(2);
    int rc = 99;

    KIN_ACQUIRED(rc, &semaphore)
    {
        CHECK_INT(semaphore.count, 1);
    }
    CHECK_CODE(rc, 0);
    CHECK_INT(semaphore.count, 2);
    KIN_ACQUIRED(rc, &semaphore)
    {
        break;
    }
    CHECK_INT(semaphore.count, 2);
    kin_scope s = kin_scope_open(.cancelled = true);
    KIN_ACQUIRED(rc, &semaphore)
    {
        FAIL("entered");
    }
    kin_scope_close(&s, 0);
    CHECK_CODE(rc, KIN_ECANCELED);
    CHECK_INT(semaphore.count, 2);
    KIN_ACQUIRED(rc, &semaphore)
    {
        kin_semaphore_release(&semaphore);
    }
    CHECK_REPORTED("a semaphore was released inside of its KIN_ACQUIRED");
}

/* --------------------------------------------------------------------- traps */

KIN_TEST(T49_the_owner_that_locks_again_is_told)
{
    kin_mutex mutex = { 0 };

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    CHECK_CODE(kin_mutex_lock(&mutex), KIN_EDEADLK);
    CHECK_CODE(kin_mutex_try_lock(&mutex), KIN_EDEADLK);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    check_free(&mutex);
}

KIN_TEST(T38_a_cancelled_waiter_does_not_take_the_mutex_with_it)
{
    kin_mutex mutex = { 0 };
    struct user u[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 3, &mutex);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    kin_cancel(&task[0], NULL);
    kin_cancel(&task[1], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[0].rc, 0);
    CHECK_CODE(u[1].rc, KIN_ECANCELED);
    CHECK_CODE(u[2].rc, 0);
    CHECK_TRACE("1 3");
    check_free(&mutex);
}

KIN_TEST(T41_a_newcomer_does_not_get_the_mutex_before_its_heir)
{
    kin_mutex mutex = { 0 };
    struct user u[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 1, &mutex);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    CHECK_CODE(kin_mutex_try_lock(&mutex), KIN_EAGAIN);
    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    trace("body");
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1 body");
}

/* T39: many users, some of whom give up; never two inside. */
static int inside;

static int restless(void *arg)
{
    struct user *u = arg;

    for (int i = 0; i < 50; i++) {
        kin_scope s = kin_scope_open(.timeout = KIN_MS(1 + (u->number * 31 + i * 17) % 40));
        int rc = kin_mutex_lock(u->mutex);

        kin_scope_close(&s, 0);
        if (rc == KIN_ECANCELED)
            continue;
        CHECK_CODE(rc, 0);
        CHECK_INT(++inside, 1);
        CHECK_CODE(kin_sleep(KIN_US((u->number + i) % 7)), 0);
        inside--;
        CHECK_CODE(kin_mutex_unlock(u->mutex), 0);
    }
    return 0;
}

KIN_TEST(T39_never_two_inside_though_many_give_up)
{
    static struct user u[100];
    kin_mutex mutex = { 0 };
    kin_group g = kin_group_open();

    for (int i = 0; i < 100; i++) {
        u[i] = (struct user){ &mutex, i, 0, 0 };
        kin_spawn(&g, restless, &u[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    check_free(&mutex);
}

KIN_TEST(C4_unlock_lets_nobody_run)
{
    kin_mutex mutex = { 0 };
    struct user u[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 1, &mutex);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);    /* also when cancelled */
    CHECK_TRACE("");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ----------------------------------------------------------- who holds what */

static const char *dump_text(void)
{
    static char text[8192];
    FILE *out = fmemopen(text, sizeof text, "w");

    CHECK(out != NULL);
    kin_dump(out);
    fclose(out);
    return text;
}

KIN_TEST(S1_a_dump_says_who_holds_the_mutex)
{
    kin_mutex mutex = { 0 };
    struct user u[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_mutex_lock(&mutex), 0);
    spawn_users(&g, u, task, 2, &mutex);
    CHECK_HAS(dump_text(), "waits for: mutex, ");
    CHECK_HAS(dump_text(), "held by main");
    u[0].hold = KIN_S(1);
    CHECK_CODE(kin_mutex_unlock(&mutex), 0);
    settle();
    CHECK_HAS(dump_text(), "held by user[1]");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1 2");
}

static int help(void *arg)
{
    int rc;

    KIN_LOCKED(rc, arg)
        rc = kin_sleep(KIN_FOREVER);
    return rc;
}

KIN_TEST(S1_a_dump_knows_helpers_too)
{
    static kin_mutex mutex;         /* helpers outlive the test */
    struct user u[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_system_spawn(help, &mutex, "helper"), 0);
    settle();
    spawn_users(&g, u, task, 1, &mutex);
    CHECK_HAS(dump_text(), "held by helper");
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int lock_and_end(void *arg)
{
    return kin_mutex_lock(arg);
}

KIN_TEST(S1_a_task_that_ends_without_unlocking_keeps_the_others_out)
{
    kin_mutex mutex = { 0 };
    struct user u[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    kin_spawn(&g, lock_and_end, &mutex);
    settle();
    CHECK_CODE(kin_mutex_try_lock(&mutex), KIN_EAGAIN);
    CHECK_CODE(kin_mutex_unlock(&mutex), KIN_EOWNER);
    spawn_users(&g, u, task, 1, &mutex);
    CHECK_HAS(dump_text(), "held by a task that has ended");
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int lock_two(void *arg)
{
    kin_mutex **m = arg;
    int rc = kin_mutex_lock(m[0]);

    if (rc < 0)
        return rc;
    kin_yield();
    rc = kin_mutex_lock(m[1]);
    if (rc == 0)
        kin_mutex_unlock(m[1]);
    kin_mutex_unlock(m[0]);
    return rc;
}

KIN_TEST(Q3_a_deadlock_report_says_who_holds_what)
{
    kin_mutex a = { 0 }, b = { 0 };
    kin_mutex *one[] = { &a, &b }, *other[] = { &b, &a };
    kin_group g = kin_group_open();

    kin_spawn(&g, lock_two, one, .name = "left");
    kin_spawn(&g, lock_two, other, .name = "right");
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_HAS(test_reports(), "held by left");
    CHECK_REPORTED("held by right");
    check_free(&a);
    check_free(&b);
}

/* ------------------------------------------------------------- runs, outside */

static int lock_in_a_run(void *arg)
{
    return kin_mutex_lock(arg);
}

static int refused_in_a_run(void *arg)
{
    kin_mutex *mutex = arg;

    CHECK_CODE(kin_mutex_lock(mutex), KIN_EFOREIGN);
    CHECK_CODE(kin_mutex_try_lock(mutex), KIN_EFOREIGN);
    CHECK_CODE(kin_mutex_unlock(mutex), KIN_EFOREIGN);
    return 0;
}

static int lock_and_unlock(void *arg)
{
    CHECK_CODE(kin_mutex_lock(arg), 0);
    return kin_mutex_unlock(arg);
}

TEST(S3_a_mutex_that_an_earlier_run_left_locked_is_refused)
{
    kin_mutex mutex = { 0 }, fine = { 0 };

    CHECK_CODE(test_run(lock_in_a_run, &mutex), 0);
    CHECK_CODE(test_run(refused_in_a_run, &mutex), 0);
    CHECK_CODE(test_run(lock_and_unlock, &fine), 0);
    CHECK_CODE(test_run(lock_and_unlock, &fine), 0);
    CHECK_CODE(kin_mutex_lock(&fine), KIN_ENORUN);
    CHECK_CODE(kin_mutex_try_lock(&fine), KIN_ENORUN);
    CHECK_CODE(kin_mutex_unlock(&fine), KIN_ENORUN);
}
