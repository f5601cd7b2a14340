/* Works in which all are there all the time, and do the same again and again. What is
 * counted lies between two of their steps, so that neither starting nor ending is in it. */
#include "grow.h"

static int64_t steps, first_step, last_step;
static bool over;

static void count_steps(int64_t from, int64_t count)
{
    steps = 0;
    over = false;
    first_step = from;
    last_step = from + count;
}

static void step(void)
{
    if (++steps == last_step) {
        clock_stop(last_step - first_step);
        over = true;
    } else if (steps == first_step) {
        weigh();
        clock_start();
    }
}

/* Each has its turn, whatever was asked for. */
static long enough(void)
{
    return items > size ? items : size;
}

static int all(int (*fn)(void *), long count)
{
    kin_group g = kin_group_open(.name = "all");

    for (long i = 0; i < count; i++)
        kin_spawn(&g, fn, (void *)(intptr_t)i, .name = "one", .index = (int)i);
    return kin_group_close(&g, 0);
}

/* ------------------------------------------------------------- so many tasks yield */

static int yielder(void *arg)
{
    int rc = 0;

    (void)arg;
    for (step(); rc == 0 && !over; step())
        rc = kin_yield();
    return rc;
}

/* When each has come by twice, all of them have parked. */
static int yields(void)
{
    count_steps(2 * size, enough());
    return all(yielder, size);
}

/* ------------------------------------- so many tasks share the five of a semaphore */

static int acquirer(void *arg)
{
    static kin_semaphore five = KIN_SEMAPHORE(5);
    int rc = 0;

    (void)arg;
    while (rc == 0 && !over) {
        rc = kin_semaphore_acquire(&five);
        if (rc < 0)
            return rc;
        rc = kin_yield();
        kin_semaphore_release(&five);
        step();
    }
    return rc;
}

static int semaphores(void)
{
    count_steps(size, enough());
    return all(acquirer, size);
}

/* -------------------------------- half of so many tasks play ping-pong with the rest */

struct pair {
    kin_queue there, back;
    void *there_slot[1], *back_slot[1];
};

static struct pair *pairs;

static int ping(struct pair *p)
{
    void *item;
    int rc = 0;

    while (rc == 0 && !over) {
        rc = kin_queue_put(&p->there, p);
        if (rc == 0)
            rc = kin_queue_get(&p->back, &item);
        step();
    }
    kin_queue_shutdown(&p->there);
    return rc;
}

static int pong(struct pair *p)
{
    void *item;
    int rc = 0;

    while (rc == 0 && (rc = kin_queue_get(&p->there, &item)) == 0) {
        rc = kin_queue_put(&p->back, item);
        step();
    }
    return rc == KIN_ECLOSED ? 0 : rc;
}

static int player(void *arg)
{
    long index = (intptr_t)arg;
    struct pair *p = &pairs[index / 2];

    return index % 2 ? pong(p) : ping(p);
}

/* A step is a message. */
static int pingpongs(void)
{
    long count = (size + 1) / 2;

    pairs = owned((size_t)count, sizeof *pairs);
    for (long i = 0; i < count; i++) {
        pairs[i].there = (kin_queue){ .slots = pairs[i].there_slot, .capacity = 1 };
        pairs[i].back = (kin_queue){ .slots = pairs[i].back_slot, .capacity = 1 };
    }
    count_steps(2 * size, enough());
    int rc = all(player, 2 * count);
    free(pairs);
    return rc;
}

/* ------------------ a queue of so many places, which is filled and emptied in turns */

static kin_queue belt;

static int carrier(void *arg)
{
    bool puts = (intptr_t)arg == 0;
    void *item;
    int rc = 0;

    while (rc == 0 && !over) {
        rc = puts ? kin_queue_put(&belt, &belt) : kin_queue_get(&belt, &item);
        if (!puts)
            step();
    }
    kin_queue_shutdown_now(&belt);
    return rc == KIN_ECLOSED ? 0 : rc;
}

static int places(void)
{
    void **slots = owned((size_t)size, sizeof *slots);

    belt = (kin_queue){ .slots = slots, .capacity = (uint32_t)size };
    count_steps(size, enough());
    int rc = all(carrier, 2);
    free(slots);
    return rc;
}

/* ---------------------------------------------- a select over so many channels */

static kin_queue *channels;

/* Comes when the other one waits, and never to the same end of its line. */
static int sender(void *arg)
{
    int rc = 0;

    (void)arg;
    for (uint64_t i = 0; rc == 0; i += 2654435769) {
        rc = kin_yield();
        if (rc == 0)
            rc = kin_queue_put(&channels[i % (uint64_t)size], channels);
    }
    return rc == KIN_ECLOSED ? 0 : rc;
}

static int selector(void *arg)
{
    kin_case *cases = arg;
    int index = 0;

    for (step(); index >= 0 && !over; step())
        index = kin_select(cases, (size_t)size);
    for (long i = 0; i < size; i++)
        kin_queue_shutdown(&channels[i]);
    return index < 0 ? index : 0;
}

/* A select looks at all of its channels: the step is divided by their number. */
static int selects(void)
{
    kin_case *cases = owned((size_t)size, sizeof *cases);
    kin_group g = kin_group_open(.name = "two");

    channels = owned((size_t)size, sizeof *channels);
    for (long i = 0; i < size; i++)
        cases[i] = (kin_case){ .queue = &channels[i] };
    count_steps(2, items / size + 1);
    kin_spawn(&g, selector, cases, .name = "selector");
    kin_spawn(&g, sender, NULL, .name = "sender");
    int rc = kin_group_close(&g, 0);
    clock_share(size);
    free(channels);
    free(cases);
    return rc;
}

/* ------------------------------------------------- calls inside of so many scopes */

/* Limit armed, a blocking call, disarmed: what most code does. */
static int calls(void)
{
    kin_scope *scope = owned((size_t)size, sizeof *scope);
    int rc = 0;

    for (long i = 0; i < size; i++)
        scope[i] = kin_scope_open(.timeout = KIN_S(1000 + i % 100));
    count_steps(1, items);
    for (step(); rc == 0 && !over; step()) {
        kin_scope inner = kin_scope_open(.timeout = KIN_S(1));
        rc = kin_scope_close(&inner, kin_yield());
    }
    for (long i = size - 1; i >= 0; i--)
        rc = kin_scope_close(&scope[i], rc);
    free(scope);
    return rc;
}

const struct work steady_works[] = {
    { "yield", yields, true },
    { "semaphore", semaphores, true },
    { "pingpong", pingpongs, true },
    { "queue", places, true },
    { "select", selects, true },
    { "calls", calls, true },
    { NULL, NULL, true },
};
