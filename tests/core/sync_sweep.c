/* Every primitive under every cancellation, in every order (docs/semantics.md C2, S2).
 *
 * A program is a handful of workers that use one primitive, and keep books on it.
 * It is run again and again: with the k-th blocking call cancelled, with the k-th
 * wait cancelled while it lasts, for every k; in random orders; and in random orders
 * with a wait cancelled. Each time it must end by itself, without a report of a
 * deadlock or misuse, and the books must balance: nothing lost, nothing doubled,
 * nothing left locked, nobody left in a line, nobody overtaken.
 *
 *     SWEEP_SEEDS=10000 ./sync_sweep      more orders
 */
#include "kin_ext.h"
#include "kin_test.h"

#include <stdlib.h>

enum { WORKERS = 5, ROUNDS = 4 };

static int rounds_done;     /* by all workers: that a program does its work can be seen */

/* Lets others run, sometimes with time passing; cancellations are for later calls. */
static void dawdle(int n)
{
    if (n % 3 == 0)
        kin_yield();
    else if (n % 3 == 1)
        kin_sleep(KIN_US(n % 7 + 1));
}

/* ------------------------------------------------------- who comes, and who is served */

/* Those that have come for something served one at a time, in order. */
struct line {
    int ticket[64];
    bool passed[64];        /* somebody behind it was served: it must have given up */
    int length, next;
};

static int line_join(struct line *line)
{
    CHECK(line->length < 64);
    line->ticket[line->length] = ++line->next;
    line->passed[line->length++] = false;
    return line->next;
}

static void line_leave(struct line *line, int ticket, bool served)
{
    int i = 0;

    while (line->ticket[i] != ticket)
        i++;
    if (served && line->passed[i])
        FAIL("overtaken, and served all the same");
    for (int k = 0; served && k < i; k++)
        line->passed[k] = true;
    line->length--;
    memmove(&line->ticket[i], &line->ticket[i + 1], sizeof(int) * (size_t)(line->length - i));
    memmove(&line->passed[i], &line->passed[i + 1], sizeof(bool) * (size_t)(line->length - i));
}

static void check_nobody(const struct kin_wait_list *list)
{
    CHECK(!list->first && !list->last);
}

/* --------------------------------------------------------------- the primitives */

static struct {
    struct line line;
    kin_mutex mutex;
    kin_condition filled, emptied;
    kin_rwlock rwlock;
    kin_once once;
    kin_barrier barrier;
    kin_limiter limiter;
    kin_semaphore semaphore;
    kin_queue queue[3];
    void *slots[3][2];
    int inside, writers, put, got, ran;
    int producers, consumers;   /* that have not left */
    uint32_t numbers[ROUNDS];
    uint8_t seen[512];          /* items: 1 put, 2 got */
    intptr_t taken[512];        /* by the n-th get, in the order of the calls */
    bool fifo;
    int64_t last;
} w;

struct worker {
    int number;
};

static int use_mutex(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;

    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        int ticket = line_join(&w.line);

        rc = kin_mutex_lock(&w.mutex);
        line_leave(&w.line, ticket, rc == 0);
        if (rc < 0)
            break;
        CHECK_INT(++w.inside, 1);
        dawdle(me + i);
        CHECK_INT(w.inside--, 1);
        CHECK_CODE(kin_mutex_unlock(&w.mutex), 0);
        rounds_done++;
        dawdle(me * i);
    }
    return rc;
}

static void check_mutex(void)
{
    CHECK_INT(w.mutex.owner, 0);
    check_nobody(&w.mutex.waiters);
}

/* A buffer of two, made of a mutex and two conditions. */
static int fill(int i)
{
    int rc;

    KIN_LOCKED(rc, &w.mutex)
    {
        while (rc == 0 && w.put - w.got == 2 && w.consumers > 0) {
            rc = kin_condition_wait(&w.emptied, &w.mutex);
            CHECK_INT(w.mutex.owner, kin_task_id());
        }
        if (rc == 0 && w.consumers == 0)
            rc = KIN_ECLOSED;
        if (rc == 0) {
            w.put++;
            kin_condition_notify(&w.filled, 1);
        }
        dawdle(i);
    }
    return rc;
}

static int empty(int i)
{
    int rc;

    KIN_LOCKED(rc, &w.mutex)
    {
        while (rc == 0 && w.put == w.got && w.producers > 0) {
            rc = kin_condition_wait(&w.filled, &w.mutex);
            CHECK_INT(w.mutex.owner, kin_task_id());
        }
        if (rc == 0 && w.put == w.got)
            rc = KIN_ECLOSED;
        if (rc == 0) {
            w.got++;
            kin_condition_notify(&w.emptied, 1);
        }
        dawdle(i);
    }
    return rc;
}

/* The last of one kind that goes sends the other kind home. */
static int use_condition(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;
    bool consumer = me % 2;

    for (int i = 0; rc == 0 && (consumer || i < ROUNDS); i++) {
        rc = consumer ? empty(me + i) : fill(me + i);
        rounds_done += rc == 0;
    }
    if (consumer && --w.consumers == 0)
        kin_condition_notify_all(&w.emptied);
    if (!consumer && --w.producers == 0)
        kin_condition_notify_all(&w.filled);
    return rc == KIN_ECLOSED ? 0 : rc;
}

static void check_condition(void)
{
    int left = w.put - w.got;

    check_mutex();
    CHECK(left >= 0 && left <= 2);
    check_nobody(&w.filled.waiters);
    check_nobody(&w.emptied.waiters);
}

static int use_rwlock(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;

    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        bool write = (me + i) % 3 == 0;
        int *count = write ? &w.writers : &w.inside;

        rc = write ? kin_rwlock_write(&w.rwlock) : kin_rwlock_read(&w.rwlock);
        if (rc < 0)
            break;
        ++*count;
        CHECK(w.writers == 0 || (w.writers == 1 && w.inside == 0));
        dawdle(me + 2 * i);
        --*count;
        CHECK_CODE(kin_rwlock_unlock(&w.rwlock), 0);
        rounds_done++;
        dawdle(me * i);
    }
    return rc;
}

static void check_rwlock(void)
{
    CHECK_INT(w.rwlock.writer, 0);
    CHECK_INT(w.rwlock.readers, 0);
    check_nobody(&w.rwlock.waiters);
}

static int set_up(void *arg)
{
    int rc = kin_yield();

    (void)arg;
    if (rc == 0)
        rc = kin_sleep(KIN_US(2));
    if (rc == 0)
        CHECK_INT(++w.ran, 1);
    return rc;
}

static int use_once(void *arg)
{
    int rc;

    dawdle(((struct worker *)arg)->number);
    rc = kin_once_run(&w.once, set_up, NULL);
    CHECK(rc < 0 || w.ran == 1);
    rounds_done += rc == 0;
    return rc;
}

static void check_once(void)
{
    CHECK_INT(w.once.mutex.owner, 0);
    check_nobody(&w.once.mutex.waiters);
    CHECK(w.once.done == (w.ran == 1));
}

/* Who has to leave breaks the barrier for all. */
static int use_barrier(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;

    for (int i = 0; i < ROUNDS && rc >= 0; i++) {
        dawdle(me + i);
        rc = kin_barrier_wait(&w.barrier);
        if (rc < 0)
            break;
        CHECK(rc < WORKERS && !(w.numbers[i] & 1u << rc));
        w.numbers[i] |= 1u << rc;
        rounds_done++;
    }
    if (rc < 0)
        kin_barrier_break(&w.barrier);
    return rc == KIN_EBROKEN ? 0 : rc;
}

static void check_barrier(void)
{
    CHECK_INT(w.barrier.waiting, 0);
    check_nobody(&w.barrier.waiters);
    for (int i = 0; i < ROUNDS; i++)
        CHECK(w.numbers[i] == (1u << WORKERS) - 1 || (w.barrier.broken && w.numbers[i] == 0));
}

static int use_limiter(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;

    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        int ticket = line_join(&w.line);

        rc = kin_limiter_acquire(&w.limiter);
        line_leave(&w.line, ticket, rc == 0);
        if (rc < 0)
            break;
        CHECK(w.last == 0 || kin_now() - w.last >= KIN_US(5));
        w.last = kin_now();
        rounds_done++;
        dawdle(me * i);
    }
    return rc;
}

static void check_limiter(void)
{
    CHECK_INT(w.limiter.turn.owner, 0);
    check_nobody(&w.limiter.turn.waiters);
}

static int use_semaphore(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;

    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        KIN_ACQUIRED(rc, &w.semaphore)
        {
            CHECK(++w.inside <= 2);
            dawdle(me + i);
            w.inside--;
            rounds_done++;
        }
        dawdle(me * i);
    }
    return rc;
}

static void check_semaphore(void)
{
    CHECK_INT(w.semaphore.count, 2);
    check_nobody(&w.semaphore.waiters);
}

/* -------------------------------------------------------------------- queues */

static void note_got(void *item)
{
    intptr_t number = (intptr_t)item;

    CHECK(number > 0 && number < (intptr_t)sizeof w.seen && w.seen[number] == 1);
    w.seen[number] = 2;
    w.got++;
}

static void *next_item(void)
{
    return (void *)(intptr_t)++w.ran;
}

static void note_put(void *item)
{
    w.seen[(intptr_t)item] = 1;
    w.put++;
}

static void note_not_put(void *item)
{
    CHECK_INT(w.seen[(intptr_t)item], 1);
    w.seen[(intptr_t)item] = 0;
    w.put--;
}

static int compare(const void *a, const void *b)
{
    return ((intptr_t)a > (intptr_t)b) - ((intptr_t)a < (intptr_t)b);
}

static void drop_item(void *item)
{
    note_got(item);
}

/* Noted before the put, since the getter may run first. */
static int put_item(kin_queue *queue)
{
    void *item = next_item();
    int rc;

    note_put(item);
    rc = kin_queue_put(queue, item);
    if (rc < 0)
        note_not_put(item);
    return rc;
}

static int get_item(kin_queue *queue)
{
    int ticket = ++w.line.next, rc;
    void *item;

    CHECK(ticket < 512);
    rc = kin_queue_get(queue, &item);
    if (rc == 0) {
        note_got(item);
        w.taken[ticket] = (intptr_t)item;
    }
    return rc;
}

/* The last producer waits until all is done, and shuts down; so does the last consumer
 * that has to leave before. */
static void leave_queue(kin_queue *queue, bool consumer)
{
    if (consumer && --w.consumers == 0) {
        kin_queue_shutdown_now(queue);
    } else if (!consumer && --w.producers == 0) {
        int rc = kin_queue_join(queue);

        CHECK(rc < 0 || queue->unfinished == 0);
        if (rc == 0)
            kin_queue_shutdown(queue);
        else
            kin_queue_shutdown_now(queue);
    }
}

static int use_queue(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;
    kin_queue *queue = &w.queue[0];
    bool consumer = me % 2;

    for (int i = 0; rc == 0 && (consumer || i < ROUNDS); i++) {
        rc = consumer ? get_item(queue) : put_item(queue);
        dawdle(me + i);
        if (rc == 0 && consumer)
            CHECK_CODE(kin_queue_done(queue), 0);
        rounds_done += rc == 0;
    }
    leave_queue(queue, consumer);
    return rc == KIN_ECLOSED ? 0 : rc;
}

/* Items are numbered in the order of the puts: so must the gets have them. */
static void check_order(void)
{
    intptr_t before = 0;

    for (int i = 0; i < 512 && w.fifo; i++) {
        CHECK(w.taken[i] == 0 || w.taken[i] > before);
        before = w.taken[i] ? w.taken[i] : before;
    }
}

static void check_queue(void)
{
    check_order();
    for (int i = 0; i < 3; i++) {
        check_nobody(&w.queue[i].getters);
        check_nobody(&w.queue[i].putters);
        check_nobody(&w.queue[i].joiners);
        while (w.queue[i].count > 0)
            kin_queue_shutdown_now(&w.queue[i]);
    }
    CHECK_INT(w.put, w.got);
}

/* Gives up after a while, since all might want to get. Noted before, as above. */
static int select_for_a_while(kin_case *cases, size_t count)
{
    kin_scope s = kin_scope_open(.timeout = KIN_US(10));

    for (size_t i = 0; i < count; i++) {
        cases[i].item = next_item();
        if (cases[i].put)
            note_put(cases[i].item);
    }
    int chosen = kin_select(cases, count);
    for (size_t i = 0; i < count; i++) {
        bool done = chosen == (int)i && cases[i].code == 0;

        if (cases[i].put && !done)
            note_not_put(cases[i].item);
        else if (!cases[i].put && done)
            note_got(cases[i].item);
    }
    rounds_done += chosen >= 0;
    return kin_scope_close(&s, chosen);
}

/* All put and get, each through several queues at once; one is closed under way. */
static int use_select(void *arg)
{
    int me = ((struct worker *)arg)->number, rc = 0;

    for (int i = 0; rc >= 0 && i < 2 * ROUNDS; i++) {
        kin_queue *a = &w.queue[(me + i) % 3], *b = &w.queue[(me + i + 1) % 3];
        kin_case cases[] = { { .queue = a, .put = me % 2 },
                             { .queue = b, .put = i % 2 },
                             { .queue = a, .put = me % 2 == 0 },
                             { .queue = b, .put = true } };

        rc = select_for_a_while(cases, 2 + (size_t)(me + i) % 3);
        rc = rc == KIN_ETIMEDOUT ? 0 : rc;
        dawdle(me + i);
    }
    if (me == 4)
        kin_queue_shutdown(&w.queue[1]);
    return rc;
}

/* ------------------------------------------------------------------- one run */

struct program {
    int (*work)(void *arg);
    void (*check)(void);
    int lives;                  /* rounds that are done when nothing goes wrong; 0: it depends */
    uint32_t kind;              /* of the queue */
};

static void set_up_world(const struct program *p)
{
    memset(&w, 0, sizeof w);
    rounds_done = 0;
    w.producers = 3;            /* the even ones */
    w.consumers = 2;
    w.barrier.parties = WORKERS;
    w.limiter.interval = KIN_US(5);
    w.semaphore = (kin_semaphore)KIN_SEMAPHORE_BOUNDED(2);
    for (uint32_t i = 0; i < 3; i++)
        w.queue[i] = (kin_queue){ .slots = w.slots[i], .capacity = i, .drop = drop_item };
    w.fifo = p->kind % 3 == 0;
    w.queue[0].capacity = p->kind / 3;
    w.queue[0].lifo = p->kind % 3 == 1;
    w.queue[0].compare = p->kind % 3 == 2 ? compare : NULL;
}

static int root(void *arg)
{
    const struct program *p = arg;
    struct worker worker[WORKERS];
    kin_group g = kin_group_open(.policy = KIN_KEEP_GOING);

    set_up_world(p);
    for (int i = 0; i < WORKERS; i++) {
        worker[i].number = i;
        CHECK_CODE(kin_spawn(&g, p->work, &worker[i], .name = "worker", .index = i), 0);
    }
    CHECK_CODE(kin_group_close(&g, 0), 0);
    CHECK_INT(w.inside, 0);
    CHECK_INT(w.line.length, 0);
    p->check();
    return 0;
}

static void refuse_report(const char *line, void *arg)
{
    (void)arg;
    FAIL("reported: %s", line);
}

static void run_once(const struct program *p, struct kin_faults *faults, uint64_t seed)
{
    faults->task = "worker";
    tap_note("call %llu, wait %llu, seed %llu", (unsigned long long)faults->cancel_call,
             (unsigned long long)faults->cancel_wait, (unsigned long long)seed);
    CHECK_CODE(kin_run(root, (void *)(uintptr_t)p, .virtual_clock = true,
                       .backend = test_backend(), .seed = seed, .faults = faults,
                       .on_report = refuse_report), 0);
}

/* ------------------------------------------------------------------ the sweeps */

static void sweep_calls(const struct program *p)
{
    uint64_t k = 1;

    for (;; k++) {
        struct kin_faults faults = { .cancel_call = k };

        run_once(p, &faults, 0);
        if (faults.calls < k)
            break;
    }
    CHECK(k > WORKERS);
}

static void sweep_waits(const struct program *p)
{
    uint64_t k = 1;

    for (;; k++) {
        struct kin_faults faults = { .cancel_wait = k };

        run_once(p, &faults, 0);
        if (faults.waits < k)
            break;
    }
    CHECK(k > WORKERS);
}

static uint64_t seeds(void)
{
    const char *text = getenv("SWEEP_SEEDS");

    return text ? strtoull(text, NULL, 10) : 200;
}

static void sweep_orders(const struct program *p)
{
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        struct kin_faults faults = { 0 };

        run_once(p, &faults, seed);
        if (p->lives)
            CHECK_INT(rounds_done, p->lives);
    }
}

static void sweep_orders_and_faults(const struct program *p)
{
    struct kin_faults plain = { 0 };

    run_once(p, &plain, 1);
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        struct kin_faults one = { .cancel_wait = 1 + seed * 7919 % plain.waits };
        struct kin_faults two = { .cancel_call = 1 + seed * 7919 % plain.calls };
        struct kin_faults both = { .cancel_wait = one.cancel_wait,
                                   .cancel_call = two.cancel_call };

        run_once(p, &one, seed);
        run_once(p, &two, seed);
        run_once(p, &both, seed);
    }
}

#define SWEEPS(name, ...)                                                                 \
    static const struct program program_##name = { __VA_ARGS__ };                         \
    TEST(C2_##name##_with_each_call_cancelled)                                            \
    {                                                                                     \
        sweep_calls(&program_##name);                                                     \
    }                                                                                     \
    TEST(C2_##name##_with_each_wait_cancelled)                                            \
    {                                                                                     \
        sweep_waits(&program_##name);                                                     \
    }                                                                                     \
    TEST(S2_##name##_in_random_orders)                                                    \
    {                                                                                     \
        sweep_orders(&program_##name);                                                    \
    }                                                                                     \
    TEST(S2_##name##_cancelled_in_random_orders)                                          \
    {                                                                                     \
        sweep_orders_and_faults(&program_##name);                                         \
    }

SWEEPS(mutex, use_mutex, check_mutex, WORKERS * ROUNDS, 0)
SWEEPS(condition, use_condition, check_condition, 6 * ROUNDS, 0)
SWEEPS(rwlock, use_rwlock, check_rwlock, WORKERS * ROUNDS, 0)
SWEEPS(once, use_once, check_once, WORKERS, 0)
SWEEPS(barrier, use_barrier, check_barrier, WORKERS * ROUNDS, 0)
SWEEPS(limiter, use_limiter, check_limiter, WORKERS * ROUNDS, 0)
SWEEPS(semaphore, use_semaphore, check_semaphore, WORKERS * ROUNDS, 0)
SWEEPS(queue_hand_to_hand, use_queue, check_queue, 6 * ROUNDS, 0)
SWEEPS(queue_of_one, use_queue, check_queue, 6 * ROUNDS, 3)
SWEEPS(queue_of_two, use_queue, check_queue, 6 * ROUNDS, 6)
SWEEPS(queue_lifo, use_queue, check_queue, 6 * ROUNDS, 7)
SWEEPS(queue_by_priority, use_queue, check_queue, 6 * ROUNDS, 8)
SWEEPS(select, use_select, check_queue, 0, 0)
