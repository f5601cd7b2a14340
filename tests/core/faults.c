/* Faults on request: .faults of a run (docs/semantics.md Q4). First that the hooks do what
 * they say; then that everything in this folder's part of kin stands them, one place
 * after the other, in whatever order tasks run. */
#include "kin_test.h"
#include "core/core.h"

#include <stdio.h>

static void drop_line(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int run_with(int (*fn)(void *), void *arg, struct kin_faults *faults, uint64_t seed)
{
    return kin_run(fn, arg, .virtual_clock = true, .backend = test_backend(), .faults = faults,
                   .seed = seed, .on_report = drop_line);
}

/* ------------------------------------------------------------ the hooks themselves */

static int three_sleeps(void *arg)
{
    int *codes = arg;

    for (int i = 0; i < 3; i++)
        codes[i] = kin_sleep(KIN_S(1));
    return 0;
}

TEST(Q4_the_task_of_the_kth_blocking_call_is_cancelled_before_it)
{
    for (int k = 1; k <= 3; k++) {
        struct kin_faults f = { .cancel_call = (uint64_t)k };
        int codes[3];

        CHECK_CODE(run_with(three_sleeps, codes, &f, 0), 0);
        for (int i = 0; i < 3; i++)
            CHECK_CODE(codes[i], i + 1 < k ? 0 : KIN_ECANCELED);
        CHECK_INT(f.calls, 3);
        CHECK_INT(f.waits, k - 1);
    }
}

TEST(Q4_the_task_that_parks_for_the_kth_time_is_cancelled_as_it_waits)
{
    for (int k = 1; k <= 3; k++) {
        struct kin_faults f = { .cancel_wait = (uint64_t)k };
        int codes[3];

        CHECK_CODE(run_with(three_sleeps, codes, &f, 0), 0);
        for (int i = 0; i < 3; i++)
            CHECK_CODE(codes[i], i + 1 < k ? 0 : KIN_ECANCELED);
        CHECK_INT(f.waits, k);
    }
}

static int why_cancelled(void *arg)
{
    (void)arg;
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    CHECK_INT(kin_cancelled()->kind, KIN_BY_HAND);
    CHECK_STR(kin_cancelled()->message, "injected fault");
    return KIN_ECANCELED;
}

TEST(Q4_the_reason_says_that_it_was_injected)
{
    struct kin_faults f = { .cancel_call = 1 };

    CHECK_CODE(run_with(why_cancelled, NULL, &f, 0), KIN_ECANCELED);
}

static int by_name(void *arg)
{
    struct act *a = arg;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &a[0], .name = "left alone");
    kin_spawn(&g, act, &a[1], .name = "chosen");
    CHECK_CODE(kin_sleep(1), 0);
    return kin_group_close(&g, 0);
}

TEST(Q4_only_the_named_task_s_calls_count)
{
    struct act a[2] = { { .sleep = KIN_S(1) }, { .sleep = KIN_S(1) } };
    struct kin_faults f = { .task = "chosen", .cancel_call = 1 };

    CHECK_CODE(run_with(by_name, a, &f, 0), 0);
    CHECK_CODE(a[0].woke, 0);
    CHECK_CODE(a[1].woke, KIN_ECANCELED);
    CHECK_INT(f.calls, 1);
}

static int helper_sleeps(void *arg)
{
    *(int *)arg = kin_sleep(KIN_MS(1));
    return 0;
}

static int with_a_helper(void *arg)
{
    CHECK_CODE(kin_system_spawn(helper_sleeps, arg, "helper"), 0);
    return kin_sleep(KIN_S(1));
}

TEST(Q4_helpers_are_left_alone)
{
    struct kin_faults f = { .cancel_call = 2 };
    int rc = -1;

    CHECK_CODE(run_with(with_a_helper, &rc, &f, 0), 0);
    CHECK_CODE(rc, 0);
    CHECK_INT(f.calls, 1);
}

static int copies(void *arg)
{
    int n = 0, *counter = &n;
    kin_group g = kin_group_open();

    (void)arg;
    for (int i = 0; i < 3; i++)
        kin_spawn(&g, nothing, &counter, .copy = sizeof counter);
    return kin_group_close(&g, 0);
}

TEST(Q4_the_kth_request_for_memory_fails)
{
    struct kin_faults f = { .fail_request = 0 };
    uint64_t requests;
    int failed = 0;

    CHECK_CODE(run_with(copies, NULL, &f, 0), 0);
    requests = f.requests;
    for (uint64_t k = 1; k <= requests; k++) {
        f = (struct kin_faults){ .fail_request = k };
        int rc = run_with(copies, NULL, &f, 0);
        CHECK(f.requests >= k);
        CHECK(rc == 0 || rc == -ENOMEM);        /* 0: kin could do without */
        failed += rc < 0;
    }
    CHECK(failed >= 3);                         /* at least the copies */
    f = (struct kin_faults){ .fail_request = requests + 1 };
    CHECK_CODE(run_with(copies, NULL, &f, 0), 0);
}

/* A task that forgets a scope for which there was no memory leaves nothing to the next
 * one that gets its record. */
static bool fail_all(const char *site)
{
    (void)site;
    return true;
}

static int forgets_an_unopened_scope(void *arg)
{
    enum { MOST = 100000 };
    static kin_scope scope[MOST];
    int n = 0;

    (void)arg;
    kin__os_fault = fail_all;
    do
        scope[n] = kin_scope_open();
    while (scope[n].state && ++n < MOST);
    kin__os_fault = NULL;
    CHECK(n < MOST);
    while (--n >= 0)
        CHECK_CODE(kin_scope_close(&scope[n], 0), 0);
    CHECK_CODE(kin_sleep(1), KIN_ECANCELED);
    return 0;
}

KIN_TEST(E5_a_forgotten_scope_without_memory_is_forgotten)
{
    struct act a[3] = { { .sleep = 1 }, { .sleep = 1 }, { .sleep = 1 } };

    for (int i = 0; i < 3; i++) {
        kin_group g = kin_group_open();
        kin_spawn(&g, i ? act : forgets_an_unopened_scope, &a[i]);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(a[i].woke, 0);
    }
}

/* ------------------------------------------------------------------ what is swept */

/* What a program may come to, with one fault somewhere: success, or a code that says so.
 * (The root itself may be whom it hits.) */
static bool is_clear(int rc)
{
    return rc >= 0 || rc == -ENOMEM || rc == KIN_ECANCELED || rc == KIN_ETIMEDOUT ||
           rc == KIN_ENOTREADY || rc == KIN_ENOQUORUM || rc == KIN_ESTALE;
}

static int beat(void *arg)
{
    int rc;

    while ((rc = kin_sleep(KIN_MS(5))) == 0)
        ++*(int *)arg;
    return rc;
}

static int fail_once(void *arg)
{
    int *runs = arg;
    int rc = kin_ready(1);

    if (rc < 0)
        return rc;
    rc = kin_sleep(KIN_MS(3));
    return rc < 0 ? rc : ++*runs == 1 ? -EIO : 0;
}

static int work(void *arg)
{
    kin_group g = kin_group_open();
    int rc = kin_spawn(&g, nothing, &g, .copy = 16);

    (void)arg;
    if (rc == 0)
        rc = kin_sleep(KIN_MS(1));
    return kin_group_close(&g, rc);
}

static int services(void *arg)
{
    int beats = 0, runs = 0, rc;
    kin_group g = kin_group_open(.limit = 2, .name = "services");

    (void)arg;
    kin_spawn(&g, beat, &beats, .service = true);
    rc = kin_start(&g, fail_once, &runs, .service = true, .restart = true);
    for (int i = 0; i < 5 && rc >= 0; i++)
        rc = kin_spawn(&g, work, NULL);
    return kin_group_close(&g, rc);
}

static int get_ready(void *arg)
{
    kin_group g = kin_group_open();
    int rc = kin_spawn(&g, work, NULL);

    if (rc == 0)
        rc = kin_sleep(KIN_MS(1));
    if (rc == 0)
        rc = kin_ready(*(int *)arg);
    return kin_group_close(&g, rc);
}

struct start {
    kin_group *home;
    int value, rc;
    kin_task task;
};

static int start_one(void *arg)
{
    struct start *s = arg;

    s->rc = kin_start(s->home, get_ready, &s->value, .copy = sizeof s->value, .task = &s->task);
    CHECK(s->rc == s->value || is_clear(s->rc));
    return s->rc;
}

static int starts(void *arg)
{
    struct start s[6];
    kin_group home = kin_group_open(.limit = 3, .policy = KIN_KEEP_GOING);
    kin_group starters = kin_group_open(.policy = KIN_KEEP_GOING);

    (void)arg;
    for (int i = 0; i < 6; i++) {
        s[i] = (struct start){ .home = &home, .value = i };
        kin_spawn(&starters, start_one, &s[i]);
    }
    int rc = kin_group_close(&starters, 0), rc2 = kin_group_close(&home, 0);
    for (int i = 0; i < 6; i++)                 /* who was ready is among them, and ended */
        CHECK(s[i].task.status != KIN_PENDING || s[i].task.id == 0);
    return rc < 0 ? rc : rc2;
}

static int nap(void *arg)
{
    return kin_sleep(*(int64_t *)arg);
}

static int combine(void *arg)
{
    int64_t naps[4] = { KIN_MS(4), KIN_MS(1), KIN_MS(3), KIN_MS(2) };
    kin_call calls[4];
    kin_task task[4], *set[4], *next;
    int rc, taken = 0;

    (void)arg;
    for (int i = 0; i < 4; i++)
        calls[i] = (kin_call){ .fn = nap, .arg = &naps[i] };
    rc = kin_gather(calls, 4, .limit = 3);
    if (rc == 0)
        rc = kin_race(calls, 4);
    if (rc >= 0)
        rc = kin_within_or(KIN_MS(2), 5, nap, &naps[0]);
    kin_group g = kin_group_open(.collect = true, .policy = KIN_QUORUM, .quorum = 3);
    for (int i = 0; i < 4; i++) {
        set[i] = &task[i];
        kin_spawn(&g, nap, &naps[i], .task = &task[i]);
    }
    if (rc >= 0)
        rc = kin_wait_tasks(set, 4, KIN_FIRST_COMPLETED);
    while (rc >= 0 && (rc = kin_next(&g, &next)) == 1)
        CHECK(next->status != KIN_PENDING && ++taken <= 4);
    return kin_group_close(&g, rc);
}

static int crowd(void *arg)
{
    static int64_t a_moment = KIN_MS(1);
    kin_task task[40], *set[40];
    int rc = 0;
    kin_local local = { .key = task, .value = set, .outer = NULL };
    kin_scope s = kin_scope_open(.local = &local);
    kin_group g = kin_group_open();

    (void)arg;
    for (int i = 0; i < 40; i++) {              /* more than find room on the stack */
        set[i] = &task[i];
        kin_spawn(&g, nap, &a_moment, .task = &task[i]);
    }
    rc = kin_wait_tasks(set, 40, KIN_ALL_COMPLETED);
    for (int i = 0; i < 40; i++)
        CHECK(!task[i].waiters);
    rc = kin_group_close(&g, rc < 0 ? rc : 0);
    return kin_scope_close(&s, rc);
}

typedef int program(void *arg);
static program *const programs[] = { services, starts, combine, crowd };
static const char *const names[] = { "services", "starts", "combine", "crowd" };
enum { PROGRAMS = 4, SEEDS = 6 };

/* Every k, until the counts stay below it. */
static void sweep_one(int p, uint64_t seed, size_t field, size_t count)
{
    int hit = 0;

    for (uint64_t k = 1; k < 100000; k++) {
        struct kin_faults f = { .task = NULL };

        *(uint64_t *)((char *)&f + field) = k;
        tap_note("%s, seed %llu, k %llu", names[p], (unsigned long long)seed,
                 (unsigned long long)k);
        int rc = run_with(programs[p], NULL, &f, seed);
        if (!is_clear(rc))
            FAIL("%s", kin_code_name(rc));
        if (*(uint64_t *)((char *)&f + count) < k)
            break;
        hit += rc < 0;
    }
    CHECK(hit > 0);
}

static void sweep_all(size_t field, size_t count)
{
    for (int p = 0; p < PROGRAMS; p++)
        for (uint64_t seed = 0; seed < SEEDS; seed++)
            sweep_one(p, seed, field, count);
}

TEST(Q4_every_request_for_memory_fails_once)
{
    sweep_all(offsetof(struct kin_faults, fail_request), offsetof(struct kin_faults, requests));
}

TEST(Q4_every_blocking_call_is_cancelled_once)
{
    sweep_all(offsetof(struct kin_faults, cancel_call), offsetof(struct kin_faults, calls));
}

TEST(Q4_every_wait_is_cancelled_once)
{
    sweep_all(offsetof(struct kin_faults, cancel_wait), offsetof(struct kin_faults, waits));
}

/* The same programs without faults, in hundreds of orders. */
TEST(Q4_the_programs_succeed_in_any_order)
{
    for (int p = 0; p < PROGRAMS; p++)
        for (uint64_t seed = 1; seed < 500; seed++) {
            tap_note("%s, seed %llu", names[p], (unsigned long long)seed);
            CHECK(run_with(programs[p], NULL, NULL, seed) >= 0);
        }
}
