/* Spawning: accept, and the function runs exactly once and owns its argument; or
 * refuse, and it never runs. The caller's record is written either way. What
 * decides is the group, not the spawner.
 *
 * Under a limit, tasks of the group never wait for room (they would wait for
 * themselves): what they spawn is accepted and held. Everybody else waits.
 */
#include "core/core.h"

#include <errno.h>
#include <string.h>

/* ------------------------------------------------------------------- refusing */

static void write_refusal(kin_task *record, int code)
{
    if (record)
        *record = (kin_task){ .status = KIN_REFUSED, .code = code };
}

/* A refusal that is not the group's own doing fails the group, so that a return
 * code that nobody looks at loses nothing (G15). Not so if the spawner asked not to
 * wait, or was cancelled while it waited: then that is the spawner's affair. */
kin__cold int kin__spawn_refuse(struct kin__runtime *rt, struct kin__group *group,
                                const struct kin_spawn_options *options, int code)
{
    bool own = group->scope.flags & (KIN__REACHED | KIN__DECIDED | KIN__ENDING);
    bool asked = options->dont_wait && (code == KIN_EAGAIN || code == KIN_EFULL);
    struct kin__task unborn = { .base = { .name = options->name, .at = options->at },
                                .index = options->index };

    write_refusal(options->task, code);
    kin__told(&group->scope);
    if (own)
        kin__told(rt->current->scope);
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
int kin__spawn_refusal(struct kin__runtime *rt, struct kin__group *group,
                       const struct kin_spawn_options *options)
{
    uint32_t flags = group->scope.flags;

    if (kin__unlikely(flags & (KIN__REACHED | KIN__DECIDED | KIN__ENDING))) {
        if (flags & KIN__DECIDED)
            return KIN_EDECIDED;
        if (flags & KIN__ENDING)
            return KIN_ECLOSED;
        return flags & KIN__EXPIRED ? KIN_ETIMEDOUT : KIN_ECANCELED;
    }
    if (kin__unlikely(options->timeout < 0))
        return KIN_ETIMEDOUT;
    if (!options->fn || (options->skip_cancelled && !options->copy) ||
        (options->copy && !options->arg) || (options->restart && !options->service))
        return KIN_EINVAL;
    if (group->scope.owner != rt->current && on_own_stack(rt, options))
        return KIN_EINVAL;
    return 0;
}

/* ------------------------------------------------------------------- spawning */

/* A task that is being started holds its place in the group that it goes to. */
static bool belongs_to(const struct kin__scope *task, const struct kin__group *group)
{
    const struct kin__group *parent;

    if (!task->parent)
        return false;
    parent = kin__container(task->parent, const struct kin__group, scope);
    return parent == group || (parent->start && kin__start_home(parent->start) == group);
}

/* Is it a task of the group, or below one? What the group's body has open is not. */
bool kin__task_inside(const struct kin__task *task, const struct kin__group *group)
{
    const struct kin__scope *scope = &task->base;

    while (scope && (scope->kind != KIN__TASK || !belongs_to(scope, group)))
        scope = scope->parent;
    return scope != NULL;
}

/* Room under the limit. A task of the group never waits for its own group: it is
 * accepted without a slot, and held. 0 with *slot, or a code. */
static int take_room(struct kin__runtime *rt, struct kin__group *group,
                     const struct kin_spawn_options *options, bool *slot)
{
    bool inside = kin__task_inside(rt->current, group);
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
    if (options->restart)
        task->base.flags |= KIN__RESTART;
    task->base.flags |= kin__group_traits(group);
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
    record->waiters = NULL;
    record->order = 0;
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

static struct kin__task *task_new_special(struct kin__runtime *rt, const struct kin__group *group,
                                          const struct kin_spawn_options *options)
{
    struct kin__task *task = task_new(rt, options);

    if (task && !init_flags(task, group, options)) {
        task->base.flags = 0;
        kin__task_free(rt, task);
        return NULL;
    }
    return task;
}

/* A group with a limit. Waiting for room, the world may change. */
static int spawn_limited(struct kin__runtime *rt, struct kin__group *group,
                         const struct kin_spawn_options *options)
{
    const kin_group handle = *options->group;   /* the caller's may be gone with its group */
    struct kin__task *task;
    bool slot = false;
    int room = take_room(rt, group, options, &slot), code;

    group = kin__group_find(rt, &handle);
    if (!group) {                               /* and perhaps the spawner is cancelled, too */
        kin__told(rt->current->scope);
        write_refusal(options->task, KIN_ESTALE);
        return KIN_ESTALE;
    }
    code = kin__spawn_refusal(rt, group, options);
    code = code < 0 ? code : room;
    task = code < 0 ? NULL : task_new_special(rt, group, options);
    if (!task) {
        if (slot)
            kin__group_give_slot(rt, group);
        return kin__spawn_refuse(rt, group, options, code < 0 ? code : -ENOMEM);
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

int kin__spawn_nowhere(const struct kin_spawn_options *options)
{
    int code = KIN_ESTALE;

    if (!kin__rt)
        code = kin__no_run();
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
        return kin__spawn_refuse(rt, group, options, -ENOMEM);
    kin__group_attach(group, task);
    kin__fresh(rt, task);
    return 0;
}

static kin__cold int spawn_checked(struct kin__runtime *rt, struct kin__group *group,
                                   const struct kin_spawn_options *options)
{
    int code;

    if (!group)
        return kin__spawn_nowhere(options);
    code = kin__spawn_refusal(rt, group, options);
    if (code < 0)
        return kin__spawn_refuse(rt, group, options, code);
    if (options->service)
        return kin__service_spawn(rt, group, options);
    return group->limit ? spawn_limited(rt, group, options) : kin__spawn(rt, group, options);
}

static bool is_plain(const struct kin_spawn_options *options)
{
    return options->fn && !options->timeout && !options->copy && !options->optional &&
           !options->skip_cancelled && !options->service && !options->restart;
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
        return kin__spawn_refuse(rt, group, options, -ENOMEM);
    kin__group_attach(group, task);
    kin__fresh(rt, task);
    return 0;
}

