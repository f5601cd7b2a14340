/* Misuse is found, reported with task and place, and never corrupts
 * (docs/semantics.md E5). */
#include "kin_test.h"

#include <pthread.h>
#include <stdio.h>

/* ------------------------------------------------------ closing what is not ours */

struct intruder {
    kin_group *group;
    int rc;
};

static int close_the_group(void *arg)
{
    struct intruder *i = arg;

    i->rc = kin_group_close(i->group, 0);
    return 0;
}

KIN_TEST(T58_closing_a_group_from_within_one_of_its_tasks)
{
    kin_group g = kin_group_open();
    struct intruder i = { &g, 0 };

    kin_spawn(&g, close_the_group, &i, .name = "insider");
    kin_yield();
    CHECK_CODE(i.rc, KIN_EDEADLK);
    CHECK_HAS(test_reports(), "insider");
    CHECK_REPORTED("misuse.c:");
    CHECK_CODE(kin_group_close(&g, 3), 3);
}

static int close_from_an_inner_group(void *arg)
{
    kin_group inner = kin_group_open();

    kin_spawn(&inner, close_the_group, arg);
    return kin_group_close(&inner, 0);
}

KIN_TEST(T58_closing_a_group_from_a_task_further_down)
{
    kin_group g = kin_group_open();
    struct intruder i = { &g, 0 };

    kin_spawn(&g, close_from_an_inner_group, &i);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(i.rc, KIN_EDEADLK);
    CHECK_REPORTED("misuse.c:");
}

KIN_TEST(misnesting_3_closing_a_group_from_an_unrelated_task)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_group others = kin_group_open();
    kin_group g = kin_group_open();
    struct intruder i = { &g, 0 };

    kin_spawn(&g, act, &child);
    kin_spawn(&others, close_the_group, &i);
    kin_yield();
    CHECK_INT(kin_class(i.rc), KIN_CLASS_MISUSE);
    CHECK_REPORTED("misuse.c:");
    CHECK(!kin_group_ended(&g));
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, 0);
    CHECK_CODE(kin_group_close(&others, 0), 0);
}

static int close_scope(void *arg)
{
    return kin_class(kin_scope_close((kin_scope *)arg, 0)) == KIN_CLASS_MISUSE ? 0 : -1;
}

KIN_TEST(misnesting_3_closing_a_scope_from_an_unrelated_task)
{
    kin_group others = kin_group_open();
    kin_scope s = kin_scope_open(.timeout = KIN_S(5));

    kin_spawn(&others, close_scope, &s);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK(!kin_scope_ended(&s));
    CHECK_REPORTED("misuse.c:");
    CHECK_CODE(kin_scope_close(&s, 2), 2);
    CHECK_CODE(kin_group_close(&others, 0), 0);
}

/* ------------------------------------------------------------- twice, too late */

KIN_TEST(E5_closing_twice)
{
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ESTALE);
    CHECK(test_reports()[0] != '\0');
    drop_reports();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ESTALE);
    CHECK(test_reports()[0] != '\0');
    drop_reports();
}

KIN_TEST(E5_a_copy_of_a_handle_is_as_stale_as_the_original)
{
    struct kin_group_counts counts;
    struct kin_scope_state state;
    kin_group g = kin_group_open(), copy = g;

    CHECK_CODE(kin_group_close(&copy, 0), 0);
    CHECK(kin_group_ended(&g));
    CHECK_CODE(kin_spawn(&g, nothing, NULL), KIN_ESTALE);
    CHECK_CODE(kin_cancel(&g, NULL), KIN_ESTALE);
    CHECK_CODE(kin_group_count(&g, &counts), KIN_ESTALE);
    CHECK_CODE(kin_group_look(&g, &state), KIN_ESTALE);
    CHECK_CODE(kin_group_set_deadline(&g, KIN_FOREVER), KIN_ESTALE);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ESTALE);
    drop_reports();
}

/* The record of a closed group is used again; its handle is not. */
KIN_TEST(E5_a_stale_handle_never_reaches_its_successor)
{
    kin_group old = kin_group_open();

    kin_group_close(&old, 0);
    for (int i = 0; i < 1000; i++) {
        kin_group g = kin_group_open();
        CHECK_CODE(kin_cancel(&old, NULL), KIN_ESTALE);
        CHECK_CODE(kin_yield(), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
    }
    drop_reports();
}

KIN_TEST(E5_a_stale_task_never_reaches_its_successor)
{
    struct act child = { .sleep = KIN_MS(1) };
    kin_task old;
    kin_group g = kin_group_open();

    kin_spawn(&g, nothing, NULL, .task = &old);
    kin_yield();
    for (int i = 0; i < 100; i++) {
        kin_spawn(&g, act, &child);
        kin_yield();
        CHECK_CODE(kin_cancel(&old, NULL), KIN_ESTALE);
        CHECK_CODE(kin_sleep(KIN_MS(2)), 0);
        CHECK_CODE(child.woke, 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    drop_reports();
}

static kin_group kept_group;
static kin_scope kept_scope;
static kin_task kept_task;

static int keep_handles(void *arg)
{
    (void)arg;
    kept_group = kin_group_open();
    kin_spawn(&kept_group, nothing, NULL, .task = &kept_task);
    kin_group_close(&kept_group, 0);
    kept_scope = kin_scope_open();
    kin_scope_close(&kept_scope, 0);
    return 0;
}

static int use_kept_handles(void *arg)
{
    (void)arg;
    CHECK_CODE(kin_group_close(&kept_group, 0), KIN_ESTALE);
    CHECK_CODE(kin_scope_close(&kept_scope, 0), KIN_ESTALE);
    CHECK_CODE(kin_cancel(&kept_task, NULL), KIN_ESTALE);
    CHECK_CODE(kin_spawn(&kept_group, nothing, NULL), KIN_ESTALE);
    return 0;
}

TEST(E5_handles_of_an_earlier_run)
{
    CHECK_CODE(test_run(keep_handles, NULL), 0);
    CHECK_CODE(test_run(use_kept_handles, NULL), 0);
    CHECK_INT(kin_class(kin_group_close(&kept_group, 0)), KIN_CLASS_MISUSE);
    CHECK_INT(kin_class(kin_cancel(&kept_scope, NULL)), KIN_CLASS_MISUSE);
}

/* ----------------------------------------------------------------- out of order */

KIN_TEST(T27_an_outer_group_closed_before_the_inner)
{
    struct act child = { .sleep = KIN_S(9) };
    kin_group outer = kin_group_open(.name = "outer"), inner = kin_group_open(.name = "inner");

    kin_spawn(&inner, act, &child);
    kin_yield();
    CHECK_CODE(kin_group_close(&outer, 0), KIN_EORDER);
    CHECK_REPORTED("misuse.c:");
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_INT(child.why.kind, KIN_BY_LEAVING);
    CHECK(kin_group_ended(&inner));
    kin_group_close(&inner, 0);
    kin_group_close(&outer, 0);
    CHECK_CODE(kin_yield(), 0);
    drop_reports();
}

KIN_TEST(T27_an_outer_scope_closed_before_the_inner)
{
    kin_scope outer = kin_scope_open(.timeout = KIN_S(5));
    kin_scope inner = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_scope_close(&outer, 0), KIN_EORDER);
    CHECK_REPORTED("misuse.c:");
    CHECK(kin_scope_ended(&inner));
    kin_scope_close(&inner, 0);
    kin_scope_close(&outer, 0);
    CHECK_INT(kin_deadline(), KIN_FOREVER);
    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
    drop_reports();
}

KIN_TEST(T27_a_scope_closed_before_the_group_inside_it)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_scope s = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, act_cleanup, &child);
    kin_yield();
    CHECK_CODE(kin_scope_close(&s, 0), KIN_EORDER);
    CHECK_INT(child.ran, 1);
    CHECK(kin_group_ended(&g));
    drop_reports();
}

/* ------------------------------------------------------------- ending with open ones */

static int end_with_scope_open(void *arg)
{
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    (void)arg;
    (void)s;
    return 4;
}

KIN_TEST(E5_a_task_that_ends_with_a_scope_open_is_reported)
{
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, end_with_scope_open, NULL, .name = "careless", .task = &task);
    kin_group_close(&g, 0);
    CHECK_HAS(test_reports(), "careless");
    CHECK_REPORTED("misuse.c:");
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
}

/* -------------------------------------------------------------------- arguments */

KIN_TEST(E5_handles_that_were_never_opened)
{
    kin_group g = { 0 };
    kin_scope s = { 0 };
    kin_task t = { 0 };

    CHECK_CODE(kin_group_close(&g, 0), KIN_ESTALE);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ESTALE);
    CHECK_CODE(kin_cancel(&g, NULL), KIN_ESTALE);
    CHECK_CODE(kin_cancel(&s, NULL), KIN_ESTALE);
    CHECK_CODE(kin_cancel(&t, NULL), KIN_ESTALE);
    CHECK(kin_group_ended(&g));
    kin_group_leave(&g);
    kin_scope_leave(&s);
    drop_reports();
}

TEST(taskgroup_without_parent_task)
{
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    CHECK_INT(kin_class(kin_spawn(&g, nothing, NULL)), KIN_CLASS_MISUSE);
    CHECK(kin_group_close(&g, 0) < 0);
    CHECK(kin_scope_close(&s, 0) < 0);
    CHECK_CODE(kin_yield(), KIN_ENORUN);
    CHECK_INT(kin_deadline(), KIN_FOREVER);
    CHECK(kin_cancelled() == NULL);
    CHECK(kin_now() > 0);
}

/* ------------------------------------------------------------------ other threads */

static void *spawn_elsewhere(void *arg)
{
    int rc = kin_spawn((kin_group *)arg, nothing, NULL);

    CHECK_INT(kin_class(rc), KIN_CLASS_MISUSE);
    CHECK_CODE(kin_yield(), KIN_ENORUN);
    return NULL;
}

KIN_TEST(T64_a_handle_used_on_another_thread)
{
    pthread_t thread;
    struct kin_group_counts counts;
    kin_group g = kin_group_open();

    CHECK_INT(pthread_create(&thread, NULL, spawn_elsewhere, &g), 0);
    pthread_join(thread, NULL);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.accepted, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

struct elsewhere {
    kin_group *group;
    kin_semaphore *semaphore;
};

static int use_foreign_objects(void *arg)
{
    struct elsewhere *e = arg;

    CHECK_INT(kin_class(kin_spawn(e->group, nothing, NULL)), KIN_CLASS_MISUSE);
    CHECK_INT(kin_class(kin_cancel(e->group, NULL)), KIN_CLASS_MISUSE);
    CHECK_CODE(kin_semaphore_acquire(e->semaphore), KIN_EFOREIGN);
    CHECK_CODE(kin_semaphore_release(e->semaphore), KIN_EFOREIGN);
    return 0;
}

static void drop_line(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static void *run_elsewhere(void *arg)
{
    CHECK_CODE(kin_run(use_foreign_objects, arg, .virtual_clock = true, .backend = test_backend(),
                       .on_report = drop_line), 0);
    return NULL;
}

static int wait_for_unit(void *arg)
{
    return kin_semaphore_acquire((kin_semaphore *)arg);
}

KIN_TEST(T64_objects_used_in_another_run)
{
    pthread_t thread;
    kin_semaphore semaphore = { 0 };
    kin_group g = kin_group_open();
    struct elsewhere e = { &g, &semaphore };

    kin_spawn(&g, wait_for_unit, &semaphore);
    settle();
    CHECK_INT(pthread_create(&thread, NULL, run_elsewhere, &e), 0);
    pthread_join(thread, NULL);
    CHECK_CODE(kin_check(), 0);
    kin_semaphore_release(&semaphore);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ---------------------------------------------------------------- where it is said */

static int close_twice(void *arg)
{
    kin_group g = kin_group_open();

    (void)arg;
    kin_group_close(&g, 0);
    kin_group_close(&g, 0);
    return 0;
}

static void run_close_twice(void *arg)
{
    (void)arg;
    kin_run(close_twice, NULL, .virtual_clock = true, .backend = test_backend());
}

TEST(E5_reports_go_to_standard_error_unless_told)
{
    CHECK_PRINTS("kin", run_close_twice, NULL);
}
