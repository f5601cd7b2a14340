/* Several functions as one call, and one within a limit: kin_gather, kin_race, kin_within
 * (docs/semantics.md W1, W3, W4). The lines of asyncio's suites for gather and wait_for bear
 * their names. */
#include "kin_test.h"

static kin_call sleeps(struct act *a, int64_t duration, int result)
{
    *a = (struct act){ .sleep = duration, .result = result };
    return (kin_call){ .fn = act, .arg = a };
}

/* ------------------------------------------------------------------------ gather */

KIN_TEST(gather_success_in_the_order_of_arguments)
{
    struct act a[3];
    kin_call calls[] = { sleeps(&a[0], KIN_S(3), 7), sleeps(&a[1], KIN_S(1), 8),
                         sleeps(&a[2], KIN_S(2), 9) };
    int64_t start = kin_now();

    CHECK_CODE(kin_gather(calls, 3), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));     /* at the same time */
    for (int i = 0; i < 3; i++) {
        CHECK_INT(calls[i].task.status, KIN_OK);
        CHECK_CODE(calls[i].task.code, 7 + i);
    }
}

KIN_TEST(gather_one_exception)
{
    struct act a[3];
    kin_call calls[] = { sleeps(&a[0], KIN_S(9), 0), sleeps(&a[1], KIN_S(1), -EIO),
                         sleeps(&a[2], KIN_S(2), -EPERM) };
    int64_t start = kin_now();

    CHECK_CODE(kin_gather(calls, 3), -EIO);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_INT(calls[0].task.status, KIN_CANCELLED);
    CHECK_INT(calls[1].task.status, KIN_FAILED);
    CHECK_INT(calls[2].task.status, KIN_CANCELLED);
    CHECK_CODE(kin_check(), 0);
}

KIN_TEST(gather_return_exceptions)
{
    struct act a[4];
    kin_call calls[] = { sleeps(&a[0], KIN_S(2), 1), sleeps(&a[1], KIN_S(1), -EIO),
                         sleeps(&a[2], KIN_S(3), -EPERM), sleeps(&a[3], KIN_S(9), 2) };
    static const kin_status wanted[] = { KIN_OK, KIN_FAILED, KIN_FAILED, KIN_TIMED_OUT };

    calls[3].timeout = KIN_S(4);
    calls[3].name = "user";
    calls[3].index = 4;
    CHECK_CODE(kin_gather(calls, 4, .policy = KIN_KEEP_GOING), -EIO);
    for (int i = 0; i < 4; i++)
        CHECK_INT(calls[i].task.status, wanted[i]);
    CHECK_CODE(calls[0].task.code, 1);
    CHECK_CODE(calls[2].task.code, -EPERM);
    CHECK_CODE(calls[3].task.code, KIN_ETIMEDOUT);
    const kin_error *late = kin_error_find(kin_error_last(), kin_match_code(KIN_ETIMEDOUT));
    CHECK(late != NULL);
    CHECK_STR(late->name, "user");
    CHECK_INT(late->index, 4);
}

KIN_TEST(gather_optional_limits_are_no_failures)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(9), 0), sleeps(&a[1], KIN_S(2), 5) };

    calls[0].timeout = KIN_S(1);
    calls[0].optional = true;
    CHECK_CODE(kin_gather(calls, 2), 0);
    CHECK_INT(calls[0].task.status, KIN_TIMED_OUT);
    CHECK_CODE(calls[1].task.code, 5);
}

KIN_TEST(gather_empty)
{
    CHECK_CODE(kin_gather(NULL, 0), 0);
    CHECK_CODE(kin_gather(NULL, 0, .policy = KIN_ANY), KIN_ENOQUORUM);
    CHECK_CODE(kin_race(NULL, 0), KIN_ENOQUORUM);
}

static int cancel_first(void *arg)
{
    kin_call *calls = arg;

    kin_sleep(KIN_S(1));
    CHECK_CODE(kin_cancel(&calls[0].task, NULL), 0);
    return 0;
}

KIN_TEST(gather_one_cancellation)
{
    struct act a[2];
    kin_call calls[3] = { sleeps(&a[0], KIN_S(9), 0), sleeps(&a[1], KIN_S(2), 0) };

    calls[2] = (kin_call){ .fn = cancel_first, .arg = calls };
    CHECK_CODE(kin_gather(calls, 3), 0);        /* neither failure nor success (G14) */
    CHECK_INT(calls[0].task.status, KIN_CANCELLED);
    CHECK_INT(calls[1].task.status, KIN_OK);
    CHECK_CODE(kin_check(), 0);                 /* and the caller is not cancelled */
}

KIN_TEST(gather_result_exception_one_cancellation)
{
    struct act a[2];
    kin_call calls[3] = { sleeps(&a[0], KIN_S(9), 0), sleeps(&a[1], KIN_S(2), -EIO) };

    calls[2] = (kin_call){ .fn = cancel_first, .arg = calls };
    CHECK_CODE(kin_gather(calls, 3, .policy = KIN_KEEP_GOING), -EIO);
    CHECK_INT(calls[0].task.status, KIN_CANCELLED);
    CHECK_CODE(calls[0].task.code, KIN_ECANCELED);
    CHECK_INT(calls[1].task.status, KIN_FAILED);
}

KIN_TEST(gather_duplicate_coroutines)
{
    struct act a = { .sleep = KIN_S(1) };
    kin_call calls[] = { { .fn = act, .arg = &a }, { .fn = act, .arg = &a } };

    CHECK_CODE(kin_gather(calls, 2), 0);        /* a function twice is two calls */
    CHECK_INT(a.ran, 2);
}

KIN_TEST(gather_cancellation_broadcast)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(9), 0), sleeps(&a[1], KIN_S(9), 0) };
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_gather(calls, 2), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_INT(calls[0].task.status, KIN_CANCELLED);
    CHECK_INT(calls[1].task.status, KIN_CANCELLED);
}

KIN_TEST(gather_exception_marking)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(1), -EIO), sleeps(&a[1], KIN_S(1), -EPERM) };

    calls[0].fn = calls[1].fn = act_anyway;
    CHECK_CODE(kin_gather(calls, 2), -EIO);     /* the second is in the tree, not reported */
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
    CHECK_STR(test_reports(), "");
}

KIN_TEST(T33_gather_issue46672_a_bad_argument_starts_nobody)
{
    struct act a = { 0 };
    kin_call calls[] = { { .fn = act, .arg = &a }, { .fn = NULL } };

    CHECK_CODE(kin_gather(calls, 2), KIN_EINVAL);
    CHECK_INT(a.ran, 0);
    CHECK_INT(calls[0].task.status, KIN_REFUSED);
    CHECK_CODE(calls[1].task.code, KIN_EINVAL);
    CHECK_CODE(kin_race(calls, 2), KIN_EINVAL);
    CHECK_INT(a.ran, 0);
}

static int gather_two(void *arg)
{
    return kin_gather(arg, 2);
}

KIN_TEST(cancel_gather_1_after_all_have_ended_the_result_stands)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(1), 3), sleeps(&a[1], KIN_S(1), 4) };
    kin_task task, *inner[] = { &calls[0].task, &calls[1].task };
    kin_group g = kin_group_open();

    kin_spawn(&g, gather_two, calls, .task = &task);
    kin_yield();
    CHECK_CODE(kin_wait_tasks(inner, 2, KIN_ALL_COMPLETED), 2);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(calls[1].task.code, 4);
}

KIN_TEST(T32_cancel_gather_2_the_cancel_reaches_the_caller_also_when_all_is_collected)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(9), 0), sleeps(&a[1], KIN_S(1), 4) };
    kin_scope s = kin_scope_open(.timeout = KIN_S(2));

    CHECK_CODE(kin_gather(calls, 2, .policy = KIN_KEEP_GOING), KIN_ECANCELED);
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    CHECK_INT(calls[0].task.status, KIN_CANCELLED);
    CHECK_INT(calls[1].task.status, KIN_OK);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

/* All are done, and in that turn the caller is cancelled: both are seen. */
static int cancel_scope(void *arg)
{
    return kin_cancel((kin_scope *)arg, NULL);
}

KIN_TEST(T32_a_cancel_in_the_turn_in_which_all_were_done_shows_at_the_next_call)
{
    kin_scope s = kin_scope_open();
    kin_call calls[] = { { .fn = nothing }, { .fn = cancel_scope, .arg = &s } };

    CHECK_CODE(kin_gather(calls, 2), 0);
    CHECK_INT(calls[1].task.status, KIN_OK);
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(T31_gather_joins_the_siblings_that_it_cancels)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(2), 0), sleeps(&a[1], KIN_S(1), -EIO) };
    int64_t start = kin_now();

    calls[0].fn = act_cleanup;                  /* takes two seconds to end */
    CHECK_CODE(kin_gather(calls, 2), -EIO);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_INT(a[0].at - start, KIN_S(3));
    CHECK_CODE(a[0].woke, KIN_ECANCELED);
}

KIN_TEST(W1_gather_takes_the_options_of_a_group)
{
    struct act a[6];
    kin_call calls[6];
    int64_t start = kin_now();

    for (int i = 0; i < 6; i++)
        calls[i] = sleeps(&a[i], KIN_S(1), 0);
    CHECK_CODE(kin_gather(calls, 6, .limit = 2), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_gather(calls, 6, .limit = 2, .timeout = KIN_MS(1500)), KIN_ETIMEDOUT);
    CHECK_INT(calls[1].task.status, KIN_OK);
    CHECK_INT(calls[2].task.status, KIN_CANCELLED);
    CHECK_INT(calls[5].task.status, KIN_REFUSED);
    CHECK_CODE(kin_gather(calls, 6, .policy = KIN_QUORUM, .quorum = 6), 0);
}

KIN_TEST(W1_a_cancelled_caller_gathers_nothing)
{
    struct act a;
    kin_call call = sleeps(&a, 0, 0);
    kin_scope s = kin_scope_open(.cancelled = true);

    CHECK_CODE(kin_gather(&call, 1), KIN_ECANCELED);
    CHECK_INT(a.ran, 0);
    CHECK_INT(call.task.status, KIN_REFUSED);
    CHECK_CODE(call.task.code, KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

TEST(W1_no_gather_outside_of_a_run)
{
    kin_call call = { .fn = nothing };

    CHECK_CODE(kin_gather(&call, 1), KIN_ENORUN);
    CHECK_CODE(kin_race(&call, 1), KIN_ENORUN);
    CHECK_CODE(kin_within(KIN_S(1), nothing, NULL), KIN_ENORUN);
}

KIN_TEST(W1_a_failure_while_gather_waits_for_room_starts_nobody_else)
{
    struct act a[3];
    kin_call calls[] = { sleeps(&a[0], KIN_S(1), -EIO), sleeps(&a[1], KIN_S(1), 0),
                         sleeps(&a[2], KIN_S(1), 0) };

    CHECK_CODE(kin_gather(calls, 3, .limit = 1), -EIO);
    CHECK_INT(a[1].ran, 0);
    CHECK_INT(calls[1].task.status, KIN_REFUSED);
    CHECK_INT(calls[2].task.status, KIN_REFUSED);
}

/* -------------------------------------------------------------------------- race */

KIN_TEST(W3_race_gives_the_index_of_the_first_to_succeed)
{
    struct act a[3];
    kin_call calls[] = { sleeps(&a[0], KIN_S(9), 0), sleeps(&a[1], KIN_S(1), -EIO),
                         sleeps(&a[2], KIN_S(2), 0) };
    int64_t start = kin_now();

    CHECK_CODE(kin_race(calls, 3), 2);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(calls[0].task.status, KIN_CANCELLED);
    CHECK_INT(a[0].why.kind, KIN_BY_DECISION);
}

KIN_TEST(W3_race_of_losers_that_succeed_too)
{
    struct act a[3];
    kin_call calls[] = { sleeps(&a[0], KIN_S(3), 0), sleeps(&a[1], KIN_S(2), 0),
                         sleeps(&a[2], KIN_S(1), 0) };

    calls[0].fn = calls[1].fn = calls[2].fn = act_anyway;
    CHECK_CODE(kin_race(calls, 3), 2);
    for (int i = 0; i < 3; i++)
        CHECK_INT(calls[i].task.status, KIN_OK);
}

KIN_TEST(W3_race_without_a_winner)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(2), -EPERM), sleeps(&a[1], KIN_S(1), -EIO) };

    CHECK_CODE(kin_race(calls, 2), -EIO);
    CHECK_CODE(kin_race(calls, 2, .timeout = KIN_MS(100)), KIN_ETIMEDOUT);
}

KIN_TEST(W3_race_is_a_race_whatever_the_policy_given)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(2), 0), sleeps(&a[1], KIN_S(1), 0) };

    CHECK_CODE(kin_race(calls, 2, .policy = KIN_KEEP_GOING), 1);
}

/* ---------------------------------------------------------------- within a limit */

KIN_TEST(wait_for)
{
    struct act slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();

    CHECK_CODE(kin_within(KIN_S(1), act, &slow), KIN_ETIMEDOUT);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_CODE(slow.woke, KIN_ECANCELED);       /* its clean-up has run */
    CHECK_INT(slow.why.kind, KIN_BY_DEADLINE);
    CHECK_CODE(kin_check(), 0);
}

KIN_TEST(wait_for_blocking)
{
    struct act a = { .sleep = KIN_S(99), .result = 5 };

    CHECK_CODE(kin_within(KIN_FOREVER, act, &a), 5);
}

KIN_TEST(wait_for_timeout_less_then_0)
{
    struct act a = { .result = 5 };

    CHECK_CODE(kin_within(0, act, &a), KIN_ETIMEDOUT);
    CHECK_CODE(kin_within(-KIN_S(1), act, &a), KIN_ETIMEDOUT);
    CHECK_CODE(kin_within_or(0, 7, act, &a), 7);
    CHECK_INT(a.ran, 0);                        /* what has not begun does not begin */
}

KIN_TEST(wait_for_race_condition)
{
    int five = 5;

    CHECK_CODE(kin_within(1, give, &five), 5);  /* the result of its very turn */
    CHECK_CODE(kin_within_or(1, 9, give, &five), 5);
}

KIN_TEST(wait_for_cancelled)
{
    struct act stubborn = { .sleep = KIN_S(3), .result = 4 };
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_within(KIN_S(9), act_stubborn, &stubborn), 4);
    CHECK_INT(kin_now() - start, KIN_S(3));     /* waits for the stubborn, and takes its result */
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(wait_for_timeout)
{
    struct act stubborn = { .sleep = KIN_S(3), .result = -EIO };
    int64_t start = kin_now();

    CHECK_CODE(kin_within(KIN_S(1), act_stubborn, &stubborn), -EIO);
    CHECK_INT(kin_now() - start, KIN_S(3));
}

KIN_TEST(wait_for_waits_for_task_cancellation)
{
    struct act a = { .sleep = KIN_S(2), .result = KIN_ECANCELED };
    int64_t start = kin_now();

    CHECK_CODE(kin_within(KIN_S(1), act_cleanup, &a), KIN_ETIMEDOUT);
    CHECK_INT(kin_now() - start, KIN_S(3));     /* the slow clean-up comes first */
}

KIN_TEST(wait_for_reraises_exception_during_cancellation)
{
    struct act a = { .sleep = KIN_S(9), .result = -EIO };

    CHECK_CODE(kin_within(KIN_S(1), act_anyway, &a), -EIO);
    CHECK_CODE(kin_within_or(KIN_S(1), 7, act_anyway, &a), -EIO);
}

KIN_TEST(wait_for_cancel_suppressed)
{
    struct act a = { .sleep = KIN_S(9), .result = 6 };

    CHECK_CODE(kin_within(KIN_S(1), act_anyway, &a), 6);
    CHECK_CODE(kin_within_or(KIN_S(1), 42, act_anyway, &a), 6);
    CHECK_CODE(kin_check(), 0);
}

KIN_TEST(wait_for_a_default_instead)
{
    struct act slow = { .sleep = KIN_S(9) }, quick = { .sleep = KIN_S(1), .result = 3 };

    CHECK_CODE(kin_within_or(KIN_S(2), 42, act, &slow), 42);
    CHECK_CODE(kin_within_or(KIN_S(2), -7, act, &slow), -7);
    CHECK_CODE(kin_within_or(KIN_S(2), 42, act, &quick), 3);
}

/* Its own limit had passed meanwhile, but nobody in there has heard of it. */
static int busy_with_a_limit_of_its_own(void *arg)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    int rc = kin_within(KIN_S(1), act, arg);

    CHECK_CODE(kin_sleep(KIN_S(9)), 0);
    return kin_scope_close(&s, rc);
}

KIN_TEST(W3_an_inner_limit_is_not_taken_for_an_outer_that_has_passed_unheard)
{
    struct act slow = { .sleep = KIN_S(9) };

    CHECK_CODE(kin_within_or(KIN_S(5), 42, busy_with_a_limit_of_its_own, &slow), KIN_ETIMEDOUT);
}

static int sleep_within_a_second(void *arg)
{
    return kin_within(KIN_S(1), act, arg);
}

KIN_TEST(W3_an_inner_limit_is_not_taken_for_the_outer)
{
    struct act slow = { .sleep = KIN_S(9) };

    CHECK_CODE(kin_within_or(KIN_S(5), 42, sleep_within_a_second, &slow), KIN_ETIMEDOUT);
}

KIN_TEST(W3_an_outer_limit_is_not_taken_for_the_inner)
{
    struct act slow = { .sleep = KIN_S(9) };
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_within_or(KIN_S(5), 42, act, &slow), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

KIN_TEST(W3_a_system_s_timeout_is_not_the_limit_s)
{
    int code = -ETIMEDOUT, ours = KIN_ETIMEDOUT;

    CHECK_CODE(kin_within_or(KIN_S(1), 42, give, &code), -ETIMEDOUT);
    CHECK_CODE(kin_within_or(KIN_S(1), 42, give, &ours), KIN_ETIMEDOUT);
}

KIN_TEST(W3_no_function_no_call)
{
    kin_scope s;

    CHECK_CODE(kin_within(KIN_S(1), NULL, NULL), KIN_EINVAL);
    CHECK_CODE(kin_within_or(KIN_S(1), 3, NULL, NULL), KIN_EINVAL);
    s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_within_or(0, 3, nothing, NULL), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

/* ----------------------------------------------------------------------- shields */

static int gather_behind_a_shield(void *arg)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    return kin_scope_close(&s, kin_gather(arg, 2));
}

KIN_TEST(gather_shield_around)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(2), 0), sleeps(&a[1], KIN_S(3), 0) };
    int64_t start = kin_now();

    CHECK_CODE(kin_within(KIN_S(1), gather_behind_a_shield, calls), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(a[1].woke, 0);
}

KIN_TEST(shield_gather)
{
    struct act a[2];
    kin_call calls[] = { sleeps(&a[0], KIN_S(2), 5), sleeps(&a[1], KIN_S(9), 0) };

    calls[0].fn = act_stubborn;
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    CHECK_CODE(kin_gather(calls, 2), KIN_ECANCELED);
    CHECK_INT(calls[0].task.status, KIN_OK);    /* its work was done to the end */
    CHECK_CODE(calls[0].task.code, 5);
    CHECK_INT(calls[1].task.status, KIN_CANCELLED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

/* ------------------------------------------------------------------ what is left */

KIN_TEST(W4_combining_leaves_nothing_behind)
{
    struct act a[2];
    struct kin_facts before, after;

    CHECK_CODE(kin_facts(&before), 0);
    for (int i = 0; i < 1000; i++) {
        int code = i % 3 ? 0 : -EIO;
        kin_call calls[] = { sleeps(&a[0], KIN_S(2), 0), sleeps(&a[1], KIN_S(1), code) };
        CHECK_CODE(kin_gather(calls, 2), code);
        kin_race(calls, 2);
        kin_within(KIN_MS(1), act, &a[0]);
        CHECK(!calls[0].task.waiters && !calls[1].task.waiters);
    }
    CHECK_CODE(kin_facts(&after), 0);
    CHECK_INT(after.tasks, before.tasks);
    CHECK_INT(after.stacks, before.stacks);
    CHECK_INT(kin_deadline(), KIN_FOREVER);
}
