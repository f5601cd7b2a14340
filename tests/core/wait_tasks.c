/* Waiting for some of a set of tasks: kin_wait_tasks (docs/semantics.md W2, W4). The lines
 * of asyncio's suite for wait bear its name. */
#include "kin_test.h"

#include <stdlib.h>

enum { THOUSANDS = 5000 };

/* Sleepers of so many seconds, and the set of their records. */
struct set {
    struct act a[4];
    kin_task task[4], *set[4];
};

static void spawn_set(kin_group *g, struct set *s, const int *seconds, const int *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->a[i] = (struct act){ .sleep = KIN_S(seconds[i]), .result = results ? results[i] : 0 };
        s->set[i] = &s->task[i];
        CHECK_CODE(kin_spawn(g, act, &s->a[i], .task = &s->task[i]), 0);
    }
}

KIN_TEST(wait_all_and_a_second_call_is_immediate)
{
    static const int seconds[] = { 2, 1, 3 };
    struct set s;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 3);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_ALL_COMPLETED), 3);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_ALL_COMPLETED), 3);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_COMPLETED), 3);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_FAILURE), 3);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* Who stands in the set twice counts twice, and does not hold anybody up. */
KIN_TEST(wait_duplicates)
{
    static const int seconds[] = { 1, 2 };
    struct set s;
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 2);
    kin_task *set[] = { &s.task[0], &s.task[1], &s.task[0], &s.task[0] };
    CHECK_CODE(kin_wait_tasks(set, 4, KIN_FIRST_COMPLETED), 3);
    CHECK_CODE(kin_wait_tasks(set, 4, KIN_ALL_COMPLETED), 4);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(wait_errors)
{
    kin_task task = { .status = KIN_PENDING }, *never[] = { &task }, *null[] = { NULL };

    CHECK_CODE(kin_wait_tasks(never, 0, KIN_ALL_COMPLETED), KIN_EINVAL);
    CHECK_CODE(kin_wait_tasks(never, 1, (kin_until)77), KIN_EINVAL);
    CHECK_CODE(kin_wait_tasks(null, 1, KIN_ALL_COMPLETED), KIN_EINVAL);
    CHECK_CODE(kin_wait_tasks(never, 1, KIN_ALL_COMPLETED), KIN_ESTALE);
    kin_scope s = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_wait_tasks(never, 1, KIN_ALL_COMPLETED), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

TEST(wait_invalid_args)
{
    kin_task task = { .status = KIN_OK }, *set[] = { &task };

    CHECK_CODE(kin_wait_tasks(set, 1, KIN_ALL_COMPLETED), KIN_ENORUN);
}

KIN_TEST(wait_first_completed)
{
    static const int seconds[] = { 9, 1, 5 };
    struct set s;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 3);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_COMPLETED), 1);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_INT(s.task[1].status, KIN_OK);
    CHECK_INT(s.task[0].status, KIN_PENDING);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_COMPLETED), 1);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(s.a[0].woke, 0);
}

KIN_TEST(wait_really_done)
{
    static const int seconds[] = { 1, 1, 1 };
    struct set s;
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 3);        /* all end in one turn: all are done */
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_COMPLETED), 3);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(wait_first_exception)
{
    static const int seconds[] = { 1, 2, 9 }, results[] = { 0, -EIO, 0 };
    struct set s;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    spawn_set(&g, &s, seconds, results, 3);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_FAILURE), 2);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(s.task[1].status, KIN_FAILED);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_FAILURE), 2);     /* has failed already */
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

KIN_TEST(wait_first_exception_without_one_waits_for_all)
{
    static const int seconds[] = { 1, 3, 2 };
    struct set s;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 3);
    kin_spawn(&g, act, &s.a[3], .task = &s.task[3]);
    s.set[2] = &s.task[3];                      /* a cancelled one is no failure either */
    s.a[3] = (struct act){ .sleep = KIN_S(9) };
    kin_cancel(&s.task[3], NULL);
    CHECK_CODE(kin_wait_tasks(s.set, 3, KIN_FIRST_FAILURE), 3);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(wait_with_exception)
{
    static const int seconds[] = { 1, 2 }, results[] = { -EIO, 0 };
    struct set s;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    spawn_set(&g, &s, seconds, results, 2);
    CHECK_CODE(kin_wait_tasks(s.set, 2, KIN_ALL_COMPLETED), 2);     /* waiting itself succeeds */
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

KIN_TEST(wait_with_timeout)
{
    static const int seconds[] = { 1, 9 };
    struct set s;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 2);
    kin_scope limit = kin_scope_open(.timeout = KIN_S(2));
    CHECK_CODE(kin_wait_tasks(s.set, 2, KIN_ALL_COMPLETED), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&limit, 0), KIN_ETIMEDOUT);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(s.task[0].status, KIN_OK);        /* who is done and who is not */
    CHECK_INT(s.task[1].status, KIN_PENDING);
    CHECK(!s.task[1].waiters);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(s.a[1].woke, 0);                 /* nobody was cancelled */
}

KIN_TEST(wait_concurrent_complete)
{
    static const int seconds[] = { 2 };
    struct set s;
    kin_group g = kin_group_open();

    /* The limit is armed before the task's sleep, and so fires before it, in one turn. */
    spawn_set(&g, &s, seconds, NULL, 1);
    kin_scope limit = kin_scope_open(.timeout = KIN_S(2));
    CHECK_CODE(kin_wait_tasks(s.set, 1, KIN_ALL_COMPLETED), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&limit, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(s.task[0].status, KIN_OK);
}

struct waiter {
    kin_task **set;
    size_t count;
    kin_until until;
    int number, rc;
};

static int wait_for_set(void *arg)
{
    struct waiter *w = arg;

    w->rc = kin_wait_tasks(w->set, w->count, w->until);
    trace("%d", w->number);
    return 0;
}

KIN_TEST(yield_wait_does_not_shield_cancel)
{
    static const int seconds[] = { 3 };
    struct set s;
    kin_task waiter;
    kin_group g = kin_group_open(), waiters = kin_group_open();
    struct waiter w = { s.set, 1, KIN_ALL_COMPLETED, 1, 0 };

    spawn_set(&g, &s, seconds, NULL, 1);
    kin_spawn(&waiters, wait_for_set, &w, .task = &waiter);
    settle();
    kin_cancel(&waiter, NULL);
    CHECK_CODE(kin_group_close(&waiters, 0), 0);
    CHECK_CODE(w.rc, KIN_ECANCELED);
    CHECK_INT(s.task[0].status, KIN_PENDING);   /* cancelling who waits leaves it running */
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(s.a[0].woke, 0);
    CHECK_TRACE("1");
}

/* --------------------------------------------------------------------- any task */

KIN_TEST(W2_several_may_wait_for_the_same_tasks_and_are_told_in_order)
{
    static const int seconds[] = { 1, 2 };
    struct set s;
    kin_group g = kin_group_open(), waiters = kin_group_open();
    struct waiter w[5];

    spawn_set(&g, &s, seconds, NULL, 2);
    for (int i = 0; i < 5; i++) {
        w[i] = (struct waiter){ s.set, 2, i % 2 ? KIN_ALL_COMPLETED : KIN_FIRST_COMPLETED, i, 0 };
        kin_spawn(&waiters, wait_for_set, &w[i]);
    }
    CHECK_CODE(kin_group_close(&waiters, 0), 0);
    CHECK_TRACE("0 2 4 1 3");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(W2_tasks_of_several_groups_in_one_set)
{
    struct act a = { .sleep = KIN_S(1) }, b = { .sleep = KIN_S(2) };
    kin_task task[2], *set[] = { &task[0], &task[1] };
    kin_group g = kin_group_open(), h = kin_group_open();

    kin_spawn(&g, act, &a, .task = &task[0]);
    kin_spawn(&h, act, &b, .task = &task[1]);
    CHECK_CODE(kin_wait_tasks(set, 2, KIN_ALL_COMPLETED), 2);
    CHECK_CODE(kin_group_close(&h, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_wait_tasks(set, 2, KIN_ALL_COMPLETED), 2);   /* the records still say so */
}

KIN_TEST(W2_refused_and_skipped_tasks_have_ended)
{
    struct act slow = { .sleep = KIN_S(9) };
    kin_task task[3], *set[] = { &task[0], &task[1], &task[2] };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &slow, .task = &task[0], .timeout = -1);
    CHECK_INT(task[0].status, KIN_REFUSED);
    kin_spawn(&g, act, &slow, .task = &task[1], .copy = sizeof slow, .skip_cancelled = true);
    kin_spawn(&g, act, &slow, .task = &task[2]);
    CHECK_CODE(kin_wait_tasks(set, 3, KIN_FIRST_FAILURE), 1);   /* a refusal is a failure */
    kin_cancel(&task[1], NULL);
    CHECK_CODE(kin_wait_tasks(&set[1], 2, KIN_FIRST_COMPLETED), 1);
    CHECK_INT(task[1].status, KIN_SKIPPED);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_wait_tasks(set, 3, KIN_ALL_COMPLETED), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
}

static int ready_then_sleep(void *arg)
{
    struct act *a = arg;

    kin_sleep(KIN_S(1));
    kin_ready(0);
    return act(a);
}

struct starts {
    kin_group *home;
    struct act a;
    kin_task *task;
};

static int start_one(void *arg)
{
    struct starts *s = arg;

    return kin_start(s->home, ready_then_sleep, &s->a, .task = s->task);
}

KIN_TEST(W2_a_task_that_is_being_started_and_a_service_can_be_waited_for)
{
    struct act beat = { .sleep = KIN_S(1) };
    kin_task task[2], *set[] = { &task[0], &task[1] };
    int64_t start = kin_now();
    kin_group g = kin_group_open(), starters = kin_group_open();
    struct starts s = { &g, { .sleep = KIN_S(2) }, &task[0] };

    kin_spawn(&starters, start_one, &s);
    kin_spawn(&g, act, &beat, .service = true, .task = &task[1]);
    settle();
    CHECK_CODE(kin_wait_tasks(set, 2, KIN_ALL_COMPLETED), 2);   /* it moves meanwhile */
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(W2_each_record_says_as_which_of_its_group_its_task_ended)
{
    static const int seconds[] = { 3, 1, 2 };
    struct set s;
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 3);
    CHECK_INT(s.task[0].order, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(s.task[1].order, 1);
    CHECK_INT(s.task[2].order, 2);
    CHECK_INT(s.task[0].order, 3);
}

/* ------------------------------------------------------------------------ misuse */

static int wait_for_oneself(void *arg)
{
    kin_task **set = arg;
    kin_group inner = kin_group_open();

    CHECK_CODE(kin_wait_tasks(set, 1, KIN_FIRST_COMPLETED), KIN_EDEADLK);
    kin_group_close(&inner, 0);
    return 0;
}

static int wait_from_further_down(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, wait_for_oneself, arg);
    return kin_group_close(&g, 0);
}

KIN_TEST(W2_nobody_waits_for_himself_or_his_ancestors)
{
    kin_task task[2], *set[] = { &task[0] }, *other[] = { &task[1] };
    kin_group g = kin_group_open();

    kin_spawn(&g, wait_for_oneself, set, .task = &task[0]);
    kin_spawn(&g, wait_from_further_down, other, .task = &task[1]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(W2_a_copy_of_a_record_is_not_waited_for)
{
    static const int seconds[] = { 1 };
    struct set s;
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 1);
    kin_task copy = s.task[0], *set[] = { &copy };
    CHECK_CODE(kin_wait_tasks(set, 1, KIN_ALL_COMPLETED), KIN_ESTALE);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_wait_tasks(set, 1, KIN_ALL_COMPLETED), KIN_ESTALE);
}

/* ------------------------------------------------------------------ what is left */

KIN_TEST(T34_after_a_wait_nothing_of_it_is_registered)
{
    static const int seconds[] = { 1, 2, 3, 4 };
    struct set s;
    kin_group g = kin_group_open();

    spawn_set(&g, &s, seconds, NULL, 4);
    for (int i = 0; i < 1000; i++) {            /* given up … */
        kin_scope limit = kin_scope_open(.timeout = KIN_US(1));
        CHECK_CODE(kin_wait_tasks(s.set, 4, KIN_FIRST_COMPLETED), KIN_ECANCELED);
        CHECK_CODE(kin_scope_close(&limit, 0), KIN_ETIMEDOUT);
        for (int k = 0; k < 4; k++)
            CHECK(!s.task[k].waiters);
    }
    CHECK_CODE(kin_wait_tasks(s.set, 4, KIN_FIRST_COMPLETED), 1);   /* … or over */
    for (int k = 0; k < 4; k++)
        CHECK(!s.task[k].waiters);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(W4_who_gives_up_does_not_disturb_the_others_on_a_record)
{
    static const int seconds[] = { 3 };
    struct set s;
    kin_task task[5];
    kin_group g = kin_group_open(), waiters = kin_group_open();
    struct waiter w[5];

    spawn_set(&g, &s, seconds, NULL, 1);
    for (int i = 0; i < 5; i++) {
        w[i] = (struct waiter){ s.set, 1, KIN_ALL_COMPLETED, i, 0 };
        kin_spawn(&waiters, wait_for_set, &w[i], .task = &task[i]);
    }
    settle();
    for (int i = 0; i < 5; i += 2)              /* the first, one in the middle, the last */
        kin_cancel(&task[i], NULL);
    CHECK_CODE(kin_group_close(&waiters, 0), 0);
    for (int i = 0; i < 5; i++)
        CHECK_CODE(w[i].rc, i % 2 ? 1 : KIN_ECANCELED);
    CHECK_TRACE("0 2 4 1 3");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int end_and_cancel_who_waits(void *arg)
{
    kin_cancel((kin_task *)arg, NULL);
    return 0;
}

KIN_TEST(W4_a_waiter_cancelled_in_the_turn_of_the_end)
{
    kin_task task, waiter, *set[] = { &task };
    kin_group g = kin_group_open(), waiters = kin_group_open();
    struct waiter w = { set, 1, KIN_ALL_COMPLETED, 1, 0 };

    kin_spawn(&g, end_and_cancel_who_waits, &waiter, .task = &task);
    kin_spawn(&waiters, wait_for_set, &w, .task = &waiter);
    kin_wait_tasks(set, 1, KIN_ALL_COMPLETED);
    CHECK_CODE(kin_group_close(&waiters, 0), 0);
    CHECK(w.rc == 1 || w.rc == KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1");
}

/* The records are gone when the waiter goes on: it must not look at them. */
struct shortlived {
    struct waiter *waiter;
    kin_group *waiters;
};

static int yield_twice(void *arg)
{
    (void)arg;
    kin_yield();
    return kin_yield();
}

static int group_in_a_frame(void *arg)
{
    struct shortlived *s = arg;
    kin_task *task = malloc(sizeof *task), **set = malloc(sizeof *set);
    kin_group g = kin_group_open();

    CHECK(task && set);
    *set = task;
    *s->waiter = (struct waiter){ set, 1, KIN_ALL_COMPLETED, 1, 0 };
    kin_spawn(&g, yield_twice, NULL, .task = task);
    kin_spawn(s->waiters, wait_for_set, s->waiter);
    int rc = kin_group_close(&g, 0);
    free(task);
    return rc;
}

KIN_TEST(T59_a_group_may_end_and_its_records_go_before_who_waited_for_them_runs)
{
    struct waiter w;
    kin_group waiters = kin_group_open();
    struct shortlived s = { &w, &waiters };

    CHECK_CODE(group_in_a_frame(&s), 0);
    CHECK_CODE(kin_group_close(&waiters, 0), 0);
    CHECK_CODE(w.rc, 1);
    free(w.set);
    CHECK_TRACE("1");
}

KIN_TEST(W2_who_waits_for_tasks_shows_in_a_dump)
{
    static const int seconds[] = { 1, 2, 3 };
    struct set s;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    kin_group g = kin_group_open(), waiters = kin_group_open();
    struct waiter w[2] = { { s.set, 3, KIN_ALL_COMPLETED, 1, 0 },
                           { s.set, 3, KIN_FIRST_COMPLETED, 2, 0 } };

    CHECK(out != NULL);
    spawn_set(&g, &s, seconds, NULL, 3);
    kin_spawn(&waiters, wait_for_set, &w[0]);
    kin_spawn(&waiters, wait_for_set, &w[1]);
    settle();
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "waits for: tasks, all of 3 pending");
    CHECK_HAS(text, "waits for: tasks, one of 3 pending");
    free(text);
    CHECK_CODE(kin_group_close(&waiters, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("2 1");
}

KIN_TEST(W2_thousands_of_tasks)
{
    struct act *a = calloc(THOUSANDS, sizeof *a);
    kin_task *task = calloc(THOUSANDS, sizeof *task), **set = calloc(THOUSANDS, sizeof *set);
    kin_group g = kin_group_open();

    CHECK(a && task && set);
    for (int i = 0; i < THOUSANDS; i++) {
        a[i].sleep = KIN_US(i + 10);
        set[i] = &task[i];
        kin_spawn(&g, act, &a[i], .task = &task[i]);
    }
    CHECK_CODE(kin_wait_tasks(set, THOUSANDS, KIN_FIRST_COMPLETED), 1);
    CHECK_CODE(kin_wait_tasks(set, THOUSANDS, KIN_ALL_COMPLETED), THOUSANDS);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    free(set);
    free(task);
    free(a);
}
