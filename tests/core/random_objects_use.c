/* One call on one object, and what must be true when it comes back. */
#include "random_objects.h"

/* ----------------------------------------------------------------- mutex, condition */

static int use_mutex(struct me *me)
{
    uint32_t call = begin_call();
    int rc = draw(4) ? kin_mutex_lock(&w.mutex) : kin_mutex_try_lock(&w.mutex);

    (void)me;
    if (rc < 0)
        return rc;
    check_not_overtaken(&w.mutex.waiters, call);
    CHECK_INT(++w.inside, 1);
    dawdle();
    CHECK_INT(w.inside--, 1);
    CHECK_CODE(kin_mutex_unlock(&w.mutex), 0);
    return 0;
}

static int take_token(void)
{
    int rc = 0;

    while (rc == 0 && w.tokens == 0) {
        begin_call();
        rc = kin_condition_wait(&w.condition, &w.mutex);
        CHECK_INT(w.mutex.owner, kin_task_id());
        w.told += rc == 0;
    }
    w.tokens -= rc == 0;
    return rc;
}

static void give_tokens(void)
{
    uint32_t waiting = line_length(&w.condition.waiters), count = 1 + draw(2);

    w.tokens += (int)count;
    w.notified += (int)(count < waiting ? count : waiting);
    kin_condition_notify(&w.condition, count);
}

static int use_condition(struct me *me)
{
    int rc;

    (void)me;
    begin_call();
    KIN_LOCKED(rc, &w.mutex)
    {
        CHECK_INT(++w.inside, 1);
        w.inside--;                             /* a wait lets others in */
        if (draw(3))
            rc = take_token();
        else
            give_tokens();
        CHECK_INT(w.inside, 0);
    }
    return rc;
}

/* ------------------------------------------------------------------ rwlock, semaphore */

static int take_rwlock(bool write)
{
    if (draw(4))
        return write ? kin_rwlock_write(&w.rwlock) : kin_rwlock_read(&w.rwlock);
    return write ? kin_rwlock_try_write(&w.rwlock) : kin_rwlock_try_read(&w.rwlock);
}

static int use_rwlock(struct me *me)
{
    uint32_t call = begin_call();
    bool write = draw(3) == 0;
    int *count = write ? &w.writers : &w.readers, rc = take_rwlock(write);

    (void)me;
    if (rc < 0)
        return rc;
    check_not_overtaken(&w.rwlock.waiters, call);
    ++*count;
    CHECK(w.writers == 0 || (w.writers == 1 && w.readers == 0));
    dawdle();
    --*count;
    CHECK_CODE(kin_rwlock_unlock(&w.rwlock), 0);
    return 0;
}

static int use_semaphore(struct me *me)
{
    uint32_t call = begin_call();
    int rc = draw(4) ? kin_semaphore_acquire(&w.semaphore)
                     : kin_semaphore_try_acquire(&w.semaphore);

    (void)me;
    if (rc < 0)
        return rc;
    check_not_overtaken(&w.semaphore.waiters, call);
    CHECK(++w.units <= UNITS);
    dawdle();
    w.units--;
    CHECK_CODE(kin_semaphore_release(&w.semaphore), 0);
    return 0;
}

/* --------------------------------------------------------- once, event, barrier, limiter */

static int do_once(void *arg)
{
    int *n = arg, rc;

    CHECK(!w.in_once[*n] && !w.done_once[*n]);
    w.in_once[*n] = true;
    rc = kin_sleep(KIN_US(draw(8)));
    w.in_once[*n] = false;
    if (rc == 0 && draw(3) == 0)
        rc = -EIO;
    w.done_once[*n] = rc == 0;
    return rc;
}

static int use_once(struct me *me)
{
    int n = (int)draw(ONCES), rc;

    (void)me;
    begin_call();
    rc = kin_once_run(&w.once[n], do_once, &n);
    CHECK(rc < 0 || w.done_once[n]);
    return rc;
}

static int use_event(struct me *me)
{
    bool parks = !w.event.set;
    int rc;

    (void)me;
    switch (draw(4)) {
    case 0:
        w.event_owed += (int)line_length(&w.event.waiters);
        kin_event_set(&w.event);
        CHECK(w.event.set);
        return 0;
    case 1:
        kin_event_clear(&w.event);
        return 0;
    default:
        begin_call();
        rc = kin_event_wait(&w.event);
        w.event_got += parks && rc == 0;
        return rc;
    }
}

static int use_barrier(struct me *me)
{
    int rc;

    (void)me;
    begin_call();
    if (draw(20) == 0)
        kin_barrier_break(&w.barrier);
    if (draw(w.barrier.broken ? 2 : 20) == 0)
        kin_barrier_reset(&w.barrier);
    rc = kin_barrier_wait(&w.barrier);
    CHECK(rc < PARTIES);
    if (rc >= 0)
        w.rounds[rc]++;
    return rc;
}

static int use_limiter(struct me *me)
{
    uint32_t call = begin_call();
    int rc = draw(4) ? kin_limiter_acquire(&w.limiter) : kin_limiter_try_acquire(&w.limiter);

    (void)me;
    if (rc < 0)
        return rc;
    w.passed[w.passes++] = kin_now();
    for (const struct kin_wait *wait = w.limiter.turn.waiters.first; wait; wait = wait->next)
        check_not_overtaken(&w.limiter.turn.waiters, call);
    return 0;
}

/* ------------------------------------------------------------------------- queues */

static int rank(const void *item)
{
    return (int)((uintptr_t)item * 7 % 13);     /* some are equal */
}

int compare_items(const void *a, const void *b)
{
    return rank(a) - rank(b);
}

static void leave_queue(void *item, enum item how)
{
    uint8_t *state = &w.item[(uintptr_t)item];

    CHECK((uintptr_t)item > 0 && (uintptr_t)item <= w.calls);
    if (*state != OFFERED && *state != PUT)
        FAIL("item %u left its queue as %d, and was %d", (unsigned)(uintptr_t)item, how, *state);
    *state = (uint8_t)how;
}

void drop_item(void *item)
{
    leave_queue(item, DROPPED);
}

static void check_heap(const kin_queue *queue)
{
    for (uint32_t i = 1; queue->compare && i < queue->count; i++)
        CHECK(queue->compare(queue->slots[(i - 1) / 2], queue->slots[i]) <= 0);
}

/* The getter may have run before the putter does. */
static int note_put(uint32_t item, int rc)
{
    uint8_t *state = &w.item[item];

    if (rc < 0)
        CHECK_INT(*state, OFFERED);
    else
        CHECK(*state == OFFERED || *state == GOT || *state == DROPPED);
    if (*state == OFFERED)
        *state = rc < 0 ? TAKEN_BACK : PUT;
    return rc;
}

static void note_got(int q, uint32_t call, void *item)
{
    leave_queue(item, GOT);
    w.got[q]++;
    w.taken[call] = (uint32_t)(uintptr_t)item;
    w.taken_from[call] = (uint8_t)(q + 1);
    if (draw(2)) {
        CHECK_CODE(kin_queue_done(&w.queue[q]), 0);
        w.finished[q]++;
    }
}

static int put(int q)
{
    uint32_t call = begin_call();
    void *item = (void *)(uintptr_t)call;
    int rc;

    w.item[call] = OFFERED;
    rc = draw(4) ? kin_queue_put(&w.queue[q], item) : kin_queue_try_put(&w.queue[q], item);
    if (rc == 0)
        check_not_overtaken(&w.queue[q].putters, call);
    return note_put(call, rc);
}

/* What is there is looked at beforehand: a get that need not wait takes it. */
static int get(int q)
{
    kin_queue *queue = &w.queue[q];
    uint32_t call = begin_call();
    int least = rank(NULL) + 13, rc;
    bool there = queue->count > 0;
    void *item, *latest = there ? queue->slots[queue->count - 1] : NULL;

    for (uint32_t i = 0; queue->compare && i < queue->count; i++)
        least = rank(queue->slots[i]) < least ? rank(queue->slots[i]) : least;
    rc = draw(4) ? kin_queue_get(queue, &item) : kin_queue_try_get(queue, &item);
    if (rc < 0)
        return rc;
    check_not_overtaken(&queue->getters, call);
    CHECK(!there || q != LIFO || item == latest);
    CHECK(!there || q != LEAST || rank(item) == least);
    note_got(q, call, item);
    return 0;
}

static void check_selected(const kin_case *one, int q, uint32_t call)
{
    if (one->code != 0)
        CHECK_CODE(one->code, KIN_ECLOSED);
    else if (!one->put)
        note_got(q, call, one->item);
    if (one->code == 0)
        check_not_overtaken(one->put ? &w.queue[q].putters : &w.queue[q].getters, call);
}

/* All puts of one select offer the same item: only one can be done. */
static int use_select(struct me *me)
{
    uint32_t call = begin_call(), count = 1 + draw(20);
    bool may_wait = draw(4);
    kin_case cases[20];
    int q[20], rc;

    (void)me;
    w.item[call] = OFFERED;
    for (uint32_t i = 0; i < count; i++) {
        q[i] = (int)draw(QUEUES);
        cases[i] = (kin_case){ .queue = &w.queue[q[i]], .put = draw(2), .code = 1,
                               .item = (void *)(uintptr_t)call };
    }
    rc = may_wait ? kin_select(cases, count) : kin_try_select(cases, count);
    CHECK(rc < (int)count);
    note_put(call, rc >= 0 && cases[rc].put ? cases[rc].code : -1);
    for (int i = 0; i < (int)count; i++)
        CHECK(i == rc || cases[i].code == 1);
    if (rc >= 0)
        check_selected(&cases[rc], q[rc], call);
    return rc;
}

static int use_queue(struct me *me)
{
    int q = (int)draw(QUEUES), rc;

    (void)me;
    check_heap(&w.queue[q]);
    switch (draw(150)) {
    case 0:
        kin_queue_shutdown(&w.queue[q]);
        return 0;
    case 1:
        kin_queue_shutdown_now(&w.queue[q]);
        return 0;
    case 2: case 3: case 4: case 5: case 6:
        begin_call();
        return kin_queue_join(&w.queue[q]);
    default:
        rc = draw(2) ? put(q) : get(q);
        check_heap(&w.queue[q]);
        return rc;
    }
}

/* ---------------------------------------------------------------------------- any */

int use_an_object(struct me *me)
{
    static int (*const use[])(struct me *me) = {
        use_mutex, use_condition, use_rwlock, use_semaphore, use_once, use_event, use_barrier,
        use_limiter, use_queue, use_queue, use_queue, use_select, use_select,
    };

    return use[draw(sizeof use / sizeof use[0])](me);
}
