/* What asyncio's and Trio's suites assert of groups and scopes, each under its name there
 * (tests/CATALOGUE.md). The same behaviour is held by rule elsewhere; here are the stories
 * as they are told there, for those who come from there. */
#include "kin_test.h"

static const int64_t long_time = KIN_S(100);

/* --------------------------------------------------- asyncio: test_taskgroups.py */

KIN_TEST(taskgroup_01_join_returns_after_the_slower)
{
    struct act a[2] = { { .sleep = KIN_S(1), .result = 42 }, { .sleep = KIN_S(2), .result = 11 } };
    kin_task task[2];
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    for (int i = 0; i < 2; i++)
        kin_spawn(&g, act, &a[i], .task = &task[i]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_CODE(task[0].code, 42);
    CHECK_CODE(task[1].code, 11);
}

KIN_TEST(taskgroup_02_a_child_spawned_after_the_body_slept)
{
    struct act a[2] = { { .sleep = KIN_S(1) }, { .sleep = KIN_S(1) } };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a[0]);
    CHECK_CODE(kin_sleep(KIN_MS(500)), 0);
    kin_spawn(&g, act, &a[1]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(a[1].woke, 0);
}

KIN_TEST(taskgroup_04_a_child_fails_and_its_sibling_is_cancelled)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, other = { .sleep = long_time };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_if(NULL, NULL)), 1);
    CHECK_CODE(other.woke, KIN_ECANCELED);
}

KIN_TEST(taskgroup_cancel_children_on_child_error)
{
    struct act bad[3], sleeper = { .sleep = long_time };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &sleeper);
    for (int i = 0; i < 3; i++) {
        bad[i] = (struct act){ .sleep = KIN_S(1), .result = -EIO };
        kin_spawn(&g, act_anyway, &bad[i]);
    }
    CHECK_CODE(kin_sleep(long_time), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(sleeper.woke, KIN_ECANCELED);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 3);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_if(NULL, NULL)), 3);
}

/* Five sleepers in a group, in a task that is cancelled with a message. */
struct five {
    struct act a[5];
    int closed;
    bool body_sleeps;
    int body;
};

static int five_sleepers(void *arg)
{
    struct five *f = arg;
    kin_group g = kin_group_open();

    for (int i = 0; i < 5; i++) {
        f->a[i] = (struct act){ .sleep = long_time };
        kin_spawn(&g, act, &f->a[i]);
    }
    f->body = f->body_sleeps ? kin_sleep(long_time) : 0;
    return f->closed = kin_group_close(&g, f->body);
}

static void cancel_five(bool body_sleeps)
{
    struct five f = { .body_sleeps = body_sleeps };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, five_sleepers, &f, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&task, "test");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_STR(task.reason.message, "test");
    CHECK_CODE(f.closed, KIN_ECANCELED);
    CHECK_CODE(f.body, body_sleeps ? KIN_ECANCELED : 0);
    for (int i = 0; i < 5; i++) {
        CHECK_CODE(f.a[i].woke, KIN_ECANCELED);
        CHECK_STR(f.a[i].why.message, "test");
    }
}

KIN_TEST(taskgroup_cancellation_while_the_body_joins)
{
    cancel_five(false);
}

KIN_TEST(taskgroup_07_cancellation_while_the_body_sleeps)
{
    cancel_five(true);
}

KIN_TEST(taskgroup_09_the_body_fails_after_a_sleep)
{
    struct act a[2] = { { .sleep = long_time }, { .sleep = long_time } };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a[0]);
    kin_spawn(&g, act, &a[1]);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
    CHECK_CODE(a[0].woke, KIN_ECANCELED);
    CHECK_CODE(a[1].woke, KIN_ECANCELED);
}

KIN_TEST(taskgroup_10_the_body_fails_at_once)
{
    struct act a = { .sleep = long_time };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a, .task = &task);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
    CHECK_INT(a.ran, 1);                        /* it was accepted, so it runs (G5) */
    CHECK_CODE(a.woke, KIN_ECANCELED);
    CHECK_INT(task.status, KIN_CANCELLED);
}

struct nest {
    struct act inner, outer;
    bool with_outer;
};

static int nested_groups(void *arg)
{
    struct nest *n = arg;
    kin_group outer = kin_group_open();

    if (n->with_outer)
        kin_spawn(&outer, act, &n->outer);
    kin_group inner = kin_group_open();
    kin_spawn(&inner, act, &n->inner);
    return kin_group_close(&outer, kin_group_close(&inner, 0));
}

static void cancel_nested(bool with_outer)
{
    struct nest n = { { .sleep = long_time }, { .sleep = long_time }, with_outer };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, nested_groups, &n, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(n.inner.woke, KIN_ECANCELED);
    CHECK_CODE(n.outer.woke, with_outer ? KIN_ECANCELED : 0);
}

KIN_TEST(taskgroup_11_a_cancel_passes_an_empty_outer_and_an_inner_group)
{
    cancel_nested(false);
}

KIN_TEST(taskgroup_12_a_cancel_passes_both)
{
    cancel_nested(true);
}

KIN_TEST(taskgroup_13_the_outer_s_child_fails_and_the_error_is_flat)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, sleeper = { .sleep = long_time };
    kin_group outer = kin_group_open();

    kin_spawn(&outer, act, &bad);
    kin_group inner = kin_group_open();
    kin_spawn(&inner, act, &sleeper);
    CHECK_CODE(kin_group_close(&inner, 0), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, KIN_ECANCELED), -EIO);
    CHECK_CODE(sleeper.woke, KIN_ECANCELED);
    const kin_error *only = kin_error_last()->child;
    CHECK_CODE(only->code, -EIO);
    CHECK(!only->next && !only->child);
}

/* A failure ranks above an outer cancellation (E4), where asyncio has it the other way. */
static int body_that_cleans_up(void *arg)
{
    struct act *bad = arg;
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, bad);
    int rc = kin_sleep(long_time);
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);
    kin_scope_close(&s, kin_sleep(KIN_S(1)));
    return kin_group_close(&g, rc);
}

static int one_level_more(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, body_that_cleans_up, arg);
    return kin_group_close(&g, 0);
}

static void cancel_and_fail(int (*fn)(void *))
{
    struct act bad = { .sleep = KIN_MS(500), .result = -EIO };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, fn, &bad, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(task.status, KIN_FAILED);
    CHECK(task.cancelled);                      /* but that shows */
}

KIN_TEST(taskgroup_15_cancelled_and_a_child_fails_during_the_body_s_cleanup)
{
    cancel_and_fail(body_that_cleans_up);
}

KIN_TEST(taskgroup_16_the_same_through_one_more_task)
{
    cancel_and_fail(one_level_more);
}

KIN_TEST(taskgroup_22_cancelled_before_the_children_sleep)
{
    struct five f = { .body_sleeps = false };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, five_sleepers, &f, .task = &task);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
}

/* ----------------------------------------------------- Trio: _core/_tests/test_run.py */

KIN_TEST(main_block_error_basic)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_group_close(&g, kin_fail(-EIO, "main")), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_if(NULL, NULL)), 1);
    CHECK_STR(kin_error_last()->child->message, "main");    /* always in a group */
}

KIN_TEST(child_crash_basic)
{
    int code = -EIO;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code, .name = "child");
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_STR(kin_error_last()->child->name, "child");
}

static int looper(void *arg)
{
    int rc;

    while ((rc = kin_yield()) == 0)
        ++*(int *)arg;
    return rc;
}

KIN_TEST(task_crash_propagation)
{
    int loops = 0, code = -EPERM;
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, looper, &loops, .task = &task);
    for (int i = 0; i < 5; i++)
        CHECK_CODE(kin_yield(), 0);
    kin_spawn(&g, give, &code);
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK(loops > 0);
}

KIN_TEST(main_and_task_both_crash)
{
    int code = -EPERM;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
}

KIN_TEST(two_child_crashes)
{
    int codes[] = { -EIO, -EPERM };
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &codes[0]);
    kin_spawn(&g, give, &codes[1]);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM)), 2);
}

KIN_TEST(child_crash_wakes_parent)
{
    int code = -EIO;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code);
    CHECK_CODE(kin_sleep(KIN_FOREVER), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

KIN_TEST(current_statistics)
{
    struct act a[3];
    struct kin_facts before, facts;
    struct kin_group_counts counts;
    kin_group g = kin_group_open(.limit = 2);

    CHECK_CODE(kin_facts(&before), 0);
    for (int i = 0; i < 2; i++) {
        a[i] = (struct act){ .sleep = KIN_S(i + 1) };
        kin_spawn(&g, act, &a[i]);
    }
    settle();
    CHECK_CODE(kin_facts(&facts), 0);
    CHECK_INT(facts.tasks, before.tasks + 2);
    CHECK_INT(facts.stacks, before.stacks + 2);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.live, 2);
    CHECK_INT(counts.queued, 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.live, 1);
    CHECK_INT(counts.ok, 1);
    kin_scope s = kin_scope_open(.timeout = KIN_S(3));
    CHECK_INT(kin_deadline() - kin_now(), KIN_S(3));
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(cancel_points)
{
    kin_scope s = kin_scope_open(.cancelled = true);

    CHECK_CODE(kin_check(), KIN_ECANCELED);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_sleep(KIN_FOREVER), KIN_ECANCELED);
    kin_scope shield = kin_scope_open(.shield = KIN_FOREVER);
    CHECK_CODE(kin_check(), 0);
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_sleep(1), 0);
    CHECK_CODE(kin_scope_close(&shield, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(cancel_edge_cases)
{
    kin_scope s = kin_scope_open();
    struct kin_scope_state state;

    kin_cancel(&s, "first");                    /* two cancels are one … */
    kin_cancel(&s, "second");
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);    /* … and every later call says so again */
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK_STR(state.reason.message, "first");
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(exceptiongroup_filtering)
{
    struct act sleeper = { .sleep = long_time };
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    kin_scope s = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &sleeper);
    kin_spawn(&g, act_cleanup, &bad);
    settle();
    kin_cancel(&s, NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);   /* the cancels are absorbed, the error is not */
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_CANCEL)), 0);
    CHECK_CODE(kin_scope_close(&s, -EIO), -EIO);
}

KIN_TEST(precancelled_task)
{
    struct act a = { .sleep = KIN_S(1) };
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_spawn(&g, act, &a), KIN_ECANCELED);  /* decided otherwise: G5 */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(a.ran, 1);                        /* it starts, and fails at its first wait */
    CHECK_CODE(a.woke, KIN_ECANCELED);
}

KIN_TEST(cancel_shield_abort)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.cancelled = true);
    kin_scope shield = kin_scope_open(.shield = KIN_S(2));

    CHECK_CODE(kin_sleep(long_time), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(2));     /* when it falls, the sleep is aborted at once */
    CHECK_CODE(kin_scope_close(&shield, 0), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(basic_timeout)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_scope_set_deadline(&s, start + KIN_S(10)), 0);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_CODE(kin_scope_set_deadline(&s, start), 0);       /* now in the past */
    CHECK_CODE(kin_sleep(KIN_S(2)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    s = kin_scope_open(.timeout = KIN_S(-1));
    CHECK_CODE(kin_scope_close(&s, 3), 3);      /* no wait, nobody was told */
}

KIN_TEST(cancel_unbound)
{
    kin_scope s = kin_scope_open(.deadline = 1);            /* long past, before it began */

    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    CHECK_CODE(kin_scope_set_deadline(&s, KIN_FOREVER), KIN_ETIMEDOUT);     /* and stays so */
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ESTALE);         /* no second time */
    CHECK_REPORTED("not open");
}

KIN_TEST(cancel_scope_misnesting_1)
{
    kin_scope outer = kin_scope_open(), inner = kin_scope_open();

    CHECK_CODE(kin_scope_close(&outer, 0), KIN_EORDER);
    CHECK_REPORTED("closed before what was opened inside it");
    CHECK_CODE(kin_scope_close(&inner, 0), KIN_ESTALE);
    drop_reports();
    CHECK_CODE(kin_sleep(1), 0);
}

KIN_TEST(cancel_scope_misnesting_2)
{
    struct act a = { .sleep = long_time };
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a);
    settle();
    CHECK_CODE(kin_scope_close(&outer, 0), KIN_EORDER);
    CHECK_CODE(a.woke, KIN_ECANCELED);          /* what was inside is cancelled, and joined */
    CHECK_INT(a.why.kind, KIN_BY_LEAVING);
    drop_reports();
}

static int spawn_late(void *arg)
{
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    return kin_spawn(arg, nothing, NULL);
}

KIN_TEST(nursery_closure)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, spawn_late, &g);
    CHECK_CODE(kin_group_close(&g, 0), 0);      /* allowed while it is being joined, */
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_ESTALE);   /* refused after that */
}

static int say_name(void *arg)
{
    (void)arg;
    trace("%s", kin_task_name());
    return 0;
}

KIN_TEST(spawn_name)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, say_name, NULL, .name = "anne");
    CHECK_CODE(kin_start(&g, say_name, NULL, .name = "bob"), KIN_ENOTREADY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("anne bob");
}

KIN_TEST(current_effective_deadline)
{
    int64_t now = kin_now();
    kin_scope a = kin_scope_open(.deadline = now + KIN_S(9));
    kin_scope b = kin_scope_open(.deadline = now + KIN_S(5));
    kin_scope c = kin_scope_open(.deadline = now + KIN_S(7), .shield = KIN_S(1));

    CHECK_INT(kin_deadline() - now, KIN_S(7));  /* a shield hides what is outside */
    CHECK_CODE(kin_scope_close(&c, 0), 0);
    CHECK_INT(kin_deadline() - now, KIN_S(5));
    CHECK_CODE(kin_scope_close(&b, 0), 0);
    CHECK_INT(kin_deadline() - now, KIN_S(9));
    CHECK_CODE(kin_scope_close(&a, 0), 0);
    CHECK_INT(kin_deadline(), KIN_FOREVER);
}

KIN_TEST(yield_briefly_checks_for_timeout)
{
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_sleep(KIN_S(1) - 1), 0);
    CHECK_CODE(kin_scope_set_deadline(&s, kin_now()), 0);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}
