/* Who does not want to hear that he is cancelled (docs/semantics.md C10, T50, T51). */
#include "kin_test.h"

/* Tries again whatever it is told, so many times. */
struct deaf {
    int tries, told;
    int (*call)(void);
    int64_t shielded;           /* sleeps that long behind a shield now and then */
};

static int sleep_a_second(void)
{
    return kin_sleep(KIN_S(1));
}

static int deaf(void *arg)
{
    struct deaf *d = arg;

    for (int i = 0; i < d->tries; i++)
        d->told += d->call() == KIN_ECANCELED;
    return KIN_ECANCELED;
}

/* Runs whenever it may. */
static int counter(void *arg)
{
    for (int i = 0; i < 100; i++) {
        ++*(int *)arg;
        if (kin_yield() < 0)
            return KIN_ECANCELED;
    }
    return 0;
}

KIN_TEST(C10_T51_a_loop_that_retries_is_reported_once_and_lets_the_others_run)
{
    struct deaf d = { .tries = 5000, .call = sleep_a_second };
    kin_task task;
    int counted = 0;
    kin_group g = kin_group_open();

    kin_spawn(&g, deaf, &d, .name = "deaf", .index = 3, .task = &task);
    settle();
    kin_cancel(&task, NULL);
    kin_spawn(&g, counter, &counted);
    CHECK_CODE(kin_sleep(1), 0);                /* behind it in the queue: it has had to yield */
    CHECK_INT(counted, 100);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(d.told, 5000);
    const char *first = strstr(test_reports(), "deaf[3]");
    CHECK(first != NULL && !strstr(first + 1, "deaf[3]"));
    CHECK_REPORTED("KIN_ECANCELED means that it should end");
}

/* Goes on until the other one has counted to the end: for that it has to let it run. */
static int deaf_until_counted(void *arg)
{
    const int *counted = arg;
    int tries = 0;

    while (*counted < 100 && tries < 100000)
        tries += kin_sleep(1) == KIN_ECANCELED;
    CHECK(tries >= 1000 && tries < 2000);
    return KIN_ECANCELED;
}

KIN_TEST(C10_T51_who_has_been_reported_yields_at_each_call)
{
    kin_task task;
    int counted = 0;
    kin_group g = kin_group_open();

    kin_spawn(&g, deaf_until_counted, &counted, .task = &task);
    kin_cancel(&task, NULL);
    kin_spawn(&g, counter, &counted);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(counted, 100);
    drop_reports();
}

KIN_TEST(C10_a_few_refusals_are_nobody_s_business)
{
    struct deaf d = { .tries = 999, .call = sleep_a_second };
    kin_task task[2];
    kin_group g = kin_group_open();

    for (int i = 0; i < 2; i++) {               /* each counts for himself */
        kin_spawn(&g, deaf, &d, .task = &task[i]);
        kin_cancel(&task[i], NULL);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(d.told, 2 * 999);
}

static int deaf_who_waits_behind_a_shield(void *arg)
{
    struct deaf *d = arg;

    for (int i = 0; i < d->tries; i++) {
        d->told += kin_sleep(1) == KIN_ECANCELED;
        if (i % 100 == 0) {
            kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
            CHECK_CODE(kin_scope_close(&s, kin_sleep(d->shielded)), 0);
        }
    }
    return KIN_ECANCELED;
}

KIN_TEST(C10_who_waits_between_is_not_meant)
{
    struct deaf d = { .tries = 3000, .shielded = KIN_MS(1) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, deaf_who_waits_behind_a_shield, &d, .task = &task);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(d.told, 3000);
}

KIN_TEST(C10_two_who_retry_take_turns)
{
    struct deaf d[2] = { { .tries = 3000, .call = sleep_a_second },
                         { .tries = 3000, .call = sleep_a_second } };
    kin_group g = kin_group_open();

    kin_spawn(&g, deaf, &d[0], .name = "first");
    kin_spawn(&g, deaf, &d[1], .name = "second");
    kin_yield();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_HAS(test_reports(), "first");
    CHECK_REPORTED("second");
}

KIN_TEST(C10_a_task_that_was_reported_may_go_on_in_peace)
{
    struct deaf d = { .tries = 2000, .call = sleep_a_second };
    kin_scope s = kin_scope_open(.cancelled = true);

    deaf(&d);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_REPORTED("main");
    int64_t start = kin_now();
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_INT(kin_now() - start, KIN_S(1));
    s = kin_scope_open(.cancelled = true);
    deaf(&d);
    CHECK_CODE(kin_scope_close(&s, 0), 0);      /* once is enough */
}

KIN_TEST(C10_looking_is_not_trying)
{
    kin_scope s = kin_scope_open(.cancelled = true);

    for (int i = 0; i < 5000; i++) {
        CHECK(kin_cancelled() != NULL);
        CHECK_CODE(kin_check(), KIN_ECANCELED);
    }
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(T50_a_catch_all_that_tries_again_never_gets_through)
{
    struct act a = { .sleep = KIN_S(1) };
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.cancelled = true);
    int rc = KIN_ECANCELED;

    for (int i = 0; i < 10 && rc < 0; i++)
        rc = act(&a);
    CHECK_CODE(rc, KIN_ECANCELED);
    CHECK_INT(a.ran, 10);
    CHECK_INT(kin_now() - start, 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

/* Others run while a retried call is refused: what they cancel is told by that call, too. */
static int fail_now(void *arg)
{
    (void)arg;
    return -EIO;
}

KIN_TEST(C10_a_refused_call_tells_what_was_cancelled_while_it_yielded)
{
    struct kin_scope_state state = { .cancelled = false };
    kin_group outer = kin_group_open();
    kin_scope past = kin_scope_open(.timeout = -1);

    kin_spawn(&outer, fail_now, NULL);
    for (int i = 0; i < 1100 && !state.cancelled; i++) {
        CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
        CHECK_CODE(kin_group_look(&outer, &state), 0);
    }
    CHECK(state.cancelled && state.told);
    CHECK_CODE(kin_scope_close(&past, 0), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, 0), -EIO);
    drop_reports();
}
