/* The rate limiter: a burst, then one an interval, in the order of coming; who gives
 * up has used nothing up (docs/semantics.md S1, S2). */
#include "kin_test.h"

struct user {
    kin_limiter *limiter;
    int number;
    int rc;
    int64_t at;
};

static int64_t start;

static int use(void *arg)
{
    struct user *u = arg;

    u->rc = kin_limiter_acquire(u->limiter);
    u->at = kin_now() - start;
    if (u->rc == 0)
        trace("%d", u->number);
    return u->rc;
}

static void spawn_users(kin_group *g, struct user *u, kin_task *task, int n, kin_limiter *limiter)
{
    start = kin_now();
    for (int i = 0; i < n; i++) {
        u[i] = (struct user){ limiter, i + 1, 99, -1 };
        CHECK_CODE(kin_spawn(g, use, &u[i], .task = &task[i]), 0);
    }
}

KIN_TEST(S1_limiter_a_burst_and_then_one_an_interval)
{
    kin_limiter limiter = { .interval = KIN_MS(10), .burst = 3 };
    static const int64_t due[] = { 0, 0, 0, 10, 20, 30 };
    struct user u[6];
    kin_task task[6];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 6, &limiter);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1 2 3 4 5 6");
    for (int i = 0; i < 6; i++)
        CHECK_INT(u[i].at, KIN_MS(due[i]));
}

KIN_TEST(S1_limiter_the_burst_comes_back_with_time)
{
    kin_limiter limiter = { .interval = KIN_MS(10), .burst = 3 };

    for (int i = 0; i < 3; i++)
        CHECK_CODE(kin_limiter_try_acquire(&limiter), 0);
    CHECK_CODE(kin_limiter_try_acquire(&limiter), KIN_EAGAIN);
    kin_sleep(KIN_MS(10) - 1);
    CHECK_CODE(kin_limiter_try_acquire(&limiter), KIN_EAGAIN);
    kin_sleep(1);
    CHECK_CODE(kin_limiter_try_acquire(&limiter), 0);
    CHECK_CODE(kin_limiter_try_acquire(&limiter), KIN_EAGAIN);
    kin_sleep(KIN_S(1));                        /* not more than the burst is saved up */
    for (int i = 0; i < 3; i++)
        CHECK_CODE(kin_limiter_try_acquire(&limiter), 0);
    CHECK_CODE(kin_limiter_try_acquire(&limiter), KIN_EAGAIN);
}

KIN_TEST(S1_limiter_without_a_burst_spaces_all)
{
    kin_limiter limiter = { .interval = KIN_MS(10) };
    int64_t begin = kin_now();

    for (int i = 0; i < 5; i++)
        CHECK_CODE(kin_limiter_acquire(&limiter), 0);
    CHECK_INT(kin_now() - begin, KIN_MS(40));
}

KIN_TEST(S1_limiter_without_an_interval_lets_all_pass)
{
    kin_limiter limiter = { .burst = 1 };
    int64_t begin = kin_now();

    for (int i = 0; i < 100; i++)
        CHECK_CODE(kin_limiter_acquire(&limiter), 0);
    CHECK_INT(kin_now() - begin, 0);
}

KIN_TEST(S1_limiter_refuses_what_cannot_be_computed)
{
    kin_limiter negative = { .interval = -1 }, endless = { .interval = KIN_FOREVER };
    kin_limiter large = { .interval = INT64_MAX / 4, .burst = 3 };
    kin_limiter largest = { .interval = INT64_MAX / 2 / UINT32_MAX, .burst = UINT32_MAX };

    CHECK_CODE(kin_limiter_acquire(&negative), KIN_EINVAL);
    CHECK_CODE(kin_limiter_try_acquire(&negative), KIN_EINVAL);
    CHECK_CODE(kin_limiter_acquire(&endless), KIN_EINVAL);
    CHECK_CODE(kin_limiter_try_acquire(&large), KIN_EINVAL);
    CHECK_CODE(kin_limiter_try_acquire(&largest), 0);
}

KIN_TEST(S2_limiter_who_gives_up_has_used_nothing_up)
{
    kin_limiter limiter = { .interval = KIN_MS(10) };
    struct user u[5];
    kin_task task[5];
    kin_group g = kin_group_open();

    spawn_users(&g, u, task, 5, &limiter);
    kin_sleep(KIN_MS(5));
    kin_cancel(&task[1], NULL);                 /* it sleeps for the next token */
    kin_cancel(&task[3], NULL);                 /* it stands in line */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(u[1].rc, KIN_ECANCELED);
    CHECK_CODE(u[3].rc, KIN_ECANCELED);
    CHECK_TRACE("1 3 5");
    CHECK_INT(u[2].at, KIN_MS(10));
    CHECK_INT(u[4].at, KIN_MS(20));
    CHECK_INT(limiter.turn.owner, 0);
}

KIN_TEST(T41_limiter_a_newcomer_does_not_overtake)
{
    kin_limiter limiter = { .interval = KIN_MS(10) };
    struct user u[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_limiter_acquire(&limiter), 0);
    spawn_users(&g, u, task, 2, &limiter);
    kin_sleep(KIN_MS(5));
    CHECK_CODE(kin_limiter_try_acquire(&limiter), KIN_EAGAIN);
    CHECK_CODE(kin_limiter_acquire(&limiter), 0);
    trace("body");
    CHECK_INT(kin_now() - start, KIN_MS(30));
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1 2 body");
}

KIN_TEST(C1_limiter_looks_at_cancellation_first)
{
    kin_limiter limiter = { .interval = KIN_MS(10) };
    kin_scope s = kin_scope_open(.cancelled = true);

    CHECK_CODE(kin_limiter_acquire(&limiter), KIN_ECANCELED);
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_limiter_try_acquire(&limiter), 0);
}

/* Never more than burst + time / interval, whatever the users do. */
static int granted;

static int acquire_often(void *arg)
{
    struct user *u = arg;

    for (int i = 0; i < 20; i++) {
        kin_scope s = kin_scope_open(.timeout = KIN_MS(1 + (u->number * 13 + i * 7) % 50));
        int rc = kin_limiter_acquire(u->limiter);

        kin_scope_close(&s, 0);
        granted += rc == 0;
        CHECK(granted <= 4 + (kin_now() - start) / KIN_MS(3));
        kin_sleep(KIN_MS((u->number + i) % 30));
    }
    return 0;
}

KIN_TEST(S1_limiter_never_grants_more)
{
    static struct user u[20];
    kin_limiter limiter = { .interval = KIN_MS(3), .burst = 4 };
    kin_group g = kin_group_open();

    start = kin_now();
    granted = 0;
    for (int i = 0; i < 20; i++) {
        u[i] = (struct user){ &limiter, i, 0, 0 };
        kin_spawn(&g, acquire_often, &u[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(granted > 100);
    CHECK_INT(limiter.turn.owner, 0);
}

/* A limiter that comes from a run whose clock was ahead of this one's. */
KIN_TEST(S3_limiter_a_clock_that_began_anew_costs_at_most_a_burst)
{
    kin_limiter limiter = { .interval = KIN_MS(10), .burst = 2, .full_at = KIN_S(1000000) };
    int64_t begin = kin_now();

    CHECK_CODE(kin_limiter_try_acquire(&limiter), KIN_EAGAIN);
    CHECK_CODE(kin_limiter_acquire(&limiter), 0);
    CHECK_INT(kin_now() - begin, KIN_MS(10));
}
