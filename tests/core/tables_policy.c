/* The table of the policies (docs/semantics.md G3): three tasks with each fate, under
 * each policy, with a body that closes before or after them, well or with a failure of
 * its own. What must come of it is worked out event by event, from the text. */
#include "kin_test.h"

enum fate { ABSENT, SUCCEEDS, FAILS, TIMES_OUT, MAY_TIME_OUT, SINGLY, SKIPPED, FATES };
enum policy { ALL, KEEP_GOING, ANY, QUORUM_1, QUORUM_2, QUORUM_3, QUORUM_4, TWO_ENDED, POLICIES };
enum { TASKS = 3 };

struct child {
    enum fate fate;
    struct act act;
    kin_task task;
    kin_status status;          /* the model's */
};

/* What the model knows of a group. */
struct model {
    enum policy policy;
    uint32_t quorum;            /* 0: of no importance */
    int failure, ok, ended, live;
    bool closing, decided;
    kin_reason_kind cancelled;
};

static uint32_t quorum_of(enum policy policy)
{
    static const uint32_t quorum[POLICIES] = { [ANY] = 1, [QUORUM_1] = 1, [QUORUM_2] = 2,
                                               [QUORUM_3] = 3, [QUORUM_4] = 4 };

    return quorum[policy];
}

/* -------------------------------------------------------------------- the model */

static void cancel(struct model *m, kin_reason_kind why)
{
    if (!m->cancelled)
        m->cancelled = why;
}

static void fail(struct model *m, int rc)
{
    if (!m->failure)
        m->failure = rc;
    if (m->policy == ALL)
        cancel(m, KIN_BY_SIBLING);
}

static void judge(struct model *m)
{
    bool out_of_reach = m->closing && m->live > 0 && (uint32_t)(m->ok + m->live) < m->quorum;

    if ((m->quorum && (uint32_t)m->ok >= m->quorum) || (m->policy == TWO_ENDED && m->ended >= 2))
        m->decided = true;
    if (m->decided || out_of_reach)
        cancel(m, KIN_BY_DECISION);
}

static void end_child(struct model *m, struct child *c, int number)
{
    static const kin_status status[FATES] = { KIN_PENDING, KIN_OK, KIN_FAILED, KIN_TIMED_OUT,
                                              KIN_TIMED_OUT, KIN_CANCELLED, KIN_SKIPPED };
    bool early = c->fate == SINGLY || c->fate == SKIPPED;

    if (c->fate == ABSENT)
        return;
    c->status = m->cancelled && !early ? KIN_CANCELLED : status[c->fate];
    m->live--;
    m->ok += c->status == KIN_OK;
    m->ended += c->status == KIN_OK || c->status == KIN_FAILED || c->status == KIN_TIMED_OUT;
    if (c->status == KIN_FAILED)
        fail(m, -number);
    if (c->status == KIN_TIMED_OUT && c->fate == TIMES_OUT)
        fail(m, KIN_ETIMEDOUT);
    judge(m);
}

static void end_body(struct model *m, int rc)
{
    if (rc < 0)
        fail(m, rc);
    m->closing = true;
    judge(m);
}

/* Who is cancelled before anything else happens, then the body or the others. */
static int play(struct model *m, struct child *child, int body, bool body_first)
{
    for (int i = 0; i < TASKS; i++)
        m->live += child[i].fate != ABSENT;
    for (int i = 0; i < TASKS; i++)
        if (child[i].fate == SINGLY || child[i].fate == SKIPPED)
            end_child(m, &child[i], i + 1);
    if (body_first)
        end_body(m, body);
    for (int i = 0; i < TASKS; i++)
        if (child[i].fate != SINGLY && child[i].fate != SKIPPED)
            end_child(m, &child[i], i + 1);
    if (!body_first)
        end_body(m, body);
    if (m->decided)
        return 0;
    if (m->failure)
        return m->failure;
    return m->quorum ? KIN_ENOQUORUM : body;
}

/* -------------------------------------------------------------------- what happens */

static bool after_two(const struct kin_ending *ending, void *arg)
{
    (void)arg;
    return ending->counts.ok + ending->counts.failed + ending->counts.timed_out >= 2;
}

static kin_group open_group(enum policy policy)
{
    kin_policy like = KIN_QUORUM;

    if (policy <= ANY)
        like = (kin_policy)policy;
    if (policy == TWO_ENDED)
        like = KIN_CUSTOM;
    return kin_group_open(.policy = like, .quorum = quorum_of(policy), .decide = after_two);
}

static void start_child(kin_group *g, struct child *c, int number)
{
    bool limited = c->fate == TIMES_OUT || c->fate == MAY_TIME_OUT;

    c->act = (struct act){ .sleep = KIN_S(limited ? 9 : number) };
    if (c->fate == ABSENT)
        return;
    if (c->fate == FAILS)
        c->act.result = -number;
    CHECK_CODE(kin_spawn(g, act, &c->act, .task = &c->task, .timeout = limited ? KIN_S(number) : 0,
                         .optional = c->fate == MAY_TIME_OUT, .skip_cancelled = c->fate == SKIPPED,
                         .copy = c->fate == SKIPPED ? sizeof c->act : 0), 0);
    if (c->fate == SINGLY || c->fate == SKIPPED)
        kin_cancel(&c->task, "singly");
}

/* The order of ending: who succeeds, fails or times out does so in turn. */
static void check_children(const struct child *child, const struct model *m)
{
    uint64_t last = 0;

    for (int i = 0; i < TASKS; i++) {
        const struct child *c = &child[i];
        bool done = c->status != KIN_CANCELLED && c->status != KIN_SKIPPED;

        if (c->fate == ABSENT)
            continue;
        CHECK_STR(kin_status_name(c->task.status), kin_status_name(c->status));
        if (c->status == KIN_CANCELLED)
            CHECK_STR(kin_reason_name(c->task.reason.kind),
                      kin_reason_name(c->fate == SINGLY ? KIN_BY_HAND : m->cancelled));
        if (done)
            CHECK(c->task.order > last);
        last = done ? c->task.order : last;
    }
}

static void check_row(enum policy policy, const enum fate fate[TASKS], int body, bool body_first)
{
    struct child child[TASKS] = { { .fate = fate[0] }, { .fate = fate[1] }, { .fate = fate[2] } };
    struct model m = { .policy = policy, .quorum = quorum_of(policy) };
    int wanted = play(&m, child, body, body_first);
    kin_group g = open_group(policy);

    tap_note("policy %d of %d, %d, %d, body %d, which closes %s", policy, fate[0], fate[1],
             fate[2], body, body_first ? "first" : "last");
    for (int i = 0; i < TASKS; i++)
        start_child(&g, &child[i], i + 1);
    settle();
    if (!body_first)
        kin_sleep(KIN_S(4));
    CHECK_CODE(kin_group_close(&g, body), wanted);
    check_children(child, &m);
}

static void check_policy(enum policy policy)
{
    static const int body[] = { 0, 9, -100 };

    for (int row = 0; row < FATES * FATES * FATES; row++) {
        enum fate fate[TASKS] = { (enum fate)(row % FATES), (enum fate)(row / FATES % FATES),
                                  (enum fate)(row / FATES / FATES) };

        for (int i = 0; i < 3 * 2; i++)
            check_row(policy, fate, body[i % 3], i / 3);
    }
}

#define POLICY_TABLE(policy)                                                              \
    KIN_TEST_LIMIT(G3_table_of_policy_##policy, 60)                                       \
    {                                                                                     \
        check_policy(policy);                                                             \
    }

POLICY_TABLE(ALL)
POLICY_TABLE(KEEP_GOING)
POLICY_TABLE(ANY)
POLICY_TABLE(QUORUM_1)
POLICY_TABLE(QUORUM_2)
POLICY_TABLE(QUORUM_3)
POLICY_TABLE(QUORUM_4)
POLICY_TABLE(TWO_ENDED)
