/* Traps that other libraries fell into, and that belong to no file of their own: each name
 * begins with its id (docs/semantics.md, "The traps"). */
#include "kin_ext.h"
#include "kin_test.h"

#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------ limits and failures */

static int limited_sleep(void *arg)
{
    return kin_within(KIN_S(9), act, arg);
}

KIN_TEST(T06_cancelling_who_waits_cancels_and_reaps_what_he_waits_for)
{
    struct act a = { .sleep = KIN_S(5) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, limited_sleep, &a, .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&task, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(a.woke, KIN_ECANCELED);
    CHECK_INT(a.at - start, KIN_S(1));
    CHECK_INT(task.status, KIN_CANCELLED);
}

KIN_TEST(T05_an_error_of_the_clean_up_is_not_hidden_by_the_limit_of_a_call)
{
    struct act a = { .sleep = KIN_S(1), .result = -EIO };

    CHECK_CODE(kin_within(KIN_S(1), act_cleanup, &a), -EIO);
}

KIN_TEST(T13_a_limit_comes_out_as_timed_out_and_a_cancellation_as_cancelled)
{
    struct act a = { .sleep = KIN_S(9) }, b = { .sleep = KIN_S(9) };
    kin_task task[2];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    CHECK_CODE(kin_within(KIN_S(1), act, &a), KIN_ETIMEDOUT);
    kin_spawn(&g, act, &a, .task = &task[0], .timeout = KIN_S(1), .name = "slow");
    kin_spawn(&g, act, &b, .task = &task[1]);
    settle();
    kin_cancel(&task[1], NULL);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(task[0].status, KIN_TIMED_OUT);
    CHECK_CODE(task[0].code, KIN_ETIMEDOUT);
    CHECK_INT(task[1].status, KIN_CANCELLED);
    CHECK_CODE(task[1].code, KIN_ECANCELED);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(KIN_ETIMEDOUT)), 1);
}

KIN_TEST(T20_a_body_that_puts_an_error_in_place_of_its_cancellation_upsets_nothing)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO };
    kin_scope outer = kin_scope_open(.timeout = KIN_S(5));
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &bad);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, kin_fail(-EPROTO, "instead")), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EPROTO)), 1);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);         /* not cancelled any more */
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);     /* the outer limit still holds */
    CHECK_CODE(kin_scope_close(&outer, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_check(), 0);
}

static int group_that_fails(void *arg)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, *slow = arg;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &bad);
    kin_spawn(&g, act, slow);
    return kin_group_close(&g, 0);
}

KIN_TEST(T22_no_cancellation_leaks_out_of_a_limit_around_a_group_that_fails)
{
    struct act slow = { .sleep = KIN_S(9) };

    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_within(KIN_S(5), group_that_fails, &slow), -EIO);
        CHECK_CODE(slow.woke, KIN_ECANCELED);
        CHECK(kin_cancelled() == NULL);
        CHECK_CODE(kin_sleep(1), 0);
        CHECK_CODE(kin_within(KIN_MS(500), group_that_fails, &slow), KIN_ETIMEDOUT);
        CHECK_CODE(kin_sleep(1), 0);
    }
}

KIN_TEST(T23_no_class_of_the_body_s_error_discards_the_children_s)
{
    static const int codes[] = { KIN_EDEADLK, KIN_EINVAL, KIN_EFULL, KIN_ECANCELED, KIN_ETIMEDOUT,
                                 KIN_CODE(KIN_CLASS_USER, 1), -EIO, INT32_MIN };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        int code = -ENOSPC;
        kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

        tap_note("%s", kin_code_name(codes[i]));
        kin_spawn(&g, give, &code);
        kin_yield();
        CHECK_CODE(kin_group_close(&g, codes[i]), -ENOSPC);
        CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-ENOSPC)), 1);
        CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(codes[i])), 1);
    }
}

KIN_TEST(T25_nobody_is_cancelled_by_a_cancellation_that_nobody_was_told)
{
    struct act a = { .sleep = KIN_S(2), .result = 0 };
    kin_scope outer = kin_scope_open(.timeout = KIN_S(1));
    kin_group g = kin_group_open();

    kin_spawn(&g, act_stubborn, &a);
    CHECK_CODE(kin_group_close(&g, 7), 7);      /* all went well, behind its shield */
    CHECK_CODE(kin_scope_close(&outer, 7), 7);
    g = kin_group_open();
    kin_spawn(&g, nothing, NULL);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 7), 7);
}

/* --------------------------------------------------------------------- the first step */

static int look_at_oneself(void *arg)
{
    kin_group *g = arg;
    struct kin_group_counts counts;
    struct kin_facts facts;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    CHECK(out != NULL);
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "newborn");
    free(text);
    CHECK_CODE(kin_group_count(g, &counts), 0);
    CHECK_INT(counts.live, 1);
    CHECK_CODE(kin_facts(&facts), 0);
    CHECK_INT(facts.tasks, 2);
    return 0;
}

KIN_TEST(T30_a_task_is_in_the_books_before_its_first_instruction)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, look_at_oneself, &g, .name = "newborn");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

KIN_TEST(T29_a_first_step_that_fails_hangs_nobody)
{
    for (int spawn_before = 0; spawn_before < 3; spawn_before++) {
        struct act other = { .sleep = KIN_S(9) };
        kin_group g = kin_group_open();

        for (int i = 0; i < spawn_before; i++)
            kin_spawn(&g, act, &other);
        kin_spawn(&g, fail_at_once, NULL);
        kin_spawn(&g, act, &other);
        CHECK_CODE(kin_group_close(&g, 0), -EIO);
    }
}

/* ------------------------------------------------------------------------- shields */

static int fail_behind_a_shield(void *arg)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    (void)arg;
    kin_sleep(KIN_S(2));
    return kin_scope_close(&s, kin_fail(-EIO, "the commit failed"));
}

KIN_TEST(T35_the_error_of_shielded_work_is_told_once)
{
    kin_group g = kin_group_open(.timeout = KIN_S(1));

    kin_spawn(&g, fail_behind_a_shield, NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_if(NULL, NULL)), 1);
    CHECK_STR(kin_error_last()->child->message, "the commit failed");
    CHECK_STR(test_reports(), "");              /* returned, and so not reported as well */
}

KIN_TEST(T36_a_shield_defers_and_does_not_detach)
{
    struct act a = { .sleep = KIN_S(3) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.timeout = KIN_S(1));

    kin_spawn(&g, act_stubborn, &a);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));     /* close has waited: control never splits */
    CHECK_INT(a.at - start, KIN_S(3));
}

KIN_TEST(T53_a_deadline_moved_away_before_it_fires_leaves_nothing_pending)
{
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_scope_set_deadline(&s, kin_now() + KIN_S(5)), 0);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_CODE(kin_scope_set_deadline(&s, KIN_FOREVER), 0);
    CHECK_CODE(kin_sleep(KIN_S(9)), 0);
    CHECK(kin_cancelled() == NULL);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

/* ---------------------------------------------------------------- cancel and wait */

struct combined {
    kin_group group;            /* collecting, of one sleeper */
    kin_task sleeper;
    struct act a;
};

static int in_gather(void *arg)
{
    struct combined *c = arg;
    kin_call calls[] = { { .fn = act, .arg = &c->a }, { .fn = nothing } };

    return kin_gather(calls, 2);
}

static int in_race(void *arg)
{
    struct combined *c = arg;
    kin_call calls[] = { { .fn = act, .arg = &c->a }, { .fn = act, .arg = &c->a } };

    return kin_race(calls, 2);
}

static int in_next(void *arg)
{
    kin_task *next;

    return kin_next(&((struct combined *)arg)->group, &next);
}

static int in_wait(void *arg)
{
    kin_task *set[] = { &((struct combined *)arg)->sleeper };

    return kin_wait_tasks(set, 1, KIN_ALL_COMPLETED);
}

static int never_ready(void *arg)
{
    return kin_sleep(*(int64_t *)arg);
}

static int in_start(void *arg)
{
    static int64_t for_ever = KIN_FOREVER;

    return kin_start(&((struct combined *)arg)->group, never_ready, &for_ever);
}

static int in_close(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &((struct combined *)arg)->a);
    return kin_group_close(&g, 0);
}

KIN_TEST(T57_who_waits_in_any_combination_can_be_cancelled_and_joined)
{
    static int (*const calls[])(void *) = { in_gather, in_race, in_next, in_wait, in_start,
                                            in_close };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct combined c = { .a = { .sleep = KIN_S(9) } };
        struct act sleeper = { .sleep = KIN_S(5) };
        kin_task task, *set[] = { &task };
        int64_t start = kin_now();

        tap_note("number %zu", i);
        c.group = kin_group_open(.collect = true);
        kin_spawn(&c.group, act, &sleeper, .task = &c.sleeper);
        kin_group g = kin_group_open();
        kin_spawn(&g, calls[i], &c, .task = &task);
        settle();
        kin_cancel(&task, NULL);
        CHECK_CODE(kin_wait_tasks(set, 1, KIN_ALL_COMPLETED), 1);
        CHECK_INT(kin_now() - start, KIN_US(1));
        CHECK_INT(task.status, KIN_CANCELLED);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(kin_group_close(&c.group, 0), 0);
        CHECK_CODE(sleeper.woke, 0);            /* it was only waited for */
    }
}

/* ------------------------------------------------------------------------ lifetime */

static int fire_and_forget(void *arg)
{
    kin_group *g = arg;
    static struct act a[100];

    for (int i = 0; i < 100; i++) {
        a[i] = (struct act){ .sleep = KIN_US(i + 1) };
        kin_spawn(g, act, &a[i]);               /* nobody keeps anything of it */
    }
    return a[0].ran;
}

KIN_TEST(T61_a_task_that_nobody_refers_to_runs_to_its_end)
{
    int64_t start = kin_now();
    struct kin_group_counts counts;
    kin_group g = kin_group_open();

    kin_spawn(&g, fire_and_forget, &g);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.ok, 101);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

static int helper_that_fails(void *arg)
{
    (void)arg;
    return kin_fail(-EIO, "helper broke");
}

static int with_a_broken_helper(void *arg)
{
    (void)arg;
    CHECK_CODE(kin_system_spawn(helper_that_fails, NULL, "helper"), 0);
    return kin_sleep(1);
}

TEST(T62_the_error_of_whom_nobody_joins_is_reported)
{
    CHECK_CODE(test_run(with_a_broken_helper, NULL), 0);
    CHECK_REPORTED("helper broke");
}

KIN_TEST(T62_the_error_of_a_task_whose_group_is_left_is_reported)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_at_once, NULL, .name = "unheard");
    kin_yield();
    kin_group_leave(&g);
    CHECK_REPORTED("unheard");
}

static int sum_up(void *arg)
{
    const int *numbers = arg;

    kin_yield();
    return numbers[0] + numbers[1] + numbers[2];
}

static int spawn_and_go(void *arg)
{
    kin_group *g = ((void **)arg)[0];
    kin_task *task = ((void **)arg)[1];
    int numbers[] = { 1, 2, 3 };

    CHECK_CODE(kin_spawn(g, sum_up, numbers), KIN_EINVAL);      /* on this stack: seen */
    return kin_spawn(g, sum_up, numbers, .copy = sizeof numbers, .task = task);
}

KIN_TEST(T63_a_copied_argument_outlives_its_spawner)
{
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    void *both[] = { &g, &task };

    kin_spawn(&g, spawn_and_go, both);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EINVAL);
    CHECK_CODE(task.code, 6);
}

struct left_behind {
    struct act a[3];
};

static int root_that_forgets(void *arg)
{
    struct left_behind *l = arg;
    kin_group g = kin_group_open();

    for (int i = 0; i < 3; i++)
        kin_spawn(&g, act, &l->a[i]);
    kin_group_open();
    return 5;
}

TEST(T65_a_run_that_ends_with_tasks_pending_joins_and_reports_them)
{
    struct left_behind l = { { { .sleep = KIN_S(1) }, { .sleep = KIN_S(2) }, { .sleep = 0 } } };

    CHECK_CODE(test_run(root_that_forgets, &l), 5);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(l.a[i].ran, 1);
        CHECK_CODE(l.a[i].woke, KIN_ECANCELED);
        CHECK_INT(l.a[i].why.kind, KIN_BY_LEAVING);
    }
    CHECK_REPORTED("ended with a group open");
}
