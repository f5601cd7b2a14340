/* Random tasks on all objects at once: what each of them promises must hold whoever else
 * is cancelled, timed out, shut down or out of memory at the same time (docs/semantics.md
 * C2, S1, S2, S4, G10, G11, W2; the random programs of random.c hold groups and scopes
 * against a model, these here keep books).
 *
 * Every call is numbered when it is made. Whoever comes back with something checks that
 * nobody who called earlier is still in that line. At the end all is counted: nothing is
 * locked, nobody stands in a line, each item was delivered or dropped once, in order,
 * each notification has reached somebody, barrier rounds are whole, and the limiter has
 * never let too many pass.
 *
 *     RANDOM_SEED=17 ./random_objects                  one run
 *     RANDOM_SEEDS=1000000 ./random_objects            more; RANDOM_FROM=n: from the n-th on
 */
#include "random_objects.h"

#include <stdlib.h>

struct objects w;

/* ----------------------------------------------------------------------- drawing */

uint32_t draw(uint32_t n)
{
    w.random = w.random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(w.random >> 33) % n;
}

void note(const struct me *me, int rc)
{
    w.trace = (w.trace ^ me->number ^ (uint64_t)(uint32_t)rc << 16) * 0x100000001b3u +
              (uint64_t)kin_now();
}

/* Lets others run, sometimes with time passing. */
void dawdle(void)
{
    uint32_t how = draw(4);

    if (how == 0)
        kin_yield();
    else if (how == 1)
        kin_sleep(KIN_US(draw(5)));
}

/* ------------------------------------------------------------- who is in which line */

static uint32_t *number_of(uint64_t task)
{
    uint64_t n = task & ((1ull << KIN__RUN_SHIFT) - 1);

    CHECK(n < MOST_IDS);
    return &w.number[n];
}

uint32_t begin_call(void)
{
    CHECK(w.calls + 1 < MOST_CALLS);
    return *number_of(kin_task_id()) = ++w.calls;
}

/* Those who take a mutex back in the middle of their call are not in order. */
void check_not_overtaken(const struct kin_wait_list *line, uint32_t call)
{
    for (const struct kin_wait *wait = line->first; wait; wait = wait->next) {
        const struct kin__task *task = wait->task;

        if (strcmp(wait->ops->name, "mutex of a condition") != 0 &&
            *number_of(task->base.id) < call)
            FAIL("%s: call %u has overtaken call %u", wait->ops->name, call,
                 *number_of(task->base.id));
    }
}

uint32_t line_length(const struct kin_wait_list *line)
{
    uint32_t length = 0;

    for (const struct kin_wait *wait = line->first; wait; wait = wait->next)
        length++;
    return length;
}

/* Who waits has a reason to, at any time. */
void check_lines(void)
{
    const struct kin_wait *first = w.rwlock.waiters.first;

    CHECK(!w.mutex.waiters.first || w.mutex.owner);
    CHECK(!first || w.rwlock.writer || w.rwlock.readers);
    CHECK(!first || w.rwlock.writer || strcmp(first->ops->name, "rwlock write") == 0);
    CHECK(!w.semaphore.waiters.first || w.semaphore.count == 0);
    CHECK(!w.event.waiters.first || !w.event.set);
    CHECK(w.barrier.waiting < PARTIES && w.barrier.waiting == line_length(&w.barrier.waiters));
    for (int q = 0; q < QUEUES; q++) {
        const kin_queue *queue = &w.queue[q];

        CHECK(!queue->getters.first || queue->count == 0);
        CHECK(!queue->putters.first || queue->count == queue->capacity);
        CHECK(!queue->closed || (!queue->getters.first && !queue->putters.first));
        CHECK(!queue->joiners.first || queue->unfinished > 0);
    }
}

/* ---------------------------------------------------------------------- the books */

static void check_nobody(const struct kin_wait_list *line)
{
    CHECK(!line->first && !line->last);
}

static void check_locks(void)
{
    CHECK_INT(w.mutex.owner, 0);
    check_nobody(&w.mutex.waiters);
    check_nobody(&w.condition.waiters);
    CHECK_INT(w.notified, w.told);
    CHECK_INT(w.rwlock.writer, 0);
    CHECK_INT(w.rwlock.readers, 0);
    check_nobody(&w.rwlock.waiters);
    CHECK_INT(w.semaphore.count, UNITS);
    check_nobody(&w.semaphore.waiters);
    for (int i = 0; i < ONCES; i++) {
        CHECK_INT(w.once[i].mutex.owner, 0);
        check_nobody(&w.once[i].mutex.waiters);
        CHECK_INT(w.once[i].done, w.done_once[i]);
    }
}

static void check_meetings(void)
{
    check_nobody(&w.event.waiters);
    CHECK_INT(w.event_owed, w.event_got);
    check_nobody(&w.barrier.waiters);
    CHECK_INT(w.barrier.waiting, 0);
    for (int i = 1; i < PARTIES; i++)
        CHECK_INT(w.rounds[i], w.rounds[0]);
}

/* In no window more than the burst and one an interval. */
static void check_limiter(void)
{
    CHECK_INT(w.limiter.turn.owner, 0);
    check_nobody(&w.limiter.turn.waiters);
    for (uint32_t i = 0; i < w.passes; i++)
        for (uint32_t k = i; k < w.passes; k++) {
            int64_t most = w.limiter.burst + (w.passed[k] - w.passed[i]) / w.limiter.interval;

            if ((int64_t)(k - i + 1) > most)
                FAIL("the limiter let %u pass in %lld ns", k - i + 1,
                     (long long)(w.passed[k] - w.passed[i]));
        }
}

static void check_queue(int q)
{
    kin_queue *queue = &w.queue[q];

    check_nobody(&queue->getters);
    check_nobody(&queue->putters);
    check_nobody(&queue->joiners);
    kin_queue_shutdown_now(queue);
    CHECK_INT(queue->count, 0);
    CHECK_INT(queue->unfinished, w.got[q] - w.finished[q]);
}

/* By the numbers of the calls: who asked earlier got what was put earlier. */
static void check_order(int q)
{
    uint32_t last = 0;

    for (uint32_t call = 1; call <= w.calls; call++) {
        uint32_t item = w.taken_from[call] == q + 1 ? w.taken[call] : 0;

        if (item && item < last)
            FAIL("queue %d: item %u came after item %u", q, item, last);
        last = item ? item : last;
    }
}

static void check_books(void)
{
    check_locks();
    check_meetings();
    check_limiter();
    for (int q = 0; q < QUEUES; q++)
        check_queue(q);
    check_order(FIFO);
    check_order(DIRECT);
    for (uint32_t item = 1; item <= w.calls; item++)
        CHECK(w.item[item] != PUT && w.item[item] != OFFERED);
    CHECK_INT(w.reported, w.service_failures);
}

/* ------------------------------------------------------------------------- a run */

static void set_up(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.random = seed * 0x9e3779b97f4a7c15u;
    w.semaphore = (kin_semaphore)KIN_SEMAPHORE_BOUNDED(UNITS);
    w.barrier = (kin_barrier){ .parties = PARTIES };
    w.limiter = (kin_limiter){ .interval = KIN_US(1 + draw(9)), .burst = 1 + draw(3) };
    for (int q = 0; q < QUEUES; q++)
        w.queue[q] = (kin_queue){ .slots = w.slots[q], .capacity = q == DIRECT ? 0 : 1 + draw(ROOM),
                                  .drop = drop_item };
    w.queue[LIFO].lifo = true;
    w.queue[LEAST].compare = compare_items;
}

static int root(void *arg)
{
    struct me me = { .depth = 0 };
    struct kin_facts facts;

    (void)arg;
    note(&me, use_objects(&me));
    CHECK_CODE(kin_facts(&facts), 0);
    CHECK_INT(facts.tasks, 1);
    check_books();
    return 0;
}

static void take_report(const char *line, void *arg)
{
    (void)arg;
    if (strstr(line, "service: could not be spawned (ENOMEM"))
        return;                                 /* as asked for */
    if (strncmp(line, "service service (", 17) != 0)
        FAIL("reported: %s", line);
    w.reported++;
}

static struct kin_faults draw_faults(void)
{
    const char *task = draw(4) ? "task" : NULL;

    switch (draw(5)) {
    case 0:
        return (struct kin_faults){ .task = task, .cancel_call = 1 + draw(300) };
    case 1:
        return (struct kin_faults){ .task = task, .cancel_wait = 1 + draw(200) };
    case 2:
        return (struct kin_faults){ .fail_request = 5 + draw(12) };
    default:
        return (struct kin_faults){ .calls = 0 };
    }
}

static uint64_t run_seed(uint64_t seed)
{
    struct kin_faults faults;
    int rc;

    set_up(seed);
    faults = draw_faults();
    rc = kin_run(root, NULL, .virtual_clock = true, .backend = test_backend(),
                 .seed = seed % 3 ? seed : 0, .faults = &faults, .on_report = take_report);
    if (rc < 0 && !faults.fail_request)
        FAIL("the run failed: %s", kin_code_name(rc));
    return w.trace;
}

/* --------------------------------------------------------------------- all of them */

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

TEST_LIMIT(S2_random_tasks_on_all_objects_leave_books_that_balance, 3600)
{
    uint64_t one = number_from("RANDOM_SEED", 0);
    uint64_t from = one ? one : number_from("RANDOM_FROM", 1);
    uint64_t many = one ? 1 : number_from("RANDOM_SEEDS", tap_instrumented() ? 600 : 6000);

    for (uint64_t seed = from; seed < from + many; seed++) {
        tap_note("RANDOM_SEED=%llu", (unsigned long long)seed);
        uint64_t trace = run_seed(seed);
        if (seed % 16 == 0 && run_seed(seed) != trace)
            FAIL("ran differently the second time");
    }
}
