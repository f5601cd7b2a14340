/* The queue's other kinds and endings: last in first out, by order of priority; join
 * and done; shut down now, with a destructor (docs/semantics.md S1, S2; asyncio's
 * Queue tests for each of its three kinds, T47). */
#include "kin_test.h"

#include <stdlib.h>

static void *item(intptr_t number)
{
    return (void *)number;
}

static int by_number(const void *a, const void *b)
{
    return ((intptr_t)a > (intptr_t)b) - ((intptr_t)a < (intptr_t)b);
}

enum { KINDS = 3 };

static kin_queue queue_of(int kind, void **slots, uint32_t capacity)
{
    kin_queue queue = { .slots = slots, .capacity = capacity };

    queue.lifo = kind == 1;
    queue.compare = kind == 2 ? by_number : NULL;
    return queue;
}

static void put_all(kin_queue *queue, const int *numbers, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_CODE(kin_queue_put(queue, item(numbers[i])), 0);
}

static void get_all(kin_queue *queue)
{
    void *got;

    while (kin_queue_try_get(queue, &got) == 0)
        trace("%d", (int)(intptr_t)got);
}

KIN_TEST(queue_lifo_order)
{
    void *slots[4];
    kin_queue queue = KIN_QUEUE(slots, .lifo = true);

    put_all(&queue, (int[]){ 1, 3, 2 }, 3);
    get_all(&queue);
    CHECK_TRACE("2 3 1");
    put_all(&queue, (int[]){ 4, 5, 6, 7 }, 4);
    get_all(&queue);
    CHECK_TRACE("7 6 5 4");
}

KIN_TEST(queue_priority_order)
{
    void *slots[8];
    kin_queue queue = KIN_QUEUE(slots, .compare = by_number);

    put_all(&queue, (int[]){ 4, 1, 3, 1, 9, 2 }, 6);
    get_all(&queue);
    CHECK_TRACE("1 1 2 3 4 9");
}

/* Against a sorted array, puts and gets mixed. */
KIN_TEST(S1_priority_is_kept_among_a_great_many)
{
    enum { SIZE = 500 };
    static void *slots[SIZE];
    static int count_of[1000];
    kin_queue queue = KIN_QUEUE(slots, .compare = by_number);
    uint64_t random = 42;

    for (int i = 0; i < 20000; i++) {
        int number, least = 0;
        void *got;

        random = random * 6364136223846793005ull + 1442695040888963407ull;
        number = (int)((random >> 33) % 1000);
        if (number % 5 < 3 && kin_queue_try_put(&queue, item(number)) == 0) {
            count_of[number]++;
        } else if (kin_queue_try_get(&queue, &got) == 0) {
            while (count_of[least] == 0)
                least++;
            CHECK_INT((intptr_t)got, least);
            count_of[least]--;
        }
    }
    CHECK(queue.count > 0);
}

struct end {
    kin_queue *queue;
    intptr_t number;
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

static int join(void *arg)
{
    struct end *e = arg;

    e->rc = kin_queue_join(e->queue);
    return e->rc;
}

static void start(kin_group *g, int (*fn)(void *), struct end *e, kin_queue *queue, intptr_t number)
{
    *e = (struct end){ queue, number, 99 };
    CHECK_CODE(kin_spawn(g, fn, e), 0);
    settle();
}

/* A put that had to wait goes into the slots, and is sorted in there. */
KIN_TEST(S1_what_a_waiting_putter_brings_is_put_in_its_place)
{
    void *slots[2];
    kin_queue queue = KIN_QUEUE(slots, .compare = by_number);
    struct end e[2];
    kin_group g = kin_group_open();

    put_all(&queue, (int[]){ 5, 7 }, 2);
    start(&g, put, &e[0], &queue, 9);
    start(&g, put, &e[1], &queue, 1);
    get_all(&queue);
    CHECK_TRACE("5 7 1 9");
    CHECK_CODE(kin_group_close(&g, 0), 0);
}

KIN_TEST(S1_getters_that_wait_are_served_in_order_by_every_kind)
{
    for (int kind = 0; kind < KINDS; kind++) {
        void *slots[4];
        kin_queue queue = queue_of(kind, slots, 4);
        struct end e[3];
        kin_group g = kin_group_open();

        for (int i = 0; i < 3; i++)
            start(&g, get, &e[i], &queue, 0);
        put_all(&queue, (int[]){ 8, 9, 7 }, 3);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_INT(e[0].number, 8);
        CHECK_INT(e[1].number, 9);
        CHECK_INT(e[2].number, 7);
    }
}

/* ---------------------------------------------------------------------- join */

KIN_TEST(queue_task_done_underflow)
{
    for (int kind = 0; kind < KINDS; kind++) {
        void *slots[2];
        kin_queue queue = queue_of(kind, slots, 2);

        CHECK_CODE(kin_queue_done(&queue), KIN_EINVAL);
        put_all(&queue, (int[]){ 1 }, 1);
        CHECK_CODE(kin_queue_done(&queue), 0);
        CHECK_CODE(kin_queue_done(&queue), KIN_EINVAL);
    }
}

KIN_TEST(queue_task_done)
{
    for (int kind = 0; kind < KINDS; kind++) {
        void *slots[4];
        kin_queue queue = queue_of(kind, slots, 4);
        struct end e[2];
        kin_group g = kin_group_open();

        put_all(&queue, (int[]){ 1, 2, 3 }, 3);
        start(&g, join, &e[0], &queue, 0);
        start(&g, join, &e[1], &queue, 0);
        get_all(&queue);
        for (int i = 0; i < 3; i++) {
            settle();
            CHECK_INT(e[0].rc, 99);             /* taken is not done */
            CHECK_CODE(kin_queue_done(&queue), 0);
        }
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(e[0].rc, 0);
        CHECK_CODE(e[1].rc, 0);
        CHECK(!queue.joiners.first);
    }
    CHECK_TRACE("1 2 3 3 2 1 1 2 3");
}

KIN_TEST(queue_join_empty_queue)
{
    for (int kind = 0; kind < KINDS; kind++) {
        void *slots[4];
        kin_queue queue = queue_of(kind, slots, 4);

        CHECK_CODE(kin_queue_join(&queue), 0);
        CHECK_CODE(kin_queue_join(&queue), 0);
    }
}

KIN_TEST(S1_join_waits_for_what_went_from_hand_to_hand)
{
    kin_queue queue = { 0 };
    struct end e[3];
    kin_group g = kin_group_open();

    start(&g, get, &e[0], &queue, 0);
    CHECK_CODE(kin_queue_put(&queue, item(4)), 0);
    CHECK_INT(queue.unfinished, 1);
    start(&g, put, &e[1], &queue, 5);
    CHECK_INT(queue.unfinished, 1);             /* not put yet */
    start(&g, join, &e[2], &queue, 0);
    get_all(&queue);
    CHECK_TRACE("5");
    CHECK_INT(queue.unfinished, 2);
    CHECK_CODE(kin_queue_done(&queue), 0);
    settle();
    CHECK_INT(e[2].rc, 99);
    CHECK_CODE(kin_queue_done(&queue), 0);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e[2].rc, 0);
}

KIN_TEST(T34_a_join_that_gives_up_leaves_nothing_behind)
{
    void *slots[1];
    kin_queue queue = KIN_QUEUE(slots);
    kin_scope s = kin_scope_open(.timeout = KIN_S(1));

    put_all(&queue, (int[]){ 1 }, 1);
    CHECK_CODE(kin_queue_join(&queue), KIN_ECANCELED);
    CHECK_CODE(kin_scope_close(&s, 0), KIN_ETIMEDOUT);
    CHECK(!queue.joiners.first);
    CHECK_CODE(kin_queue_done(&queue), 0);
    CHECK_CODE(kin_queue_join(&queue), 0);
}

/* ------------------------------------------------------------------ shut down */

static int dropped;
static char dropped_items[64];

static void drop(void *it)
{
    dropped_items[dropped++] = (char)('0' + (intptr_t)it);
    dropped_items[dropped] = '\0';
}

static void check_closed(kin_queue *queue)
{
    void *got;

    CHECK_CODE(kin_queue_put(queue, item(9)), KIN_ECLOSED);
    CHECK_CODE(kin_queue_try_put(queue, item(9)), KIN_ECLOSED);
    CHECK_CODE(kin_queue_get(queue, &got), KIN_ECLOSED);
    CHECK_CODE(kin_queue_try_get(queue, &got), KIN_ECLOSED);
}

static void shut(kin_queue *queue, bool now)
{
    if (now)
        kin_queue_shutdown_now(queue);
    else
        kin_queue_shutdown(queue);
}

/* asyncio's shutdown_empty and shutdown_immediate_empty. */
KIN_TEST(queue_shutdown_empty_of_every_kind)
{
    for (int i = 0; i < 2 * KINDS; i++) {
        void *slots[2];
        kin_queue queue = queue_of(i % KINDS, slots, 2);
        struct end e[2];
        kin_group g = kin_group_open();

        start(&g, get, &e[0], &queue, 0);
        start(&g, get, &e[1], &queue, 0);
        shut(&queue, i >= KINDS);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(e[0].rc, KIN_ECLOSED);
        CHECK_CODE(e[1].rc, KIN_ECLOSED);
        CHECK_CODE(kin_queue_join(&queue), 0);
        check_closed(&queue);
        shut(&queue, i >= KINDS);
    }
}

KIN_TEST(queue_shutdown_nonempty_of_every_kind)
{
    for (int kind = 0; kind < KINDS; kind++) {
        void *slots[2];
        kin_queue queue = queue_of(kind, slots, 2);
        struct end e[2];
        kin_group g = kin_group_open();

        put_all(&queue, (int[]){ 2, 1 }, 2);
        start(&g, put, &e[0], &queue, 3);
        start(&g, join, &e[1], &queue, 0);
        kin_queue_shutdown(&queue);
        settle();
        CHECK_CODE(e[0].rc, KIN_ECLOSED);
        CHECK_INT(e[1].rc, 99);
        get_all(&queue);
        check_closed(&queue);
        CHECK_CODE(kin_queue_done(&queue), 0);
        CHECK_CODE(kin_queue_done(&queue), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(e[1].rc, 0);
    }
    CHECK_TRACE("2 1 1 2 1 2");
}

KIN_TEST(queue_shutdown_immediate)
{
    static const char *const order[KINDS] = { "213", "312", "123" };

    for (int kind = 0; kind < KINDS; kind++) {
        void *slots[3];
        kin_queue queue = queue_of(kind, slots, 3);
        struct end e[2];
        kin_group g = kin_group_open();

        dropped = 0;
        queue.drop = drop;
        put_all(&queue, (int[]){ 2, 1, 3 }, 3);
        start(&g, put, &e[0], &queue, 7);
        start(&g, join, &e[1], &queue, 0);
        kin_queue_shutdown_now(&queue);
        CHECK_STR(dropped_items, order[kind]);  /* as they would have been got */
        CHECK_INT(queue.count, 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(e[0].rc, KIN_ECLOSED);
        CHECK_CODE(e[1].rc, 0);
        check_closed(&queue);
        CHECK_CODE(kin_queue_done(&queue), KIN_EINVAL);
    }
}

KIN_TEST(queue_shutdown_immediate_with_unfinished)
{
    for (int kind = 0; kind < KINDS; kind++) {
        void *slots[3], *got;
        kin_queue queue = queue_of(kind, slots, 3);
        struct end e;
        kin_group g = kin_group_open();

        put_all(&queue, (int[]){ 1, 2, 3 }, 3);
        CHECK_CODE(kin_queue_get(&queue, &got), 0);
        start(&g, join, &e, &queue, 0);
        kin_queue_shutdown_now(&queue);
        settle();
        CHECK_INT(e.rc, 99);                    /* the one that was taken is not done */
        CHECK_CODE(kin_queue_done(&queue), 0);
        CHECK_CODE(kin_group_close(&g, 0), 0);
        CHECK_CODE(e.rc, 0);
    }
}

/* Shut down twice, first to drain, then for good. */
KIN_TEST(queue_shutdown_then_shutdown_immediate)
{
    void *slots[2];
    kin_queue queue = KIN_QUEUE(slots, .drop = drop);

    dropped = 0;
    put_all(&queue, (int[]){ 1, 2 }, 2);
    kin_queue_shutdown(&queue);
    CHECK_INT(dropped, 0);
    kin_queue_shutdown_now(&queue);
    CHECK_INT(dropped, 2);
    check_closed(&queue);
    CHECK_CODE(kin_queue_join(&queue), 0);
}

/* What a putter holds that waits was never in the queue: it stays the putter's. */
KIN_TEST(T47_a_put_refused_by_shutdown_keeps_its_item)
{
    void *slots[1];
    kin_queue queue = KIN_QUEUE(slots, .drop = drop), handover = { .drop = drop };
    struct end e[2];
    kin_group g = kin_group_open();

    dropped = 0;
    put_all(&queue, (int[]){ 1 }, 1);
    start(&g, put, &e[0], &queue, 5);
    start(&g, put, &e[1], &handover, 6);
    kin_queue_shutdown_now(&queue);
    kin_queue_shutdown_now(&handover);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e[0].rc, KIN_ECLOSED);
    CHECK_CODE(e[1].rc, KIN_ECLOSED);
    CHECK_STR(dropped_items, "1");
}

/* Handed to a getter that is then cancelled: received, not dropped. */
KIN_TEST(T47_an_item_handed_over_before_the_shutdown_is_received)
{
    void *slots[1];
    kin_queue queue = KIN_QUEUE(slots, .drop = drop);
    struct end e;
    kin_group g = kin_group_open();

    dropped = 0;
    start(&g, get, &e, &queue, 0);
    CHECK_CODE(kin_queue_put(&queue, item(4)), 0);
    kin_queue_shutdown_now(&queue);
    kin_cancel(&g, NULL);
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_CODE(e.rc, 0);
    CHECK_INT(e.number, 4);
    CHECK_INT(dropped, 0);
}

/* The destructor may look at the queue, which has lost the item already. */
static kin_queue *being_shut;

static void drop_and_look(void *it)
{
    void *got;

    trace("%d of %u", (int)(intptr_t)it, being_shut->count);
    CHECK_CODE(kin_queue_try_put(being_shut, it), KIN_ECLOSED);
    if ((intptr_t)it == 1) {
        CHECK_CODE(kin_queue_try_get(being_shut, &got), 0);
        trace("got %d", (int)(intptr_t)got);
    }
}

KIN_TEST(S1_a_destructor_may_use_the_queue)
{
    void *slots[3];
    kin_queue queue = KIN_QUEUE(slots, .drop = drop_and_look);

    being_shut = &queue;
    put_all(&queue, (int[]){ 1, 2, 3 }, 3);
    kin_queue_shutdown_now(&queue);
    CHECK_TRACE("1 of 2 got 2 3 of 0");
    CHECK_INT(queue.unfinished, 1);
}

/* The last item of a ring that begins in the middle of its array. */
KIN_TEST(S1_lifo_takes_the_last_wherever_the_ring_begins)
{
    void *slots[3], *got;
    kin_queue queue = KIN_QUEUE(slots);

    put_all(&queue, (int[]){ 1, 2, 3 }, 3);
    CHECK_CODE(kin_queue_get(&queue, &got), 0);
    CHECK_CODE(kin_queue_get(&queue, &got), 0);
    put_all(&queue, (int[]){ 4, 5 }, 2);
    queue.lifo = true;
    get_all(&queue);
    CHECK_TRACE("5 4 3");
}
