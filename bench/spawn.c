/* Spawn and join as programs do it: groups of a thousand tasks, each with a name and an
 * index, all of them with a record of the outcome, which is checked.
 *
 *     bench_spawn GROUPS [trivial]    they end at once; and before that, without records
 *     bench_spawn GROUPS half         every other one yields once
 *     bench_spawn GROUPS blocked      all of them wait for one event at the same time
 */
#include "bench.h"

enum { TASKS = 1000 };

static long groups;
static int64_t ran, blocked_now;
static kin_task record[TASKS];
static kin_event go;

static int leaf(void *arg)
{
    (void)arg;
    ran++;
    return 0;
}

static int yielding_leaf(void *arg)
{
    ran++;
    return arg ? kin_yield() : 0;
}

static int blocked_leaf(void *arg)
{
    (void)arg;
    ran++;
    blocked_now++;
    int rc = kin_event_wait(&go);
    blocked_now--;
    return rc;
}

/* ------------------------------------------------------------- one group of each */

static int check(int rc)
{
    return rc == 0 && !bench_all_ok(record, TASKS) ? KIN_EINVAL : rc;
}

static int named(bool look)
{
    kin_group g = kin_group_open(.name = "thousand");

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, leaf, NULL, .name = "leaf", .index = i);
    if (look)
        bench_require_in_dump("leaf", TASKS);
    return kin_group_close(&g, 0);
}

static int recorded(bool look)
{
    kin_group g = kin_group_open(.name = "thousand");

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, leaf, NULL, .name = "leaf", .index = i, .task = &record[i]);
    if (look)
        bench_require_in_dump("leaf", TASKS);
    return check(kin_group_close(&g, 0));
}

static int half(bool look)
{
    kin_group g = kin_group_open(.name = "thousand");

    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, yielding_leaf, i % 2 ? &g : NULL, .name = "leaf", .index = i,
                  .task = &record[i]);
    if (look)
        bench_require_in_dump("leaf", TASKS);
    return check(kin_group_close(&g, 0));
}

static int blocked(bool look)
{
    kin_group g = kin_group_open(.name = "thousand");

    kin_event_clear(&go);
    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, blocked_leaf, NULL, .name = "leaf", .index = i, .task = &record[i]);
    kin_yield();
    bench_require(blocked_now == TASKS, "not all were blocked at once");
    if (look)
        bench_require_in_dump("leaf", TASKS);
    kin_event_set(&go);
    return check(kin_group_close(&g, 0));
}

/* ---------------------------------------------------------------- many of them */

static int many(const char *name, int (*one_group)(bool look))
{
    int rc = one_group(true);
    int64_t began = bench_now();

    for (long i = 0; i < groups && rc == 0; i++)
        rc = one_group(false);
    bench_print_ns(name, began, (int64_t)groups * TASKS);
    bench_require(ran == (groups + 1) * TASKS, "tasks");
    ran = 0;
    return rc;
}

static int body(void *arg)
{
    const char *work = arg;

    if (strcmp(work, "half") == 0)
        return many("half", half);
    if (strcmp(work, "blocked") == 0)
        return many("blocked", blocked);
    int rc = many("spawn", named);
    return rc == 0 ? many("spawn_recorded", recorded) : rc;
}

int main(int argc, char **argv)
{
    groups = bench_size(argc, argv, 10000);
    bench_require(kin_run(body, argc > 2 ? argv[2] : "trivial") == 0, "groups");
    return 0;
}
