/* Groups: who may start a task, and that nobody leaves before everyone is
 * accounted for (docs/semantics.md G1, G2, G4). */
#include "kin_test.h"

/* ---------------------------------------------------------------------- G1 */

TEST(G1_no_task_outside_of_a_run)
{
    kin_group none = { 0 };
    kin_task task;

    CHECK_INT(kin_class(kin_spawn(&none, nothing, NULL, .task = &task)), KIN_CLASS_MISUSE);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(kin_sleep(0), KIN_ENORUN);
    CHECK_INT(kin_task_id(), 0);
    CHECK_STR(kin_task_name(), "");
}

KIN_TEST(G1_no_task_without_a_group)
{
    kin_group none = { 0 };
    kin_task task;

    CHECK_INT(kin_class(kin_spawn(&none, nothing, NULL, .task = &task)), KIN_CLASS_MISUSE);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_INT(kin_class(kin_spawn(NULL, nothing, NULL)), KIN_CLASS_MISUSE);
    drop_reports();
}

static int root_that_gives_seven(void *arg)
{
    *(uint64_t *)arg = kin_task_id();
    return 7;
}

TEST(G1_root_is_a_task_and_its_code_is_the_run_s)
{
    uint64_t id = 0;

    CHECK_CODE(test_run(root_that_gives_seven, &id), 7);
    CHECK(id != 0);
}

KIN_TEST(run_nesting)
{
    CHECK_CODE(test_run(nothing, NULL), KIN_EBUSY);
    CHECK_CODE(kin_yield(), 0);
    drop_reports();
}

TEST(G1_a_thread_may_run_again_and_again)
{
    for (int i = 0; i < 100; i++)
        CHECK_CODE(test_run(give, &i), i);
}

static int ids_differ(void *arg)
{
    (void)arg;
    static uint64_t last;

    CHECK(kin_task_id() > last);
    last = kin_task_id();
    return 0;
}

KIN_TEST(G1_ids_are_never_reused)
{
    kin_group g = kin_group_open();

    for (int i = 0; i < 1000; i++)
        CHECK_CODE(kin_spawn(&g, ids_differ, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ---------------------------------------------------------------------- G2 */

KIN_TEST(G2_close_waits_for_all)
{
    struct act fast = { .sleep = KIN_S(1) }, slow = { .sleep = KIN_S(5) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &fast);
    kin_spawn(&g, act, &slow);
    CHECK_INT(fast.ran, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(fast.at - start, KIN_S(1));
    CHECK_INT(slow.at - start, KIN_S(5));
    CHECK_INT(kin_now(), slow.at);
    CHECK(kin_group_ended(&g));
}

KIN_TEST(G2_close_of_an_empty_group_gives_the_body_s_code)
{
    kin_group g = kin_group_open(), h = kin_group_open(), i = kin_group_open();

    CHECK_CODE(kin_group_close(&i, 0), 0);
    CHECK_CODE(kin_group_close(&h, 42), 42);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
}

struct closer {
    struct act child;
    int closed;
    int64_t at;
};

static int close_group_of_one(void *arg)
{
    struct closer *c = arg;
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, &c->child);
    c->closed = kin_group_close(&g, 0);
    c->at = kin_now();
    return c->closed;
}

KIN_TEST(G2_a_cancelled_closer_cancels_its_children_and_goes_on_waiting)
{
    struct closer c = { .child = { .sleep = KIN_S(3) } };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, close_group_of_one, &c, .task = &task);
    kin_sleep(KIN_S(1));
    kin_cancel(&task, "enough");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c.child.woke, KIN_ECANCELED);
    CHECK_INT(c.child.at - start, KIN_S(4));
    CHECK_INT(c.at - start, KIN_S(4));
    CHECK_CODE(c.closed, KIN_ECANCELED);
    CHECK_INT(task.status, KIN_CANCELLED);
}

enum exit_by { BY_RETURN, BY_BREAK, BY_GOTO, BY_CONTINUE, BY_END };

struct leaving {
    enum exit_by by;
    struct act child;
    int rc;
};

static int leave_scoped_variable(struct leaving *l)
{
    for (int once = 0; once < 1; once++) {
        kin_scoped_group g = kin_group_open();

        kin_spawn(&g, act, &l->child);
        kin_yield();
        if (l->by == BY_RETURN)
            return 5;
        if (l->by == BY_BREAK)
            break;
        if (l->by == BY_GOTO)
            goto out;
        if (l->by == BY_CONTINUE)
            continue;
        l->rc = kin_group_close(&g, 0);
    }
out:
    return 5;
}

static int leave_block(struct leaving *l)
{
    KIN_GROUP(l->rc, g, .name = "block") {
        kin_spawn(&g, act, &l->child);
        kin_yield();
        if (l->by == BY_RETURN)
            return 5;
        if (l->by == BY_BREAK)
            break;
        if (l->by == BY_GOTO)
            goto out;
    }
out:
    return 5;
}

static void check_left(int (*leave)(struct leaving *), enum exit_by by)
{
    struct leaving l = { .by = by, .child = { .sleep = KIN_S(9) }, .rc = 99 };
    int64_t start = kin_now();

    CHECK_INT(leave(&l), 5);
    CHECK_INT(l.child.ran, 1);
    if (by == BY_END) {
        CHECK_CODE(l.rc, 0);
        CHECK_INT(l.child.at - start, KIN_S(9));
        return;
    }
    CHECK_CODE(l.rc, leave == leave_block ? 0 : 99);    /* a block begins by setting it */
    CHECK_CODE(l.child.woke, KIN_ECANCELED);
    CHECK_INT(l.child.why.kind, KIN_BY_LEAVING);
    CHECK_INT(l.child.at, start);
}

KIN_TEST(G2_return_break_goto_and_continue_leave_a_scoped_group)
{
    for (int by = BY_RETURN; by <= BY_END; by++)
        check_left(leave_scoped_variable, (enum exit_by)by);
}

KIN_TEST(G2_return_break_and_goto_leave_a_group_block)
{
    check_left(leave_block, BY_RETURN);
    check_left(leave_block, BY_BREAK);
    check_left(leave_block, BY_GOTO);
}

KIN_TEST(G2_the_block_that_reaches_its_end_closes_with_0)
{
    check_left(leave_block, BY_END);
}

KIN_TEST(G2_a_left_group_waits_for_a_child_that_cleans_up)
{
    struct act child = { .sleep = KIN_S(2) };
    int64_t start = kin_now();

    {
        kin_scoped_group g = kin_group_open();
        kin_spawn(&g, act_cleanup, &child);
        settle();
    }
    CHECK(child.at - start >= KIN_S(2));
    CHECK_INT(child.at, kin_now());
}

KIN_TEST(G2_leaving_a_closed_group_does_nothing)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_group_close(&g, 3), 3);
    kin_group_leave(&g);
    kin_group_leave(&g);
    CHECK_STR(test_reports(), "");
}

static int end_with_group_open(void *arg)
{
    kin_group g = kin_group_open(.name = "forgotten");

    kin_spawn(&g, act_cleanup, arg);
    kin_yield();
    return 6;
}

KIN_TEST(G2_a_task_that_ends_with_a_group_open_has_it_cancelled_joined_and_reported)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, end_with_group_open, &child, .name = "careless", .task = &task);
    kin_group_close(&g, 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(child.why.kind, KIN_BY_LEAVING);
    CHECK_INT(child.at, kin_now());
    CHECK(task.status != KIN_PENDING);
    CHECK_HAS(test_reports(), "careless");
    CHECK_REPORTED("group.c:");
}

static int root_with_group_open(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, arg);
    kin_yield();
    return 0;
}

TEST(G2_the_root_too_is_joined_when_it_forgets_a_group)
{
    struct act child = { .sleep = KIN_S(1) };

    test_run(root_with_group_open, &child);
    CHECK_INT(child.ran, 1);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_REPORTED("group.c:");
}

/* ---------------------------------------------------------------------- G4 */

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

KIN_TEST(G4_after_a_failed_close_the_closer_is_not_cancelled)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_at_once, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK(kin_cancelled() == NULL);
    CHECK_CODE(kin_check(), 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
}

/* An outer cancel meets a child's failure in the same turn. */
static void check_outer_cancel_survives(int (*child)(void *))
{
    struct act outer_child = { .sleep = KIN_S(9) };
    kin_group outer = kin_group_open();
    kin_group inner = kin_group_open();

    kin_spawn(&inner, child, NULL);
    kin_spawn(&outer, act, &outer_child);
    kin_cancel(&outer, "stop");
    int rc = kin_group_close(&inner, 0);
    CHECK(rc == -EIO || rc == KIN_ECANCELED);
    CHECK(kin_cancelled() != NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, 0), 0);
    CHECK_CODE(outer_child.woke, KIN_ECANCELED);
    CHECK_CODE(kin_check(), 0);
}

static int fail_when_cancelled(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_FOREVER) < 0 ? -EIO : 0;
}

KIN_TEST(T16_inner_group_that_handles_its_error_does_not_swallow_the_outer_cancel)
{
    check_outer_cancel_survives(fail_at_once);
    check_outer_cancel_survives(fail_when_cancelled);
}

KIN_TEST(error_and_cancel)
{
    kin_group outer = kin_group_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_when_cancelled, NULL);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(kin_sleep(0), KIN_ECANCELED);
    kin_group_close(&outer, 0);
}

KIN_TEST(T21_parent_cancelled_while_children_fail_keeps_every_child_s_error)
{
    kin_group outer = kin_group_open();
    kin_group inner = kin_group_open(.policy = KIN_KEEP_GOING);

    for (int i = 1; i <= 3; i++)
        kin_spawn(&inner, fail_when_cancelled, NULL, .name = "child", .index = i);
    kin_yield();
    kin_cancel(&outer, "stop");
    CHECK_CODE(kin_group_close(&inner, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 3);
    CHECK(kin_cancelled() != NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, 0), 0);
}

KIN_TEST(nested_groups_both_cancelled)
{
    struct act sleeper = { .sleep = KIN_S(9) };
    kin_group outer = kin_group_open();
    kin_group inner = kin_group_open();

    kin_spawn(&outer, fail_at_once, NULL);
    kin_spawn(&outer, act, &sleeper);
    kin_spawn(&inner, fail_at_once, NULL);
    CHECK_CODE(kin_group_close(&inner, 0), -EIO);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, 0), -EIO);
    CHECK_CODE(kin_yield(), 0);
}
