/* Deadlock: nothing is runnable, no timer is set, nothing outside is waited for
 * (docs/semantics.md Q3). */
#include "kin_ext.h"
#include "kin_test.h"

#include <signal.h>

static int wait_for(void *arg)
{
    return kin_event_wait(arg);
}

KIN_TEST(Q3_a_deadlock_is_reported_as_a_tree_and_the_root_is_cancelled)
{
    kin_event never = { 0 };
    kin_task task;
    kin_group g = kin_group_open(.name = "stuck");

    kin_spawn(&g, wait_for, &never, .name = "waiter", .index = 3, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_INT(task.reason.kind, KIN_BY_DEADLOCK);
    CHECK_HAS(test_reports(), "deadlock");
    CHECK_HAS(test_reports(), "group stuck (1 live)");
    CHECK_HAS(test_reports(), "main  waits for: join, 1 tasks to end");
    CHECK_REPORTED("waiter[3]  waits for: event");
}

static int wait_behind_a_shield(void *arg)
{
    kin_scope shield = kin_scope_open(.shield = KIN_FOREVER);

    return kin_scope_close(&shield, kin_event_wait(arg));
}

KIN_TEST(Q3_not_even_a_shield_holds)
{
    kin_event never = { 0 };
    kin_group g = kin_group_open();

    kin_spawn(&g, wait_behind_a_shield, &never);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_REPORTED("deadlock");
}

static bool refuse_to_abort(struct kin_wait *wait)
{
    (void)wait;
    return false;
}

static const struct kin_wait_ops stubborn = { "something stubborn", refuse_to_abort, NULL };

static int wait_stubbornly(void *arg)
{
    struct kin_wait wait;

    (void)arg;
    kin_wait_prepare(&wait, &stubborn, NULL);
    return kin_wait_park(&wait);
}

static void run_stubborn(void *arg)
{
    kin_run(wait_stubbornly, arg, .virtual_clock = true, .backend = test_backend());
}

TEST(Q3_who_cannot_be_moved_ends_the_process)
{
    CHECK_DIES(SIGABRT, "something stubborn", run_stubborn, NULL);
}
