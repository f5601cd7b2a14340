/* The policy quorum: so many successes decide the group (docs/semantics.md G3). As
 * stories, and as a table over all fates of three tasks. */
#include "kin_test.h"

KIN_TEST(G3_quorum_the_second_of_two_successes_decides)
{
    struct act a[4] = { { .sleep = KIN_S(3) }, { .sleep = KIN_S(1), .result = -EIO },
                        { .sleep = KIN_S(2), .result = 7 }, { .sleep = KIN_S(9) } };
    kin_task task[4];
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    for (int i = 0; i < 4; i++)
        kin_spawn(&g, act, &a[i], .task = &task[i]);
    CHECK_CODE(kin_sleep(KIN_S(2) + 1), 0);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_INT(kin_cancelled()->kind, KIN_BY_DECISION);
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_EDECIDED);
    CHECK_CODE(kin_group_close(&g, 5), 0);
    CHECK_INT(a[3].why.kind, KIN_BY_DECISION);
    CHECK_INT(task[3].status, KIN_CANCELLED);
}

KIN_TEST(G3_quorum_winners_have_the_order_of_their_ending)
{
    struct act a[3] = { { .sleep = KIN_S(3) }, { .sleep = KIN_S(1) }, { .sleep = KIN_S(2) } };
    kin_task task[3];
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 3);

    for (int i = 0; i < 3; i++)
        kin_spawn(&g, act, &a[i], .task = &task[i]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task[1].order, 1);
    CHECK_INT(task[2].order, 2);
    CHECK_INT(task[0].order, 3);
}

KIN_TEST(G3_quorum_of_0_is_one_of_1)
{
    struct act good = { .sleep = KIN_S(1) }, slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_QUORUM);

    kin_spawn(&g, act, &good);
    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

KIN_TEST(G3_quorum_is_of_no_meaning_under_another_policy)
{
    struct act a[2] = { { .sleep = KIN_S(1) }, { .sleep = KIN_S(2) } };
    kin_group g = kin_group_open(.quorum = 1);

    kin_spawn(&g, act, &a[0]);
    kin_spawn(&g, act, &a[1]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(a[1].woke, 0);
}

KIN_TEST(G3_quorum_without_tasks_is_none)
{
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    CHECK_CODE(kin_group_close(&g, 3), KIN_ENOQUORUM);
}

KIN_TEST(G3_quorum_impossible_is_not_judged_before_the_body_has_closed)
{
    struct act bad = { .result = -EIO }, good[2] = { { .sleep = KIN_S(2) }, { .sleep = KIN_S(2) } };
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &good[0]);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_spawn(&g, act, &good[1]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G3_quorum_impossible_at_close_cancels_at_once)
{
    struct act slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
    CHECK_INT(kin_now() - start, 0);
    CHECK_INT(slow.why.kind, KIN_BY_DECISION);
    CHECK_STR(slow.why.message, "the quorum cannot be reached any more");
}

KIN_TEST(G3_quorum_impossible_while_closing_cancels_the_rest_and_tells_the_earliest_failure)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    struct act worse = { .sleep = KIN_S(2), .result = -EPERM }, slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    kin_spawn(&g, act, &slow);
    kin_spawn(&g, act, &worse);
    kin_spawn(&g, act, &bad);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_CODE(slow.woke, KIN_ECANCELED);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
}

static int spawn_a_success(void *arg)
{
    static struct act later;

    later = (struct act){ .sleep = KIN_S(1) };
    return kin_spawn(arg, act, &later);
}

KIN_TEST(G3_quorum_a_task_of_the_group_may_spawn_who_is_missing)
{
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);
    struct act good = { .sleep = KIN_S(3) };

    kin_spawn(&g, spawn_a_success, &g);
    kin_spawn(&g, act, &good);
    kin_yield();
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G3_quorum_a_failing_body_can_be_outvoted)
{
    struct act good[2] = { { .sleep = KIN_S(1) }, { .sleep = KIN_S(2) } };
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    kin_spawn(&g, act, &good[0]);
    kin_spawn(&g, act, &good[1]);
    CHECK_CODE(kin_group_close(&g, -EIO), 0);
}

KIN_TEST(G3_quorum_a_soft_decision_refuses_spawns_at_once_and_cancels_after_the_grace)
{
    struct act good = { .sleep = KIN_S(1) }, slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 1, .grace = KIN_S(2));

    kin_spawn(&g, act, &good);
    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK(kin_cancelled()->soft);
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_EDECIDED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
}

KIN_TEST(G3_quorum_more_winners_than_needed_in_one_turn_decide_once)
{
    kin_task task[5];
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    for (int i = 0; i < 5; i++)
        kin_spawn(&g, nothing, NULL, .task = &task[i]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 5; i++)
        CHECK_INT(task[i].status, KIN_OK);
}

/* -------------------------------------------------------------------- table */

enum fate { SUCCEEDS, FAILS, CANCELLED_SINGLY, SKIPPED, FATES };
enum { TASKS = 3 };

static const int failure_of[TASKS] = { -EIO, -EPERM, -ENOSPC };

/* What must come out: those cancelled singly or skipped end first, the others in order. */
static int expected(const enum fate *fate, unsigned quorum)
{
    unsigned need = quorum ? quorum : 1, live = TASKS, ok = 0;
    int failure = 0;

    for (int i = 0; i < TASKS; i++)
        live -= fate[i] == CANCELLED_SINGLY || fate[i] == SKIPPED;
    for (int i = 0; i < TASKS && ok + live >= need && ok < need; i++) {
        live -= fate[i] == SUCCEEDS || fate[i] == FAILS;
        ok += fate[i] == SUCCEEDS;
        if (fate[i] == FAILS && !failure)
            failure = failure_of[i];
    }
    return ok >= need ? 0 : failure ? failure : KIN_ENOQUORUM;
}

static void check_row(const enum fate *fate, unsigned quorum)
{
    struct act a[TASKS];
    kin_task task[TASKS];
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = quorum);

    tap_note("quorum %u, fates %d %d %d", quorum, fate[0], fate[1], fate[2]);
    for (int i = 0; i < TASKS; i++) {
        a[i] = (struct act){ .sleep = KIN_S(i + 1),
                             .result = fate[i] == FAILS ? failure_of[i] : 0 };
        if (fate[i] == SKIPPED)
            kin_spawn(&g, act, &a[i], .task = &task[i], .copy = sizeof a[i],
                      .skip_cancelled = true);
        else
            kin_spawn(&g, act, &a[i], .task = &task[i]);
        if (fate[i] == SKIPPED || fate[i] == CANCELLED_SINGLY)
            CHECK_CODE(kin_cancel(&task[i], NULL), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), expected(fate, quorum));
}

KIN_TEST(G3_table_of_quorum)
{
    for (unsigned quorum = 0; quorum <= TASKS + 1; quorum++)
        for (unsigned row = 0; row < FATES * FATES * FATES; row++)
            check_row((enum fate[]){ row % FATES, row / FATES % FATES, row / FATES / FATES },
                      quorum);
}
