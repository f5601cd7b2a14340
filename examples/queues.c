/* Kinds of queues: first in, first out; last in, first out; the least first. And waiting
 * until everything that was put has been dealt with.
 *
 * Prints:
 *     fifo: 5 1 4
 *     lifo: 4 1 5
 *     priority: 1 4 5
 *     all 3 were dealt with after 300 ms
 */
#include <kin.h>

static int in_order(const void *a, const void *b)
{
    const int *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

/* Works until the queue is shut down and empty. */
static int deal_with(void *arg)
{
    kin_queue *queue = arg;
    void *item;
    int rc;

    while ((rc = kin_queue_get(queue, &item)) == 0) {
        printf(" %d", *(int *)item);
        rc = kin_sleep(KIN_MS(100));        /* stands for the work */
        kin_queue_done(queue);
        if (rc < 0)
            break;
    }
    kin_queue_shutdown_now(queue);          /* what is left, nobody will deal with */
    return rc == KIN_ECLOSED ? 0 : rc;
}

/* Puts three numbers, waits until they are dealt with, and sends the worker home. */
static int put_three(kin_queue *queue, const char *kind)
{
    static int number[3] = { 5, 1, 4 };
    kin_group g = kin_group_open(.name = kind);
    int rc = 0;

    printf("%s:", kind);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = kin_queue_put(queue, &number[i]);
    kin_spawn(&g, deal_with, queue, .name = "worker");
    if (rc == 0)
        rc = kin_queue_join(queue);
    kin_queue_shutdown(queue);
    printf("\n");
    return kin_group_close(&g, rc);
}

static int run(void *arg)
{
    void *slot[3][3];
    kin_queue fifo = KIN_QUEUE(slot[0]), lifo = KIN_QUEUE(slot[1], .lifo = true),
              priority = KIN_QUEUE(slot[2], .compare = in_order);
    int64_t start;
    int rc = put_three(&fifo, "fifo");

    (void)arg;
    if (rc == 0)
        rc = put_three(&lifo, "lifo");
    start = kin_now();
    if (rc == 0)
        rc = put_three(&priority, "priority");
    if (rc == 0)
        printf("all 3 were dealt with after %d ms\n", (int)((kin_now() - start) / KIN_MS(1)));
    return rc;
}

int main(void)
{
    return kin_main(run, NULL, .virtual_clock = true);
}
