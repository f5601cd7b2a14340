/* Policies: what a group makes of its tasks' outcomes (docs/semantics.md G3, G14), as
 * single stories. All combinations are in tables_policy.c. */
#include "kin_test.h"

/* ------------------------------------------------------------------ stories */

KIN_TEST(G3_all_the_first_failure_cancels_the_rest_and_the_body)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, other = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &bad, .name = "bad");
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_INT(kin_cancelled()->kind, KIN_BY_SIBLING);
    CHECK_STR(kin_cancelled()->name, "bad");
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(other.woke, KIN_ECANCELED);
    CHECK_INT(other.why.kind, KIN_BY_SIBLING);
    CHECK_INT(other.at - start, KIN_S(1));
}

KIN_TEST(G3_all_a_failed_body_cancels_the_tasks)
{
    struct act child = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    kin_sleep(KIN_S(1));
    CHECK_CODE(kin_group_close(&g, -EPERM), -EPERM);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(child.why.kind, KIN_BY_SIBLING);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

KIN_TEST(G3_all_reports_the_earliest_failure_and_keeps_the_others)
{
    struct act slow = { .sleep = KIN_S(2), .result = -EIO };
    struct act fast = { .sleep = KIN_S(1), .result = -EPERM };
    struct act late = { .sleep = KIN_S(1), .result = -ENOSPC };
    kin_group g = kin_group_open();

    kin_spawn(&g, act_stubborn, &slow);
    kin_spawn(&g, act, &fast);
    kin_spawn(&g, act_cleanup, &late);
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 3);
}

KIN_TEST(G3_keep_going_collects_and_cancels_nobody)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    struct act worse = { .sleep = KIN_S(2), .result = -EPERM };
    struct act good = { .sleep = KIN_S(3) };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &worse);
    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &good);
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(good.woke, 0);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
}

KIN_TEST(G3_keep_going_a_failed_body_cancels_nobody)
{
    struct act child = { .sleep = KIN_S(3) };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &child);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
    CHECK_CODE(child.woke, 0);
}

KIN_TEST(G3_any_the_first_success_decides)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    struct act winner = { .sleep = KIN_S(2), .result = 8 }, loser = { .sleep = KIN_S(9) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &winner);
    kin_spawn(&g, act, &loser, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_DECISION);
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_EDECIDED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(loser.why.kind, KIN_BY_DECISION);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(kin_check(), 0);
    drop_reports();
}

KIN_TEST(G3_any_without_success_gives_the_earliest_failure)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    struct act worse = { .sleep = KIN_S(2), .result = -EPERM };
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &worse);
    kin_spawn(&g, act, &bad);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
}

KIN_TEST(G3_any_without_tasks_is_no_quorum)
{
    kin_group g = kin_group_open(.policy = KIN_ANY);

    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
}

KIN_TEST(G3_any_of_singly_cancelled_tasks_is_no_quorum)
{
    struct act child = { .sleep = KIN_S(9) };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &child, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
}

KIN_TEST(G3_impossible_is_judged_only_when_the_body_has_closed)
{
    struct act bad = { .result = -EIO }, good = { .sleep = KIN_S(1) };
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &bad);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_spawn(&g, act, &good);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(good.woke, 0);
    drop_reports();
}

/* --------------------------------------------------------------------- G14 */

KIN_TEST(G14_one_task_is_cancelled_and_its_siblings_go_on)
{
    struct act one = { .sleep = KIN_S(9) }, other = { .sleep = KIN_S(2) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &one, .task = &task);
    kin_spawn(&g, act, &other);
    kin_sleep(KIN_S(1));
    CHECK_CODE(kin_cancel(&task, "this one"), 0);
    CHECK_INT(task.status, KIN_PENDING);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(one.at - start, KIN_S(1));
    CHECK_CODE(other.woke, 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(task.code, KIN_ECANCELED);
    CHECK(task.cancelled);
    CHECK_INT(task.reason.kind, KIN_BY_HAND);
    CHECK_STR(task.reason.message, "this one");
}

KIN_TEST(G14_ecanceled_while_nothing_cancelled_it_is_a_failure)
{
    int code = KIN_ECANCELED;
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_INT(task.status, KIN_FAILED);
    CHECK(!task.cancelled);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(KIN_ECANCELED)), 1);
}

KIN_TEST(G14_a_cancelled_task_that_fails_otherwise_has_failed)
{
    struct act child = { .result = -EIO };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, &child, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(task.status, KIN_FAILED);
    CHECK(task.cancelled);
}

/* The first reason stands, also if the limit begins only afterwards. */
KIN_TEST(G14_D3_a_task_cancelled_before_its_first_step_does_not_time_out)
{
    struct act child = { .sleep = KIN_S(2), .result = KIN_ECANCELED };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act_stubborn, &child, .task = &task, .timeout = KIN_S(1));
    CHECK_CODE(kin_cancel(&task, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(task.code, KIN_ECANCELED);
    CHECK(!task.timed_out);
    CHECK_INT(task.reason.kind, KIN_BY_HAND);
}

KIN_TEST(G14_a_group_that_keeps_whole_refuses)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_task task;
    kin_group g = kin_group_open(.keep_whole = true);

    kin_spawn(&g, act, &child, .task = &task);
    kin_yield();
    CHECK_CODE(kin_cancel(&task, NULL), KIN_EBUSY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, 0);
    CHECK(!task.cancelled);
    drop_reports();
}

KIN_TEST(G14_a_group_that_keeps_whole_can_be_cancelled_as_a_whole)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_group g = kin_group_open(.keep_whole = true);

    kin_spawn(&g, act, &child);
    kin_yield();
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
}

KIN_TEST(T56_cancelling_a_finished_task_does_nothing)
{
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, nothing, NULL, .task = &task);
    kin_yield();
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(kin_cancel(&task, NULL), KIN_ESTALE);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK(!task.cancelled);
    CHECK_CODE(kin_cancel(&task, NULL), KIN_ESTALE);
    drop_reports();
}

KIN_TEST(taskgroup_03_one_child_cancelled_leaves_later_spawns_alone)
{
    struct act one = { .sleep = KIN_S(9) }, later = { .sleep = KIN_S(1) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &one, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(kin_spawn(&g, act, &later), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(later.woke, 0);
}
