/* Spawning: accepted or refused, from where, and what a refusal means
 * (docs/semantics.md G5, G8, G15). */
#include "kin_test.h"

#include <stdlib.h>

/* ---------------------------------------------------------------------- G5 */

static int count_up(void *arg)
{
    ++*(int *)arg;
    return 0;
}

KIN_TEST(G5_an_accepted_task_runs_exactly_once)
{
    int runs = 0;
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, count_up, &runs, .task = &task), 0);
    CHECK_INT(runs, 0);
    CHECK_INT(task.status, KIN_PENDING);
    kin_yield();
    CHECK_INT(runs, 1);
    CHECK_INT(task.status, KIN_OK);
    kin_group_close(&g, 0);
    CHECK_INT(runs, 1);
}

KIN_TEST(G5_the_task_record_says_how_it_ended)
{
    int codes[] = { 0, 7, -EIO, -KIN_CLASS_USER };
    kin_status wanted[] = { KIN_OK, KIN_OK, KIN_FAILED, KIN_FAILED };
    kin_task task[4];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    for (int i = 0; i < 4; i++)
        kin_spawn(&g, give, &codes[i], .task = &task[i]);
    kin_group_close(&g, 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(task[i].status, wanted[i]);
        CHECK_CODE(task[i].code, codes[i]);
        CHECK(!task[i].cancelled && !task[i].timed_out);
    }
}

static void check_refused(kin_group *g, int64_t timeout, int wanted)
{
    int runs = 0;
    kin_task task;

    memset(&task, 0xa5, sizeof task);
    CHECK_CODE(kin_spawn(g, count_up, &runs, .task = &task, .timeout = timeout), wanted);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(task.code, wanted);
    CHECK(!task.timed_out && !task.cancelled);
    CHECK_CODE(kin_cancel(&task, NULL), KIN_ESTALE);
    CHECK_INT(runs, 0);
    drop_reports();
}

KIN_TEST(G5_refused_by_a_cancelled_group)
{
    kin_group g = kin_group_open();

    kin_cancel(&g, NULL);
    check_refused(&g, 0, KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(no_create_task_after_failure)
{
    int code = -EIO;
    kin_group g = kin_group_open();

    kin_spawn(&g, give, &code);
    kin_yield();
    check_refused(&g, 0, KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

KIN_TEST(G5_refused_by_a_decided_group)
{
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, nothing, NULL);
    kin_yield();
    check_refused(&g, 0, KIN_EDECIDED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G5_refused_by_a_group_that_has_ended)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_group_close(&g, 0), 0);
    check_refused(&g, 0, KIN_ESTALE);
}

KIN_TEST(T08_refused_by_a_group_whose_limit_is_past)
{
    kin_sleep(KIN_S(1));
    kin_group g = kin_group_open(.timeout = -1);

    check_refused(&g, 0, KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    kin_group h = kin_group_open(.deadline = 1);
    check_refused(&h, 0, KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&h, 0), KIN_ETIMEDOUT);
}

KIN_TEST(T08_refused_by_a_group_whose_limit_has_passed_meanwhile)
{
    kin_group g = kin_group_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_sleep(KIN_S(2)), KIN_ECANCELED);
    check_refused(&g, 0, KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
}

KIN_TEST(T08_a_task_whose_own_limit_is_past_never_starts)
{
    kin_group g = kin_group_open();

    check_refused(&g, -1, KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
}

KIN_TEST(G5_a_task_accepted_before_the_cancel_still_runs)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child, .task = &task);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(child.ran, 1);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(task.status, KIN_CANCELLED);
}

KIN_TEST(G5_so_does_one_that_was_queued_behind_the_limit)
{
    struct act child[3] = { { .sleep = KIN_S(1) }, { 0 }, { 0 } };
    kin_group g = kin_group_open(.limit = 1);
    kin_task task;

    CHECK_CODE(kin_spawn(&g, act, &child[0], .task = &task), 0);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(child[0].ran, 1);
}

static int count_through(void *arg)
{
    ++**(int **)arg;
    return 0;
}

KIN_TEST(G5_skip_cancelled_skips_what_has_not_started)
{
    int runs = 0;
    int *counter = &runs;
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, count_through, &counter, .task = &task, .copy = sizeof counter,
                         .skip_cancelled = true), 0);
    kin_cancel(&g, "early");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(runs, 0);
    CHECK_INT(task.status, KIN_SKIPPED);
    CHECK(task.cancelled);
}

KIN_TEST(G5_skip_cancelled_is_allowed_with_copy_alone)
{
    int runs = 0;
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, count_up, &runs, .task = &task, .skip_cancelled = true), KIN_EINVAL);
    CHECK_INT(task.status, KIN_REFUSED);
    kin_group_close(&g, 0);
    CHECK_INT(runs, 0);
    drop_reports();
}

KIN_TEST(G5_whether_it_refuses_depends_on_the_target_alone)
{
    int runs = 0;
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    kin_cancel(&s, NULL);
    CHECK_CODE(kin_check(), KIN_ECANCELED);
    CHECK_CODE(kin_spawn(&g, count_up, &runs), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(runs, 1);
}

KIN_TEST(T24_a_refused_argument_stays_the_caller_s)
{
    char *argument = strdup("mine");
    kin_group g = kin_group_open(.cancelled = true);

    CHECK_CODE(kin_spawn(&g, count_up, argument), KIN_ECANCELED);
    CHECK_STR(argument, "mine");
    free(argument);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G5_spawning_no_function_is_refused)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, NULL, NULL), KIN_EINVAL);
    kin_group_close(&g, 0);
    drop_reports();
}

/* ---------------------------------------------------------------------- G8 */

struct family {
    kin_group *group;
    int generations;
    int born;
};

static int have_child(void *arg)
{
    struct family *f = arg;

    f->born++;
    kin_sleep(KIN_S(1));
    if (--f->generations > 0)
        CHECK_CODE(kin_spawn(f->group, have_child, f), 0);
    return 0;
}

KIN_TEST(G8_close_waits_for_what_children_spawn_meanwhile)
{
    kin_group g = kin_group_open();
    struct family f = { .group = &g, .generations = 50 };
    int64_t start = kin_now();

    kin_spawn(&g, have_child, &f);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(f.born, 50);
    CHECK_INT(kin_now() - start, KIN_S(50));
}

struct tree {
    kin_group *group;
    int depth;
};

static int run_count;

static int two_more(void *arg)
{
    struct tree *t = arg;
    struct tree child = { t->group, t->depth - 1 };

    run_count++;
    kin_yield();
    if (t->depth == 0)
        return 0;
    kin_spawn(t->group, two_more, &child, .copy = sizeof child);
    kin_spawn(t->group, two_more, &child, .copy = sizeof child);
    return 0;
}

KIN_TEST(G8_any_task_may_spawn_into_its_group)
{
    kin_group g = kin_group_open();
    struct tree t = { &g, 10 };

    run_count = 0;
    kin_spawn(&g, two_more, &t, .copy = sizeof t);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(run_count, 2047);
}

static int fail_at_the_500th(void *arg)
{
    struct tree *t = arg;

    if (++run_count == 500)
        return -EIO;
    kin_spawn(t->group, fail_at_the_500th, t, .copy = sizeof *t);
    kin_spawn(t->group, fail_at_the_500th, t, .copy = sizeof *t);
    return kin_yield();
}

KIN_TEST(taskgroup_25_exponential_spawning_is_stopped_by_one_failure)
{
    kin_group g = kin_group_open();
    struct tree t = { &g, 0 };

    run_count = 0;
    kin_spawn(&g, fail_at_the_500th, &t, .copy = sizeof t);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 1);
    CHECK(run_count < 5000);
}

static int spawn_with_own_stack(void *arg)
{
    kin_group *g = arg;
    kin_task record;
    int local = 0;

    CHECK_CODE(kin_spawn(g, count_up, &local), KIN_EINVAL);
    CHECK_CODE(kin_spawn(g, nothing, NULL, .task = &record), KIN_EINVAL);
    kin_yield();
    CHECK_CODE(kin_spawn(g, count_up, &local), KIN_EINVAL);
    CHECK_CODE(kin_spawn(g, count_up, &local, .copy = sizeof local), 0);
    return 0;
}

KIN_TEST(G8_memory_of_one_s_own_stack_is_refused_by_a_group_of_another)
{
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, spawn_with_own_stack, &g);
    kin_group_close(&g, 0);
    drop_reports();
}

static int spawn_into_own_group(void *arg)
{
    int local = 0;
    kin_task record;
    kin_group g = kin_group_open();

    (void)arg;
    CHECK_CODE(kin_spawn(&g, count_up, &local, .task = &record), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(local, 1);
    return 0;
}

KIN_TEST(G8_memory_of_one_s_own_stack_is_fine_for_one_s_own_group)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, spawn_into_own_group, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

struct starter {
    kin_group *group;
    struct act child;
};

static int spawn_and_end(void *arg)
{
    struct starter *s = arg;

    return kin_spawn(s->group, act, &s->child);
}

KIN_TEST(taskgroup_24_a_child_spawns_into_its_own_group_during_the_join)
{
    kin_group g = kin_group_open();
    struct starter s = { &g, { .sleep = KIN_S(1) } };

    kin_spawn(&g, spawn_and_end, &s);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(s.child.woke, 0);
    CHECK_INT(s.child.ran, 1);
}

static int spawn_failing_child(void *arg)
{
    static int code = -EIO;

    kin_spawn((kin_group *)arg, give, &code);
    return kin_sleep(KIN_S(1));
}

KIN_TEST(T19_cancels_task_if_created_during_creation)
{
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, spawn_failing_child, &g, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(task.status, KIN_CANCELLED);
}

static int cancel_own_group_first(void *arg)
{
    kin_cancel((kin_group *)arg, "at once");
    return kin_sleep(KIN_S(1));
}

KIN_TEST(T18_a_child_that_cancels_its_group_before_it_first_blocks)
{
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, cancel_own_group_first, &g, .task = &task);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
}

/* --------------------------------------------------------------------- G15 */

struct full {
    kin_group *group;
    struct act child;
};

static int spawn_beyond_the_queue(void *arg)
{
    struct full *f = arg;

    CHECK_CODE(kin_spawn(f->group, act, &f->child), 0);
    CHECK_CODE(kin_spawn(f->group, act, &f->child, .name = "unlucky", .index = 2), KIN_EFULL);
    return 0;
}

KIN_TEST(G15_a_spawn_refused_for_want_of_room_fails_the_group)
{
    kin_group g = kin_group_open(.limit = 1, .max_queued = 1);
    struct full f = { &g, { .sleep = KIN_S(1) } };

    kin_spawn(&g, spawn_beyond_the_queue, &f);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EFULL);
    const kin_error *leaf = kin_error_find(kin_error_last(), kin_match_code(KIN_EFULL));
    CHECK(leaf != NULL);
    CHECK_STR(leaf->name, "unlucky");
    CHECK_INT(leaf->index, 2);
    CHECK_HAS(leaf->at, "spawn.c:");
}

KIN_TEST(G15_a_spawn_refused_by_cancellation_or_decision_fails_nothing)
{
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING), any = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&any, nothing, NULL);
    kin_yield();
    CHECK_CODE(kin_spawn(&any, nothing, NULL), KIN_EDECIDED);
    CHECK_CODE(kin_group_close(&any, 0), 0);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
