/* A bounded queue of pointers.
 *
 * Invariants: getters wait only while the queue is empty and no putter waits,
 * putters only while it is full. So an item goes from a putter straight to the
 * getter that waited for it, or through the slots; and when a get makes room, the
 * first putter's item takes it at once. Items leave in the order in which they
 * came, whoever is cancelled: a record that has been woken has its item, or has
 * given it, already.
 */
#include "core/core.h"

static bool getter_abort(struct kin_wait *wait)
{
    kin_queue *queue = wait->object;

    kin_wait_list_remove(&queue->getters, wait);
    return true;
}

static bool putter_abort(struct kin_wait *wait)
{
    kin_queue *queue = wait->object;

    kin_wait_list_remove(&queue->putters, wait);
    return true;
}

static void queue_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const kin_queue *queue = wait->object;

    snprintf(text, size, "%u of %u items", queue->count, queue->capacity);
}

static const struct kin_wait_ops get_ops = { "queue get", getter_abort, queue_describe };
static const struct kin_wait_ops put_ops = { "queue put", putter_abort, queue_describe };

static int queue_claim(kin_queue *queue)
{
    int rc = kin_wait_list_claim(&queue->getters);

    return rc < 0 ? rc : kin_wait_list_claim(&queue->putters);
}

static void slots_push(kin_queue *queue, void *item)
{
    uint32_t at = queue->first + queue->count++;

    queue->slots[at < queue->capacity ? at : at - queue->capacity] = item;
}

static void *slots_pop(kin_queue *queue)
{
    void *item = queue->slots[queue->first];

    queue->first = queue->first + 1 < queue->capacity ? queue->first + 1 : 0;
    queue->count--;
    return item;
}

int kin_queue_try_put(kin_queue *queue, void *item)
{
    struct kin_wait *getter;
    int rc = queue_claim(queue);

    if (rc < 0 || queue->closed)
        return rc < 0 ? rc : KIN_ECLOSED;
    if ((getter = kin_wait_list_take(&queue->getters))) {
        getter->value = item;
        kin_wait_wake(getter, 0);
        return 0;
    }
    if (queue->count == queue->capacity)
        return KIN_EAGAIN;
    slots_push(queue, item);
    return 0;
}

int kin_queue_put(kin_queue *queue, void *item)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, &put_ops, queue);

    if (rc < 0)
        return rc;
    rc = kin_queue_try_put(queue, item);
    if (rc == 0)
        return kin_wait_skip();
    if (rc != KIN_EAGAIN)
        return rc;
    wait.value = item;
    kin_wait_list_add(&queue->putters, &wait);
    return kin_wait_park(&wait);
}

int kin_queue_try_get(kin_queue *queue, void **item)
{
    struct kin_wait *putter;
    int rc = queue_claim(queue);

    if (rc < 0)
        return rc;
    putter = kin_wait_list_take(&queue->putters);
    if (!putter && queue->count == 0)
        return queue->closed ? KIN_ECLOSED : KIN_EAGAIN;
    *item = queue->count ? slots_pop(queue) : putter->value;
    if (putter) {
        if (queue->capacity)
            slots_push(queue, putter->value);
        kin_wait_wake(putter, 0);
    }
    return 0;
}

int kin_queue_get(kin_queue *queue, void **item)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, &get_ops, queue);

    if (rc < 0)
        return rc;
    rc = kin_queue_try_get(queue, item);
    if (rc == 0)
        return kin_wait_skip();
    if (rc != KIN_EAGAIN)
        return rc;
    kin_wait_list_add(&queue->getters, &wait);
    rc = kin_wait_park(&wait);
    if (rc == 0)
        *item = wait.value;
    return rc;
}

void kin_queue_shutdown(kin_queue *queue)
{
    struct kin_wait *wait;

    if ((queue->getters.first || queue->putters.first) && queue_claim(queue) < 0) {
        kin__misuse(NULL, "a queue shut down outside of its waiters' runtime");
        return;
    }
    queue->closed = true;
    while ((wait = kin_wait_list_take(&queue->putters)))
        kin_wait_wake(wait, KIN_ECLOSED);
    while ((wait = kin_wait_list_take(&queue->getters)))
        kin_wait_wake(wait, KIN_ECLOSED);
}
