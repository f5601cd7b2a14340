/* Memory that is given back: by a run itself, and by kin_trim. */
#include "kin_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 20000 };

/* A field of /proc/self/status, in KiB. */
static long status_kib(const char *field)
{
    FILE *status = fopen("/proc/self/status", "r");
    size_t length = strlen(field);
    long kib = -1;
    char line[256];

    CHECK(status != NULL);
    while (fgets(line, sizeof line, status))
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            kib = strtol(line + length + 1, NULL, 10);
    fclose(status);
    CHECK(kib >= 0);
    return kib;
}

static int yield_once(void *arg)
{
    (void)arg;
    return kin_yield();
}

static void burst(int tasks)
{
    kin_group g = kin_group_open();

    for (int i = 0; i < tasks; i++)
        kin_spawn(&g, yield_once, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(trim_gives_the_memory_of_a_burst_back)
{
    if (tap_instrumented())
        SKIP("memory of the sanitizer's own");
    burst(100);
    for (int round = 0; round < 3; round++) {
        long before = status_kib("VmRSS") + status_kib("VmPTE"), during, after;

        burst(MANY);
        during = status_kib("VmRSS") + status_kib("VmPTE");
        kin_trim();
        after = status_kib("VmRSS") + status_kib("VmPTE");
        CHECK(during > before + MANY * 4);
        if (after > before + before / 10)
            FAIL("%ld KiB before, %ld during, %ld after", before, during, after);
    }
}

static kin_task parked[300];

static int count_down(void *arg)
{
    int *turns = arg;

    while (--*turns > 0)
        if (kin_yield() < 0)
            return KIN_ECANCELED;
    return 7;
}

/* Trimmed again and again while some tasks are parked, some have ended, some come. */
KIN_TEST(trim_touches_nothing_that_is_in_use)
{
    enum { TASKS = sizeof parked / sizeof *parked };
    static int turns[TASKS];
    kin_group g = kin_group_open(.name = "parked");

    for (int i = 0; i < TASKS; i++) {
        turns[i] = 1 + i % 40;
        kin_spawn(&g, count_down, &turns[i], .name = "down", .index = i, .task = &parked[i]);
    }
    kin_yield();
    for (int i = 0; i < 50; i++) {
        kin_trim();
        burst(i * 7);
        CHECK_CODE(kin_cancel(&parked[0], NULL), KIN_ESTALE);   /* the first has ended */
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    for (int i = 0; i < TASKS; i++) {
        CHECK_INT(parked[i].code, 7);
        CHECK_CODE(kin_cancel(&parked[i], NULL), KIN_ESTALE);
    }
    kin_trim();
    for (int i = 0; i < TASKS; i++)
        CHECK_CODE(kin_cancel(&parked[i], NULL), KIN_ESTALE);   /* their records are pages of 0 */
    CHECK_CODE(kin_cancel(&g, NULL), KIN_ESTALE);
}

/* Stacks that nobody needs any more go one slab a turn, so that no turn is long. */
KIN_TEST(trim_by_itself_comes_in_small_steps)
{
    long before, least = 0;

    if (tap_instrumented())
        SKIP("memory of the sanitizer's own");
    burst(MANY);
    before = status_kib("VmSize");
    for (int turn = 0; turn < 200; turn++) {
        long last = status_kib("VmSize"), now;

        CHECK_CODE(kin_sleep(KIN_MS(50)), 0);
        now = status_kib("VmSize");
        CHECK(last - now <= 300 * 132);         /* a slab has at most 256 stacks */
        least = now;
    }
    CHECK(before - least >= MANY / 4 * 3 * 132L);
}

TEST(trim_outside_of_a_run_does_nothing)
{
    kin_trim();
}
