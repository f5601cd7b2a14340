/* A limit that does its work: armed, a wait under it that another task ends, disarmed.
 * Two tasks wake each other; one waits under a limit of a second, the other without.
 * Meanwhile so many others sleep, with a timer each.
 *
 *     bench_timeout ROUNDS [OTHERS]
 */
#include "bench.h"

static long rounds, others, woken;
static kin_semaphore there = KIN_SEMAPHORE(0), back = KIN_SEMAPHORE(0);

static int other(void *arg)
{
    return kin_sleep(KIN_S(100 + (intptr_t)arg % 1000));
}

static int limited(void *arg)
{
    const long *times = arg;
    int rc = 0;

    for (long i = 0; i < *times && rc == 0; i++) {
        kin_semaphore_release(&there);
        kin_scope s = kin_scope_open(.timeout = KIN_S(1));
        rc = kin_scope_close(&s, kin_semaphore_acquire(&back));
        woken += rc == 0;
    }
    return rc;
}

static int waker(void *arg)
{
    const long *times = arg;
    int rc = 0;

    for (long i = 0; i < *times && rc == 0; i++) {
        rc = kin_semaphore_acquire(&there);
        kin_semaphore_release(&back);
    }
    return rc;
}

static int wake_each_other(long *times, bool look)
{
    kin_group g = kin_group_open(.name = "two");
    kin_task record[2];

    kin_spawn(&g, limited, times, .name = "end", .task = &record[0]);
    kin_spawn(&g, waker, times, .name = "end", .task = &record[1]);
    if (look) {
        kin_yield();
        bench_require_in_dump("end", 2);
    }
    int rc = kin_group_close(&g, 0);
    return rc == 0 && !bench_all_ok(record, 2) ? KIN_EINVAL : rc;
}

static int beside_others(void)
{
    long some = 1000;
    int rc = wake_each_other(&some, true);

    woken = 0;
    int64_t began = bench_now();
    if (rc == 0)
        rc = wake_each_other(&rounds, false);
    bench_print_ns("timeout", began, rounds);
    return rc;
}

static int body(void *arg)
{
    kin_group g = kin_group_open(.name = "others", .policy = KIN_KEEP_GOING);

    (void)arg;
    for (long i = 0; i < others; i++)
        kin_spawn(&g, other, (void *)(intptr_t)i, .name = "other");
    kin_sleep(1);                           /* a turn, in which their timers are armed */
    int rc = beside_others();
    struct kin_group_counts counts;
    bench_require(kin_group_count(&g, &counts) == 0 && counts.live == (uint64_t)others,
                  "others have ended");
    kin_group_leave(&g);
    return rc;
}

int main(int argc, char **argv)
{
    rounds = bench_size(argc, argv, 1000000);
    others = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    bench_require(kin_run(body, NULL) == 0 && woken == rounds, "limits");
    return 0;
}
