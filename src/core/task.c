/* Tasks: from spawn to the end.
 *
 * A task is a record in the run queue until it parks for the first time; only then
 * does it own a stack (sched.c). Spawn either accepts, and the function runs
 * exactly once and owns its argument, or refuses, and it never runs; the caller's
 * record is written either way. What decides is the group, not the spawner.
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
    struct kin__task *task = handle->state;

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

/* ------------------------------------------------------------------- refusing */

static void write_refusal(kin_task *record, int code)
{
    if (record)
        *record = (kin_task){ .status = KIN_REFUSED, .code = code };
}

/* A refusal that is not the group's own doing fails the group, so that a return
 * code that nobody looks at loses nothing (G15). Not so if the spawner asked not to
 * wait, or was cancelled while it waited: then that is the spawner's affair. */
static kin__cold int refuse(struct kin__runtime *rt, struct kin__group *group,
                  const struct kin_spawn_options *options, int code)
{
    bool own = group->scope.flags & (KIN__REACHED | KIN__DECIDED);
    bool asked = options->dont_wait && (code == KIN_EAGAIN || code == KIN_EFULL);
    struct kin__task unborn = { .base = { .name = options->name, .at = options->at },
                                .index = options->index };

    write_refusal(options->task, code);
    kin__told(&group->scope);
    if (!own && !asked && code != KIN_ECANCELED && !(code == KIN_ETIMEDOUT && options->optional))
        kin__group_fail(rt, group, &unborn, code,
                        kin__error_bare(rt, &unborn, code, "could not be spawned"));
    return code;
}

static bool on_own_stack(struct kin__runtime *rt, const struct kin_spawn_options *options)
{
    const struct kin__stack *stack = rt->current->stack;

    return stack != &rt->host_stack &&
           ((options->task && kin__stack_holds(stack, options->task)) ||
            (options->arg && !options->copy && kin__stack_holds(stack, options->arg)));
}

/* 0, or why this group refuses a task whatever the room in it. */
static int refusal(struct kin__runtime *rt, const struct kin__group *group,
                   const struct kin_spawn_options *options)
{
    uint16_t flags = group->scope.flags;

    if (kin__unlikely(flags & (KIN__REACHED | KIN__DECIDED))) {
        if (flags & KIN__DECIDED)
            return KIN_EDECIDED;
        return flags & KIN__EXPIRED ? KIN_ETIMEDOUT : KIN_ECANCELED;
    }
    if (kin__unlikely(options->timeout < 0))
        return KIN_ETIMEDOUT;
    if (!options->fn || (options->skip_cancelled && !options->copy) ||
        (options->copy && !options->arg))
        return KIN_EINVAL;
    if (group->scope.owner != rt->current && on_own_stack(rt, options))
        return KIN_EINVAL;
    return 0;
}

/* ------------------------------------------------------------------- spawning */

/* Is it a task of the group, or below one? What the group's body has open is not. */
static bool is_inside(const struct kin__task *task, const struct kin__group *group)
{
    const struct kin__scope *scope = &task->base;

    while (scope && (scope->kind != KIN__TASK || scope->parent != &group->scope))
        scope = scope->parent;
    return scope != NULL;
}

/* Room under the limit. A task of the group never waits for its own group: it is
 * accepted without a slot, and held. 0 with *slot, or a code. */
static int take_room(struct kin__runtime *rt, struct kin__group *group,
                     const struct kin_spawn_options *options, bool *slot)
{
    bool inside = is_inside(rt->current, group);
    int code;

    if (!inside) {
        code = kin__group_take_slot(group, options->dont_wait);
        *slot = code == 0;
        return code;
    }
    *slot = group->running < group->limit;
    if (*slot)
        group->running++;
    else if (group->max_queued && group->held_count >= group->max_queued)
        return KIN_EFULL;
    return 0;
}

void kin__task_construct(void *record)
{
    struct kin__task *task = record;

    *task = (struct kin__task){ .base.kind = KIN__TASK };
    task->base.owner = task;
    task->base.timer.kind = KIN__TIMER_SCOPE;
    task->scope = &task->base;
}

static bool copy_argument(struct kin__task *task, const struct kin_spawn_options *options)
{
    void *copy = kin__os_alloc(options->copy);

    if (!copy)
        return false;
    task->arg = memcpy(copy, options->arg, options->copy);
    task->base.flags |= KIN__COPIED;
    return true;
}

/* What only some tasks have. */
static bool init_flags(struct kin__task *task, const struct kin__group *group,
                        const struct kin_spawn_options *options)
{
    if (options->timeout > 0) {
        task->timeout = options->timeout;
        task->base.flags |= KIN__LIMITED;
    }
    if (options->optional)
        task->base.flags |= KIN__OPTIONAL;
    if (options->skip_cancelled)
        task->base.flags |= KIN__SKIP_CANCELLED;
    if (group->policy == KIN_ANY)
        task->base.flags |= KIN__DECIDES;
    return options->copy == 0 || copy_argument(task, options);
}

static void init_record(kin_task *record, struct kin__task *task)
{
    record->status = KIN_PENDING;
    record->code = 0;
    record->timed_out = false;
    record->cancelled = false;
    record->state = task;
    record->id = task->base.id;
}

/* Writes what differs from a constructed record. */
static inline struct kin__task *task_new(struct kin__runtime *rt,
                                         const struct kin_spawn_options *options)
{
    struct kin__task *task = kin__pool_get(&rt->tasks);

    if (kin__unlikely(!task))
        return NULL;
    task->base.name = options->name;
    task->base.at = options->at;
    task->base.id = kin__new_id(rt);
    task->fn = options->fn;
    task->arg = options->arg;
    task->record = options->task;
    task->index = options->index;
    if (options->task)
        init_record(options->task, task);
    return task;
}

static void task_free(struct kin__runtime *rt, struct kin__task *task)
{
    task->base.id = 0;
    task->sp = NULL;
    kin__pool_put(&rt->tasks, task);
}

static struct kin__task *task_new_special(struct kin__runtime *rt, const struct kin__group *group,
                                          const struct kin_spawn_options *options)
{
    struct kin__task *task = task_new(rt, options);

    if (task && !init_flags(task, group, options)) {
        task->base.flags = 0;
        task_free(rt, task);
        return NULL;
    }
    return task;
}

/* A group with a limit. Waiting for room, the world may change. */
static int spawn_limited(struct kin__runtime *rt, struct kin__group *group,
                         const struct kin_spawn_options *options)
{
    struct kin__task *task;
    bool slot = false;
    int room = take_room(rt, group, options, &slot), code;

    group = kin__group_find(rt, options->group);
    if (!group) {
        write_refusal(options->task, KIN_ESTALE);
        return KIN_ESTALE;
    }
    code = refusal(rt, group, options);
    code = code < 0 ? code : room;
    task = code < 0 ? NULL : task_new_special(rt, group, options);
    if (!task) {
        if (slot)
            kin__group_give_slot(rt, group);
        return refuse(rt, group, options, code < 0 ? code : -ENOMEM);
    }
    kin__group_attach(group, task);
    if (slot) {
        task->base.flags |= KIN__SLOT;
        kin__fresh(rt, task);
    } else {
        kin__queue_push(&group->held, task);
        group->held_count++;
    }
    return 0;
}

static int spawn_nowhere(const struct kin_spawn_options *options)
{
    int code = KIN_ESTALE;

    if (!kin__rt)
        code = KIN_ENORUN;
    else if (!options->group)
        code = KIN_EINVAL;
    else if (options->group->id == UINT64_MAX)
        code = -ENOMEM;
    write_refusal(options->task, code);
    return code;
}

int kin__spawn(struct kin__runtime *rt, struct kin__group *group,
               const struct kin_spawn_options *options)
{
    struct kin__task *task = task_new_special(rt, group, options);

    if (!task)
        return refuse(rt, group, options, -ENOMEM);
    kin__group_attach(group, task);
    kin__fresh(rt, task);
    return 0;
}

static kin__cold int spawn_checked(struct kin__runtime *rt, struct kin__group *group,
                                   const struct kin_spawn_options *options)
{
    int code;

    if (!group)
        return spawn_nowhere(options);
    code = refusal(rt, group, options);
    if (code < 0)
        return refuse(rt, group, options, code);
    return group->limit ? spawn_limited(rt, group, options) : kin__spawn(rt, group, options);
}

static bool is_plain(const struct kin_spawn_options *options)
{
    return options->fn && !options->timeout && !options->copy && !options->optional &&
           !options->skip_cancelled;
}

/* The usual case is a body that spawns into its own group, which has no limit. */
int kin_spawn_with(const struct kin_spawn_options *options)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__group *group = kin__group_find(rt, options->group);
    struct kin__task *task;

    if (kin__unlikely(!group || group->open_to != rt->current || !is_plain(options)))
        return spawn_checked(rt, group, options);
    task = task_new(rt, options);
    if (kin__unlikely(!task))
        return refuse(rt, group, options, -ENOMEM);
    kin__group_attach(group, task);
    kin__fresh(rt, task);
    return 0;
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
    uint16_t flags = task->base.flags;

    record->status = status;
    record->code = code;
    if (!(flags & KIN__REACHED) && status != KIN_CANCELLED)
        return;
    record->timed_out = (flags & KIN__EXPIRED) && (flags & KIN__TOLD);
    record->cancelled = true;
    kin__reason_for(task, &record->reason);
}

/* Tells the group: a failure, a success that decides, a number. */
static void tell_group(struct kin__runtime *rt, struct kin__task *task, kin_status status, int code)
{
    struct kin__group *group = kin__group_of(task->base.parent);

    kin__group_count(group, status);
    if (status == KIN_FAILED || (status == KIN_TIMED_OUT && !(task->base.flags & KIN__OPTIONAL)))
        kin__group_fail(rt, group, task, code, kin__error_take(rt, task, code));
    else if (status == KIN_OK && (task->base.flags & KIN__DECIDES))
        kin__group_decide(rt, group, task);
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
    task->base.flags = 0;
    task->base.reason = NULL;
}

static void leave_open(struct kin__runtime *rt, struct kin__task *task)
{
    char label[128];

    kin__task_label(task, label, sizeof label);
    kin__misuse(task->scope->at, "%s ended with a %s open", label,
                task->scope->kind == KIN__GROUP ? "group" : "scope");
    kin__leave_inner(rt, &task->base);
}

static kin__cold void end_special(struct kin__runtime *rt, struct kin__task *task,
                                  kin_status status, int code)
{
    if (task->record)
        write_outcome(task, status, code);
    tell_group(rt, task, status, code);
    end_flags(rt, task);
}

static kin__cold void end_checked(struct kin__runtime *rt, struct kin__task *task, int code)
{
    kin_status status = KIN_OK;

    if (task->base.first)
        leave_open(rt, task);
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
    task_free(rt, task);
    if (++group->ended == group->accepted && group->closer)
        kin__group_wake_closer(group);
}

/* Before the first step: false if it is not to be run at all. */
static kin__cold bool begin_running(struct kin__runtime *rt, struct kin__task *task)
{
    if ((task->base.flags & KIN__SKIP_CANCELLED) && (task->base.flags & KIN__REACHED)) {
        end_special(rt, task, KIN_SKIPPED, KIN_ECANCELED);
        leave(rt, task);
        return false;
    }
    if (task->base.flags & KIN__LIMITED)
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
