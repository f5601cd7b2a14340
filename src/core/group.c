/* Groups: where tasks live. What this file owns: opening, slots under a limit,
 * the policy, and the close that waits for everyone.
 *
 * Invariants: tasks are accepted, and ended; running counts those in between that
 * hold a slot, where there is a limit. Held tasks wait
 * in line for a slot; they come from within the group, whose tasks must never wait
 * for their own group. A slot that is given back goes to the held first, then to
 * the spawners outside: they hold up nobody but themselves.
 *
 * Closing is no cancellation point. The closer parks until all have ended; whatever
 * cancels it reaches the group's tasks by the tree, so there is nothing to pass on.
 */
#include "core/core.h"

#include <errno.h>

/* ------------------------------------------------------------------- opening */

static uint32_t quorum_of(const struct kin_group_options *options)
{
    if (options->policy == KIN_QUORUM)
        return options->quorum ? options->quorum : 1;
    return options->policy == KIN_ANY;
}

/* What its ordinary tasks have to do at their end, as flags. */
uint32_t kin__group_traits(const struct kin__group *group)
{
    return (group->quorum || group->decide ? KIN__DECIDES : 0) |
           (group->collect ? KIN__COLLECTED : 0);
}

void kin__group_init(struct kin__group *group, const struct kin_group_options *options)
{
    group->grace = options->grace;
    group->quorum = quorum_of(options);
    group->decide = options->policy == KIN_CUSTOM ? options->decide : NULL;
    group->decide_arg = options->decide_arg;
    group->collect = options->collect;
    group->collected = group->collected_last = NULL;
    group->takers = (struct kin_wait_list){ .run = kin__rt->run };
    group->services = group->serves = NULL;
    group->start = NULL;
    group->open_to = NULL;
    group->closer = NULL;
    group->accepted = group->ended = group->running = 0;
    group->limit = options->limit;
    group->max_queued = options->max_queued;
    group->policy = options->policy;
    group->keep_whole = options->keep_whole;
    group->failure = 0;
    group->held = (struct kin__task_queue){ NULL, NULL };
    group->held_count = 0;
    group->spawners = (struct kin_wait_list){ .run = kin__rt->run };
    group->errors = (struct kin__errors){ .dropped = 0 };
    group->counts = (struct kin_group_counts){ .ok = 0 };
}

struct kin__group *kin__group_new(struct kin__runtime *rt, const struct kin_group_options *options)
{
    struct kin__stack_pool *stacks =
        options->stack ? kin__stack_pool_for(rt, options->stack) : rt->stacks;
    struct kin__group *group = stacks ? kin__pool_get(&rt->groups) : NULL;

    if (!group)
        return NULL;
    kin__scope_begin(rt, group, KIN__GROUP, options->at, options->name);
    kin__group_init(group, options);
    group->stacks = stacks;
    if (!options->limit && !kin__group_traits(group) && !(group->scope.flags & KIN__REACHED))
        group->open_to = rt->current;
    if (options->cancelled)
        kin__cancel_because(rt, group, KIN_BY_HAND, rt->current, options->at, NULL);
    kin__scope_arm(rt, &group->scope, options->timeout, options->deadline);
    return group;
}

kin_group kin_group_open_with(const struct kin_group_options *options)
{
    struct kin__group *group = kin__rt ? kin__group_new(kin__rt, options) : NULL;

    if (!kin__rt)
        kin__misuse(options->at, "a group opened outside of a run");
    if (!group)
        return (kin_group){ NULL, UINT64_MAX };
    return (kin_group){ group, group->scope.id };
}

/* --------------------------------------------------------------------- slots */

static bool spawner_abort(struct kin_wait *wait)
{
    struct kin__group *group = wait->object;

    kin_wait_list_remove(&group->spawners, wait);
    return true;
}

static const struct kin_wait_ops spawner_ops = { "room in the group", spawner_abort, NULL };

/* Takes a slot for a spawner from outside of the group's tasks, who has to wait
 * for one. 0, KIN_EAGAIN, or KIN_ECANCELED. */
int kin__group_take_slot(struct kin__group *group, bool dont_wait)
{
    struct kin_wait wait;
    int rc;

    if (group->running < group->limit && !group->spawners.first) {
        group->running++;
        return 0;
    }
    if (dont_wait)
        return KIN_EAGAIN;
    rc = kin_wait_prepare(&wait, &spawner_ops, group);
    if (rc < 0)
        return rc;
    kin_wait_list_add(&group->spawners, &wait);
    return kin_wait_park(&wait);
}

void kin__group_give_slot(struct kin__runtime *rt, struct kin__group *group)
{
    struct kin__task *task = kin__queue_pop(&group->held);
    struct kin_wait *spawner;

    if (task) {
        group->held_count--;
        kin__ready(rt, task);
        task->base.flags |= KIN__SLOT;
    } else if ((spawner = kin_wait_list_take(&group->spawners))) {
        kin_wait_wake(spawner, 0);
    } else {
        group->running--;
    }
}

/* Whoever still waits for room in a cancelled group is told no. */
void kin__group_refuse_spawners(struct kin__group *group)
{
    kin__wake_all(&group->spawners, KIN_ECANCELED);
}

/* ------------------------------------------------------------------ outcomes */

/* A failure of a task, of the body, or of a spawn. The group owns the error. */
void kin__group_fail(struct kin__runtime *rt, struct kin__group *group, struct kin__task *by,
                     int code, kin_error *error)
{
    if (group->serves) {                        /* a service's, see service.c */
        if (error)
            kin__error_report(error, "a service's");
        group = group->serves;
    }
    if (!group->failure)
        group->failure = code;
    kin__errors_add(rt, &group->errors, error);
    if (group->policy == KIN_ALL)
        kin__cancel_because(rt, group, KIN_BY_SIBLING, by, by->base.at, kin_code_text(code));
}

static void decide(struct kin__runtime *rt, struct kin__group *group, struct kin__task *by)
{
    group->scope.flags |= KIN__DECIDED;
    kin__cancel_because(rt, group, KIN_BY_DECISION, by, by->base.at, NULL);
}

/* Once the body has closed, so many must still be able to succeed; else nobody need go on. */
static void give_up_quorum(struct kin__runtime *rt, struct kin__group *group, uint64_t live,
                           struct kin__task *by)
{
    if (group->quorum && (group->scope.flags & KIN__CLOSING) && live > 0 &&
        group->counts.ok + live < group->quorum)
        kin__cancel_because(rt, group, KIN_BY_DECISION, by, by->base.at,
                            "the quorum cannot be reached any more");
}

/* Successes are what is left when the others are taken off; where they decide, they
 * are counted. */
static void fill_counts(const struct kin__group *group, uint64_t ended,
                        struct kin_group_counts *counts)
{
    *counts = group->counts;
    counts->accepted = group->accepted;
    counts->live = group->accepted - ended;
    counts->ok = ended - counts->failed - counts->timed_out - counts->cancelled - counts->skipped;
    counts->queued = group->held_count;
}

static bool ask_policy(struct kin__group *group, const struct kin__task *task, kin_status status,
                int code)
{
    struct kin_ending ending = { task->base.name, task->index, status, code, { 0 } };

    fill_counts(group, group->ended + 1, &ending.counts);
    return group->decide(&ending, group->decide_arg);
}

/* A task has ended in a group where that may decide something. */
void kin__group_judge(struct kin__runtime *rt, struct kin__group *group, struct kin__task *task,
                      kin_status status, int code)
{
    bool decided;

    group->counts.ok += status == KIN_OK;
    if (group->scope.flags & KIN__DECIDED)
        return;
    decided = group->decide ? ask_policy(group, task, status, code)
                            : group->quorum && group->counts.ok >= group->quorum;
    if (decided)
        decide(rt, group, task);
    else
        give_up_quorum(rt, group, kin__group_live(group) - 1, task);
}

void kin__group_count(struct kin__group *group, kin_status status)
{
    group->counts.failed += status == KIN_FAILED;
    group->counts.timed_out += status == KIN_TIMED_OUT;
    group->counts.cancelled += status == KIN_CANCELLED;
    group->counts.skipped += status == KIN_SKIPPED;
}

/* ------------------------------------------------------------------- closing */

/* Nobody is live, for now. The closer is woken once: it may be on the run queue for a
 * while before it looks. */
void kin__group_idle(struct kin__group *group)
{
    struct kin_wait *closer = group->closer;

    kin__wake_all(&group->takers, 0);           /* there is nobody left who could end */
    group->closer = NULL;
    if (closer)
        kin_wait_wake(closer, 0);
}

/* A task that was accepted has gone elsewhere, as if it had never been here. */
void kin__group_lost_one(struct kin__runtime *rt, struct kin__group *group)
{
    group->accepted--;
    give_up_quorum(rt, group, kin__group_live(group), rt->current);
    if (kin__group_live(group) == 0)
        kin__group_idle(group);
}

static void group_validate(const struct kin__group *group)
{
    assert(group->ended <= group->accepted);
    assert(group->limit ? group->running <= group->limit : group->running == 0);
    assert(!group->held.head == (group->held_count == 0));
    assert(!group->held.head || group->running == group->limit);
    assert(!group->spawners.first || group->running == group->limit);
    assert(kin__group_live(group) > 0 || (!group->held.head && !group->spawners.first));
    assert(kin__group_live(group) > 0 || !group->takers.first);
    assert(!group->collected || !group->takers.first);
}

void kin__group_join(struct kin__runtime *rt, struct kin__group *group)
{
    struct kin_wait wait = { .ops = &kin__wait_join, .object = group, .task = rt->current };

    while (kin__group_live(group) > 0) {        /* again, if a spawner had waited for room */
        group->closer = &wait;
        kin_wait_park(&wait);
    }
    kin__group_refuse_spawners(group);          /* whose room came too late */
    if (group->services)
        kin__services_end(rt, group);
    group_validate(group);
    assert(!group->scope.first);
}

static void body_failed(struct kin__runtime *rt, struct kin__group *group, int rc)
{
    kin__group_fail(rt, group, rt->current, rc, kin__error_take(rt, rt->current, rc));
}

/* What close returns: the policy's failure first (G3, E4). */
static int verdict(struct kin__group *group, int rc)
{
    bool decided = group->scope.flags & KIN__DECIDED;

    if (decided)
        return 0;
    if (group->failure)
        return group->failure;
    rc = kin__scope_verdict(&group->scope, rc);
    return group->quorum && rc >= 0 ? KIN_ENOQUORUM : rc;
}

int kin__group_finish(struct kin__runtime *rt, struct kin__group *group, int rc)
{
    rc = verdict(group, rc);
    kin__errors_to_slot(rt, group, rc);
    kin__scope_end(rt, &group->scope);
    return rc;
}

static int group_close(struct kin__runtime *rt, struct kin__group *group, int rc)
{
    int order = kin__scope_may_close(rt, &group->scope, "group");

    if (order < 0 && order != KIN_EORDER)
        return order;
    if (rc < 0 && !kin__scope_absorbs(&group->scope, rc))
        body_failed(rt, group, rc);
    group->scope.flags |= KIN__CLOSING;
    give_up_quorum(rt, group, kin__group_live(group), rt->current);
    kin__group_join(rt, group);
    rc = kin__group_finish(rt, group, rc);
    if (rc == KIN_ECANCELED)
        kin__told(rt->current->scope);
    return order < 0 && rc >= 0 ? order : rc;
}

int kin_group_close(kin_group *handle, int rc)
{
    struct kin__group *group = kin__group_find(kin__rt, handle);

    if (kin__likely(group != NULL))
        return group_close(kin__rt, group, rc);
    if (handle && handle->id == UINT64_MAX) {
        handle->id = 0;                         /* it never was open */
        if (kin__rt)
            return -ENOMEM;
    }
    kin__misuse(NULL, "a group closed that is not open");
    return kin__rt ? KIN_ESTALE : kin__no_run();
}

/* Nobody will look at the failures of a group that is left: they are reported. */
static void leave_group(struct kin__runtime *rt, struct kin__group *group)
{
    struct kin__task *task = rt->current;
    kin_error *kept = task->error;
    bool failed;

    kin__cancel_because(rt, group, KIN_BY_LEAVING, task, group->scope.at, NULL);
    kin__group_join(rt, group);
    task->error = NULL;
    failed = group->errors.first || group->errors.dropped;
    kin__group_finish(rt, group, 0);
    if (failed && task->error)
        kin__error_report(task->error, "left by abandonment");
    kin__error_drop(rt, task);
    task->error = kept;
    task->base.flags |= KIN__EXPLAINED;
}

void kin__leave_inner(struct kin__runtime *rt, struct kin__scope *outer)
{
    struct kin__task *task = rt->current;

    while (task->scope != outer) {
        if (task->scope->kind == KIN__GROUP)
            leave_group(rt, kin__group_of(task->scope));
        else
            kin__scope_end(rt, task->scope);
    }
}

void kin_group_leave(kin_group *handle)
{
    struct kin__runtime *rt = kin__rt;
    struct kin__group *group = kin__group_find(rt, handle);
    int order = group ? kin__scope_may_close(rt, &group->scope, "group") : KIN_ESTALE;

    if (order == 0 || order == KIN_EORDER)
        leave_group(rt, group);
}

/* ------------------------------------------------------------------- looking */

int kin_group_count(const kin_group *handle, struct kin_group_counts *counts)
{
    struct kin__group *group = kin__group_find(kin__rt, handle);

    if (!group)
        return KIN_ESTALE;
    fill_counts(group, group->ended, counts);
    return 0;
}

bool kin_group_ended(const kin_group *handle)
{
    return !handle || (handle->id != UINT64_MAX && !kin__group_find(kin__rt, handle));
}
