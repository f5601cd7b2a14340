/* Works that make so many of something, and take them down again. */
#include "grow.h"

static kin_task *record;
static long blocked_now;
static kin_event go;

static int leaf(void *arg)
{
    (void)arg;
    return 0;
}

static int yielding_leaf(void *arg)
{
    return (intptr_t)arg % 2 ? kin_yield() : 0;
}

static int blocked_leaf(void *arg)
{
    (void)arg;
    blocked_now++;
    int rc = kin_event_wait(&go);
    blocked_now--;
    return rc;
}

/* ------------------------------------------------------- a group of so many tasks */

static kin_group with_all(int (*fn)(void *))
{
    kin_group g = kin_group_open(.name = "all");

    kin_event_clear(&go);
    for (long i = 0; i < size; i++)
        kin_spawn(&g, fn, (void *)(intptr_t)i, .name = "leaf", .index = (int)i,
                  .task = &record[i]);
    return g;
}

static int joined(kin_group g)
{
    int rc = kin_group_close(&g, 0);

    return rc == 0 && !bench_all_ok(record, size) ? KIN_EINVAL : rc;
}

/* All of it is timed, the looks at the records too. */
static int group_of(int (*fn)(void *))
{
    if (!record)
        record = owned((size_t)size, sizeof *record);
    clock_start();
    kin_group g = with_all(fn);
    if (fn == blocked_leaf) {
        kin_yield();
        bench_require(blocked_now == size, "not all are blocked");
        kin_event_set(&go);
    }
    int rc = joined(g);
    clock_stop(size);
    weigh();
    return rc;
}

static int spawns(void)
{
    return group_of(leaf);
}

static int halves(void)
{
    return group_of(yielding_leaf);
}

static int blocks(void)
{
    return group_of(blocked_leaf);
}

/* Only what comes after the moment when one call wakes them. */
static int wakes(void)
{
    if (!record)
        record = owned((size_t)size, sizeof *record);
    kin_group g = with_all(blocked_leaf);
    kin_yield();
    bench_require(blocked_now == size, "not all are blocked");
    weigh();
    clock_start();
    kin_event_set(&go);
    int rc = joined(g);
    clock_stop(size);
    return rc;
}

/* Five at a time: what has ended makes room for what comes. */
static int succession(void)
{
    clock_start();
    kin_group g = kin_group_open(.name = "succession", .limit = 5);
    for (long i = 0; i < size; i++)
        kin_spawn(&g, yielding_leaf, (void *)(intptr_t)i, .name = "leaf", .index = (int)i);
    int rc = kin_group_close(&g, 0);
    clock_stop(size);
    weigh();
    return rc;
}

/* ------------------------------------------------------- so many scopes, nested */

static kin_scope *scope;

static void open_scopes(bool limited)
{
    if (!scope)
        scope = owned((size_t)size, sizeof *scope);
    for (long i = 0; i < size; i++)
        scope[i] = kin_scope_open(.timeout = limited ? KIN_S(1000) + KIN_MS(i % 100000) : 0);
}

static int close_scopes(int rc)
{
    for (long i = size - 1; i >= 0; i--)
        rc = kin_scope_close(&scope[i], rc);
    return rc;
}

static int scopes_in_a_turn(void)
{
    clock_start();
    open_scopes(false);
    int rc = close_scopes(0);
    clock_stop(size);
    weigh();
    return rc;
}

/* With a limit each. The sleep ends the turn, and so gives the timers their places. */
static int timers(void)
{
    clock_start();
    open_scopes(true);
    int rc = kin_sleep(1);
    rc = close_scopes(rc);
    clock_stop(size);
    weigh();
    return rc;
}

static int waits_inside(void *arg)
{
    (void)arg;
    open_scopes(false);
    return close_scopes(kin_event_wait(&go)) == KIN_ECANCELED ? 0 : KIN_EINVAL;
}

/* From the cancellation of the outermost until the task has come out of all of them. */
static int cancels(void)
{
    kin_group g = kin_group_open(.name = "one");

    kin_event_clear(&go);
    kin_spawn(&g, waits_inside, NULL, .name = "inside");
    kin_yield();
    weigh();
    clock_start();
    kin_cancel(&g, "enough");
    int rc = kin_group_close(&g, 0);
    clock_stop(size);
    return rc;
}

/* A thousand tasks wait inside of them: from the cancellation until all are joined. */
static int cancels_within(void)
{
    enum { TASKS = 1000 };

    kin_event_clear(&go);
    open_scopes(false);
    kin_group g = kin_group_open(.name = "inside");
    if (!record)
        record = owned(TASKS, sizeof *record);
    for (int i = 0; i < TASKS; i++)
        kin_spawn(&g, blocked_leaf, NULL, .name = "leaf", .index = i, .task = &record[i]);
    kin_yield();
    clock_start();
    kin_cancel(&scope[0], "enough");
    int rc = kin_group_close(&g, 0);
    clock_stop(TASKS);
    for (int i = 0; i < TASKS; i++)
        if (record[i].status != KIN_CANCELLED)
            return KIN_EINVAL;
    return close_scopes(rc) == KIN_ECANCELED ? KIN_EINVAL : 0;
}

/* ----------------------------------- a group, in whose task there is a group, and so on */

static int level(void *arg)
{
    long below = (intptr_t)arg - 1;
    kin_group g = kin_group_open(.name = "level");

    if (below > 0)
        kin_spawn(&g, level, (void *)(intptr_t)below, .name = "level");
    else
        weigh();
    return kin_group_close(&g, 0);
}

static int levels(void)
{
    clock_start();
    int rc = level((void *)(intptr_t)size);
    clock_stop(size);
    return rc;
}

const struct work built_works[] = {
    { "spawn", spawns, false },
    { "half", halves, false },
    { "blocked", blocks, false },
    { "wake", wakes, false },
    { "succession", succession, false },
    { "scopes", scopes_in_a_turn, false },
    { "timers", timers, false },
    { "cancel", cancels, false },
    { "within", cancels_within, false },
    { "levels", levels, false },
    { NULL, NULL, false },
};
