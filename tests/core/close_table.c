/* What closing a group returns, over all combinations of what may have happened
 * in it (docs/semantics.md E4):
 *   1. the policy's failure: the earliest real failure of child or body;
 *   2. KIN_ECANCELED if an outer scope is cancelled and this group was told;
 *   3. KIN_ETIMEDOUT if its own deadline fired and it was told;
 *   4. the body's own non-negative code. */
#include "kin_test.h"

enum child_ends { NO_CHILD, CHILD_OK, CHILD_FAILS, CHILD_FAILS_WHEN_CANCELLED };
enum told { NOBODY, BODY, CHILD };

struct row {
    kin_policy policy;
    enum child_ends child;
    bool outer, hand, own;
    enum told told;
    int rc;
};

static int fail_or_not(void *arg)
{
    return *(enum child_ends *)arg == CHILD_FAILS ? -EPERM : 0;
}

static int fail_when_cancelled(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_FOREVER) == KIN_ECANCELED ? -EPERM : 0;
}

static int note_cancel(void *arg)
{
    (void)arg;
    return kin_sleep(KIN_FOREVER);
}

static bool cancelled(const struct row *row)
{
    return row->outer || row->hand || row->own;
}

static bool possible(const struct row *row)
{
    if (row->told && !cancelled(row))
        return false;                   /* of what would it be told? */
    if (row->child == CHILD_FAILS_WHEN_CANCELLED && !cancelled(row))
        return false;                   /* would sleep for ever */
    if (row->told == CHILD && row->child == CHILD_FAILS && row->policy == KIN_ALL)
        return false;                   /* told by its sibling, before */
    if (row->rc == KIN_ECANCELED && row->told != BODY && cancelled(row))
        return false;                   /* whether it made that up cannot be seen */
    return !(row->hand && row->own);    /* the first reason's */
}

/* Of a KIN_ECANCELED by the body: a failure if nothing cancelled the group. */
static bool body_failed(const struct row *row)
{
    return row->rc < 0 && (row->rc != KIN_ECANCELED || !cancelled(row));
}

/* The deadline passes before the body closes; other cancels come in its last turn. */
static bool child_failed_first(const struct row *row)
{
    return row->child == CHILD_FAILS || (row->child == CHILD_FAILS_WHEN_CANCELLED && row->own);
}

static int model(const struct row *row)
{
    if (child_failed_first(row))
        return -EPERM;
    if (body_failed(row))
        return row->rc;
    if (row->child == CHILD_FAILS_WHEN_CANCELLED)
        return -EPERM;
    if (row->outer && row->told)
        return KIN_ECANCELED;
    if (row->own && row->told)
        return KIN_ETIMEDOUT;
    return row->rc < 0 ? 0 : row->rc;
}

/* Time passes, and the children take their turns, without the body being told. */
static void pass_time(int64_t duration)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    CHECK_CODE(kin_sleep(duration), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

static void happen(struct row *row, kin_group *g, kin_scope *outer)
{
    if (row->child == CHILD_OK || row->child == CHILD_FAILS)
        CHECK_CODE(kin_spawn(g, fail_or_not, &row->child), 0);
    if (row->told == CHILD)
        CHECK_CODE(kin_spawn(g, note_cancel, NULL), 0);
    pass_time(KIN_MS(1));
    if (row->own)
        pass_time(KIN_S(2));
    if (row->outer)
        kin_cancel(outer, NULL);
    if (row->hand)
        kin_cancel(g, NULL);
    if (row->told == BODY)
        CHECK_CODE(kin_yield(), KIN_ECANCELED);
}

static void check_row(struct row *row)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open(.policy = row->policy, .timeout = row->own ? KIN_S(1) : 0);

    if (row->child == CHILD_FAILS_WHEN_CANCELLED)
        kin_spawn(&g, fail_when_cancelled, NULL);
    happen(row, &g, &outer);
    int got = kin_group_close(&g, row->rc), wanted = model(row);
    if (got != wanted)
        FAIL("policy %d, child %d, outer %d, by hand %d, own deadline %d, told %d, rc %s: "
             "got %s, wanted %s",
             row->policy, row->child, row->outer, row->hand, row->own, row->told,
             row->rc ? kin_code_name(row->rc) : "0", got ? kin_code_name(got) : "0",
             wanted ? kin_code_name(wanted) : "0");
    CHECK_CODE(kin_yield(), row->outer ? KIN_ECANCELED : 0);
    kin_scope_close(&outer, 0);
    CHECK_CODE(kin_yield(), 0);
    drop_reports();
}

static void check_all_of(kin_policy policy)
{
    const int rc[] = { 0, 7, -EIO, KIN_ECANCELED };
    int checked = 0;

    for (int i = 0; i < 4 * 2 * 2 * 2 * 3 * 4; i++) {
        struct row row = { policy, (enum child_ends)(i % 4), i / 4 % 2, i / 8 % 2, i / 16 % 2,
                           (enum told)(i / 32 % 3), rc[i / 96] };

        if (!possible(&row))
            continue;
        check_row(&row);
        checked++;
    }
    CHECK(checked > 100);
}

KIN_TEST(E4_what_closing_a_group_returns_table_of_all)
{
    check_all_of(KIN_ALL);
}

KIN_TEST(E4_what_closing_a_group_returns_table_of_keep_going)
{
    check_all_of(KIN_KEEP_GOING);
}

/* ------------------------------------------- the rows that have names elsewhere */

KIN_TEST(taskgroup_18_the_body_turns_the_cancel_into_an_error_of_its_own)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_yield(), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, -EIO), -EIO);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(taskgroup_17_cancelled_without_children)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_group_close(&g, kin_sleep(KIN_S(1))), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, KIN_ECANCELED), 0);
}

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EPERM;
}

KIN_TEST(taskgroup_19_a_child_s_error_and_the_body_s_are_both_in_the_tree)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_at_once, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, -EIO), -EPERM);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EPERM)), 1);
    CHECK_INT(kin_error_count(kin_error_last(), kin_match_code(-EIO)), 1);
    CHECK_CODE(kin_yield(), 0);
}

/* By rule E4 the failure ranks above the cancel that came before it. */
KIN_TEST(cancellation_in_body)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_spawn(&g, fail_when_cancelled, NULL);
    pass_time(1);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_sleep(KIN_S(1)), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK(kin_cancelled() != NULL);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

KIN_TEST(E4_failed_cancelled_and_timed_out_all_stay_readable)
{
    struct kin_scope_state state;
    struct kin_group_counts counts;
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open(.timeout = KIN_S(1), .policy = KIN_KEEP_GOING);

    kin_spawn(&g, fail_at_once, NULL);
    kin_spawn(&g, note_cancel, NULL);
    CHECK_CODE(kin_sleep(KIN_S(9)), KIN_ECANCELED);
    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_group_look(&g, &state), 0);
    CHECK(state.timed_out && state.expired && state.told);
    CHECK_CODE(kin_group_count(&g, &counts), 0);
    CHECK_INT(counts.failed, 1);
    CHECK(kin_cancelled() != NULL);
    CHECK_CODE(kin_group_close(&g, 0), -EPERM);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}

/* A spawn that was refused tells the group, too. */
KIN_TEST(E4_a_refused_spawn_tells_the_group)
{
    kin_scope outer = kin_scope_open();
    kin_group g = kin_group_open();

    kin_cancel(&outer, NULL);
    CHECK_CODE(kin_spawn(&g, fail_at_once, NULL), KIN_ECANCELED);
    CHECK_CODE(kin_group_close(&g, 5), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&outer, 0), 0);
}
