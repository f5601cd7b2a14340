/* The queue: bounded, first in first out, nothing lost, nothing doubled, nothing
 * out of order (docs/semantics.md S2; asyncio's Queue tests, T44 to T46). */
#include "kin_test.h"

#include <stdio.h>

/* Items are numbers in disguise. */
static void *item(intptr_t number)
{
    return (void *)number;
}

struct end {
    kin_queue *queue;
    intptr_t number;        /* put this; or what was got */
    int rc;
};

static int put(void *arg)
{
    struct end *e = arg;

    e->rc = kin_queue_put(e->queue, item(e->number));
    return e->rc == KIN_ECLOSED ? 0 : e->rc;
}

static int get(void *arg)
{
    struct end *e = arg;
    void *got = item(-1);

    e->rc = kin_queue_get(e->queue, &got);
    e->number = (intptr_t)got;
    return e->rc == KIN_ECLOSED ? 0 : e->rc;
}

static void spawn_ends(kin_group *g, int (*fn)(void *), struct end *e, kin_task *task, int n,
                       kin_queue *queue, intptr_t first)
{
    for (int i = 0; i < n; i++) {
        e[i] = (struct end){ queue, first + i, 99 };
        CHECK_CODE(kin_spawn(g, fn, &e[i], .task = &task[i]), 0);
    }
    settle();
}

static void check_got(kin_queue *queue, intptr_t number)
{
    void *got;

    CHECK_CODE(kin_queue_try_get(queue, &got), 0);
    CHECK_INT((intptr_t)got, number);
}

static void check_idle(const kin_queue *queue, uint32_t count)
{
    CHECK(queue->getters.first == NULL && queue->putters.first == NULL);
    CHECK_INT(queue->count, count);
}

KIN_TEST(queue_order)
{
    void *slots[3], *got;
    kin_queue queue = KIN_QUEUE(slots);

    for (intptr_t i = 1; i <= 10; i++) {
        CHECK_CODE(kin_queue_put(&queue, item(i)), 0);
        CHECK_CODE(kin_queue_put(&queue, item(-i)), 0);
        CHECK_CODE(kin_queue_get(&queue, &got), 0);
        CHECK_INT((intptr_t)got, i);
        CHECK_CODE(kin_queue_get(&queue, &got), 0);
        CHECK_INT((intptr_t)got, -i);
    }
    check_idle(&queue, 0);
}

KIN_TEST(queue_empty_and_full)
{
    void *slots[2], *got = item(7);
    kin_queue queue = KIN_QUEUE(slots);

    CHECK_CODE(kin_queue_try_get(&queue, &got), KIN_EAGAIN);
    CHECK_INT((intptr_t)got, 7);
    CHECK_CODE(kin_queue_try_put(&queue, item(1)), 0);
    CHECK_CODE(kin_queue_try_put(&queue, item(2)), 0);
    CHECK_CODE(kin_queue_try_put(&queue, item(3)), KIN_EAGAIN);
    check_got(&queue, 1);
    check_got(&queue, 2);
}

KIN_TEST(queue_maxsize_blocks_the_third_put)
{
    void *slots[2];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_ends(&g, put, e, task, 3, &queue, 1);
    CHECK_INT(task[1].status, KIN_OK);
    CHECK_INT(task[2].status, KIN_PENDING);
    check_got(&queue, 1);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(queue.count, 2);
    check_got(&queue, 2);
    check_got(&queue, 3);
}

KIN_TEST(queue_blocking_get)
{
    void *slots[2];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_ends(&g, get, e, task, 2, &queue, 0);
    CHECK_CODE(kin_queue_put(&queue, item(5)), 0);
    CHECK_CODE(kin_queue_put(&queue, item(6)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(e[0].number, 5);
    CHECK_INT(e[1].number, 6);
    check_idle(&queue, 0);
}

KIN_TEST(queue_get_with_waiting_putters)
{
    void *slots[1], *got;
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[4];
    kin_task task[4];
    kin_group g = kin_group_open();

    spawn_ends(&g, put, e, task, 4, &queue, 1);
    for (intptr_t i = 1; i <= 4; i++) {
        CHECK_CODE(kin_queue_get(&queue, &got), 0);
        CHECK_INT((intptr_t)got, i);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    check_idle(&queue, 0);
}

/* T46: a put that need not wait does not overtake one that has been waiting. */
KIN_TEST(T46_try_put_does_not_overtake_a_waiting_putter)
{
    void *slots[1];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_queue_try_put(&queue, item(1)), 0);
    spawn_ends(&g, put, e, task, 1, &queue, 2);
    check_got(&queue, 1);
    CHECK_CODE(kin_queue_try_put(&queue, item(3)), KIN_EAGAIN);
    check_got(&queue, 2);
    CHECK_CODE(kin_queue_try_put(&queue, item(3)), 0);
    check_got(&queue, 3);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(queue_a_getter_that_comes_later_does_not_overtake_one_that_waits)
{
    void *slots[4], *got;
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    spawn_ends(&g, get, e, task, 1, &queue, 0);
    CHECK_CODE(kin_queue_put(&queue, item(1)), 0);
    CHECK_CODE(kin_queue_try_get(&queue, &got), KIN_EAGAIN);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(e[0].number, 1);
}

/* ------------------------------------------------------------------ cancelled */

KIN_TEST(T44_an_item_handed_to_a_getter_that_is_cancelled_then_is_received)
{
    void *slots[2];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_ends(&g, get, e, task, 2, &queue, 0);
    CHECK_CODE(kin_queue_try_put(&queue, item(4)), 0);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_queue_try_put(&queue, item(5)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e[0].rc, 0);
    CHECK_INT(e[0].number, 4);
    CHECK_INT(e[1].number, 5);
    CHECK_INT(task[0].status, KIN_OK);
    check_idle(&queue, 0);
}

KIN_TEST(queue_get_cancelled_race)
{
    void *slots[2];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_ends(&g, get, e, task, 2, &queue, 0);
    kin_cancel(&task[0], NULL);
    CHECK_CODE(kin_queue_try_put(&queue, item(4)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e[0].rc, KIN_ECANCELED);
    CHECK_INT(e[0].number, -1);
    CHECK_INT(e[1].number, 4);
    check_idle(&queue, 0);
}

KIN_TEST(queue_get_cancel_drop_many_pending_readers)
{
    void *slots[2];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[10];
    kin_task task[10];
    kin_group g = kin_group_open();

    spawn_ends(&g, get, e, task, 10, &queue, 0);
    for (int i = 0; i < 9; i++)
        kin_cancel(&task[i], NULL);
    CHECK_CODE(kin_queue_try_put(&queue, item(1)), 0);
    CHECK_CODE(kin_queue_try_put(&queue, item(2)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(e[9].number, 1);
    check_got(&queue, 2);
    check_idle(&queue, 0);
}

KIN_TEST(queue_put_cancel_drop)
{
    void *slots[1];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[3];
    kin_task task[3];
    kin_group g = kin_group_open();

    spawn_ends(&g, put, e, task, 3, &queue, 1);
    kin_cancel(&task[1], NULL);
    settle();
    CHECK_CODE(e[1].rc, KIN_ECANCELED);
    check_got(&queue, 1);
    check_got(&queue, 3);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    check_idle(&queue, 0);
}

/* asyncio's put_cancelled_race; here the chosen putter has succeeded. */
KIN_TEST(queue_put_cancelled_race)
{
    void *slots[1];
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_ends(&g, put, e, task, 2, &queue, 1);
    check_got(&queue, 1);
    kin_cancel(&task[1], NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e[1].rc, 0);
    check_got(&queue, 2);
    check_idle(&queue, 0);
}

/* ------------------------------------------------------------------- shutdown */

KIN_TEST(queue_shutdown_empty)
{
    void *slots[2], *got;
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_ends(&g, get, e, task, 2, &queue, 0);
    kin_queue_shutdown(&queue);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e[0].rc, KIN_ECLOSED);
    CHECK_CODE(e[1].rc, KIN_ECLOSED);
    CHECK_CODE(kin_queue_get(&queue, &got), KIN_ECLOSED);
    CHECK_CODE(kin_queue_try_get(&queue, &got), KIN_ECLOSED);
    CHECK_CODE(kin_queue_put(&queue, item(1)), KIN_ECLOSED);
    CHECK_CODE(kin_queue_try_put(&queue, item(1)), KIN_ECLOSED);
    kin_queue_shutdown(&queue);
}

KIN_TEST(queue_shutdown_nonempty)
{
    void *slots[1], *got;
    kin_queue queue = KIN_QUEUE(slots);
    struct end e[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    spawn_ends(&g, put, e, task, 2, &queue, 1);
    kin_queue_shutdown(&queue);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e[1].rc, KIN_ECLOSED);
    CHECK_CODE(kin_queue_put(&queue, item(3)), KIN_ECLOSED);
    CHECK_CODE(kin_queue_get(&queue, &got), 0);
    CHECK_INT((intptr_t)got, 1);
    CHECK_CODE(kin_queue_get(&queue, &got), KIN_ECLOSED);
}

/* ---------------------------------------------------------------- without slots */

KIN_TEST(queue_without_slots_each_put_waits_for_its_get)
{
    void *got;
    kin_queue queue = { 0 };
    struct end e[2];
    kin_task task[2];
    kin_group g = kin_group_open();

    CHECK_CODE(kin_queue_try_put(&queue, item(9)), KIN_EAGAIN);
    CHECK_CODE(kin_queue_try_get(&queue, &got), KIN_EAGAIN);
    spawn_ends(&g, put, e, task, 2, &queue, 1);
    CHECK_INT(task[0].status, KIN_PENDING);
    CHECK_CODE(kin_queue_get(&queue, &got), 0);
    CHECK_INT((intptr_t)got, 1);
    settle();
    CHECK_INT(task[0].status, KIN_OK);
    CHECK_INT(task[1].status, KIN_PENDING);
    CHECK_CODE(kin_queue_try_get(&queue, &got), 0);
    CHECK_INT((intptr_t)got, 2);
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(queue_without_slots_a_put_meets_a_waiting_get)
{
    kin_queue queue = { 0 };
    struct end e[1];
    kin_task task[1];
    kin_group g = kin_group_open();

    spawn_ends(&g, get, e, task, 1, &queue, 0);
    CHECK_CODE(kin_queue_put(&queue, item(8)), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(e[0].number, 8);
}

/* -------------------------------------------------------------- many of each */

enum { PRODUCERS = 8, ITEMS = 500, CONSUMERS = 5 };

static bool seen[PRODUCERS * ITEMS];
static int received;

struct worker {
    kin_queue *queue;
    int number;
};

static int produce(void *arg)
{
    struct worker *w = arg;

    for (intptr_t i = 0; i < ITEMS; i++) {
        int64_t patience = (i * 7 + w->number) % 11 ? KIN_FOREVER : KIN_MS(1);
        int rc;

        do {
            kin_scope s = kin_scope_open(.timeout = patience);
            rc = kin_queue_put(w->queue, item(w->number * ITEMS + i));
            kin_scope_close(&s, 0);
        } while (rc == KIN_ECANCELED);
        CHECK_CODE(rc, 0);
    }
    return 0;
}

/* Each item once; those of one producer in order, as far as one consumer sees. */
static void note_item(intptr_t number, intptr_t last[PRODUCERS])
{
    intptr_t producer = number / ITEMS;

    CHECK(!seen[number]);
    seen[number] = true;
    received++;
    CHECK(number >= last[producer]);
    last[producer] = number;
}

static int consume(void *arg)
{
    struct worker *w = arg;
    intptr_t last[PRODUCERS] = { 0 };
    void *got;
    int rc;

    for (int i = 0;; i++) {
        kin_scope s = kin_scope_open(.timeout = i % 13 ? KIN_FOREVER : KIN_US(10));
        rc = kin_queue_get(w->queue, &got);
        kin_scope_close(&s, 0);
        if (rc == KIN_ECLOSED)
            return 0;
        if (rc == KIN_ECANCELED)
            continue;
        CHECK_CODE(rc, 0);
        note_item((intptr_t)got, last);
        if (i % 3 == 0)
            kin_sleep(KIN_US(100));
    }
}

static void check_pipeline(kin_queue *queue)
{
    static struct worker producer[PRODUCERS], consumer[CONSUMERS];
    kin_group consumers = kin_group_open(), producers = kin_group_open();

    memset(seen, 0, sizeof seen);
    received = 0;
    for (int i = 0; i < CONSUMERS; i++) {
        consumer[i] = (struct worker){ queue, i };
        kin_spawn(&consumers, consume, &consumer[i]);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        producer[i] = (struct worker){ queue, i };
        kin_spawn(&producers, produce, &producer[i]);
    }
    CHECK_CODE(kin_group_close(&producers, 0), 0);
    kin_queue_shutdown(queue);
    CHECK_CODE(kin_group_close(&consumers, 0), 0);
    CHECK_INT(received, PRODUCERS * ITEMS);
    check_idle(queue, 0);
}

KIN_TEST(T45_no_item_is_lost_doubled_or_out_of_order_though_ends_give_up)
{
    void *one[1], *seven[7];
    kin_queue a = KIN_QUEUE(one), b = KIN_QUEUE(seven), c = { 0 };

    check_pipeline(&a);
    check_pipeline(&b);
    check_pipeline(&c);
}
