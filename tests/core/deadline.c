/* Time: deadlines, and what counts as timed out (docs/semantics.md D1, D2, and Q1's
 * virtual clock). */
#include "kin_test.h"

#include <time.h>

/* ------------------------------------------------------------------ D1, Q1 */

KIN_TEST(D1_sleep_ends_at_its_time)
{
    int64_t start = kin_now();

    CHECK_CODE(kin_sleep(KIN_MS(1500)), 0);
    CHECK_INT(kin_now() - start, KIN_MS(1500));
    CHECK_CODE(kin_sleep_until(start + KIN_S(3)), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_sleep_until(start), 0);
    CHECK_CODE(kin_sleep(0), 0);
    CHECK_CODE(kin_sleep(-KIN_S(5)), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
}

static int trace_word(void *arg)
{
    trace("%s", (const char *)arg);
    return 0;
}

KIN_TEST(sleep_zero)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, trace_word, "child");
    trace("before");
    CHECK_CODE(kin_sleep(0), 0);
    trace("after");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("before child after");
}

KIN_TEST(Q1_time_jumps_when_every_task_is_blocked)
{
    time_t wall = time(NULL);
    int64_t start = kin_now();
    struct act a = { .sleep = KIN_S(3600) * 24 * 365 }, b = { .sleep = KIN_S(3600) };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a);
    kin_spawn(&g, act, &b);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(a.at - start, a.sleep);
    CHECK_INT(b.at - start, b.sleep);
    CHECK(time(NULL) - wall < 10);
}

KIN_TEST(Q1_time_stands_still_while_a_task_can_run)
{
    int64_t start = kin_now();
    struct act child = { .sleep = 1 };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    for (int i = 0; i < 1000; i++)
        CHECK_CODE(kin_yield(), 0);
    CHECK_INT(kin_now(), start);
    CHECK_INT(child.at, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(D1_sleepers_wake_in_the_order_of_their_times)
{
    enum { N = 1000 };
    static struct act a[N];
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    for (int i = 0; i < N; i++) {
        a[i] = (struct act){ .sleep = 1 + (int64_t)i * 7919 % 1009 * KIN_MS(37) + i % 7 };
        kin_spawn(&g, act, &a[i]);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < N; i++)
        CHECK_INT(a[i].at - start, a[i].sleep);
}

KIN_TEST(D1_zero_in_options_means_not_given)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.timeout = 0, .deadline = 0);

    CHECK_INT(kin_deadline(), KIN_FOREVER);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK_INT(state.deadline, KIN_FOREVER);
    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(D1_forever_is_no_limit)
{
    kin_scope s = kin_scope_open(.timeout = KIN_FOREVER, .deadline = KIN_FOREVER);

    CHECK_INT(kin_deadline(), KIN_FOREVER);
    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(in_the_past_sleep_zero)
{
    kin_scope s = kin_scope_open(.timeout = -1);

    CHECK_CODE(kin_sleep(0), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    kin_sleep(KIN_S(1));
    s = kin_scope_open(.deadline = kin_now() - 1);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

KIN_TEST(D1_the_effective_deadline_is_the_earliest_visible)
{
    int64_t now = kin_now();
    kin_scope a = kin_scope_open(.timeout = KIN_S(5));
    kin_group g = kin_group_open(.deadline = now + KIN_S(3));
    kin_scope b = kin_scope_open(.timeout = KIN_S(9));

    CHECK_INT(kin_deadline(), now + KIN_S(3));
    kin_scope_close(&b, 0);
    kin_group_close(&g, 0);
    CHECK_INT(kin_deadline(), now + KIN_S(5));
    kin_scope_close(&a, 0);
    CHECK_INT(kin_deadline(), KIN_FOREVER);
}

KIN_TEST(D1_of_timeout_and_deadline_the_earlier_counts)
{
    int64_t now = kin_now();
    kin_scope a = kin_scope_open(.timeout = KIN_S(5), .deadline = now + KIN_S(2));
    kin_scope b = kin_scope_open(.timeout = KIN_S(1), .deadline = now + KIN_S(2));

    CHECK_INT(kin_deadline(), now + KIN_S(1));
    kin_scope_close(&b, 0);
    CHECK_INT(kin_deadline(), now + KIN_S(2));
    kin_scope_close(&a, 0);
}

KIN_TEST(reschedule)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_scope_set_deadline(&s, start + KIN_S(4)), 0);
    CHECK_CODE(kin_sleep(KIN_S(3)), 0);
    CHECK_CODE(kin_scope_set_deadline(&s, KIN_FOREVER), 0);
    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
    CHECK_CODE(kin_scope_set_deadline(&s, kin_now() + KIN_S(1)), 0);
    int64_t moved = kin_now();
    CHECK_CODE(kin_sleep(KIN_S(100)), KIN_ECANCELED);
    CHECK_INT(kin_now() - moved, KIN_S(1));
    CHECK_CODE(kin_scope_set_deadline(&s, KIN_FOREVER), KIN_ETIMEDOUT);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_scope_set_deadline(&s, KIN_FOREVER), KIN_ESTALE);
    drop_reports();
}

KIN_TEST(D1_a_group_s_deadline_moved_to_the_past_cancels_it)
{
    struct act child = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_set_deadline(&g, start), 0);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(child.at - start, KIN_S(1));
    CHECK_INT(child.why.kind, KIN_BY_DEADLINE);
}

KIN_TEST(D1_a_group_s_limit_counts_from_open_a_task_s_from_its_first_step)
{
    struct act child[3];
    kin_task task[3];
    int64_t start = kin_now();
    kin_group g = kin_group_open(.limit = 1, .timeout = KIN_MS(2500), .policy = KIN_KEEP_GOING);

    for (int i = 0; i < 3; i++) {
        child[i] = (struct act){ .sleep = KIN_MS(900) };
        kin_spawn(&g, act, &child[i], .task = &task[i], .timeout = KIN_S(1));
    }
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(task[0].status, KIN_OK);
    CHECK_INT(task[1].status, KIN_OK);
    CHECK_INT(task[2].status, KIN_CANCELLED);
    CHECK_INT(kin_now() - start, KIN_MS(2500));
}

/* ---------------------------------------------------------------------- D2 */

KIN_TEST(timeouts_basic)
{
    struct kin_scope_state state;
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(10)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.cancelled && state.expired && state.told && state.timed_out);
    CHECK_INT(state.deadline, start + KIN_S(1));
    CHECK_INT(state.reason.kind, KIN_BY_DEADLINE);
    CHECK_HAS(state.reason.at, "deadline.c:");
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ETIMEDOUT);
    CHECK_CODE(kin_yield(), 0);
}

KIN_TEST(timeouts_not_called)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.timeout = KIN_S(10));

    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(!state.expired && !state.timed_out && !state.cancelled);
    CHECK(state.deadline > kin_now());
    CHECK_CODE(kin_scope_close(&s, 5), 5);
    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
}

/* Lets the time of every scope around pass without telling anybody. */
static void pass_time(int64_t duration)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    CHECK_CODE(kin_sleep(duration), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(D2_a_scope_that_told_nobody_has_not_timed_out)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    pass_time(KIN_S(2));
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.expired && !state.told && !state.timed_out);
    CHECK_CODE(kin_scope_close(&s, 6), 6);
}

KIN_TEST(foreign_exception_passed)
{
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_scope_close(&s, -EIO), -EIO);
}

KIN_TEST(T11_foreign_exception_on_timeout)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.timed_out);
    CHECK_CODE(kin_scope_close(&s, -EIO), -EIO);
}

KIN_TEST(foreign_cancel_doesnt_timeout_if_not_expired)
{
    struct kin_scope_state state;
    kin_scope outer = kin_scope_open();
    kin_scope s = kin_scope_open(.timeout = KIN_S(10));

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(!state.expired && !state.timed_out);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(T14_nested_timeouts)
{
    struct kin_scope_state state;
    kin_scope outer = kin_scope_open(.timeout = KIN_S(1));
    kin_scope inner = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_look(&inner, &state), 0);
    CHECK(state.expired);
    CHECK_CODE(kin_scope_look(&outer, &state), 0);
    CHECK(state.expired);
    CHECK_CODE(kin_scope_close(&inner, KIN_ECANCELED), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, KIN_ECANCELED), KIN_ETIMEDOUT);
}

KIN_TEST(nested_timeouts_concurrent)
{
    kin_scope outer = kin_scope_open(.timeout = KIN_S(2));
    kin_scope inner = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&inner, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_sleep(KIN_MS(500)), 0);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), KIN_ETIMEDOUT);
}

KIN_TEST(T09_a_limit_of_nothing_does_not_swallow_an_earlier_cancel)
{
    kin_scope outer = kin_scope_open();

    kin_cancel(&outer, "earlier");
    kin_scope s = kin_scope_open(.timeout = -1);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ECANCELED);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(T10_timeout_and_outer_cancel_together)
{
    struct kin_scope_state state;
    kin_scope outer = kin_scope_open();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    pass_time(KIN_S(1));
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.timed_out);
    CHECK_CODE(kin_scope_close(&s, KIN_ECANCELED), KIN_ECANCELED);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(outer_task_is_not_cancelled)
{
    kin_task task;
    kin_group g = kin_group_open();
    struct act child = { .sleep = KIN_S(9) };

    kin_spawn(&g, act_anyway, &child, .task = &task, .timeout = KIN_S(1));
    kin_group_close(&g, 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK(task.timed_out);
}

KIN_TEST(nested_timeout_in_finally)
{
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    kin_scope cleanup = kin_scope_open(.shield = KIN_FOREVER, .timeout = KIN_S(1));
    int64_t start = kin_now();
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_CODE(kin_scope_close(&cleanup, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

KIN_TEST(timeout_after_cancellation)
{
    kin_scope a = kin_scope_open();

    kin_cancel(&a, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&a, 0), 0);
    kin_scope b = kin_scope_open(.timeout = -1);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&b, 0), KIN_ETIMEDOUT);
    kin_scope c = kin_scope_open(.timeout = KIN_S(1));
    kin_cancel(&c, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&c, 0), 0);
}

KIN_TEST(timeout_taskgroup)
{
    struct act child = { .result = -EIO };
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, &child);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.timed_out);
    CHECK_CODE(kin_scope_close(&s, -EIO), -EIO);
}

KIN_TEST(D2_a_system_s_timeout_is_a_failure_like_any_other)
{
    int codes[] = { -ETIMEDOUT, -ECANCELED };
    kin_task task[2];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING, .timeout = KIN_S(1));

    for (int i = 0; i < 2; i++)
        kin_spawn(&g, give, &codes[i], .task = &task[i]);
    CHECK_CODE(kin_group_close(&g, 0), -ETIMEDOUT);
    CHECK_INT(task[0].status, KIN_FAILED);
    CHECK(!task[0].timed_out);
    CHECK_INT(task[1].status, KIN_FAILED);
    CHECK(!task[1].cancelled);
}

KIN_TEST(T12_the_class_tells_a_cancel_not_the_number)
{
    CHECK(KIN_ETIMEDOUT != -ETIMEDOUT && KIN_ECANCELED != -ECANCELED);
    CHECK_INT(kin_class(KIN_ECANCELED), KIN_CLASS_CANCEL);
    CHECK_INT(kin_class(KIN_ETIMEDOUT), KIN_CLASS_TIMEOUT);
    CHECK_INT(kin_class(-ECANCELED), KIN_CLASS_SYSTEM);
}

/* The many timers of one moment, and those disarmed before it. */
KIN_TEST(cancel_scope_deadline_duplicates)
{
    int64_t now = kin_now();

    for (int i = 0; i < 100000; i++) {
        kin_scope s = kin_scope_open(.deadline = now + KIN_S(1000));
        if (i % 10 == 0)
            CHECK_CODE(kin_yield(), 0);
        CHECK_CODE(kin_scope_close(&s, 0), 0);
    }
    CHECK_CODE(kin_sleep(KIN_S(2000)), 0);
}
