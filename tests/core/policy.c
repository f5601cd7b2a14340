/* Policies: what a group makes of its tasks' outcomes (docs/semantics.md G3, G14),
 * as single stories and as one exhaustive table. */
#include "kin_test.h"

/* ------------------------------------------------------------------ stories */

KIN_TEST(G3_all_the_first_failure_cancels_the_rest_and_the_body)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, other = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &bad, .name = "bad");
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_INT(kin_cancelled()->kind, KIN_BY_SIBLING);
    CHECK_STR(kin_cancelled()->name, "bad");
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(other.woke, KIN_ECANCELED);
    CHECK_INT(other.why.kind, KIN_BY_SIBLING);
    CHECK_INT(other.at - start, KIN_S(1));
}

KIN_TEST(G3_all_a_failed_body_cancels_the_tasks)
{
    struct act child = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    kin_sleep(KIN_S(1));
    CHECK_CODE(kin_group_close(&g, -EPERM), -EPERM);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(child.why.kind, KIN_BY_SIBLING);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

KIN_TEST(G3_all_reports_the_earliest_failure_and_keeps_the_others)
{
    struct act slow = { .sleep = KIN_S(2), .result = -EIO };
    struct act fast = { .sleep = KIN_S(1), .result = -EPERM };
    struct act late = { .sleep = KIN_S(1), .result = -ENOSPC };
    kin_group g = kin_group_open();

    kin_spawn(&g, act_stubborn, &slow);
    kin_spawn(&g, act, &fast);
    kin_spawn(&g, act_cleanup, &late);
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 3);
}

KIN_TEST(G3_keep_going_collects_and_cancels_nobody)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    struct act worse = { .sleep = KIN_S(2), .result = -EPERM };
    struct act good = { .sleep = KIN_S(3) };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &worse);
    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &good);
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(good.woke, 0);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
}

KIN_TEST(G3_keep_going_a_failed_body_cancels_nobody)
{
    struct act child = { .sleep = KIN_S(3) };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &child);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
    CHECK_CODE(child.woke, 0);
}

KIN_TEST(G3_any_the_first_success_decides)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    struct act winner = { .sleep = KIN_S(2), .result = 8 }, loser = { .sleep = KIN_S(9) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &winner);
    kin_spawn(&g, act, &loser, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_DECISION);
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_EDECIDED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(loser.why.kind, KIN_BY_DECISION);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(kin_check(), 0);
    drop_reports();
}

KIN_TEST(G3_any_without_success_gives_the_earliest_failure)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    struct act worse = { .sleep = KIN_S(2), .result = -EPERM };
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &worse);
    kin_spawn(&g, act, &bad);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
}

KIN_TEST(G3_any_without_tasks_is_no_quorum)
{
    kin_group g = kin_group_open(.policy = KIN_ANY);

    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
}

KIN_TEST(G3_any_of_singly_cancelled_tasks_is_no_quorum)
{
    struct act child = { .sleep = KIN_S(9) };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &child, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
}

KIN_TEST(G3_impossible_is_judged_only_when_the_body_has_closed)
{
    struct act bad = { .result = -EIO }, good = { .sleep = KIN_S(1) };
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &bad);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_spawn(&g, act, &good);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(good.woke, 0);
    drop_reports();
}

/* -------------------------------------------------------------------- table */

enum fate { ABSENT, SUCCEEDS, FAILS, CANCELLED_SINGLY, SKIPPED, FATES };

struct child {
    enum fate fate;
    struct act act;
    kin_task task;
};

static const char *fate_name[] = { "absent", "ok", "failed", "cancelled", "skipped" };

static void start_child(kin_group *g, struct child *c, int number)
{
    c->act = (struct act){ .sleep = KIN_S(number) };
    if (c->fate == ABSENT)
        return;
    if (c->fate == FAILS)
        c->act.result = -number;
    kin_spawn(g, act, &c->act, .task = &c->task, .skip_cancelled = c->fate == SKIPPED,
              .copy = c->fate == SKIPPED ? sizeof c->act : 0);
    if (c->fate == CANCELLED_SINGLY || c->fate == SKIPPED)
        kin_cancel(&c->task, "singly");
}

/* The contract once more, as a model: children end in order, after the body. */
static int model(kin_policy policy, const struct child *child, int n, int body)
{
    int first = body < 0 ? body : 0, successes = 0;

    for (int i = 0; i < n; i++) {
        if (policy == KIN_ALL && first < 0)
            break;
        if (policy == KIN_ANY && successes > 0)
            break;
        successes += child[i].fate == SUCCEEDS;
        if (child[i].fate == FAILS && first == 0)
            first = -(i + 1);
    }
    if (policy == KIN_ANY)
        return successes > 0 ? 0 : first < 0 ? first : KIN_ENOQUORUM;
    return first < 0 ? first : body;
}

static void check_row(kin_policy policy, enum fate a, enum fate b, enum fate c, int body)
{
    struct child child[3] = { { .fate = a }, { .fate = b }, { .fate = c } };
    kin_group g = kin_group_open(.policy = policy);

    for (int i = 0; i < 3; i++)
        start_child(&g, &child[i], i + 1);
    int got = kin_group_close(&g, body), wanted = model(policy, child, 3, body);
    if (got != wanted)
        FAIL("policy %d of %s, %s, %s with body %d: got %d (%s), wanted %d (%s)", policy,
             fate_name[a], fate_name[b], fate_name[c], body, got, kin_code_name(got), wanted,
             kin_code_name(wanted));
    drop_reports();
}

static void check_table(kin_policy policy)
{
    for (int row = 0; row < FATES * FATES * FATES; row++) {
        enum fate a = (enum fate)(row % FATES), b = (enum fate)(row / FATES % FATES),
                  c = (enum fate)(row / FATES / FATES);

        check_row(policy, a, b, c, 0);
        check_row(policy, a, b, c, -100);
    }
}

KIN_TEST(G3_table_of_all)
{
    check_table(KIN_ALL);
}

KIN_TEST(G3_table_of_keep_going)
{
    check_table(KIN_KEEP_GOING);
}

KIN_TEST(G3_table_of_any)
{
    check_table(KIN_ANY);
}

/* --------------------------------------------------------------------- G14 */

KIN_TEST(G14_one_task_is_cancelled_and_its_siblings_go_on)
{
    struct act one = { .sleep = KIN_S(9) }, other = { .sleep = KIN_S(2) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &one, .task = &task);
    kin_spawn(&g, act, &other);
    kin_sleep(KIN_S(1));
    CHECK_CODE(kin_cancel(&task, "this one"), 0);
    CHECK_INT(task.status, KIN_PENDING);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(one.at - start, KIN_S(1));
    CHECK_CODE(other.woke, 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(task.code, KIN_ECANCELED);
    CHECK(task.cancelled);
    CHECK_INT(task.reason.kind, KIN_BY_HAND);
    CHECK_STR(task.reason.message, "this one");
}

KIN_TEST(G14_ecanceled_while_nothing_cancelled_it_is_a_failure)
{
    int code = KIN_ECANCELED;
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_INT(task.status, KIN_FAILED);
    CHECK(!task.cancelled);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(KIN_ECANCELED)), 1);
}

KIN_TEST(G14_a_cancelled_task_that_fails_otherwise_has_failed)
{
    struct act child = { .result = -EIO };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, &child, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(task.status, KIN_FAILED);
    CHECK(task.cancelled);
}

KIN_TEST(G14_a_group_that_keeps_whole_refuses)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_task task;
    kin_group g = kin_group_open(.keep_whole = true);

    kin_spawn(&g, act, &child, .task = &task);
    kin_yield();
    CHECK_CODE(kin_cancel(&task, NULL), KIN_EBUSY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, 0);
    CHECK(!task.cancelled);
    drop_reports();
}

KIN_TEST(G14_a_group_that_keeps_whole_can_be_cancelled_as_a_whole)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_group g = kin_group_open(.keep_whole = true);

    kin_spawn(&g, act, &child);
    kin_yield();
    CHECK_CODE(kin_cancel(&g, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, KIN_ECANCELED);
}

KIN_TEST(T56_cancelling_a_finished_task_does_nothing)
{
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, nothing, NULL, .task = &task);
    kin_yield();
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(kin_cancel(&task, NULL), KIN_ESTALE);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK(!task.cancelled);
    CHECK_CODE(kin_cancel(&task, NULL), KIN_ESTALE);
    drop_reports();
}

KIN_TEST(taskgroup_03_one_child_cancelled_leaves_later_spawns_alone)
{
    struct act one = { .sleep = KIN_S(9) }, later = { .sleep = KIN_S(1) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &one, .task = &task);
    kin_yield();
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(kin_spawn(&g, act, &later), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(later.woke, 0);
}
