/* A queue of pointers, bounded by an array of the caller's.
 *
 * Invariants: getters wait only while the queue is empty and no putter waits,
 * putters only while it is full. So an item goes from a putter straight to the
 * getter that waited for it, or through the slots; and when a get makes room, the
 * first putter's item takes it at once. Items leave in the order of the queue's
 * kind, whoever is cancelled: a record that has been woken has its item, or has
 * given it, already.
 *
 * The slots are a ring, of which the first or the last item is taken, or a binary
 * heap. What putters hold that wait is not in the queue yet: of a full heap the
 * least item *in the slots* is next.
 *
 * `unfinished` counts what was ever in the queue, however short, until it is said to
 * be done or is dropped. What a putter still holds was never in it.
 */
#include "sync/sync.h"

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

static bool joiner_abort(struct kin_wait *wait)
{
    kin_queue *queue = wait->object;

    kin_wait_list_remove(&queue->joiners, wait);
    return true;
}

static void queue_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const kin_queue *queue = wait->object;

    snprintf(text, size, "%p with %u of %u items", (const void *)queue, queue->count,
             queue->capacity);
}

static void joiner_describe(const struct kin_wait *wait, char *text, size_t size)
{
    const kin_queue *queue = wait->object;

    snprintf(text, size, "%p with %llu items to be done", (const void *)queue,
             (unsigned long long)queue->unfinished);
}

const struct kin_wait_ops kin__queue_get_ops = { "queue get", getter_abort, queue_describe };
const struct kin_wait_ops kin__queue_put_ops = { "queue put", putter_abort, queue_describe };
static const struct kin_wait_ops join_ops = { "queue join", joiner_abort, joiner_describe };

static int queue_claim(kin_queue *queue)
{
    int rc = kin_wait_list_claim(&queue->getters);

    return rc < 0 ? rc : kin_wait_list_claim(&queue->putters);
}

/* --------------------------------------------------------------- the slots */

static void heap_push(kin_queue *queue, void *item)
{
    uint32_t at = queue->count++;

    while (at > 0) {
        uint32_t up = (at - 1) / 2;

        if (queue->compare(item, queue->slots[up]) >= 0)
            break;
        queue->slots[at] = queue->slots[up];
        at = up;
    }
    queue->slots[at] = item;
}

/* The last item sinks from the top to where it fits. */
static void *heap_pop(kin_queue *queue)
{
    void **slots = queue->slots, *least = slots[0], *item = slots[--queue->count];
    uint64_t at = 0, down;

    while ((down = 2 * at + 1) < queue->count) {
        if (down + 1 < queue->count && queue->compare(slots[down + 1], slots[down]) < 0)
            down++;
        if (queue->compare(item, slots[down]) <= 0)
            break;
        slots[at] = slots[down];
        at = down;
    }
    slots[at] = item;
    return least;
}

/* The slot of the n-th item of the ring. */
static void **ring_slot(kin_queue *queue, uint32_t n)
{
    uint32_t to_the_end = queue->capacity - queue->first;

    return &queue->slots[n < to_the_end ? queue->first + n : n - to_the_end];
}

static inline void ring_push(kin_queue *queue, void *item)
{
    *ring_slot(queue, queue->count++) = item;
}

static inline void *ring_pop(kin_queue *queue)
{
    void *item = queue->slots[queue->first];

    queue->first = queue->first + 1 < queue->capacity ? queue->first + 1 : 0;
    queue->count--;
    return item;
}

static void slots_push(kin_queue *queue, void *item)
{
    if (queue->compare)
        heap_push(queue, item);
    else
        ring_push(queue, item);
}

static void *slots_pop(kin_queue *queue)
{
    if (queue->compare)
        return heap_pop(queue);
    if (queue->lifo)
        return *ring_slot(queue, --queue->count);
    return ring_pop(queue);
}

/* ------------------------------------------------------------- put and get */

/* Inlined, so that it costs nothing that any kind of queue may be pushed to. */
static inline __attribute__((always_inline)) int
put_now(kin_queue *queue, void *item, void (*push)(kin_queue *queue, void *item))
{
    struct kin_wait *getter = kin_wait_list_take(&queue->getters);

    if (!getter && queue->count == queue->capacity)
        return KIN_EAGAIN;
    queue->unfinished++;
    if (getter) {
        getter->value = item;
        kin_wait_wake(getter, 0);
    } else {
        push(queue, item);
    }
    return 0;
}

int kin_queue_try_put(kin_queue *queue, void *item)
{
    int rc = queue_claim(queue);

    if (rc < 0 || queue->closed)
        return rc < 0 ? rc : KIN_ECLOSED;
    return put_now(queue, item, slots_push);
}

static bool is_claimed(const kin_queue *queue, const struct kin__runtime *rt)
{
    return queue->getters.run == rt->run && queue->putters.run == rt->run;
}

/* What parks saves all registers, which is most of the cost of a put that need not: so it
 * is apart, and called last. */
static __attribute__((noinline)) int put_waits(kin_queue *queue, void *item)
{
    struct kin_wait wait;

    kin__wait_init(&wait, &kin__queue_put_ops, queue);
    wait.value = item;
    kin_wait_list_add(&queue->putters, &wait);
    return kin__wait_park(&wait);
}

static kin__cold int put_with_care(kin_queue *queue, void *item)
{
    int rc = kin__call_begin();

    if (rc < 0)
        return rc;
    rc = kin_queue_try_put(queue, item);
    if (rc == 0)
        return kin_wait_skip();
    return rc == KIN_EAGAIN ? put_waits(queue, item) : rc;
}

int kin_queue_put(kin_queue *queue, void *item)
{
    struct kin__runtime *rt = kin__rt;

    if (kin__unlikely(!kin__call_is_plain(rt) || !is_claimed(queue, rt) || queue->closed ||
                      queue->compare))
        return put_with_care(queue, item);
    if (put_now(queue, item, ring_push) == KIN_EAGAIN)
        return put_waits(queue, item);
    return kin__wait_skip(kin__rt);
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
        queue->unfinished++;
        if (queue->capacity)
            slots_push(queue, putter->value);
        kin_wait_wake(putter, 0);
    }
    return 0;
}

static __attribute__((noinline)) int get_waits(kin_queue *queue, void **item)
{
    struct kin_wait wait;
    int rc;

    kin__wait_init(&wait, &kin__queue_get_ops, queue);
    kin_wait_list_add(&queue->getters, &wait);
    rc = kin__wait_park(&wait);
    if (rc == 0)
        *item = wait.value;
    return rc;
}

static kin__cold int get_with_care(kin_queue *queue, void **item)
{
    int rc = kin__call_begin();

    if (rc < 0)
        return rc;
    rc = kin_queue_try_get(queue, item);
    if (rc == 0)
        return kin_wait_skip();
    return rc == KIN_EAGAIN ? get_waits(queue, item) : rc;
}

int kin_queue_get(kin_queue *queue, void **item)
{
    struct kin__runtime *rt = kin__rt;

    if (kin__unlikely(!kin__call_is_plain(rt) || !is_claimed(queue, rt) || queue->putters.first ||
                      queue->lifo || queue->compare || (queue->count == 0 && queue->closed)))
        return get_with_care(queue, item);
    if (queue->count == 0)
        return get_waits(queue, item);
    *item = ring_pop(queue);
    return kin__wait_skip(rt);
}

/* --------------------------------------------------------- done, and the end */

static void one_done(kin_queue *queue)
{
    if (--queue->unfinished == 0)
        kin__wake_all(&queue->joiners, 0);
}

int kin_queue_done(kin_queue *queue)
{
    int rc = kin_wait_list_claim(&queue->joiners);

    if (rc < 0)
        return rc;
    if (queue->unfinished == 0)
        return KIN_EINVAL;
    one_done(queue);
    return 0;
}

int kin_queue_join(kin_queue *queue)
{
    struct kin_wait wait;
    int rc = kin_wait_prepare(&wait, &join_ops, queue);

    if (rc == 0)
        rc = kin_wait_list_claim(&queue->joiners);
    if (rc < 0)
        return rc;
    if (queue->unfinished == 0)
        return kin_wait_skip();
    kin_wait_list_add(&queue->joiners, &wait);
    return kin__wait_park(&wait);
}

static bool foreign_waiters(kin_queue *queue)
{
    return ((queue->getters.first || queue->putters.first) && queue_claim(queue) < 0) ||
           (queue->joiners.first && kin_wait_list_claim(&queue->joiners) < 0);
}

static bool refuse_puts(kin_queue *queue)
{
    if (foreign_waiters(queue)) {
        kin__misuse(NULL, "a queue shut down outside of its waiters' runtime");
        return false;
    }
    queue->closed = true;
    kin__wake_all(&queue->putters, KIN_ECLOSED);
    kin__wake_all(&queue->getters, KIN_ECLOSED);    /* they wait only while it is empty */
    return true;
}

void kin_queue_shutdown(kin_queue *queue)
{
    refuse_puts(queue);
}

void kin_queue_shutdown_now(kin_queue *queue)
{
    if (!refuse_puts(queue))
        return;
    while (queue->count > 0) {
        void *item = slots_pop(queue);

        if (queue->drop)
            queue->drop(item);
        if (queue->unfinished > 0)      /* somebody may have said so too early */
            one_done(queue);
    }
}
