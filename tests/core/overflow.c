/* A stack that runs over its guard says which task it was, before the process
 * dies (docs/semantics.md F5). The death is a process of its own. */
#include "kin_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile char sink;

/* Not a tail call, and each frame is touched. */
static int recurse(int depth)
{
    volatile char frame[1024];

    frame[depth % 1024] = (char)depth;
    sink = frame[depth % 1024];
    return depth < INT32_MAX ? recurse(depth + 1) + frame[0] : 0;
}

static int overflow(void *arg)
{
    (void)arg;
    kin_yield();
    return recurse(0);
}

static int overflow_at_once(void *arg)
{
    (void)arg;
    return recurse(0);
}

/* One frame that jumps over many pages, though not over the guard. */
static int one_large_frame(void *arg)
{
    volatile char frame[96 * 1024];

    volatile size_t low = 0;            /* or clang makes the array smaller */

    (void)arg;
    frame[low] = 1;
    return frame[low] - 1;
}

struct how {
    int (*fn)(void *arg);
    const char *name;
    int index;
};

static int spawn_it(void *arg)
{
    struct how *how = arg;
    kin_group g = kin_group_open();

    for (int i = 0; i < 20; i++)
        kin_spawn(&g, nothing, NULL, .name = "innocent");
    kin_spawn(&g, how->fn, NULL, .name = how->name, .index = how->index);
    return kin_group_close(&g, 0);
}

static void run_it(void *arg)
{
    kin_run(spawn_it, arg, .virtual_clock = true, .backend = test_backend());
}

static void check_overflow(struct how how, const char *said)
{
    if (tap_instrumented())
        SKIP("the sanitizer takes SIGSEGV for itself");
    CHECK_DIES(SIGSEGV, said, run_it, &how);
}

TEST(F5_a_stack_overflow_names_the_task)
{
    check_overflow((struct how){ overflow, "culprit", 12 }, "culprit[12]");
}

TEST(F5_also_in_the_first_step)
{
    check_overflow((struct how){ overflow_at_once, "culprit", 0 }, "culprit");
}

TEST(F5_also_by_one_large_frame)
{
    check_overflow((struct how){ one_large_frame, "wide", 0 }, "wide");
}

static int crash(void *arg)
{
    (void)arg;
    raise(SIGSEGV);
    return 0;
}

TEST(F5_another_crash_is_not_called_an_overflow)
{
    static struct tap_child child;
    struct how how = { crash, "crasher", 0 };

    if (tap_instrumented())
        SKIP("the sanitizer takes SIGSEGV for itself");
    tap_fork(&child, run_it, &how);
    CHECK(child.killed);
    CHECK_INT(child.code, SIGSEGV);
    CHECK(strstr(child.output, "over its stack") == NULL);
}

static void own_handler(int number)
{
    static const char text[] = "the program's own handler\n";

    (void)number;
    fwrite(text, 1, sizeof text - 1, stderr);
    fflush(stderr);
    _Exit(0);
}

static void overflow_with_own_handler(void *arg)
{
    struct sigaction action = { .sa_handler = own_handler, .sa_flags = SA_ONSTACK };

    sigaction(SIGSEGV, &action, NULL);
    run_it(arg);
}

/* F4: the earlier disposition is respected. */
TEST(F5_the_program_s_own_handler_still_gets_the_signal)
{
    struct how how = { overflow, "culprit", 0 };

    if (tap_instrumented())
        SKIP("the sanitizer takes SIGSEGV for itself");
    CHECK_PRINTS("the program's own handler", overflow_with_own_handler, &how);
}

TEST(F4_the_earlier_disposition_comes_back_after_the_run)
{
    struct sigaction mine = { .sa_handler = own_handler }, after;

    sigaction(SIGSEGV, &mine, NULL);
    CHECK_CODE(test_run(nothing, NULL), 0);
    sigaction(SIGSEGV, NULL, &after);
    CHECK(after.sa_handler == own_handler);
}

/* A stack of the size that its group asks for. */
static int use_400_kib(void *arg)
{
    volatile char frame[400 * 1024];

    (void)arg;
    for (size_t i = 0; i < sizeof frame; i += 1024)
        frame[i] = (char)i;
    return kin_yield() + frame[0];
}

KIN_TEST(F5_a_group_may_ask_for_larger_stacks)
{
    kin_group g = kin_group_open(.stack = 1024 * 1024);

    for (int i = 0; i < 10; i++)
        CHECK_CODE(kin_spawn(&g, use_400_kib, NULL), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(F5_the_kind_of_guard_is_told)
{
    struct kin_facts facts;

    CHECK_CODE(kin_facts(&facts), 0);
    CHECK(strcmp(facts.guard, "madvise") == 0 || strcmp(facts.guard, "mprotect") == 0 ||
          strcmp(facts.guard, "canary") == 0);
    CHECK_STR(facts.backend, test_backend());
}
