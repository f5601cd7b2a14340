/* Attacks on the close of a group: whatever comes between the end of its last task
 * and the closer's own step (docs/semantics.md G2, G7, G8). */
#include "kin_test.h"

struct guest {
    kin_group *group;
    int64_t sleep;
    int rc;
};

static int spawn_nothing(void *arg)
{
    struct guest *guest = arg;

    if (guest->sleep)
        kin_sleep(guest->sleep);
    guest->rc = kin_spawn(guest->group, nothing, NULL);
    return 0;
}

/* The closer is woken already when a task from elsewhere gets one more task in,
 * which ends before the closer has run. */
KIN_TEST(G2_a_task_from_elsewhere_spawns_while_the_closer_is_on_its_way)
{
    struct act last = { .sleep = KIN_S(1) };
    kin_group guests = kin_group_open(), g = kin_group_open();
    struct guest guest = { &g, KIN_S(1), -1 };

    kin_spawn(&g, act, &last);
    kin_spawn(&guests, spawn_nothing, &guest);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&guests, 0), 0);
    CHECK_CODE(guest.rc, 0);
}

/* The same by way of a spawner that had waited for room. */
KIN_TEST(G7_the_last_slot_goes_to_a_task_that_ends_at_once)
{
    struct act last = { .sleep = KIN_S(1) };
    kin_group guests = kin_group_open(), g = kin_group_open(.limit = 1);
    struct guest guest[3] = { { &g, 0, -1 }, { &g, 0, -1 }, { &g, 0, -1 } };

    kin_spawn(&g, act, &last);
    for (int i = 0; i < 3; i++)
        kin_spawn(&guests, spawn_nothing, &guest[i]);
    settle();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&guests, 0), 0);
}

static int end_at_event(void *arg)
{
    return kin_event_wait(arg);
}

/* The slot is handed to the first who waits for room, and before he has run, the
 * body closes the group, in which nobody lives: all who wait must be told. */
KIN_TEST(G7_nobody_waits_for_room_in_a_group_that_has_ended)
{
    kin_event event = { .set = false };
    kin_group guests = kin_group_open(), g = kin_group_open(.limit = 1);
    struct guest guest[3] = { { &g, 0, -1 }, { &g, 0, -1 }, { &g, 0, -1 } };

    kin_spawn(&g, end_at_event, &event);
    for (int i = 0; i < 3; i++)
        kin_spawn(&guests, spawn_nothing, &guest[i]);
    settle();
    kin_event_set(&event);              /* ready: the task … */
    kin_yield();                        /* … and this one, before the first guest */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&guests, 0), 0);
    for (int i = 0; i < 3; i++)
        CHECK(guest[i].rc == 0 || guest[i].rc == KIN_ESTALE);
}

/* Who waits for room loses patience: that is no failure of the group. */
KIN_TEST(G7_giving_up_waiting_for_room_is_no_failure_of_the_group)
{
    struct act slow = { .sleep = KIN_S(5) };
    kin_group g = kin_group_open(.limit = 1);

    kin_spawn(&g, act, &slow);
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    int rc = kin_spawn(&g, nothing, NULL);
    CHECK_CODE(rc, KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, rc), KIN_ETIMEDOUT);
    CHECK_CODE(kin_check(), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(slow.woke, 0);
}

static int leave_when_cancelled(void *arg)
{
    kin_scoped_group g = kin_group_open(.policy = *(kin_policy *)arg);
    struct act child = { .sleep = KIN_FOREVER };

    kin_spawn(&g, act, &child);
    return kin_sleep(KIN_FOREVER);
}

/* A cancelled body that returns out of its group has lost no error. */
KIN_TEST(E3_leaving_a_group_because_of_a_cancellation_loses_nothing)
{
    for (kin_policy policy = KIN_ALL; policy <= KIN_ANY; policy++) {
        kin_task task;
        kin_group g = kin_group_open();

        tap_note("policy %d", policy);
        kin_spawn(&g, leave_when_cancelled, &policy, .task = &task);
        settle();
        kin_cancel(&g, NULL);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_INT(task.status, KIN_CANCELLED);
        CHECK_STR(test_reports(), "");
    }
}

static int leave_at_once(void)
{
    kin_scoped_group g = kin_group_open(.policy = KIN_ANY);
    struct act child = { .sleep = KIN_FOREVER };

    kin_spawn(&g, act, &child);
    return 0;
}

/* An undecided group that is left has not failed to find a quorum: nobody asked. */
KIN_TEST(E3_leaving_an_undecided_group_loses_nothing)
{
    leave_at_once();
    CHECK_STR(test_reports(), "");
}
