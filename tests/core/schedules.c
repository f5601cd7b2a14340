/* A few programs of the usual kinds under thousands of random schedules, and with every
 * fault that can be asked for (docs/semantics.md Q2, Q4). What the contract promises does
 * not depend on who runs first; the same seed gives the same schedule; and whatever is
 * cancelled or fails, the books of a program are right when its run is over.
 *
 * SCHEDULES=100000 ./schedules runs more of them. */
#include "kin_test.h"
#include "kin_ext.h"

#include <stdlib.h>

/* Of the program that runs: its objects, and what it did, in its order. */
static struct {
    kin_queue queue;
    void *slots[2];
    kin_semaphore units;
    kin_mutex mutex;
    kin_condition changed;
    kin_event gate;
    int put, got, sum, holders, shared, waiting;
    uint64_t trace;
} w;

static void note(uint64_t what)
{
    w.trace = (w.trace ^ what) * 0x100000001b3u;
}

/* --------------------------------------------------- producers and consumers */

enum { PRODUCERS = 4, ITEMS = 5, CONSUMERS = 3 };

static int last_of[CONSUMERS][PRODUCERS];       /* what each got last from each */

static void *item_of(int producer, int number)
{
    return (void *)(intptr_t)(1 + producer * 100 + number);
}

static int produce(void *arg)
{
    int me = *(int *)arg, rc = 0;

    for (int i = 1; i <= ITEMS && rc == 0; i++) {
        rc = kin_queue_put(&w.queue, item_of(me, i));
        w.put += rc == 0;
        if (rc == 0 && i % 2)
            rc = kin_yield();
    }
    return rc;
}

/* To each consumer, the items of each producer come in the order in which they were put. */
static void take_item(int me, const void *item)
{
    int number = (int)(intptr_t)item - 1;
    int *last = &last_of[me][number / 100];

    CHECK(number % 100 > *last);
    *last = number % 100;
    w.sum += number;
    w.got++;
    note((uint64_t)number);
}

static int consume(void *arg)
{
    int me = *(int *)arg, rc;
    void *item;

    while ((rc = kin_queue_get(&w.queue, &item)) == 0) {
        take_item(me, item);
        if (w.got % 3 == 0)
            kin_yield();
    }
    return rc == KIN_ECLOSED ? 0 : rc;
}

static int spawn_numbered(kin_group *g, int (*fn)(void *), const char *name, int n)
{
    int rc = 0;

    for (int i = 0; i < n && rc == 0; i++)
        rc = kin_spawn(g, fn, &i, .copy = sizeof i, .name = name, .index = i + 1);
    return rc;
}

static int exchange(void *arg)
{
    kin_group consumers = kin_group_open(), producers = kin_group_open();
    int rc;

    (void)arg;
    spawn_numbered(&consumers, consume, "consume", CONSUMERS);
    rc = kin_group_close(&producers, spawn_numbered(&producers, produce, "produce", PRODUCERS));
    kin_queue_shutdown(&w.queue);
    return kin_group_close(&consumers, rc);
}

/* ------------------------------------------------------ groups in groups, limits */

static int hold_one(void *arg)
{
    int rc = kin_semaphore_acquire(&w.units);

    if (rc < 0)
        return rc;
    CHECK(++w.holders <= 2);
    rc = kin_sleep(KIN_MS(1 + *(int *)arg % 3));
    w.holders--;
    w.sum++;
    note((uint64_t)*(int *)arg);
    CHECK_CODE(kin_semaphore_release(&w.units), 0);
    return rc;
}

static int nest(void *arg)
{
    kin_group g = kin_group_open(.limit = 2);

    (void)arg;
    return kin_group_close(&g, spawn_numbered(&g, hold_one, "hold_one", 4));
}

static int nested(void *arg)
{
    kin_group g = kin_group_open(.limit = 3);

    (void)arg;
    return kin_group_close(&g, spawn_numbered(&g, nest, "nest", 5));
}

/* ------------------------------------------------- a shared value, and its condition */

static int add_under_lock(void *arg)
{
    int rc = kin_mutex_lock(&w.mutex), seen = w.shared;

    (void)arg;
    if (rc < 0)
        return rc;
    rc = kin_yield();
    CHECK_INT(w.shared, seen);
    w.shared++;
    kin_condition_notify_all(&w.changed);
    CHECK_CODE(kin_mutex_unlock(&w.mutex), 0);
    return rc;
}

static int wait_until_5(void *arg)
{
    int rc = kin_mutex_lock(&w.mutex);

    (void)arg;
    if (rc < 0)
        return rc;
    while (rc == 0 && w.shared < 5)
        rc = kin_condition_wait(&w.changed, &w.mutex);
    CHECK_INT(w.mutex.owner, kin_task_id());
    note((uint64_t)w.shared);
    CHECK_CODE(kin_mutex_unlock(&w.mutex), 0);
    return rc;
}

/* A helper that was cancelled may leave the others waiting: for so long. */
static int shared(void *arg)
{
    kin_group g = kin_group_open(.timeout = KIN_S(1));
    int rc;

    (void)arg;
    rc = spawn_numbered(&g, wait_until_5, "wait_until_5", 3);
    if (rc == 0)
        rc = spawn_numbered(&g, add_under_lock, "add_under_lock", 5);
    return kin_group_close(&g, rc);
}

/* --------------------------------------------------------- failures, at set times */

static int fail_in_turn(void *arg)
{
    int me = *(int *)arg, rc = kin_sleep(KIN_MS(1 + me));

    if (rc < 0)
        return rc;
    note((uint64_t)me);
    return me % 2 ? kin_fail(-100 - me, "number %d", me) : me;
}

static int failures(void *arg)
{
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);
    int rc;

    (void)arg;
    rc = kin_group_close(&g, spawn_numbered(&g, fail_in_turn, "fail_in_turn", 6));
    if (rc != -101)
        return rc;
    w.sum = (int)kin_error_count(kin_error_last(), kin_match_class(KIN_CLASS_SYSTEM));
    return 0;
}

/* The first success decides; who has not succeeded yet is cancelled. */
static int race(void *arg)
{
    kin_task task[6];
    int cancelled = 0, rc = 0;
    kin_group g = kin_group_open(.policy = KIN_QUORUM, .quorum = 2);

    (void)arg;
    for (int i = 0; i < 6; i++)
        rc = kin_spawn(&g, fail_in_turn, &i, .copy = sizeof i, .task = &task[i]);
    rc = kin_group_close(&g, rc);
    for (int i = 0; i < 6; i++)
        cancelled += task[i].status == KIN_CANCELLED;
    w.sum = cancelled;
    return rc;
}

/* -------------------------------------------------------------------- the programs */

static const struct program {
    const char *name;
    int (*run)(void *arg);
    int sum;                    /* what must come out, whoever runs first */
} program[] = {
    { "exchange", exchange, (1 + 2 + 3 + 4 + 5) * PRODUCERS + ITEMS * 100 * (1 + 2 + 3) },
    { "nested", nested, 20 },
    { "shared", shared, 0 },
    { "failures", failures, 3 },
    { "race", race, 3 },
};
enum { PROGRAMS = sizeof program / sizeof program[0] };

static char said[4096];

static void take_report(const char *line, void *arg)
{
    size_t used = strlen(said);

    (void)arg;
    snprintf(said + used, sizeof said - used, "%s\n", line);
}

static int run(const struct program *p, uint64_t seed, struct kin_faults *faults)
{
    memset(&w, 0, sizeof w);
    memset(last_of, 0, sizeof last_of);
    w.queue = (kin_queue)KIN_QUEUE(w.slots);
    w.units = (kin_semaphore)KIN_SEMAPHORE_BOUNDED(2);
    said[0] = '\0';
    return kin_run(p->run, NULL, .virtual_clock = true, .backend = test_backend(), .seed = seed,
                   .faults = faults, .on_report = take_report);
}

/* All is back, nobody is in a line, and nothing came out of nothing. */
static void check_books(void)
{
    CHECK_INT(w.holders, 0);
    CHECK_INT(w.units.count, 2);
    CHECK_INT(w.mutex.owner, 0);
    CHECK_INT(w.put, w.got + (int)w.queue.count);
    CHECK(!w.units.waiters.first && !w.mutex.waiters.first && !w.changed.waiters.first);
    CHECK(!w.queue.getters.first && !w.queue.putters.first);
    if (strstr(said, "misuse") || strstr(said, "deadlock"))
        FAIL("reported: %s", said);
}

static void check_result(const struct program *p, int rc)
{
    CHECK_CODE(rc, 0);
    CHECK_INT(w.sum, p->sum);
    CHECK_STR(said, "");
    check_books();
}

static uint64_t schedules(void)
{
    const char *asked = getenv("SCHEDULES");

    return asked ? strtoull(asked, NULL, 10) : tap_instrumented() ? 500 : 10000;
}

TEST_LIMIT(Q2_results_do_not_depend_on_the_schedule, 120)
{
    for (uint64_t seed = 0; seed <= schedules(); seed++)
        for (int i = 0; i < PROGRAMS; i++) {
            tap_note("%s under KIN_SEED=%llu", program[i].name, (unsigned long long)seed);
            check_result(&program[i], run(&program[i], seed, NULL));
        }
}

/* ------------------------------------------------------------------------- Q2 */

static uint64_t trace_of(const struct program *p, uint64_t seed)
{
    run(p, seed, NULL);
    return w.trace;
}

TEST(Q2_the_same_seed_gives_the_same_schedule_and_others_give_others)
{
    for (int i = 0; i < 2; i++) {
        int different = 0;

        for (uint64_t seed = 1; seed <= 100; seed++) {
            uint64_t trace = trace_of(&program[i], seed);

            CHECK(trace_of(&program[i], seed) == trace);
            different += trace != trace_of(&program[i], seed + 1);
        }
        CHECK(different > 50);
    }
}

TEST(Q2_kin_seed_of_the_environment_is_for_runs_without_a_seed)
{
    uint64_t fifth = trace_of(&program[0], 5), in_order = trace_of(&program[0], 0);

    setenv("KIN_SEED", "5", 1);
    CHECK(trace_of(&program[0], 0) == fifth);
    CHECK(trace_of(&program[0], 6) != fifth);
    unsetenv("KIN_SEED");
    CHECK(trace_of(&program[0], 0) == in_order);
    CHECK(in_order != fifth);
}

static int trace_twice(void *arg)
{
    int me = *(int *)arg;

    trace("%d", me);
    CHECK_CODE(kin_yield(), 0);
    trace("%d", me);
    return 0;
}

static int five_in_order(void *arg)
{
    kin_group g = kin_group_open();

    (void)arg;
    return kin_group_close(&g, spawn_numbered(&g, trace_twice, "trace_twice", 5));
}

KIN_TEST(Q2_without_a_seed_all_goes_in_order)
{
    for (int i = 0; i < 10; i++) {
        CHECK_CODE(five_in_order(NULL), 0);
        CHECK_TRACE("0 1 2 3 4 0 1 2 3 4");
    }
}

static int fail_in_some_orders(void *arg)
{
    int rc = exchange(arg);

    return rc < 0 || w.trace % 2 ? rc : kin_fail(-EIO, "in this order it fails");
}

TEST(Q2_a_failure_says_how_to_see_it_again)
{
    static const struct program p = { "failing", fail_in_some_orders, 0 };
    uint64_t seed = 1, seen;
    char line[64];

    while (run(&p, seed, NULL) == 0)
        CHECK(++seed < 100);
    seen = w.trace;
    snprintf(line, sizeof line, "KIN_SEED=%llu", (unsigned long long)seed);
    CHECK_HAS(said, line);
    setenv("KIN_SEED", strstr(said, "KIN_SEED=") + strlen("KIN_SEED="), 1);
    CHECK_CODE(run(&p, 0, NULL), -EIO);
    CHECK(w.trace == seen);
}

TEST(Q2_a_run_in_order_and_one_that_succeeds_say_nothing_of_seeds)
{
    static const struct program p = { "failing", fail_in_some_orders, 0 };

    run(&p, 0, NULL);
    CHECK(!strstr(said, "KIN_SEED"));
    CHECK_CODE(run(&program[0], 17, NULL), 0);
    CHECK_STR(said, "");
}

/* ------------------------------------------------------------------------- Q4 */

/* Success, or a code that says what happened. */
static void check_outcome(int rc)
{
    if (rc < 0 && rc != KIN_ECANCELED && rc != KIN_ETIMEDOUT && rc != -ENOMEM &&
        rc != KIN_ENOQUORUM && (rc < -105 || rc > -101))
        FAIL("ended with %s", kin_code_name(rc));
    check_books();
}

/* One fault after the other, until there is none any more. How many changed the result. */
static int sweep(const struct program *p, uint64_t seed, uint64_t *which, struct kin_faults *faults,
                 const uint64_t *count)
{
    int failed = 0;

    for (uint64_t k = 1; ; k++) {
        *faults = (struct kin_faults){ .task = NULL };
        *which = k;
        tap_note("%s under KIN_SEED=%llu with fault %llu", p->name, (unsigned long long)seed,
                 (unsigned long long)k);
        int rc = run(p, seed, faults);
        check_outcome(rc);
        if (*count < k) {
            CHECK_CODE(rc, 0);
            CHECK_INT(w.sum, p->sum);
            return failed;
        }
        failed += rc < 0;
    }
}

static void sweep_all(uint64_t *which, struct kin_faults *faults, const uint64_t *count)
{
    int failed = 0;

    for (int i = 0; i < PROGRAMS; i++)
        for (uint64_t seed = 0; seed < (tap_instrumented() ? 3 : 20); seed++)
            failed += sweep(&program[i], seed, which, faults, count);
    CHECK(failed > 0);
}

TEST_LIMIT(Q4_each_request_for_memory_fails, 60)
{
    static struct kin_faults f;

    sweep_all(&f.fail_request, &f, &f.requests);
}

TEST_LIMIT(Q4_whoever_makes_a_blocking_call_is_cancelled_before_it, 60)
{
    static struct kin_faults f;

    sweep_all(&f.cancel_call, &f, &f.calls);
}

TEST_LIMIT(Q4_whoever_waits_is_cancelled_at_once, 60)
{
    static struct kin_faults f;

    sweep_all(&f.cancel_wait, &f, &f.waits);
}

TEST(Q4_faults_can_be_for_the_tasks_of_one_name)
{
    struct kin_faults none = { .task = "nobody" }, all = { .task = NULL };
    struct kin_faults some = { .task = "produce" };

    run(&program[0], 0, &all);
    run(&program[0], 0, &none);
    run(&program[0], 0, &some);
    CHECK_INT(none.calls + none.waits, 0);
    CHECK(some.calls > 0 && some.waits > 0);
    CHECK(some.calls < all.calls);
}

TEST(Q4_counting_changes_nothing)
{
    for (int i = 0; i < PROGRAMS; i++) {
        uint64_t trace = trace_of(&program[i], 3);
        struct kin_faults f = { .task = NULL };

        check_result(&program[i], run(&program[i], 3, &f));
        CHECK(w.trace == trace);
        CHECK(f.calls > 0 && f.waits > 0 && f.requests > 0);
    }
}
