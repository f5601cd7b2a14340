/* The tasks of a group in the order of their ending: kin_next (docs/semantics.md W2). The
 * lines of asyncio's suite for as_completed bear its name. */
#include "kin_test.h"

#include <stdlib.h>

enum { MANY = 20000 };

static void spawn_sleepers(kin_group *g, struct act *a, kin_task *task, const int *seconds, int n)
{
    for (int i = 0; i < n; i++) {
        a[i] = (struct act){ .sleep = KIN_S(seconds[i]), .result = i };
        CHECK_CODE(kin_spawn(g, act, &a[i], .task = &task[i]), 0);
    }
}

KIN_TEST(as_completed_in_the_order_of_their_ending)
{
    static const int seconds[] = { 3, 1, 2 }, order[] = { 1, 2, 0 };
    struct act a[3];
    kin_task task[3], *next;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.collect = true);

    spawn_sleepers(&g, a, task, seconds, 3);
    for (int i = 0; i < 3; i++) {
        CHECK_CODE(kin_next(&g, &next), 1);
        CHECK(next == &task[order[i]]);
        CHECK_INT(next->status, KIN_OK);
        CHECK_CODE(next->code, order[i]);
        CHECK_INT(kin_now() - start, KIN_S(i + 1));
    }
    CHECK_CODE(kin_next(&g, &next), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(as_completed_same_tasks_in_as_out)
{
    kin_task task[5], *next;
    bool seen[5] = { false };
    kin_group g = kin_group_open(.collect = true);

    for (int i = 0; i < 5; i++)
        kin_spawn(&g, nothing, NULL, .task = &task[i]);
    for (int i = 0; i < 5; i++) {
        CHECK_CODE(kin_next(&g, &next), 1);
        CHECK(next >= task && next < task + 5 && !seen[next - task]);
        seen[next - task] = true;
    }
    CHECK_CODE(kin_next(&g, &next), 0);
    CHECK_CODE(kin_next(&g, &next), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(as_completed_with_timeout)
{
    static const int seconds[] = { 1, 9 };
    struct act a[2];
    kin_task task[2], *next;
    kin_group g = kin_group_open(.collect = true);

    spawn_sleepers(&g, a, task, seconds, 2);
    kin_scope s = kin_scope_open(.timeout = KIN_S(2));
    CHECK_CODE(kin_next(&g, &next), 1);
    CHECK_CODE(kin_next(&g, &next), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_INT(task[1].status, KIN_PENDING);     /* the task goes on */
    CHECK_CODE(kin_next(&g, &next), 1);
    CHECK(next == &task[1] && next->status == KIN_OK);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(as_completed_with_unused_timeout)
{
    static const int seconds[] = { 1 };
    struct act a[1];
    kin_task task[1], *next;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.collect = true);

    spawn_sleepers(&g, a, task, seconds, 1);
    kin_scope s = kin_scope_open(.timeout = KIN_S(9));
    CHECK_CODE(kin_next(&g, &next), 1);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_sleep(KIN_S(20)), 0);        /* the timer is gone */
    CHECK_INT(kin_now() - start, KIN_S(21));
}

KIN_TEST(as_completed_resume_iterator)
{
    static const int seconds[] = { 2, 1, 3 }, order[] = { 1, 0, 2 };
    struct act a[3];
    kin_task task[3], *next;
    kin_group g = kin_group_open(.collect = true);

    spawn_sleepers(&g, a, task, seconds, 3);
    for (int i = 0; i < 3; i++) {               /* each time from another place */
        kin_scope s = kin_scope_open();
        CHECK_CODE(kin_next(&g, &next), 1);
        CHECK(next == &task[order[i]]);
        CHECK_CODE(kin_scope_close(&s, 0), 0);
        kin_sleep(KIN_MS(1500));
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

struct taker {
    kin_group *group;
    int number, rc;
    kin_task *got;
};

static int take(void *arg)
{
    struct taker *t = arg;

    t->rc = kin_next(t->group, &t->got);
    trace("%d:%d", t->number, t->rc == 1 ? t->got->code : t->rc);
    return 0;
}

KIN_TEST(as_completed_reverse_wait)
{
    static const int seconds[] = { 2, 1 };
    struct act a[2];
    kin_task task[2];
    kin_group g = kin_group_open(.collect = true), takers = kin_group_open();
    struct taker t[2] = { { &g, 1, 0, NULL }, { &g, 2, 0, NULL } };

    spawn_sleepers(&g, a, task, seconds, 2);
    kin_spawn(&takers, take, &t[0]);            /* who asked first gets the first */
    kin_spawn(&takers, take, &t[1]);
    CHECK_CODE(kin_group_close(&takers, 0), 0);
    CHECK_TRACE("1:1 2:0");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(as_completed_concurrent)
{
    static const int seconds[] = { 1, 1, 2 };
    struct act a[3];
    kin_task task[3];
    kin_group g = kin_group_open(.collect = true), takers = kin_group_open();
    struct taker t[5];

    spawn_sleepers(&g, a, task, seconds, 3);
    for (int i = 0; i < 5; i++) {
        t[i] = (struct taker){ &g, i, 0, NULL };
        kin_spawn(&takers, take, &t[i]);
    }
    CHECK_CODE(kin_group_close(&takers, 0), 0);
    CHECK_TRACE("0:0 1:1 2:2 3:0 4:0");         /* two are sent away: nobody is left */
    CHECK(t[3].rc == 0 && t[4].rc == 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* A record is one task's, so that it can stand in a group once only: here, a task that
 * has been taken does not come back. */
KIN_TEST(as_completed_duplicates_once)
{
    kin_task task, *next;
    kin_group g = kin_group_open(.collect = true);

    for (int i = 0; i < 3; i++) {
        kin_spawn(&g, nothing, NULL, .task = &task);
        CHECK_CODE(kin_next(&g, &next), 1);
        CHECK(next == &task);
        CHECK_CODE(kin_next(&g, &next), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ------------------------------------------------------------------- all the ends */

KIN_TEST(W2_next_gives_every_kind_of_end)
{
    struct act slow = { .sleep = KIN_S(9) }, slower = { .sleep = KIN_S(9) };
    int code = -EIO;
    kin_task task[5], *next;
    kin_group g = kin_group_open(.collect = true, .policy = KIN_KEEP_GOING);

    kin_spawn(&g, give, &code, .task = &task[0]);
    kin_spawn(&g, act, &slow, .task = &task[1]);
    kin_spawn(&g, act, &slow, .task = &task[2], .copy = sizeof slow, .skip_cancelled = true);
    kin_spawn(&g, act, &slower, .task = &task[3], .timeout = KIN_S(1));
    kin_spawn(&g, nothing, NULL);               /* without a record: it ends, and is not told of */
    kin_spawn(&g, nothing, NULL, .task = &task[4], .timeout = -1, .optional = true);
    kin_cancel(&task[1], NULL);
    kin_cancel(&task[2], NULL);
    while (kin_next(&g, &next) == 1)
        trace("%d:%s", (int)(next - task), kin_status_name(next->status));
    CHECK_TRACE("0:failed 1:cancelled 2:skipped 3:timed_out");
    CHECK_INT(task[4].status, KIN_REFUSED);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
}

static int spawn_the_next(void *arg)
{
    static kin_task more[3];
    static int made;
    kin_group *g = arg;

    return made < 3 ? kin_spawn(g, spawn_the_next, g, .task = &more[made++]) : 0;
}

KIN_TEST(W2_next_waits_for_what_tasks_spawn_meanwhile)
{
    kin_task task, *next;
    int taken = 0;
    kin_group g = kin_group_open(.collect = true);

    kin_spawn(&g, spawn_the_next, &g, .task = &task);
    while (kin_next(&g, &next) == 1)
        taken++;
    CHECK_INT(taken, 4);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(W2_next_of_a_group_of_tasks_without_records_ends_with_them)
{
    struct act a = { .sleep = KIN_S(2) };
    kin_task *next;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.collect = true);

    kin_spawn(&g, act, &a);
    CHECK_CODE(kin_next(&g, &next), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(W2_next_under_a_limit_and_a_policy)
{
    struct act a[4] = { { .sleep = KIN_S(1) }, { .sleep = KIN_S(3) }, { .sleep = KIN_S(1) },
                        { .sleep = KIN_S(9) } };
    kin_task task[4], *next;
    kin_group g = kin_group_open(.collect = true, .limit = 2, .policy = KIN_QUORUM, .quorum = 3);

    for (int i = 0; i < 4; i++)
        kin_spawn(&g, act, &a[i], .task = &task[i]);
    kin_scope shield = kin_scope_open(.shield = KIN_FOREVER);
    while (kin_next(&g, &next) == 1)
        trace("%d:%s", (int)(next - task), kin_status_name(next->status));
    CHECK_TRACE("0:ok 2:ok 1:ok 3:cancelled");
    CHECK_CODE(kin_scope_close(&shield, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ------------------------------------------------------------------------ takers */

static int wait_for_event(void *arg)
{
    return kin_event_wait(arg);
}

KIN_TEST(W2_a_taker_cancelled_in_the_turn_it_was_given_a_task_has_it)
{
    kin_task task, taker[2], *next;
    kin_group g = kin_group_open(.collect = true), takers = kin_group_open();
    struct taker t[2] = { { &g, 1, 0, NULL }, { &g, 2, 0, NULL } };
    kin_event go = { .set = false };

    kin_spawn(&g, wait_for_event, &go, .task = &task);
    kin_spawn(&takers, take, &t[0], .task = &taker[0]);
    kin_spawn(&takers, take, &t[1], .task = &taker[1]);
    settle();
    kin_cancel(&taker[0], NULL);                /* before: the other one gets it */
    kin_event_set(&go);
    kin_yield();
    kin_cancel(&taker[1], NULL);                /* after: it has it */
    CHECK_CODE(kin_group_close(&takers, 0), 0);
    CHECK_CODE(t[0].rc, KIN_ECANCELED);
    CHECK_CODE(t[1].rc, 1);
    CHECK(t[1].got == &task);
    CHECK_CODE(kin_next(&g, &next), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1:-65537 2:0");
}

KIN_TEST(W2_a_cancelled_taker_leaves_the_task_to_be_taken)
{
    static const int seconds[] = { 2 };
    struct act a[1];
    kin_task task[1], *next;
    kin_group g = kin_group_open(.collect = true);

    spawn_sleepers(&g, a, task, seconds, 1);
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    CHECK_CODE(kin_next(&g, &next), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
    CHECK_CODE(kin_next(&g, &next), 1);
    CHECK(next == &task[0]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(T59_takers_in_other_tasks_are_sent_away_when_the_group_ends)
{
    struct act a = { .sleep = KIN_S(1) };
    kin_group takers = kin_group_open(), g = kin_group_open(.collect = true);
    struct taker t[2] = { { &g, 1, 9, NULL }, { &g, 2, 9, NULL } };

    kin_spawn(&g, act, &a);
    kin_spawn(&takers, take, &t[0]);
    kin_spawn(&takers, take, &t[1]);
    settle();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&takers, 0), 0);
    CHECK_INT(t[0].rc, 0);
    CHECK_INT(t[1].rc, 0);
    CHECK_TRACE("1:0 2:0");
}

/* ------------------------------------------------------------------------ misuse */

static int next_of_own_group(void *arg)
{
    kin_task *next;
    kin_group inner = kin_group_open(.collect = true);

    CHECK_CODE(kin_next(arg, &next), KIN_EDEADLK);
    CHECK_CODE(kin_next(&inner, &next), 0);
    return kin_group_close(&inner, 0);
}

KIN_TEST(W2_next_refuses_what_cannot_be)
{
    kin_task *next;
    kin_group g = kin_group_open(.collect = true), plain = kin_group_open();

    CHECK_CODE(kin_next(&plain, &next), KIN_EINVAL);
    CHECK_CODE(kin_group_close(&plain, 0), 0);
    CHECK_CODE(kin_next(&plain, &next), KIN_ESTALE);
    kin_spawn(&g, next_of_own_group, &g);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    kin_scope s = kin_scope_open(.cancelled = true);
    g = kin_group_open(.collect = true);
    CHECK_CODE(kin_next(&g, &next), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

TEST(W2_next_outside_of_a_run)
{
    kin_group g = { NULL, 0 };
    kin_task *next;

    CHECK_CODE(kin_next(&g, &next), KIN_ENORUN);
}

KIN_TEST(W4_a_group_may_end_with_tasks_that_nobody_has_taken)
{
    kin_task task[3];

    for (int round = 0; round < 3; round++) {
        kin_group g = kin_group_open(.collect = true);
        for (int i = 0; i < 3; i++)
            kin_spawn(&g, nothing, NULL, .task = &task[i]);
        CHECK_CODE(kin_group_close(&g, 0), 0);
    }
}

/* ------------------------------------------------------------------------- cost */

/* Each costs the same, however many there are: were it a search, this would take hours. */
KIN_TEST(T37_as_completed_is_not_quadratic)
{
    struct act *a = calloc(MANY, sizeof *a);
    kin_task *task = calloc(MANY, sizeof *task), *next;
    kin_group g = kin_group_open(.collect = true);
    int taken = 0;

    CHECK(a && task);
    for (int i = 0; i < MANY; i++) {
        a[i].sleep = KIN_US(MANY - i);
        kin_spawn(&g, act, &a[i], .task = &task[i]);
    }
    while (kin_next(&g, &next) == 1)
        CHECK(next == &task[MANY - ++taken]);
    CHECK_INT(taken, MANY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    free(task);
    free(a);
}

KIN_TEST(T37_who_waits_for_the_next_shows_in_a_dump)
{
    struct act a = { .sleep = KIN_S(1) };
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    kin_group takers = kin_group_open(), g = kin_group_open(.collect = true);
    struct taker t = { &g, 1, 0, NULL };

    CHECK(out != NULL);
    kin_spawn(&g, act, &a);
    kin_spawn(&takers, take, &t, .name = "collector");
    settle();
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "the next task to end");
    free(text);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&takers, 0), 0);
    CHECK_TRACE("1:0");
}
