/* The tables of docs/semantics.md, each over all combinations of its inputs, beside a
 * second table written here from the text: what closing a group and a scope returns and
 * what can be seen before (E4, D2), and how a task ended (D2, D3, G14). The table of the
 * policies (G3) is in tables_policy.c.
 *
 * Each row is made to happen by the clock: the child ends after 1 ms, the scope's own
 * cancellation comes after 2, the outer one after 3, and after 4 somebody is told, or
 * nobody. A grace is so long that it never ends. */
#include "kin_test.h"

enum own { NO_OWN, BY_HAND, BY_DEADLINE, OWNS };
enum outer { NO_OUTER, SOFT, HARD, OUTERS };

static const int code[] = { 0, 7, -EIO, KIN_ECANCELED, KIN_ETIMEDOUT, KIN_EDECIDED, -ECANCELED,
                            -ETIMEDOUT };
enum { CODES = sizeof code / sizeof code[0] };

static const char *code_name(int rc)
{
    return rc < 0 ? kin_code_name(rc) : rc ? "a number" : "0";
}

/* Time passes without the body being told of anything. */
static void pass_until(int64_t time)
{
    kin_scope s = kin_scope_open(.shield = KIN_FOREVER);

    CHECK_CODE(kin_sleep_until(time), 0);
    CHECK_CODE(kin_scope_close(&s, 0), 0);
}

/* ------------------------------------------------------------- E4, D2: groups */

enum child { NO_CHILD, SUCCEEDS, FAILS, TIMES_OUT, MAY_TIME_OUT, SINGLY, SKIPPED, CHILDREN };
enum told { NOBODY, BODY, CHILD, SPAWNER, TOLDS };
enum policy { ALL, KEEP_GOING, ANY, QUORUM_1, QUORUM_2, NEVER_DECIDES, DECIDES, POLICIES };

struct row {
    enum policy policy;
    enum child child;
    enum own own;
    enum outer outer;
    enum told told;
    bool grace;
    int rc;
};

/* What the text says about it. */
struct model {
    bool decided, own, expired, hard, cancelled, told;
};

static bool child_fails(const struct row *row)
{
    return row->child == FAILS || row->child == TIMES_OUT;
}

static bool decides(const struct row *row)
{
    if (row->policy == DECIDES)
        return row->child != NO_CHILD;
    return row->child == SUCCEEDS && (row->policy == ANY || row->policy == QUORUM_1);
}

/* The first cancellation of its own stands. */
static struct model before_close(const struct row *row)
{
    struct model m = { .decided = decides(row) };
    bool early = m.decided || (row->policy == ALL && child_fails(row));

    m.own = early || row->own;
    m.expired = !early && row->own == BY_DEADLINE;
    m.hard = (m.own && !row->grace) || row->outer == HARD;
    m.cancelled = m.own || row->outer;
    m.told = row->told == CHILD ? m.cancelled : row->told != NOBODY && m.hard;
    return m;
}

static bool is_echo(int rc, const struct model *m)
{
    switch (kin_class(rc)) {
    case KIN_CLASS_CANCEL:
        return m->cancelled;
    case KIN_CLASS_TIMEOUT:
        return m->expired && m->told;
    default:
        return rc == KIN_EDECIDED && m->decided;
    }
}

static int model_of_group(const struct row *row, struct model m)
{
    bool outer_counts = m.own && !row->grace ? row->outer == HARD : row->outer != NO_OUTER;

    if (m.decided)
        return 0;
    if (child_fails(row))
        return row->child == FAILS ? -EPERM : KIN_ETIMEDOUT;
    if (row->rc < 0 && !is_echo(row->rc, &m))
        return row->rc;
    if (row->rc == KIN_ECANCELED)
        m.told = true;                          /* the body says so itself */
    if (m.told && outer_counts)
        return KIN_ECANCELED;
    if (m.told && m.expired)
        return KIN_ETIMEDOUT;
    if (row->policy == ANY || row->policy == QUORUM_1 || row->policy == QUORUM_2)
        return KIN_ENOQUORUM;
    return row->rc < 0 ? 0 : row->rc;
}

/* Of what would it be told? And a spawn that is not refused tells nothing. */
static bool possible(const struct row *row)
{
    struct model m = before_close(row);

    if (row->told == CHILD)
        return m.cancelled;
    return row->told != SPAWNER || m.hard || m.decided;
}

static int be_child(void *arg)
{
    enum child child = *(enum child *)arg;

    if (child == SUCCEEDS || child == FAILS)
        CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    if (child == SUCCEEDS || child == FAILS)
        return child == FAILS ? -EPERM : 0;
    CHECK_CODE(kin_sleep(KIN_FOREVER), KIN_ECANCELED);
    return KIN_ECANCELED;
}

static int be_told(void *arg)
{
    (void)arg;
    kin_wait_cancelled();
    return KIN_ECANCELED;
}

static bool after_the_child(const struct kin_ending *ending, void *decides)
{
    return *(bool *)decides && strcmp(ending->name, "child") == 0;
}

static kin_group open_group(const struct row *row)
{
    static const kin_policy policy[] = { KIN_ALL, KIN_KEEP_GOING, KIN_ANY, KIN_QUORUM, KIN_QUORUM,
                                         KIN_CUSTOM, KIN_CUSTOM };
    static bool yes = true, no = false;

    return kin_group_open(.policy = policy[row->policy],
                          .quorum = row->policy == QUORUM_2 ? 2 : 0, .decide = after_the_child,
                          .decide_arg = row->policy == DECIDES ? &yes : &no,
                          .timeout = row->own == BY_DEADLINE ? KIN_MS(2) : 0,
                          .grace = row->grace ? KIN_S(50) : 0);
}

/* What happens in the first millisecond. */
static void happen_inside(const struct row *row, kin_group *g, int64_t start)
{
    static enum child child;            /* of the last row, where it is still read */
    static kin_task task;

    child = row->child;
    if (row->told == CHILD)
        CHECK_CODE(kin_spawn(g, be_told, NULL, .name = "told"), 0);
    if (child != NO_CHILD)
        CHECK_CODE(kin_spawn(g, be_child, &child, .name = "child", .task = &task,
                             .copy = sizeof child, .skip_cancelled = child == SKIPPED,
                             .timeout = child == TIMES_OUT || child == MAY_TIME_OUT ? KIN_MS(1) : 0,
                             .optional = child == MAY_TIME_OUT), 0);
    if (child == SKIPPED)
        kin_cancel(&task, NULL);
    pass_until(start + KIN_MS(1));
    if (child == SINGLY)
        kin_cancel(&task, NULL);
}

static void happen(const struct row *row, kin_group *g, kin_scope *outer, int64_t start)
{
    happen_inside(row, g, start);
    pass_until(start + KIN_MS(2));
    if (row->own == BY_HAND)
        kin_cancel(g, NULL);
    pass_until(start + KIN_MS(3));
    if (row->outer)
        kin_cancel(outer, NULL);
    pass_until(start + KIN_MS(4));
    if (row->told == BODY)
        CHECK_CODE(kin_yield(), before_close(row).hard ? KIN_ECANCELED : 0);
    if (row->told == SPAWNER)
        CHECK(kin_spawn(g, nothing, NULL) < 0);
}

static void check_state(const struct kin_scope_state *state, const struct model *m)
{
    CHECK_INT(state->cancelled, m->own);
    CHECK_INT(state->expired, m->expired);
    CHECK_INT(state->timed_out, m->expired && m->told);
    CHECK_INT(state->told, m->told);
}

static void check_group(const struct row *row)
{
    struct kin_scope_state state;
    struct model m = before_close(row);
    kin_scope outer = kin_scope_open(.grace = row->outer == SOFT ? KIN_S(50) : 0);
    int64_t start = kin_now();
    kin_group g = open_group(row);

    tap_note("policy %d, child %d, own %d, grace %d, outer %d, told %d, rc %s", row->policy,
             row->child, row->own, row->grace, row->outer, row->told, code_name(row->rc));
    happen(row, &g, &outer, start);
    CHECK_CODE(kin_group_look(&g, &state), 0);
    check_state(&state, &m);
    CHECK_CODE(kin_group_close(&g, row->rc), model_of_group(row, m));
    CHECK_INT(kin_now(), start + KIN_MS(4));
    CHECK_CODE(kin_check(), row->outer == HARD ? KIN_ECANCELED : 0);
    kin_scope_leave(&outer);
    CHECK_CODE(kin_check(), 0);
}

static int take(int *rest, int n)
{
    int taken = *rest % n;

    *rest /= n;
    return taken;
}

static void check_groups(enum policy policy)
{
    int checked = 0;

    for (int i = 0; i < CHILDREN * OWNS * OUTERS * TOLDS * 2 * CODES; i++) {
        int rest = i;
        struct row row = { .policy = policy };

        row.child = (enum child)take(&rest, CHILDREN);
        row.own = (enum own)take(&rest, OWNS);
        row.outer = (enum outer)take(&rest, OUTERS);
        row.told = (enum told)take(&rest, TOLDS);
        row.grace = take(&rest, 2);
        row.rc = code[take(&rest, CODES)];
        if (!possible(&row))
            continue;
        check_group(&row);
        checked++;
    }
    CHECK(checked > 2000);
}

#define GROUP_TABLE(policy)                                                               \
    KIN_TEST_LIMIT(E4_D2_table_of_closing_a_group_##policy, 60)                           \
    {                                                                                     \
        check_groups(policy);                                                             \
    }

GROUP_TABLE(ALL)
GROUP_TABLE(KEEP_GOING)
GROUP_TABLE(ANY)
GROUP_TABLE(QUORUM_1)
GROUP_TABLE(QUORUM_2)
GROUP_TABLE(NEVER_DECIDES)
GROUP_TABLE(DECIDES)

/* ------------------------------------------------------------- E4, D2, C5: scopes */

enum shield { NO_SHIELD, HOLDS, GIVES_WAY, SHIELDS };

/* A shield's time begins with a hard cancellation outside. */
static enum outer seen_outside(enum shield shield, enum outer outer)
{
    if (shield == NO_SHIELD)
        return outer;
    return shield == GIVES_WAY && outer == HARD ? HARD : NO_OUTER;
}

static int model_of_scope(const struct row *row, struct model m)
{
    bool outer_counts = m.own && !row->grace ? row->outer == HARD : row->outer != NO_OUTER;

    if (row->rc < 0 && !is_echo(row->rc, &m))
        return row->rc;
    if (row->rc == KIN_ECANCELED)
        m.told = true;
    if (m.told && outer_counts)
        return KIN_ECANCELED;
    if (m.told && m.expired)
        return KIN_ETIMEDOUT;
    return row->rc < 0 ? 0 : row->rc;
}

static void check_scope(struct row row, enum shield shield)
{
    static const int64_t holds[] = { 0, KIN_S(50), KIN_US(1) };
    struct kin_scope_state state;
    int64_t start = kin_now();
    kin_scope outer = kin_scope_open(.grace = row.outer == SOFT ? KIN_S(50) : 0);
    kin_scope s = kin_scope_open(.timeout = row.own == BY_DEADLINE ? KIN_MS(2) : 0,
                                 .grace = row.grace ? KIN_S(50) : 0, .shield = holds[shield]);
    bool outside = row.outer == HARD;
    struct model m;

    tap_note("own %d, grace %d, outer %d, shield %d, told %d, rc %s", row.own, row.grace,
             row.outer, shield, row.told, code_name(row.rc));
    pass_until(start + KIN_MS(2));
    if (row.own == BY_HAND)
        kin_cancel(&s, NULL);
    pass_until(start + KIN_MS(3));
    if (row.outer)
        kin_cancel(&outer, NULL);
    pass_until(start + KIN_MS(4));
    row.outer = seen_outside(shield, row.outer);
    m = before_close(&row);
    if (row.told == BODY)
        CHECK_CODE(kin_yield(), m.hard ? KIN_ECANCELED : 0);
    CHECK_CODE(kin_scope_look(&s, &state), 0);
    check_state(&state, &m);
    CHECK_CODE(kin_scope_close(&s, row.rc), model_of_scope(&row, m));
    CHECK_CODE(kin_check(), outside ? KIN_ECANCELED : 0);
    kin_scope_leave(&outer);
    CHECK_CODE(kin_check(), 0);
}

KIN_TEST(E4_D2_C5_table_of_closing_a_scope)
{
    for (int i = 0; i < OWNS * OUTERS * SHIELDS * 2 * 2 * CODES; i++) {
        int rest = i;
        struct row row = { .policy = KEEP_GOING, .child = NO_CHILD };

        row.own = (enum own)take(&rest, OWNS);
        row.outer = (enum outer)take(&rest, OUTERS);
        row.told = take(&rest, 2) ? BODY : NOBODY;
        row.grace = take(&rest, 2);
        row.rc = code[take(&rest, CODES)];
        check_scope(row, (enum shield)take(&rest, SHIELDS));
    }
}

/* --------------------------------------------------- D2, D3, G14: how a task ended */

enum singly { NEVER, BEFORE_ITS_LIMIT, AFTER_ITS_LIMIT, SINGLIES };

struct life {
    bool limit, told, optional;
    enum singly singly;
    enum outer group;
    int rc;
};

struct outcome {
    kin_status status;
    int code;
    bool timed_out, cancelled, fails;
    kin_reason_kind reason;
};

static kin_reason_kind reason_of(const struct life *l, bool expired)
{
    if (l->group)
        return KIN_BY_HAND;                     /* the outermost that can be seen */
    return expired ? KIN_BY_DEADLINE : l->singly ? KIN_BY_HAND : KIN_BY_NOBODY;
}

static kin_status status_of(const struct life *l, bool own, bool expired, bool told)
{
    bool group_counts = own ? l->group == HARD : l->group != NO_OUTER;

    if (l->rc >= 0)
        return KIN_OK;
    if (l->rc == KIN_ECANCELED && (own || l->group))
        return expired && !group_counts ? KIN_TIMED_OUT : KIN_CANCELLED;
    return l->rc == KIN_ETIMEDOUT && expired && told ? KIN_TIMED_OUT : KIN_FAILED;
}

static struct outcome model_of_task(const struct life *l)
{
    bool own = l->limit || l->singly, expired = l->limit && l->singly != BEFORE_ITS_LIMIT;
    bool reached = own || l->group == HARD, told = l->told && reached;
    struct outcome o = { .status = status_of(l, own, expired, told) };

    o.code = o.status == KIN_TIMED_OUT ? KIN_ETIMEDOUT : l->rc;
    o.timed_out = expired && (told || l->rc == KIN_ECANCELED);
    o.cancelled = reached || o.status == KIN_CANCELLED;
    o.reason = o.cancelled ? reason_of(l, expired) : KIN_BY_NOBODY;
    o.fails = o.status == KIN_FAILED || (o.status == KIN_TIMED_OUT && !l->optional);
    return o;
}

static int live(void *arg)
{
    const struct life *l = arg;

    pass_until(kin_now() + KIN_MS(4));
    if (l->told)
        kin_check();
    return l->rc;
}

static void check_life(struct life *l)
{
    kin_task task;
    struct outcome o = model_of_task(l);
    int64_t start = kin_now();
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING,
                                 .grace = l->group == SOFT ? KIN_S(50) : 0);

    tap_note("limit %d, optional %d, singly %d, group %d, told %d, rc %s", l->limit, l->optional,
             l->singly, l->group, l->told, code_name(l->rc));
    CHECK_CODE(kin_spawn(&g, live, l, .task = &task, .timeout = l->limit ? KIN_MS(2) : 0,
                         .optional = l->optional), 0);
    pass_until(start + KIN_MS(1));
    if (l->singly == BEFORE_ITS_LIMIT)
        kin_cancel(&task, NULL);
    pass_until(start + KIN_MS(3));
    if (l->singly == AFTER_ITS_LIMIT)
        kin_cancel(&task, NULL);
    if (l->group)
        kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), o.fails ? o.code : 0);
    CHECK_STR(kin_status_name(task.status), kin_status_name(o.status));
    CHECK_CODE(task.code, o.code);
    CHECK_INT(task.timed_out, o.timed_out);
    CHECK_INT(task.cancelled, o.cancelled);
    CHECK_STR(kin_reason_name(task.cancelled ? task.reason.kind : KIN_BY_NOBODY),
              kin_reason_name(o.reason));
}

KIN_TEST(D2_D3_G14_table_of_how_a_task_ended)
{
    for (int i = 0; i < 2 * 2 * 2 * SINGLIES * OUTERS * CODES; i++) {
        int rest = i;
        struct life l = { .limit = take(&rest, 2), .told = take(&rest, 2) };

        l.optional = take(&rest, 2);
        l.singly = (enum singly)take(&rest, SINGLIES);
        l.group = (enum outer)take(&rest, OUTERS);
        l.rc = code[take(&rest, CODES)];
        check_life(&l);
    }
}
