/* Attacks on deadlines: opened already cancelled, at the ends of time, at the very
 * beginning of a virtual clock (docs/semantics.md C6, D1, D2). */
#include "kin_test.h"

KIN_TEST(C6_opened_cancelled_with_a_grace_and_a_timeout)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.cancelled = true, .grace = KIN_S(1), .timeout = KIN_S(5));

    CHECK_CODE(kin_sleep(KIN_MS(500)), 0);          /* soft */
    CHECK_CODE(kin_sleep(KIN_S(10)), KIN_ECANCELED);
    CHECK(kin_now() - start < KIN_MS(1100));
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), 0);
}

/* What was cancelled by hand from the start does not time out any more. */
KIN_TEST(D2_opened_cancelled_never_times_out)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.cancelled = true, .timeout = KIN_S(1));
    struct act waits = { .sleep = KIN_S(5) };

    act_stubborn(&waits);
    CHECK_CODE(kin_check(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(!state.expired);
    CHECK_INT(state.reason.kind, KIN_BY_HAND);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), 0);
}

KIN_TEST(D2_opened_cancelled_with_a_limit_in_the_past)
{
    kin_scope s = kin_scope_open(.cancelled = true, .timeout = -1);

    CHECK_CODE(kin_check(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), 0);
}

/* The earlier of the two counts, also when their sum lies beyond the end of time. */
KIN_TEST(D1_a_timeout_beyond_time_leaves_the_deadline_alone)
{
    kin_sleep(KIN_S(1));
    int64_t deadline = kin_now() + KIN_S(3);
    kin_scope s = kin_scope_open(.timeout = INT64_MAX - 1, .deadline = deadline);

    CHECK_INT(kin_deadline(), deadline);
    CHECK_CODE(kin_sleep(KIN_S(10)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ETIMEDOUT);
}

/* "Now" is a deadline on every clock, also in its first moment. */
KIN_TEST(D1_a_deadline_of_exactly_now_has_passed)
{
    kin_scope s = kin_scope_open(.deadline = kin_now());

    CHECK_CODE(kin_check(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ETIMEDOUT);
}

KIN_TEST(D1_deadlines_at_the_ends_of_time)
{
    static const int64_t past[] = { INT64_MIN, INT64_MIN + 1, -1 };
    static const int64_t far[] = { INT64_MAX, INT64_MAX - 1, INT64_MAX / 2 };

    kin_sleep(KIN_S(1));
    for (size_t i = 0; i < 3; i++) {
        kin_scope s = kin_scope_open(.timeout = past[i]);
        CHECK_CODE(kin_check(), KIN_ECANCELED);
        CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
        s = kin_scope_open(.deadline = past[i], .timeout = far[i]);
        CHECK_CODE(kin_check(), KIN_ECANCELED);
        CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
        CHECK_CODE(kin_sleep(past[i]), 0);
        CHECK_CODE(kin_sleep_until(past[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        kin_scope s = kin_scope_open(.timeout = far[i], .grace = far[i], .shield = far[i]);
        CHECK_CODE(kin_sleep(KIN_US(1)), 0);
        CHECK_CODE(kin_scope_set_deadline(&s, far[i]), 0);
        CHECK_CODE(kin_sleep(KIN_US(1)), 0);
        CHECK_CODE(kin_scope_set_deadline(&s, past[i]), 0);
        CHECK_CODE(kin_sleep(KIN_US(1)), 0);        /* soft only */
        CHECK_CODE(kin_scope_set_deadline(&s, far[i]), KIN_ETIMEDOUT);
        kin_scope_close(&s, 0);
        s = kin_scope_open(.deadline = far[i]);
        CHECK_INT(kin_deadline(), far[i]);
        kin_scope_close(&s, 0);
    }
}

static int sleep_for(void *arg)
{
    return kin_sleep(*(int64_t *)arg);
}

/* Time jumps almost to its end; whatever is armed there must not come early. */
KIN_TEST(D1_life_at_the_end_of_time)
{
    int64_t nearly = INT64_MAX - KIN_S(1), second = KIN_S(1);
    kin_group g = kin_group_open(.timeout = KIN_S(20));

    CHECK_CODE(kin_group_set_deadline(&g, KIN_FOREVER), 0);
    CHECK_CODE(kin_sleep_until(nearly), 0);
    CHECK_INT(kin_now(), nearly);
    kin_spawn(&g, sleep_for, &second, .timeout = INT64_MAX - 1);
    int64_t more = KIN_MS(100);
    kin_spawn(&g, sleep_for, &more, .timeout = KIN_S(5));
    kin_sleep(KIN_MS(500));
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* The reason says what is going on. */
KIN_TEST(C6_a_look_at_a_soft_cancellation_says_that_it_is_soft)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.grace = KIN_S(1));

    kin_cancel(&s, "enough");
    CHECK_CODE(kin_check(), 0);
    CHECK(kin_cancelled()->soft);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.cancelled);
    CHECK(state.reason.soft);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

static int see_where(void *arg)
{
    (void)arg;
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_DEADLINE);
    CHECK_HAS(kin_cancelled()->at, "break_time.c:");
    return 0;
}

/* "place of the call, or of what was opened with the deadline" (kin.h) */
KIN_TEST(C3_a_task_limit_says_where_it_was_given)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, see_where, NULL, .timeout = KIN_S(1));
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ------------------------------------------------- own limits during a grace */

/* While an outer grace runs, calls work; one that fails does so because of the own
 * deadline, and that is a timeout. */
KIN_TEST(D2_a_timeout_during_the_grace_of_an_outer_scope)
{
    kin_scope outer = kin_scope_open(.grace = KIN_S(60));

    kin_cancel(&outer, "please");
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    int rc = kin_sleep(KIN_S(5));
    CHECK_CODE(rc, KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, rc), KIN_ETIMEDOUT);
    CHECK_CODE(kin_sleep(1), 0);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(D3_a_limit_that_fires_during_the_grace_of_the_group)
{
    struct act slow = { .sleep = KIN_S(5) };
    kin_task task;
    kin_group g = kin_group_open(.grace = KIN_S(60), .policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &slow, .task = &task, .timeout = KIN_S(1));
    kin_cancel(&g, "please");
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(task.status, KIN_TIMED_OUT);
}

/* An inner scope cancelled by hand absorbs its own cancellation. */
KIN_TEST(C6_an_inner_cancellation_during_the_grace_of_an_outer_scope)
{
    kin_scope outer = kin_scope_open(.grace = KIN_S(60));

    kin_cancel(&outer, "please");
    kin_scope s = kin_scope_open();
    kin_cancel(&s, NULL);
    kin_check();
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}
