/* The scheduler: who runs next, and on which stack.
 *
 * There is no scheduler stack. A task that parks picks the next one itself and
 * switches straight to it; if it turns out to be the next, it does not switch at
 * all. A task that has not started owns no stack. It is run by loop(), the bottom
 * frame of every stack, as a plain call; when it ends without having parked, the
 * next one is called from the same loop, without a switch. Only by parking does a
 * task keep the stack it is on.
 *
 * Order. Tasks that are woken queue first in, first out. Tasks that are spawned
 * in a step run before what is queued already, in the order in which they were
 * spawned. So a tree of tasks is walked depth first, and as many stacks are in use
 * as it is deep; breadth first it would be as many as it has inner nodes. Woken ones
 * take turns with them, so that nobody starves, and whoever ends gives back a stack
 * that the next can have. A task that yields goes behind everyone.
 *
 * A turn is at most 128 steps. Between turns, timers get their time, completed
 * I/O wakes its tasks, timers fire; when nothing is runnable, the backend waits.
 */
#include "core/park.h"

#if defined __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

int64_t kin__clock(struct kin__runtime *rt)
{
    return rt->virtual_clock ? rt->virtual_now : kin__os_now();
}

int64_t kin_now(void)
{
    return kin__rt ? kin__clock(kin__rt) : kin__os_now();
}

/* ------------------------------------------------------------------ queues */

/* Puts the front queue before the back one. */
void kin__queue_splice(struct kin__task_queue *front, struct kin__task_queue *back)
{
    if (!front->head)
        return;
    front->tail->next = back->head;
    if (!back->head)
        back->tail = front->tail;
    back->head = front->head;
    *front = (struct kin__task_queue){ NULL, NULL };
}

/* Takes the longest run of rising ids off the front of the list. */
static struct kin__task_queue take_run(struct kin__task **list)
{
    struct kin__task_queue run = { *list, *list };

    while (run.tail->next && run.tail->next->base.id > run.tail->base.id)
        run.tail = run.tail->next;
    *list = run.tail->next;
    run.tail->next = NULL;
    return run;
}

static struct kin__task_queue merge(struct kin__task_queue a, struct kin__task_queue b)
{
    struct kin__task_queue merged = { NULL, NULL };

    while (a.head && b.head)
        kin__queue_push(&merged, kin__queue_pop(a.head->base.id < b.head->base.id ? &a : &b));
    kin__queue_splice(&merged, a.head ? &a : &b);
    return a.head ? a : b;
}

/* By id, which is the order of spawning. Merges the rising runs that the queue
 * consists of, two by two, until one is left: mostly it is one already. */
void kin__queue_sort(struct kin__task_queue *queue)
{
    unsigned runs;

    do {
        struct kin__task_queue sorted = { NULL, NULL }, run;
        struct kin__task *list = queue->head;

        for (runs = 0; list; runs++) {
            run = take_run(&list);
            if (list)
                run = merge(run, take_run(&list));
            kin__queue_splice(&sorted, &run);
            sorted = run;
        }
        *queue = sorted;
    } while (runs > 1);
}

static bool any_runnable(const struct kin__runtime *rt)
{
    return rt->ready.head || rt->ahead.head || rt->fresh.head;
}

/* All that is runnable now goes before whatever becomes runnable later. */
static void settle_order(struct kin__runtime *rt)
{
    kin__queue_splice(&rt->fresh, &rt->ahead);
    kin__queue_splice(&rt->ahead, &rt->ready);
}

static inline struct kin__task *pop_ahead(struct kin__runtime *rt)
{
    struct kin__task *next = kin__queue_pop(&rt->ahead);

    if (rt->ahead.head) {
        __builtin_prefetch(rt->ahead.head, 1);      /* a task touches two lines of its record */
        __builtin_prefetch(&rt->ahead.head->base, 1);
    }
    return next;
}

/* One of the first so many by chance, whoever spawned or woke it (Q2). */
static struct kin__task *pop_random(struct kin__runtime *rt)
{
    struct kin__task_queue *queue = &rt->ready;
    struct kin__task *before = NULL, *task = queue->head;

    rt->random = rt->random * 6364136223846793005ull + 1442695040888963407ull;
    for (uint64_t n = (rt->random >> 33) % KIN__DRAWN_FROM; n > 0; n--) {
        before = task->next ? task : NULL;
        task = task->next ? task->next : queue->head;
    }
    if (!before)
        return kin__queue_pop(queue);
    before->next = task->next;
    if (!task->next)
        queue->tail = before;
    return task;
}

static struct kin__task *pop(struct kin__runtime *rt)
{
    if (kin__unlikely(rt->seed)) {
        settle_order(rt);
        return pop_random(rt);
    }
    if (rt->fresh.head)
        kin__queue_splice(&rt->fresh, &rt->ahead);
    rt->woken_turn = rt->ready.head && (!rt->ahead.head || !rt->woken_turn);
    return rt->woken_turn ? kin__pop_woken(rt) : pop_ahead(rt);
}

/* -------------------------------------------------------------------- turns */

static struct kin__stack_pool *stacks_of(const struct kin__task *task)
{
    return kin__group_of(task->base.parent)->stacks;
}

/* Is there memory for a stack by now? */
static bool retry_starved(struct kin__runtime *rt)
{
    struct kin__task *task = rt->starved.head;
    struct kin__stack *stack = task ? kin__stack_get(stacks_of(task)) : NULL;

    if (!stack)
        return false;
    kin__stack_put(stack);
    kin__ready(rt, kin__queue_pop(&rt->starved));
    return true;
}

/* What would take long all at once is done a piece a turn. False: nothing is left of it. */
static bool chores(struct kin__runtime *rt, int64_t now)
{
    bool split = kin__timers_split_ahead(rt, now);

    return kin__stack_pools_trim(rt, now) || split;
}

/* In a crowd of timers, those of the next moment are waited for together: the moment is as
 * long as the slack that Linux allows itself for any sleep. */
static int64_t patience(struct kin__runtime *rt, int64_t now, int64_t next)
{
    if (rt->stepped || chores(rt, now) || next <= now)
        return 0;
    if (next == KIN_FOREVER)
        return KIN_FOREVER;
    if (next - now < KIN_US(KIN__SLACK_US) && kin__timers_crowded(rt))
        return KIN_US(KIN__SLACK_US);
    return next - now;
}

/* Nothing is runnable: virtual time jumps, real time passes in the backend. False: only
 * time or somebody outside can bring about more. */
static bool idle(struct kin__runtime *rt, int64_t now)
{
    int64_t next;

    if (retry_starved(rt))
        return true;
    kin__timers_settle(rt, now);        /* those that firing has armed */
    next = kin__timers_next(rt, rt->virtual_clock);
    if (rt->virtual_clock && rt->outside > 0)
        rt->backend->poll(rt, 0);
    if (any_runnable(rt))
        return true;
    if (rt->virtual_clock && next != KIN_FOREVER) {
        rt->virtual_now = next > now ? next : now;
    } else if (next != KIN_FOREVER || rt->outside > 0) {
        rt->backend->poll(rt, patience(rt, now, next));
        return false;
    } else if (rt->starved.head) {
        kin__task_run_borrowed(rt, kin__queue_pop(&rt->starved));
    } else {
        kin__deadlock(rt);
    }
    return true;
}

/* Steps are not timed one by one: a reading of the clock costs as much as ten of
 * them. A turn is timed, and after a slow one the turns are of one step for a
 * while, so that the next report names the right task. The last task's record may
 * be free by now, but its name was valid until just now. */
static void watch_turn(struct kin__runtime *rt, int64_t now)
{
    uint32_t steps = (rt->careful ? 1 : KIN__TURN_STEPS) - rt->steps;
    int64_t took = now - rt->turn_began;
    char label[128];

    if (rt->careful)
        rt->careful--;
    if (took <= KIN_MS(KIN__SLOW_STEP_MS) || steps == 0)
        return;
    rt->careful = KIN__CAREFUL_TURNS;
    if (rt->stepped && rt->current == &rt->host) {
        kin_report("some of %u tasks kept the others waiting for %lld ms", steps - 1,
                   (long long)(took / KIN_MS(1)));
        return;
    }
    kin__task_label(rt->current, label, sizeof label);
    kin_report("%s%s (%s) kept the others waiting for %lld ms%s", steps > 1 ? "perhaps " : "",
               label, rt->current->base.at, (long long)(took / KIN_MS(1)),
               steps > 1 ? "; it was the last to run of several" : "");
}

static __attribute__((noinline)) void turn(struct kin__runtime *rt)
{
    int64_t now = kin__clock(rt);

    watch_turn(rt, now);
    rt->steps = rt->careful ? 1 : KIN__TURN_STEPS;
    if (rt->outside > 0 && any_runnable(rt))
        rt->backend->poll(rt, 0);
    for (;;) {
        kin__timers_settle(rt, now);
        kin__timers_expire(rt, now);
        if (any_runnable(rt))
            break;
        idle(rt, now);
        now = kin__clock(rt);
    }
    chores(rt, now);
    rt->turn_began = now;
}

/* Under a foreign loop a step is at least one turn; it may end in the middle of another. */
bool kin__step_settle(struct kin__runtime *rt)
{
    int64_t now;

    watch_turn(rt, kin__clock(rt));
    do {
        now = kin__clock(rt);
        kin__timers_settle(rt, now);
        kin__timers_expire(rt, now);
    } while (!any_runnable(rt) && idle(rt, now));
    chores(rt, now);
    return any_runnable(rt);
}

static struct kin__task *next_of_any(struct kin__runtime *rt)
{
    if (rt->steps == 0 || !any_runnable(rt))
        turn(rt);
    rt->steps--;
    return pop(rt);
}

/* Mostly there is a batch of tasks to start, and nothing else. */
static inline struct kin__task *next_task(struct kin__runtime *rt)
{
    if (kin__unlikely(!rt->ahead.head || rt->ready.head || rt->fresh.head || rt->steps == 0))
        return next_of_any(rt);
    rt->steps--;
    return pop_ahead(rt);
}

/* ------------------------------------------------------------------- stacks */

static void loop(void);

/* What to load to run the task, on a stack of its own; NULL if there is none. */
static void *context_of(struct kin__task *task)
{
    if (task->sp)
        return task->sp;
    task->stack = kin__stack_get(stacks_of(task));
    if (!task->stack)
        return NULL;
#if defined __SANITIZE_THREAD__
    if (task->stack->fiber)
        __tsan_destroy_fiber(task->stack->fiber);       /* its functions never returned */
    task->stack->fiber = __tsan_create_fiber(0);
#endif
#if defined __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(task->stack->low + KIN__GUARD,
                                  (size_t)(task->stack->top - task->stack->low - KIN__GUARD));
#endif
    return kin__switch_prepare((char *)kin__stack_error_slot(task->stack), loop);
}

__attribute__((noinline)) void kin__park_with_care(struct kin__runtime *rt,
                                                   struct kin__task *task)
{
    struct kin__task *next;
    void *load;

    while ((next = next_task(rt)) != task) {
        load = context_of(next);
        if (!load) {
            kin__queue_push(&rt->starved, next);    /* until a stack comes back */
            continue;
        }
        rt->current = next;
        kin__switch_stack(rt, task->stack, &task->sp, next->stack, load, false);
        return;
    }
}

void kin__yield(struct kin__runtime *rt)
{
    if (kin__unlikely(rt->fresh.head || rt->ahead.head))
        settle_order(rt);
    kin__ready(rt, rt->current);
    kin__park(rt, rt->current);
}

void kin__host_resumes(struct kin__runtime *rt)
{
    rt->host_stack = (struct kin__stack){ .guarded = true };    /* bounds are learnt anew */
    rt->turn_began = kin__clock(rt);
    rt->steps = rt->careful ? 1 : KIN__TURN_STEPS;
}

/* What has become ready outside comes before the step, so that one is enough for it. */
void kin__step(struct kin__runtime *rt)
{
    kin__host_resumes(rt);
    rt->backend->poll(rt, 0);
    kin__timers_settle(rt, rt->turn_began);
    kin__timers_expire(rt, rt->turn_began);
    if (any_runnable(rt))
        kin__yield(rt);
}

static void give_stack_back(struct kin__runtime *rt, struct kin__stack *stack)
{
    struct kin__task *starved = kin__queue_pop(&rt->starved);

    kin__stack_put(stack);
    if (starved)
        kin__ready(rt, starved);
}

/* Leaves the stack for good to go on with a task that has one, or gets one. */
static void leave_stack(struct kin__runtime *rt, struct kin__stack *stack, struct kin__task *next)
{
    void *nowhere, *load = context_of(next);

    if (!load) {
        kin__queue_push(&rt->starved, next);
        return;
    }
    rt->current = next;
    give_stack_back(rt, stack);
    kin__switch_stack(rt, stack, &nowhere, next->stack, load, true);
}

/* The next task that has not started and belongs on a stack like this one. Comes
 * back only with such a task: for others the stack is left. */
static inline struct kin__task *next_here(struct kin__runtime *rt, struct kin__stack *stack,
                                          const struct kin__stack_pool *stacks)
{
    for (;;) {
        struct kin__task *next = next_task(rt);

        if (!next->sp && stacks_of(next) == stacks)
            return next;
        leave_stack(rt, stack, next);
    }
}

/* The bottom frame of every stack. */
static void loop(void)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__task *task = rt->current;
    struct kin__stack *stack = task->stack;
    const struct kin__stack_pool *stacks = kin__stack_pool_of(stack);

    kin__arrived(rt, NULL);
    for (;;) {
        task->stack = stack;
        rt->current = task;
        kin__task_run(rt, task);
        if (kin__unlikely(!stack->guarded))
            kin__stack_check_canary(stack, task);
        task = next_here(rt, stack, stacks);
    }
}
