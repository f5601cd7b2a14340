/* The policy custom: a callback decides after each task (docs/semantics.md G3). */
#include "kin_test.h"

struct judge {
    int asked;
    int decide_at;              /* the how many-th question says yes; 0: none */
    kin_group *spawn_into, *cancel;
    struct kin_ending last;
};

static bool judge(const struct kin_ending *ending, void *arg)
{
    struct judge *j = arg;

    j->last = *ending;
    trace("%s[%d]:%s", ending->name ? ending->name : "?", ending->index,
          kin_status_name(ending->status));
    if (j->spawn_into)
        CHECK_CODE(kin_spawn(j->spawn_into, nothing, NULL, .name = "late"), 0);
    j->spawn_into = NULL;
    if (j->cancel)
        kin_cancel(j->cancel, "by the judge");
    return ++j->asked == j->decide_at;
}

KIN_TEST(G3_custom_is_asked_after_each_task_with_what_it_was)
{
    struct judge j = { 0 };
    struct act a = { .sleep = KIN_S(2), .result = -EIO }, late = { .sleep = KIN_S(3) };
    struct act limited = { .sleep = KIN_S(9) };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j);

    kin_spawn(&g, nothing, NULL, .name = "one", .index = 1);
    kin_spawn(&g, act, &a, .name = "two", .index = 2);
    kin_spawn(&g, act, &limited, .name = "slow", .timeout = KIN_S(1), .optional = true);
    kin_spawn(&g, act, &late, .task = &task, .name = "gone");
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_TRACE("one[1]:ok gone[0]:cancelled slow[0]:timed_out two[2]:failed");
    CHECK_CODE(j.last.code, -EIO);
    CHECK_INT(j.last.counts.accepted, 4);
    CHECK_INT(j.last.counts.ok, 1);
    CHECK_INT(j.last.counts.failed, 1);
    CHECK_INT(j.last.counts.timed_out, 1);
    CHECK_INT(j.last.counts.cancelled, 1);
    CHECK_INT(j.last.counts.live, 0);
}

KIN_TEST(G3_custom_once_decided_the_rest_is_cancelled_and_close_is_0)
{
    struct judge j = { .decide_at = 2 };
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, second = { .sleep = KIN_S(2) };
    struct act slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j);

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &second);
    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_DECISION);
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_EDECIDED);
    CHECK_CODE(kin_group_close(&g, 4), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(j.asked, 2);                      /* not about those who are cancelled by it */
    CHECK_INT(slow.why.kind, KIN_BY_DECISION);
    CHECK_TRACE("?[0]:failed ?[0]:ok");
}

KIN_TEST(G3_custom_a_failure_may_decide)
{
    struct judge j = { .decide_at = 1 };
    kin_group g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j);
    struct act slow = { .sleep = KIN_S(9) };
    int code = -EIO;

    kin_spawn(&g, give, &code);
    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(slow.why.kind, KIN_BY_DECISION);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 1);
    CHECK_TRACE("?[0]:failed");
}

KIN_TEST(G3_custom_undecided_collects_failures_or_gives_the_body_s_code)
{
    struct judge j = { 0 };
    int code = -EIO;
    kin_group g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j);

    kin_spawn(&g, nothing, NULL);
    CHECK_CODE(kin_group_close(&g, 5), 5);
    g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j);
    kin_spawn(&g, give, &code);
    kin_spawn(&g, nothing, NULL);
    CHECK_CODE(kin_group_close(&g, 5), -EIO);
    CHECK_INT(j.asked, 3);
    CHECK_TRACE("?[0]:ok ?[0]:failed ?[0]:ok");
}

KIN_TEST(G3_custom_without_a_callback_keeps_going)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, good = { .sleep = KIN_S(2) };
    kin_group g = kin_group_open(.policy = KIN_CUSTOM);

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &good);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(good.woke, 0);
}

KIN_TEST(G3_custom_a_callback_that_spawns_is_asked_about_that_too)
{
    kin_group g;
    struct judge j = { .spawn_into = &g };

    g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j);
    kin_spawn(&g, nothing, NULL, .name = "first");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("first[0]:ok late[0]:ok");
    CHECK_INT(j.last.counts.accepted, 2);
}

KIN_TEST(G3_custom_a_callback_that_cancels_the_group)
{
    kin_group g;
    struct judge j = { .cancel = &g };
    struct act slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();

    g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j);
    kin_spawn(&g, nothing, NULL, .name = "first");
    kin_spawn(&g, act, &slow, .name = "slow");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, 0);
    CHECK_STR(slow.why.message, "by the judge");
    CHECK_TRACE("first[0]:ok slow[0]:cancelled");
}

KIN_TEST(G3_custom_counts_those_in_line_behind_a_limit)
{
    kin_group g;
    struct judge j = { .spawn_into = &g };
    struct act a = { .sleep = KIN_S(1) }, b = { .sleep = KIN_S(2) };

    g = kin_group_open(.policy = KIN_CUSTOM, .decide = judge, .decide_arg = &j, .limit = 2);
    kin_spawn(&g, act, &a, .name = "a");
    kin_spawn(&g, act, &b, .name = "b");
    CHECK_CODE(kin_sleep(KIN_S(1) + 1), 0);
    CHECK_INT(j.last.counts.live, 1);           /* b; late has had a's place by now */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("a[0]:ok late[0]:ok b[0]:ok");
}
