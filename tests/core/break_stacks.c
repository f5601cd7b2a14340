/* Stacks under pressure: a population that comes and goes keeps its stacks. */
#include "kin_test.h"

#include <sys/resource.h>

static long faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static int yield_once(void *arg)
{
    (void)arg;
    return kin_yield();
}

/* A thousand tasks at once, a hundred times over: the memory of the first thousand
 * does for all of them. */
KIN_TEST(G9_a_thousand_tasks_again_and_again_reuse_their_stacks)
{
    long before = 0, after;

    if (tap_instrumented())
        SKIP("page faults of the sanitizer's own");
    for (int round = 0; round < 101; round++) {
        kin_group g = kin_group_open();

        if (round == 1)
            before = faults();
        for (int i = 0; i < 1000; i++)
            kin_spawn(&g, yield_once, NULL);
        kin_group_close(&g, 0);
    }
    after = faults();
    if (after - before > 10000)
        FAIL("%ld page faults for 100,000 tasks", after - before);
}
