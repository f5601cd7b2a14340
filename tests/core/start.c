/* Readiness: kin_start and kin_ready (docs/semantics.md G10), and the starter. The tests
 * named after nursery.start are the cases of Trio's suite. */
#include "start.h"

#include <stdlib.h>

/* ------------------------------------------------------- the ten of nursery.start */

KIN_TEST(G10_nursery_start_gives_the_value)
{
    struct helper h = { .before = KIN_S(1), .value = 42, .after = KIN_S(2) };
    int64_t start = kin_now();
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, helper, &h, .task = &task, .name = "h"), 42);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_INT(task.status, KIN_PENDING);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(h.said, 0);
    CHECK_INT(task.status, KIN_OK);
}

KIN_TEST(G10_nursery_start_with_spawn_ready_does_nothing)
{
    int five = 5;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, ready_at_once, &five), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_ready(0), 0);                /* from main, too */
    CHECK_CODE(kin_ready(0), 0);
}

static int ready_twice(void *arg)
{
    CHECK_CODE(kin_ready(1), 0);
    CHECK_CODE(kin_ready(2), KIN_ESTALE);
    *(bool *)arg = true;
    return 0;
}

KIN_TEST(G10_nursery_start_ready_twice_is_refused)
{
    bool ran = false;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, ready_twice, &ran), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(ran);
}

KIN_TEST(G10_nursery_start_a_failure_before_it_is_ready_comes_out_of_start)
{
    int code = -EADDRINUSE;
    struct act other = { .sleep = KIN_S(5) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_start(&g, fail_early, &code, .task = &task, .name = "server"), -EADDRINUSE);
    const kin_error *leaf = kin_error_find(kin_error_last(), kin_match_code(-EADDRINUSE));
    CHECK(leaf != NULL);
    CHECK_STR(leaf->message, "cannot bind");
    CHECK_STR(leaf->name, "server");
    CHECK_INT(task.status, KIN_FAILED);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);         /* nobody was cancelled */
    CHECK_CODE(kin_group_close(&g, 0), 0);      /* and the group has not failed */
    CHECK_CODE(other.woke, 0);
}

KIN_TEST(G10_nursery_start_an_end_without_ready_is_a_failure)
{
    struct helper h = { .before = KIN_S(1), .mute = true };
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, helper, &h, .task = &task, .name = "mute"), KIN_ENOTREADY);
    CHECK_HAS(kin_error_last()->message, "mute");
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G10_nursery_start_cancelled_before_it_is_ready_the_value_is_ignored)
{
    struct helper h = { .before = KIN_S(9), .stubborn = true, .value = 5, .after = KIN_S(1) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open(.timeout = KIN_S(2));

    CHECK_CODE(kin_start(&g, helper, &h, .task = &task), KIN_ECANCELED);
    CHECK_CODE(h.said, KIN_ECANCELED);
    CHECK_CODE(h.woke, KIN_ECANCELED);          /* it stays under its starter's scope */
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
}

KIN_TEST(G10_nursery_start_a_task_that_never_waits_completes)
{
    int seven = 7;
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, ready_at_once, &seven, .task = &task), 7);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G10_nursery_start_a_failure_after_a_cancelled_start_comes_out_of_start)
{
    struct helper h = { .before = KIN_S(9), .stubborn = true, .result = -EIO };
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open(.timeout = KIN_S(2));

    CHECK_CODE(kin_start(&g, helper, &h), -EIO);
    CHECK_CODE(kin_scope_close(&s, -EIO), -EIO);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G10_nursery_start_into_an_ended_group_is_refused_at_once)
{
    struct helper h = { .value = 1 };
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_start(&g, helper, &h, .task = &task), KIN_ESTALE);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_INT(h.at, 0);
}

KIN_TEST(G10_nursery_start_a_failure_after_ready_is_the_group_s)
{
    struct helper h = { .value = 1, .after = KIN_S(1), .result = -EIO };
    struct act other = { .sleep = KIN_S(9) };
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, helper, &h, .name = "h"), 1);
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(other.why.kind, KIN_BY_SIBLING);
    CHECK_STR(other.why.name, "h");
}

/* ------------------------------------------------------------ a starter elsewhere */

static int opens_a_group(void *arg)
{
    struct act *child = arg;
    kin_group inner = kin_group_open();

    kin_spawn(&inner, act, child);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);         /* it is not in the cancelled group yet */
    CHECK_CODE(kin_ready(3), 0);
    CHECK_CODE(kin_check(), KIN_ECANCELED);
    return kin_group_close(&inner, 0);
}

KIN_TEST(start_with_cancelled_nursery)
{
    struct act child = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group starters = kin_group_open(), g = kin_group_open();
    struct starter s = { .home = &g, .fn = opens_a_group, .arg = &child };

    kin_spawn(&starters, start_it, &s);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&g, "meanwhile");
    CHECK_CODE(kin_group_close(&g, 0), 0);      /* waits for what is being started for it */
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK_CODE(s.rc, 3);
    CHECK_CODE(child.woke, KIN_ECANCELED);
    CHECK_STR(child.why.message, "meanwhile");
    CHECK_INT(s.task.status, KIN_CANCELLED);
}

KIN_TEST(start_keeps_nursery_open)
{
    struct helper h = { .before = KIN_S(2), .value = 1, .after = KIN_S(1) };
    int64_t start = kin_now();
    kin_group starters = kin_group_open(), g = kin_group_open();
    struct starter s = { .home = &g, .fn = helper, .arg = &h };
    struct kin_group_counts counts;

    kin_spawn(&starters, start_it, &s);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.live, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK_CODE(s.rc, 1);
}

KIN_TEST(start_keeps_nursery_open_until_the_start_has_failed)
{
    struct helper h = { .before = KIN_S(2), .mute = true, .result = -EIO };
    int64_t start = kin_now();
    kin_group starters = kin_group_open(), g = kin_group_open();
    struct starter s = { .home = &g, .fn = helper, .arg = &h };

    kin_spawn(&starters, start_it, &s);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK_CODE(s.rc, -EIO);
}

KIN_TEST(start_exception_preserves_cause_and_context)
{
    int code = -EADDRINUSE;
    kin_group g = kin_group_open();

    kin_start(&g, fail_early, &code);
    int rc = kin_fail(-EFAULT, "no server: %s", kin_error_find(kin_error_last(),
                      kin_match_code(-EADDRINUSE))->message);
    CHECK_CODE(kin_group_close(&g, rc), -EFAULT);
    const kin_error *mine = kin_error_last()->child;
    CHECK_STR(mine->message, "no server: cannot bind");
    CHECK(mine->cause != NULL);
    CHECK(kin_error_find(mine->cause, kin_match_code(-EADDRINUSE)) != NULL);
}

static int dump_in(void *arg)
{
    char **text = arg;
    size_t size;
    FILE *out = open_memstream(text, &size);

    CHECK(out != NULL);
    kin_dump(out);
    fclose(out);
    return 0;
}

static int dump_before_and_after(void *arg)
{
    char **text = arg;

    dump_in(&text[0]);
    kin_ready(0);
    dump_in(&text[1]);
    return 0;
}

KIN_TEST(task_tree_introspection)
{
    char *text[2];
    kin_group g = kin_group_open(.name = "home");

    CHECK_CODE(kin_start(&g, dump_before_and_after, text, .name = "child"), 0);
    CHECK_HAS(text[0], "start");                /* while it starts: below its starter's call, */
    CHECK(strstr(text[0], "start") < strstr(text[0], "child"));
    CHECK(strstr(text[1], "home") < strstr(text[1], "child"));      /* … then in the group */
    CHECK(strstr(text[1], "child") != NULL);
    free(text[0]);
    free(text[1]);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ------------------------------------------------- the starter, at every moment */

KIN_TEST(G10_a_starter_that_is_cancelled_already_starts_nothing)
{
    struct helper h = { .value = 1 };
    kin_task task;
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open(.cancelled = true);

    CHECK_CODE(kin_start(&g, helper, &h, .task = &task), KIN_ECANCELED);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);      /* that is the starter's affair */
    CHECK_INT(h.at, 0);
}

/* In any turn of the start: the value, or KIN_ECANCELED and a task that has ended. */
static void cancel_starter_after(int yields)
{
    struct helper h = { .before = KIN_US(1), .value = 1, .after = KIN_US(1) };
    kin_task starter;
    kin_group g = kin_group_open(), starters = kin_group_open();
    struct starter s = { .home = &g, .fn = helper, .arg = &h };

    kin_spawn(&starters, start_it, &s, .task = &starter);
    for (int i = 0; i < yields; i++)
        kin_sleep(KIN_US(1) / 4);
    kin_cancel(&starter, NULL);
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    if (s.rc == KIN_ECANCELED)
        CHECK(s.task.status == KIN_REFUSED || s.task.status == KIN_CANCELLED);
    else
        CHECK_CODE(s.rc, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    if (s.rc == 1)
        CHECK_INT(s.task.status, KIN_OK);
}

KIN_TEST(G10_a_starter_cancelled_at_every_moment)
{
    for (int yields = 0; yields < 16; yields++)
        cancel_starter_after(yields);
}

static int ready_then_cancel(void *arg)
{
    int rc = kin_ready(4);

    CHECK_CODE(kin_cancel((kin_scope *)arg, "too late"), 0);
    return rc;
}

KIN_TEST(G10_a_starter_cancelled_in_the_turn_of_ready_still_gets_the_value)
{
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    CHECK_CODE(kin_start(&g, ready_then_cancel, &s), 4);
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int give_up_by_looking(void *arg)
{
    kin_cancel((kin_scope *)arg, "enough");
    CHECK_CODE(kin_ready(1), KIN_ECANCELED);
    return 0;
}

KIN_TEST(G10_a_task_that_ends_well_after_a_cancelled_ready_leaves_its_starter_cancelled)
{
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    CHECK_CODE(kin_start(&g, give_up_by_looking, &s), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int ends_without_looking(void *arg)
{
    kin_cancel((kin_scope *)arg, "enough");
    return 0;
}

KIN_TEST(G10_an_end_without_ready_under_a_cancelled_starter_is_its_cancellation)
{
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    CHECK_CODE(kin_start(&g, ends_without_looking, &s), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int too_late_to_be_ready(void *arg)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    (void)arg;
    CHECK_CODE(kin_scope_close(&s, kin_sleep(KIN_S(2))), 0);
    CHECK_CODE(kin_ready(1), KIN_ECANCELED);
    return 0;
}

KIN_TEST(G10_a_refused_ready_tells_the_task_that_it_was_timed_out)
{
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, too_late_to_be_ready, NULL, .task = &task, .timeout = KIN_S(1)),
               KIN_ENOTREADY);
    CHECK_INT(task.status, KIN_OK);
    CHECK(task.timed_out);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
