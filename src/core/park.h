/* Parking: leaving a stack for the task that was woken first, inlined into every call that
 * waits.
 *
 * It is inlined for the sake of the processor's stack of return addresses (see
 * arch/switch_x86_64.h). Two tasks that wake each other park in different places. If each
 * called a function for that, whoever goes on would return to where the other one had
 * called it from, as far as the processor knows: a mispredicted return at each switch,
 * which is more than all the rest of it. What is rare is not inlined.
 */
#ifndef KIN_CORE_PARK_H
#define KIN_CORE_PARK_H

#include "core/core.h"

#if defined __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#if defined __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

enum { FETCH_PLACES = 2, FETCH_FRAMES = 6 };    /* places ahead; cache lines of the stack */

/* What has been parked for long is neither in the cache nor in the TLB. So the frames
 * through which a woken task returns are fetched some places before its turn, and its
 * record one place earlier. (A macro: gcc takes a function that only prefetches for pure,
 * and drops the call.) */
#define fetch_lines(from, lines)                                \
    do {                                                        \
        for (size_t line = 0; line < (lines); line++)           \
            __builtin_prefetch((const char *)(from) + line * 64, 1); \
    } while (0)

static inline struct kin__task *kin__pop_woken(struct kin__runtime *rt)
{
    struct kin__task *next = kin__queue_pop(&rt->ready), *soon = rt->ready.head;

    for (int i = 0; i < FETCH_PLACES && soon; i++)
        soon = soon->next;
    if (soon && soon->sp)
        fetch_lines(soon->sp, FETCH_FRAMES);
    if (soon && soon->next)
        fetch_lines(soon->next, sizeof *soon / 64);
    return next;
}

/* On the stack that was switched to, NULL if for the first time. The thread's own,
 * that the run or step began on, is the first to be left, and its bounds nobody knows but
 * the sanitizer. */
static inline void kin__arrived(struct kin__runtime *rt, struct kin__stack *on)
{
    (void)rt, (void)on;
#if defined __SANITIZE_ADDRESS__
    const void *low;
    size_t size;

    __sanitizer_finish_switch_fiber(on ? on->fake : NULL, &low, &size);
    if (!rt->host_stack.low) {
        rt->host_stack.low = (char *)(uintptr_t)low;
        rt->host_stack.top = rt->host_stack.low + size;
    }
#endif
}

/* The sanitizers keep books of their own on each stack. A dying stack's frames
 * are never returned to. */
static inline __attribute__((always_inline)) void
kin__switch_stack(struct kin__runtime *rt, struct kin__stack *from, void **save,
                  struct kin__stack *to, void *load, bool dying)
{
    (void)rt, (void)from, (void)to, (void)dying;
#if defined __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->low,
                                   (size_t)(to->top - to->low));
#endif
#if defined __SANITIZE_THREAD__
    if (!from->fiber)
        from->fiber = __tsan_get_current_fiber();       /* the thread's own */
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    kin__switch(save, load);
    kin__arrived(rt, from);
}

/* Mostly the next is somebody who was woken, and nothing else is to be thought of. */
static inline __attribute__((always_inline)) void kin__park(struct kin__runtime *rt,
                                                            struct kin__task *task)
{
    struct kin__task *next = rt->ready.head;

    if (kin__unlikely(!next || !next->sp || next == task || rt->ahead.head || rt->fresh.head ||
                      rt->steps == 0 || rt->seed)) {
        kin__park_with_care(rt, task);
        return;
    }
    kin__pop_woken(rt);
    rt->steps--;
    rt->current = next;
    kin__switch_stack(rt, task->stack, &task->sp, next->stack, next->sp, false);
}

/* kin_wait_park, inlined. */
static inline __attribute__((always_inline)) int kin__wait_park(struct kin_wait *wait)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__task *task = wait->task;

    assert(task == rt->current && !task->wait);
    task->wait = wait;
    rt->refusals = 0;
    if (kin__unlikely(rt->options.faults != NULL))
        kin__fault_wait(rt, task);
    kin__park(rt, task);
    if (kin__unlikely(task->result == KIN_ECANCELED))
        kin__wait_given_up(task);
    return task->result;
}

#endif
