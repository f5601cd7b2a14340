/* Tasks: from the first step to the end.
 *
 * A task is a record in the run queue until it parks for the first time; only then
 * does it own a stack (sched.c).
 *
 * The end: leave what is still open, tell the group about a failure, write the
 * caller's record, leave the group, free the record. The path of a task that
 * succeeds is short, and everything else is out of its way.
 */
#include "core/core.h"

#include <errno.h>
#include <string.h>

struct kin__task *kin__task_find(const kin_task *handle)
{
    struct kin__task *task = handle ? handle->state : NULL;

    return task && kin__find(kin__rt, &task->base, handle->id) ? task : NULL;
}

void kin__task_label(const struct kin__task *task, char *text, size_t size)
{
    char name[104];

    kin__error_name(name, sizeof name, task->base.name);
    if (!task->base.name)
        snprintf(text, size, "task %llu", (unsigned long long)task->base.id & 0xffffffffffff);
    else if (task->index)
        snprintf(text, size, "%s[%d]", name, task->index);
    else
        snprintf(text, size, "%s", name);
}

const char *kin_task_name(void)
{
    return kin__rt && kin__rt->current->base.name ? kin__rt->current->base.name : "";
}

uint64_t kin_task_id(void)
{
    return kin__rt ? kin__rt->current->base.id : 0;
}

/* ------------------------------------------------------------------ the record */

void kin__task_construct(void *record)
{
    struct kin__task *task = record;

    *task = (struct kin__task){ .base.kind = KIN__TASK };
    task->base.owner = task;
    task->base.timer.kind = KIN__TIMER_SCOPE;
    task->sleep.kind = KIN__TIMER_SLEEP;
    task->scope = &task->base;
}

void kin__task_free(struct kin__runtime *rt, struct kin__task *task)
{
    task->base.id = 0;
    task->sp = NULL;
    kin__pool_put(&rt->tasks, task);
}

/* --------------------------------------------------------------------- ending */

/* What became of a task that returned a negative code. An outer cancellation ranks
 * above its own limit. */
static kin_status classify(struct kin__task *task, int *code)
{
    const struct kin__scope *base = &task->base;
    bool outer = kin__outer_cancelled(base);

    if (!kin__scope_absorbs(base, *code))
        return KIN_FAILED;
    if (kin_class(*code) == KIN_CLASS_CANCEL)
        kin__told_by_choice(&task->base);
    if (!(base->flags & KIN__EXPIRED) || (outer && kin_class(*code) == KIN_CLASS_CANCEL))
        return KIN_CANCELLED;
    *code = KIN_ETIMEDOUT;
    return KIN_TIMED_OUT;
}

static void write_outcome(struct kin__task *task, kin_status status, int code)
{
    kin_task *record = task->record;
    uint32_t flags = task->base.flags;

    record->status = status;
    record->code = code;
    record->order = kin__group_of(task->base.parent)->ended + 1;
    if (!(flags & KIN__REACHED) && status != KIN_CANCELLED)
        return;
    record->timed_out = (flags & KIN__EXPIRED) && (flags & KIN__TOLD);
    record->cancelled = true;
    kin__reason_for(task, &record->reason);
}

/* Tells the group: a failure, an end that may decide, a number. */
static void tell_group(struct kin__runtime *rt, struct kin__task *task, kin_status status, int code)
{
    struct kin__group *group = kin__group_of(task->base.parent);

    kin__group_count(group, status);
    if (status == KIN_FAILED || (status == KIN_TIMED_OUT && !(task->base.flags & KIN__OPTIONAL)))
        kin__group_fail(rt, group, task, code, kin__error_take(rt, task, code));
    if (task->base.flags & KIN__DECIDES)
        kin__group_judge(rt, group, task, status, code);
}

/* Tells those who wait for this task. */
static void tell_others(struct kin__task *task)
{
    kin_task *record = task->record;

    if (task->base.flags & KIN__COLLECTED)
        kin__collect(kin__group_of(task->base.parent), record);
    if (record->waiters)
        kin__watchers_tell(record);
}

/* Puts back what a plain task does not have, so that the record is a constructed one. */
static void end_flags(struct kin__runtime *rt, struct kin__task *task)
{
    kin__error_drop(rt, task);
    if (task->base.flags & KIN__LIMITED)
        kin__timer_disarm(rt, &task->base.timer);
    if (task->base.flags & KIN__COPIED)
        kin__os_free(task->arg);
    if (task->base.flags & KIN__SLOT)
        kin__group_give_slot(rt, kin__group_of(task->base.parent));
    task->unopened = 0;                         /* it may have forgotten to close one */
    task->base.flags = 0;
    task->base.reason = NULL;
    task->base.told_at = 0;
}

void kin__leave_open(struct kin__runtime *rt, struct kin__task *task)
{
    const struct kin__scope *open = task->scope;

    kin__misuse(open->at, "ended with a %s open%s%s", open->kind == KIN__GROUP ? "group" : "scope",
                open->name ? ": " : "", open->name ? open->name : "");
    kin__leave_inner(rt, &task->base);
}

static kin__cold void end_special(struct kin__runtime *rt, struct kin__task *task,
                                  kin_status status, int code)
{
    if (task->record)
        write_outcome(task, status, code);
    tell_group(rt, task, status, code);
    if (task->record)
        tell_others(task);
    end_flags(rt, task);
}

static kin__cold void end_checked(struct kin__runtime *rt, struct kin__task *task, int code)
{
    kin_status status = KIN_OK;

    if (task->base.flags & KIN__FORKED)
        kin__end_forked();
    if (task->base.flags & KIN__RESTART)
        code = kin__service_again(rt, task, code);
    if (task->base.first)
        kin__leave_open(rt, task);
    if (code < 0)
        status = classify(task, &code);
    end_special(rt, task, status, code);
}

static bool ends_plainly(const struct kin__task *task, int code)
{
    return code >= 0 && !task->base.flags && !task->base.first;
}

static void leave(struct kin__runtime *rt, struct kin__task *task)
{
    struct kin__group *group = kin__group_of(task->base.parent);

    kin__scope_unlink(&task->base);
    kin__task_free(rt, task);
    if (++group->ended == group->accepted && (group->closer || group->takers.first))
        kin__group_idle(group);
}

/* Before the first step: false if it is not to be run at all. */
static kin__cold bool begin_running(struct kin__runtime *rt, struct kin__task *task)
{
    if ((task->base.flags & KIN__SKIP_CANCELLED) && (task->base.flags & KIN__REACHED)) {
        end_special(rt, task, KIN_SKIPPED, KIN_ECANCELED);
        leave(rt, task);
        return false;
    }
    if ((task->base.flags & KIN__LIMITED) && !(task->base.flags & KIN__HARD))
        kin__timer_arm(rt, &task->base.timer, task->timeout);
    return true;
}

/* Runs the task from its first step to its end, with all its parking between. */
void kin__task_run(struct kin__runtime *rt, struct kin__task *task)
{
    int code;

    if (kin__unlikely(task->base.flags) && !begin_running(rt, task))
        return;
    code = task->fn(task->arg);
    if (kin__unlikely(!ends_plainly(task, code))) {
        end_checked(rt, task, code);
    } else if (task->record) {
        task->record->status = KIN_OK;
        task->record->code = code;
        task->record->order = kin__group_of(task->base.parent)->ended + 1;
        if (kin__unlikely(task->record->waiters != NULL))
            kin__watchers_tell(task->record);
    }
    leave(rt, task);
}

/* It was accepted, so it must run; but there is no memory for a stack, and nobody
 * will give one back. It runs on top of the parked task's frames, cancelled, and
 * without the right to a shield, so that it cannot park. */
void kin__task_run_borrowed(struct kin__runtime *rt, struct kin__task *task)
{
    struct kin__task *lender = rt->current;
    kin_error *slot = kin__error_slot(rt, lender), kept = *slot;

    kin__group_fail(rt, kin__group_of(task->base.parent), task, -ENOMEM,
                    kin__error_bare(rt, task, -ENOMEM, kin__reason_memory.message));
    kin__cancel(rt, &task->base, &kin__reason_memory);
    task->base.flags |= KIN__BORROWED;
    task->stack = lender->stack;
    rt->current = task;
    kin__task_run(rt, task);
    rt->current = lender;
    *slot = kept;
}
