/* Faults that a test asks for (Q4): the k-th request for memory fails, the task that
 * makes the k-th blocking call is cancelled before it or while it waits. Whatever
 * can go wrong at a call is thereby made to go wrong, one place after the other, in
 * any program, without its knowledge: it need not even be compiled for it, since the
 * environment can ask, too. The run's own helpers are left alone. */
#include "core/core.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------- who asks for what */

/* KIN_FAULT=cancel_call:17, fail_request:3 … */
static bool read_wish(const char *text, struct kin_faults *faults)
{
    const struct { const char *name; uint64_t *number; } wishes[] = {
        { "fail_request:", &faults->fail_request },
        { "cancel_call:", &faults->cancel_call },
        { "cancel_wait:", &faults->cancel_wait },
    };

    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
        if (strncmp(text, wishes[i].name, strlen(wishes[i].name)) == 0) {
            *wishes[i].number = strtoull(text + strlen(wishes[i].name), NULL, 10);
            return true;
        }
    return false;
}

/* What the environment asks of a run whose own options ask for nothing. */
void kin__faults_begin(struct kin__runtime *rt)
{
    const char *text = rt->options.faults ? NULL : getenv("KIN_FAULT");

    if (text && read_wish(text, &rt->faults))
        rt->options.faults = &rt->faults;
}

/* Whoever sweeps from outside must learn when to stop. */
void kin__faults_end(struct kin__runtime *rt)
{
    if (rt->options.faults == &rt->faults)
        kin_report("KIN_FAULT: there were %llu requests, %llu calls, %llu waits",
                   (unsigned long long)rt->faults.requests, (unsigned long long)rt->faults.calls,
                   (unsigned long long)rt->faults.waits);
}

/* --------------------------------------------------------------- where it happens */

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
