/* Spawn and join as programs do it: groups of a thousand tasks, each with a name and
 * an index; then the same with a record of each task's outcome, which is checked.
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

static kin_task record[TASKS];

static int named(void)
{
    kin_group g = kin_group_open(.name = "thousand");

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, leaf, NULL, .name = "leaf", .index = i);
    return kin_group_close(&g, 0);
}

static int recorded(void)
{
    kin_group g = kin_group_open(.name = "thousand");

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, leaf, NULL, .name = "leaf", .index = i, .task = &record[i]);
    int rc = kin_group_close(&g, 0);
    for (int i = 0; i < TASKS && rc == 0; i++)
        rc = record[i].status == KIN_OK ? 0 : KIN_EINVAL;
    return rc;
}

static int many(const char *name, int (*one_group)(void))
{
    int64_t began = bench_now();
    int rc = 0;

    for (long i = 0; i < groups && rc == 0; i++)
        rc = one_group();
    bench_print_ns(name, began, (int64_t)groups * TASKS);
    return rc;
}

static int body(void *arg)
{
    int rc = many("spawn", named);

    (void)arg;
    return rc == 0 ? many("spawn_recorded", recorded) : rc;
}

int main(int argc, char **argv)
{
    groups = bench_size(argc, argv, 10000);
    int rc = kin_run(body, NULL);
    bench_require(rc == 0 && ran == 2 * groups * TASKS, "tasks");
    return 0;
}
