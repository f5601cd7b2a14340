/* The limits of a single task and of a group, and what has ended before its limit
 * (docs/semantics.md D3, D5). */
#include "kin_test.h"

/* Lets the time of every scope around pass without telling anybody. */
static void pass_time(int64_t duration)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    CHECK_CODE(kin_sleep(duration), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

/* ---------------------------------------------------------------------- D3 */

KIN_TEST(D3_a_task_s_own_limit_fires_for_it_alone)
{
    struct act slow = { .sleep = KIN_S(9) }, other = { .sleep = KIN_S(3) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &slow, .task = &task, .timeout = KIN_S(1), .name = "slow");
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_CODE(slow.woke, KIN_ECANCELED);
    CHECK_INT(slow.at - start, KIN_S(1));
    CHECK_INT(slow.why.kind, KIN_BY_DEADLINE);
    CHECK_CODE(other.woke, 0);
    CHECK_INT(task.status, KIN_TIMED_OUT);
    CHECK(task.timed_out);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(KIN_ETIMEDOUT)), 1);
    CHECK_STR(kin_error_last()->child->name, "slow");
}

KIN_TEST(D3_being_timed_out_is_a_failure)
{
    struct act slow = { .sleep = KIN_S(9) }, other = { .sleep = KIN_S(3) };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &slow, .timeout = KIN_S(1));
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_CODE(other.woke, KIN_ECANCELED);
    CHECK_INT(other.why.kind, KIN_BY_SIBLING);
}

KIN_TEST(D3_unless_it_is_optional)
{
    struct act slow = { .sleep = KIN_S(9) }, other = { .sleep = KIN_S(3) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &slow, .task = &task, .timeout = KIN_S(1), .optional = true);
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(other.woke, 0);
    CHECK_INT(task.status, KIN_TIMED_OUT);
}

KIN_TEST(D3_an_optional_task_s_other_failures_count)
{
    struct act bad = { .result = -EIO };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &bad, .timeout = KIN_S(1), .optional = true);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

struct user {
    int id;
    const char *name;
    int64_t takes;
};

static int fetch_user(void *arg)
{
    struct user *u = arg;
    int rc = kin_sleep(u->takes);

    if (rc < 0)
        return rc;
    u->name = "fetched";
    return 0;
}

KIN_TEST(D3_a_default_stays)
{
    struct user user[4] = { { 1, "?", KIN_S(1) }, { 2, "?", KIN_S(4) },
                            { 3, "timeout", KIN_S(9) }, { 4, "?", KIN_S(2) } };
    kin_task task[4];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    for (int i = 0; i < 4; i++)
        kin_spawn(&g, fetch_user, &user[i], .task = &task[i], .name = "user", .index = i + 1,
                  .timeout = i == 2 ? KIN_S(3) : KIN_FOREVER);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_STR(user[0].name, "fetched");
    CHECK_STR(user[1].name, "fetched");
    CHECK_STR(user[2].name, "timeout");
    CHECK_STR(user[3].name, "fetched");
    CHECK_INT(task[2].status, KIN_TIMED_OUT);
}

KIN_TEST(T07_a_child_that_eats_its_timeout_and_returns_a_value)
{
    struct act child = { .sleep = KIN_S(9), .result = 11 };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act_anyway, &child, .task = &task, .timeout = KIN_S(1));
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(task.code, 11);
    CHECK(task.timed_out);
}

KIN_TEST(T05_the_error_of_a_timed_out_child_s_cleanup_wins)
{
    struct act child = { .result = -EIO };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, &child, .task = &task, .timeout = KIN_S(1));
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(task.status, KIN_FAILED);
    CHECK(task.timed_out);
}

KIN_TEST(T03_a_timed_out_child_s_slow_cleanup_completes_first)
{
    struct act child = { .sleep = KIN_S(5), .result = KIN_ECANCELED };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, &child, .task = &task, .timeout = KIN_S(1));
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(child.at - start, KIN_S(6));
    CHECK_INT(kin_now(), child.at);
    CHECK_INT(task.status, KIN_TIMED_OUT);
}

/* ---------------------------------------------------------------------- D5 */

KIN_TEST(D5_what_has_finished_counts_as_finished)
{
    struct act child = { .sleep = KIN_MS(500), .result = 1 };
    kin_task task;
    kin_group g = kin_group_open(.timeout = KIN_S(1));

    kin_spawn(&g, act, &child, .task = &task);
    pass_time(KIN_S(2));
    CHECK_CODE(kin_group_close(&g, 9), 9);
    CHECK_INT(task.status, KIN_OK);
}

KIN_TEST(D5_a_group_s_own_timeout)
{
    struct act child = { .sleep = KIN_S(9) };
    kin_task task;
    struct kin_scope_state state;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.timeout = KIN_S(3));

    kin_spawn(&g, act, &child, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_CODE(kin_group_look(&g, &state), 0);
    CHECK(state.timed_out);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK(!task.timed_out);
    CHECK_INT(task.reason.kind, KIN_BY_DEADLINE);
}
