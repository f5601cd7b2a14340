/* Scopes: regions of a task's code, and the tree that they, groups and tasks form.
 *
 * Close returns by one table, for scopes and groups alike: a real failure; then
 * "cancelled", if an outer scope is cancelled and a call in here said so; then
 * "timed out", if the own deadline fired and a call said so; then the body's code.
 */
#include "core/core.h"

#include <errno.h>

/* ---------------------------------------------------------------- the tree */

struct kin__scope *kin__scope_after(const struct kin__scope *scope, const struct kin__scope *top)
{
    if (scope->first)
        return scope->first;
    while (scope != top && !scope->next)
        scope = scope->parent;
    return scope == top ? NULL : scope->next;
}

bool kin__scope_within(const struct kin__scope *scope, const struct kin__scope *outer)
{
    while (scope && scope != outer)
        scope = scope->parent;
    return scope != NULL;
}

/* --------------------------------------------------------------- deadlines */

/* Options: 0 is not given, a negative time lies in the past. */
void kin__scope_arm(struct kin__runtime *rt, struct kin__scope *scope, int64_t timeout,
                    int64_t deadline)
{
    if ((timeout == 0 && deadline == 0) || (scope->flags & (KIN__SOFT | KIN__HARD)))
        return;                                 /* not given, or opened cancelled */
    if (timeout < 0 || deadline < 0 || (deadline > 0 && deadline <= kin__clock(rt))) {
        scope->timer.when = deadline > 0 ? deadline : kin__clock(rt);
        kin__scope_expire(rt, scope);
        return;
    }
    if (deadline > 0 && timeout > 0 && timeout != KIN_FOREVER) {
        int64_t later;

        if (!__builtin_add_overflow(kin__clock(rt), timeout, &later) && later < deadline)
            deadline = later;
    }
    if (deadline > 0)
        kin__timer_arm_at(rt, &scope->timer, deadline);
    else
        kin__timer_arm(rt, &scope->timer, timeout);
}

static int64_t own_deadline(struct kin__runtime *rt, struct kin__scope *scope)
{
    if (scope->flags & KIN__HARD)
        return scope->flags & KIN__EXPIRED ? scope->timer.when : KIN_FOREVER;
    return kin__timer_when(rt, &scope->timer);  /* while a grace runs: its end */
}

int64_t kin_deadline(void)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__scope *scope = rt ? rt->current->scope : NULL;
    int64_t earliest = KIN_FOREVER;

    for (; scope; scope = scope->flags & KIN__SHIELD ? NULL : scope->parent) {
        int64_t own = own_deadline(rt, scope);

        earliest = own < earliest ? own : earliest;
    }
    return earliest;
}

static int set_deadline(struct kin__runtime *rt, struct kin__scope *scope, int64_t deadline)
{
    if (scope->flags & KIN__EXPIRED)
        return KIN_ETIMEDOUT;
    if (scope->flags & (KIN__SOFT | KIN__HARD))
        return 0;                               /* cancelled: nothing left to time */
    kin__timer_disarm(rt, &scope->timer);
    kin__scope_arm(rt, scope, 0, deadline ? deadline : -1);
    return 0;
}

/* ----------------------------------------------------------------- handles */

struct kin__group *kin__scope_find(const kin_scope *handle)
{
    struct kin__scope *scope = handle ? kin__find(kin__rt, handle->state, handle->id) : NULL;

    return scope && scope->kind == KIN__SCOPE ? kin__group_of(scope) : NULL;
}

int kin_scope_set_deadline(kin_scope *handle, int64_t deadline)
{
    struct kin__group *record = kin__scope_find(handle);

    return record ? set_deadline(kin__rt, &record->scope, deadline) : KIN_ESTALE;
}

int kin_group_set_deadline(kin_group *handle, int64_t deadline)
{
    struct kin__group *group = kin__group_find(kin__rt, handle);

    return group ? set_deadline(kin__rt, &group->scope, deadline) : KIN_ESTALE;
}

static void look(struct kin__runtime *rt, struct kin__scope *scope, struct kin_scope_state *state)
{
    *state = (struct kin_scope_state){
        .cancelled = scope->flags & (KIN__SOFT | KIN__HARD),
        .timed_out = (scope->flags & KIN__EXPIRED) && (scope->flags & KIN__TOLD),
        .expired = scope->flags & KIN__EXPIRED,
        .told = scope->flags & KIN__TOLD,
        .deadline = own_deadline(rt, scope),
    };
    if (scope->reason) {
        state->reason = *scope->reason;
        state->reason.soft = scope->flags & KIN__SOFT;
    }
}

int kin_scope_look(const kin_scope *handle, struct kin_scope_state *state)
{
    struct kin__group *record = kin__scope_find(handle);

    if (!record)
        return KIN_ESTALE;
    look(kin__rt, &record->scope, state);
    return 0;
}

int kin_group_look(const kin_group *handle, struct kin_scope_state *state)
{
    struct kin__group *group = kin__group_find(kin__rt, handle);

    if (!group)
        return KIN_ESTALE;
    look(kin__rt, &group->scope, state);
    return 0;
}

/* ------------------------------------------------------------- task-locals */

static const kin_local *locals_of(const struct kin__scope *scope)
{
    if (scope->kind == KIN__TASK)
        scope = scope->parent;
    return scope ? kin__container(scope, struct kin__group, scope)->locals : NULL;
}

/* A scope points to its innermost binding, bindings to those around them. A task's are
 * those of its group, so that nothing is copied at a spawn (S4). */
void *kin_local_get(const void *key)
{
    const kin_local *local = kin__rt ? locals_of(kin__rt->current->scope) : NULL;

    while (local && local->key != key)
        local = local->outer;
    return local ? local->value : NULL;
}

/* A binding that is in use around here already would make the chain a circle. */
static void bind_local(struct kin__group *record, kin_local *local, const char *at)
{
    const kin_local *used = record->locals;

    while (used && used != local)
        used = used->outer;
    if (used) {
        kin__misuse(at, "a task-local bound again inside of its own scope");
        return;
    }
    local->outer = record->locals;
    record->locals = local;
}

/* ---------------------------------------------------------- open and close */

/* A free record is a constructed one, as for tasks: it has no children and no reason, and
 * its timers are idle. */
void kin__scope_construct(void *record)
{
    struct kin__group *group = record;

    group->scope.timer.kind = KIN__TIMER_SCOPE;
    group->shield_timer.kind = KIN__TIMER_SHIELD;
}

/* What groups and plain scopes have in common: all that differs from a constructed record. */
void kin__scope_init(struct kin__runtime *rt, struct kin__group *record, enum kin__kind kind,
                     struct kin__task *owner, const char *at, const char *name)
{
    struct kin__scope *scope = &record->scope;

    scope->parent = scope->prev = scope->next = NULL;
    scope->id = kin__new_id(rt);
    scope->name = name;
    scope->at = at ? at : "";
    scope->flags = 0;
    scope->kind = (uint8_t)kind;
    scope->owner = owner;
    scope->told_at = 0;
    record->shield = 0;
    record->grace = 0;
    record->locals = NULL;
}

/* Makes it the innermost of the running task. */
void kin__scope_begin(struct kin__runtime *rt, struct kin__group *record, enum kin__kind kind,
                      const char *at, const char *name)
{
    struct kin__scope *scope = &record->scope;
    struct kin__task *owner = rt->current;

    kin__scope_init(rt, record, kind, owner, at, name);
    if (owner->scope) {
        kin__scope_link(scope, owner->scope);
        scope->flags = owner->scope->flags & KIN__REACHED;
        record->locals = locals_of(owner->scope);
    }
    owner->scope = scope;
}

static kin_scope scope_failed(const struct kin_scope_options *options)
{
    if (kin__rt) {
        kin__rt->current->unopened++;           /* nothing in it may wait */
        kin__rt->current->base.flags |= KIN__UNOPENED;
    } else {
        kin__misuse(options->at, "a scope opened outside of a run");
    }
    return (kin_scope){ NULL, UINT64_MAX };
}

kin_scope kin_scope_open_with(const struct kin_scope_options *options)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__group *record = rt ? kin__pool_get(&rt->groups) : NULL;
    struct kin__scope *scope;

    if (!record)
        return scope_failed(options);
    scope = &record->scope;
    kin__scope_begin(rt, record, KIN__SCOPE, options->at, options->name);
    record->grace = options->grace;
    if (options->local)
        bind_local(record, options->local, options->at);
    if (options->shield > 0 && !(rt->current->base.flags & KIN__BORROWED)) {
        record->shield = options->shield;
        scope->flags = KIN__SHIELD;
        if (scope->parent->flags & KIN__REACHED)
            kin__shield_begin(rt, record);
    }
    if (options->cancelled)
        kin__cancel_because(rt, record, KIN_BY_HAND, rt->current, options->at, NULL);
    kin__scope_arm(rt, scope, options->timeout, options->deadline);
    return (kin_scope){ record, scope->id };
}

/* Takes the innermost scope of its owner out of the tree; the record is free. */
void kin__scope_end(struct kin__runtime *rt, struct kin__scope *scope)
{
    struct kin__group *record = kin__group_of(scope);

    assert(scope->owner->scope == scope && !scope->first);
    kin__timer_disarm(rt, &scope->timer);
    if (kin__unlikely(record->shield_timer.state != KIN__TIMER_IDLE))
        kin__timer_disarm(rt, &record->shield_timer);
    scope->owner->scope = scope->parent;
    if (scope->parent)
        kin__scope_unlink(scope);
    scope->id = 0;
    scope->reason = NULL;
    kin__pool_put(&rt->groups, record);
}

/* Is the code just the echo of a cancellation of this scope or an outer one? */
bool kin__scope_absorbs(const struct kin__scope *scope, int rc)
{
    switch (kin_class(rc)) {
    case KIN_CLASS_CANCEL:
        return kin__cancel_visible(scope);
    case KIN_CLASS_TIMEOUT:
        return (scope->flags & KIN__EXPIRED) && (scope->flags & KIN__TOLD);
    default:
        return rc == KIN_EDECIDED && (scope->flags & KIN__DECIDED);
    }
}

int kin__scope_verdict(struct kin__scope *scope, int rc)
{
    if (kin_class(rc) == KIN_CLASS_CANCEL)
        kin__told_by_choice(scope);
    if (!(scope->flags & KIN__TOLD))
        return rc >= 0 ? rc : 0;
    if (kin__outer_cancelled(scope))
        return KIN_ECANCELED;
    if (scope->flags & KIN__EXPIRED)
        return KIN_ETIMEDOUT;
    return rc >= 0 ? rc : 0;
}

/* Scopes opened later in the same task must be closed first. Those that are not
 * are left here, so that the tree stays right. */
static int close_inner(struct kin__runtime *rt, struct kin__scope *scope, const char *what)
{
    struct kin__task *task = rt->current;

    if (task->scope == scope)
        return 0;
    kin__misuse(task->scope->at, "%s opened at %s closed before what was opened inside it", what,
                scope->at);
    kin__leave_inner(rt, scope);
    return KIN_EORDER;
}

/* May the running task close this? 0 or the kind of misuse. */
int kin__scope_may_close(struct kin__runtime *rt, struct kin__scope *scope, const char *what)
{
    struct kin__task *task = rt->current;
    char label[128];

    if (scope->owner == task)
        return close_inner(rt, scope, what);
    kin__task_label(scope->owner, label, sizeof label);
    kin__misuse(scope->at, "a %s closed that was opened by another task, %s", what, label);
    return kin__scope_within(&task->base, scope) ? KIN_EDEADLK : KIN_ESTALE;
}

static kin__cold int scope_close(struct kin__runtime *rt, struct kin__scope *scope, int rc)
{
    int order = kin__scope_may_close(rt, scope, "scope");

    if (order < 0 && order != KIN_EORDER)
        return order;
    if (rc >= 0 || kin__scope_absorbs(scope, rc))
        rc = kin__scope_verdict(scope, rc);
    kin__scope_end(rt, scope);
    if (rc == KIN_ECANCELED)
        kin__told(rt->current->scope);
    return order < 0 && rc >= 0 ? order : rc;
}

static kin__cold int close_nothing(kin_scope *handle)
{
    if (handle && handle->id == UINT64_MAX) {
        handle->id = 0;                         /* it never was open */
        if (kin__rt && kin__rt->current->unopened > 0) {
            kin__rt->current->unopened--;
            return -ENOMEM;
        }
    }
    kin__misuse(NULL, "a scope closed that is not open");
    return kin__rt ? KIN_ESTALE : kin__no_run();
}

/* Mostly all went well in the innermost scope, and nobody in there was told anything. */
int kin_scope_close(kin_scope *handle, int rc)
{
    struct kin__group *record = kin__scope_find(handle);

    if (kin__unlikely(!record))
        return close_nothing(handle);
    if (kin__unlikely(rc < 0 || kin__rt->current->scope != &record->scope ||
                      (record->scope.flags & KIN__TOLD)))
        return scope_close(kin__rt, &record->scope, rc);
    kin__scope_end(kin__rt, &record->scope);
    return rc;
}

/* Nobody is told anything by that. */
void kin_scope_leave(kin_scope *handle)
{
    struct kin__group *record = kin__scope_find(handle);
    int order = KIN_ESTALE;

    if (record)
        order = kin__scope_may_close(kin__rt, &record->scope, "scope");
    else if (!kin_scope_ended(handle))
        kin_scope_close(handle, 0);             /* there was no memory for it */
    if (order == 0 || order == KIN_EORDER)
        kin__scope_end(kin__rt, &record->scope);
}

bool kin_scope_ended(const kin_scope *scope)
{
    return !scope || (scope->id != UINT64_MAX && !kin__scope_find(scope));
}
