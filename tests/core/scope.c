/* Scopes: what closing one returns, over all combinations of what may have
 * happened in it, and their block and scoped forms (docs/semantics.md E4, G2). */
#include "kin_test.h"

struct row {
    bool outer, hand, own, told;
    int rc;
};

/* Lets the deadline pass without anybody being told. */
static void pass_time(void)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    CHECK_CODE(kin_sleep(KIN_S(2)), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

/* "A negative rc that is not KIN_ECANCELED is returned as it is; then
 * KIN_ECANCELED if an outer scope is cancelled and a call inside said so,
 * KIN_ETIMEDOUT if its own deadline fired and a call said so, 0 if the scope was
 * cancelled by hand, rc." (A non-negative rc is a success all the same: C9, E4.) */
static int model(const struct row *row)
{
    if (row->rc < 0 && row->rc != KIN_ECANCELED)
        return row->rc;
    if (row->outer && row->told)
        return KIN_ECANCELED;
    if (row->own && row->told)
        return KIN_ETIMEDOUT;
    return row->hand && row->rc < 0 ? 0 : row->rc;
}

static void check_row(const struct row *row)
{
    kin_scope outer = kin_scope_open();
    kin_scope s = kin_scope_open(.timeout = row->own ? KIN_S(1) : 0);

    if (row->own)
        pass_time();
    if (row->hand)
        kin_cancel(&s, NULL);
    if (row->outer)
        kin_cancel(&outer, NULL);
    if (row->told)
        CHECK_CODE(kin_yield(), KIN_ECANCELED);
    int got = kin_scope_close(&s, row->rc), wanted = model(row);
    if (got != wanted)
        FAIL("outer %d, by hand %d, own deadline %d, told %d, rc %s: got %s, wanted %s",
             row->outer, row->hand, row->own, row->told, row->rc ? kin_code_name(row->rc) : "0",
             got ? kin_code_name(got) : "0", wanted ? kin_code_name(wanted) : "0");
    CHECK_CODE(kin_yield(), row->outer ? KIN_ECANCELED : 0);
    kin_scope_close(&outer, 0);
    CHECK_CODE(kin_yield(), 0);
}

/* Not in the table: by hand and by deadline together (the first reason's), and a
 * KIN_ECANCELED that no call has said, though one would have. */
KIN_TEST(E4_what_closing_a_scope_returns_table)
{
    const int rc[] = { 0, 7, -EIO, -ECANCELED, KIN_ECANCELED };

    for (int bits = 0; bits < 16; bits++) {
        struct row row = { bits & 1, bits & 2, bits & 4, bits & 8, 0 };
        bool cancelled = row.outer || row.hand || row.own;

        if ((row.told && !cancelled) || (row.hand && row.own))
            continue;
        for (size_t i = 0; i < sizeof rc / sizeof rc[0]; i++) {
            row.rc = rc[i];
            if (row.rc == KIN_ECANCELED && cancelled && !row.told)
                continue;
            check_row(&row);
        }
    }
}

KIN_TEST(T26_a_scope_opened_cancelled)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open(.cancelled = true);

    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.cancelled && state.told && !state.expired);
    CHECK_INT(state.reason.kind, KIN_BY_HAND);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

KIN_TEST(cancel_scope_nesting)
{
    kin_scope a = kin_scope_open(), b = kin_scope_open(), c = kin_scope_open();

    kin_cancel(&a, NULL);
    kin_cancel(&c, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&c, KIN_ECANCELED), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&b, KIN_ECANCELED), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&a, KIN_ECANCELED), 0);
    CHECK_CODE(kin_yield(), 0);
}

/* A scope that is closed before anybody was told delivers nothing. */
KIN_TEST(cancel_scope_exited_before_delivery)
{
    kin_scope s = kin_scope_open();

    kin_cancel(&s, NULL);
    CHECK_CODE(kin_scope_close(&s, 8), 8);
    CHECK_CODE(kin_yield(), 0);
}

KIN_TEST(cancel_scope_no_cancellederror)
{
    struct kin_scope_state state;
    kin_scope s = kin_scope_open();

    kin_cancel(&s, NULL);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    CHECK(state.cancelled && !state.told);
    CHECK_CODE(kin_scope_close(&s, -EIO), -EIO);
}

static int leave_by_return(void)
{
    kin_scoped_scope s = kin_scope_open(.timeout = KIN_S(1));

    return kin_sleep(KIN_MS(500));
}

KIN_TEST(G2_a_scoped_scope_ends_with_its_block)
{
    CHECK_CODE(leave_by_return(), 0);
    CHECK_INT(kin_deadline(), KIN_FOREVER);
    CHECK_CODE(kin_sleep(KIN_S(5)), 0);
}

KIN_TEST(G2_a_scope_block_stores_its_result)
{
    int rc = 99, inside = 0;

    KIN_SCOPE(rc, s, .timeout = KIN_S(1)) {
        inside = kin_sleep(KIN_S(2));
    }
    CHECK_CODE(inside, KIN_ECANCELED);
    CHECK_CODE(rc, KIN_ETIMEDOUT);
    rc = 99;
    KIN_SCOPE(rc, s, .timeout = KIN_S(1)) {
        break;
    }
    CHECK_CODE(rc, 0);
    CHECK_INT(kin_deadline(), KIN_FOREVER);
}

/* What the block says in rc is what it closes with. */
KIN_TEST(G2_a_block_closes_with_its_own_code)
{
    int rc = 99;

    KIN_SCOPE(rc, s, .shield = KIN_S(1))
        rc = kin_fail(-EIO, "no commit");
    CHECK_CODE(rc, -EIO);
    CHECK_STR(kin_error_last()->message, "no commit");
    KIN_SCOPE(rc, s)
        CHECK_CODE(rc, 0);
    KIN_GROUP(rc, g)
        rc = -EPERM;
    CHECK_CODE(rc, -EPERM);
    KIN_GROUP(rc, g)
        rc = 7;
    CHECK_CODE(rc, 7);
}

static int cancel_scope(void *arg)
{
    return kin_cancel((kin_scope *)arg, "from another task");
}

KIN_TEST(G13_another_task_may_cancel_a_scope)
{
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open();

    kin_spawn(&g, cancel_scope, &s, .name = "other");
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_STR(kin_cancelled()->message, "from another task");
    CHECK_STR(kin_cancelled()->name, "other");
    CHECK_CODE(kin_scope_close(&s, 0), 0);
    CHECK_CODE(kin_sleep(KIN_S(1)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* A child's scopes lie within its group's, never within its spawner's. */
KIN_TEST(G1_a_scope_of_the_spawner_is_none_of_the_child_s)
{
    struct act child = { .sleep = KIN_S(2) };
    kin_group g = kin_group_open();
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    kin_spawn(&g, act, &child);
    CHECK_CODE(kin_sleep(KIN_S(3)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(child.woke, 0);
}
