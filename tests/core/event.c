/* The event (docs/semantics.md S2; asyncio's Event tests). */
#include "kin_test.h"

struct waiter {
    kin_event *event;
    int number;
    int woke;
};

static int wait_for_event(void *arg)
{
    struct waiter *w = arg;

    w->woke = kin_event_wait(w->event);
    trace(w->woke < 0 ? "-%d" : "%d", w->number);
    return w->woke;
}

static void spawn_waiters(kin_group *g, struct waiter *w, kin_task *task, int n, kin_event *event)
{
    for (int i = 0; i < n; i++) {
        w[i] = (struct waiter){ event, i, 99 };
        CHECK_CODE(kin_spawn(g, wait_for_event, &w[i], .task = &task[i]), 0);
    }
    settle();
}

KIN_TEST(event_wait)
{
    kin_event event = { 0 };
    struct waiter w[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_waiters(&g, w, task, 3, &event);
    CHECK_TRACE("");
    kin_event_set(&event);
    CHECK_TRACE("");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("0 1 2");
    CHECK(event.set);
}

KIN_TEST(event_wait_on_set)
{
    kin_event event = { 0 };

    kin_event_set(&event);
    CHECK_CODE(kin_event_wait(&event), 0);
    CHECK_CODE(kin_event_wait(&event), 0);
}

KIN_TEST(event_wait_cancel)
{
    kin_event event = { 0 };
    struct waiter w[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_waiters(&g, w, task, 3, &event);
    kin_cancel(&task[1], NULL);
    settle();
    CHECK_TRACE("-1");
    kin_event_set(&event);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("0 2");
    CHECK(event.waiters.first == NULL && event.waiters.last == NULL);
}

KIN_TEST(event_clear)
{
    kin_event event = { .set = true };
    struct waiter w[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    kin_event_clear(&event);
    CHECK(!event.set);
    spawn_waiters(&g, w, task, 1, &event);
    CHECK_TRACE("");
    kin_event_set(&event);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("0");
}

KIN_TEST(event_clear_with_waiters)
{
    kin_event event = { 0 };
    struct waiter w[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_waiters(&g, w, task, 2, &event);
    kin_event_set(&event);
    kin_event_clear(&event);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(w[0].woke, 0);
    CHECK_CODE(w[1].woke, 0);
    CHECK_TRACE("0 1");
}

/* Set, then cancelled in the same turn: the waiter has what it waited for. */
KIN_TEST(S2_a_waiter_cancelled_after_the_set_has_succeeded)
{
    kin_event event = { 0 };
    struct waiter w[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    spawn_waiters(&g, w, task, 1, &event);
    kin_event_set(&event);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(w[0].woke, 0);
    CHECK_TRACE("0");
}

KIN_TEST(S2_a_waiter_cancelled_before_the_set_has_not)
{
    kin_event event = { 0 };
    struct waiter w[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    spawn_waiters(&g, w, task, 1, &event);
    kin_cancel(&task[0], NULL);
    kin_event_set(&event);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(w[0].woke, KIN_ECANCELED);
    CHECK_TRACE("-0");
}

static int set_event(void *arg)
{
    kin_event_set((kin_event *)arg);
    return 0;
}

KIN_TEST(S2_a_waiter_whose_limit_fires_leaves_the_list)
{
    kin_event event = { 0 };
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_event_wait(&event), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK(event.waiters.first == NULL);
    kin_spawn(&g, set_event, &event);
    CHECK_CODE(kin_event_wait(&event), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* T34: a long-lived event keeps nothing of those who gave up. */
KIN_TEST(T34_ten_thousand_timed_out_waits_leave_nothing_behind)
{
    kin_event event = { 0 };

    for (int i = 0; i < 10000; i++) {
        kin_scope s = kin_scope_open(.timeout = 1);
        CHECK_CODE(kin_event_wait(&event), KIN_ECANCELED);
        CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
        CHECK(event.waiters.first == NULL && event.waiters.last == NULL);
    }
}


static kin_event reused;

static int wait_on_reused(void *arg)
{
    kin_group g = kin_group_open();

    (void)arg;
    kin_event_clear(&reused);
    CHECK_CODE(kin_spawn(&g, set_event, &reused), 0);
    CHECK_CODE(kin_event_wait(&reused), 0);
    return kin_group_close(&g, 0);
}

TEST(T64_an_event_nobody_waits_for_may_go_to_the_next_run)
{
    for (int i = 0; i < 3; i++)
        CHECK_CODE(test_run(wait_on_reused, NULL), 0);
}
