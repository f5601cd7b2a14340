/* Random programs: trees of tasks, groups, scopes and shields that sleep, wait,
 * fail, cancel each other and leave, from a seed. Whatever they do, every accepted
 * task runs once, all have ended when their group has closed, all units and items
 * are accounted for, and no list keeps anybody (docs/semantics.md G1, G2, G5, S2).
 *
 *     RANDOM_SEED=17 ./random         one seed
 *     RANDOM_SEEDS=100000 ./random    more of them
 */
#include "kin_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEPTH = 5, WIDTH = 5, NODES = 1000, STEPS = 5 };

/* Shared by all tasks of one program. */
struct world {
    uint64_t random;
    int accepted, ran, ended;
    kin_semaphore units;
    kin_event event;
    kin_queue queue;
    void *slots[3];
    int put, got, held;
    kin_group *group[64];       /* some that may be open, for others to cancel */
    int groups;
};

static struct world world;

static uint32_t random_below(uint32_t n)
{
    world.random = world.random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(world.random >> 33) % n;
}

static int64_t random_time(void)
{
    static const int64_t time[] = { -1, 0, 1, 50, 1000, KIN_US(10), KIN_MS(1), KIN_MS(7) };

    return time[random_below(sizeof time / sizeof time[0])];
}

static int64_t random_limit(void)
{
    return random_below(6) == 0 ? random_time() : 0;
}

static int random_code(void)
{
    static const int code[] = { 3, -EIO, -EPERM, KIN_ECANCELED };

    return random_below(8) ? 0 : code[random_below(4)];
}

static int live_in(int depth);

/* -------------------------------------------------------------------- steps */

static void use_unit(void)
{
    if (kin_semaphore_acquire(&world.units) < 0)
        return;
    CHECK(++world.held <= 2);
    kin_sleep(random_time());
    world.held--;
    CHECK_CODE(kin_semaphore_release(&world.units), 0);
}

static void move_item(void)
{
    void *item;
    kin_scope s = kin_scope_open(.timeout = KIN_MS(2));

    if (random_below(2))
        world.put += kin_queue_put(&world.queue, &world) == 0;
    else
        world.got += kin_queue_get(&world.queue, &item) == 0;
    kin_scope_close(&s, 0);
}

static void touch_event(void)
{
    kin_scope s = kin_scope_open(.timeout = KIN_MS(3));

    if (random_below(3) == 0)
        kin_event_wait(&world.event);
    else if (random_below(2))
        kin_event_set(&world.event);
    else
        kin_event_clear(&world.event);
    kin_scope_leave(&s);
}

static void cancel_somebody(void)
{
    if (world.groups > 0 && random_below(3) == 0)
        kin_cancel(world.group[random_below((uint32_t)world.groups)], "at random");
}

static void within_a_scope(int depth)
{
    kin_scope s = kin_scope_open(.timeout = random_limit(), .grace = random_limit() / 2,
                                 .shield = random_below(4) ? 0 : KIN_MS(5));

    if (random_below(5) == 0)
        kin_cancel(&s, "by its owner");
    live_in(depth);
    if (random_below(10))
        kin_scope_close(&s, random_code());
}

static void take_step(int depth)
{
    switch (random_below(8)) {
    case 0:
        kin_yield();
        break;
    case 1:
        use_unit();
        break;
    case 2:
        move_item();
        break;
    case 3:
        touch_event();
        break;
    case 4:
        cancel_somebody();
        break;
    case 5:
        if (depth > 0)
            within_a_scope(depth - 1);
        break;
    default:
        kin_sleep(random_time());
    }
}

/* -------------------------------------------------------------------- tasks */

struct life {
    int depth;
    kin_group *group;       /* its own, which outlives it */
};

static int live(void *arg)
{
    struct life life = *(struct life *)arg;

    world.ran++;
    if (random_below(4) == 0 && world.accepted < NODES) {
        struct life sibling = { 0, life.group };

        world.accepted += kin_spawn(life.group, live, &sibling, .copy = sizeof sibling) == 0;
    }
    int rc = live_in(life.depth);
    world.ended++;
    return rc;
}

static void spawn_some(kin_group *g, int depth)
{
    int n = 1 + (int)random_below(WIDTH);

    for (int i = 0; i < n && world.accepted < NODES; i++) {
        struct life life = { depth - 1, g };

        world.accepted += kin_spawn(g, live, &life, .copy = sizeof life,
                                    .timeout = random_limit(), .optional = random_below(2),
                                    .dont_wait = random_below(4) == 0) == 0;
    }
}

/* Groups are kept where the others find them only while they are open. */
static int live_in_group(int depth)
{
    kin_group g = kin_group_open(.policy = (kin_policy)(random_below(5) % 3),
                                 .limit = random_below(2) ? 0 : 1 + random_below(3),
                                 .timeout = random_limit(), .grace = random_limit() / 3);

    if (world.groups < 64)
        world.group[world.groups++] = &g;
    spawn_some(&g, depth);
    for (uint32_t i = random_below(STEPS); i > 0; i--)
        take_step(depth - 1);
    for (int i = 0; i < world.groups; i++) {
        if (world.group[i] == &g)
            world.group[i] = world.group[--world.groups];
    }
    if (random_below(8) == 0) {
        kin_group_leave(&g);
        return 0;
    }
    return kin_group_close(&g, random_code());
}

static int live_in(int depth)
{
    for (uint32_t i = random_below(STEPS); i > 0; i--)
        take_step(depth);
    if (depth > 0 && random_below(4))
        return live_in_group(depth);
    return random_code();
}

/* ----------------------------------------------------------------- programs */

static void begin_world(uint64_t seed)
{
    world = (struct world){ .random = seed, .units = KIN_SEMAPHORE_BOUNDED(2),
                             .queue = { .capacity = 3 } };
    world.queue.slots = world.slots;
}

static void check_world(uint64_t seed)
{
    bool good = world.ran == world.accepted && world.ended == world.ran && world.held == 0 &&
                world.units.count == 2 && world.put == world.got + (int)world.queue.count &&
                !world.units.waiters.first && !world.event.waiters.first &&
                !world.queue.getters.first && !world.queue.putters.first;

    if (!good)
        FAIL("RANDOM_SEED=%llu: accepted %d, ran %d, ended %d, held %d, units %u, put %d, got %d, "
             "in the queue %u",
             (unsigned long long)seed, world.accepted, world.ran, world.ended, world.held,
             world.units.count, world.put, world.got, world.queue.count);
}

static int root_life(void *arg)
{
    struct kin_facts before, after;

    (void)arg;
    kin_facts(&before);
    live_in_group(DEPTH);
    kin_facts(&after);
    CHECK_INT(after.tasks, before.tasks);
    CHECK(kin_cancelled() == NULL);
    CHECK_CODE(kin_yield(), 0);
    return 0;
}

static void drop_line(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

TEST_LIMIT(G2_random_programs_end_and_keep_their_books, 120)
{
    uint64_t seed = number_from("RANDOM_SEED", 1);
    uint64_t many = number_from("RANDOM_SEEDS", tap_instrumented() ? 300 : 3000);
    uint64_t n = getenv("RANDOM_SEED") ? 1 : many;

    for (uint64_t last = seed + n; seed < last; seed++) {
        begin_world(seed);
        tap_note("RANDOM_SEED=%llu", (unsigned long long)seed);
        CHECK_CODE(kin_run(root_life, NULL, .virtual_clock = true, .backend = test_backend(),
                           .on_report = drop_line), 0);
        check_world(seed);
    }
}
