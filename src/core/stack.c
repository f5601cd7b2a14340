/* Stacks: slabs of equal stacks, handed out last in, first out, so that the one
 * in hand is warm.
 *
 *     low  | guard, 64 KiB | ………… frames grow down ………… | error slot | colour | high
 *
 * Only address space is taken until a page is touched. The distance between two
 * stacks is an odd number of pages, and their tops are shifted by a few cache
 * lines ("colour"), or the frames of a thousand parked tasks would fight for the
 * same sets of the cache. The top of each stack holds its task's error slot, so
 * that kin_fail needs no memory.
 *
 * Guards are set when a stack is handed out for the first time. The best guard is
 * MADV_GUARD_INSTALL (Linux 6.13): it splits no mapping, so there is no limit to
 * their number. Where it fails, mprotect; where that fails too (its limit is
 * vm.max_map_count), a canary, which is looked at when the task ends.
 *
 * Stacks come from slabs that are in use already, so that others become empty, and
 * those that nobody needed for a while are unmapped, all but one. To unmap a slab takes
 * as long as hundreds of steps: it is one a turn, or who sleeps would wake late.
 */
#include "core/core.h"
#include "kin_config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if KIN_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define STACK_FACTOR (KIN__SANITIZED ? 4u : 1u)     /* their frames are larger */

enum { DEFAULT_STACK = 128 * 1024, LEAST_STACK = 96 * 1024, STACK_STEP = 64 * 1024 };
static const size_t MOST_STACK = (size_t)1 << 36;       /* 64 GiB: beyond, it is a mistake */
static const int64_t TRIM_EVERY = KIN_S(1);
enum { FIRST_STACKS = 16, MOST_STACKS = 256, COLOURS = 8, COLOUR = 128 };
static const uint64_t CANARY = 0x6b696e2063616e61;

enum guard_kind { GUARD_ADVICE, GUARD_PROTECT, GUARD_CANARY };

struct kin__slab {
    struct kin__slab *next, *prev;      /* in one of the pool's lists */
    struct kin__stack_pool *pool;
    char *base;
    uint32_t count, fresh, used;        /* of stacks; never handed out yet; in use */
    enum guard_kind guard;              /* what has worked last */
    struct kin__stack *free;
    struct kin__stack stack[];
};

static _Atomic enum guard_kind weakest;         /* guard that was needed so far */

const char *kin__stack_guard_name(void)
{
    static const char *const name[] = { "madvise", "mprotect", "canary" };

    return name[weakest];
}

/* ------------------------------------------------------------------- pools */

struct kin__stack_pool *kin__stack_pool_for(struct kin__runtime *rt, size_t size)
{
    size_t stride = (size ? size : DEFAULT_STACK) * STACK_FACTOR;
    struct kin__stack_pool **at = &rt->stacks;

    if (size > MOST_STACK)
        return NULL;
    if (stride < LEAST_STACK)
        stride = LEAST_STACK;
    stride = (stride + STACK_STEP - 1) / STACK_STEP * STACK_STEP;
    stride += (size_t)sysconf(_SC_PAGESIZE);        /* an odd number of pages */
    while (*at && (*at)->stride != stride)
        at = &(*at)->next;
    if (!*at && (*at = kin__os_alloc(sizeof **at))) {
        (*at)->stride = stride;
        (*at)->next_slab = FIRST_STACKS;
    }
    return *at;
}

static void slabs_remove(struct kin__slab **list, struct kin__slab *slab)
{
    if (slab->prev)
        slab->prev->next = slab->next;
    else
        *list = slab->next;
    if (slab->next)
        slab->next->prev = slab->prev;
}

static void slabs_push(struct kin__slab **list, struct kin__slab *slab)
{
    slab->prev = NULL;
    slab->next = *list;
    if (*list)
        (*list)->prev = slab;
    *list = slab;
}

static struct kin__slab *slab_new(struct kin__stack_pool *pool)
{
    uint32_t count = pool->next_slab;
    struct kin__slab *slab = kin__os_alloc(sizeof *slab + count * sizeof slab->stack[0]);

    if (!slab)
        return NULL;
    slab->base = kin__os_map(count * pool->stride);
    if (!slab->base) {
        kin__os_free(slab);
        return NULL;
    }
    slab->pool = pool;
    slab->count = count;
    slab->fresh = count;
    if (pool->next_slab < MOST_STACKS)
        pool->next_slab *= 2;
    return slab;
}

static void slab_destroy(struct kin__slab *slab)
{
    for (uint32_t i = slab->fresh; i < slab->count; i++)
        VALGRIND_STACK_DEREGISTER(slab->stack[i].valgrind_id);
    kin__os_unmap(slab->base, slab->count * slab->pool->stride);
    kin__os_free(slab);
}

/* ------------------------------------------------------------------ guards */

static bool guard_with(enum guard_kind kind, char *low)
{
    switch (kind) {
    case GUARD_ADVICE:
        return !kin__os_fails("guard") && madvise(low, KIN__GUARD, MADV_GUARD_INSTALL) == 0;
    case GUARD_PROTECT:
        return !kin__os_fails("protect") && mprotect(low, KIN__GUARD, PROT_NONE) == 0;
    case GUARD_CANARY:
        memcpy(low + KIN__GUARD, &CANARY, sizeof CANARY);
        return true;
    }
    return false;
}

/* Each slab finds out for itself what works, once. */
static void install_guard(struct kin__stack *stack)
{
    struct kin__slab *slab = stack->slab;

    while (!guard_with(slab->guard, stack->low))
        slab->guard++;
    stack->guarded = slab->guard != GUARD_CANARY;
    if (slab->guard > weakest)
        weakest = slab->guard;
}

bool kin__stack_guard_hit(const struct kin__stack *stack, const void *address)
{
    const char *at = address;

    return at >= stack->low && at < stack->low + KIN__GUARD;
}

void kin__stack_check_canary(const struct kin__stack *stack, const struct kin__task *task)
{
    char label[128];

    if (memcmp(stack->low + KIN__GUARD, &CANARY, sizeof CANARY) == 0)
        return;
    kin__task_label(task, label, sizeof label);
    kin_report("%s ran over its stack, memory below it is lost (see .stack of its group)", label);
    abort();
}

/* ------------------------------------------------------------------ stacks */

static struct kin__stack *hand_out_fresh(struct kin__slab *slab)
{
    struct kin__stack *stack = &slab->stack[--slab->fresh];
    size_t colour = slab->pool->colour++ % COLOURS * COLOUR;

    stack->slab = slab;
    stack->low = slab->base + slab->fresh * slab->pool->stride;
    stack->top = stack->low + slab->pool->stride - colour;
    stack->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(stack->low, stack->top);
    install_guard(stack);
    return stack;
}

/* A slab that has a stack to give: one that is in use already, or else an empty one. */
static struct kin__slab *slab_with_room(struct kin__stack_pool *pool)
{
    struct kin__slab *slab = pool->available;

    if (kin__likely(slab != NULL))
        return slab;
    slab = pool->empty;
    if (slab) {
        slabs_remove(&pool->empty, slab);
        if (--pool->empties < pool->spare)
            pool->spare = pool->empties;
        pool->excess = 0;
    } else {
        slab = slab_new(pool);
    }
    if (slab)
        slabs_push(&pool->available, slab);
    return slab;
}

struct kin__stack *kin__stack_get(struct kin__stack_pool *pool)
{
    struct kin__slab *slab = slab_with_room(pool);
    struct kin__stack *stack;

    if (!slab)
        return NULL;
    stack = slab->free;
    if (stack)
        slab->free = stack->next;
    else
        stack = hand_out_fresh(slab);
    pool->live++;
    if (++slab->used == slab->count) {
        slabs_remove(&pool->available, slab);
        slabs_push(&pool->full, slab);
    }
    return stack;
}

/* Called by a task that still runs on it: the memory stays until the next trim. */
void kin__stack_put(struct kin__stack *stack)
{
    struct kin__slab *slab = stack->slab;
    struct kin__stack_pool *pool = slab->pool;

    stack->next = slab->free;
    slab->free = stack;
    pool->live--;
    if (slab->used == slab->count) {
        slabs_remove(&pool->full, slab);
        slabs_push(&pool->available, slab);
    }
    if (--slab->used == 0) {
        slabs_remove(&pool->available, slab);
        slabs_push(&pool->empty, slab);
        pool->empties++;
    }
}

/* --------------------------------------------------------------- giving back */

static void unmap_one(struct kin__stack_pool *pool)
{
    struct kin__slab *slab = pool->empty;

    slabs_remove(&pool->empty, slab);
    pool->empties--;
    slab_destroy(slab);
}

/* What was empty all the time since the last look is spare: a slab that is unmapped and
 * soon needed again costs more than it gives. True if there was one to unmap. */
bool kin__stack_pools_trim(struct kin__runtime *rt, int64_t now)
{
    bool look = now - rt->trimmed >= TRIM_EVERY, unmapped = false;

    if (look)
        rt->trimmed = now;
    for (struct kin__stack_pool *pool = rt->stacks; pool; pool = pool->next) {
        if (look) {
            pool->excess = pool->spare > 1 ? pool->spare - 1 : 0;
            pool->spare = pool->empties;
        }
        if (pool->excess > 0 && pool->empties > 1) {
            pool->excess--;
            unmap_one(pool);
            unmapped = true;
        }
    }
    return unmapped;
}

void kin__stack_pools_empty(struct kin__runtime *rt)
{
    for (struct kin__stack_pool *pool = rt->stacks; pool; pool = pool->next) {
        while (pool->empty)
            unmap_one(pool);
        pool->spare = pool->excess = 0;
    }
}

static void slabs_destroy(struct kin__slab *list)
{
    struct kin__slab *next;

    for (; list; list = next) {
        next = list->next;
        slab_destroy(list);
    }
}

void kin__stack_pools_destroy(struct kin__runtime *rt)
{
    struct kin__stack_pool *pool, *next;

    for (pool = rt->stacks; pool; pool = next) {
        next = pool->next;
        slabs_destroy(pool->available);
        slabs_destroy(pool->full);
        slabs_destroy(pool->empty);
        kin__os_free(pool);
    }
    rt->stacks = NULL;
}

struct kin__stack_pool *kin__stack_pool_of(const struct kin__stack *stack)
{
    return stack->slab->pool;
}

kin_error *kin__stack_error_slot(const struct kin__stack *stack)
{
    return (kin_error *)(void *)(((uintptr_t)stack->top - sizeof(kin_error)) & ~(uintptr_t)15);
}

bool kin__stack_holds(const struct kin__stack *stack, const void *pointer)
{
    return (const char *)pointer >= stack->low && (const char *)pointer < stack->top;
}
