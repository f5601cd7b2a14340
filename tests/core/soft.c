/* Waiting for a cancellation, soft or hard: kin_wait_cancelled (docs/semantics.md C6). */
#include "kin_test.h"

/* Waits to be told, then works on for a while, and says how all that went. */
struct polite {
    int64_t work;
    int told, worked;
    int64_t told_at, ended_at;
    kin_reason why;
};

static int polite(void *arg)
{
    struct polite *p = arg;

    p->told = kin_wait_cancelled();
    p->told_at = kin_now();
    p->why = *kin_cancelled();
    p->worked = p->work ? kin_sleep(p->work) : 0;
    p->ended_at = kin_now();
    return KIN_ECANCELED;
}

KIN_TEST(C6_a_task_waits_for_the_soft_cancellation_and_uses_the_grace)
{
    struct polite quick = { .work = KIN_S(1) }, slow = { .work = KIN_S(9) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.grace = KIN_S(3));

    kin_spawn(&g, polite, &quick);
    kin_spawn(&g, polite, &slow);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    kin_cancel(&g, "closing");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(quick.told, 0);
    CHECK_INT(quick.told_at - start, KIN_S(1));
    CHECK(quick.why.soft);
    CHECK_STR(quick.why.message, "closing");
    CHECK_CODE(quick.worked, 0);
    CHECK_INT(quick.ended_at - start, KIN_S(2));
    CHECK_CODE(slow.worked, KIN_ECANCELED);
    CHECK_INT(slow.ended_at - start, KIN_S(4));
}

KIN_TEST(C6_without_a_grace_it_is_told_at_once_and_hard)
{
    struct polite p = { .work = KIN_S(1) };
    kin_group g = kin_group_open();

    kin_spawn(&g, polite, &p);
    settle();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(p.told, KIN_ECANCELED);
    CHECK_CODE(p.worked, KIN_ECANCELED);
}

KIN_TEST(C6_cancelled_already_it_does_not_wait)
{
    kin_scope s = kin_scope_open(.cancelled = true, .grace = KIN_S(1)), h;
    int64_t start = kin_now();

    CHECK_CODE(kin_wait_cancelled(), 0);
    CHECK_CODE(kin_wait_cancelled(), 0);
    CHECK_INT(kin_now() - start, 0);
    h = kin_scope_open(.cancelled = true);
    CHECK_CODE(kin_wait_cancelled(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&h, 0), 0);
    CHECK_CODE(kin_sleep(KIN_S(2)), KIN_ECANCELED);
    CHECK_CODE(kin_wait_cancelled(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(C6_a_deadline_with_a_grace_wakes_who_waits_for_it)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(2), .grace = KIN_S(1));

    CHECK_CODE(kin_wait_cancelled(), 0);
    CHECK_INT(kin_now() - start, KIN_S(2));
    CHECK_INT(kin_cancelled()->kind, KIN_BY_DEADLINE);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    CHECK_INT(kin_now() - start, KIN_S(3));
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
}

static int polite_further_down(void *arg)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, polite, arg);
    return kin_group_close(&g, 0);
}

KIN_TEST(C6_the_soft_cancellation_is_told_all_the_way_down)
{
    struct polite p = { .work = KIN_S(1) };
    kin_group g = kin_group_open(.grace = KIN_S(3));

    kin_spawn(&g, polite_further_down, &p);
    settle();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(p.told, 0);
    CHECK_CODE(p.worked, 0);
}

static int polite_behind_a_shield(void *arg)
{
    kin_scope s = kin_scope_open(.shield = KIN_S(2), .timeout = KIN_S(9));

    polite(arg);
    return kin_scope_close(&s, KIN_ECANCELED);
}

KIN_TEST(C6_behind_a_shield_nobody_is_told_before_it_falls)
{
    struct polite p = { .work = 0 };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.grace = KIN_S(1));

    kin_spawn(&g, polite_behind_a_shield, &p);
    settle();
    start = kin_now();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(p.told, KIN_ECANCELED);
    CHECK_INT(p.told_at - start, KIN_S(3));     /* a second of grace, two of the shield */
}

KIN_TEST(C6_an_outer_hard_cancel_during_the_wait)
{
    struct polite p = { .work = KIN_S(1) };
    kin_group outer = kin_group_open(), g = kin_group_open(.grace = KIN_S(9));

    kin_spawn(&g, polite, &p);
    settle();
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, 0), 0);
    CHECK_CODE(p.told, KIN_ECANCELED);
}

KIN_TEST(C6_waiting_for_it_can_itself_be_limited)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    CHECK_CODE(kin_wait_cancelled(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_INT(kin_now() - start, KIN_S(1));
}

KIN_TEST(C6_a_task_cancelled_singly_is_told)
{
    struct polite p = { .work = 0 };
    kin_task task;
    kin_group g = kin_group_open(.grace = KIN_S(9));

    kin_spawn(&g, polite, &p, .task = &task);
    settle();
    kin_cancel(&task, "you");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(p.told, KIN_ECANCELED);          /* a task of its own has no grace */
    CHECK_STR(p.why.message, "you");
}

KIN_TEST(C6_soft_then_hard_in_one_turn_the_wait_has_succeeded)
{
    struct polite p = { .work = KIN_S(1) };
    kin_group outer = kin_group_open(), g = kin_group_open(.grace = KIN_S(9));

    kin_spawn(&g, polite, &p);
    settle();
    kin_cancel(&g, NULL);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_group_close(&g, 0), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&outer, 0), 0);
    CHECK_CODE(p.told, 0);
    CHECK_CODE(p.worked, KIN_ECANCELED);
}

KIN_TEST(C6_a_service_waits_for_its_end_and_not_for_the_group_s_cancellation)
{
    struct polite p = { .work = 0 };
    struct act a = { .sleep = KIN_S(2) };
    int64_t start = kin_now();
    kin_group g = kin_group_open(.grace = KIN_S(1));

    kin_spawn(&g, polite, &p, .service = true);
    kin_spawn(&g, act_cleanup, &a);
    settle();
    start = kin_now();
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(p.told_at - start, KIN_S(3));
    CHECK_INT(p.why.kind, KIN_BY_SHUTDOWN);
}

TEST(C6_outside_of_a_run_there_is_no_cancellation)
{
    CHECK_CODE(kin_wait_cancelled(), KIN_ENORUN);
}
