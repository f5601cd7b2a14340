/* Finished tasks and their errors leave nothing behind (docs/semantics.md G9). */
#include "kin_ext.h"
#include "kin_test.h"

#include <stdio.h>

KIN_TEST(G9_finished_children_are_reaped_at_once)
{
    struct kin_facts before, after;
    struct kin_group_counts counts;
    kin_group g = kin_group_open();

    kin_facts(&before);
    for (int i = 0; i < 200000; i++) {
        CHECK_CODE(kin_spawn(&g, nothing, NULL), 0);
        if (i % 100 == 99)
            CHECK_CODE(kin_yield(), 0);
    }
    settle();
    kin_facts(&after);
    CHECK_INT(after.tasks, before.tasks);
    CHECK(after.stacks <= before.stacks + 1);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.accepted, 200000);
    CHECK_INT(counts.ok, 200000);
    CHECK_INT(counts.live, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static size_t count_children(const kin_error *tree)
{
    size_t n = 0;

    for (const kin_error *e = tree->child; e; e = e->next)
        n++;
    return n;
}

KIN_TEST(G9_stored_errors_are_bounded)
{
    enum { FAILURES = 50000 };
    int code = -EIO, last = -EPERM;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    for (int i = 1; i < FAILURES; i++) {
        kin_spawn(&g, give, &code, .name = "child", .index = i);
        if (i % 100 == 0)
            kin_yield();
    }
    settle();
    kin_spawn(&g, give, &last, .name = "last");
    CHECK_CODE(kin_group_close(&g, 0), -EIO);

    const kin_error *tree = kin_error_last();
    size_t kept = count_children(tree);
    CHECK(kept >= 2 && kept <= 1000);
    CHECK_INT(kept + tree->dropped, FAILURES);
    CHECK_INT(tree->child->index, 1);
    CHECK(kin_error_find(tree, kin_match_code(-EPERM)) != NULL);
}

KIN_TEST(T67_a_group_that_fails_for_ever_uses_no_more_memory)
{
    int code = -EIO;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    struct kin_group_counts counts;

    for (int i = 0; i < 100000; i++) {
        CHECK_CODE(kin_spawn(&g, give, &code), 0);
        kin_yield();
    }
    kin_group_count(&g, &counts);
    CHECK(counts.live <= 1);
    CHECK(counts.failed >= 99999);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

KIN_TEST(taskgroup_23_finished_children_leave_the_live_set_while_the_group_runs)
{
    struct act slow = { .sleep = KIN_S(5) }, fast = { .sleep = KIN_S(1) };
    struct kin_group_counts counts;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &slow);
    kin_spawn(&g, act, &fast);
    kin_group_count(&g, &counts);
    CHECK_INT(counts.live + counts.queued, 2);
    kin_sleep(KIN_S(2));
    kin_group_count(&g, &counts);
    CHECK_INT(counts.live, 1);
    CHECK_INT(counts.ok, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_count(&g, &counts), KIN_ESTALE);
}

/* One long group: tasks that succeed, fail, wait, have a copy, a record, a limit. */
static int churn(void *arg)
{
    int tasks = *(int *)arg, code = -EIO, none = 0;
    kin_task record[4];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING, .collect = true);
    kin_task *ended;

    for (int i = 0; i < tasks; i += 4) {
        struct act waiting = { .sleep = 1 };

        kin_spawn(&g, nothing, NULL, .task = &record[0]);
        kin_spawn(&g, give, &code, .task = &record[1]);
        kin_spawn(&g, act, &waiting, .task = &record[2], .timeout = KIN_S(1));
        kin_spawn(&g, give, &none, .task = &record[3], .copy = sizeof none);
        while (kin_next(&g, &ended) > 0)
            continue;
    }
    return kin_group_close(&g, 0) == -EIO ? 0 : -EPROTO;
}

static uint64_t requests_of(int tasks)
{
    struct kin_faults faults = { .task = NULL };

    CHECK_CODE(kin_run(churn, &tasks, .virtual_clock = true, .backend = test_backend(),
                       .faults = &faults), 0);
    return faults.requests;
}

/* What they take is given back: a hundred times as many ask for no more, copies aside. */
TEST(T67_a_hundred_times_the_tasks_in_the_same_memory)
{
    CHECK_INT(requests_of(100000) - 100000 / 4, requests_of(1000) - 1000 / 4);
}

/* What the task said last becomes the cause of what it says next, for ever. */
static int fail_again_and_again(void *arg)
{
    int rounds = *(int *)arg;
    char last[32];

    for (int i = 0; i < rounds; i++) {
        kin_group g = kin_group_open(.name = "again");

        CHECK_CODE(kin_group_close(&g, kin_fail(-EIO, "round %d", i)), -EIO);
    }
    snprintf(last, sizeof last, "round %d", rounds - 1);
    CHECK_STR(kin_error_last()->child->message, last);
    CHECK(kin_error_last()->depth <= 32);
    return 0;
}

static uint64_t requests_of_failing(int rounds)
{
    struct kin_faults faults = { .task = NULL };

    CHECK_CODE(kin_run(fail_again_and_again, &rounds, .virtual_clock = true,
                       .backend = test_backend(), .faults = &faults), 0);
    return faults.requests;
}

TEST(G9_causes_of_causes_are_bounded)
{
    CHECK_INT(requests_of_failing(20000), requests_of_failing(1000));
}
