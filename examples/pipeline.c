/* One producer, three consumers, a queue between them, shut down cleanly.
 *
 * Prints:
 *     100 items, sum 5050
 */
#include <kin.h>

struct pipeline {
    void *slot[8];
    kin_queue queue;
    int number[100];
    int taken, sum;
};

static int produce(void *arg)
{
    struct pipeline *p = arg;
    int rc = 0;

    for (int i = 0; i < 100 && rc == 0; i++) {
        p->number[i] = i + 1;
        rc = kin_queue_put(&p->queue, &p->number[i]);   /* waits while the queue is full */
    }
    kin_queue_shutdown(&p->queue);                      /* what is in it can still be taken */
    return rc;
}

static int consume(void *arg)
{
    struct pipeline *p = arg;
    void *item;
    int rc;

    while ((rc = kin_queue_get(&p->queue, &item)) == 0) {
        p->sum += *(int *)item;
        p->taken++;
    }
    return rc == KIN_ECLOSED ? 0 : rc;
}

static int run(void *arg)
{
    struct pipeline p = { .queue = KIN_QUEUE(p.slot) };
    kin_group g = kin_group_open(.name = "pipeline");
    int rc;

    (void)arg;
    kin_spawn(&g, produce, &p, .name = "producer");
    for (int i = 0; i < 3; i++)
        kin_spawn(&g, consume, &p, .name = "consumer", .index = i + 1);
    rc = kin_group_close(&g, 0);
    printf("%d items, sum %d\n", p.taken, p.sum);
    return rc;
}

int main(void)
{
    return kin_main(run, NULL);
}
