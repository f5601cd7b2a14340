/* Spawn and join as programs do it: groups of a thousand tasks, each with a name,
 * an index and a record of its outcome.
 */
#include "bench.h"

enum { TASKS = 1000 };

static long groups;
static int64_t ran;

static int leaf(void *arg)
{
    (void)arg;
    ran++;
    return 0;
}

static int one_group(void)
{
    static kin_task record[TASKS];
    kin_group g = kin_group_open(.name = "thousand");

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, leaf, NULL, .name = "leaf", .index = i, .task = &record[i]);
    int rc = kin_group_close(&g, 0);
    for (int i = 0; i < TASKS && rc == 0; i++)
        rc = record[i].status == KIN_OK ? 0 : KIN_EINVAL;
    return rc;
}

static int body(void *arg)
{
    int rc = 0;

    (void)arg;
    for (long i = 0; i < groups && rc == 0; i++)
        rc = one_group();
    return rc;
}

int main(int argc, char **argv)
{
    groups = bench_size(argc, argv, 10000);
    int64_t began = bench_now();
    int rc = kin_run(body, NULL);
    bench_print_ns("spawn", began, (int64_t)groups * TASKS);
    bench_require(rc == 0 && ran == groups * TASKS, "tasks");
    return 0;
}
