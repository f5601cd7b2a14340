/* The semaphore: each release is a hand-off to the first in line (docs/semantics.md S2;
 * asyncio's Semaphore tests, T38 to T41). */
#include "kin_test.h"

struct user {
    kin_semaphore *semaphore;
    int number;
    int64_t hold;           /* how long it keeps the unit; negative: for ever */
    int got;
};

static int use(void *arg)
{
    struct user *u = arg;

    u->got = kin_semaphore_acquire(u->semaphore);
    if (u->got < 0)
        return u->got;
    trace("%d", u->number);
    if (u->hold < 0)
        return 0;
    kin_sleep(u->hold);
    return kin_semaphore_release(u->semaphore);
}

static void spawn_users(kin_group *g, struct user *u, kin_task *task, int n,
                        kin_semaphore *semaphore, int64_t hold)
{
    for (int i = 0; i < n; i++) {
        u[i] = (struct user){ semaphore, i, hold, 99 };
        CHECK_CODE(kin_spawn(g, use, &u[i], .task = &task[i]), 0);
    }
    settle();
}

static void check_empty(const kin_semaphore *semaphore)
{
    CHECK(semaphore->waiters.first == NULL && semaphore->waiters.last == NULL);
}

KIN_TEST(semaphore_acquire)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(3);
    struct user u[5];
    kin_task task[5];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 5, &semaphore, KIN_S(1));
    CHECK_TRACE("0 1 2");
    CHECK_INT(semaphore.count, 0);
    kin_sleep(KIN_S(1));
    CHECK_TRACE("3 4");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(semaphore.count, 3);
    check_empty(&semaphore);
}

KIN_TEST(semaphore_initial_value_zero)
{
    kin_semaphore semaphore = { 0 };

    CHECK_CODE(kin_semaphore_try_acquire(&semaphore), KIN_EAGAIN);
    CHECK_CODE(kin_semaphore_release(&semaphore), 0);
    CHECK_CODE(kin_semaphore_acquire(&semaphore), 0);
    CHECK_INT(semaphore.count, 0);
}

KIN_TEST(semaphore_release_not_acquired)
{
    kin_semaphore bounded = KIN_SEMAPHORE_BOUNDED(2), unbounded = KIN_SEMAPHORE(2);

    CHECK_CODE(kin_semaphore_release(&bounded), KIN_EINVAL);
    CHECK_INT(bounded.count, 2);
    CHECK_CODE(kin_semaphore_acquire(&bounded), 0);
    CHECK_CODE(kin_semaphore_release(&bounded), 0);
    CHECK_CODE(kin_semaphore_release(&unbounded), 0);
    CHECK_INT(unbounded.count, 3);
    drop_reports();
}

KIN_TEST(semaphore_acquire_cancel)
{
    kin_semaphore semaphore = { 0 };
    struct user u[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 1, &semaphore, 0);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[0].got, KIN_ECANCELED);
    check_empty(&semaphore);
    CHECK_INT(semaphore.count, 0);
}

KIN_TEST(semaphore_acquire_cancel_before_awoken)
{
    kin_semaphore semaphore = { 0 };
    struct user u[4];
    kin_task task[4];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 4, &semaphore, -1);
    kin_cancel(&task[0], NULL);
    kin_cancel(&task[1], NULL);
    kin_semaphore_release(&semaphore);
    settle();
    CHECK_TRACE("2");
    kin_semaphore_release(&semaphore);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("3");
    CHECK_INT(semaphore.count, 0);
}

KIN_TEST(semaphore_acquire_hang)
{
    kin_semaphore semaphore = { 0 };
    struct user u[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 2, &semaphore, -1);
    kin_cancel(&task[0], NULL);
    settle();
    kin_semaphore_release(&semaphore);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1");
}

KIN_TEST(semaphore_acquire_no_hang)
{
    kin_semaphore semaphore = { 0 };
    struct user u[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 1, &semaphore, -1);
    kin_semaphore_release(&semaphore);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[0].got, 0);
    CHECK_INT(semaphore.count, 0);
    kin_semaphore_release(&semaphore);
    CHECK_CODE(kin_semaphore_acquire(&semaphore), 0);
    CHECK_TRACE("0");
}

KIN_TEST(T38_a_cancelled_waiter_takes_no_wakeup_with_it)
{
    kin_semaphore semaphore = { 0 };
    struct user u[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 3, &semaphore, KIN_S(1));
    kin_semaphore_release(&semaphore);
    kin_cancel(&task[0], NULL);
    kin_cancel(&task[1], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[0].got, 0);
    CHECK_CODE(u[1].got, KIN_ECANCELED);
    CHECK_CODE(u[2].got, 0);
    CHECK_TRACE("0 2");
    CHECK_INT(semaphore.count, 1);
}

KIN_TEST(T41_a_newcomer_does_not_jump_the_queue)
{
    kin_semaphore semaphore = { 0 };
    struct user u[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 2, &semaphore, 0);
    kin_semaphore_release(&semaphore);
    CHECK_CODE(kin_semaphore_try_acquire(&semaphore), KIN_EAGAIN);
    CHECK_CODE(kin_semaphore_acquire(&semaphore), 0);
    CHECK_TRACE("0 1");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(semaphore.count, 0);
}

static int acquire_again(void *arg)
{
    struct user *u = arg;

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_semaphore_acquire(u->semaphore), 0);
        trace("%d", u->number);
        CHECK_CODE(kin_semaphore_release(u->semaphore), 0);
    }
    return 0;
}

KIN_TEST(semaphore_fifo_order)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1);
    struct user a = { &semaphore, 1, 0, 0 }, b = { &semaphore, 2, 0, 0 };
    kin_group g = kin_group_open();

    CHECK_CODE(kin_semaphore_acquire(&semaphore), 0);
    kin_spawn(&g, acquire_again, &a);
    kin_spawn(&g, acquire_again, &b);
    settle();
    CHECK_CODE(kin_semaphore_release(&semaphore), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1 2 1 2 1 2");
}

KIN_TEST(semaphore_fifo_order_2)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1);
    struct user u[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_semaphore_acquire(&semaphore), 0);
    spawn_users(&g, u, task, 2, &semaphore, 0);
    CHECK_CODE(kin_semaphore_release(&semaphore), 0);
    CHECK_CODE(kin_semaphore_acquire(&semaphore), 0);
    trace("body");
    CHECK_CODE(kin_semaphore_release(&semaphore), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("0 1 body");
}

KIN_TEST(semaphore_fifo_order_3)
{
    kin_semaphore semaphore = { 0 };
    struct user u[4];
    kin_task task[4];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 4, &semaphore, 0);
    kin_cancel(&task[1], NULL);
    kin_semaphore_release(&semaphore);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("0 2 3");
}

KIN_TEST(semaphore_fifo_order_4)
{
    kin_semaphore semaphore = { 0 };
    struct user u[3], late = { &semaphore, 9, -1, 0 };
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 3, &semaphore, -1);
    kin_spawn(&g, use, &late);
    for (int i = 0; i < 3; i++)
        kin_semaphore_release(&semaphore);
    settle();
    CHECK_INT(late.got, 0);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(u[i].got, 0);
    CHECK_TRACE("0 1 2");
    kin_semaphore_release(&semaphore);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("9");
    CHECK_INT(semaphore.count, 0);
}

/* T39, T40: a great many users, some of whom give up; no unit is lost or made. */
static int inside, most_inside;

static int restless(void *arg)
{
    struct user *u = arg;

    for (int i = 0; i < 50; i++) {
        int64_t patience = 1 + (u->number * 31 + i * 17) % 40;
        kin_scope s = kin_scope_open(.timeout = KIN_MS(patience));
        int rc = kin_semaphore_acquire(u->semaphore);

        kin_scope_close(&s, 0);
        if (rc == KIN_ECANCELED)
            continue;
        CHECK_CODE(rc, 0);
        most_inside = ++inside > most_inside ? inside : most_inside;
        CHECK_CODE(kin_sleep(KIN_MS((u->number + i) % 7)), 0);
        inside--;
        CHECK_CODE(kin_semaphore_release(u->semaphore), 0);
    }
    return 0;
}

KIN_TEST(T40_many_users_some_of_whom_give_up)
{
    kin_semaphore semaphore = KIN_SEMAPHORE_BOUNDED(4);
    static struct user u[200];
    kin_group g = kin_group_open();

    for (int i = 0; i < 200; i++) {
        u[i] = (struct user){ &semaphore, i, 0, 0 };
        kin_spawn(&g, restless, &u[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(semaphore.count, 4);
    CHECK_INT(most_inside, 4);
    check_empty(&semaphore);
}
