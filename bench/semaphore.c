/* A semaphore of five among a thousand tasks: acquire, yield, release.
 *
 *     bench_semaphore ROUNDS
 */
#include "bench.h"

enum { TASKS = 1000, UNITS = 5 };

static long rounds;
static int64_t passed;
static int inside, most_inside;
static kin_semaphore semaphore = KIN_SEMAPHORE(UNITS);
static kin_task record[TASKS];

static int worker(void *arg)
{
    const long *times = arg;
    int rc = 0;

    for (long i = 0; i < *times && rc == 0; i++) {
        rc = kin_semaphore_acquire(&semaphore);
        if (rc < 0)
            return rc;
        if (++inside > most_inside)
            most_inside = inside;
        rc = kin_yield();
        inside--;
        passed++;
        kin_semaphore_release(&semaphore);
    }
    return rc;
}

static int all(long *times, bool look)
{
    kin_group g = kin_group_open(.name = "workers");

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, worker, times, .name = "worker", .index = i, .task = &record[i]);
    if (look) {
        kin_yield();
        bench_require_in_dump("worker", TASKS);
    }
    int rc = kin_group_close(&g, 0);
    return rc == 0 && !bench_all_ok(record, TASKS) ? KIN_EINVAL : rc;
}

static int body(void *arg)
{
    long few = 2;
    int rc = all(&few, true);

    (void)arg;
    passed = 0;
    int64_t began = bench_now();
    if (rc == 0)
        rc = all(&rounds, false);
    bench_print_ns("semaphore", began, (int64_t)rounds * TASKS);
    return rc;
}

int main(int argc, char **argv)
{
    rounds = bench_size(argc, argv, 1000);
    bench_require(kin_run(body, NULL) == 0 && passed == (int64_t)rounds * TASKS, "rounds");
    bench_require(most_inside == UNITS, "the semaphore's units");
    return 0;
}
