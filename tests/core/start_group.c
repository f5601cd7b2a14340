/* Readiness: the group that a started task goes to, its options, and what it takes along
 * (docs/semantics.md G10). */
#include "start.h"
#include "core/core.h"


/* --------------------------------------------------------------- the group it goes to */

KIN_TEST(G10_start_into_a_cancelled_group_is_refused)
{
    struct helper h = { .value = 1 };
    kin_group starters = kin_group_open(), g = kin_group_open(.cancelled = true);
    struct starter s = { .home = &g, .fn = helper, .arg = &h };

    kin_spawn(&starters, start_it, &s);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK(s.rc == KIN_ECANCELED || s.rc == KIN_ESTALE);
    CHECK_INT(s.task.status, KIN_REFUSED);
}

KIN_TEST(G10_start_into_a_decided_group_is_refused)
{
    struct helper h = { .value = 1 };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_ANY, .grace = KIN_S(1));

    kin_spawn(&g, nothing, NULL);
    kin_yield();
    CHECK_CODE(kin_start(&g, helper, &h, .task = &task), KIN_EDECIDED);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G10_a_started_task_counts_for_the_policy_of_its_group)
{
    struct helper h = { .value = 1, .after = KIN_S(1) };
    struct act slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_start(&g, helper, &h), 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

KIN_TEST(G10_a_success_before_ready_decides_nothing)
{
    struct helper h = { .mute = true };
    kin_group g = kin_group_open(.policy = KIN_ANY);

    CHECK_CODE(kin_start(&g, helper, &h), KIN_ENOTREADY);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
}

KIN_TEST(G10_a_failed_start_makes_a_quorum_impossible)
{
    struct helper h = { .before = KIN_S(1), .mute = true };
    struct act slow = { .sleep = KIN_S(9) };
    int64_t start = kin_now();
    kin_group starters = kin_group_open(), g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);
    struct starter s = { .home = &g, .fn = helper, .arg = &h };

    kin_spawn(&g, act, &slow);
    kin_spawn(&starters, start_it, &s);
    kin_yield();
    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_CODE(kin_group_close(&starters, 0), 0);
}

KIN_TEST(G10_a_start_waits_for_room_and_holds_its_place)
{
    struct act first = { .sleep = KIN_S(1) }, third = { .sleep = KIN_S(1) };
    struct helper h = { .before = KIN_S(1), .value = 5, .after = KIN_S(1) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.limit = 1);

    kin_spawn(&g, act, &first);
    CHECK_CODE(kin_start(&g, helper, &h), 5);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_CODE(kin_spawn(&g, act, &third, .dont_wait = true), KIN_EAGAIN);
    CHECK_CODE(kin_spawn(&g, act, &third), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(4));
}

KIN_TEST(G10_a_failed_start_gives_its_place_back)
{
    struct helper h = { .mute = true };
    struct act a = { .sleep = KIN_S(1) };
    kin_group g = kin_group_open(.limit = 1);

    for (int i = 0; i < 3; i++)
        CHECK_CODE(kin_start(&g, helper, &h), KIN_ENOTREADY);
    CHECK_CODE(kin_spawn(&g, act, &a, .dont_wait = true), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G10_a_start_that_is_cancelled_waiting_for_room_is_the_starter_s_affair)
{
    struct helper h = { .value = 1 };
    struct act first = { .sleep = KIN_S(5) };
    kin_task task;
    kin_group g = kin_group_open(.limit = 1);

    kin_spawn(&g, act, &first);
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));
    CHECK_CODE(kin_start(&g, helper, &h, .task = &task), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(first.woke, 0);
}

KIN_TEST(G10_a_start_that_waits_for_room_in_a_group_that_ends_is_refused)
{
    struct helper h = { .value = 1 };
    struct act first = { .sleep = KIN_S(5) };
    kin_group starters = kin_group_open(), g = kin_group_open(.limit = 1);
    struct starter s = { .home = &g, .fn = helper, .arg = &h };

    kin_spawn(&g, act, &first);
    kin_spawn(&starters, start_it, &s);
    settle();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK(s.rc == KIN_ECANCELED || s.rc == KIN_ESTALE);
    CHECK_INT(s.task.status, KIN_REFUSED);
    CHECK_INT(h.at, 0);
}

static int start_from_within(void *arg)
{
    static struct helper h = { .value = 1 };

    CHECK_CODE(kin_start(arg, helper, &h), KIN_EAGAIN);
    CHECK_CODE(kin_start(arg, helper, &h, .dont_wait = true), KIN_EAGAIN);
    return 0;
}

KIN_TEST(G10_a_task_of_a_full_group_does_not_wait_for_itself)
{
    kin_group g = kin_group_open(.limit = 1, .policy = KIN_KEEP_GOING);

    kin_spawn(&g, start_from_within, &g);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EAGAIN);
}

static int spawn_at_home_before_ready(void *arg)
{
    kin_group *home = arg;
    struct kin_group_counts counts;
    kin_task *task;

    CHECK_CODE(kin_spawn(home, nothing, NULL), 0);      /* in line: the only place is its own */
    CHECK_CODE(kin_group_count(home, &counts), 0);
    CHECK_INT(counts.queued, 1);
    CHECK_CODE(kin_next(home, &task), KIN_EDEADLK);
    return kin_ready(2);
}

KIN_TEST(G10_who_is_being_started_does_not_wait_for_room_in_his_own_group)
{
    kin_group g = kin_group_open(.limit = 1, .collect = true);

    CHECK_CODE(kin_start(&g, spawn_at_home_before_ready, &g), 2);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G10_a_whole_group_s_task_is_not_cancelled_singly_while_it_starts)
{
    struct helper h = { .before = KIN_S(2), .value = 1, .after = KIN_S(1) };
    kin_group starters = kin_group_open(), g = kin_group_open(.keep_whole = true);
    struct starter s = { .home = &g, .fn = helper, .arg = &h };

    kin_spawn(&starters, start_it, &s);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_cancel(&s.task, NULL), KIN_EBUSY);
    CHECK_CODE(kin_sleep(KIN_S(1) + 1), 0);
    CHECK_CODE(kin_cancel(&s.task, NULL), KIN_EBUSY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK_CODE(s.rc, 1);
}

/* --------------------------------------------------------------------- options */

KIN_TEST(G10_a_copied_argument_stays_with_a_started_task)
{
    kin_group g = kin_group_open();
    struct helper h = { .before = KIN_S(1), .value = 9, .after = KIN_S(1) };

    CHECK_CODE(kin_start(&g, helper, &h, .copy = sizeof h), 9);
    h.value = 0;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(h.at, 0);                         /* the copy was written */
}

KIN_TEST(G10_a_task_s_own_limit_before_and_after_it_is_ready)
{
    struct helper early = { .before = KIN_S(9) }, late = { .value = 1, .after = KIN_S(9) };
    kin_task task[2];
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, helper, &early, .task = &task[0], .timeout = KIN_S(1)),
               KIN_ETIMEDOUT);
    CHECK_INT(task[0].status, KIN_TIMED_OUT);
    CHECK_CODE(kin_start(&g, helper, &late, .task = &task[1], .timeout = KIN_S(1)), 1);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_INT(task[1].status, KIN_TIMED_OUT);
    CHECK_INT(kin_now() - start, KIN_S(2));
}

KIN_TEST(G10_a_start_with_a_limit_of_the_past_is_refused)
{
    struct helper h = { .value = 1 };
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, helper, &h, .timeout = -1, .optional = true), KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(h.at, 0);
}

KIN_TEST(G10_an_optional_task_that_times_out_before_it_is_ready_was_not_ready)
{
    struct helper h = { .before = KIN_S(9) };
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, helper, &h, .timeout = KIN_S(1), .optional = true), KIN_ENOTREADY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G10_a_service_can_be_started)
{
    struct helper h = { .before = KIN_S(1), .value = 8, .after = KIN_FOREVER };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open(.limit = 1);

    CHECK_CODE(kin_start(&g, helper, &h, .task = &task, .service = true), 8);
    CHECK_INT(kin_now() - start, KIN_S(1));
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_INT(task.reason.kind, KIN_BY_SHUTDOWN);
}

static int fail_the_first_time(void *arg)
{
    int *runs = arg;

    ++*runs;
    CHECK_CODE(kin_ready(*runs), 0);            /* each run may say so */
    kin_sleep(KIN_MS(10));
    return *runs == 1 ? -EIO : 0;
}

KIN_TEST(G10_a_started_service_that_is_started_again_may_say_ready_again)
{
    int runs = 0;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, fail_the_first_time, &runs, .service = true, .restart = true), 1);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(runs, 2);
    CHECK_REPORTED("is started again");
}

KIN_TEST(G10_a_service_that_fails_before_it_is_ready_is_not_started_again)
{
    int code = -EADDRINUSE;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, fail_early, &code, .service = true, .restart = true), -EADDRINUSE);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static bool fail_copies(const char *site)
{
    return strcmp(site, "alloc") == 0;
}

KIN_TEST(G10_G15_a_start_for_which_there_is_no_memory_fails_the_group_by_name)
{
    struct helper h = { .value = 1 };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin__os_fault = fail_copies;
    CHECK_CODE(kin_start(&g, helper, &h, .copy = sizeof h, .task = &task, .name = "server"),
               -ENOMEM);
    kin__os_fault = NULL;
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(kin_start(&g, helper, &h, .copy = sizeof h), 1);
    CHECK_CODE(kin_group_close(&g, 0), -ENOMEM);
    CHECK_STR(kin_error_last()->child->name, "server");
}

/* ------------------------------------------------------- ready, from anywhere in it */

static int ready_from_deep_inside(void *arg)
{
    struct act child = { .sleep = KIN_S(1) };
    kin_local local = { arg, arg, NULL };
    kin_scope s = kin_scope_open(.timeout = KIN_S(5), .local = &local);
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    kin_spawn(&g, ready_at_once, &(int){ 0 });  /* a child's word is not its parent's */
    CHECK_CODE(kin_yield(), 0);
    CHECK_CODE(kin_ready(6), 0);
    int rc = kin_group_close(&g, 0);
    CHECK(kin_local_get(arg) == arg);
    CHECK_CODE(child.woke, 0);
    *(int64_t *)arg = kin_now();
    return kin_scope_close(&s, rc);
}

KIN_TEST(G10_ready_takes_all_along_that_the_task_has_open)
{
    int64_t start = kin_now(), end = 0;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, ready_from_deep_inside, &end), 6);
    CHECK_INT(kin_now() - start, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(end - start, KIN_S(1));
}

static int ready_behind_a_shield(void *arg)
{
    kin_scope s = kin_scope_open(.shield = KIN_S(1));
    int64_t start;

    kin_cancel((kin_group *)arg, NULL);
    CHECK_CODE(kin_ready(1), 0);
    start = kin_now();
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(1));     /* its time began with the move */
    return kin_scope_close(&s, KIN_ECANCELED);
}

KIN_TEST(G10_a_shield_that_moves_into_a_cancelled_group_begins_to_count)
{
    kin_group starters = kin_group_open(), g = kin_group_open();
    struct starter s = { .home = &g, .fn = ready_behind_a_shield, .arg = &g };

    kin_spawn(&starters, start_it, &s);
    kin_yield();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK_CODE(s.rc, 1);
}

static int wait_for_the_end(void *arg)
{
    *(int *)arg = kin_wait_cancelled();
    trace("told");
    return 0;
}

static int moves_into_a_soft_group(void *arg)
{
    int rc = -1;
    kin_group inner = kin_group_open();

    kin_spawn(&inner, wait_for_the_end, &rc);
    CHECK_CODE(kin_yield(), 0);
    kin_cancel((kin_group *)arg, NULL);
    CHECK_CODE(kin_ready(1), 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    trace("later");
    CHECK_CODE(rc, 0);
    return kin_group_close(&inner, 0);
}

KIN_TEST(G10_who_moves_into_a_softly_cancelled_group_is_told_softly)
{
    kin_group starters = kin_group_open(), g = kin_group_open(.grace = KIN_S(5));
    struct starter s = { .home = &g, .fn = moves_into_a_soft_group, .arg = &g };

    kin_spawn(&starters, start_it, &s);
    kin_yield();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&starters, 0), 0);
    CHECK_TRACE("told later");
}

KIN_TEST(G10_a_negative_value_is_refused)
{
    CHECK_CODE(kin_ready(-1), KIN_EINVAL);
}

TEST(G10_outside_of_a_run_nothing_is_ready)
{
    struct helper h = { .value = 1 };
    kin_group g = { NULL, 0 };

    CHECK_CODE(kin_ready(0), KIN_ENORUN);
    CHECK_CODE(kin_start(&g, helper, &h), KIN_ENORUN);
}

/* -------------------------------------------------------------------------- nested */

static int starts_another(void *arg)
{
    static struct helper h;
    kin_group *home = arg;

    h = (struct helper){ .before = KIN_S(1), .value = 5, .after = KIN_S(1) };
    return kin_ready(kin_start(home, helper, &h) + 1);
}

KIN_TEST(G10_a_task_that_is_being_started_starts_another)
{
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, starts_another, &g), 6);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
}

static int start_one_of_many(void *arg)
{
    kin_group *home = arg;
    static struct helper h = { .before = KIN_US(1), .value = 1, .after = KIN_US(1) };

    return kin_start(home, helper, &h, .copy = sizeof h) == 1 ? 0 : -EIO;
}

KIN_TEST(G10_a_thousand_starts_under_a_limit)
{
    kin_group starters = kin_group_open(), g = kin_group_open(.limit = 7);

    for (int i = 0; i < 1000; i++)
        kin_spawn(&starters, start_one_of_many, &g);
    settle();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&starters, 0), 0);
}

/* ---------------------------------------------------------------------------- traps */

KIN_TEST(T29_a_start_that_fails_in_its_first_step_hangs_nobody)
{
    int code = -EIO;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_start(&g, give, &code), -EIO);
    CHECK_CODE(kin_start(&g, NULL, NULL), KIN_EINVAL);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EINVAL);     /* a refused spawn, as ever */
}

/* ---------------------------------------------- a service that starts a task */

static int wait_then_ready(void *arg)
{
    int rc = kin_event_wait(arg);

    return rc < 0 ? rc : kin_ready(3);
}

static kin_group *served;
static int start_code;

static int start_beside(void *arg)
{
    start_code = kin_start(served, wait_then_ready, arg, .name = "started");
    return start_code < 0 ? start_code : 0;
}

KIN_TEST(G10_G11_what_a_service_starts_does_not_keep_its_group_alive)
{
    kin_event never = { 0 };
    kin_group g = kin_group_open();

    served = &g;
    kin_spawn(&g, start_beside, &never, .service = true, .name = "service");
    settle();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(start_code, KIN_ECANCELED);
}

KIN_TEST(G10_G11_what_a_service_has_started_is_waited_for)
{
    kin_event go = { 0 };
    struct kin_group_counts counts;
    kin_group g = kin_group_open(.limit = 1);

    served = &g;
    kin_spawn(&g, start_beside, &go, .service = true, .name = "service");
    settle();
    kin_event_set(&go);
    settle();
    CHECK_CODE(start_code, 3);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.accepted, 1);
    CHECK_INT(counts.ok, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
