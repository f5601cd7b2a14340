/* Faults that a test asks for (Q4): the k-th request for memory fails, the task that
 * makes the k-th blocking call is cancelled before it or while it waits. Whatever
 * can go wrong at a call is thereby made to go wrong, one place after the other, in
 * any program, without its knowledge. The run's own helpers are left alone. */
#include "core/core.h"

#include <string.h>

static bool chosen(const struct kin__runtime *rt, const struct kin__task *task)
{
    const char *name = rt->options.faults->task;

    if (rt->system && kin__scope_within(&task->base, &rt->system->scope))
        return false;
    return !name || (task->base.name && strcmp(task->base.name, name) == 0);
}

void kin__fault_call(struct kin__runtime *rt, struct kin__task *task)
{
    struct kin_faults *faults = rt->options.faults;

    if (chosen(rt, task) && ++faults->calls == faults->cancel_call)
        kin__cancel(rt, &task->base, &kin__reason_fault);
}

bool kin__fault_request(struct kin__runtime *rt)
{
    struct kin_faults *faults = rt->options.faults;

    return chosen(rt, rt->current ? rt->current : &rt->host) &&
           ++faults->requests == faults->fail_request;
}

/* The task has parked: whoever can be abandoned is made runnable again by this. */
void kin__fault_wait(struct kin__runtime *rt, struct kin__task *task)
{
    struct kin_faults *faults = rt->options.faults;

    if (chosen(rt, task) && ++faults->waits == faults->cancel_wait)
        kin__cancel(rt, &task->base, &kin__reason_fault);
}
