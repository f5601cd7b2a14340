/* Once: run by the first that succeeds, done for all (docs/semantics.md S1). */
#include "kin_test.h"

struct caller {
    kin_once *once;
    int number;
    int64_t takes;          /* how long the function takes */
    int gives;              /* what it returns */
    int rc;
};

static int set_up(void *arg)
{
    struct caller *c = arg;

    trace("%d", c->number);
    int rc = kin_sleep(c->takes);
    return rc < 0 ? rc : c->gives;
}

static int call(void *arg)
{
    struct caller *c = arg;

    c->rc = kin_once_run(c->once, set_up, c);
    return 0;
}

static void spawn_callers(kin_group *g, struct caller *c, kin_task *task, int n, kin_once *once)
{
    for (int i = 0; i < n; i++) {
        c[i] = (struct caller){ once, i + 1, KIN_S(1), i + 5, 99 };
        CHECK_CODE(kin_spawn(g, call, &c[i], .task = &task[i]), 0);
    }
    settle();
}

KIN_TEST(S1_once_runs_for_the_first_and_the_others_wait)
{
    kin_once once = { 0 };
    struct caller c[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_callers(&g, c, task, 3, &once);
    CHECK(!once.done);
    CHECK_INT(c[1].rc, 99);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1");
    CHECK(once.done);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(c[i].rc, 0);
    CHECK_CODE(kin_once_run(&once, set_up, &c[0]), 0);
    CHECK_TRACE("");
}

KIN_TEST(S1_once_that_fails_is_tried_by_the_next_in_line)
{
    kin_once once = { 0 };
    struct caller c[4];
    kin_task task[4];
    kin_group g = kin_group_open();

    spawn_callers(&g, c, task, 4, &once);
    c[0].gives = -EIO;
    c[1].gives = -EPERM;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1 2 3");
    CHECK_CODE(c[0].rc, -EIO);
    CHECK_CODE(c[1].rc, -EPERM);
    CHECK_CODE(c[2].rc, 0);
    CHECK_CODE(c[3].rc, 0);
}

KIN_TEST(S1_once_whose_runner_is_cancelled_is_run_by_the_next)
{
    kin_once once = { 0 };
    struct caller c[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_callers(&g, c, task, 3, &once);
    kin_cancel(&task[1], NULL);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(c[0].rc, KIN_ECANCELED);
    CHECK_CODE(c[1].rc, KIN_ECANCELED);
    CHECK_CODE(c[2].rc, 0);
    CHECK_TRACE("1 3");
    CHECK_INT(once.mutex.owner, 0);
}

KIN_TEST(C1_once_looks_at_cancellation_also_when_done)
{
    kin_once once = { 0 };

    CHECK_CODE(kin_once_run(&once, nothing, NULL), 0);
    kin_scope s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_once_run(&once, nothing, NULL), KIN_ECANCELED);
    kin_scope_close(&s, 0);
    CHECK_CODE(kin_once_run(&once, nothing, NULL), 0);
}

static int call_again(void *arg)
{
    return kin_once_run(arg, call_again, arg);
}

KIN_TEST(T49_once_that_calls_itself_is_told)
{
    kin_once once = { 0 };

    CHECK_CODE(kin_once_run(&once, call_again, &once), KIN_EDEADLK);
    CHECK(!once.done);
    CHECK_CODE(kin_once_run(&once, nothing, NULL), 0);
}

static int run_once_more(void *arg)
{
    int ran = 0;

    CHECK_CODE(kin_once_run(arg, give, &ran), 0);
    return 0;
}

TEST(S3_once_done_in_one_run_is_done_in_the_next)
{
    kin_once once = { 0 };

    CHECK_CODE(test_run(run_once_more, &once), 0);
    CHECK(once.done);
    CHECK_CODE(test_run(run_once_more, &once), 0);
    CHECK_CODE(kin_once_run(&once, nothing, NULL), KIN_ENORUN);
}

KIN_TEST(Q3_a_dump_says_who_runs_the_function)
{
    kin_once once = { 0 };
    struct caller c[2];
    kin_task task[2];
    char text[4096];
    FILE *out = fmemopen(text, sizeof text, "w");
    kin_group g = kin_group_open();

    spawn_callers(&g, c, task, 2, &once);
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "waits for: once, ");
    CHECK_HAS(text, "held by task ");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1");
}
