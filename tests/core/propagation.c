/* How a cancellation spreads: deep, wide, in order, and without recursion
 * (docs/semantics.md C8). */
#include "kin_test.h"

enum { DEEP = 5000 };

static int nest(void *arg)
{
    kin_scope *scope = arg;
    int rc;

    for (int i = 0; i < DEEP; i++)
        scope[i] = kin_scope_open();
    rc = kin_sleep(KIN_FOREVER);
    trace("%d", rc == KIN_ECANCELED);
    for (int i = DEEP - 1; i >= 0; i--)
        CHECK_CODE(kin_scope_close(&scope[i], 0), i == 0 ? 0 : KIN_ECANCELED);
    CHECK_CODE(kin_check(), 0);
    return 0;
}

KIN_TEST(T28_very_deep_cancel_scope_nesting)
{
    static kin_scope scope[DEEP];
    kin_group g = kin_group_open();

    kin_spawn(&g, nest, scope);
    settle();
    CHECK_CODE(kin_cancel(&scope[0], "deep"), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1");
}

static int nest_groups(void *arg)
{
    int *depth = arg;
    kin_group g;

    if (--*depth == 0)
        return kin_sleep(KIN_FOREVER);
    g = kin_group_open();
    kin_spawn(&g, nest_groups, depth);
    return kin_group_close(&g, 0);
}

KIN_TEST(C8_a_chain_of_5000_groups_is_cancelled)
{
    int depth = DEEP;
    kin_group g = kin_group_open();

    kin_spawn(&g, nest_groups, &depth);
    settle();
    CHECK_INT(depth, 0);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

enum { MANY = 100000 };

static int woken;

static int wake_in_order(void *arg)
{
    intptr_t number = *(intptr_t *)arg;

    CHECK_CODE(kin_sleep(KIN_FOREVER), KIN_ECANCELED);
    CHECK_INT(woken, number);
    woken++;
    return KIN_ECANCELED;
}

/* Woken after the cancel, and so behind them in the run queue, it has seen all. */
struct last_in_line {
    kin_event event;
    int seen;
};

static int see_all_woken(void *arg)
{
    struct last_in_line *l = arg;

    CHECK_CODE(kin_event_wait(&l->event), 0);
    l->seen = woken;
    return 0;
}

KIN_TEST_LIMIT(C8_100000_parked_tasks_are_runnable_when_cancel_returns_in_spawn_order, 60)
{
    intptr_t many = tap_instrumented() ? MANY / 20 : MANY;
    struct last_in_line last = { .seen = -1 };
    kin_group after = kin_group_open();
    kin_group g = kin_group_open();

    woken = 0;
    kin_spawn(&after, see_all_woken, &last);
    for (intptr_t i = 0; i < many; i++)
        CHECK_CODE(kin_spawn(&g, wake_in_order, &i, .copy = sizeof i), 0);
    settle();
    kin_cancel(&g, "all of you");
    CHECK_INT(woken, 0);
    kin_event_set(&last.event);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&after, 0), 0);
    CHECK_INT(woken, many);
    CHECK_INT(last.seen, many);
}

struct mixed {
    int number;
    int inner;      /* how many children in a group of its own */
};

static int mixed_task(void *arg)
{
    struct mixed *m = arg;
    kin_group g = kin_group_open();

    for (int i = 0; i < m->inner; i++) {
        struct mixed child = { m->number + i + 1, 0 };

        kin_spawn(&g, mixed_task, &child, .copy = sizeof child);
    }
    kin_sleep(KIN_FOREVER);
    trace("%d", m->number);
    return kin_group_close(&g, 0);
}

KIN_TEST(cancel_inheritance)
{
    struct act a[4];
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();
    kin_group inner = kin_group_open();

    for (int i = 0; i < 4; i++) {
        a[i] = (struct act){ .sleep = KIN_FOREVER };
        kin_spawn(i % 2 ? &g : &inner, act, &a[i]);
    }
    settle();
    kin_cancel(&s, NULL);
    CHECK_CODE(kin_group_close(&inner, 0), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(a[0].woke, KIN_ECANCELED);
    CHECK_CODE(a[2].woke, KIN_ECANCELED);
    CHECK_INT(a[1].at, 0);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(a[1].woke, KIN_ECANCELED);
    CHECK_CODE(a[3].woke, KIN_ECANCELED);
}

KIN_TEST(C8_tasks_of_inner_groups_too_wake_in_spawn_order)
{
    struct mixed m = { 10, 2 };
    kin_group g = kin_group_open();

    kin_spawn(&g, mixed_task, &m, .copy = sizeof m);
    m = (struct mixed){ 20, 2 };
    kin_spawn(&g, mixed_task, &m, .copy = sizeof m);
    settle();
    kin_cancel(&g, NULL);
    trace("cancelled");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("cancelled 10 20 11 12 21 22");
}
