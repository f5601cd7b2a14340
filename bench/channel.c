/* Items from task to task, over queues.
 *
 *     bench_channel ROUNDS pingpong   one to and fro, over two queues of one place each
 *     bench_channel ROUNDS queue      from a producer to a consumer, over one of 128
 */
#include "bench.h"

enum { PLACES = 128 };

static long rounds;
static int64_t received;
static void *there_slot[1], *back_slot[1], *belt_slot[PLACES];
static kin_queue there = KIN_QUEUE(there_slot), back = KIN_QUEUE(back_slot),
                 belt = KIN_QUEUE(belt_slot);

static int ping(void *arg)
{
    const long *times = arg;
    void *item;
    int rc = 0;

    for (intptr_t i = 1; i <= *times && rc == 0; i++) {
        rc = kin_queue_put(&there, (void *)i);
        if (rc == 0)
            rc = kin_queue_get(&back, &item);
        received += rc == 0 && item == (void *)i;
    }
    return rc;
}

static int pong(void *arg)
{
    const long *times = arg;
    void *item;
    int rc = 0;

    for (long i = 0; i < *times && rc == 0; i++) {
        rc = kin_queue_get(&there, &item);
        if (rc == 0)
            rc = kin_queue_put(&back, item);
        received += rc == 0;
    }
    return rc;
}

static int produce(void *arg)
{
    const long *times = arg;
    int rc = 0;

    for (intptr_t i = 1; i <= *times && rc == 0; i++)
        rc = kin_queue_put(&belt, (void *)i);
    return rc;
}

static int consume(void *arg)
{
    const long *times = arg;
    void *item;
    int rc = 0;

    for (intptr_t i = 1; i <= *times && rc == 0; i++) {
        rc = kin_queue_get(&belt, &item);
        received += rc == 0 && item == (void *)i;
    }
    return rc;
}

static int two(int (*one)(void *), int (*other)(void *), long *times, bool look)
{
    kin_group g = kin_group_open(.name = "two");
    kin_task record[2];

    kin_spawn(&g, one, times, .name = "end", .task = &record[0]);
    kin_spawn(&g, other, times, .name = "end", .task = &record[1]);
    if (look) {
        kin_yield();
        bench_require_in_dump("end", 2);
    }
    int rc = kin_group_close(&g, 0);
    return rc == 0 && !bench_all_ok(record, 2) ? KIN_EINVAL : rc;
}

static int measure(const char *name, int (*one)(void *), int (*other)(void *), int messages)
{
    long some = 10L * PLACES;
    int rc = two(one, other, &some, true);

    received = 0;
    int64_t began = bench_now();
    if (rc == 0)
        rc = two(one, other, &rounds, false);
    bench_print_ns(name, began, (int64_t)rounds * messages);
    return rc == 0 && received != (int64_t)rounds * messages ? KIN_EINVAL : rc;
}

static int body(void *arg)
{
    if (strcmp(arg, "queue") == 0)
        return measure("queue", produce, consume, 1);
    return measure("pingpong", ping, pong, 2);
}

int main(int argc, char **argv)
{
    rounds = bench_size(argc, argv, 1000000);
    bench_require(kin_run(body, argc > 2 ? argv[2] : "pingpong") == 0, "messages");
    return 0;
}
