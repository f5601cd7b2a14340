/* Cancellation: pushed once into the tree, looked at by one load.
 *
 * A scope is cancelled by its own cancellation, soft while a grace runs, then hard,
 * and it is reached when its own or an outer hard cancellation is visible in it.
 * Reaching is pushed: cancelling walks the subtree, marks each node, and aborts
 * the wait of each task whose innermost scope is that node, so that a blocking
 * call has only to look at the flags of the running task's scope. There is no way
 * back; the mark goes when the scope ends. Subtrees that are already reached, and
 * those behind a shield, are left out. The walk follows the links of the tree
 * and needs neither a stack nor memory.
 *
 * "Told" marks the scopes in which a call has said KIN_ECANCELED, up to the
 * outermost one cancelled: what closes may report as cancelled or timed out. A scope
 * from which all of them have been marked keeps the number of cancellations that there
 * were then: until there is another, marking stops there. Otherwise a task that comes
 * out of a thousand scopes would mark the outermost a thousand times.
 */
#include "core/core.h"

#include <string.h>

const kin_reason kin__reason_deadline = { .kind = KIN_BY_DEADLINE, .at = "" };
const kin_reason kin__reason_memory = { .kind = KIN_BY_SHUTDOWN,
                                       .at = "",
                                       .message = "no memory for a stack" };
const kin_reason kin__reason_deadlock = { .kind = KIN_BY_DEADLOCK, .at = "" };
const kin_reason kin__reason_fault = { .kind = KIN_BY_HAND,
                                      .at = "",
                                      .message = "injected fault" };

/* ------------------------------------------------------------- the walk */

/* The wait records of those that come soon lie on cold stacks. (Inline: gcc takes a
 * function that only prefetches for pure, and drops the call.) */
static inline __attribute__((always_inline)) void fetch_ahead(const struct kin__scope *scope)
{
    const struct kin_wait *wait;

    for (int i = 0; i < 3 && scope; i++)
        scope = scope->next;
    if (!scope || scope->kind != KIN__TASK)
        return;
    wait = scope->owner->wait;
    if (wait) {
        __builtin_prefetch((const char *)wait - 64, 1);
        __builtin_prefetch(wait, 1);
        __builtin_prefetch((const char *)wait + 64, 1);
    }
    if (scope->next) {                  /* the lines of its links and flags, and of its wait */
        __builtin_prefetch(scope->next, 1);
        __builtin_prefetch((const char *)scope->next + 64, 1);
        __builtin_prefetch((const char *)scope->next + 128, 1);
    }
}

static void reach_node(struct kin__scope *scope)
{
    fetch_ahead(scope);
    scope->flags |= KIN__REACHED;
    if (scope->kind == KIN__GROUP) {
        kin__group_of(scope)->open_to = NULL;
        kin__group_refuse_spawners(kin__group_of(scope));
    }
    if (scope->owner->scope == scope)
        kin__wait_abort(scope->owner);
}

/* The first of these siblings that a cancellation of their parent reaches. */
static struct kin__scope *reachable(struct kin__runtime *rt, struct kin__scope *scope)
{
    for (; scope; scope = scope->next) {
        if (scope->flags & KIN__SHIELD)
            kin__shield_begin(rt, kin__group_of(scope));
        else if (!(scope->flags & KIN__REACHED))
            return scope;
    }
    return NULL;
}

static struct kin__scope *next_node(struct kin__runtime *rt, struct kin__scope *scope,
                                    const struct kin__scope *top)
{
    struct kin__scope *next = reachable(rt, scope->first);

    while (!next && scope != top) {
        next = reachable(rt, scope->next);
        scope = scope->parent;
    }
    return next;
}

/* Was at most one woken since last, and in its place? */
static bool still_rising(const struct kin__task_queue *woken, const struct kin__task *last)
{
    const struct kin__task *tail = woken->tail;

    return tail == last || (!last && woken->head == tail) ||
           (last && last->next == tail && last->base.id < tail->base.id);
}

/* Whoever is woken goes to the run queue in the order of spawning, across groups. For
 * one group that is the order of the walk. */
void kin__reach(struct kin__runtime *rt, struct kin__scope *top)
{
    struct kin__task_queue before = rt->ready;
    struct kin__task *last = NULL;
    bool rising = true;

    if (top->flags & KIN__REACHED)
        return;
    rt->cancellations++;
    rt->ready = (struct kin__task_queue){ NULL, NULL };
    for (struct kin__scope *scope = top; scope; scope = next_node(rt, scope, top)) {
        reach_node(scope);
        rising = rising && still_rising(&rt->ready, last);
        last = rt->ready.tail;
    }
    if (!rising)
        kin__queue_sort(&rt->ready);
    kin__queue_splice(&before, &rt->ready);
}

/* -------------------------------------------------------- soft, then hard */

static void harden(struct kin__runtime *rt, struct kin__scope *scope)
{
    kin__timer_disarm(rt, &scope->timer);
    scope->flags = (scope->flags & ~(uint32_t)KIN__SOFT) | KIN__HARD;
    kin__reach(rt, scope);
}

/* Those in here who wait for just that (kin_wait_cancelled). */
void kin__tell_softly(struct kin__scope *top)
{
    for (struct kin__scope *scope = top; scope; scope = kin__scope_after(scope, top)) {
        struct kin_wait *wait = scope->owner->scope == scope ? scope->owner->wait : NULL;

        if (wait && wait->ops == &kin__wait_cancelled && kin__cancel_visible(scope))
            kin_wait_wake(wait, 0);
    }
}

void kin__cancel(struct kin__runtime *rt, struct kin__scope *scope, const kin_reason *reason)
{
    int64_t grace = scope->kind == KIN__TASK ? 0 : kin__group_of(scope)->grace;

    if (scope->flags & (KIN__SOFT | KIN__HARD))
        return;
    scope->reason = reason;
    rt->cancellations++;
    if (grace <= 0) {
        harden(rt, scope);
        return;
    }
    scope->flags |= KIN__SOFT;
    kin__timer_disarm(rt, &scope->timer);
    kin__timer_arm(rt, &scope->timer, grace);
    kin__tell_softly(scope);
}

static void fill_reason(kin_reason *reason, kin_reason_kind kind, const struct kin__task *by,
                        const char *at, const char *message)
{
    reason->kind = kind;
    reason->soft = false;
    reason->by = by ? by->base.id : 0;
    reason->at = at ? at : "";
    kin__error_name(reason->name, sizeof reason->name, by ? by->base.name : NULL);
    kin__error_name(reason->message, sizeof reason->message, message);
}

void kin__cancel_because(struct kin__runtime *rt, struct kin__group *group, kin_reason_kind kind,
                         struct kin__task *by, const char *at, const char *message)
{
    if (group->scope.flags & (KIN__SOFT | KIN__HARD))
        return;
    fill_reason(&group->reason, kind, by, at, message);
    kin__cancel(rt, &group->scope, &group->reason);
}

/* The timer of a scope has fired: its deadline, or the end of its grace. A task's
 * reason has no room of its own to be kept in before its record is looked for. */
void kin__scope_expire(struct kin__runtime *rt, struct kin__scope *scope)
{
    if (scope->flags & KIN__SOFT) {
        harden(rt, scope);
        return;
    }
    scope->flags |= KIN__EXPIRED;
    if (scope->kind == KIN__TASK)
        kin__cancel(rt, scope, &kin__reason_deadline);
    else
        kin__cancel_because(rt, kin__group_of(scope), KIN_BY_DEADLINE, NULL, scope->at, NULL);
}

/* ----------------------------------------------------------------- shields */

/* A cancellation waits outside: the shield's time begins. */
void kin__shield_begin(struct kin__runtime *rt, struct kin__group *shield)
{
    if (shield->shield_timer.state == KIN__TIMER_IDLE)
        kin__timer_arm(rt, &shield->shield_timer, shield->shield);
}

void kin__shield_lift(struct kin__runtime *rt, struct kin__group *shield)
{
    kin__timer_disarm(rt, &shield->shield_timer);
    rt->cancellations++;
    shield->scope.flags &= ~(uint32_t)KIN__SHIELD;
    if (shield->scope.parent->flags & KIN__REACHED)
        kin__reach(rt, &shield->scope);
}

/* After a deadlock not even a shield holds. */
void kin__shields_lift_all(struct kin__runtime *rt)
{
    struct kin__scope *top = &rt->host.base;

    for (struct kin__scope *scope = top; scope; scope = kin__scope_after(scope, top))
        if (scope->flags & KIN__SHIELD)
            kin__shield_lift(rt, kin__group_of(scope));
}

/* ----------------------------------------------------------- what was said */

/* Whoever asks again and again without ever waiting does not want to know. */
static kin__cold void note_retry(struct kin__runtime *rt, struct kin__task *task)
{
    char label[128];

    if (!(task->base.flags & KIN__RETRIES)) {
        kin__task_label(task, label, sizeof label);
        kin_report("%s (%s) has tried %d blocking calls although it is cancelled: "
                   "KIN_ECANCELED means that it should end",
                   label, task->base.at, KIN__RETRIES_BORNE);
        task->base.flags |= KIN__RETRIES;
    }
    if (!(task->base.flags & KIN__BORROWED))
        kin__yield(rt);
}

static int refuse_call(struct kin__runtime *rt)
{
    struct kin__task *task = rt->current;

    rt->refusals = rt->refused == task->base.id ? rt->refusals + 1 : 1;
    rt->refused = task->base.id;
    if (rt->refusals >= KIN__RETRIES_BORNE || (task->base.flags & KIN__RETRIES))
        note_retry(rt, task);           /* others run: more may be cancelled after it */
    kin__told(task->scope);
    return KIN_ECANCELED;
}

/* A blocking call of a task that is cancelled, or that a fault may be meant for. */
kin__cold int kin__call_examine(struct kin__runtime *rt)
{
    if (rt->options.faults)
        kin__fault_call(rt, rt->current);
    return kin__call_is_refused(rt->current) ? refuse_call(rt) : 0;
}

/* Even: all hard cancellations that can be seen from a scope have been marked; odd: the
 * soft ones, too. */
static uint64_t told_now(bool softly)
{
    return kin__rt->cancellations * 2 + softly;
}

void kin__told(struct kin__scope *scope)
{
    uint64_t now = told_now(false);

    for (; scope && (scope->flags & KIN__REACHED); scope = scope->parent) {
        if (scope->told_at >= now)
            return;
        scope->told_at = now;
        scope->flags |= KIN__TOLD;
        if (scope->flags & KIN__SHIELD)
            return;
    }
}

static const struct kin__scope *look_out(const struct kin__scope *scope)
{
    const struct kin__scope *outermost = NULL;

    for (; scope; scope = scope->flags & KIN__SHIELD ? NULL : scope->parent)
        if (scope->flags & (KIN__SOFT | KIN__HARD))
            outermost = scope;
    return outermost;
}

/* The same for a group whose tasks end one after the other: it is looked for once. While
 * the group is there, so are those around it. */
static const struct kin__scope *look_out_once(struct kin__runtime *rt,
                                              const struct kin__scope *scope)
{
    if (rt->seen.from != scope->id || rt->seen.cancellations != rt->cancellations) {
        rt->seen.outermost = look_out(scope);
        rt->seen.from = scope->id;
        rt->seen.cancellations = rt->cancellations;
    }
    return rt->seen.outermost;
}

/* The outermost cancelled scope that can be seen from here, softly or not. */
static const struct kin__scope *outermost_cancelled(const struct kin__scope *scope)
{
    const struct kin__scope *outer;

    if (!scope || scope->kind != KIN__TASK || !scope->parent || (scope->flags & KIN__SHIELD))
        return look_out(scope);
    outer = look_out_once(kin__rt, scope->parent);
    return outer || !(scope->flags & (KIN__SOFT | KIN__HARD)) ? outer : scope;
}

bool kin__cancel_visible(const struct kin__scope *scope)
{
    return (scope->flags & KIN__REACHED) || outermost_cancelled(scope);
}

/* While an outer grace runs, a scope's own hard cancellation is what its calls saw. */
bool kin__outer_cancelled(const struct kin__scope *scope)
{
    if ((scope->flags & KIN__SHIELD) || !scope->parent)
        return false;
    if (scope->flags & KIN__HARD)
        return scope->parent->flags & KIN__REACHED;
    return kin__cancel_visible(scope->parent);
}

/* Somebody ends because of a cancellation that no call has told him of: he has
 * looked at kin_cancelled. */
void kin__told_by_choice(struct kin__scope *scope)
{
    uint64_t now = told_now(true);
    const struct kin__scope *outermost = scope->told_at < now ? outermost_cancelled(scope) : NULL;

    for (; outermost && scope->told_at < now; scope = scope->parent) {
        scope->told_at = now;
        scope->flags |= KIN__TOLD;
        if (scope == outermost)
            return;
    }
}

static void copy_reason(const struct kin__scope *from, bool soft, kin_reason *out)
{
    if (from->reason != out)
        *out = *from->reason;
    out->soft = soft;
    if (out->at[0] == '\0')
        out->at = from->at;
}

const kin_reason *kin_cancelled(void)
{
    struct kin__runtime *rt = kin__rt;
    const struct kin__scope *scope = rt ? rt->current->scope : NULL;
    const struct kin__scope *from = rt ? outermost_cancelled(scope) : NULL;

    if (!from)
        return NULL;
    copy_reason(from, !(scope->flags & KIN__REACHED), &rt->reason_seen);
    return &rt->reason_seen;
}

/* What a task's record says about its end. */
void kin__reason_for(struct kin__task *task, kin_reason *out)
{
    const struct kin__scope *from = outermost_cancelled(&task->base);

    if (from)
        copy_reason(from, false, out);
}

/* ----------------------------------------------------------------- by hand */

int kin_group_cancel_at(const char *at, kin_group *handle, const char *message)
{
    struct kin__group *group = kin__group_find(kin__rt, handle);

    if (!group)
        return KIN_ESTALE;
    kin__cancel_because(kin__rt, group, KIN_BY_HAND, kin__rt->current, at, message);
    return 0;
}

int kin_scope_cancel_at(const char *at, kin_scope *handle, const char *message)
{
    struct kin__group *record = kin__scope_find(handle);

    if (!record)
        return KIN_ESTALE;
    kin__cancel_because(kin__rt, record, KIN_BY_HAND, kin__rt->current, at, message);
    return 0;
}

/* The reason is kept in the caller's record, so that no memory is needed. */
int kin_task_cancel_at(const char *at, kin_task *record, const char *message)
{
    struct kin__task *task = kin__task_find(record);

    if (!task)
        return KIN_ESTALE;
    if (kin__group_of(task->base.parent)->keep_whole)
        return KIN_EBUSY;
    if (task->base.flags & (KIN__SOFT | KIN__HARD))
        return 0;
    fill_reason(&task->record->reason, KIN_BY_HAND, kin__rt->current, at, message);
    kin__cancel(kin__rt, &task->base, &task->record->reason);
    return 0;
}
