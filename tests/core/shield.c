/* Shields keep cancellation from outside out, for a bounded time (docs/semantics.md
 * C5); grace lies between asking softly and cancelling hard (C6). */
#include "kin_test.h"

/* Runs fn(arg) as a task and cancels it after so long; the task's record. */
static kin_task cancel_after(int64_t delay, int (*fn)(void *arg), void *arg)
{
    static kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, fn, arg, .task = &task);
    CHECK_CODE(kin_sleep(delay), 0);
    kin_cancel(&task, "from outside");
    kin_group_close(&g, 0);
    return task;
}

/* ---------------------------------------------------------------------- C5 */

static int commit_under_shield(void *arg)
{
    struct act *a = arg;
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    a->woke = kin_sleep(KIN_S(5));
    CHECK_CODE(kin_check(), 0);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    a->at = kin_now();
    return kin_yield();
}

KIN_TEST(C5_inside_a_shield_blocking_calls_work)
{
    struct act a = { .woke = 99 };
    int64_t start = kin_now();
    kin_task task = cancel_after(KIN_S(1), commit_under_shield, &a);

    CHECK_CODE(a.woke, 0);
    CHECK_INT(a.at - start, KIN_S(5));
    CHECK_INT(task.status, KIN_CANCELLED);
}

static int shield_of_two_seconds(void *arg)
{
    struct act *a = arg;
    kin_scope s = kin_scope_open(.shield = KIN_S(2));

    a->woke = kin_sleep(a->sleep);
    a->at = kin_now();
    return kin_scope_close(&s, a->woke);
}

KIN_TEST(C5_its_time_starts_when_a_cancel_is_pending)
{
    struct act a = { .sleep = KIN_S(60) };
    int64_t start = kin_now();

    CHECK_INT(cancel_after(KIN_S(10), shield_of_two_seconds, &a).status, KIN_CANCELLED);
    CHECK_CODE(a.woke, KIN_ECANCELED);
    CHECK_INT(a.at - start, KIN_S(12));
}

static int shield_in_cleanup(void *arg)
{
    CHECK_CODE(kin_sleep(KIN_FOREVER), KIN_ECANCELED);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    return shield_of_two_seconds(arg);
}

KIN_TEST(C5_its_time_starts_when_the_shield_is_up)
{
    struct act a = { .sleep = KIN_S(60) }, b = { .sleep = KIN_S(1) };
    int64_t start = kin_now();

    cancel_after(KIN_S(10), shield_in_cleanup, &a);
    CHECK_CODE(a.woke, KIN_ECANCELED);
    CHECK_INT(a.at - start, KIN_S(12));
    cancel_after(KIN_S(10), shield_in_cleanup, &b);
    CHECK_CODE(b.woke, 0);
}

KIN_TEST(C5_without_a_cancel_a_shield_has_no_limit)
{
    kin_scope s = kin_scope_open(.shield = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
    CHECK_CODE(kin_scope_close(&s, 3), 3);
}

static int group_under_shield(void *arg)
{
    struct act *child = arg;
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    kin_group g = kin_group_open();

    kin_sleep(KIN_S(2));
    CHECK_CODE(kin_spawn(&g, act, child), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    return 0;
}

KIN_TEST(C5_a_group_opened_inside_works)
{
    struct act child = { .sleep = KIN_S(3) };
    int64_t start = kin_now();

    CHECK_INT(cancel_after(KIN_S(1), group_under_shield, &child).status, KIN_OK);
    CHECK_CODE(child.woke, 0);
    CHECK_INT(child.at - start, KIN_S(5));
    CHECK(!child.saw);
}

static int bounded_group_under_shield(void *arg)
{
    struct act *child = arg;
    kin_scope s = kin_scope_open(.shield = KIN_S(2));
    kin_group g = kin_group_open();

    kin_spawn(&g, act, child);
    kin_group_close(&g, 0);
    return kin_scope_close(&s, 0);
}

KIN_TEST(C5_when_the_shield_s_time_is_over_its_children_are_cancelled)
{
    struct act child = { .sleep = KIN_S(60) };
    int64_t start = kin_now();

    cancel_after(KIN_S(1), bounded_group_under_shield, &child);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(child.at - start, KIN_S(3));
}

KIN_TEST(C5_a_shield_does_not_keep_out_its_own_cancel)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    kin_cancel(&s, "own");
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_yield(), 0);
}

KIN_TEST(C5_a_shield_does_not_keep_out_a_cancel_from_inside)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER), t = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(2)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&t, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(C5_a_shield_has_its_own_deadline)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER, .timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(2)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

KIN_TEST(C5_an_outer_deadline_stays_outside)
{
    kin_scope outer = kin_scope_open(.timeout = KIN_S(1));
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    CHECK_INT(kin_deadline(), KIN_FOREVER);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK(kin_cancelled() == NULL);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), KIN_ETIMEDOUT);
}

KIN_TEST(C5_shields_nest_and_each_counts_for_itself)
{
    int64_t start = kin_now();
    kin_scope outer = kin_scope_open();
    kin_scope a = kin_scope_open(.shield = KIN_S(4)), b = kin_scope_open(.shield = KIN_S(1));

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK(kin_now() - start >= KIN_S(4) && kin_now() - start <= KIN_S(5));
    kin_scope_close(&b, 0);
    kin_scope_close(&a, 0);
    kin_scope_close(&outer, 0);
}

/* Raised and dropped while a cancel is under way (trio#1175). */
KIN_TEST(unshield_while_cancel_propagating)
{
    kin_scope outer = kin_scope_open(), inner = kin_scope_open();

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    for (int i = 0; i < 3; i++) {
        kin_scope s = kin_scope_open(.shield = KIN_S(1));
        CHECK_CODE(kin_yield(), 0);
        CHECK_CODE(kin_scope_close(&s, 0), 0);
        CHECK_CODE(kin_yield(), KIN_ECANCELED);
    }
    CHECK_CODE(kin_scope_close(&inner, 0), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
    CHECK_CODE(kin_yield(), 0);
}

KIN_TEST(cancel_shielding)
{
    kin_scope outer = kin_scope_open(), s = kin_scope_open(.shield = KIN_FOREVER),
              inner = kin_scope_open();

    CHECK_CODE(kin_yield(), 0);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_yield(), 0);
    kin_cancel(&inner, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&inner, 0), 0);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

/* A group's sibling failure is from outside for a shield in its body. */
KIN_TEST(C5_a_shield_keeps_out_a_sibling_s_failure)
{
    int code = -EIO;
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open(.shield = KIN_S(1));

    kin_spawn(&g, give, &code);
    CHECK_CODE(kin_sleep(KIN_MS(500)), 0);
    CHECK_CODE(kin_sleep(KIN_S(2)), KIN_ECANCELED);
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

/* ---------------------------------------------------------------------- C6 */

KIN_TEST(C6_a_cancel_by_hand_is_first_soft_then_hard)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.grace = KIN_S(2));

    kin_cancel(&s, "please");
    CHECK(kin_cancelled() != NULL && kin_cancelled()->soft);
    CHECK_CODE(kin_check(), 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK(kin_cancelled() != NULL && !kin_cancelled()->soft);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(C6_a_deadline_is_first_soft_then_hard)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1), .grace = KIN_S(2));

    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_DEADLINE);
    CHECK(kin_cancelled()->soft);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

KIN_TEST(C6_a_failure_is_first_soft_then_hard_and_spawning_is_left_alone)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, quick = { .sleep = KIN_S(1) };
    struct act polite = { .sleep = KIN_MS(2500) }, slow = { .sleep = KIN_S(60) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.grace = KIN_S(2));

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &polite);
    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_sleep(KIN_MS(1500)), 0);
    CHECK(kin_cancelled()->soft);
    CHECK_CODE(kin_spawn(&g, act, &quick), 0);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(polite.woke, 0);
    CHECK_CODE(quick.woke, 0);
    CHECK_CODE(slow.woke, KIN_ECANCELED);
    CHECK_INT(slow.at - start, KIN_S(3));
}

KIN_TEST(C6_a_task_that_obeys_the_soft_cancel_ends_the_scope_early)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.grace = KIN_S(10));

    kin_cancel(&s, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_sleep(KIN_S(20)), 0);
    CHECK_INT(kin_now() - start, KIN_S(21));
}

KIN_TEST(C6_an_outer_hard_cancel_is_hard_at_once)
{
    int64_t start = kin_now();
    kin_scope outer = kin_scope_open(), s = kin_scope_open(.grace = KIN_S(10));

    kin_cancel(&s, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK(!kin_cancelled()->soft);
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(C6_a_second_cancel_during_the_grace_changes_nothing)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.grace = KIN_S(2));

    kin_cancel(&s, "first");
    kin_sleep(KIN_S(1));
    kin_cancel(&s, "second");
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_STR(kin_cancelled()->message, "first");
    kin_scope_close(&s, 0);
}

static int obey(void *arg)
{
    (void)arg;
    while (!kin_cancelled())
        if (kin_sleep(KIN_MS(100)) < 0)
            return kin_fail(-EIO, "it was told before it looked");
    return KIN_ECANCELED;
}

KIN_TEST(C6_who_obeys_a_soft_cancellation_is_cancelled_not_failed)
{
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.timeout = KIN_S(1), .grace = KIN_S(9));

    kin_spawn(&g, obey, NULL, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_INT(task.reason.kind, KIN_BY_DEADLINE);
    CHECK(kin_now() - start < KIN_S(2));
}

KIN_TEST(C6_a_scope_that_ends_in_its_grace_has_timed_out)
{
    kin_scope s = kin_scope_open(.timeout = KIN_S(1), .grace = KIN_S(9));

    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK(kin_cancelled()->soft);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ETIMEDOUT);
}
