/* Groups cancelled by hand (docs/semantics.md G13). */
#include "kin_test.h"

static int fail_when_cancelled(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_FOREVER) < 0 ? -EIO : 0;
}

KIN_TEST(G13_cancelled_from_the_body)
{
    struct act child = { .sleep = KIN_S(9) };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    kin_yield();
    CHECK_CODE(kin_cancel(&g, "body"), 0);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(child.why.kind, KIN_BY_HAND);
    CHECK_STR(child.why.message, "body");
}

static int cancel_group(void *arg)
{
    return kin_cancel((kin_group *)arg, "child");
}

KIN_TEST(G13_cancelled_from_a_child)
{
    struct act child = { .sleep = KIN_S(9) };
    static kin_group g;

    g = kin_group_open();
    kin_spawn(&g, act, &child);
    kin_spawn(&g, cancel_group, &g, .name = "killer");
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_STR(kin_cancelled()->name, "killer");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_CODE(kin_check(), 0);
}

KIN_TEST(T26_a_cancel_before_the_group_is_opened_is_remembered)
{
    kin_task task;
    kin_group g = kin_group_open(.cancelled = true);

    CHECK_CODE(kin_spawn(&g, nothing, NULL, .task = &task), KIN_ECANCELED);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(task.code, KIN_ECANCELED);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_yield(), 0);
}

KIN_TEST(G13_close_returns_the_failures_of_a_group_cancelled_by_hand)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_when_cancelled, NULL);
    kin_yield();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

KIN_TEST(G13_a_body_that_returns_the_cancel_it_was_given_has_not_failed)
{
    kin_group g = kin_group_open();

    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, kin_yield()), 0);
}

KIN_TEST(T17_after_a_cancel_by_hand_an_outer_limit_still_shows)
{
    struct act child = { .sleep = KIN_S(5) };
    kin_group outer = kin_group_open(.timeout = KIN_S(1));
    kin_group inner = kin_group_open();

    kin_spawn(&inner, act_stubborn, &child);
    kin_yield();
    kin_cancel(&inner, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    kin_group_close(&inner, 0);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, 0), KIN_ETIMEDOUT);
}

KIN_TEST(G13_cancelling_twice_and_after_the_end)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_cancel(&g, "first"), 0);
    CHECK_CODE(kin_cancel(&g, "second"), 0);
    CHECK_STR(kin_cancelled()->message, "first");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_cancel(&g, "late"), KIN_ESTALE);
    drop_reports();
}
