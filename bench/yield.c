/* Tasks of one group yield in turn: two of them, or as many as are asked for.
 *
 *     bench_yield ROUNDS [TASKS]
 */
#include "bench.h"

static long rounds, tasks;
static int64_t yielded;
static kin_task *record;

static int yielder(void *arg)
{
    const long *times = arg;

    for (long i = 0; i < *times; i++) {
        int rc = kin_yield();
        if (rc < 0)
            return rc;
        yielded++;
    }
    return 0;
}

static int all_yield(long *times, bool look)
{
    kin_group g = kin_group_open(.name = "yielders");

    for (long i = 0; i < tasks; i++)
        kin_spawn(&g, yielder, times, .name = "yielder", .index = (int)i, .task = &record[i]);
    if (look) {
        kin_yield();
        bench_require_in_dump("yielder", tasks);
    }
    return kin_group_close(&g, 0);
}

static int body(void *arg)
{
    long few = 3;
    int rc = all_yield(&few, true);

    (void)arg;
    yielded = 0;
    int64_t began = bench_now();
    if (rc == 0)
        rc = all_yield(&rounds, false);
    bench_print_ns("yield", began, (int64_t)rounds * tasks);
    return rc;
}

int main(int argc, char **argv)
{
    rounds = bench_size(argc, argv, 10000000);
    tasks = bench_argument(argc, argv, 2, 2);
    record = calloc((size_t)tasks, sizeof *record);
    bench_require(record != NULL, "memory");
    int rc = kin_run(body, NULL);
    bench_require(rc == 0 && yielded == (int64_t)rounds * tasks, "yields");
    bench_require(bench_all_ok(record, tasks), "their records");
    free(record);
    return 0;
}
