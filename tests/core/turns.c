/* Turns: how many steps, who gets a turn, slow steps (docs/semantics.md D4). */
#include "kin_test.h"

#include <stdlib.h>
#include <time.h>

/* ------------------------------------------------------------- virtual clock */

KIN_TEST(D4_every_64th_blocking_call_that_did_not_park_yields)
{
    kin_semaphore semaphore = KIN_SEMAPHORE(1);
    struct act child = { 0 };
    int calls = 0;
    kin_group g = kin_group_open();

    kin_spawn(&g, act, &child);
    while (!child.ran) {
        CHECK_CODE(kin_semaphore_acquire(&semaphore), 0);
        CHECK_CODE(kin_semaphore_release(&semaphore), 0);
        CHECK(++calls <= 64);
    }
    CHECK(calls > 32);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

static int trace_twice(void *arg)
{
    trace("%sa", (const char *)arg);
    CHECK_CODE(kin_yield(), 0);
    trace("%sb", (const char *)arg);
    return 0;
}

KIN_TEST(basic_interleave)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, trace_twice, "1");
    kin_spawn(&g, trace_twice, "2");
    kin_spawn(&g, trace_twice, "3");
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_TRACE("1a 2a 3a 1b 2b 3b");
}

static int yield_until_stopped(void *arg)
{
    int *steps = arg;

    while (kin_yield() == 0)
        ++*steps;
    return KIN_ECANCELED;
}

KIN_TEST(D4_yielding_tasks_take_turns)
{
    int steps[10] = { 0 };
    kin_group g = kin_group_open();

    for (int i = 0; i < 10; i++)
        kin_spawn(&g, yield_until_stopped, &steps[i]);
    for (int i = 0; i < 1000; i++)
        CHECK_CODE(kin_yield(), 0);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < 10; i++)
        CHECK(steps[i] >= 990 && steps[i] <= 1010);
}

static int spawn_for_ever(void *arg)
{
    kin_group *g = arg;
    int rc = kin_spawn(g, spawn_for_ever, g);

    return rc == KIN_ECANCELED ? 0 : rc;
}

/* A task that always spawns its successor keeps nobody from running. */
KIN_TEST(D4_a_chain_of_spawns_starves_nobody)
{
    struct act other = { 0 };
    kin_group g = kin_group_open(), h = kin_group_open();

    kin_spawn(&g, spawn_for_ever, &g);
    kin_spawn(&h, act, &other);
    for (int i = 0; i < 100; i++)
        CHECK_CODE(kin_yield(), 0);
    CHECK_INT(other.ran, 1);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&h, 0), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

/* ---------------------------------------------------------------- real clock */

static void spin(int64_t duration)
{
    int64_t end = kin_now() + duration;

    while (kin_now() < end)
        continue;
}

static int yield_and_spin(void *arg)
{
    (void)arg;
    for (;;) {
        int rc = kin_yield();
        if (rc < 0)
            return rc;
        spin(KIN_US(10));
    }
}

KIN_TEST_REAL(T15_a_busy_run_queue_does_not_delay_timers)
{
    int64_t start = kin_now(), took;
    kin_group g = kin_group_open();

    for (int i = 0; i < 10; i++)
        kin_spawn(&g, yield_and_spin, NULL);
    CHECK_CODE(kin_sleep(KIN_MS(50)), 0);
    took = kin_now() - start;
    CHECK(took >= KIN_MS(50));
    CHECK(took < KIN_MS(50) + KIN_MS(tap_scaled(100)));
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST_REAL(D4_a_sleep_is_never_early)
{
    for (int i = 0; i < 50; i++) {
        int64_t duration = KIN_US(100) * i, start = kin_now();

        CHECK_CODE(kin_sleep(duration), 0);
        CHECK(kin_now() - start >= duration);
    }
}

KIN_TEST_REAL(timekeeping)
{
    int64_t start = kin_now();

    CHECK_CODE(kin_sleep(KIN_MS(200)), 0);
    CHECK(kin_now() - start < KIN_MS(400) * tap_scaled(1));
}

static int slow_step(void *arg)
{
    (void)arg;
    spin(KIN_MS(150));
    return 0;
}

KIN_TEST_REAL(D4_a_step_of_more_than_100_ms_is_reported)
{
    kin_group g = kin_group_open();

    kin_spawn(&g, slow_step, NULL, .name = "sluggish");
    CHECK_CODE(kin_sleep(KIN_MS(1)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_HAS(test_reports(), "sluggish");
    CHECK_REPORTED("turns.c:");
}

KIN_TEST_REAL(D1_limits_hold_on_the_real_clock)
{
    int64_t start = kin_now();
    kin_scope s = kin_scope_open(.timeout = KIN_MS(30));

    CHECK_CODE(kin_sleep(KIN_S(10)), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK(kin_now() - start >= KIN_MS(30));
    CHECK(kin_now() - start < KIN_MS(30) + KIN_MS(tap_scaled(500)));
}

KIN_TEST_REAL(D1_an_idle_run_uses_no_cpu)
{
    struct timespec before, after;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    CHECK_CODE(kin_sleep(KIN_MS(300)), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    int64_t used = KIN_S(after.tv_sec - before.tv_sec) + after.tv_nsec - before.tv_nsec;
    CHECK(used < KIN_MS(tap_scaled(50)));
}

KIN_TEST_REAL(the_backend_is_the_one_asked_for)
{
    struct kin_facts facts;
    const char *wanted = getenv("KIN_BACKEND");

    CHECK_CODE(kin_facts(&facts), 0);
    if (wanted)
        CHECK_STR(facts.backend, wanted);
}

TEST(a_backend_that_does_not_exist_is_refused)
{
    CHECK_INT(kin_class(kin_run(nothing, NULL, .backend = "none")), KIN_CLASS_MISUSE);
}
