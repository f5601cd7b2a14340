/* Attacks on spawning: what a refusal leaves behind, sizes that make no sense, memory
 * that is short for a moment (docs/semantics.md G5, G6, G15, D3). */
#include "kin_test.h"
#include "core/core.h"

#include <signal.h>

static const char *faulty;
static int faults;

static bool fail_at(const char *site)
{
    return strcmp(site, faulty) == 0 && faults > 0 && faults-- > 0;
}

static void fail_next(const char *site, int times)
{
    faulty = site;
    faults = times;
    kin__os_fault = fail_at;
}

/* A refused spawn is forgotten: the next task is a plain one. */
KIN_TEST(G5_a_refused_spawn_leaves_nothing_to_the_next_task)
{
    int n = 1;
    struct act next = { .sleep = KIN_S(5) };
    kin_task task;
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    fail_next("alloc", 1);
    CHECK_CODE(kin_spawn(&g, give, &n, .copy = sizeof n, .timeout = KIN_S(1), .optional = true),
               -ENOMEM);
    kin__os_fault = NULL;
    kin_spawn(&g, act, &next, .task = &task);
    kin_group_close(&g, 0);
    CHECK_INT(task.status, KIN_OK);
    CHECK_CODE(next.woke, 0);
}

static int heartbeat(void *arg)
{
    kin_event *stop = arg;

    for (int i = 0; i < 1000 && !stop->set; i++)
        kin_sleep(KIN_S(1));
    return 0;
}

static int set_event(void *arg)
{
    kin_event_set(arg);
    return 0;
}

/* One mapping fails once. The task waits for a stack, but not until another task has
 * ended: there may be none that ever does. */
KIN_TEST(G5_a_mapping_that_fails_once_holds_a_task_up_for_a_moment_only)
{
    kin_event stop = { .set = false };
    int64_t start = kin_now();
    kin_group other = kin_group_open(.stack = 200 * 1024);
    kin_group g = kin_group_open();

    kin_spawn(&g, heartbeat, &stop);
    kin_yield();
    fail_next("map", 1);
    kin_spawn(&other, set_event, &stop);
    kin_yield();
    kin__os_fault = NULL;
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(kin_group_close(&other, 0), 0);
    CHECK(kin_now() - start < KIN_S(10));
}

/* Without memory a scope is a cancelled one (kin.h): what should have been limited
 * does not run without a limit. */
KIN_TEST(D1_a_scope_without_memory_is_a_cancelled_one)
{
    kin_scope s[200];
    int n = 0;

    fail_next("alloc", 1000000);
    do
        s[n] = kin_scope_open(.timeout = KIN_S(1));
    while (s[n].state && ++n < 199);
    kin__os_fault = NULL;
    CHECK(n < 199);
    CHECK_CODE(kin_check(), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s[n], 0), -ENOMEM);
    CHECK_CODE(kin_check(), 0);
    while (n-- > 0)
        CHECK_CODE(kin_scope_close(&s[n], 0), 0);
}

static void odd_stack(size_t size)
{
    int rc, n = 3;
    kin_group g = kin_group_open(.stack = size, .policy = KIN_KEEP_GOING);
    kin_task task;

    tap_note("a stack of %zx bytes", size);
    rc = kin_spawn(&g, give, &n, .task = &task);
    kin_group_close(&g, 0);
    CHECK(rc < 0 || task.code == 3 || task.status == KIN_CANCELLED);
}

KIN_TEST(G5_stacks_of_odd_sizes)
{
    static const size_t size[] = { 1, 4095, 4097, 65536, 65537, 98305, 131071, 1000003, 1u << 30 };

    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
        odd_stack(size[i]);
}

KIN_TEST(G5_a_stack_of_more_than_there_is_address_space)
{
    for (int bit = 48; bit < 64; bit++) {
        odd_stack((size_t)1 << bit);
        odd_stack(((size_t)1 << bit) - 1);
    }
    odd_stack(SIZE_MAX);
    odd_stack(SIZE_MAX - 4096);
}

KIN_TEST(G6_nothing_to_copy_from_is_an_invalid_argument)
{
    kin_group g = kin_group_open();

    CHECK_CODE(kin_spawn(&g, nothing, NULL, .copy = 8), KIN_EINVAL);
    CHECK_CODE(kin_group_close(&g, 0), KIN_EINVAL);
}

static int many_run;

static int count_one(void *arg)
{
    (void)arg;
    many_run++;
    return 0;
}

KIN_TEST_LIMIT(G5_a_million_tasks_with_names_and_strange_indexes, 60)
{
    static char name[10241];
    kin_group g = kin_group_open(.name = name);

    for (size_t i = 0; i + 3 < sizeof name; i += 3)
        memcpy(name + i, "\xe2\x82\xac", 3);
    for (int i = 0; i < 1000000; i++)
        if (kin_spawn(&g, count_one, NULL, .name = name, .index = i % 2 ? INT32_MIN : -i) < 0)
            FAIL("refused at %d", i);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(many_run, 1000000);
}
