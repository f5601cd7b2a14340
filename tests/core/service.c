/* Services: helpers of a group that end after its ordinary tasks (docs/semantics.md G11). */
#include "kin_test.h"

#include <stdlib.h>

/* Works until it is cancelled; says when that was. */
struct service {
    int64_t cleanup;            /* how long its end takes, behind a shield */
    int result;                 /* what it returns then; 0: the sleep's code */
    int beats;
    int64_t at;
    kin_reason why;
};

static int serve(void *arg)
{
    struct service *s = arg;
    int rc;

    while ((rc = kin_sleep(KIN_MS(500))) == 0)
        s->beats++;
    s->at = kin_now();
    s->why = *kin_cancelled();
    if (s->cleanup) {
        kin_scope shield = kin_scope_open(.shield = KIN_FOREVER);
        CHECK_CODE(kin_scope_close(&shield, kin_sleep(s->cleanup)), 0);
    }
    return s->result ? s->result : rc;
}

/* --------------------------------------------------------------------- the end */

KIN_TEST(G11_a_service_ends_when_the_body_has_closed_and_the_last_task_has_ended)
{
    struct service s = { .cleanup = KIN_S(1) };
    struct act a = { .sleep = KIN_S(3) };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, serve, &s, .service = true, .task = &task, .name = "heart"), 0);
    kin_spawn(&g, act, &a);
    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_INT(s.beats, 3);
    CHECK_CODE(kin_group_close(&g, 4), 4);
    CHECK_INT(s.at - start, KIN_S(3));
    CHECK_INT(s.why.kind, KIN_BY_SHUTDOWN);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_INT(kin_now() - start, KIN_S(4));     /* close has waited for it */
}

KIN_TEST(G11_not_before_the_body_has_closed)
{
    struct service s = { 0 };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, serve, &s, .service = true);
    kin_spawn(&g, nothing, NULL);
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
    CHECK_INT(s.at, 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(s.at - start, KIN_S(5));
}

KIN_TEST(G11_while_a_cancelled_group_cleans_up_its_services_work)
{
    struct service s = { 0 };
    struct act a = { .sleep = KIN_S(2) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, serve, &s, .service = true);
    kin_spawn(&g, act_cleanup, &a);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(a.woke, KIN_ECANCELED);
    CHECK_INT(s.at - start, KIN_S(3));
    CHECK_INT(s.why.kind, KIN_BY_SHUTDOWN);
}

KIN_TEST(G11_an_outer_cancellation_does_not_reach_them_earlier)
{
    struct service s = { 0 };
    struct act a = { .sleep = KIN_S(2) };
    int64_t start = kin_now();
    kin_scope outer = kin_scope_open(.timeout = KIN_S(1));
    kin_group g = kin_group_open();

    kin_spawn(&g, serve, &s, .service = true);
    kin_spawn(&g, act_cleanup, &a);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_INT(s.at - start, KIN_S(3));
    CHECK_CODE(kin_scope_close(&outer, 0), KIN_ETIMEDOUT);
}

KIN_TEST(G11_services_of_a_group_that_is_left_are_joined)
{
    struct service s = { .cleanup = KIN_S(1) };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, serve, &s, .service = true);
    CHECK_CODE(kin_sleep(KIN_S(1) + 1), 0);
    kin_group_leave(&g);
    CHECK_INT(kin_now() - start, KIN_S(2) + 1);
    CHECK_INT(s.beats, 2);
}

static int forgets_its_group(void *arg)
{
    kin_group g = kin_group_open();

    return kin_spawn(&g, serve, arg, .service = true);
}

KIN_TEST(G11_services_of_a_forgotten_group_are_joined)
{
    static struct service s;
    kin_group g = kin_group_open();

    s = (struct service){ .cleanup = KIN_S(1) };
    kin_spawn(&g, forgets_its_group, &s, .name = "careless");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_REPORTED("ended with a group open");
}

KIN_TEST(G11_a_service_cancelled_at_its_end_tells_nobody)
{
    struct service s = { 0 };
    struct kin_scope_state state;
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, serve, &s, .service = true);
    CHECK_CODE(kin_group_close(&g, 3), 3);
    CHECK_CODE(kin_scope_look(&outer, &state), 0);
    CHECK(!state.told);
    CHECK_CODE(kin_scope_close(&outer, 3), 3);
}

KIN_TEST(G11_a_service_that_returns_0_just_ends)
{
    struct act a = { .sleep = KIN_S(1) }, other = { .sleep = KIN_S(2) };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a, .service = true, .task = &task);
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(other.woke, 0);
}

static int spawn_more(void *arg)
{
    kin_group *g = arg;
    int rc = kin_sleep(KIN_FOREVER);

    trace("%s", kin_code_name(kin_spawn(g, nothing, NULL)));
    trace("%s", kin_code_name(kin_spawn(g, nothing, NULL, .service = true)));
    kin_scope shield = kin_scope_open(.shield = KIN_FOREVER);
    trace("%s", kin_code_name(kin_start(g, nothing, NULL)));
    kin_scope_close(&shield, 0);
    return rc;
}

KIN_TEST(G11_nobody_is_spawned_once_services_are_being_ended)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, spawn_more, &g, .service = true);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("KIN_ECLOSED KIN_ECLOSED KIN_ECLOSED");
}

/* -------------------------------------------------------- what it does not count for */

KIN_TEST(G11_a_service_takes_no_place)
{
    struct service s = { 0 };
    struct act a = { .sleep = KIN_S(1) };
    int64_t start = kin_now();
    struct kin_group_counts counts;
    kin_group g = kin_group_open(.limit = 1);

    kin_spawn(&g, serve, &s, .service = true);
    kin_spawn(&g, serve, &s, .service = true);
    CHECK_CODE(kin_spawn(&g, act, &a, .dont_wait = true), 0);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.accepted, 1);
    CHECK_INT(counts.live, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

KIN_TEST(G11_a_service_s_success_decides_nothing)
{
    struct act slow = { .sleep = KIN_S(2) };
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, nothing, NULL, .service = true);
    kin_spawn(&g, act, &slow);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(slow.woke, 0);
    g = kin_group_open(.policy = KIN_QUORUM, .quorum = 1);
    kin_spawn(&g, nothing, NULL, .service = true);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ENOQUORUM);
}

static bool never(const struct kin_ending *ending, void *arg)
{
    (void)ending;
    ++*(int *)arg;
    return false;
}

KIN_TEST(G11_a_service_is_no_matter_for_decide_and_next)
{
    int asked = 0;
    kin_task task, *next;
    kin_group g = kin_group_open(.policy = KIN_CUSTOM, .decide = never, .decide_arg = &asked,
                                 .collect = true);

    kin_spawn(&g, nothing, NULL, .service = true, .task = &task);
    CHECK_CODE(kin_next(&g, &next), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(asked, 0);
    CHECK_INT(task.status, KIN_OK);
}

KIN_TEST(G11_a_decided_group_s_services_end_last)
{
    struct service s = { 0 };
    struct act winner = { .sleep = KIN_S(1) }, loser = { .sleep = KIN_S(1) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, serve, &s, .service = true);
    kin_spawn(&g, act_cleanup, &loser);
    kin_spawn(&g, act, &winner);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(s.at - start, KIN_S(1) + KIN_S(1));
}

/* ----------------------------------------------------------------------- failures */

KIN_TEST(G11_a_service_s_failure_is_reported_and_the_group_s)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, other = { .sleep = KIN_S(9) };
    struct service s = { 0 };
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &bad, .service = true, .name = "rotate", .index = 2);
    kin_spawn(&g, serve, &s, .service = true);
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_sleep(KIN_S(5)), KIN_ECANCELED);
    CHECK_REPORTED("a service's");
    CHECK_STR(kin_cancelled()->name, "rotate");
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_INT(other.why.kind, KIN_BY_SIBLING);
    CHECK_INT(kin_now() - start, KIN_S(1));
    const kin_error *leaf = kin_error_find(kin_error_last(), kin_match_code(-EIO));
    CHECK(leaf != NULL);
    CHECK_STR(leaf->name, "rotate");
    CHECK_INT(leaf->index, 2);
}

KIN_TEST(G11_a_service_that_fails_at_its_end_fails_the_group)
{
    struct service s = { .result = -ENOSPC };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, serve, &s, .service = true, .name = "log");
    CHECK_CODE(kin_group_close(&g, 0), -ENOSPC);
    CHECK_REPORTED("log");
}

KIN_TEST(G11_under_keep_going_a_failed_service_cancels_nobody)
{
    struct act bad = { .sleep = KIN_S(1), .result = -EIO }, other = { .sleep = KIN_S(2) };
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, act, &bad, .service = true, .name = "bad");
    kin_spawn(&g, act, &other);
    CHECK_CODE(kin_group_close(&g, 0), -EIO);
    CHECK_CODE(other.woke, 0);
    CHECK_REPORTED("bad");
}

KIN_TEST(G11_a_failed_service_and_a_decided_group)
{
    struct act bad = { .result = -EIO }, good = { .sleep = KIN_S(1) };
    kin_group g = kin_group_open(.policy = KIN_ANY);

    kin_spawn(&g, act, &bad, .service = true, .name = "bad");
    kin_spawn(&g, act, &good);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_REPORTED("bad");
}

KIN_TEST(G11_a_service_cancelled_singly_is_no_failure)
{
    struct service s = { 0 };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, serve, &s, .service = true, .task = &task);
    settle();
    CHECK_CODE(kin_cancel(&task, "not needed"), 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK_STR(task.reason.message, "not needed");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    g = kin_group_open(.keep_whole = true);
    kin_spawn(&g, serve, &s, .service = true, .task = &task);
    CHECK_CODE(kin_cancel(&task, NULL), KIN_EBUSY);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G11_a_service_s_own_limit)
{
    struct service s = { 0 }, t = { 0 };
    kin_task task[2];
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    kin_spawn(&g, serve, &s, .service = true, .timeout = KIN_S(1), .optional = true,
              .task = &task[0]);
    kin_spawn(&g, serve, &t, .service = true, .timeout = KIN_S(2), .restart = true,
              .task = &task[1], .name = "limited");
    CHECK_CODE(kin_sleep(KIN_S(3)), 0);
    CHECK_INT(s.at - start, KIN_S(1));
    CHECK_INT(task[0].status, KIN_TIMED_OUT);
    CHECK_INT(task[1].status, KIN_TIMED_OUT);   /* of all its runs: it is not started again */
    CHECK_CODE(kin_group_close(&g, 0), KIN_ETIMEDOUT);
    CHECK_REPORTED("limited");
}

/* --------------------------------------------------------------------- restarting */

struct flaky {
    int runs, good_from;
    int64_t works_for;
    int64_t began[16];
    bool leaves_open;
};

static int flaky(void *arg)
{
    struct flaky *f = arg;
    int run = f->runs++;

    if (run < 16)
        f->began[run] = kin_now();
    if (f->leaves_open)
        kin_group_open();
    if (f->works_for && kin_sleep(f->works_for) < 0)
        return KIN_ECANCELED;
    return f->good_from && f->runs > f->good_from ? 0 : kin_fail(-EIO, "broken pipe %d", run);
}

KIN_TEST(G11_a_failed_service_is_started_again_after_a_pause_that_grows)
{
    struct flaky f = { 0 };
    int64_t pause = KIN_MS(100);
    kin_group g = kin_group_open();

    kin_spawn(&g, flaky, &f, .service = true, .restart = true, .name = "flaky");
    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);      /* no failure of the group */
    CHECK(f.runs > 10);
    for (int i = 1; i < f.runs; i++) {
        CHECK_INT(f.began[i] - f.began[i - 1], pause);
        pause = pause * 2 < KIN_S(30) ? pause * 2 : KIN_S(30);
    }
    CHECK_INT(pause, KIN_S(30));
    CHECK_REPORTED("service flaky");
}

KIN_TEST(G11_each_restart_is_reported_with_the_reason)
{
    struct flaky f = { .good_from = 1 };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, flaky, &f, .service = true, .restart = true, .name = "flaky", .task = &task);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_HAS(test_reports(), "broken pipe 0");
    CHECK_REPORTED("started again in 100 ms");
    CHECK_INT(f.runs, 2);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(G11_after_it_has_worked_for_long_the_pause_is_short_again)
{
    struct flaky f = { 0 };
    kin_group g = kin_group_open();

    kin_spawn(&g, flaky, &f, .service = true, .restart = true);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);         /* began at 0, 0.1, 0.3, 0.7 */
    f.works_for = KIN_S(30);
    CHECK_CODE(kin_sleep(KIN_S(100)), 0);
    CHECK_INT(f.began[5] - f.began[4], KIN_S(30) + KIN_MS(100));
    CHECK_CODE(kin_group_close(&g, 0), 0);
    drop_reports();
}

KIN_TEST(G11_at_the_end_a_pause_is_not_waited_for)
{
    struct flaky f = { 0 };
    kin_task task;
    int64_t start = kin_now();
    kin_group g = kin_group_open();

    kin_spawn(&g, flaky, &f, .service = true, .restart = true, .task = &task);
    CHECK_CODE(kin_sleep(KIN_MS(50)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_MS(50));
    CHECK_INT(f.runs, 1);
    CHECK_INT(task.status, KIN_CANCELLED);
    drop_reports();
}

/* Had it failed a moment earlier, it would have been told in its pause. */
KIN_TEST(G11_who_would_be_started_again_and_fails_at_the_end_has_been_ended)
{
    struct service s = { .result = -EIO };
    kin_task task;
    kin_group g = kin_group_open();

    kin_spawn(&g, serve, &s, .service = true, .restart = true, .name = "log", .task = &task);
    settle();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(task.status, KIN_CANCELLED);
    CHECK(!strstr(test_reports(), "started again"));
    CHECK_REPORTED("it is being ended");
}

KIN_TEST(G11_a_run_that_says_cancelled_though_it_is_not_is_started_again)
{
    struct act a = { .result = KIN_ECANCELED };
    kin_group g = kin_group_open();

    kin_spawn(&g, act_anyway, &a, .service = true, .restart = true);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK(a.ran > 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_REPORTED("started again");
}

KIN_TEST(G11_a_run_that_leaves_a_group_open_has_it_closed_before_the_next)
{
    struct flaky f = { .good_from = 1, .leaves_open = true };
    kin_group g = kin_group_open();

    kin_spawn(&g, flaky, &f, .service = true, .restart = true, .name = "flaky");
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(f.runs, 2);
    CHECK_REPORTED("ended with a group open");
}

KIN_TEST(G11_only_services_are_started_again)
{
    kin_task task;
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, nothing, NULL, .restart = true, .task = &task), KIN_EINVAL);
    CHECK_INT(task.status, KIN_REFUSED);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EINVAL);
}

/* ------------------------------------------------------------ services that spawn */

struct spawner {
    kin_group *group;
    struct act ordinary[3];
    struct service inner;
    int rc[3];
};

static int spawn_from_a_service(void *arg)
{
    struct spawner *s = arg;

    CHECK_CODE(kin_spawn(s->group, serve, &s->inner, .service = true), 0);
    for (int i = 0; i < 3; i++)
        s->rc[i] = kin_spawn(s->group, act, &s->ordinary[i]);
    return 0;
}

KIN_TEST(G11_a_service_may_spawn_tasks_and_services)
{
    kin_group g;
    struct spawner s = { .group = &g, .ordinary = { { .sleep = KIN_S(1) }, { .sleep = KIN_S(2) },
                                                    { .sleep = KIN_S(3) } } };
    int64_t start = kin_now();

    g = kin_group_open();
    kin_spawn(&g, spawn_from_a_service, &s, .service = true);
    kin_yield();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_INT(s.inner.at - start, KIN_S(3));
}

KIN_TEST(G11_a_service_is_outside_of_the_limit_and_waits_for_room)
{
    kin_group g;
    struct spawner s = { .group = &g, .ordinary = { { .sleep = KIN_S(1) }, { .sleep = KIN_S(1) },
                                                    { .sleep = KIN_S(1) } } };
    struct act first = { .sleep = KIN_S(1) };
    int64_t start = kin_now();

    g = kin_group_open(.limit = 1);
    kin_spawn(&g, act, &first);
    kin_spawn(&g, spawn_from_a_service, &s, .service = true);
    kin_yield();
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK(kin_now() - start >= KIN_S(2));
    for (int i = 0; i < 3; i++)                 /* each ran, or was refused: nothing between */
        CHECK_INT(s.rc[i] == 0, s.ordinary[i].ran);
}

static int see_local(void *arg)
{
    trace("%s", (const char *)kin_local_get(arg));
    return 0;
}

KIN_TEST(G11_services_see_the_task_locals_of_their_group)
{
    int key;
    char value[] = "red";
    kin_local local = { &key, value, NULL };
    kin_scope s = kin_scope_open(.local = &local);
    kin_group g = kin_group_open();

    kin_spawn(&g, see_local, &key, .service = true);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_TRACE("red");
}

KIN_TEST(G11_a_dump_shows_services_as_such)
{
    struct service s = { 0 };
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    kin_group g = kin_group_open(.name = "server");

    CHECK(out != NULL);
    kin_spawn(&g, serve, &s, .service = true, .name = "heartbeat");
    settle();
    kin_dump(out);
    fclose(out);
    CHECK_HAS(text, "services");
    CHECK(strstr(text, "services") < strstr(text, "heartbeat"));
    free(text);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ------------------------------------------------------------------------ deadlock */

static int wait_for_ever(void *arg)
{
    return kin_event_wait(arg);
}

static int deadlocked_root(void *arg)
{
    kin_event never_set = { .set = false };
    kin_group g = kin_group_open();

    (void)arg;
    kin_spawn(&g, wait_for_ever, &never_set, .service = true, .name = "deaf");
    kin_spawn(&g, wait_for_ever, &never_set, .name = "lost");
    return kin_group_close(&g, 0);
}

TEST(G11_a_deadlock_with_services_ends_the_run)
{
    CHECK_CODE(test_run(deadlocked_root, NULL), KIN_ECANCELED);
    CHECK_HAS(test_reports(), "deaf");
    CHECK_REPORTED("deadlock");
}

/* ----------------------------------------------------- one group after the other */

static int short_life(void *arg)
{
    struct service s = { 0 };
    kin_group g = kin_group_open(.limit = 2);

    (void)arg;
    for (int i = 0; i < 3; i++)
        kin_spawn(&g, serve, &s, .service = true);
    for (int i = 0; i < 5; i++)
        kin_spawn(&g, nothing, NULL);
    return kin_group_close(&g, 0);
}

KIN_TEST(G11_thousands_of_groups_with_services_leave_nothing)
{
    kin_group g = kin_group_open();

    for (int i = 0; i < 2000; i++)
        kin_spawn(&g, short_life, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}
