/* What closing a group returns: the rows of the table (docs/semantics.md E4) that have
 * names elsewhere. All combinations are in tables.c. */
#include "kin_test.h"

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EPERM;
}

static int fail_when_cancelled(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_FOREVER) == KIN_ECANCELED ? -EPERM : 0;
}

static int note_cancel(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_FOREVER);
}

/* Time passes, and the children take their turns, without the body being told. */
static void pass_time(int64_t duration)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    CHECK_CODE(kin_sleep(duration), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(taskgroup_18_the_body_turns_the_cancel_into_an_error_of_its_own)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(taskgroup_17_cancelled_without_children)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_group_close(&g, kin_sleep(KIN_S(1))), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, KIN_ECANCELED), 0);
}

KIN_TEST(taskgroup_19_a_child_s_error_and_the_body_s_are_both_in_the_tree)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_at_once, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, -EIO), -EPERM);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EPERM)), 1);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 1);
    CHECK_CODE(kin_yield(), 0);
}

/* By rule E4 the failure ranks above the cancel that came before it. */
KIN_TEST(cancellation_in_body)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_when_cancelled, NULL);
    pass_time(1);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK(kin_cancelled() != NULL);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(E4_failed_cancelled_and_timed_out_all_stay_readable)
{
    struct kin_scope_state state;
    struct kin_group_counts counts;
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open(.timeout = KIN_S(1), .policy = KIN_KEEP_GOING);

    kin_spawn(&g, fail_at_once, NULL);
    kin_spawn(&g, note_cancel, NULL);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_group_look(&g, &state), 0);
    CHECK(state.timed_out && state.expired && state.told);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.failed, 1);
    CHECK(kin_cancelled() != NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

/* A spawn that was refused tells the group, too. */
KIN_TEST(E4_a_refused_spawn_tells_the_group)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_spawn(&g, fail_at_once, NULL), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 5), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(E4_a_refused_spawn_tells_the_scope_that_it_was_asked_for_in)
{
    struct kin_scope_state state;
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    kin_cancel(&g, NULL);
    CHECK_CODE(kin_spawn(&g, fail_at_once, NULL), KIN_ECANCELED);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.told);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* The scope inside was told of its own cancellation, and nobody of the outer one. */
KIN_TEST(E4_leaving_tells_nobody)
{
    struct kin_scope_state state;
    kin_scope outer = kin_scope_open(), s = kin_scope_open(.cancelled = true);

    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    kin_group g = kin_group_open();
    kin_cancel(&outer, NULL);
    kin_group_leave(&g);
    kin_scope_leave(&s);
    CHECK_CODE(kin_scope_look(&outer, &state), 0);
    CHECK(state.cancelled && !state.told);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

static int be_ready_and_cancel(void *arg)
{
    kin_scope s = kin_scope_open();

    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ECANCELED);
    CHECK_CODE(kin_ready(7), 0);
    return kin_cancel((kin_scope *)arg, NULL);
}

/* The task had been told of a soft cancellation around its starter, before it was ready. */
KIN_TEST(E4_G10_a_start_that_succeeds_tells_nobody)
{
    static kin_scope outer;
    struct kin_scope_state state;
    kin_group g = kin_group_open();

    outer = kin_scope_open();
    kin_scope soft = kin_scope_open(.grace = KIN_S(1), .cancelled = true);
    CHECK_CODE(kin_start(&g, be_ready_and_cancel, &outer), 7);
    CHECK_CODE(kin_scope_look(&outer, &state), 0);
    CHECK(state.cancelled && !state.told);
    kin_scope_leave(&soft);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
